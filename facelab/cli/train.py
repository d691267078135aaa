"""`python -m facelab train`: a recipe's fields as flags, its epochs as lines, its result as a checkpoint.

Until the run ends, its state is stored next to the checkpoint, from which `--resume` continues. Under
`torchrun` every process runs this command and only the first one prints and writes.
"""

import json as jsonlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tqdm import tqdm

from facelab.cli.crops import told
from facelab.cli.terminal import CACHE, parse, track, usable
from facelab.data.archives import open_archives
from facelab.data.folders import CropSet, Selection, load_crops
from facelab.data.hw2p2 import homework_of
from facelab.data.parametric import ParametricFaces
from facelab.metrics.operating import OperatingPoints
from facelab.models import checkpoint
from facelab.models.device import described
from facelab.models.recipe import FORMER_NAMES, LOSS_FIELDS, Recipe
from facelab.models.recipes import find_recipe
from facelab.models.recipes import listing as recipe_listing
from facelab.training import resume
from facelab.training.class_shards import saves
from facelab.training.distributed import be_deterministic, processes
from facelab.training.homework import CoursePairs, course_pairs, judge_course
from facelab.training.loop import Progress
from facelab.training.loop import train as train_recipe
from facelab.training.splits import split
from facelab.training.validation import header_of, held_out_points

if TYPE_CHECKING:
    from accelerate import Accelerator

SAVE_SECONDS = 60  # between two savings of a run's state within an epoch: what a kill can cost


@dataclass(frozen=True)
class Train:
    """Train a recipe; any of its fields can be set by name."""

    out: str
    """Checkpoint to write (.safetensors)."""
    data: tuple[str, ...] = ()
    """Folders or zips of aligned 112x112 crops, one folder per identity or labels.txt. Default: rendered."""
    stream: bool = False
    """Read DATA, zips or plain tars, in place, without decoding them first: for sets larger than the disk."""
    identities: int = 200
    """Number of synthetic identities without --data."""
    per_identity: int = 30
    """Rendered faces per identity."""
    recipe: tyro.conf.OmitArgPrefixes[Recipe] = field(default_factory=Recipe)
    resume: bool = False
    """Resume an interrupted run; the result equals that of an uninterrupted run."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda or cuda:N."""
    deterministic: bool = False
    """On a GPU, use deterministic algorithms, which are slower; otherwise the last bits may differ."""
    shard_classes: bool = False
    """Under torchrun, divide the classes of the loss among the processes, for a million identities."""
    overwrite: bool = False
    """Start again even if OUT or an interrupted run of it exists."""
    log: Literal["tensorboard", "trackio"] | None = None
    """Logger of the figures, in a folder `logs` next to OUT; its package must be installed."""
    json: bool = False
    """Print one JSON object per epoch."""


def train(argv: list[str]) -> None:
    """Train a recipe on folders or zips of aligned crops, or on rendered faces.

    The first word is a recipe's name or file; each of its fields is a flag, e.g. `train resnet_softmax
    --epochs 8 --data crops.zip --out my.safetensors`.
    """
    if not argv or argv[0].startswith("-"):
        print("usage: python -m facelab train RECIPE [--data PATH...] --out FILE [--FIELD VALUE ...]\n")
        print(
            "RECIPE is a .json or .toml file of fields, a checkpoint whose recipe is reused, or one of these:"
        )
        print(recipe_listing())
        print("\n`train RECIPE --help` shows every field with its value.")
        return
    argv = [argv[0], *map(_present_name, argv[1:])]
    recipe = find_recipe(argv[0])
    loss = _last_value(argv[1:], "--loss")
    fitting = recipe if loss is None else recipe.with_loss(loss)
    default = Train(out=tyro.MISSING, recipe=fitting)
    command = parse(Train, argv[1:], f"python -m facelab train {argv[0]}", default)()
    for name in LOSS_FIELDS:
        if getattr(recipe, name) != getattr(fitting, name) and getattr(command.recipe, name) is None:
            was = getattr(recipe, name)
            _say(f"{loss} takes no {name}; {argv[0]}'s {was} is left out", command.device)
    _train(_as_homework(command, _last_value(argv[1:], "--held-out")))


def _as_homework(command: Train, held_out: str | None) -> Train:
    """Set up training on all classes if the data are the homework's, unless a share to hold out is given."""
    homework = homework_of(command.data)
    if homework is None:
        return command
    command = replace(command, data=(str(homework.train),))
    if held_out is None:
        said = f"{homework.train} is the homework's: every class is trained on"
        _say(f"{said}, none is held out (--held-out changes that)", command.device)
        command = replace(command, recipe=replace(command.recipe, held_out=0.0))
    return command


def _say(note: str, device: str) -> None:
    """Print a note on stderr, from one process of several."""
    if processes(device).is_main_process:
        print(note, file=sys.stderr)


def _present_name(word: str) -> str:
    """Rename the flag of a field's former name to the present one; other words do not change."""
    flag, equals, value = word.partition("=")
    no = "no-" if flag.startswith("--no-") else ""
    former = flag.removeprefix(f"--{no}").replace("-", "_")
    if not flag.startswith("--") or former not in FORMER_NAMES:
        return word
    return f"--{no}{FORMER_NAMES[former].replace('_', '-')}{equals}{value}"


def _last_value(argv: Sequence[str], flag: str) -> str | None:
    """Return the value of the last of such flags, before anything else is parsed."""
    words = [word.partition("=") for word in argv]
    found = None
    for (word, equals, value), (after, *_) in zip(words, [*words[1:], ("",)]):
        if word.replace("_", "-") == flag:
            found = value if equals else after
    return found


def _train(command: Train) -> None:
    out = Path(command.out)
    state = _state_to_resume(command, out)
    if command.log and find_spec(command.log) is None:
        raise ValueError(f"{command.log} is not installed; `pip install {command.log}`, or leave --log out")
    own = processes(command.device)
    first = own.is_main_process
    homework = homework_of(command.data)
    course = course_pairs(homework) if homework else None  # a wrong list is told before hours of training
    data, sources = _crops(command)
    parts = split(data, command.recipe)
    header = replace(header_of(command.recipe, sources, parts.training), device=described(own.device))
    if command.deterministic:
        be_deterministic()
    run = train_recipe(command.recipe, data, state, command.device, command.shard_classes)
    last = None
    for progress in _shown(run, command, header.device, first):
        last = progress
        if first and progress.epoch_done:
            rows = tuple(progress.run.history.so_far())
            header = replace(header, metrics={"held_out": progress.validation}, history=rows)
            checkpoint.save(out, progress.model, progress.loss_fn, header)
    if first and last is not None:
        if course is not None:
            header, points = _course_points(out, header, last, course)
        else:
            points = _held_out_points(out, header, last, parts.people, sources)
        resume.state_path(out).unlink(missing_ok=True)
        if not command.json:
            _print_result(header, last, points)
        print(f"wrote {out}", file=sys.stderr)


def _state_to_resume(command: Train, out: Path) -> Path | None:
    """Return the state to resume, after checking that nothing is overwritten.

    Raises:
        ValueError: OUT is not a .safetensors file, there is nothing to resume, or something would be
            overwritten.
    """
    state = resume.state_path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"--out is {out}; it must end in .safetensors")
    if command.resume:
        if not state.is_file():
            why = f"{out} is finished" if out.is_file() else f"{state} does not exist"
            raise ValueError(f"there is nothing to resume: {why}; leave --resume out to begin")
        return state
    for path, way in ((state, "a stopped run: --resume continues it"), (out, "a checkpoint")):
        if path.is_file() and not command.overwrite:
            raise ValueError(f"{path} already exists, {way}; choose another --out, or add --overwrite")
    return None


def _crops(command: Train) -> tuple[CropSet, str]:
    """Return the crops to train on and their name."""
    with processes(command.device).main_process_first():  # the others then find them in the cache
        if not command.data:
            faces = ParametricFaces(command.identities, command.per_identity, command.recipe.seed)
            return faces.crop_set(track), "rendered faces"
        data = (open_archives if command.stream else load_crops)(command.data, usable(CACHE), track)
    return told(data), ", ".join(Path(path).stem for path in command.data)


def _shown(run: Iterator[Progress], command: Train, device: str, first: bool) -> Iterator[Progress]:
    """Yield the run's progress, and draw, log and save it; say once that it runs, and where."""
    tracker = _tracker(command) if command.log and first else None
    saved = time.monotonic()
    with tqdm(desc=Path(command.out).stem, unit="step", disable=None if first else True) as bar:
        for step, progress in enumerate(run):
            if first and not step:
                bar.write(f"device: {device}", file=sys.stderr)
            bar.total, bar.n = progress.steps, progress.step
            bar.set_postfix(
                loss=f"{progress.loss:.3f}", acc=f"{progress.accuracy:.3f}", lr=f"{progress.lr:.4f}"
            )
            if tracker:
                tracker.log(_figures(progress), progress.step)
            if first and progress.epoch_done:
                _report_epoch(progress, command.json)
            yield progress
            due = progress.epoch_done or time.monotonic() - saved > SAVE_SECONDS
            if progress.step < progress.steps and saves(progress.run, due, progress.epoch_done, first):
                resume.save(resume.state_path(Path(command.out)), progress.run)
                saved = time.monotonic()
    if tracker:
        tracker.end_training()


def _tracker(command: Train) -> "Accelerator":
    """Return Accelerate's logger of that name."""
    from accelerate import Accelerator

    out = Path(command.out)
    accelerator = Accelerator(log_with=command.log, project_dir=str(out.parent / "logs"))
    values = {k: v for k, v in command.recipe.to_dict().items() if isinstance(v, (bool, int, float, str))}
    accelerator.init_trackers(out.stem, values)
    return accelerator


def _figures(progress: Progress) -> dict[str, float]:
    """Return the numbers of a step."""
    named = {"loss": progress.loss, "accuracy": progress.accuracy, "lr": progress.lr}
    return named | {f"loss/{name}": value for name, value in progress.parts.items()} | progress.validation


def _report_epoch(progress: Progress, json: bool) -> None:
    figures = {"epoch": progress.epoch, "loss": progress.loss}
    figures |= progress.parts | {"accuracy": progress.accuracy} | progress.validation
    if json:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        print(jsonlib.dumps(known), flush=True)  # a NaN would be no JSON
        return
    row = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    tqdm.write(
        f"{row}  ({progress.images_per_second:.0f} images/s, {progress.seconds_left / 60:.0f} min left)"
    )


def _course_points(
    out: Path, header: checkpoint.Header, last: Progress, course: CoursePairs
) -> tuple[checkpoint.Header, OperatingPoints | None]:
    """Store figures and thresholds from the course's pairs in the checkpoint."""
    figures, points = judge_course(last.model, course, track)
    header = checkpoint.with_metrics(header, "val_pairs", figures)
    if isinstance(points, str):
        print(f"no thresholds were set: {points}", file=sys.stderr)
        points = None
    checkpoint.update_header(out, replace(header, operating_points=points))
    return header, points


def _held_out_points(
    out: Path, header: checkpoint.Header, last: Progress, held_out: Selection, sources: str
) -> OperatingPoints | None:
    """Store thresholds from held-out identities, if there are any, in the checkpoint."""
    if not len(held_out):
        return None
    try:
        points = held_out_points(last.model, held_out, sources)
    except ValueError as error:
        print(f"no thresholds were set: {error}", file=sys.stderr)
        return None
    checkpoint.update_header(out, replace(header, operating_points=points))
    return points


def _print_result(header: checkpoint.Header, last: Progress, points: OperatingPoints | None) -> None:
    """Print a table of the recipe, the data and the results."""
    recipe, course = header.recipe, header.metrics.get("val_pairs", {})
    rows = {"trained": f"{recipe.backbone} with {recipe.loss}", "on": header.data}
    rows["device"] = header.device
    rows |= {name: f"{value:.4f}" for name, value in _figures(last).items()}
    rows |= {f"val_pairs {name}": f"{course[name]:.4f}" for name in ("eer", "auc") if name in course}
    rows |= {"thresholds from": points.source} if points else {}
    width = max(map(len, rows))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows.items()))
