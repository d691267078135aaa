"""The command line: `python -m facelab compare | evaluate | calibrate | train | data | embed | submit | ...`.

Each command is a function whose signature and docstring are its flags and its help (tyro). Results go to
stdout, progress and complaints to stderr; the exit status is 0 for a result and 2 for bad input, answered
in one sentence.
"""

import json as jsonlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from facelab.cli.data import cache, data, embed, submit
from facelab.cli.lessons import lessons
from facelab.cli.reports import (
    check_flags,
    print_all_pairs,
    print_classification,
    print_identification,
    print_pairs,
)
from facelab.cli.terminal import CACHE, JOBS, one_sentence, parse, track, usable
from facelab.cli.train import train
from facelab.cli.zoo import zoo
from facelab.data import cache as kept
from facelab.data.images import printable
from facelab.data.pairs import read_people
from facelab.evaluation import results as measured
from facelab.evaluation.evaluate import calibrate as calibrate_model
from facelab.evaluation.evaluate import embed_folder, evaluate_classes, evaluate_embeddings, read_embedded
from facelab.evaluation.evaluate import evaluate as evaluate_model
from facelab.evaluation.model_card import model_card
from facelab.evaluation.protocols import judge_all_pairs, judge_identification
from facelab.models import checkpoint
from facelab.models.names import nearest
from facelab.models.zoo import DEFAULT_MODEL, checkpoint_names, find_checkpoint
from facelab.recognition import reference
from facelab.recognition.embedder import reference_points_path
from facelab.recognition.verify import DEFAULT_FAR
from facelab.recognition.verify import compare as compare_photos

STARTED = time.time()  # what this process has used since stays in the cache
Model = Annotated[str, arg(metavar="MODEL")]
Photo = Annotated[str, arg(metavar="PHOTO")]


def compare(
    a: Photo,
    b: Photo,
    /,
    model: str = DEFAULT_MODEL,
    far: float = DEFAULT_FAR,
    face_a: int | None = None,
    face_b: int | None = None,
    json: bool = False,
) -> None:
    """Are two photos of one person?

    Finds the faces, embeds them and decides at the threshold whose false-accept rate is FAR: of 1,000 pairs
    of different people, FAR 0.001 lets one pass as the same.

    Args:
        a: First photo (JPEG, PNG, WebP, ...).
        b: Second photo.
        model: A checkpoint's name or path, or `reference`; `models` lists them.
        far: False-accept rate that you are ready to bear, 0.0001 to 0.1. Lower is stricter.
        face_a: Which face of the first photo, counted from the largest; if left out the main face, which is
            large and near the middle.
        face_b: Which face of the second photo.
        json: Print one JSON object.
    """
    chosen = (None if face is None else face - 1 for face in (face_a, face_b))
    result = compare_photos(a, b, model, far, *chosen)
    if json:
        print(jsonlib.dumps(result))
        return
    score, threshold = result["score"], result["threshold"]
    sign, verdict = (">=", "same person") if result["same"] else ("<", "different people")
    print(f"{verdict}: score {score:.3f} {sign} threshold {threshold:.3f} ({result['model']})")
    print(f"at this threshold 1 in {1 / far:,.0f} pairs of different people is accepted,")
    print(f"and {result['frr']:.1%} of pairs of one person are refused")
    print(f"probability that it is one person, for even odds beforehand: {result['probability_same']:.1%}")
    print(f"measured on {result['calibration']}")
    for sentence in result.get("warnings", ()):
        print(f"the rates may not hold. {sentence}")
    for name, face in zip("AB", result["faces"]):
        if face["found"] > 1:
            count, flag = face["found"], f"--face-{name.lower()}"
            used = f"face {face['face']} is used{', the main one' if face['main'] else ''}"
            print(f"photo {name} shows {count} faces; {used}, and {flag} chooses another", file=sys.stderr)


def evaluate(
    model: Annotated[str | None, arg(metavar="MODEL")] = None,
    /,
    images: str | None = None,
    pairs: str | None = None,
    all_pairs: bool = False,
    identify: bool = False,
    classify: bool = False,
    embeddings: str | None = None,
    aligned: bool = False,
    no_flip: bool = False,
    intervals: bool = False,
    subsets: bool = False,
    against: str | None = None,
    save: str | None = None,
    jobs: int = JOBS,
    json: bool = False,
) -> None:
    """Judge a model: verification on a list of pairs or on all, identification, or classification.

    Args:
        model: A checkpoint's name or path, or `reference`.
        images: Folder or zip of photos, one folder per person.
        pairs: LFW's pairs.txt or its table, or text or CSV of `image1 image2 label` lines, judged as LFW's.
        all_pairs: Verification on all pairs of the images, down to a false-accept rate of one in a million.
        identify: Identification. Everyone's first image is the gallery, and the others are looked up in it;
            then once more with half of the people unknown to it.
        classify: Name the people whom the model was trained on, in other aligned crops of theirs.
        embeddings: An .npz file of `names` and `embeddings` that is judged instead of a model.
        aligned: The images are aligned 112x112 crops already.
        no_flip: Do not add the embedding of the mirrored crop.
        intervals: Add 95 % bootstrap intervals.
        subsets: With --pairs, add the errors among turned, dark, blurred and small faces.
        against: With --pairs, another model that is judged on the same pairs: by how much the two differ, and
            how sure that is.
        save: Write the figures into the checkpoint's header under this name, e.g. lfw_view2.
        jobs: Processes that work at once.
        json: Print one JSON object.
    """
    protocols = {"--pairs": pairs, "--all-pairs": all_pairs, "--identify": identify}
    protocols["--classify"] = classify
    check_flags(model, images, embeddings, save, subsets, against, protocols)
    if save and model == reference.NAME:
        raise ValueError("--save writes into a checkpoint and the reference has none; leave it out")
    options = (aligned, usable(CACHE), jobs, track, not no_flip)
    if pairs and embeddings:
        report, show = evaluate_embeddings(embeddings, pairs, intervals), print_pairs
    elif pairs:
        report, show = (
            evaluate_model(model, images, pairs, *options, intervals, subsets, against),
            print_pairs,
        )
    elif classify:
        report, show = evaluate_classes(model, images, usable(CACHE), track), print_classification
    else:
        embedded = read_embedded(embeddings) if embeddings else embed_folder(model, images, *options, _say)
        if all_pairs:
            report, show = judge_all_pairs(embedded, intervals), print_all_pairs
        else:
            report, show = judge_identification(embedded, intervals), print_identification
    failures = report.pop("failures")
    for note in report.pop("notes", ()):
        _say(note)
    for name, reason in failures.items():
        _say(f"{printable(name)}: {reason}")
    if save:
        path = find_checkpoint(model)
        header = checkpoint.with_metrics(checkpoint.describe(path), save, report)
        checkpoint.update_header(path, header)
    if json:
        print(jsonlib.dumps(report))
    else:
        show(report, len(failures))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def calibrate(
    model: Model,
    /,
    images: str,
    people: str | None = None,
    title: str | None = None,
    aligned: bool = False,
    jobs: int = JOBS,
) -> None:
    """Measure a model's thresholds on people whom it was not trained on, and keep them with it.

    Args:
        model: A checkpoint's name or path, or `reference`.
        images: Folder or zip of photos, one folder per person.
        people: File of names, as in LFW, that says which folders to use.
        title: What to call this set wherever a threshold is explained; its file's name if left out.
        aligned: The images are aligned 112x112 crops already.
        jobs: Processes that work at once.
    """
    names = read_people(people) if people else None
    points = calibrate_model(model, images, names, title, aligned, usable(CACHE), jobs, track, _say)
    if model == reference.NAME:
        reference_points_path().write_text(jsonlib.dumps(points.to_dict(), indent=1) + "\n")
    else:
        path = find_checkpoint(model)
        checkpoint.update_header(path, replace(checkpoint.describe(path), operating_points=points))
    print(f"{model} on {points.source}: EER {points.eer:.4f} at {points.eer_threshold:.3f}")
    for far in (0.1, 0.01, 0.001):
        if points.covers(far):
            print(
                f"FAR {far:<6} threshold {points.threshold_for(far):.3f}, refuses {points.frr_for(far):.1%}"
            )


def models(json: bool = False, markdown: bool = False, keep: tuple[Path, ...] = ()) -> None:
    """List the models that are here, and those of which only the figures are, marked *.

    Args:
        json: Print one JSON list.
        markdown: Print the page that goes with the checkpoints, in Markdown.
        keep: Checkpoint files of your own whose figures to keep with the project, without their weights.
    """
    for path in keep:
        measured.keep(path)
    headers = {}
    for name in measured.names():
        try:
            headers[name] = measured.header(name)
        except ValueError as error:  # one damaged file must not hide the others
            print(f"facelab: {error}", file=sys.stderr)
    if markdown:
        print(model_card(headers, checkpoint_names()), end="")
        return
    rows = [
        {"model": name, "weights": name in checkpoint_names()} | jsonlib.loads(header.to_json())
        for name, header in headers.items()
    ]
    if reference.is_installed():
        of_dlib = {"data": "dlib's own, see its documentation", "metrics": {}}
        rows.append({"model": reference.NAME, "weights": True} | of_dlib)
    if json:
        print(jsonlib.dumps(rows))
        return
    print(f"{'model':<24}{'backbone':<14}{'loss':<24}{'LFW':>8}{'TAR@FAR=0.01':>14}")
    for row in rows:
        recipe, lfw = row.get("recipe", {}), row["metrics"].get("lfw_view2")
        values = (lfw["accuracy"], lfw["tar_at_far"].get("0.01")) if lfw else (None, None)
        figures = ["-" if value is None else f"{value:.4f}" for value in values]
        backbone, loss = recipe.get("backbone", "dlib ResNet"), recipe.get("loss", "metric")
        called = row["model"] + ("" if row["weights"] else " *")
        print(f"{called:<24}{backbone:<14}{loss:<24}{figures[0]:>8}{figures[1]:>14}")


COMMANDS: dict[str, Callable[..., None]] = {
    "compare": compare,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "train": train,
    "data": data,
    "lessons": lessons,
    "embed": embed,
    "submit": submit,
    "models": models,
    "zoo": zoo,
    "cache": cache,
}


def main(argv: list[str]) -> int:
    """Run one command -> exit status: 0 for a result, 2 for bad input."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m facelab COMMAND ...   (COMMAND --help explains each)\n")
        for name, command in COMMANDS.items():
            print(f"  {name:<12}{command.__doc__.splitlines()[0]}")
        return 0
    name, rest = argv[0], argv[1:]
    for stream in (sys.stdout, sys.stderr):  # a name that is not UTF-8 must not end a run
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        most = kept.limit()
        if name not in COMMANDS:
            raise ValueError(f"unknown command {name!r}: {nearest(name, COMMANDS)}")
        if name in ("train", "data", "lessons"):  # what follows depends on their first word
            COMMANDS[name](rest)
        else:
            parse(COMMANDS[name], rest, f"python -m facelab {name}")()
        kept.trim(CACHE, most, STARTED)
    except BrokenPipeError:  # the reader of our output has left, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        print(f"facelab: {one_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("facelab: stopped", file=sys.stderr)
        return 130
    return 0
