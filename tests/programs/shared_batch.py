"""Train with a few losses for 20 steps; the first process prints every loss, the final figures and weights
as JSON. Words, if there are any, are a command that is run then, and once more with an odd batch size.

Run alone or under `torchrun --nproc_per_node 2`; the global batch is the same. Numbers are float64: training
doubles float32's rounding errors every few steps, so that no comparison in float32 can tell them from a
mistake."""

import json
import sys
from dataclasses import replace

import torch
from accelerate import PartialState
from torch import Tensor, nn

from facelab.cli.main import main as command
from facelab.data.parametric import ParametricFaces
from facelab.models.losses import build_loss
from facelab.models.recipe import Recipe
from facelab.training import loop as engine

RECIPE = Recipe(
    epochs=4, batch_size=16, images_per_identity=4, embedding_dim=16, held_out=0.2, precision="fp32",
    lr=0.05, ema_decay=0.9,
)  # fmt: skip
LOSSES = ("softmax", "arcface", "triplet", "center", "online_label_smoothing")


class Double(nn.Module):
    """A network of every kind of layer that a batch passes through, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 7, 4), nn.BatchNorm2d(8), nn.PReLU(8),
            nn.Conv2d(8, 16, 3, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        )  # fmt: skip
        self.neck = nn.Sequential(nn.Flatten(), nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.backbone(x.double()))


def main(words: list[str]) -> None:
    torch.set_num_threads(1)
    kept = engine.build_model, engine.build_loss
    out = measured()
    engine.build_model, engine.build_loss = kept
    if PartialState().is_main_process:
        print(json.dumps(out), flush=True)
    if words:
        assert command(words) == 0
        assert command([*words, "--overwrite", "--batch-size", "9"]) == 2


def measured() -> dict[str, dict[str, object]]:
    engine.build_model = lambda recipe: Double()
    engine.build_loss = lambda *options: build_loss(*options).double()
    data = ParametricFaces(10, 10, seed=1).crop_set()
    out = {}
    for loss in LOSSES:
        run = list(engine.train(replace(RECIPE, loss=loss), data))
        state = [*run[-1].model.state_dict().values(), *run[-1].loss_fn.state_dict().values()]
        weights = [float(value.double().abs().sum()) for value in state]
        out[loss] = {"losses": [p.loss for p in run], "figures": run[-1].validation, "weights": weights}
    return out


if __name__ == "__main__":
    main(sys.argv[1:])
