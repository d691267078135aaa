"""`python -m facelab train`: any field is a flag, the result is a checkpoint of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image

from facelab import checkpoint, cli_train
from facelab.cli import main
from facelab.data.parametric import ParametricFaces

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
    progress = SimpleNamespace(epoch=1, loss=0.5, accuracy=float("nan"), validation={"eer": 0.5})
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
        (
            ["resnet_softmax", *out, "--data", training_crops, "--backbone", "resnet81"],
            "did you mean resnet18?",
        ),
    ):
        assert words in refused(capsys, "train", *argv)
    assert not (tmp_path / "a.safetensors").exists()
