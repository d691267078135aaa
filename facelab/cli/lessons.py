"""`python -m facelab lessons ...`: measure the data of the page's lessons, and write it next to the
checkpoints.

Each command writes small files of plain arrays under `checkpoints/lessons/`; tabs show the files in it.
"""

from collections.abc import Callable
from typing import Annotated

from tyro.conf import Positional, arg

from facelab.cli.crops import told
from facelab.cli.terminal import CACHE, run_group, track, usable
from facelab.data.folders import load_crops
from facelab.lessons import START_MODEL
from facelab.models.names import nearest
from facelab.models.zoo import find_checkpoint

Models = Annotated[tuple[str, ...], arg(metavar="MODEL..."), Positional]


def space(models: Models, data: tuple[str, ...]) -> None:
    """Project the embedding spaces of models, for the Embedding space tab.

    Args:
        models: Checkpoints' names or paths.
        data: Folders or zips of their training crops, in the same order.
    """
    from facelab.lessons import space as lesson

    paths = [lesson.FOLDER / f"{find_checkpoint(model).stem}.npz" for model in models]
    crops = told(load_crops(data, usable(CACHE), track))
    for model, path in zip(models, paths):
        result = lesson.measure(model, crops, track)
        lesson.save(path, result)
        for kind in lesson.KINDS:
            figures = getattr(result, kind).figures
            print(
                f"{path.stem:<24}{kind:<8}{figures.people:>4} people  intra {figures.intra:5.1f}°  "
                f"inter {figures.inter:5.1f}°  EER {figures.eer:.3f}  AUC {figures.auc:.3f}"
            )


def epochs(data: tuple[str, ...], runs: tuple[str, ...] = (), start: str = START_MODEL) -> None:
    """Train the runs with 2-D embeddings and record every epoch, for the Embedding space tab.

    Args:
        data: Folders or zips of the training crops of `start`, in the same order.
        runs: Runs to train. Default: all.
        start: Checkpoint that provides the convolutions; the ten identities are unseen by it.
    """
    from facelab.lessons import epochs as lesson

    for name in runs:
        if name not in lesson.RUNS:
            raise ValueError(f"unknown run {name!r}: {nearest(name, lesson.RUNS)}")
    crops = lesson.ten_people(told(load_crops(data, usable(CACHE), track)), start)
    for name in runs or lesson.RUNS:
        path = lesson.FOLDER / f"{name}.npz"
        recorded = lesson.record(lesson.RUNS[name], crops, start, track, lesson.LATE.get(name))
        lesson.save(path, recorded)
        train, test = recorded.accuracy[-1]
        accuracies = f"training accuracy {train:.0%}  held-out accuracy {test:.0%}"
        print(f"{name:<16}{len(recorded.accuracy):>4} epochs  {accuracies}")


def calibration(models: Models, data: tuple[str, ...]) -> None:
    """Measure confidence and accuracy of each model, for the Calibration tab.

    Args:
        models: Checkpoints' names or paths, trained with --held-out-images.
        data: Folders or zips of their training crops, in the same order.
    """
    from facelab.lessons import calibration as lesson

    paths = [lesson.FOLDER / f"{find_checkpoint(model).stem}.npz" for model in models]
    crops = told(load_crops(data, usable(CACHE), track))
    for model, path in zip(models, paths):
        result = lesson.measure(model, crops, track)
        lesson.save(path, result)
        before, after = result.reliability(1.0).ece(), result.reliability(result.fitted).ece()
        print(
            f"{path.stem:<24}{len(result.correct):>5} photos  accuracy {result.accuracy():.1%}  "
            f"ECE {before:.3f}, at T {result.fitted:.2f} {after:.3f}  EER {result.eer:.3f}"
        )


def transfer(data: tuple[str, ...], start: str = START_MODEL, seeds: int = 3) -> None:
    """Measure few-shot accuracy from scratch, fine-tuned or frozen, for the Transfer tab.

    Args:
        data: Folders or zips of aligned crops of unseen identities, 10 or more of each.
        start: Checkpoint to initialize from.
        seeds: Repetitions with other photos and initializations.
    """
    from facelab.lessons import transfer as lesson

    outcomes = []
    for one in lesson.measure(start, told(load_crops(data, usable(CACHE), track)), seeds, track=track):
        outcomes.append(one)
        lesson.save(outcomes)
        print(
            f"{one.start:<20}{one.shots:>2} photos each, seed {one.seed}: accuracy {one.accuracy:.1%}",
            flush=True,
        )


def train(seed: int = 0) -> None:
    """Record a run on synthetic identities, with which the Train tab opens.

    Args:
        seed: Seed of identities, weights and batches.
    """
    from facelab.lessons.live import shipped_run as lesson
    from facelab.lessons.live.settings import Choice

    shown = lesson.measure(Choice(seed=seed))
    lesson.save(shown)
    step, figures = shown.last.figures[-1]
    print(f"{step} steps in {shown.last.seconds:.0f} s, EER on unseen identities {figures['eer']:.3f}")


def collapse(seeds: int = 24) -> None:
    """Count the seeds for which triplet loss collapses, by mining, for the Losses tab.

    Args:
        seeds: Number of seeds.
    """
    from facelab.lessons import triplet_collapse as lesson

    for mining, count in lesson.count_collapses(seeds).items():
        print(f"{mining:<10}{count:>3} of {seeds} seeds collapsed")


LESSONS: dict[str, Callable[..., None]] = {
    "space": space,
    "epochs": epochs,
    "calibration": calibration,
    "transfer": transfer,
    "train": train,
    "collapse": collapse,
}


def lessons(argv: list[str]) -> None:
    """Measure the data of the page's lessons, and write it next to the checkpoints.

    The first word is the lesson, e.g. `lessons space resnet_softmax --data crops.zip`.
    """
    run_group("lessons", "lesson", LESSONS, argv)
