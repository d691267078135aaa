"""What docs/architecture.md says under "How to add", performed: backbone, loss, tab, list, data set."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import facelab
from facelab import ui
from facelab.cli.data import DATA
from facelab.cli.main import main
from facelab.data import pairs
from facelab.data.folders import CropSet, load_crops
from facelab.data.parametric import ParametricFaces
from facelab.lessons import family_tree
from facelab.lessons.live import settings
from facelab.models import checkpoint
from facelab.models.backbones import Architecture
from facelab.models.losses import Loss
from facelab.models.recipe import Recipe
from facelab.training.loop import train
from tests.conftest import TINY

DOCUMENT = (Path(__file__).parent.parent / "docs/architecture.md").read_text()


@pytest.fixture(scope="module")
def data() -> CropSet:
    crops, labels = ParametricFaces(4, 4, seed=3).rows(torch.arange(16))
    return CropSet(np.asarray(crops), np.asarray(labels, np.int64), tuple("abcd"), tuple(map(str, range(16))))


def trained_and_read(recipe: Recipe, data: CropSet, folder: Path) -> tuple[nn.Module, nn.Module]:
    """Train an epoch, write the checkpoint and read it -> the network and the loss."""
    *_, last = train(recipe, data)
    header = checkpoint.Header(recipe, 4, "rendered faces")
    checkpoint.save(folder / "new.safetensors", last.model, last.loss_fn, header)
    model, loss_fn, read = checkpoint.load(folder / "new.safetensors")
    assert read.recipe == recipe
    return model, loss_fn


def patch_block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 16, 16, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


def patch_face() -> nn.Sequential:
    stages = {"stem": patch_block(16), "stage1": nn.Sequential(nn.Conv2d(16, 16, 1), nn.ReLU())}
    return nn.Sequential(OrderedDict(stages))


def test_a_backbone_is_a_function_and_a_row(monkeypatch, data, tmp_path):
    row = Architecture(
        patch_face, "Patches", 2021, "https://example.org/patches", "Cut the picture into patches.",
        patch_block, "resnet_face", "One convolution as large as its stride.",
    )  # fmt: skip
    monkeypatch.setitem(facelab.BACKBONES, "patch_face", row)
    family_tree.papers.cache_clear()
    try:
        assert facelab.build_backbone("patch_face")(torch.zeros(1, 3, 112, 112)).shape == (1, 16, 7, 7)
        assert family_tree.papers()["Patches"].parent == "ResNet"
        assert family_tree.measure_cost("patch_face").shape == (16, 7, 7)
        assert settings.networks()["patch_face"] == "Patches, 2021"
        with pytest.raises(ValueError, match="did you mean patch_face"):
            Recipe(backbone="path_face")
        model, _ = trained_and_read(replace(TINY, backbone="patch_face"), data, tmp_path)
        assert [name for name, _ in model.backbone.named_children()] == ["stem", "stage1"]
    finally:
        family_tree.papers.cache_clear()


class Hinge(nn.Module):
    """The score of the true class beats every other by a margin (Crammer and Singer 2001)."""

    def __init__(self, embedding_dim: int, num_classes: int, margin: float = 1.0) -> None:
        super().__init__()
        self.linear, self.margin = nn.Linear(embedding_dim, num_classes, bias=False), margin

    def logits(self, embeddings: Tensor) -> Tensor:
        return self.linear(embeddings)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.multi_margin_loss(self.logits(embeddings), labels, margin=self.margin)


def test_a_loss_is_a_module_and_a_row(monkeypatch, data, tmp_path):
    row = Loss(Hinge, "classification", 2001, "https://example.org/hinge", "Win by a margin.")
    monkeypatch.setitem(facelab.LOSSES, "hinge", row)
    assert facelab.build_loss("hinge", 16, 4, {"margin": 2.0}).margin == 2.0
    with pytest.raises(ValueError, match="loss 'hinge' takes no scale"):
        replace(TINY, loss="hinge", scale=2.0)
    _, loss_fn = trained_and_read(replace(TINY, loss="hinge", margin=0.5), data, tmp_path)
    assert isinstance(loss_fn, Hinge) and loss_fn.margin == 0.5
    assert settings.losses()["hinge"] == "Win by a margin."


def test_a_tab_is_a_module_and_its_name_in_the_list(monkeypatch):
    class Tab:
        TITLE = "Own Tab"

        @staticmethod
        def build() -> dict[str, gr.components.Component]:
            return {"own": gr.Slider(0, 1, 0.5, label="An own slider")}

    monkeypatch.setattr(ui, "TABS", (Tab,))
    blocks = ui.build_app().blocks.values()
    assert [block.id for block in blocks if isinstance(block, gr.Tab)] == ["own-tab"]
    assert "An own slider" in [getattr(block, "label", None) for block in blocks]


def test_a_form_of_pairs_list_is_a_function_and_how_its_first_line_looks(monkeypatch, tmp_path):
    def read(name: str, rows: list) -> pairs.Pairs:
        first, second = zip(*(row for _, row in rows[1:]))
        return pairs.Pairs(first, second, np.ones(len(first), bool), np.zeros(len(first), int))

    monkeypatch.setattr(pairs, "FORMS", [(lambda fields: fields[0] == "GENUINE", read), *pairs.FORMS])
    (tmp_path / "new.txt").write_text("GENUINE only\na.jpg b.jpg\nc.jpg d.jpg\n")
    assert pairs.read_pairs(tmp_path / "new.txt").second == ("b.jpg", "d.jpg")
    (tmp_path / "plain.txt").write_text("a.jpg b.jpg 1\nc.jpg d.jpg 0\n")
    assert pairs.read_pairs(tmp_path / "plain.txt").same.tolist() == [True, False]


def test_a_data_set_to_fetch_is_a_function_and_a_command(monkeypatch, tmp_path, capsys, data):
    def own(out: str) -> None:
        """Write a data set of four people."""
        for crop, label, name in zip(data.crops, data.labels, data.names):
            folder = Path(out) / data.identities[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(crop).save(folder / f"{name}.png")

    monkeypatch.setitem(DATA, "own", own)
    assert main(["data"]) == 0
    assert "own         Write a data set of four people." in capsys.readouterr().out
    assert main(["data", "own", "--out", str(tmp_path / "own")]) == 0
    assert load_crops([tmp_path / "own"]).identities == ("own/a", "own/b", "own/c", "own/d")


@pytest.mark.parametrize("place", ["BACKBONES", "LOSSES", "LOSS_FIELDS", "TABS", "FORMS", "DATA"])
def test_the_document_names_the_tables(place):
    assert f"`{place}`" in DOCUMENT.partition("## How to add")[2]
