"""Verification of templates: several photos and video frames of one person against several of another.

Frames of one video are averaged first, so that a long video does not outvote a photo; the media of a template
are then summed, each image with unit length (IJB-B, Whitelam et al. 2017; ArcFace's released evaluation).
Simplified: features are not weighed by their norm or by the detector's score. Pairs are counted into a fine
histogram, so memory does not grow with their number; scoring stored embeddings needs no PyTorch.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facelab.data.formats.vectors import Vectors, read_vectors
from facelab.data.images import Track, untracked
from facelab.data.matching import resolve
from facelab.data.templates import TemplateLists, read_template_pairs, read_templates
from facelab.metrics.streaming import ALL_PAIRS_FARS, stream_scores
from facelab.metrics.verification import supported_fars

ROWS = 2**14  # rows whose vectors are gathered at once: 32 MB at 512 numbers


def pool(embeddings: np.ndarray, templates: np.ndarray, media: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine images into templates.

    Args:
        embeddings: (N, D); rows of NaN, of images without an embedding, are left out.
        templates, media: (N,) ids.

    Returns:
        ((T,) template ids, sorted; (T, D) float32 of unit length, NaN for templates of nothing).
    """
    ids, place = np.unique(templates, return_inverse=True)
    good = np.isfinite(embeddings).all(1)
    couples = np.stack([place, media], 1)[good]
    _, medium, frames = np.unique(couples, axis=0, return_inverse=True, return_counts=True)
    share = np.zeros(len(good), np.float32)
    share[good] = 1 / frames[medium.ravel()]  # the mean of a medium's frames
    pooled = np.zeros((len(ids), embeddings.shape[1]), np.float32)
    for start in range(0, len(good), ROWS):
        rows = start + np.flatnonzero(good[start : start + ROWS])
        part = np.asarray(embeddings[rows], np.float32)
        lengths = np.maximum(np.linalg.norm(part, axis=1), 1e-12)
        np.add.at(pooled, place[rows], part * (share[rows] / lengths)[:, None])
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    return ids, np.divide(pooled, norms, out=np.full_like(pooled, np.nan), where=norms > 0)


def evaluate_stored(
    path: str | os.PathLike, protocol: str | os.PathLike, track: Track = untracked
) -> dict[str, object]:
    """Return `judge_templates` of a protocol by the stored embeddings of its images.

    Args:
        path: embeddings, as `read_vectors` reads them, under the names of the list of media; without names,
            one for each of its lines, in their order. Images without an embedding are told as failures.
        protocol: folder with the lists.
        track: draws progress.

    Raises:
        ValueError: bad input, or embeddings of other images.
    """
    lists, found = read_templates(protocol), read_vectors(path)
    rows = _rows(lists.names, found, Path(path).name)
    vectors = np.concatenate([found.embeddings, np.full_like(found.embeddings[:1], np.nan)])[rows]
    missing = dict.fromkeys(np.array(lists.names)[rows < 0].tolist(), f"not in {Path(path).name}")
    return judge_templates(vectors, lists, track) | {"failures": missing}


def _rows(names: tuple[str, ...], found: Vectors, title: str) -> np.ndarray:
    """Return (N,) rows of the embeddings of the listed images, -1 where there is none."""
    where = {name: row for row, name in enumerate(found.names)}
    rows = np.array([where.get(name, -1) for name in names])
    if (rows >= 0).any():
        return rows
    if found.names != tuple(map(str, range(len(found.names)))):
        return np.array([where[name] for name in resolve(names, found.names)])
    if len(found.names) != len(names):
        raise ValueError(
            f"{title} holds {len(found.names):,} embeddings without names for the {len(names):,} images of "
            "the list; save their names too, or one for each line of the list of media"
        )
    return np.arange(len(names))


def judge_templates(
    embeddings: np.ndarray, lists: TemplateLists, track: Track = untracked
) -> dict[str, object]:
    """Return TAR at FAR 1e-6 to 1e-1 over a protocol's pairs of templates.

    Args:
        embeddings: (N, D) of the lists' images, NaN where there is none.
        lists: as `read_templates` gives them.
        track: draws progress.

    Returns:
        {"eer", "auc", "tar_at_far", "error" (see `StreamedRoc`), "genuine_pairs", "impostor_pairs",
        "templates", "images", "skipped" (pairs of a template without any embedding), "failures": {}}.

    Raises:
        ValueError: pairs of templates that are in no list, or pairs of one kind only.
    """
    ids, vectors = pool(embeddings, lists.templates, lists.media)
    skipped = 0

    def scores() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal skipped
        for part in track(read_template_pairs(lists.pairs), 0, "score"):
            places = np.minimum(np.searchsorted(ids, part[:, :2]), len(ids) - 1)
            if (ids[places] != part[:, :2]).any():
                missing = part[:, :2][ids[places] != part[:, :2]][0]
                raise ValueError(f"{lists.pairs.name} names the template {missing}, which holds no image")
            for start in range(0, len(part), ROWS):
                rows = slice(start, start + ROWS)
                found = np.einsum("ij,ij->i", vectors[places[rows, 0]], vectors[places[rows, 1]])
                good = np.isfinite(found)
                skipped += int((~good).sum())
                yield found[good], part[rows, 2][good] == 1

    streamed = stream_scores(scores())
    fars = supported_fars(ALL_PAIRS_FARS, streamed.impostor_pairs)
    return streamed.curve.figures(fars) | {
        "error": streamed.error,
        "genuine_pairs": streamed.genuine_pairs,
        "impostor_pairs": streamed.impostor_pairs,
        "templates": len(ids),
        "images": len(embeddings),
        "skipped": skipped,
        "failures": {},
    }
