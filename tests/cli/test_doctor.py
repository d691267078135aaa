"""`python -m facelab doctor`: from a checkpoint, from logs of other programs, and what it refuses."""

import csv
import json
import math

import numpy as np
import pytest

from facelab.cli.main import main
from facelab.models import checkpoint
from tests.conftest import one_sentence

SHORT = [
    "--neck",
    "pool",
    "--embedding-dim",
    "16",
    "--batch-size",
    "8",
    "--precision",
    "fp32",
    "--epochs",
    "8",
]
DATA = ["--identities", "6", "--per-identity", "4", "--held-out", "0"]


def found(capsys, *argv: object) -> list[str]:
    assert main(["doctor", *map(str, argv), "--json"]) == 0
    return [finding["name"] for finding in json.loads(capsys.readouterr().out)["findings"]]


def log(path, **columns) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return str(path)


def test_a_checkpoint_carries_the_history_of_its_training(tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    assert main(["train", "softmax", *SHORT, *DATA, "--out", str(out), "--held-out-images", "0", "--backbone",
                 "alexnet_face"]) == 0  # fmt: skip
    history = checkpoint.describe(out).history
    assert [row["step"] for row in history] == [*range(1, 25)] and {row["epoch"] for row in history} == {
        *range(1, 9)
    }
    assert all({"loss", "accuracy", "norm", "lr"} <= set(row) for row in history)
    capsys.readouterr()
    assert main(["doctor", str(out)]) == 0
    said = capsys.readouterr().out
    assert "loss (24 points)" in said and "Nothing was validated" in said
    assert (
        "After 24 steps training accuracy is" in said
        and "remedy: Hold out identities (held_out 0.08)" in said
    )
    assert main(["doctor", str(out), "--classes", "6"]) == 2
    err = capsys.readouterr().err
    assert one_sentence(err) and "a checkpoint holds its own settings" in err


def test_logs_of_other_programs_are_understood(tmp_path, capsys):
    """The titles of Keras, fastai, Lightning, Hugging Face and the course's notebook."""
    epochs = np.arange(1, 13)
    falling, rising = 3 * np.exp(-epochs / 4), 1 - np.exp(-epochs / 4)
    up = np.r_[np.linspace(2, 1, 4), np.linspace(1.1, 2.4, 8)]  # of the held-out loss
    titles = {
        "keras": ("loss", "accuracy", "val_loss", "val_accuracy"),
        "fastai": ("train_loss", None, "valid_loss", "accuracy"),
        "lightning": ("train_loss_epoch", "train_acc", "val_loss", "val_acc"),
        "trainer": ("loss", None, "eval_loss", "eval_accuracy"),
        "course": ("train_loss", "train_cls_acc", "valid_loss", "valid_cls_acc"),
    }
    for program, names in titles.items():
        columns = dict(zip(names, (falling, 100 * rising, up, 100 * rising * 0.8)))
        columns.pop(None, None)
        path = log(tmp_path / f"{program}.csv", epoch=epochs, **columns)
        assert main(["doctor", path, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert {"loss", "val_loss", "val_accuracy"} <= set(report["points"]), program
        assert ("accuracy" in report["points"]) == (names[1] is not None), program
        assert [f["name"] for f in report["findings"]] == ["overfitting"], program
        assert "rose from 1" in report["findings"][0]["saw"] and "step 4" in report["findings"][0]["saw"]


def test_what_a_log_cannot_hold_is_stated(tmp_path, capsys):
    steps = np.arange(60)
    noise = np.random.default_rng(0).normal(0, 0.01, 60)
    margin = log(tmp_path / "a.csv", step=steps, loss=40 + noise, train_acc=0 * steps, val_acc=0 * steps)
    assert found(capsys, margin, "--loss", "arcface", "--scale", 64, "--classes", 500) == [
        "margin_from_scratch"
    ]
    assert found(capsys, margin, "--loss", "arcface", "--scale", 64, "--pretrained") == []
    triplet = log(tmp_path / "b.csv", step=steps, loss=0.3 + noise / 10, eer=0.48 + noise)
    assert found(capsys, triplet, "--loss", "triplet", "--pair-margin", 0.3) == ["collapse"]
    assert found(capsys, triplet, "--loss", "triplet", "--pair-margin", 0.5) == []
    guess = log(
        tmp_path / "c.csv", step=steps, loss=math.log(700) + noise / 10, val_loss=math.log(700) + noise
    )
    assert found(capsys, guess, "--classes", 700) == ["uniform"]
    assert found(capsys, guess, "--classes", 7000) == found(capsys, guess) == []


def test_a_loss_that_is_no_number_is_dated(tmp_path, capsys):
    loss = [2.0, 2.5, 8.25, "nan", "nan", "inf", "nan"]
    path = log(tmp_path / "a.csv", step=range(0, 70, 10), loss=loss, lr=[0.5] * 7, val_loss=loss)
    assert main(["doctor", path]) == 0
    said = capsys.readouterr().out
    assert "nan from step 30 on; the last finite loss was 8.25, at a peak learning rate of 0.5." in said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["tiny"], "holds no history"),
        (["a.csv"], "holds no loss and no accuracy by its titles: speed"),
        (["a.csv", "--loss", "softmaxx"], "unknown loss 'softmaxx'"),
        (["a.csv", "--classes", "1"], "--classes is 1"),
        (["nowhere.csv"], "does not exist"),
    ],
)
def test_what_cannot_be_judged_gets_one_sentence(argv, words, tiny_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    log(tmp_path / "a.csv", speed=range(20))
    assert main(["doctor", *(str(tiny_checkpoint) if word == "tiny" else word for word in argv)]) == 2
    err = capsys.readouterr().err
    assert one_sentence(err) and words in err
