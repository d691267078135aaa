"""Models of a visit: networks that a visitor trained or brought, for the time of one request.

The page keeps them in the visitor's session and puts them in reach of a request before it runs (`reachable`);
another visitor's request, a public endpoint or a command finds none. A name ends with a digest of the
weights, so that two models with the same recipe are told apart, also in an exported gallery.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from facelab.models import zoo
from facelab.models.checkpoint import Header
from facelab.models.model import FaceModel

if TYPE_CHECKING:
    from facelab.recognition.embedder import Embedder


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a run held out, as its network sees it.

    Attributes:
        labels: (N,) person of each held-out photo, from 0.
        after: (N, D) embeddings by the trained network, mirrored crops added.
        before: (N, D) by the network before its first step.
        unseen: whether these people were not trained on.
        logits: (M, K) class scores of photos of the training identities that were not trained on, or None.
        classes: (M,) their identities.
        faces: up to three rendered crops (112, 112, 3) uint8, two of one identity, then another; empty where
            the photos are a visitor's.
    """

    labels: np.ndarray
    after: np.ndarray
    before: np.ndarray
    unseen: bool
    logits: np.ndarray | None = None
    classes: np.ndarray | None = None
    faces: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class VisitModel:
    """A model of a visit.

    Attributes:
        embedder: what the tabs use; its name is the model's.
        said: where it comes from, in a sentence.
        network: None for a model that is not a checkpoint of ours.
        header: of the checkpoint; None for another model.
        held_out: what its run held out; None for a file.
        kept: what the page derived from it.
        end: ends what runs for it; None if nothing does.
    """

    embedder: "Embedder"
    said: str
    network: FaceModel | None = None
    header: Header | None = None
    held_out: HeldOut | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    end: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def size(self) -> int:
        """Return the bytes of weights and embeddings in this process."""
        held = self.held_out
        arrays = (held.after, held.before, held.logits, *held.faces) if held else ()
        weights = self.network.state_dict().values() if self.network else ()
        return sum(value.nbytes for value in (*weights, *arrays) if value is not None)

    def forget(self) -> None:
        """Overwrite weights and embeddings, once the visit is over."""
        self.kept.clear()
        if self.end:
            self.end()
        for value in self.network.state_dict().values() if self.network else ():
            value.zero_()
        held = self.held_out
        for array in (held.after, held.before, held.logits, *held.faces) if held else ():
            if array is not None and array.flags.writeable:
                array.fill(0)


Models = Mapping[str, VisitModel]
NAME = re.compile(r".* #[0-9a-f]{6}", re.DOTALL)  # as `named` gives them
_REACHABLE: ContextVar[Models] = ContextVar("models of the visit")


@contextlib.contextmanager
def reachable(models: Models) -> Iterator[None]:
    """Let the functions below, `embedder.load`, and a training that begins from one find these models, for
    this request only and for what runs in a copy of its context.
    """
    networks = {name: (model.network, model.header) for name, model in models.items() if model.network}
    tokens = _REACHABLE.set(models), zoo.OWN.set(networks)
    try:
        yield
    finally:
        _REACHABLE.reset(tokens[0])
        zoo.OWN.reset(tokens[1])


def models() -> Models:
    """Return the models of this request's visit by name; none outside a request of the page."""
    return _REACHABLE.get({})


def network_of(name: str) -> FaceModel:
    """Return the network of a model of this visit, or of a checkpoint's name or path, in eval mode.

    Raises:
        ValueError: unknown name, damaged file, or a model without a network of ours.
    """
    own = models().get(name)
    if own is None:
        return zoo.network_of(name)
    if own.network is None:
        raise ValueError(f"{name} is an ONNX graph, whose layers are not open; bring its checkpoint instead")
    return own.network


def named(title: str, network: FaceModel) -> str:
    """Return a title with six digits of a digest of a network's weights."""
    found = hashlib.blake2b(digest_size=3)
    for value in network.state_dict().values():
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return f"{title} #{found.hexdigest()}"
