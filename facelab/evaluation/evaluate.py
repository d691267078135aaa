"""Evaluate an embedder by a protocol, or measure the operating points that turn its scores into decisions.

Images may be raw photos, in which the main face is found and aligned first, or aligned crops; another
program's embeddings can be read from a file instead of a model. `protocols` does the evaluation.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from facelab.data.formats.vectors import read_vectors
from facelab.data.hw2p2 import homework_of, load_split
from facelab.data.identities import Who, who_is_on
from facelab.data.images import ImageFolder, Track, printable, untracked
from facelab.data.matching import resolve
from facelab.data.pairs import read_pairs
from facelab.evaluation.conditions import conditions
from facelab.evaluation.groups import judge_groups, read_groups
from facelab.evaluation.photo_pool import embed_images, measure_faces
from facelab.evaluation.protocols import Embedded, judge_conditions, judge_difference, judge_pairs
from facelab.metrics.closed_set import classification_report, most_confused
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.verification import all_pairs, cosine
from facelab.models import checkpoint
from facelab.models.device import CPU
from facelab.models.model import class_logits, embed_all
from facelab.models.zoo import find_checkpoint
from facelab.recognition.embedder import load

SUBSET_FAR = 0.01
MAX_PER_PERSON = 10  # photos; a few people with hundreds would otherwise decide the genuine scores

Say = Callable[[str], object]


def unheard(sentence: str) -> None:
    """Ignore a message; the command line passes a function that writes to stderr."""


def embed_folder(
    model: str,
    images: str,
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
    flip: bool = True,
    say: Say = unheard,
    device: torch.device = CPU,
) -> Embedded:
    """Embed the main face of every image, for the protocols that require all of them.

    Args:
        model: a checkpoint's name or path, or `reference`.
        images: folder or zip, one folder per identity or another layout that `who_is_on` understands.
        aligned: the images are aligned 112x112 crops.
        cache: folder of detected faces, kept between runs.
        jobs: number of processes.
        track: draws progress.
        flip: add the embedding of the mirrored crop; the reference never does.
        say: called with a sentence on how a source without the plain layout was read.
        device: where our checkpoints embed.

    Raises:
        ValueError: bad input.
    """
    folder = ImageFolder(images)
    found = who_is_on(folder)
    _tell(say, found)
    embedded = _embedded(model, folder, list(found.people), aligned, cache, jobs, track, flip, device)
    return replace(embedded, people=found.people)


def _tell(say: Say, found: Who) -> None:
    for note in found.notes:
        say(note)
    if found.empty:
        say(f"{len(found.empty)} folders hold no image (first: {printable(found.empty[0])})")


def _embedded(
    model: str,
    folder: ImageFolder,
    names: Sequence[str],
    aligned: bool,
    cache: Path | None,
    jobs: int,
    track: Track,
    flip: bool,
    device: torch.device,
) -> Embedded:
    vectors, failures = embed_images(model, folder, names, aligned, cache, jobs, track, flip, device)
    return Embedded(vectors, failures, load(model).score)


def read_embedded(path: str) -> Embedded:
    """Read embeddings of another program, in any form that `read_vectors` reads, to be compared by cosine.

    Raises:
        ValueError: no such file, or invalid content.
    """
    found = read_vectors(path)
    names, embeddings, identities = found.names, found.embeddings, found.identities
    if identities is None and names == tuple(map(str, range(len(names)))):  # of which no identity follows
        identities = ("",) * len(names)
    people = None if identities is None else {n: person for n, person in zip(names, identities) if person}
    return Embedded(dict(zip(names, embeddings)), {}, cosine, people)


def evaluate(
    model: str,
    images: str,
    pairs_file: str,
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
    flip: bool = True,
    intervals: bool = False,
    subsets: bool = False,
    against: str | None = None,
    device: torch.device = CPU,
    groups: str | None = None,
) -> dict[str, object]:
    """Score every pair of a list and report the field's figures.

    Args:
        model: a checkpoint's name or path, or `reference`.
        images: folder or zip.
        pairs_file: LFW's form or `image1 image2 label`.
        aligned, cache, jobs, track, flip, device: as in `embed_folder`.
        intervals: add 95 % bootstrap intervals.
        subsets: add the errors by pose, low light, blur and size, at the threshold of SUBSET_FAR.
        against: another checkpoint, or `reference`, to compare with on the same pairs.
        groups: file of attributes by photo or identity, for the errors of each group.

    Returns:
        The report of `judge_pairs`, and on request "subsets" of `judge_subsets`, "groups" of `judge_groups`
        and "difference" of `judge_difference`.

    Raises:
        ValueError: bad input, too few pairs, or subsets of crops or without thresholds.
    """
    if subsets and aligned:
        raise ValueError("pose can be measured in whole photos only; evaluate subsets without --aligned")
    threshold = load(model).calibrated().threshold_for(SUBSET_FAR) if subsets else None
    pairs = read_pairs(pairs_file)
    folder = ImageFolder(images)
    names = resolve(pairs.first + pairs.second, folder.names)
    embedded = _embedded(model, folder, sorted(set(names)), aligned, cache, jobs, track, flip, device)
    report = judge_pairs(embedded, pairs, names, intervals)
    if groups:
        report["groups"] = judge_groups(embedded, pairs, names, read_groups(groups, names))
    if threshold is not None:
        found = measure_faces(conditions, folder, sorted(embedded.vectors), cache, jobs, track)
        report["subsets"] = judge_conditions(embedded, pairs, names, found, threshold)
    if against is not None:
        other = _embedded(against, folder, sorted(set(names)), aligned, cache, jobs, track, flip, device)
        report["difference"] = {"against": against} | judge_difference(embedded, other, pairs, names)
    return report


def evaluate_embeddings(
    file: str,
    pairs_file: str,
    intervals: bool = False,
    against: str | None = None,
    groups: str | None = None,
) -> dict[str, object]:
    """Score every pair of a list with another program's embeddings.

    Args:
        file: what `read_embedded` reads.
        pairs_file, intervals, groups: as in `evaluate`.
        against: another such file, compared on the same pairs.

    Returns:
        As `evaluate`.

    Raises:
        ValueError: bad input.
    """
    pairs, embedded = read_pairs(pairs_file), read_embedded(file)
    names = resolve(pairs.first + pairs.second, sorted(embedded.vectors))
    report = judge_pairs(embedded, pairs, names, intervals)
    if groups:
        report["groups"] = judge_groups(embedded, pairs, names, read_groups(groups, names))
    if against:
        report["difference"] = {"against": Path(against).name} | judge_difference(
            embedded, read_embedded(against), pairs, names
        )
    return report


def evaluate_classes(
    model: str,
    images: str,
    cache: Path | None = None,
    track: Track = untracked,
    device: torch.device = CPU,
) -> dict[str, object]:
    """Classify held-out crops of a checkpoint's training identities (closed set).

    Args:
        model: a checkpoint's name or path.
        images: folder or zip of aligned crops, one folder per identity, named as in training.
        cache: folder of decoded crops.
        track: draws progress.
        device: where the network computes.

    Returns:
        `classification_report`, "images", "identities" (K), "most_confused": [(true class, predicted class,
        count), ...], "notes": as in `CropSet`, and "failures": {image: why}.

    Raises:
        ValueError: bad input, a loss without classes, or identities outside the checkpoint's classes.
    """
    network, loss_fn, header = checkpoint.load(find_checkpoint(model))
    if not hasattr(loss_fn, "logits"):
        raise ValueError(
            f"{model} was trained with {header.recipe.loss}, which has no classes; use --identify"
        )
    if not header.identities:
        raise ValueError(f"{model} does not list its training identities; train it again, or use --identify")
    homework = homework_of([images])
    if homework and homework.train != Path(os.path.abspath(images)):
        raise ValueError(f"{images} holds several splits; name the one to classify, e.g. {homework.dev}")
    data = load_split(Path(images), header.identities, cache, track)
    everything = data.select(range(len(data.identities)))
    network.to(device)
    batches = everything.batches(track, f"classify with {model}")
    logits = class_logits(loss_fn, embed_all(network, batches, flip=False))
    pairs = [(data.identities[a], data.identities[b], n) for a, b, n in most_confused(logits, data.labels)]
    sizes = {"images": len(data), "identities": len(header.identities), "most_confused": pairs}
    told = {"notes": list(data.notes), "failures": dict(data.skipped)}
    return classification_report(logits, data.labels) | sizes | told


def calibrate(
    model: str,
    images: str,
    people: list[str] | None = None,
    title: str | None = None,
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
    say: Say = unheard,
    device: torch.device = CPU,
) -> OperatingPoints:
    """Measure operating points on all pairs of labeled photos, at most ten photos a person.

    Args:
        model: a checkpoint's name or path, or `reference`.
        images: folder or zip, as in `embed_folder`.
        people: names of the people to use; None takes all.
        title: name of the set; None takes the source's name.
        aligned, cache, jobs, track, say, device: as in `embed_folder`.

    Raises:
        ValueError: too few people or photos.
    """
    folder = ImageFolder(images)
    found = who_is_on(folder)
    _tell(say, found)
    photos: dict[str, list[str]] = defaultdict(list)
    for name, person in found.people.items():
        if people is None or person in people or PurePosixPath(person).name in people:
            photos[person].append(name)
    names = [name for theirs in photos.values() for name in theirs[:MAX_PER_PERSON]]
    if not names:
        raise ValueError(f"{folder.path.name} has no folder of any of these people")
    embedded = _embedded(model, folder, names, aligned, cache, jobs, track, True, device)
    _, embeddings, labels = replace(embedded, people=found.people).labeled()
    genuine, impostor = all_pairs(embeddings, labels, embedded.score)
    source = f"{title or folder.path.stem}: {len(set(labels)):,} people, {len(labels):,} photos"
    return measure_operating_points(genuine, impostor, source)
