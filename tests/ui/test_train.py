"""The Train tab without a browser: it says what the run says, and photos do not outlive their reading."""

import base64
import json
import math
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from facelab.lessons import family_tree
from facelab.lessons.live import shipped_run as lesson
from facelab.lessons.live.course import Map, Result, Snapshot
from facelab.lessons.live.data import TrainingData, from_photos
from facelab.lessons.live.session import QUEUE, Training
from facelab.lessons.live.settings import Choice
from facelab.models import checkpoint
from facelab.plots.training import POINTS, people_map, training_course
from facelab.ui.train import tab as train
from facelab.ui.train.settings import chosen, planned, rendered_words
from facelab.ui.widgets import own_photos
from facelab.ui.widgets.run_cards import duration, history_card, lowest, run_card, run_row
from tests.conftest import CROP, encoded, one_sentence, zipped

HALF = Snapshot(
    "training",
    step=30,
    steps=100,
    epoch=2,
    epochs=5,
    losses=tuple(np.linspace(4, 1, 30).tolist()),
    accuracies=tuple(np.linspace(0, 0.6, 30).tolist()),
    figures=((20, {"eer": 0.21, "top_1": 0.4}),),
    map=Map(np.array([[0.1, 0.2], [0.3, -0.1], [-0.5, 0.4]], np.float32), np.array([0, 0, 1])),
    seconds_left=75.0,
    seconds=32.0,
)
OPENING = ("rendered", 60, 8, "resnet_face", "softmax", 5, 32, 0.05, 0.0, 0.0, 0.0, 5e-4, True, 0)
PROGRESS = type("Progress", (), {"tqdm": staticmethod(lambda items, **_: items)})()


@pytest.fixture(scope="module")
def tab():
    """(controls by name, the page)."""
    with gr.Blocks() as page:
        controls = train.build()
    return controls, page


def test_every_control_says_what_it_does_and_every_event_is_private(tab):
    controls, page = tab
    assert tuple(control.value for control in controls.values()) == OPENING
    assert all(re.fullmatch("[a-z]+", name) and control.info for name, control in controls.items())
    config = page.config
    events = [event for event in config["dependencies"] if event["targets"][0][1] != "unload"]
    assert all(event["api_visibility"] == "private" for event in events)
    ids = [c["props"].get("elem_id") for c in config["components"] if c["props"].get("elem_id")]
    assert len(ids) == len(set(ids))
    assert len([c for c in config["components"] if c["props"].get("variant") == "primary"]) == 1


def test_the_page_opens_on_what_a_choice_opens_with():
    source, people, faces, choice = chosen(OPENING)
    assert (source, people, faces, choice) == ("rendered", lesson.PEOPLE, lesson.FACES, Choice())
    plan = planned(None, OPENING)
    assert len(plan.pool.data) == 480 and not plan.pool.data.crops.drawn.any()
    other = planned(None, (*OPENING[:4], "arcface", *OPENING[5:8], 0.3, *OPENING[9:]))
    assert other.recipe.dropout == 0.3 and other.recipe.margin == 0.3
    assert other.words[0] == "resnet_face, arcface, dropout 0.3"


def test_each_control_sets_what_it_is_named_after(tab):
    changed = {
        "people": 20, "faces": 6, "epochs": 3, "batch": 64, "rate": 0.01, "dropout": 0.3, "dropblock": 0.2,
        "smoothing": 0.1, "decay": 5e-3, "augment": False, "seed": 7,
    }  # fmt: skip
    plan = planned(None, tuple((dict(zip(tab[0], OPENING)) | changed).values()))
    recipe, data = plan.recipe, plan.pool.data
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.seed) == (3, 64, 0.01, 7)
    assert (recipe.dropout, recipe.drop_block, recipe.label_smoothing) == (0.3, 0.2, 0.1)
    assert (recipe.weight_decay, recipe.flip, recipe.random_erasing) == (5e-3, False, 0)
    assert (len(data.identities), len(data), plan.pool.seed) == (20, 120, 7)


def test_the_parameters_of_a_run_stand_beside_the_homeworks_limit():
    line = train.on_settings(None, *OPENING)[2]
    total = family_tree.budget("resnet_face", "flatten", 128, 54).total
    assert f"{total / 1e6:.2f} M of the homework’s 30 M parameters with 54 classes" in line
    assert "tab=architectures&amp;network=resnet_face&amp;neck=flatten&amp;dim=128&amp;at=meter" in line
    assert train.on_settings(None, "photos", *OPENING[1:])[2] == ""
    assert rf"\ln 54 = {math.log(54):.2f}" in train.on_settings(None, *OPENING)[3]
    other = train.on_settings(None, *OPENING[:4], "arcface", *OPENING[5:])[3]
    assert "arcface has its picture" in other and "ln 54" not in other


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0: "photos"}, "No photos are added yet"),
        ({1: 400, 2: 20}, "here a run takes 4,000 at most"),
        ({4: "triplet", 10: 0.1}, "triplet takes no label smoothing"),
    ],
)
def test_what_cannot_be_trained_gets_one_sentence_and_no_run(monkeypatch, changes, words):
    monkeypatch.setenv("SPACE_ID", "x/y")
    values = [changes.get(i, value) for i, value in enumerate(OPENING)]
    request = type("Request", (), {"session_hash": "s"})()
    (frame,) = train.on_train(request, "", None, (), *values)
    assert words in frame[0] and 'role="alert"' in frame[0] and one_sentence(frame[0])
    assert ".." not in frame[0]
    assert len(frame) == 6 and QUEUE._runs == []
    assert words in train.on_settings(None, *values)[0]


def test_the_card_says_where_a_run_stands():
    waiting = run_card(Snapshot("waiting", ahead=2, seconds_left=121.0))
    assert "Position 3 in the queue" in waiting and "about <b>2 min 10 s</b>" in waiting
    assert "can be estimated once" in run_card(Snapshot("waiting", ahead=1))
    card = run_card(HALF)
    assert "Training" in card and "1 min 15 s" in card and "30 of 100" in card and "21.0%" in card
    assert "40.0%" in run_card(HALF, closed=True)
    assert 'role="alert"' in run_card(Snapshot("failed", message="lower --lr"))
    assert [duration(s) for s in (7.4, 60, 185, math.nan)] == ["7 s", "1 min 0 s", "3 min 5 s", "–"]


def test_the_course_is_the_runs_own():
    data = {trace["name"]: trace for trace in json.loads(training_course(HALF))["data"]}
    assert data["loss of a step"]["y"] == list(HALF.losses)
    assert data["loss of a step"]["x"] == list(range(1, 31))
    assert data["EER, unseen identities"]["x"] == [20] and data["EER, unseen identities"]["y"] == [21.0]
    closed = json.loads(training_course(HALF, closed=True))["data"][-1]
    assert closed["y"] == [40.0]
    smooth = data["loss, smoothed"]["y"]
    assert smooth[0] == HALF.losses[0] and smooth[1] == pytest.approx(np.mean(HALF.losses[:2]))
    long = replace(HALF, losses=(1.0,) * 9999, accuracies=(math.nan,) * 9999)
    assert len(json.loads(training_course(long))["data"][0]["x"]) == POINTS


def test_the_map_shows_everyone_with_a_shape_of_their_own():
    data = json.loads(people_map(HALF.map))["data"]
    assert [len(trace["x"]) for trace in data] == [2, 1]
    assert len({trace["marker"]["symbol"] for trace in data}) == 2


def test_frames_redraw_only_what_is_new():
    plan = planned(None, OPENING)
    again = replace(HALF, seconds=33.0)
    result = Result(nn.Linear(1, 1), nn.Linear(1, 1), checkpoint.Header(plan.recipe, 2, "d"))
    end = replace(HALF, state="finished", result=result)
    empty, first, second, last = train.frames(iter([Snapshot("starting"), HALF, again, end]), plan.words, ())
    assert empty[2] is None and json.loads(empty[1])["data"][0]["x"] == []  # an earlier run's are gone
    assert isinstance(first[1], str) and isinstance(first[2], str)
    assert second[1] == second[2] == last[2] == gr.skip() and "Finished" in last[0]
    (row,) = last[3]
    assert (row.steps, row.loss, row.eer) == ("30 of 100", "1.000", "21.0%")
    assert last[5] is result and "60 synthetic identities" in last[4]


def row(eer, data="faces"):
    return run_row(replace(HALF, figures=((20, {"eer": eer} if eer else {}),)), f"run {eer}", "on", data)


def test_an_error_is_lowest_only_among_runs_on_the_same_faces():
    photos = [row(0.366, "photos"), row(0.35, "photos")]
    assert lowest((row(0.127), *photos, row(0.2))) == {0, 2}
    assert lowest((row(0.127), photos[0])) == lowest((row(0.127), row(None))) == set()
    assert history_card((row(0.127), photos[0])).count("✔</td>") == 0


def test_faces_are_the_same_only_if_all_that_draws_them_is():
    data = [planned(None, (*OPENING[:2], faces, *OPENING[3:13], seed)).words[2] for faces, seed in
            ((8, 0), (8, 1), (9, 0))]  # fmt: skip
    assert len(set(data)) == 3
    shown = lesson.load()
    assert train._opening_row()[0].data == data[0] == rendered_words(shown.people, shown.faces, 0)[1]
    assert planned(None, (*OPENING[:4], "triplet", *OPENING[5:])).words[2] == data[0]


def test_photos_are_the_same_if_their_crops_and_people_are(tmp_path):
    crops = {f"{p}/{i}.png": CROP for p in "abcd" for i in range(2)}
    other = encoded(Image.new("RGB", (112, 112), "red"), "PNG")
    sets = (crops, crops, crops | {"d/1.png": other}, crops | {"d/2.png": CROP})
    pools = [from_photos(zipped(tmp_path / "us.zip", entries), 99) for entries in sets]
    first, again, recolored, more = (planned(pool, ("photos", *OPENING[1:])).words[2] for pool in pools)
    assert first == again and len({first, recolored, more}) == 3


def test_the_table_marks_the_lowest_error():
    rows = tuple(map(row, (0.3, 0.1, 0.2, None)))
    card = history_card(rows)
    assert card.count("✔</td>") == 1 and "10.0% ✔" in card
    assert card.index("run None") < card.index("run 0.2") < card.index("run 0.3")
    assert "listed here" in history_card(())


def test_a_zip_is_gone_once_it_is_read_whether_good_or_bad(tmp_path):
    good = {f"{person}/{i}.png": CROP for person in "abcd" for i in range(2)}
    for entries, works in ((good, True), ({"a/1.png": CROP}, False)):
        (tmp_path / "upload").mkdir()
        path = zipped(tmp_path / "upload" / "us.zip", entries)
        pool, card, file, data = train.on_zip(str(path), None, PROGRESS)
        assert not path.exists() and not path.parent.exists() and file is None
        assert (pool is not None) == works == (data == "photos")
        assert ("8 faces of 4 identities" in card) if works else ('role="alert"' in card)
        assert one_sentence(card, tmp_path)
    (tmp_path / "stays").mkdir()  # or the last upload's folder would be removed
    kept = own_photos.read_zip(str(zipped(tmp_path / "upload.zip", good)), None, 99, 2, PROGRESS)[0]
    assert kept.data.crops.any()
    again = train.on_zip(str(zipped(tmp_path / "y.zip", {"a/1.png": CROP})), kept, PROGRESS)
    assert again[0] is kept and kept.data.crops.any()  # a refused zip costs nothing
    train.on_zip(str(zipped(tmp_path / "y.zip", good)), kept, PROGRESS)
    assert not kept.data.crops.any()


def test_downloads_load(tiny_run, tmp_path):
    request = type("Request", (), {"session_hash": "s"})()
    content, said = train.on_download(request, "", Result(*tiny_run))
    assert "`" not in said  # a card shows its text as it is
    (tmp_path / "live.safetensors").write_bytes(base64.b64decode(content))
    model, _, header = checkpoint.load(tmp_path / "live.safetensors")
    assert header.to_json() == tiny_run[2].to_json()
    x = torch.zeros(1, 3, 112, 112)
    assert torch.allclose(model(x), tiny_run[0](x), atol=0.01)
    nothing, said = train.on_download(request, "", None)
    assert nothing == "" and "press Train" in said
    waiting = Training(tiny_run[2].recipe, TrainingData(None, "p"), 9, "s", train.TITLE)
    QUEUE.join(waiting)
    try:  # what an earlier run has left is not handed out for the one under way
        nothing, said = train.on_download(request, "", Result(*tiny_run))
        assert nothing == "" and "not finished" in said
        assert QUEUE.tab_of("another visitor") is None and QUEUE.tab_of("s") == train.TITLE
    finally:
        QUEUE.leave(waiting)
    assert train.on_download(request, "", Result(*tiny_run))[0]


def test_the_table_opens_with_the_measured_run(tab):
    table = next(block for block in tab[1].blocks.values() if block.elem_id == "train-tried")
    assert "recorded run" in table.value and "60 synthetic identities × 8" in table.value
    stopped = run_row(replace(HALF, state="stopped"), "a", "b", "c")
    assert stopped.steps == "30 of 100 (stopped)"


def test_the_measured_run_survives_its_file(tmp_path):
    shown = lesson.Shown(Choice(loss="arcface"), 30, 4, replace(HALF, state="finished", steps=30, epoch=5))
    lesson.save(shown, tmp_path / "t.json")
    back = lesson.load(tmp_path / "t.json")
    assert (back.choice, back.people, back.faces) == (shown.choice, 30, 4)
    assert back.last.losses == pytest.approx(shown.last.losses, abs=1e-4)
    assert back.last.figures == shown.last.figures
    np.testing.assert_allclose(back.last.map.coordinates, HALF.map.coordinates, atol=1e-4)
    assert lesson.load(tmp_path / "none.json") is None


def test_a_folder_of_this_machine_is_only_read_and_not_at_all_where_hosted(tmp_path, monkeypatch):
    good = {f"{person}/{i}.png": CROP for person in "abcd" for i in range(2)}
    for name, content in good.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pool, card, data = train.on_folder(str(tmp_path), None, PROGRESS)
    assert "8 faces of 4 identities" in card and data == "photos" and (tmp_path / "a/0.png").exists()
    values = ["photos", *OPENING[1:]]
    script, command, *_ = train.on_settings(pool, *values)
    assert f"load_crops(['{tmp_path}'])" in script and f"--data {tmp_path} " in command
    absent = train.on_folder(str(tmp_path / "nobody"), pool, PROGRESS)
    assert absent[0] is pool and "There is no folder" in absent[1] and one_sentence(absent[1])
    monkeypatch.setenv("SPACE_ID", "x/y")
    kept, said, _ = train.on_folder(str(tmp_path), pool, PROGRESS)
    assert kept is pool and "hosted" in said and one_sentence(said) and pool.data.crops.any()
