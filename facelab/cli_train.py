"""`python -m facelab train`: a recipe's fields as flags, its epochs as lines, its result as a checkpoint."""

import json as jsonlib
import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro
from tqdm import tqdm

from facelab import checkpoint
from facelab.data.folders import CropSet, load_crops, split_identities
from facelab.data.parametric import ParametricFaces
from facelab.evaluate import held_out_points
from facelab.recipe import Recipe
from facelab.recipes import RECIPES
from facelab.registry import nearest
from facelab.terminal import CACHE, parse, track
from facelab.train import Progress
from facelab.train import train as train_recipe


@dataclass(frozen=True)
class Train:
    """Train a recipe; any of its fields can be set by name."""

    out: str
    """Checkpoint to write (.safetensors)."""
    data: tuple[str, ...] = ()
    """Folders or zips of aligned 112x112 crops, one folder per identity; rendered faces if left out."""
    identities: int = 200
    """How many people to render where --data is left out."""
    per_identity: int = 30
    """How many faces to render of each."""
    recipe: tyro.conf.OmitArgPrefixes[Recipe] = field(default_factory=Recipe)
    json: bool = False
    """Print one JSON object an epoch."""


def train(argv: list[str]) -> None:
    """Train a recipe on folders or zips of aligned crops, or on rendered faces.

    The first word names the recipe; every field of it is a flag of its own, e.g.
    `train resnet_softmax --epochs 8 --data crops.zip --out my.safetensors`.
    """
    if not argv or argv[0].startswith("-"):
        print("usage: python -m facelab train RECIPE [--data PATH...] --out FILE [--FIELD VALUE ...]\n")
        print("recipes:")
        for name, recipe in RECIPES.items():
            print(f"  {name:<20}{recipe.backbone}, {recipe.loss}, {recipe.epochs} epochs")
        print("\n`train RECIPE --help` shows every field with its value.")
        return
    if argv[0] not in RECIPES:
        raise ValueError(f"unknown recipe {argv[0]!r}: {nearest(argv[0], RECIPES)}")
    default = Train(out=tyro.MISSING, recipe=RECIPES[argv[0]])
    _train(parse(Train, argv[1:], f"python -m facelab train {argv[0]}", default)())


def _train(command: Train) -> None:
    recipe, out = command.recipe, Path(command.out)
    if out.suffix != ".safetensors":
        raise ValueError(f"--out is {command.out}; it must end in .safetensors")
    data, sources = _crops(command)
    training, held_out = split_identities(data, recipe.held_out, recipe.seed)
    provenance = f"{sources}: {len(training.identities)} identities, {len(training)} crops"
    header = checkpoint.Header(recipe, len(training.identities), provenance)
    with tqdm(desc=out.stem, unit="step", disable=None) as bar:
        for progress in train_recipe(recipe, data):
            bar.total = progress.steps
            bar.set_postfix(
                loss=f"{progress.loss:.3f}", acc=f"{progress.accuracy:.3f}", lr=f"{progress.lr:.4f}"
            )
            bar.update()
            if progress.step == progress.steps or progress.validation:
                _report_epoch(progress, command.json)
                header = replace(header, metrics={"held_out": progress.validation})
                checkpoint.save(out, progress.model, progress.loss_fn, header)
    if progress.validation:
        source = f"{len(held_out.identities)} held-out identities of {sources}"
        try:
            points = held_out_points(progress.model, held_out, source)
        except ValueError as error:
            print(f"no thresholds were set: {error}", file=sys.stderr)
        else:
            checkpoint.update_header(out, replace(header, operating_points=points))
    print(f"wrote {out}", file=sys.stderr)


def _crops(command: Train) -> tuple[CropSet, str]:
    """The crops to train on and what to call them."""
    if not command.data:
        faces = ParametricFaces(command.identities, command.per_identity, command.recipe.seed)
        return faces.crop_set(track), "rendered faces"
    data = load_crops(command.data, CACHE, track)
    for name, reason in data.skipped:
        print(f"skipped {name}: {reason}", file=sys.stderr)
    return data, ", ".join(Path(path).stem for path in command.data)


def _report_epoch(progress: Progress, json: bool) -> None:
    figures = {
        "epoch": progress.epoch,
        "loss": progress.loss,
        "accuracy": progress.accuracy,
        **progress.validation,
    }
    if json:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        print(jsonlib.dumps(known), flush=True)  # a NaN would be no JSON
        return
    row = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    tqdm.write(
        f"{row}  ({progress.images_per_second:.0f} images/s, {progress.seconds_left / 60:.0f} min left)"
    )
