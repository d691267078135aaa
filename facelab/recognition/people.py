"""What a gallery of any size can do, wherever its embeddings are: in a folder or on a server."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from facelab.metrics.similarity import normalized


class Match(NamedTuple):
    """A photo that was found: who is on it, its name, and its cosine to the probe."""

    person: str
    name: str
    score: float


class People(Protocol):
    """A gallery: photos of people, kept as embeddings of length 1.

    Attributes:
        model: name of the embedder; embeddings of another one cannot be compared with these.
        dim: D; 0 before the first photo.
    """

    model: str
    dim: int

    def __len__(self) -> int: ...

    def counts(self) -> dict[str, int]:
        """Return the number of photos of each person."""

    def holds(self, person: str, name: str) -> bool:
        """Return whether a photo of a person is enrolled."""

    def add(self, people: Sequence[str], names: Sequence[str], vectors: np.ndarray) -> int:
        """Enroll photos -> how many; those that are there already do not change."""

    def remove(self, person: str) -> int:
        """Remove a person's photos -> how many."""

    def update(self, person: str, names: Sequence[str], vectors: np.ndarray) -> None:
        """Replace a person's photos by others."""

    def search(self, probes: np.ndarray, count: int = 10) -> list[list[Match]]:
        """Find the best photos for each of the probes (P, D), best first."""


def checked_vectors(
    people: Sequence[str] | None, names: Sequence[str] | None, vectors: np.ndarray, dim: int
) -> np.ndarray:
    """Return embeddings as (M, D) float32 of length 1.

    Args:
        people: M names, or None for probes.
        names: M names of photos, or None for probes.
        vectors: (M, D).
        dim: D of the gallery; 0 allows any.

    Raises:
        ValueError: another shape, an empty name, NaN, or a vector of zeros.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or not vectors.size or (dim and vectors.shape[1] != dim):
        raise ValueError(f"embeddings have the shape {vectors.shape}; give (N, {dim or 'D'}) with N >= 1")
    if people is not None and not len(people) == len(names) == len(vectors):
        raise ValueError(
            f"{len(people)} people, {len(names)} photos and {len(vectors)} embeddings; give one each"
        )
    if people is not None and not all(people):
        raise ValueError("a person has no name; give one")
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("an embedding holds NaN or infinity, or has no direction; make it again")
    return normalized(vectors)
