"""Reproduction of the zoo: each row of a table is trained, evaluated and stored, the most important first.

A row is a recipe and a seed. The existing files determine the remaining steps, so an interrupted zoo can be
continued with the same result. Its steps are commands that can also be run by hand; `zoo.json` lists them
next to the figures.
"""

import contextlib
import functools
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facelab.data.files import replacing
from facelab.data.folders import CropSet
from facelab.data.images import ImageFolder
from facelab.evaluation import results as measured
from facelab.evaluation.rows import Row
from facelab.models import checkpoint
from facelab.models.checkpoint import Header
from facelab.models.recipe import Recipe
from facelab.models.recipes import find_recipe
from facelab.training import resume
from facelab.training.loop import train

Execute = Callable[[list[str]], int]  # runs one command -> its exit status
FINAL = "lfw_view2"  # the test by which rows are reported
CALIBRATED_ON = "LFW view 1 test people"
BLENDS = 120_000
PACE_CROPS, PACE_BATCH = 64, 32


@dataclass(frozen=True)
class Zoo:
    """Folders, data and options of the zoo.

    Attributes:
        out: folder for the content of `checkpoints/`, `zoo.json` with the commands, and `runs/`.
        data: folders or zips of aligned crops.
        images, pairs: photos and list for the final test; None omits it.
        people: list of the people on whose photos thresholds are calibrated; None keeps those of the held-out
            identities.
        jobs: processes of the commands that use several.
        compile: whether torch.compile fuses the networks.
    """

    out: Path
    data: tuple[Path, ...]
    images: Path | None = None
    pairs: Path | None = None
    people: Path | None = None
    jobs: int = 1
    compile: bool = False

    @property
    def runs(self) -> Path:
        """Return the folder in which commands run. All weights stay here, for rows that continue from others;
        a run in progress has a separate folder.
        """
        return self.out / "runs"


def recipe_of(row: Row, zoo: Zoo) -> Recipe:
    """Return the recipe of a row."""
    return replace(find_recipe(row.recipe), seed=row.seed, compile=zoo.compile)


def sources_of(row: Row, zoo: Zoo) -> list[Path]:
    """Return the folders or zips of real crops that a row uses.

    Raises:
        ValueError: one of them was not given.
    """
    given = {source.stem: source for source in zoo.data}
    missing = [name for name in row.sources if name not in given]
    if missing:
        raise ValueError(f"{row.name} learns from {', '.join(row.sources)}; --data lacks {missing[0]}")
    return [given[name] for name in row.sources] if row.sources else list(zoo.data)


def product(row: Row, zoo: Zoo) -> Path:
    """Return the file that a finished row produces."""
    folder, suffix = (zoo.out, "safetensors") if row.keeps_weights else (zoo.out / "measured", "json")
    return folder / f"{row.name}.{suffix}"


def is_done(row: Row, zoo: Zoo) -> bool:
    """Return whether a row's file exists and matches this recipe and these data.

    Raises:
        ValueError: there is one of another recipe or of other data, or a damaged one.
    """
    path = product(row, zoo)
    if not path.is_file():
        return False
    if row.keeps_weights:
        header = checkpoint.describe(path)
    else:
        header = Header.from_json(path.read_text(encoding="utf-8"))
    names = [source.stem for source in sources_of(row, zoo)]
    sources = ", ".join(filter(None, [*names, header.recipe.unlabeled]))
    if replace(header.recipe, compile=zoo.compile) != recipe_of(row, zoo):
        raise ValueError(f"{path.name} was trained by another recipe; move it away to train it again")
    if header.data.rsplit(":", 1)[0] != sources:
        raise ValueError(f"{path.name} was trained on {header.data}; move it away to train it on {sources}")
    return zoo.pairs is None or FINAL in header.metrics


def commands(row: Row, zoo: Zoo) -> dict[str, list[str]]:
    """Return every command of a row, by the name of its step, to be run in `zoo.runs`."""
    recipe, weights, jobs = recipe_of(row, zoo), f"{row.name}.safetensors", ["--jobs", str(zoo.jobs)]
    sources = [str(source) for source in sources_of(row, zoo)]
    steps = {}
    if recipe.unlabeled:
        blends = f"{recipe.unlabeled}.zip"
        whose = ["--count", str(BLENDS), "--recipe", row.recipe]
        steps["blend"] = ["data", "blend", *sources, "--out", blends, *whose]
        sources = [*sources, blends]
    if recipe.teacher:
        also = ["--also", *sources[1:]] if sources[1:] else []
        steps["teach"] = ["embed", "reference", sources[0], recipe.teacher, *also, "--aligned", *jobs]
    fused = ["--compile"] if zoo.compile else []
    steps["train"] = ["train", row.recipe, "--seed", str(row.seed), *fused, "--data", *sources]
    steps["train"] += ["--out", f"{row.name}/{weights}"]
    if zoo.people:
        whom = ["--images", str(zoo.images), "--people", str(zoo.people), "--title", CALIBRATED_ON]
        steps["calibrate"] = ["calibrate", weights, *whom, *jobs]
    if zoo.pairs:
        what = ["--images", str(zoo.images), "--pairs", str(zoo.pairs), "--subsets"]
        steps["evaluate"] = ["evaluate", weights, *what, "--save", FINAL, *jobs]
    return steps


def left(row: Row, zoo: Zoo) -> dict[str, list[str]]:
    """Return a row's remaining commands, according to the files; empty if the row is done."""
    if is_done(row, zoo):
        return {}
    steps, recipe, runs = commands(row, zoo), recipe_of(row, zoo), zoo.runs
    for step, file in (("blend", f"{recipe.unlabeled}.zip"), ("teach", recipe.teacher or "")):
        if step in steps and (runs / file).is_file():
            del steps[step]
    weights = runs / f"{row.name}.safetensors"
    if weights.is_file():
        header = checkpoint.describe(weights)
        points = header.operating_points
        gone = {"blend", "teach", "train"}
        gone |= {"evaluate"} if FINAL in header.metrics else set()
        gone |= {"calibrate"} if points and points.source.startswith(CALIBRATED_ON) else set()
        return {step: argv for step, argv in steps.items() if step not in gone}
    begun = _state(row, zoo).is_file()
    steps["train"].append("--resume" if begun else "--overwrite")
    return steps


def make(row: Row, zoo: Zoo, execute: Execute) -> bool:
    """Run the remaining commands of a row and store the result -> whether it is finished.

    Raises:
        ValueError: its file exists with another recipe or other data.
    """
    for step, argv in left(row, zoo).items():
        training = zoo.runs / row.name
        training.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(zoo.runs):
            if execute(argv):
                return False
        if step == "train":  # only now is it whole: each epoch has written this file
            os.replace(training / f"{row.name}.safetensors", zoo.runs / f"{row.name}.safetensors")
    shutil.rmtree(zoo.runs / row.name, ignore_errors=True)  # with what a kill may have torn
    if not is_done(row, zoo):
        _file(row, zoo)
    return True


def _file(row: Row, zoo: Zoo) -> None:
    """Store a row's checkpoint or figures, and its commands in `zoo.json`."""
    weights, target = zoo.runs / f"{row.name}.safetensors", product(row, zoo)
    index = zoo.out / "zoo.json"
    known = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    header = checkpoint.describe(weights)
    known[row.name] = {
        "commands": [written(argv) for argv in commands(row, zoo).values()],
        "data": header.data,
        "seed": row.seed,
        "figures": header.metrics,
    }
    with replacing(index) as part:
        part.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    if row.keeps_weights:
        with replacing(target) as part:
            shutil.copyfile(weights, part)
    else:
        measured.keep(weights, target.parent)


def written(argv: list[str]) -> str:
    """Return a command as typed in a shell, with file names only."""
    named = [Path(word).name if os.path.isabs(word) else word for word in argv]
    return shlex.join(["python", "-m", "facelab", *named])


def progress(row: Row, zoo: Zoo) -> tuple[str, float]:
    """Return the progress of a row as text, and the remaining share of its training, in [0, 1]."""
    try:
        todo = left(row, zoo)
    except ValueError as error:
        return str(error), 0.0
    if "train" not in todo:
        return (f"trained; left: {', '.join(todo) or 'filing'}" if todo else "done"), 0.0
    state = _state(row, zoo)
    if not state.is_file():
        return "missing", 1.0
    done, steps = resume.steps_done(state), _crops(row, zoo) // recipe_of(row, zoo).batch_size
    steps = max(1, steps * recipe_of(row, zoo).epochs)
    return f"stopped at step {done} of about {steps}", max(0.01, 1 - done / steps)


def _state(row: Row, zoo: Zoo) -> Path:
    """Return the state file of a training in progress."""
    return resume.state_path(zoo.runs / row.name / f"{row.name}.safetensors")


def seconds_left(row: Row, zoo: Zoo) -> float:
    """Estimate the remaining seconds of a row's training at this machine's present speed."""
    share = progress(row, zoo)[1]
    if not share:
        return 0.0
    recipe = recipe_of(row, zoo)
    return share * _crops(row, zoo) * recipe.epochs * _pace(recipe.backbone, recipe.precision)


def _crops(row: Row, zoo: Zoo) -> int:
    """Estimate the number of crops in an epoch, without decoding any."""
    recipe = recipe_of(row, zoo)
    images = sum(_images(source) for source in sources_of(row, zoo))
    kept = images * (1 - recipe.held_out) * (1 - recipe.held_out_images)
    return round(kept) + (BLENDS if recipe.unlabeled else 0)


@functools.cache
def _images(source: Path) -> int:
    return len(ImageFolder(str(source)).names)


@functools.cache
def _pace(backbone: str, precision: str) -> float:
    """Measure the training seconds per crop, from the second step of that network on noise."""
    labels = np.repeat(np.arange(8), PACE_CROPS // 8)
    noise = np.random.default_rng(0).integers(0, 256, (PACE_CROPS, 112, 112, 3), np.uint8)
    names = tuple(map(str, range(PACE_CROPS)))
    data = CropSet(noise, labels, names[:8], names)
    recipe = Recipe(backbone=backbone, precision=precision, batch_size=PACE_BATCH, held_out=0.0, lr=1e-3)
    run = train(recipe, data)
    next(run)  # the first step also sets things up
    began = time.perf_counter()
    next(run)
    run.close()
    return (time.perf_counter() - began) / PACE_BATCH
