"""Embedding space of one model: sixteen unseen identities and sixteen training identities.

The selection depends on names only, so that all models trained on one split show the same photos. Embeddings
and UMAP coordinates are stored; angles and error rates are measured in the original space, on all held-out
identities and as many training identities. Names and images are not stored: a person is a number.
"""

import functools
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from facelab.data.files import replacing
from facelab.data.folders import CropSet, Selection
from facelab.data.images import Track, untracked
from facelab.lessons import projection
from facelab.metrics.geometry import inter_class_angle, intra_class_angle
from facelab.metrics.similarity import cosine_matrix, normalized
from facelab.metrics.verification import all_pairs, cosine, roc
from facelab.models import checkpoint
from facelab.models.model import FaceModel, embed_all
from facelab.models.zoo import CHECKPOINTS, DEFAULT_MODEL, find_checkpoint
from facelab.training.splits import split

FOLDER = CHECKPOINTS / "lessons" / "space"
PEOPLE, PHOTOS = 16, 12
HELD_OUT_IMAGES = 0.1  # left aside even where a model learned them, so that all show the same photos
UMAP_VARIANTS = tuple((neighbors, seed) for neighbors in (5, 30) for seed in (0, 1, 2))  # UMAPs of one cloud
FORMER_NAMES = {"honest": "umap_variants"}  # of arrays in files of earlier versions
KINDS = ("unseen", "seen")
MAKE = "make it with `python -m facelab lessons space MODEL --data CROPS`"


@dataclass(frozen=True)
class Figures:
    """Figures of the original space, mirrored crops added.

    Attributes:
        intra: mean angle of a photo to its identity's center, degrees.
        inter: mean angle of a center to the nearest other center, degrees.
        eer, auc: figures of all pairs.
        people, photos: numbers of identities and photos.
    """

    intra: float
    inter: float
    eer: float
    auc: float
    people: int
    photos: int


@dataclass(frozen=True, eq=False)
class Crowd:
    """Some people in the space of one model.

    Attributes:
        embeddings: (N, D) float32, not normalized.
        labels: (N,) person, from 0.
        umap: (N, 2) and (N, 3) by dimension.
        figures: figures of these and more people of their kind.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    umap: dict[int, np.ndarray]
    figures: Figures


@dataclass(frozen=True, eq=False)
class Space:
    """Content of one file.

    Attributes:
        unseen: unseen identities.
        seen: training identities and photos.
        umap_variants: (6, N, 2) more UMAPs of `unseen`, one for each of UMAP_VARIANTS.
        sample: identifies the photos shown; equal in files that show the same photos.
    """

    unseen: Crowd
    seen: Crowd
    umap_variants: np.ndarray
    sample: str


def ranked(people: Selection) -> list[int]:
    """Return identities in order of selection: with 12 crops first, then by their name's hash."""
    counts = np.bincount(people.labels, minlength=len(people.identities))
    return sorted(
        range(len(counts)), key=lambda i: (-min(int(counts[i]), PHOTOS), hashed(people.identities[i]))
    )


def chosen(people: Selection, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Select at most 16 identities and 12 crops of each -> (indices into `people`, labels from 0), for any
    model.

    Args:
        people: identities to choose from.
        names: names of its crops, in order.
    """
    index, labels = [], []
    for label, identity in enumerate(ranked(people)[:PEOPLE]):
        own = sorted(np.flatnonzero(people.labels == identity), key=lambda i: hashed(names[i]))[:PHOTOS]
        index += own
        labels += [label] * len(own)
    return np.array(index), np.array(labels)


def hashed(text: str) -> str:
    """Return a name's SHA-256, which puts people and photos in an arbitrary order."""
    return hashlib.sha256(text.encode()).hexdigest()


def measure(model: str, data: CropSet, track: Track = untracked) -> Space:
    """Embed the sample and the measured set, and compute the maps; takes minutes on a CPU.

    Args:
        model: a checkpoint's name or path.
        data: the labeled crops of its training, without those for distillation only; its recipe says which
            were held out.
        track: draws progress.

    Raises:
        ValueError: crops other than those of its training, no held-out identities, or too few people for a
            map.
    """
    network, _, header = checkpoint.load(find_checkpoint(model))
    recipe = header.recipe
    images = recipe.held_out_images or HELD_OUT_IMAGES
    parts = split(data, replace(recipe, held_out_images=images, unlabeled=None))
    learned = parts.training.identities
    if len(learned) != header.num_classes or (header.identities and header.identities != learned):
        raise ValueError(
            f"{model} was trained on {header.num_classes} identities and these data leave {len(learned)} to "
            "train on, or others; name the sources it was trained on, in their order"
        )
    if not len(parts.people):
        raise ValueError(
            f"{model} was trained on all identities; train with held_out above 0 to hold some out"
        )
    most = ranked(parts.training)[: len(parts.people.identities)]
    training = parts.training.take(np.flatnonzero(np.isin(parts.training.labels, most)))
    crowds, samples = zip(*(_crowd(network, data, people, track) for people in (parts.people, training)))
    unseen = normalized(crowds[0].embeddings)
    variants = np.stack(
        [projection.umap_map(unseen, 2, neighbors, seed) for neighbors, seed in UMAP_VARIANTS]
    )
    return Space(*crowds, variants, hashed("\n".join(samples))[:16])


def _crowd(network: FaceModel, data: CropSet, people: Selection, track: Track) -> tuple[Crowd, str]:
    """Return (sample and figures of some people, the sample's names)."""
    names = [f"{people.identities[k]}/{data.names[row]}" for k, row in zip(people.labels, people.rows)]
    embeddings = embed_all(network, people.batches(track, "embed"))
    index, labels = chosen(people, names)
    vectors = embeddings[index]
    umap = {dims: projection.umap_map(normalized(vectors), dims) for dims in (2, 3)}
    figures = figures_of(embeddings, people.labels)
    return Crowd(vectors, labels, umap, figures), "\n".join(names[i] for i in index)


def figures_of(embeddings: np.ndarray, labels: np.ndarray) -> Figures:
    """Compute angles and error rates of embeddings (N, D) with labels (N,).

    Raises:
        ValueError: no two photos of one person, or one person only.
    """
    curve = roc(*all_pairs(embeddings, labels, cosine))
    intra, inter = intra_class_angle(embeddings, labels), inter_class_angle(embeddings, labels)
    eer, _ = curve.equal_error_rate()
    return Figures(intra, inter, eer, curve.auc(), len(np.unique(labels)), len(labels))


def save(path: Path, space: Space) -> None:
    """Write an .npz file of plain arrays, atomically; float16 keeps angles to a tenth of a degree."""
    arrays = {
        "umap_variants": space.umap_variants.astype(np.float16),
        "sample": np.frombuffer(bytes.fromhex(space.sample), "u1"),
    }
    for kind in KINDS:
        crowd: Crowd = getattr(space, kind)
        arrays |= {
            f"{kind}_embeddings": crowd.embeddings.astype(np.float16),
            f"{kind}_labels": crowd.labels.astype(np.uint8),
            f"{kind}_umap_2": crowd.umap[2].astype(np.float16),
            f"{kind}_umap_3": crowd.umap[3].astype(np.float16),
            f"{kind}_figures": np.array(
                [getattr(crowd.figures, f.name) for f in fields(Figures)], np.float64
            ),
        }
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)


def names() -> list[str]:
    """Return the models that have a file here, the default first."""
    found = sorted(path.stem for path in FOLDER.glob("*.npz"))
    return sorted(found, key=lambda name: name != DEFAULT_MODEL)


def load(name: str) -> Space:
    """Read a model's file by its name.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = FOLDER / f"{name}.npz"
    if name not in names():
        raise ValueError(f"there is no map of {name!r}; {MAKE}, or take one of: {', '.join(names())}")
    return _load(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _load(path: Path, modified: int) -> Space:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {FORMER_NAMES.get(name, name): file[name] for name in file.files}
        return Space(
            *(_read_crowd(arrays, kind) for kind in KINDS),
            arrays["umap_variants"]
            .astype(np.float32)
            .reshape(len(UMAP_VARIANTS), len(arrays["unseen_labels"]), 2),
            arrays["sample"].tobytes().hex(),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is damaged; {MAKE.replace('MODEL', path.stem)}") from error


def _read_crowd(arrays: dict[str, np.ndarray], kind: str) -> Crowd:
    labels = arrays[f"{kind}_labels"].astype(np.int64)
    count = len(labels)
    umap = {d: arrays[f"{kind}_umap_{d}"].astype(np.float32).reshape(count, d) for d in (2, 3)}
    embeddings = arrays[f"{kind}_embeddings"].astype(np.float32).reshape(count, -1)
    *rates, people, photos = arrays[f"{kind}_figures"].tolist()
    return Crowd(embeddings, labels, umap, Figures(*rates, int(people), int(photos)))


def pca(name: str, kind: str, dims: int) -> projection.Pca:
    """Return principal axes of a crowd's unit vectors; `kind` is one of KINDS."""
    return _pca(getattr(load(name), kind), dims)


@functools.lru_cache(maxsize=64)
def _pca(crowd: Crowd, dims: int) -> projection.Pca:
    return projection.fit_pca(normalized(crowd.embeddings), dims)


def coordinates(name: str, kind: str, method: str, dims: int) -> np.ndarray:
    """Return a finished map of a crowd's unit vectors, (N, dims); `method` is `umap` or `pca`."""
    crowd: Crowd = getattr(load(name), kind)
    if method == "umap":
        return crowd.umap[dims]
    return pca(name, kind, dims).project(normalized(crowd.embeddings))


def place(name: str, kind: str, method: str, dims: int, vector: np.ndarray) -> np.ndarray:
    """Place an embedding (D,) on that map, (dims,): exactly for PCA, among its nearest neighbors for UMAP."""
    if method == "pca":
        return pca(name, kind, dims).project(normalized(vector)[None])[0]
    return projection.place(coordinates(name, kind, method, dims), cosines(name, kind, vector))


def cosines(name: str, kind: str, vector: np.ndarray) -> np.ndarray:
    """Return (N,) cosines of an embedding (D,) of the same model with every photo of a crowd."""
    return cosine_matrix(getattr(load(name), kind).embeddings, vector[None])[:, 0]


def comparable() -> tuple[list[str], list[str]]:
    """Return (models whose files show the same photos, sentences about the others), the default model
    first.
    """
    good, notes, sample = [], [], None
    for name in names():
        try:
            space = load(name)
        except ValueError as error:
            notes.append(str(error))
            continue
        sample = sample or space.sample
        if space.sample == sample:
            good.append(name)
        else:
            notes.append(f"{name} held out other identities than {good[0]}, so the two cannot be compared")
    return good, notes


def nearest_people(name: str, kind: str, vector: np.ndarray, count: int = 3) -> list[tuple[int, float]]:
    """Return the people of a crowd nearest to an embedding (D,): (person from 0, highest cosine), best
    first.
    """
    labels, scores = getattr(load(name), kind).labels, cosines(name, kind, vector)
    best = np.full(labels.max() + 1, -np.inf)
    np.maximum.at(best, labels, scores)
    return [(int(person), float(best[person])) for person in np.argsort(-best, kind="stable")[:count]]
