"""The same gallery on a Qdrant server, for galleries that one machine does not hold.

Every point is a photo with its person and name, under an identifier made of both, so that an upload that was
stopped goes on without doubles. Search is exact unless that is turned off: thresholds and DIR@FAR assume
that the best photo is found, and an HNSW graph misses some.
"""

import contextlib
import uuid
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facelab.recognition.people import Match, checked_vectors
from facelab.settings.extras import explained

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Filter

BATCH = 256  # points of one request: half a megabyte at D = 512
MOST_PEOPLE = 10_000_000  # that are counted
SPACE = uuid.UUID("6f3c9f0e-5d0c-4d55-9a58-0d6a2f9b7c11")  # of the identifiers


def connect(url: str) -> "QdrantClient":
    """Return a client of the server at an address; `:memory:` is a small one in this process, for tests.

    Raises:
        MissingExtraError: qdrant-client is not installed.
        ValueError: no server answers.
    """
    with explained():
        from qdrant_client import QdrantClient
    if url == ":memory:":
        return QdrantClient(":memory:")
    client = QdrantClient(url=url, timeout=60, check_compatibility=False)
    with answered(url):
        client.get_collections()
    return client


@contextlib.contextmanager
def answered(url: str) -> Iterator[None]:
    """Turn a failed request into one sentence.

    Raises:
        ValueError: the server does not answer, or refuses.
    """
    with explained():
        from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        words = f"no Qdrant server answers at {url}, or it refuses ({' '.join(str(error).split())[:80]})"
        raise ValueError(f"{words}; start it and run the command again, which goes on") from error


class QdrantGallery:
    """People and their embeddings in a collection of a server; see `facelab.recognition.people.People`.

    Args:
        client: what `connect` returns.
        name: of the collection.
        model: name of the embedder for a new collection; None opens one that is there.
        exact: score every embedding; False asks the server's HNSW graph, which is faster and misses some.

    Attributes:
        model: name of the embedder.

    Raises:
        ValueError: no such collection, or one of another model.
    """

    def __init__(
        self, client: "QdrantClient", name: str, model: str | None = None, exact: bool = True
    ) -> None:
        self.client, self.name, self.exact = client, name, exact
        self.dim = 0
        if not client.collection_exists(name):
            if model is None:
                raise ValueError(
                    f"the server has no gallery {name!r}; `python -m facelab gallery build` makes one"
                )
            self.model = model
            return
        config = client.get_collection(name).config
        self.model = str((config.metadata or {}).get("model", ""))
        self.dim = getattr(config.params.vectors, "size", 0)
        if not self.model or not self.dim:
            raise ValueError(f"{name!r} on the server was not made by facelab; choose another name")
        if model not in (None, self.model):
            raise ValueError(f"{name!r} holds embeddings of {self.model}, not of {model}; choose that model")

    def __len__(self) -> int:
        return self.client.count(self.name, exact=True).count if self.dim else 0

    def counts(self) -> dict[str, int]:
        """Return the number of photos of each person."""
        if not self.dim:
            return {}
        found = self.client.facet(self.name, key="person", limit=MOST_PEOPLE, exact=True)
        return {str(hit.value): hit.count for hit in found.hits}

    def holds(self, person: str, name: str) -> bool:
        """Return whether a photo of a person is enrolled."""
        return bool(self.dim and self._there([_identifier(person, name)]))

    def add(self, people: Sequence[str], names: Sequence[str], vectors: np.ndarray) -> int:
        """Enroll photos -> how many; those that are there already do not change.

        Raises:
            ValueError: numbers or lengths that do not fit.
        """
        vectors = checked_vectors(people, names, vectors, self.dim)
        self._create(vectors.shape[1])
        added = 0
        for start in range(0, len(vectors), BATCH):
            part = slice(start, start + BATCH)
            added += self._upload(people[part], names[part], vectors[part])
        return added

    def remove(self, person: str) -> int:
        """Remove a person's photos -> how many."""
        if not self.dim:
            return 0
        chosen = self._of(person)
        count = self.client.count(self.name, count_filter=chosen, exact=True).count
        self.client.delete(self.name, chosen, wait=True)
        return count

    def update(self, person: str, names: Sequence[str], vectors: np.ndarray) -> None:
        """Replace a person's photos by others; a stop in between leaves the person without photos."""
        checked_vectors([person] * len(names), names, vectors, self.dim)
        self.remove(person)
        self.add([person] * len(names), names, vectors)

    def search(self, probes: np.ndarray, count: int = 10) -> list[list[Match]]:
        """Find the best photos for each of the probes (P, D), best first.

        Raises:
            ValueError: no one is enrolled, or probes of another length.
        """
        if not len(self):
            raise ValueError(f"{self.name} has no one in it; add a person first")
        from qdrant_client import models

        probes = checked_vectors(None, None, probes, self.dim)
        how = models.SearchParams(exact=self.exact)
        asked = [
            models.QueryRequest(query=probe.tolist(), limit=count, with_payload=True, params=how)
            for probe in probes
        ]
        with warnings.catch_warnings():  # the small one in this process is exact whatever it is told
            warnings.filterwarnings("ignore", message="Local mode performs exact")
            answers = self.client.query_batch_points(self.name, asked)
        return [
            [
                Match(p.payload["person"], p.payload["name"], float(np.clip(p.score, -1, 1)))
                for p in one.points
            ]
            for one in answers
        ]

    def _create(self, dim: int) -> None:
        """Create the collection with the first embeddings, from which its dimension follows."""
        if self.dim:
            return
        from qdrant_client import models

        cosine = models.VectorParams(size=dim, distance=models.Distance.COSINE, on_disk=True)
        self.client.create_collection(self.name, vectors_config=cosine, metadata={"model": self.model})
        with warnings.catch_warnings():  # the small one in this process needs no index
            warnings.filterwarnings("ignore", message="Payload indexes have no effect")
            self.client.create_payload_index(self.name, "person", models.PayloadSchemaType.KEYWORD)
        self.dim = dim

    def _upload(self, people: Sequence[str], names: Sequence[str], vectors: np.ndarray) -> int:
        """Send one batch without what the server has -> the number sent."""
        from qdrant_client import models

        keys = {_identifier(person, name): i for i, (person, name) in enumerate(zip(people, names))}
        for known in self._there([*keys]):
            del keys[known]
        if keys:
            payloads = [{"person": people[i], "name": names[i]} for i in keys.values()]
            points = models.Batch(ids=[*keys], vectors=vectors[[*keys.values()]].tolist(), payloads=payloads)
            self.client.upsert(self.name, points, wait=True)
        return len(keys)

    def _there(self, keys: list[str]) -> set[str]:
        return {str(p.id) for p in self.client.retrieve(self.name, keys, with_payload=False)}

    def _of(self, person: str) -> "Filter":
        from qdrant_client import models

        match = models.FieldCondition(key="person", match=models.MatchValue(value=person))
        return models.Filter(must=[match])


def _identifier(person: str, name: str) -> str:
    return str(uuid.uuid5(SPACE, f"{person}\0{name}"))
