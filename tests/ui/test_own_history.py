"""The training doctor on the page: where a run ends, and for a run that a visitor brings."""

import csv
from dataclasses import replace

import pytest

from facelab.evaluation.run_log import settings_of
from facelab.lessons.live.course import Result, Snapshot
from facelab.models import checkpoint
from facelab.ui.own import history, models
from facelab.ui.train import tab as train
from facelab.ui.transfer.live import teach_card
from facelab.ui.widgets.doctor import SILENT, header_card
from tests.evaluation.test_doctor import run

UNKNOWN = ("", None, None, None, False)


@pytest.fixture
def write(tmp_path):
    """write(run's name, file's name) -> path of an upload with the curves of that planted run."""

    def upload(name, title="log.csv"):
        place = tmp_path / "upload"
        place.mkdir(exist_ok=True)
        rows = run(name)[2]
        titles = list(dict.fromkeys(key for row in rows for key in row))
        with open(place / title, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, titles)
            table.writeheader()
            table.writerows(rows)
        return str(place / title)

    return upload


def test_a_log_is_read_deleted_and_judged_again_when_its_settings_are_stated(write, tmp_path):
    log, card, emptied = history.on_log(write("margin_from_scratch"), *UNKNOWN)
    assert "does not start" not in card and emptied is None and not list(tmp_path.iterdir())
    card = history.on_stated(log, "arcface", 16, 0.5, 64, False)
    assert "arcface does not start" in card and "scale 64 and margin 0.5" in card and "Remedy:" in card
    assert "does not start" not in history.on_stated(log, "arcface", 16, 0.5, 64, True)
    log, *_ = history.on_log(write("collapse"), *UNKNOWN)
    margin = settings_of(*run("collapse")[:2]).pair_margin
    assert "embeddings collapse" in history.on_stated(log, "triplet", 16, margin, None, False)
    assert SILENT in history.on_log(write("healthy_softmax"), *UNKNOWN)[1]
    for classes in (1, 10**400):
        assert 'role="alert"' in history.on_stated(log, "", classes, None, None, False)
    assert history.NOTHING in history.on_stated(None, *UNKNOWN)


def test_a_file_that_is_no_history_gets_one_sentence_and_is_deleted(write, tmp_path, monkeypatch):
    place = tmp_path / "upload"
    for name in ("a.csv", "a.safetensors", "a.jsonl", "events.out.tfevents.1"):
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(b"<b>junk</b>\n" * 9)
        log, card, _ = history.on_log(str(place / name), *UNKNOWN)
        assert 'role="alert"' in card and "<b>junk" not in card and str(tmp_path) not in card
        assert not place.exists() and not isinstance(log, history.RunLog)
    monkeypatch.setattr(history, "hosted", lambda: True)
    monkeypatch.setattr(history, "LARGEST_HOSTED", 1 << 10)
    assert "log one row an epoch" in history.on_log(write("uniform"), *UNKNOWN)[1]


def test_a_checkpoint_has_its_own_settings(tiny_run, tmp_path):
    model, loss_fn, header = tiny_run
    kept = replace(header, history=tuple(run("norm_shrinkage")[2]), metrics={})
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, model, loss_fn, kept)
    assert "embeddings shrink" in models.model_card(models.brought(str(path)))
    path.rename(tmp_path / "upload.safetensors")
    log, card, _ = history.on_log(str(tmp_path / "upload.safetensors"), "triplet", 5, 1.0, None, False)
    assert "embeddings shrink" in card and history.on_stated(log, *UNKNOWN) == card
    assert header_card(replace(header, history=())) == ""


def test_the_doctor_speaks_where_a_run_ends(tiny_run):
    model, loss_fn, header = tiny_run
    ill = replace(header, history=tuple(run("norm_shrinkage")[2]))
    end = Snapshot("finished", step=2, steps=2, losses=(1.0,) * 2, accuracies=(0.4,) * 2,
                   figures=((2, {"top_1": 0.5}),), result=Result(model, loss_fn, ill))  # fmt: skip
    training = replace(end, state="training", result=None)
    first, last = train.frames(iter([training, end]), ("a", "b", "c"), ())
    assert "embeddings shrink" not in first[0] and "embeddings shrink" in last[0]
    assert "embeddings shrink" in teach_card(end, 4, 0.3)
