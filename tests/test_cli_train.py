"""`python -m facelab train`: any field is a flag, the result is a checkpoint of it."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import one_sentence, refused
from PIL import Image
from safetensors import SafetensorError

from facelab import checkpoint, cli_train
from facelab.cli import main
from facelab.data.parametric import ParametricFaces
from facelab.recipe import Recipe
from facelab.recipes import find_recipe

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
        (["mine.toml"], "No such file or directory: mine.toml"),
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
    assert "a stopped run: --resume goes on with it" in words
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
    assert "is there already, a checkpoint" in refused(
        capsys, "train", "resnet_softmax", *SMALL, "--out", out
    )
    wild = [*SMALL, "--out", str(out), "--overwrite", "--lr", "1e12", "--clip", "0", "--warmup", "0"]
    assert "became NaN or infinite" in refused(capsys, "train", "resnet_softmax", *wild)
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
    words = capsys.readouterr().err
    assert (
        one_sentence(words) and "mine.safetensors could not be written" in words and "No space left" in words
    )
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
        ("c.toml", "loss = ", "is no valid toml file"),
        ("d.json", '{"epochs": "ten"}', "epochs is 'ten'; it must be of type int"),
    ):
        (tmp_path / name).write_text(text)
        assert words in refused(capsys, "train", tmp_path / name, "--out", tmp_path / "x.safetensors")


def test_progress_is_logged_with_tensorboard(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "mine.safetensors"
    assert main(["train", "resnet_softmax", *SMALL, "--out", str(out), "--log", "tensorboard"]) == 0
    (log,) = (tmp_path / "logs" / "mine").glob("events.*")
    reader = events.EventAccumulator(str(log))
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in reader.Scalars("eer")] == [2, 4]
