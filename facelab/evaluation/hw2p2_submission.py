"""Homework submissions from a checkpoint: scores of its test pairs and classes of its test images.

The crops are read and embedded in batches, with their mirror images, on the chosen device. A score is the
cosine of two embeddings; a class is the index of the loss's largest logit, whose order the checkpoint stores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import nn

from facelab.data.hw2p2 import Homework, class_labels, class_order, find_homework, write_classes, write_scores
from facelab.data.images import ImageFolder, Track, untracked
from facelab.data.matching import resolve
from facelab.data.pairs import read_unlabeled_pairs
from facelab.metrics.verification import cosine
from facelab.models import checkpoint
from facelab.models.device import CPU
from facelab.models.model import FaceModel, class_logits
from facelab.models.zoo import find_checkpoint
from facelab.training.homework import BATCH, embed_crops


@dataclass(frozen=True)
class Submission:
    """Result of `submit`.

    Attributes:
        files: written files.
        failures: {image: why it could not be read}; its pairs score -1, its class is the first.
        notes: why a file was not written, one sentence each.
    """

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
) -> Submission:
    """Write `verification.csv` and `classification.csv`, as required by the homework's data.

    Args:
        model: a checkpoint's name or path.
        root: the homework's folder, see `data/hw2p2.py`; its crops are 112x112.
        out: folder for the two files.
        partial: predict classes even if the checkpoint was trained on some of them only.
        track: draws progress.
        device: where the network computes.

    Raises:
        ValueError: no such checkpoint or data, a malformed list, missing images, or classes that cannot be
            predicted while `partial` is false.
    """
    network, loss_fn, header = checkpoint.load(find_checkpoint(model))
    network.to(device)
    homework, done = find_homework(root), Submission()
    classes = _classes(homework, loss_fn, header, partial)  # refused before anything is written
    if homework.test_pairs:
        done.files.append(_write_scores(network, homework, Path(out), done.failures, track))
    else:
        done.notes.append("verification.csv was not written, since there is no test_pairs.txt")
    if isinstance(classes, str):
        done.notes.append(f"classification.csv was not written, since {classes}")
    else:
        folder = ImageFolder(homework.test)
        vectors = embed_crops(network, folder, folder.names, done.failures, track)
        labels = _predict(loss_fn, vectors, folder.names, classes)
        names = [PurePosixPath(name).name for name in folder.names]
        write_classes(Path(out) / "classification.csv", names, labels)
        done.files.append(Path(out) / "classification.csv")
    return done


def _write_scores(
    network: FaceModel, homework: Homework, out: Path, failures: dict[str, str], track: Track
) -> Path:
    first, second = read_unlabeled_pairs(homework.test_pairs)
    folder = ImageFolder(homework.faces)
    names = resolve(first + second, folder.names)
    vectors = embed_crops(network, folder, sorted(set(names)), failures, track)
    scores = np.full(len(first), -1.0)
    for i, (a, b) in enumerate(zip(names[: len(first)], names[len(first) :])):
        if a in vectors and b in vectors:
            scores[i] = cosine(vectors[a][None], vectors[b][None])[0]
    by_name = homework.test_pairs.name.startswith("verification_pairs")
    write_scores(out / "verification.csv", first, second, scores, by_name)
    return out / "verification.csv"


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
