"""Verification sets that bring their own crops: InsightFace's `.bin`, or a Parquet table of pairs.

The field reports them as LFW is reported: ten folds in the order of the file, each judged at the threshold
that is best on the other nine, with embeddings of the crop and its mirror image summed (ArcFace,
arXiv:1801.07698, section 3.1). Thresholds are exact here, not those of a grid of 400.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch

from facelab.data.formats.labeled import LabeledPairs
from facelab.data.formats.opened import open_labeled
from facelab.data.images import Track, untracked
from facelab.data.pairs import FOLDS, Pairs
from facelab.evaluation.crop_stream import embed_stream
from facelab.evaluation.protocols import Embedded, judge_pairs
from facelab.models.device import CPU
from facelab.photos.faces import Photo, read_photo
from facelab.recognition.embedder import as_face, load


def evaluate_packed(
    model: str,
    path: str,
    track: Track = untracked,
    flip: bool = True,
    intervals: bool = False,
    device: torch.device = CPU,
) -> dict[str, object]:
    """Score every pair of a set of aligned crops by the field's protocol.

    Args:
        model: a checkpoint's name or path, or `reference`.
        path: a .bin, or a .parquet with image1, image2 and label.
        track: draws progress.
        flip: add the embedding of the mirrored crop.
        intervals: add 95 % bootstrap intervals.
        device: where our checkpoints embed, in batches.

    Returns:
        The report of `judge_pairs`; an image is called by the place of its pair, from 1.

    Raises:
        ValueError: no such set, hostile or damaged, or no pair that could be scored.
    """
    source = open_labeled(path)
    if not isinstance(source, LabeledPairs):
        raise ValueError(f"{source.kind} holds identities and no pairs; give it with --images")
    embedder, names, same = load(model, flip, device), ([], []), []
    images = track(_images(source), 2 * source.count, f"embed with {model}")
    vectors, failures = embed_stream(embedder, _noted(images, names, same))
    first, second = map(tuple, names)
    pairs = Pairs(first, second, np.array(same, bool), _folds(len(same)))
    return judge_pairs(Embedded(vectors, failures, embedder.score), pairs, first + second, intervals)


def _noted(
    images: Iterable[tuple[str, bytes, bool, bool]], names: tuple[list[str], list[str]], same: list[bool]
) -> Iterator[tuple[str, Callable[[], tuple[Photo, np.ndarray]]]]:
    """Record name and truth of every image, and yield the name and the reader of each that is new."""
    seen = set()
    for name, content, is_first, label in images:
        names[0 if is_first else 1].append(name)
        if is_first:
            same.append(label)
        if name not in seen:
            seen.add(name)
            yield name, partial(_read, content)


def _read(content: bytes) -> tuple[Photo, np.ndarray]:
    photo = read_photo(content)
    return photo, as_face(photo.pixels).crop


def _images(source: LabeledPairs) -> Iterator[tuple[str, bytes, bool, bool]]:
    """Return (name, image file, whether it is a pair's first, the pair's truth); equal files have one
    name.
    """
    known: dict[bytes, str] = {}
    for number, pair in enumerate(source.read(), 1):
        for is_first, content in ((True, pair.first), (False, pair.second)):
            name = f"pair {number:,}, {'first' if is_first else 'second'} image"
            key = hashlib.blake2b(content, digest_size=16).digest()
            yield known.setdefault(key, name), content, is_first, pair.same


def _folds(count: int) -> np.ndarray:
    """Return (P,) ten stretches of the list, the first ones longer by one where it does not divide."""
    parts = np.array_split(np.arange(count), min(FOLDS, count))
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])
