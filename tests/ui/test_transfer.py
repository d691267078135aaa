"""The Transfer tab without a browser: the curves are the table's, and new people are taught and named."""

import re
import zipfile
from collections import Counter

import gradio as gr
import numpy as np
import pytest
import torch

from facelab.data.folders import CropSet
from facelab.lessons.live import session as live
from facelab.lessons.live import teach as live_teach
from facelab.lessons.live.course import Result
from facelab.lessons.live.data import TrainingData, from_photos
from facelab.lessons.live.session import Training, TrainingQueue
from facelab.lessons.live.teach import chance_bound_95, held_back, lesson_recipe, name_photo
from facelab.lessons.transfer import Outcome
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.plots.transfer import LOOKS, summary, transfer_curves
from facelab.training.splits import split
from facelab.ui.transfer import live as transfer_live
from facelab.ui.transfer import tab as transfer
from facelab.ui.transfer import ways
from facelab.ui.widgets import cards
from facelab.ui.widgets.run_cards import Snapshot
from tests.conftest import zipped

TABLE = [
    Outcome(start, shots, seed, base + 0.1 * shots + 0.02 * seed)
    for start, base in (("scratch", 0.0), ("faces, frozen", 0.3))
    for shots in (1, 2, 4)
    for seed in range(3)
]


def colored(per_person=6):
    """Three people of one color each, which any network tells apart."""
    crops = np.zeros((3 * per_person, 112, 112, 3), np.uint8)
    labels = np.repeat(np.arange(3), per_person)
    crops[np.arange(len(labels)), :, :, labels] = 220
    return TrainingData(CropSet(crops, labels, ("z/red", "z/green", "z/blue"), tuple(map(str, labels))), "z")


def test_the_curves_are_the_means_with_the_worst_and_best_seed():
    figure = transfer_curves(TABLE, 40)
    lines = {line.name: line for line in figure.data}
    assert list(lines) == ["scratch", "faces, frozen", "chance level, 2.5%"]
    line = lines["faces, frozen"]
    np.testing.assert_allclose(line.y, [42, 52, 72])
    np.testing.assert_allclose(line.error_y.array, 2)
    np.testing.assert_allclose(line.error_y.arrayminus, 2)
    assert summary(TABLE, "scratch")[4] == pytest.approx((0.42, 0.40, 0.44))
    assert len({detect[1:] for detect in LOOKS.values()}) == len(LOOKS)  # told apart without color


@pytest.mark.parametrize("table", [[], TABLE])
def test_the_tab_opens_on_the_table_or_says_how_to_make_it(monkeypatch, table):
    monkeypatch.setattr(transfer.lesson, "load", lambda: table)
    with gr.Blocks() as page:
        controls = transfer.build()
    config = page.config
    assert all(re.fullmatch("[a-z]+", name) and control.info for name, control in controls.items())
    assert all(event["api_visibility"] == "private" for event in config["dependencies"])
    ids = {c["props"].get("elem_id") for c in config["components"]}
    assert ("transfer-curves" in ids) == bool(table) != ("transfer-missing" in ids)
    primary = [c for c in config["components"] if c["props"].get("variant") == "primary"]
    assert len(primary) == 1


def test_the_answer_names_the_best_start_at_both_ends():
    card = transfer.answer_card([*TABLE, Outcome("scratch", 4, 3, 1.9)])
    assert "“faces, frozen” with 1 photo per identity, “scratch” with 4 photos" in card
    card = transfer.answer_card([*TABLE, Outcome("scratch", 1, 3, 1.9), Outcome("scratch", 4, 3, 1.9)])
    assert "“scratch”, with 1 photo and with 4 photos per identity" in card
    assert "42% <span class='fl-small'>(40%–44%)" in card


@pytest.mark.parametrize("sizes", [[3, 3], [6, 6, 6], [3, 10, 4, 7]])
def test_held_back_photos_are_counted_as_they_are_split(tiny_checkpoint, sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    data = CropSet(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, tuple(map(str, range(len(sizes)))), ())
    pool = TrainingData(data, "p")
    recipe = lesson_recipe(str(tiny_checkpoint), "neck", pool, 0)
    assert len(split(data, recipe).images) == held_back(pool)


def test_luck_is_the_binomial_quantile():
    scores = np.random.default_rng(0).binomial(6, 1 / 3, 200_000) / 6
    assert chance_bound_95(colored()) == pytest.approx(np.quantile(scores, 0.95))


def test_a_choice_of_layers_says_what_trains(tiny_checkpoint):
    start = str(tiny_checkpoint)
    assert [ways.last_frozen(start, way, "stage3") for way in ("frozen", "partly", "whole")] == [
        "neck", "stage3", None
    ]  # fmt: skip
    with pytest.raises(ValueError, match="has no stage9; its stages are stem, stage1"):
        ways.last_frozen(start, "partly", "stage9")
    model = checkpoint.load(tiny_checkpoint)[0]
    whole = sum(p.numel() for p in model.parameters())
    rest = sum(p.numel() for part in (model.backbone.stage4, model.neck) for p in part.parameters())
    for way, count in (("frozen", 0), ("partly", rest), ("whole", whole)):
        text = ways.show(start, way, "stage3").replace("{,}", ",")
        assert f"&{count:,}" in text and f"{whole:,}" in text
    assert ways.on_start(start, "head")["value"] == "stage3"


def test_way_stage_and_seed_reach_the_recipe(tiny_checkpoint, monkeypatch):
    asked, pool = [], colored()

    def composed(*given):
        asked.append(given)
        raise ValueError("that is enough")

    monkeypatch.setattr(transfer_live, "lesson_recipe", composed)
    request = type("Request", (), {"session_hash": "s"})()
    list(transfer_live.on_teach(request, "", pool, str(tiny_checkpoint), "partly", "stage3", 4.0))
    assert asked == [(str(tiny_checkpoint), "stage3", pool, 4)]


@pytest.mark.parametrize("upto", ["neck", "stage3", None])
def test_new_people_are_taught_and_named(tiny_checkpoint, monkeypatch, upto):
    monkeypatch.setattr(live_teach, "STEPS", 12)
    monkeypatch.setattr(live_teach, "BATCH", 6)
    monkeypatch.setattr(live, "POLL", 0.05)
    pool = colored()
    red = pool.data.crops[0]
    recipe, frozen = lesson_recipe(str(tiny_checkpoint), upto, pool, 0), upto == "neck"
    assert recipe.freeze == upto and recipe.backbone == "resnet_face" and recipe.neck == "pool"
    *_, last = Training(recipe, pool, 600, line=TrainingQueue()).follow()
    assert last.state == "finished", last.message
    before = checkpoint.load(tiny_checkpoint)[0].state_dict()
    after = last.result.model.state_dict()
    parts = {key.split(".")[1] if key.startswith("backbone") else "neck" for key in before}
    moved = {
        part
        for part in parts
        if any(not torch.equal(before[key], after[key]) for key in before if part in key.split("."))
    }
    kept = {"neck": parts, "stage3": parts - {"stage4", "neck"}, None: set()}[upto]
    assert moved == parts - kept
    assert last.figures[-1][1]["top_1"] == 1.0 or frozen  # a network that knows nothing is no help frozen
    named = name_photo(last.result, red)
    assert {name for name, _ in named.ranks} == {"red", "green", "blue"}
    assert sum(p for _, p in named.ranks) == pytest.approx(1, abs=1e-5)
    assert named.ranks[0][0] == "red" or frozen
    assert f"→ {named.ranks[0][0]}" in transfer_live.on_name(last.result, red)
    seen = set()
    for turn in range(held_back(pool)):
        card, then = transfer_live.on_held_back(last.result, pool, turn)
        crop, person = live_teach.held_back_photo(last.result, pool, turn)
        assert (
            then == turn + 1 and person == ("red", "green", "blue")[int(crop.reshape(-1, 3).max(0).argmax())]
        )
        seen.add(person)
        name = name_photo(last.result, crop).ranks[0][0]
        assert (f"→ {name}: right" if name == person else f"→ {name}: wrong, it is {person}") in card
    assert seen == {"red", "green", "blue"}
    few = TrainingData(CropSet(pool.data.crops, pool.data.labels, ("x", "y", "z"), pool.data.names), "z")
    assert "press Fine-tune again" in transfer_live.on_held_back(last.result, few, 0)[0]
    better = "✔ Above chance" in transfer_live.teach_card(last, 3, chance_bound_95(colored()))
    assert better or frozen


@pytest.fixture(scope="module")
def photographed(shared, tmp_path_factory) -> TrainingData:
    """Eight people's ten photographs or a few more, from a zip."""
    with zipfile.ZipFile(shared / "lfw250.zip") as lfw:
        names = [name for name in sorted(lfw.namelist()) if name.endswith(".jpg")]
        photos = Counter(name.split("/")[-2] for name in names)
        people = [person for person, count in photos.items() if 10 <= count <= 12][:8]
        chosen = [name for name in names if name.split("/")[-2] in people]
        entries = {"/".join(name.split("/")[-2:]): lfw.read(name) for name in chosen}
    file = zipped(tmp_path_factory.mktemp("photographed") / "us.zip", entries)
    pool = from_photos(file, live_teach.MOST, live_teach.PHOTOS)
    assert len(pool.data.identities) == 8 and len(pool.data) >= 0.98 * len(entries)
    return pool


@pytest.mark.parametrize("upto", ["neck", None])
def test_photographs_of_real_people_are_taught_from_a_zip(photographed, upto):
    pool = photographed
    recipe = lesson_recipe("resnet_softmax", upto, pool, 0)
    seconds = 10 * transfer_live.TEACH_SECONDS  # a busy machine is no failure
    *_, last = Training(recipe, pool, seconds, line=TrainingQueue()).follow()
    assert last.state == "finished", last.message
    right = last.figures[-1][1]["top_1"]
    assert right > 0.5 > chance_bound_95(pool) + 0.2, f"{right:.0%} of the photos held back"
    assert "✔ Above chance" in transfer_live.teach_card(last, 8, chance_bound_95(pool))


def test_no_better_than_guessing_is_said():
    result = Result(None, None, checkpoint.Header(Recipe(), 3, "d"))
    snapshot = Snapshot(
        "finished", losses=(1.0,), accuracies=(0.3,), figures=((9, {"top_1": 0.5}),), result=result
    )
    assert "✖ Not significantly above chance" in transfer_live.teach_card(
        snapshot, 3, chance_bound_95(colored())
    )


def test_what_is_missing_is_said_in_one_sentence(tiny_run):
    assert transfer_live.NO_NETWORK in transfer_live.on_name(None, None)
    assert transfer_live.on_held_back(None, None, 3) == [cards.hint(transfer_live.NO_NETWORK), 3]
    assert transfer_live.NO_PHOTO in transfer_live.on_name(Result(*tiny_run), None)
    request = type("Request", (), {"session_hash": "s"})()
    (frame,) = transfer_live.on_teach(request, "", None, "no such model", "frozen", "stage3", 0)
    assert "there is no model" in frame[0] and 'role="alert"' in frame[0]
