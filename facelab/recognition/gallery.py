"""Gallery of enrolled people, kept as embeddings only, with closed-set and open-set identification.

The closed-set answer is the person of the nearest photo; the open-set answer is the same person if the score
reaches a threshold, and otherwise "unknown" (Phillips, Grother and Micheals, "Evaluation Methods in Face
Recognition", 2011). A person's score is that of their best photo, because thresholds are measured on pairs of
photos; a mean of several photos would need a separate threshold.
"""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.embeddings import load_embeddings
from facelab.data.identities import who_is_on
from facelab.data.images import ImageFolder, printable
from facelab.metrics.identification import Search
from facelab.models.zoo import DEFAULT_MODEL
from facelab.photos.conditions import measure, warnings_of
from facelab.photos.faces import Source, main_face
from facelab.recognition.embedder import MATRICES, Embedder, load
from facelab.recognition.verify import detect

MAX_PHOTOS = 500  # a page's gallery; larger sets are judged by `python -m facelab evaluate --identify`
MAX_NAME = 60  # characters
NamedPhoto = tuple[str, str, Callable[[], Source]]  # person, name of the photo, what reads it


@dataclass(frozen=True, eq=False)
class Gallery:
    """Hold the enrolled people.

    Attributes:
        model: name of the embedder; embeddings of another one cannot be compared with these.
        people: N names, the person on each photo.
        embeddings: (N, D) float32.
    """

    model: str
    people: tuple[str, ...] = ()
    embeddings: np.ndarray | None = None

    def counts(self) -> dict[str, int]:
        """Return the number of photos of each person, in the order of enrollment."""
        return {person: self.people.count(person) for person in dict.fromkeys(self.people)}


@dataclass(frozen=True, eq=False)
class Enrollment:
    """Hold a gallery after adding photos.

    Attributes:
        gallery: the gallery with the photos in which a face was found.
        crops: person and face (112, 112, 3) uint8 of each of these photos.
        failures: one sentence for each other photo, beginning with its name.
    """

    gallery: Gallery
    crops: tuple[tuple[str, np.ndarray], ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Hold the closed-set and open-set answers for a face.

    Attributes:
        model: name of the embedder.
        ranks: everyone in the gallery and their score, best first.
        threshold: minimum score of the open-set answer.
        far: false accept rate of one comparison, which sets the threshold.
        photos: number of photos in the gallery, one comparison each.
    """

    model: str
    ranks: tuple[tuple[str, float], ...]
    threshold: float
    far: float
    photos: int

    @property
    def closed_set(self) -> str:
        """Return the nearest person at any distance."""
        return self.ranks[0][0]

    @property
    def open_set(self) -> str | None:
        """Return the nearest person if the score reaches the threshold; None is "unknown"."""
        return self.closed_set if self.ranks[0][1] >= self.threshold else None

    @property
    def stranger_accepted(self) -> float:
        """Return the FPIR, 1 - (1 - FAR)^photos, on the assumption that comparisons are independent."""
        return 1 - (1 - self.far) ** self.photos


def add(gallery: Gallery, people: Sequence[str], embeddings: np.ndarray) -> Gallery:
    """Return the gallery with more photos; a photo that it already has is not counted twice.

    Args:
        gallery: not changed.
        people: M names, the person on each new photo.
        embeddings: (M, D).

    Raises:
        ValueError: an unusable name, embeddings of another length, or too many photos.
    """
    people = [checked_name(person) for person in people]
    embeddings = np.asarray(embeddings, np.float32)
    if gallery.embeddings is not None:
        _check_length(gallery, embeddings)
        people = [*gallery.people, *people]
        embeddings = np.concatenate([gallery.embeddings, embeddings])
    once: dict[tuple[str, bytes], int] = {}
    for i, (person, row) in enumerate(zip(people, embeddings)):
        once.setdefault((person, row.tobytes()), i)
    if len(once) > MAX_PHOTOS:
        raise ValueError(f"{len(once)} photos are too many; a gallery here holds {MAX_PHOTOS} at most")
    kept = list(once.values())
    return Gallery(gallery.model, tuple(people[i] for i in kept), embeddings[kept])


def enroll(gallery: Gallery, photos: Iterable[NamedPhoto]) -> Enrollment:
    """Add the main face of each photo; photos without one are omitted and named.

    Args:
        gallery: not changed.
        photos: new photos.

    Raises:
        ValueError: an unusable name, too many photos, or a missing model.
    """
    embedder, people, vectors, crops, failures = load(gallery.model), [], [], [], []
    for person, name, read in photos:
        person = checked_name(person)
        try:
            detection = detect(read(), name)
        except ValueError as error:
            failures.append(str(error))
            continue
        face = main_face(detection.faces, detection.photo)
        people.append(person)
        vectors.append(embedder.embed(detection.photo, [face])[0])
        crops.append((person, face.crop))
    if vectors:
        gallery = add(gallery, people, np.stack(vectors))
    return Enrollment(gallery, tuple(crops), tuple(failures))


def photos_in_zip(path: str | os.PathLike) -> tuple[list[NamedPhoto], tuple[str, ...]]:
    """Return the photos of a zip by person, for `enroll`; the zip is read in memory, not unpacked.

    Returns:
        (photos, how a zip without one folder per person was read).

    Raises:
        ValueError: not a safe zip of images, names from which no identity follows, or too many photos.
    """
    folder = ImageFolder(path)
    found = who_is_on(folder)
    if (count := len(found.people)) > MAX_PHOTOS:
        name = printable(folder.path.name)
        raise ValueError(f"{name} holds {count} photos; a gallery here holds {MAX_PHOTOS} at most")
    people = {name: person for name, person in found.people.items() if not folder.in_doubt(name)}
    if not people:
        raise ValueError(folder.notes[-1])  # nobody is enrolled under a name in doubt
    unique = len({PurePosixPath(person).name for person in people.values()}) == len(set(people.values()))
    return [
        (PurePosixPath(person).name if unique else person, name, partial(folder.read, name))
        for name, person in people.items()
    ], found.notes


def ask(gallery: Gallery, embedder: Embedder, probe: np.ndarray, far: float) -> Answer:
    """Compare one embedding (D,) with everyone; no network runs.

    Args:
        gallery: at least one person.
        embedder: the embedder of gallery and probe.
        probe: (D,).
        far: false-accept rate of one comparison, in the range that was measured.

    Raises:
        ValueError: no one is enrolled, or the rate or the probe is invalid.
    """
    if gallery.embeddings is None:
        raise ValueError("No person is enrolled yet; enroll at least one person below.")
    _check_length(gallery, probe[None])
    scores = MATRICES[embedder.score](probe[None], gallery.embeddings)[0]
    best: dict[str, float] = {}
    for person, score in zip(gallery.people, scores.tolist()):
        best[person] = max(score, best.get(person, -np.inf))
    ranks = tuple(sorted(best.items(), key=lambda item: -item[1]))
    threshold = embedder.calibrated().threshold_for(far)
    return Answer(gallery.model, ranks, threshold, far, len(gallery.people))


def identify(photo: Source, gallery: Gallery, far: float) -> dict[str, object]:
    """Identify the main face of a photo; this is the endpoint /identify.

    Returns:
        {"model", "closed_set" (a name), "open_set" (a name, or None for unknown), "score", "threshold",
        "far", "stranger_accepted", "ranks": [{"person", "score"}, ...], "warnings" (sentences)}.

    Raises:
        ValueError: one sentence that says what to do.
    """
    embedder = load(gallery.model)
    embedder.calibrated().threshold_for(far)  # refuse a bad rate before the photo is read
    detection = detect(photo, "The photo")
    face = main_face(detection.faces, detection.photo)
    probe = embedder.embed(detection.photo, [face])[0]
    answer = ask(gallery, embedder, probe, far)
    names = ("model", "closed_set", "open_set", "threshold", "far", "stranger_accepted")
    return {name: getattr(answer, name) for name in names} | {
        "score": answer.ranks[0][1],
        "ranks": [{"person": person, "score": score} for person, score in answer.ranks],
        "warnings": warnings_of(measure(face, detection.photo)),
    }


def leave_one_out(gallery: Gallery, embedder: Embedder) -> Search:
    """Search each photo in turn as probe, with all others as gallery.

    A person with two or more photos remains in the gallery (mated probe); a person with one photo does not
    (unmated probe). The result feeds the curves of metrics/identification.py without further photos.

    Raises:
        ValueError: fewer than two people.
    """
    people, person = np.unique(np.array(gallery.people), return_inverse=True)
    if len(people) < 2:
        raise ValueError("a curve needs two people or more; enroll another")
    scores = MATRICES[embedder.score](gallery.embeddings, gallery.embeddings).astype(np.float64)
    np.fill_diagonal(scores, -np.inf)  # the probe itself is not in its gallery
    best = np.full((len(people), len(person)), -np.inf)
    np.maximum.at(best, person, scores.T)
    mated = np.bincount(person)[person] > 1
    mate = best[person, np.arange(len(person))]
    rank = np.where(mated, (best >= mate).sum(0), 0)
    return Search(best.max(0), np.where(mated, mate, np.nan), rank)


def export(gallery: Gallery) -> bytes:
    """Return the gallery as the content of an .npz file, without images: names `person/number@model` and
    embeddings.

    Raises:
        ValueError: no one is enrolled.
    """
    if gallery.embeddings is None:
        raise ValueError("No person is enrolled, so there is nothing to export.")
    names = [f"{person}/{i:04d}@{gallery.model}" for i, person in enumerate(gallery.people, 1)]
    buffer = io.BytesIO()
    np.savez(buffer, names=np.array(names), embeddings=gallery.embeddings)
    return buffer.getvalue()


def load_gallery(path: str | os.PathLike, model: str = DEFAULT_MODEL) -> Gallery:
    """Read the result of `export`.

    Raises:
        ValueError: another kind of file, or embeddings of another model.
    """
    names, embeddings = load_embeddings(path, MAX_PHOTOS)
    people = [name.rpartition("@")[0].rpartition("/")[0] for name in names]
    models = {name.rpartition("@")[2] for name in names}
    if not all(people):
        raise ValueError(f"{Path(path).name} is not a gallery; its names must be `person/number@model`")
    if models != {model}:
        raise ValueError(
            f"{Path(path).name} holds embeddings of {', '.join(sorted(models))}, which {model} cannot "
            "compare; choose that model or enroll the photos again"
        )
    return add(Gallery(model), people, embeddings)


def checked_name(name: str) -> str:
    """Return a person's name with single spaces.

    Raises:
        ValueError: it is empty or too long.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"a name has 1 to {MAX_NAME} characters, not {len(name)}; give the person a name")
    return name


def _check_length(gallery: Gallery, embeddings: np.ndarray) -> None:
    wanted, given = gallery.embeddings.shape[1], embeddings.shape[1]
    if given != wanted:
        raise ValueError(
            f"these embeddings have D = {given}, the gallery has D = {wanted}; enroll the photos again"
        )
