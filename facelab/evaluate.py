"""Judge an embedder on a list of pairs, or measure the operating points that turn its scores into
decisions.

Images may be raw photos, in which the main face is found and aligned first, or aligned crops. A photo
without a face cannot be scored: its pairs are left out of `accuracy` and counted as wrong in
`accuracy_all`.
"""

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.bulk import embed_images
from facelab.data.folders import ImageFolder, Selection, Track, untracked
from facelab.data.pairs import read_pairs, resolve
from facelab.embedder import load
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.verification import all_pairs, verification_report
from facelab.model import FaceModel, embed

MAX_PER_PERSON = 10  # photos; a few people with hundreds would otherwise decide the genuine scores


def evaluate(
    model: str,
    images: str,
    pairs_file: str,
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
) -> dict[str, object]:
    """Score every pair of a list and report the field's figures.

    Args:
        model: a checkpoint's name or path, or `reference`.
        images: folder or zip.
        pairs_file: LFW's form or `image1 image2 label`.
        aligned: the images are aligned 112x112 crops.
        cache: where found faces are kept between runs.
        jobs: processes.
        track: draws progress.

    Returns:
        {"accuracy", "accuracy_std" (over folds), "accuracy_all", "eer", "auc", "tar_at_far", "pairs",
        "skipped", "failures": {image: why}}.

    Raises:
        ValueError: bad input, or too few pairs left to judge.
    """
    pairs = read_pairs(pairs_file)
    folder = ImageFolder(images)
    names = resolve(pairs.first + pairs.second, folder.names)
    vectors, failures = embed_images(model, folder, sorted(set(names)), aligned, cache, jobs, track)
    first, second = names[: len(pairs)], names[len(pairs) :]
    kept = np.array([a in vectors and b in vectors for a, b in zip(first, second)])
    if not kept.any():
        name, reason = next(iter(failures.items()))
        raise ValueError(f"no pair could be scored; {name}: {reason}")
    gallery = np.stack([vectors[name] for name, keep in zip(first, kept) if keep])
    probe = np.stack([vectors[name] for name, keep in zip(second, kept) if keep])
    scores = load(model).score(gallery, probe).astype(np.float64)
    report = verification_report(scores, pairs.same[kept], pairs.folds[kept])
    report["accuracy_all"] = _accuracy_all(report.pop("fold_accuracy"), kept, pairs.folds)
    return report | {"pairs": len(pairs), "skipped": int((~kept).sum()), "failures": failures}


def _accuracy_all(fold_accuracy: np.ndarray, kept: np.ndarray, folds: np.ndarray) -> float:
    """Mean over all folds with the pairs that were not kept as wrong; a fold of none but such counts as 0."""
    share = np.array([kept[folds == fold].mean() for fold in np.unique(folds[kept])])
    return float((fold_accuracy * share).sum() / len(np.unique(folds)))


def calibrate(
    model: str,
    images: str,
    people: list[str] | None = None,
    title: str | None = None,
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
) -> OperatingPoints:
    """Measure operating points on all pairs among photos of known people, at most ten photos a person.

    Args:
        model: a checkpoint's name or path, or `reference`.
        images: folder or zip with one folder per identity.
        people: the folders to use; None takes all.
        title: what to call the set; None takes the source's name.
        aligned, cache, jobs, track: as in `evaluate`.

    Raises:
        ValueError: too few people or photos.
    """
    folder = ImageFolder(images)
    wanted = None if people is None else set(people)
    photos: dict[PurePosixPath, list[str]] = defaultdict(list)
    for name in folder.names:
        person = PurePosixPath(name).parent
        if wanted is None or person.name in wanted:
            photos[person].append(name)
    names = [name for person in photos.values() for name in person[:MAX_PER_PERSON]]
    if not names:
        raise ValueError(f"{folder.path.name} has no folder of any of these people")
    vectors, failures = embed_images(model, folder, names, aligned, cache, jobs, track)
    if not vectors:
        name, reason = next(iter(failures.items()))
        raise ValueError(f"no photo could be embedded; {name}: {reason}")
    labels = np.array([str(PurePosixPath(name).parent) for name in vectors])
    genuine, impostor = all_pairs(np.stack(list(vectors.values())), labels, load(model).score)
    source = f"{title or folder.path.stem}: {len(set(labels)):,} people, {len(labels):,} photos"
    return measure_operating_points(genuine, impostor, source)


def held_out_points(model: FaceModel, held_out: Selection, source: str) -> OperatingPoints:
    """Operating points of a network in training, on the identities that it has not seen."""
    vectors = embed(model, held_out.batch(np.arange(len(held_out))))
    return measure_operating_points(*all_pairs(vectors, held_out.labels), source)
