"""The homework's two submissions from a checkpoint: scores of its test pairs and classes of its test images.

The crops are read and embedded in batches, mirrored and not, on a GPU where there is one. A score is the
cosine of two embeddings; a class is the largest of the loss's own logits, whose order the checkpoint keeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import nn

from facelab import checkpoint
from facelab.data.folders import decoded
from facelab.data.hw2p2 import Homework, class_labels, class_order, find_homework, write_classes, write_scores
from facelab.data.images import ImageFolder, Track, untracked
from facelab.data.pairs import read_unlabelled_pairs, resolve
from facelab.embedder import find_checkpoint
from facelab.metrics.verification import cosine
from facelab.model import FaceModel, embed_batches

BATCH = 128


@dataclass(frozen=True)
class Submission:
    """What `submit` did.

    Attributes:
        files: those that were written.
        failures: {image: why it could not be read}; its pairs score -1, its class is the first.
        notes: why a file was not written, a sentence each.
    """

    files: list[Path] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def submit(model: str, root: str, out: str, track: Track = untracked) -> Submission:
    """Write `verification.csv` and `classification.csv`, as far as the homework's data asks for them.

    Args:
        model: a checkpoint's name or path.
        root: the homework's folder, see `data/hw2p2.py`; its crops are 112x112.
        out: folder for the two files.
        track: draws progress.

    Raises:
        ValueError: no such checkpoint or data, a malformed list, or images that are not there.
    """
    network, loss_fn, header = checkpoint.load(find_checkpoint(model))
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    homework, done = find_homework(root), Submission()
    if homework.test_pairs:
        done.files.append(_write_scores(network, homework, Path(out), done.failures, track))
    else:
        done.notes.append("verification.csv was not written, since there is no test_pairs.txt")
    classes = _classes(homework, loss_fn, header)
    if isinstance(classes, str):
        done.notes.append(f"classification.csv was not written, since {classes}")
    else:
        folder = ImageFolder(homework.test)
        vectors = _embed(network, folder, folder.names, done.failures, track)
        labels = _predict(loss_fn, vectors, folder.names, classes)
        names = [PurePosixPath(name).name for name in folder.names]
        write_classes(Path(out) / "classification.csv", names, labels)
        done.files.append(Path(out) / "classification.csv")
    return done


def _write_scores(
    network: FaceModel, homework: Homework, out: Path, failures: dict[str, str], track: Track
) -> Path:
    first, second = read_unlabelled_pairs(homework.test_pairs)
    folder = ImageFolder(homework.faces)
    keys = [key.removeprefix(f"{homework.faces.name}/") for key in first + second]
    names = resolve(keys, folder.names)
    vectors = _embed(network, folder, sorted(set(names)), failures, track)
    scores = np.full(len(first), -1.0)
    for i, (a, b) in enumerate(zip(names[: len(first)], names[len(first) :])):
        if a in vectors and b in vectors:
            scores[i] = cosine(vectors[a][None], vectors[b][None])[0]
    by_name = homework.test_pairs.name.startswith("verification_pairs")
    write_scores(out / "verification.csv", first, second, scores, by_name)
    return out / "verification.csv"


def _classes(homework: Homework, loss_fn: nn.Module, header: checkpoint.Header) -> list[str] | str:
    """The homework's label of each of the checkpoint's classes, or why there are none."""
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
    return [labels[name] for name in order]


def _embed(
    network: FaceModel, folder: ImageFolder, names: Sequence[str], failures: dict[str, str], track: Track
) -> dict[str, np.ndarray]:
    """{image: (D,) mean embedding of crop and mirrored crop} of every readable one."""
    good = []

    def crops() -> Iterator[np.ndarray]:
        results = track(decoded((folder, name) for name in names), len(names), "embed")
        for name, result in zip(names, results):
            if isinstance(result, str):
                failures[name] = result
            else:
                good.append(name)
                yield result

    stream = crops()
    batches = (np.stack(batch) for batch in iter(lambda: list(islice(stream, BATCH)), []))
    vectors = list(embed_batches(network, batches))
    if not vectors:
        raise ValueError(f"no image could be read; {names[0]}: {failures[names[0]]}")
    return dict(zip(good, np.concatenate(vectors) / 2))


def _predict(
    loss_fn: nn.Module, vectors: dict[str, np.ndarray], names: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """The label of the largest logit of each image; the first class for an image without an embedding."""
    predicted = dict.fromkeys(names, classes[0])
    known = list(vectors)
    for start in range(0, len(known), BATCH):
        part = known[start : start + BATCH]
        with torch.inference_mode():
            logits = loss_fn.logits(torch.from_numpy(np.stack([vectors[name] for name in part])))
        predicted |= {name: classes[k] for name, k in zip(part, logits.argmax(1).tolist())}
    return [predicted[name] for name in names]
