"""Homework submissions from a checkpoint: scores of its test pairs or people on its test photos, classes of
its test images, and the metadata.

The crops are read and embedded in batches, with their mirror images, on the chosen device. A score is the
cosine of two embeddings; a class is the index of the loss's largest logit, whose order the checkpoint stores.
Nothing is written before everything is answered. The course forbids pretrained weights, so a checkpoint that
rests on any raises an error (`facelab.evaluation.own_work`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import nn

from facelab.data.hw2p2 import LAYOUTS, Homework, OpenSet, class_labels, class_order, find_homework
from facelab.data.hw2p2_files import (
    CLASSES,
    HEADERS,
    Answers,
    as_sample,
    pair_answers,
    require_consecutive,
    write_answers,
    write_metadata,
)
from facelab.data.images import ImageFolder, Track, untracked
from facelab.data.matching import resolve
from facelab.data.pairs import read_unlabeled_pairs
from facelab.evaluation.hw2p2_open_set import NOBODY, answer, choose_threshold, nearest, read_answers
from facelab.evaluation.own_work import require_own_work
from facelab.metrics.similarity import normalized
from facelab.metrics.verification import cosine
from facelab.models import checkpoint
from facelab.models.device import CPU
from facelab.models.model import FaceModel, class_logits
from facelab.models.zoo import find_checkpoint
from facelab.training.homework import BATCH, embed_crops

MOST_PARAMETERS = 30_000_000  # of a network that may be handed in


@dataclass(frozen=True)
class Submission:
    """Result of `submit`.

    Attributes:
        layout: what the homework's folder was recognized as.
        files: written files.
        failures: {image: why it could not be read}; its pairs score -1, its class is the first, and its
            person is `n000000`.
        notes: why a file was not written, and what else is to be known, one sentence each.
    """

    layout: str
    files: list[Path] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def submit(
    model: str,
    root: str,
    out: str,
    partial: bool = False,
    track: Track = untracked,
    device: torch.device = CPU,
    sample: str | None = None,
) -> Submission:
    """Write `verification.csv`, `classification.csv` and `metadata.json`, as the homework's layout asks.

    Args:
        model: a checkpoint's name or path.
        root: the homework's folder, see `data/hw2p2.py`; its crops are 112x112.
        out: folder for the files.
        partial: submit even if classes cannot be predicted or numbered images are missing.
        track: draws progress.
        device: where the network computes.
        sample: the course's sample of one combined file; its ids and titles are followed in `combined.csv`.

    Raises:
        ValueError: no such checkpoint or data, pretrained weights, a malformed list, missing images or ids,
            or classes that cannot be predicted while `partial` is false.
    """
    path = find_checkpoint(model)
    network, loss_fn, header = checkpoint.load(path)
    homework = find_homework(root)
    require_own_work(path, header, homework)
    network.to(device)
    done = Submission(LAYOUTS[homework.layout])
    classes = _classes(homework, loss_fn, header, partial)
    scored = _verification(network, homework, partial, done, track)
    named: Answers = {}
    if isinstance(classes, str):
        done.notes.append(f"classification.csv was not written, since {classes}")
    else:
        named = _classification(network, loss_fn, homework, classes, partial, done, track)
    _write(Path(out), homework.layout, scored, named, sample, done)
    if done.files:
        _describe(Path(out), network, loss_fn, done)
    return done


def _write(
    out: Path, layout: str, scored: Answers, named: Answers, sample: str | None, done: Submission
) -> None:
    """Write the answers, after it is known that a sample can be followed."""
    combined = as_sample(Path(sample), [part for part in (named, scored) if part]) if sample else None
    files = {
        "verification.csv": (HEADERS.get(layout, CLASSES), scored),
        "classification.csv": (CLASSES, named),
    }
    for name, (titles, answers) in files.items():
        if answers:
            write_answers(out / name, titles, answers.items())
            done.files.append(out / name)
    if combined:
        write_answers(out / "combined.csv", *combined)
        done.files.append(out / "combined.csv")


def _describe(out: Path, network: FaceModel, loss_fn: nn.Module, done: Submission) -> None:
    """Write the metadata, and warn of a network that is too large."""
    count = sum(p.numel() for module in (network, loss_fn) for p in module.parameters())
    if count > MOST_PARAMETERS:
        done.notes.append(
            f"the network has {count:,} parameters with its head; the course allows {MOST_PARAMETERS:,}"
        )
    write_metadata(out / "metadata.json", count, str(network))
    done.files.append(out / "metadata.json")


def _classification(
    network: FaceModel,
    loss_fn: nn.Module,
    homework: Homework,
    classes: Sequence[str],
    partial: bool,
    done: Submission,
    track: Track,
) -> Answers:
    folder = ImageFolder(homework.test)
    if not partial:
        require_consecutive(folder.names, homework.test.name)
    vectors = embed_crops(network, folder, folder.names, done.failures, track)
    labels = _predict(loss_fn, vectors, folder.names, classes)
    return dict(zip((PurePosixPath(name).name for name in folder.names), labels))


def _verification(
    network: FaceModel, homework: Homework, partial: bool, done: Submission, track: Track
) -> Answers:
    """Return the answers of verification by id; empty, with a note, where nothing is asked for."""
    if homework.open_set:
        return _open_set(network, homework.open_set, partial, done, track)
    if not homework.test_pairs:
        done.notes.append("verification.csv was not written, since there is no test_pairs.txt")
        return {}
    first, second = read_unlabeled_pairs(homework.test_pairs)
    folder = ImageFolder(homework.faces)
    names = resolve(first + second, folder.names)
    vectors = embed_crops(network, folder, sorted(set(names)), done.failures, track)
    scores = np.full(len(first), -1.0)
    for i, (a, b) in enumerate(zip(names[: len(first)], names[len(first) :])):
        if a in vectors and b in vectors:
            scores[i] = cosine(vectors[a][None], vectors[b][None])[0]
    return pair_answers(homework.layout, first, second, scores)


def _open_set(network: FaceModel, parts: OpenSet, partial: bool, done: Submission, track: Track) -> Answers:
    """Return the person on each photo of the test part by its place in the sorted list.

    Raises:
        ValueError: no part with answers, from which a threshold could be chosen; or missing images.
    """
    if not (parts.dev and parts.answers):
        raise ValueError(
            "the threshold of n000000 is chosen on unknown_dev and verification_dev.csv, which "
            f"{parts.known.parent} "
            "lacks; unpack the homework again"
        )
    known, dev, test = (ImageFolder(folder) for folder in (parts.known, parts.dev, parts.test))
    truth = read_answers(parts.answers, sorted(dev.names))
    if not partial:
        require_consecutive(test.names, parts.test.name)
    gallery = embed_crops(network, known, known.names, done.failures, track)
    people = [PurePosixPath(name).parts[0] for name in gallery]
    unit = normalized(np.stack(list(gallery.values())))

    def near(folder: ImageFolder) -> tuple[list[str], np.ndarray]:
        order = sorted(folder.names)
        vectors = embed_crops(network, folder, order, done.failures, track)
        names, scores = nearest(unit, people, normalized(np.stack(list(vectors.values()))))
        found = dict(zip(vectors, zip(names, scores.tolist())))
        both = [found.get(name, (NOBODY, -1.0)) for name in order]
        return [name for name, _ in both], np.array([score for _, score in both])

    chosen = choose_threshold(*near(dev), truth)
    done.notes.append(
        f"n000000 below a cosine of {chosen.value:.3f}, which is right for {chosen.accuracy:.1%} of the "
        f"{chosen.images:,} images of {parts.dev.name}"
    )
    return {str(place): person for place, person in enumerate(answer(*near(test), chosen.value))}


def _classes(
    homework: Homework, loss_fn: nn.Module, header: checkpoint.Header, partial: bool
) -> list[str] | str:
    """Return the homework's label of each of the checkpoint's classes, or why there are none.

    Raises:
        ValueError: the homework has classes that the checkpoint was not trained on, and `partial` is false.
    """
    if not (homework.train and homework.test):
        return "there is no folder of test images beside the training classes"
    if not hasattr(loss_fn, "logits"):
        return f"the loss {header.recipe.loss} compares pairs and has no class logits"
    labels = class_labels(homework.train)
    order = class_order(header.identities) or sorted(labels)
    if len(order) != header.num_classes:
        return f"the checkpoint has {header.num_classes} classes and {homework.train.name} has {len(order)}"
    unknown = [name for name in order if name not in labels]
    if unknown:
        return f"the checkpoint was trained on {unknown[0]}, which {homework.train.name} does not have"
    missing = sorted(set(labels) - set(order))
    if missing and not partial:
        raise ValueError(
            f"{len(missing)} of {len(labels)} classes cannot be predicted (first: {missing[0]}), since the "
            "checkpoint was not trained on them; train with --held-out 0, or add --partial to submit as it is"
        )
    return [labels[name] for name in order]


def _predict(
    loss_fn: nn.Module, vectors: dict[str, np.ndarray], names: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """Return the label of the largest logit of each image; the first class for an image without an
    embedding.
    """
    predicted = dict.fromkeys(names, classes[0])
    known = list(vectors)
    for start in range(0, len(known), BATCH):
        part = known[start : start + BATCH]
        logits = class_logits(loss_fn, np.stack([vectors[name] for name in part]))
        predicted |= {name: classes[k] for name, k in zip(part, logits.argmax(1).tolist())}
    return [predicted[name] for name in names]
