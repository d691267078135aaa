"""`python -m facelab train`: any field is a flag, the result is a checkpoint of it."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError

from facelab.cli import train as cli_train
from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.models.recipes import find_recipe
from tests.conftest import one_sentence, refused

pytestmark = pytest.mark.usefixtures("own_cache_and_models")


@pytest.fixture
def training_crops(tmp_path) -> Path:
    crops, labels = ParametricFaces(6, 4, seed=2).rows(torch.arange(24))
    for i, (crop, label) in enumerate(zip(np.asarray(crops), np.asarray(labels))):
        (tmp_path / "people" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "people" / str(label) / f"{i}.png")
    return tmp_path / "people"


def test_train_takes_any_field_and_writes_a_checkpoint_of_it(capsys, training_crops, tmp_path):
    out = tmp_path / "mine.safetensors"
    fields = ["--epochs", "2", "--batch-size", "8", "--embedding-dim", "8", "--neck", "pool", "--seed", "3",
              "--held-out", "0.34", "--precision", "fp32"]  # fmt: skip
    argv = ["train", "resnet_softmax", *fields, "--data", str(training_crops), "--out", str(out), "--json"]
    assert main(argv) == 0
    printed, err = capsys.readouterr()
    epochs = [json.loads(line) for line in printed.splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert all({"loss", "accuracy", "eer", "auc"} <= set(epoch) for epoch in epochs)
    header = checkpoint.describe(out)
    recipe = header.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.embedding_dim, recipe.neck, recipe.seed) == (
        2,
        8,
        8,
        "pool",
        3,
    )
    assert header.num_classes == 4 and header.data == "people: 4 identities, 16 crops"
    assert header.metrics["held_out"]["eer"] == pytest.approx(epochs[-1]["eer"])
    assert "no thresholds were set: 12 genuine and 16 impostor pairs are too few" in err
    assert err.endswith(f"wrote {out}\n")


def test_without_data_it_trains_on_rendered_faces_and_says_so(tmp_path):
    out = tmp_path / "mine.safetensors"
    drawn = ["--identities", "6", "--per-identity", "4", "--held-out", "0.34"]
    fields = ["--epochs", "1", "--batch-size", "8", "--embedding-dim", "8", "--precision", "fp32"]
    assert main(["train", "resnet_softmax", *drawn, *fields, "--out", str(out)]) == 0
    assert checkpoint.describe(out).data == "rendered faces: 4 identities, 16 crops"


def test_json_of_a_loss_without_accuracy_is_still_json(capsys):
    progress = SimpleNamespace(epoch=1, loss=0.5, parts={}, accuracy=float("nan"), validation={"eer": 0.5})
    cli_train._report_epoch(progress, True)
    assert json.loads(capsys.readouterr().out) == {"epoch": 1, "loss": 0.5, "accuracy": None, "eer": 0.5}


def test_train_refuses_what_it_cannot_do(capsys, training_crops, tmp_path):
    out = ["--out", tmp_path / "a.safetensors"]
    for argv, words in (
        (["resnet_softmx"], "unknown recipe 'resnet_softmx': did you mean resnet_softmax?"),
        (["resnet_softmax"], "Missing from python -m facelab train resnet_softmax: --out"),
        (["resnet_softmax", "--out", "a.pt", "--data", training_crops], "it must end in .safetensors"),
        (["resnet_softmax", *out, "--identities", "0"], "identities is 0; legal values are 1 or more"),
        (["resnet_softmax", *out, "--data", tmp_path / "none"], "does not exist; give a folder or a zip"),
        (["resnet_softmax", *out, "--data", training_crops, "--epochs", "0"], "epochs is 0; it must lie in"),
        (["resnet_softmax", *out, "--data", training_crops, "--epochs", "few"], "--epochs"),
        (["resnet_softmax", *out, "--data", training_crops, "--held-out", "0.9"], "too few to hold out"),
        (["resnet_softmax", *out, "--resume"], "there is nothing to resume"),
        (["resnet_softmax", *out, "--log", "trackio"], "trackio is not installed; `pip install trackio`"),
        (["mine.toml"], "mine.toml is not a file"),
        (
            ["resnet_softmax", *out, "--data", training_crops, "--backbone", "resnet81"],
            "did you mean resnet18?",
        ),
    ):
        assert words in refused(capsys, "train", *argv)
    assert not (tmp_path / "a.safetensors").exists()


SMALL = [
    "--identities",
    "6",
    "--per-identity",
    "4",
    "--held-out",
    "0.34",
    "--epochs",
    "2",
    "--batch-size",
    "8",
]
SMALL += ["--embedding-dim", "8", "--precision", "fp32"]


def stopped(monkeypatch, steps: int, *argv: str) -> None:
    """Run the command, with its state saved after every step, and stop it after some."""
    monkeypatch.setattr(cli_train, "SAVE_SECONDS", 0)
    whole = cli_train.train_recipe

    def cut(*args):
        yield from itertools.islice(whole(*args), steps)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli_train, "train_recipe", cut)
        assert main(["train", "resnet_softmax", *argv]) == 130


def test_a_stopped_run_resumes_to_the_same_checkpoint(capsys, monkeypatch, tmp_path):
    whole, pieces = tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(whole)]) == 0
    stopped(monkeypatch, 3, *SMALL, "--out", str(pieces))
    assert (tmp_path / "pieces.run.safetensors").is_file()
    capsys.readouterr()
    words = refused(capsys, "train", "resnet_softmax", *SMALL, "--out", pieces)
    assert "a stopped run: --resume continues it" in words
    words = refused(capsys, "train", "resnet_softmax", *SMALL, "--out", pieces, "--resume", "--lr", "0.01")
    assert "was begun with lr 0.15, not 0.01" in words
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(pieces), "--resume"]) == 0
    capsys.readouterr()
    (one, tensors), (other, again) = checkpoint.read(whole), checkpoint.read(pieces)
    assert one == other and all(torch.equal(value, again[key]) for key, value in tensors.items())
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [pieces.name, whole.name]
    assert "nothing to resume: " in refused(
        capsys, "train", "resnet_softmax", *SMALL, "--out", pieces, "--resume"
    )


def test_nothing_good_is_overwritten(capsys, tmp_path, monkeypatch):
    out = tmp_path / "mine.safetensors"
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out)]) == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert "already exists, a checkpoint" in refused(capsys, "train", "resnet_softmax", *SMALL, "--out", out)
    wild = [*SMALL, "--out", str(out), "--overwrite", "--lr", "1e12", "--clip", "0", "--warmup", "0"]
    assert "became NaN or infinite" in refused(capsys, "train", "resnet_softmax", *wild, begun=True)
    assert out.read_bytes() == before
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out), "--overwrite", "--seed", "1"]) == 0
    assert checkpoint.describe(out).recipe.seed == 1


def test_a_full_disk_ends_in_one_sentence_and_loses_nothing(capsys, tmp_path, monkeypatch):
    out = tmp_path / "mine.safetensors"
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out)]) == 0
    before = out.read_bytes()

    def full(*args: object, **named: object) -> None:
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    capsys.readouterr()
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out), "--overwrite"]) == 2
    device, words = capsys.readouterr().err.split("\n", 1)
    assert device.startswith("device: ") and one_sentence(words)
    assert "mine.safetensors could not be written" in words and "No space left" in words
    assert out.read_bytes() == before


def test_a_recipe_comes_from_a_file_or_a_checkpoint(capsys, tmp_path, tiny_checkpoint):
    recipe = Recipe(loss="arcface", margin=0.3, milestones=(0.2, 0.4), schedule="step")
    (tmp_path / "mine.json").write_text(json.dumps(recipe.to_dict()))
    assert find_recipe(str(tmp_path / "mine.json")) == recipe
    (tmp_path / "mine.toml").write_text(
        'loss = "arcface"\nmargin = 0.3\nmilestones = [0.2, 0.4]\nschedule = "step"'
    )
    assert find_recipe(str(tmp_path / "mine.toml")) == recipe
    assert find_recipe(str(tiny_checkpoint)) == checkpoint.describe(tiny_checkpoint).recipe
    for name, text, words in (
        ("a.json", '{"lerning_rate": 1}', "unknown recipe field 'lerning_rate'"),
        ("b.json", "[1]", "holds no fields"),
        ("c.toml", "loss = ", "is not a valid toml file"),
        ("d.json", '{"epochs": "ten"}', "epochs is 'ten'; it must be of type int"),
    ):
        (tmp_path / name).write_text(text)
        assert words in refused(capsys, "train", tmp_path / name, "--out", tmp_path / "x.safetensors")


BAD_FIELDS = {
    "milestones": (0.5, None, ["x"], [True], [[0.5]], [float("nan")], [0.5, 2], {"a": 1}, "0.5"),
    "seed": (-1, 1.5, "0", None, 2**63, float("nan")),
    "split_seed": (-1,),
    "batch_size": (1, 0, -4, 2.5, None, "many"),
    "epochs": (0, 1.5, True, [1]),
    "lr": (float("nan"), float("inf"), -1, "fast", None),
    "margin": (float("nan"), float("inf"), "wide"),
    "scale": (float("inf"),),
    "flip": (1, "yes", None),
    "backbone": (None, ["resnet_face"], {}, "resnet81"),
    "loss": (None, 3, "arcfaces"),
    "optimizer": (None, ["sgd"], "sdg"),
    "schedule": (0,),
    "init_from": (3, ["a"]),
    "learning_rate": (0.1,),
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD_FIELDS.items() for v in values])
def test_a_wrong_field_of_a_recipe_file_is_answered_in_one_sentence(field, value, capsys, tmp_path):
    loss = {} if field == "loss" else {"loss": "arcface"}
    (tmp_path / "mine.json").write_text(json.dumps(loss | {field: value}))
    words = refused(capsys, "train", tmp_path / "mine.json", "--out", tmp_path / "x.safetensors")
    assert field in words and "mine.json" in words and len(words) < 900


BAD_FILES = {
    "empty.json": b"",
    "cut.json": b'{"epochs": 3',
    "list.toml.json": b"[]",
    "null.json": b"null",
    "deep.json": b"[" * 100_000,
    "binary.json": b"\x80\x02}q\x00.",
    "latin.toml": 'loss = "softmax" # caf\xe9'.encode("latin-1"),
    "broken.toml": b"epochs = ",
    "dates.toml": b"epochs = 2026-01-01",
    "table.toml": b"[epochs]\nx = 1",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_recipe_file_is_answered_in_one_sentence(name, capsys, tmp_path):
    (tmp_path / name).write_bytes(BAD_FILES[name])
    words = refused(capsys, "train", tmp_path / name, "--out", tmp_path / "x.safetensors")
    assert name in words and "Error" not in words


def test_a_recipe_file_that_is_not_there_is_answered_in_one_sentence(capsys, tmp_path):
    (tmp_path / "folder.json").mkdir()
    for name in ("missing.json", "missing.toml", "folder.json"):
        words = refused(capsys, "train", tmp_path / name, "--out", tmp_path / "x.safetensors")
        assert f"{name} is not a file; give a recipe's file, or one of: resnet_softmax" in words


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_recipe_file_of_a_windows_editor_is_read(encoding, tmp_path):
    (tmp_path / "mine.json").write_bytes('{"epochs": 3}'.encode(encoding))
    assert find_recipe(str(tmp_path / "mine.json")).epochs == 3


@pytest.fixture
def parsed(monkeypatch) -> list[cli_train.Train]:
    """The commands that `train` would run."""
    commands: list[cli_train.Train] = []
    monkeypatch.setattr(cli_train, "_train", commands.append)
    return commands


@pytest.mark.parametrize("flag", [["--loss", "arcface"], ["--loss=arcface"]])
def test_another_loss_leaves_out_what_it_does_not_take_and_says_so(flag, capsys, parsed):
    """The README's own flags, on a recipe that smooths labels."""
    flags = ["--backbone", "convnext_face", *flag, "--margin-warmup", "500", "--out", "x.safetensors"]
    assert main(["train", "resnet_softmax", *flags]) == 0
    recipe = parsed[0].recipe
    assert (recipe.loss, recipe.label_smoothing, recipe.margin_warmup) == ("arcface", None, 500)
    assert recipe.dropout == find_recipe("resnet_softmax").dropout
    assert capsys.readouterr().err == "arcface takes no label_smoothing; resnet_softmax's 0.1 is left out\n"


def test_the_loss_that_a_recipe_has_keeps_its_fields(capsys, parsed):
    assert main(["train", "resnet_softmax", "--loss", "softmax", "--out", "x.safetensors"]) == 0
    assert parsed[0].recipe == find_recipe("resnet_softmax") and not capsys.readouterr().err


def test_what_is_asked_for_and_not_taken_is_refused(capsys, parsed):
    flags = ["--loss", "arcface", "--label-smoothing", "0.1", "--out", "x.safetensors"]
    assert "loss 'arcface' takes no label_smoothing" in refused(capsys, "train", "resnet_softmax", *flags)
    assert "unknown loss 'arcfaec'" in refused(capsys, "train", "softmax", "--loss", "arcfaec", "--out", "x")
    assert not parsed


@pytest.mark.parametrize(("flag", "words"), [("1", "batch_size is 1"), ("0", "batch_size is 0")])
def test_batches_of_one_are_refused_by_flag_too(flag, words, capsys, parsed):
    assert words in refused(capsys, "train", "softmax", "--batch-size", flag, "--out", "x.safetensors")


def crops_of(tmp_path: Path, counts: list[int]) -> str:
    """A folder of random crops, so many of each person."""
    rng = np.random.default_rng(0)
    for person, count in enumerate(counts):
        (tmp_path / "few" / f"p{person}").mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "few" / f"p{person}" / f"{i}.png")
    return str(tmp_path / "few")


@pytest.mark.parametrize(
    ("counts", "flags", "words"),
    [
        ([3], ["--held-out", "0"], "there is one identity to train on; add others"),
        (
            [1] * 6,
            ["--loss", "triplet", "--held-out", "0"],
            "no identity has two crops, so triplet has no pair",
        ),
        ([1] * 6, ["--loss", "softmax+triplet", "--held-out", "0"], "no identity has two crops"),
        ([2] + [1] * 40, ["--loss", "triplet", "--held-out", "0", "--batch-size", "2"], "no batch holds two"),
    ],
)
def test_data_that_teach_a_loss_nothing_are_refused(counts, flags, words, capsys, tmp_path):
    out = tmp_path / "x.safetensors"
    data = crops_of(tmp_path, counts)
    assert words in refused(capsys, "train", "softmax", "--data", data, *flags, "--out", out)
    assert not out.exists()


def test_progress_is_logged_with_tensorboard(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "mine.safetensors"
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out), "--log", "tensorboard"]) == 0
    (log,) = (tmp_path / "logs" / "mine").glob("events.*")
    reader = events.EventAccumulator(str(log))
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in reader.Scalars("eer")] == [2, 4]
