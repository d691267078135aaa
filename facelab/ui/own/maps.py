"""Maps of one run or two: PCA at once, UMAP on request while PCA stays on the page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import gradio as gr
from gradio.events import Dependency

from facelab.data.images import printable
from facelab.evaluation.own_maps import Mapped
from facelab.lessons import projection
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.current import NOTE, Shown
from facelab.ui.widgets.linked_maps import People
from facelab.ui.widgets.vector_cards import MISLEADS, projected_map

SLOTS = ("A", "B")
METHODS = [("PCA", "pca"), ("UMAP", "umap")]
LEAST = 5  # photos of a UMAP
LONGEST = 40  # characters of a name on a map
WAIT = (
    "UMAP is being computed; the maps show PCA until then. The first fit of a new server compiles for half "
    "a minute, later ones take seconds."
)
APART = "The runs have no photos in common (by their names), so their maps are not linked."
FEW = f"UMAP needs {LEAST} photos of known identities; the maps show PCA."


@dataclass(frozen=True, eq=False)
class Maps:
    """What is drawn of the runs that were evaluated, and their titles, by slot; and a key of its own."""

    titles: dict[str, str]
    drawn: dict[str, Mapped]
    key: str = field(default_factory=lambda: uuid4().hex)


def draw(maps: Maps, method: str) -> list[Any]:
    """Return (map of run A, map of run B, note) by `pca` or `umap`.

    Raises:
        ValueError: umap-learn is not installed.
    """
    figures = [_map(maps, slot, method) for slot in SLOTS]
    return [*figures, cards.hint(" ".join(_notes(maps, method))) if maps.drawn else ""]


def _map(maps: Maps, slot: str, method: str) -> Any:
    one = maps.drawn.get(slot)
    if one is None:
        return None
    people = [printable(name)[:LONGEST].replace("<", "‹").replace(">", "›") for name in one.people]
    photos = maps.key if one.linked else f"{maps.key} {slot}"
    return projected_map(maps.titles[slot], one.embeddings, one.labels, method, people, photos)


def _notes(maps: Maps, method: str) -> list[str]:
    first, *others = maps.drawn.values()
    out = [MISLEADS[method]]
    if others and not first.linked:
        out.append(APART)
    for one in [first] if first.linked else maps.drawn.values():
        if len(one.labels) < one.photos:
            out.append(
                f"{len(one.labels):,} of {one.photos:,} photos are drawn, sampled by whole identities."
            )
    return out


def on_method(maps: Maps | None, method: str, shown: Shown) -> Iterator[list[Any]]:
    """Draw the maps by another method, PCA and a note first where UMAP is asked for.

    What is computed for runs or a method that the page no longer shows is dropped.
    """
    if maps is None:
        yield [gr.skip()] * 3
        return
    *figures, note = draw(maps, "pca")
    waits = method == "umap" and bool(maps.drawn)
    few = waits and max(len(one.labels) for one in maps.drawn.values()) < LEAST
    yield [*figures, cards.hint(FEW if few else WAIT) if waits else note]
    if not waits or few:
        return
    try:
        projection.warm_up().join()
        out = draw(maps, method)
    except ValueError as error:
        out = [gr.skip(), gr.skip(), cards.problem(f"{error}.")]
    yield out if shown.fits(maps=maps, method=method) else [gr.skip()] * 3


def on_run(maps: Maps | None, method: str, shown: Shown) -> Iterator[list[Any]]:
    """Draw the maps of an evaluation by UMAP, if that is chosen; PCA is drawn already."""
    if method == "pca":
        yield [gr.skip()] * 3
    else:
        yield from on_method(maps, method, shown)


def note_method(shown: Shown, method: str) -> None:
    """Record the method that is chosen on the page."""
    shown.note(method=method)


def forget(maps: Maps | None) -> None:
    """Overwrite the embeddings of a visit that is over."""
    for one in maps.drawn.values() if maps else ():
        one.embeddings.fill(0)


def build() -> list[Any]:
    """Lay the maps out, empty; return [map of run A, map of run B, note]."""
    with beside():
        shown = [Chart(None, f"Map of run {slot}", f"own-map-{slot.lower()}") for slot in SLOTS]
    People(0, ("own-map-a", "own-map-b"), "own-map-people")
    return [*shown, gr.HTML("", elem_id="own-map-note", padding=False)]


def choice() -> gr.Radio:
    """Lay out the choice of the projection."""
    return gr.Radio(METHODS, value="pca", label="Maps", elem_id="own-method",
                    info="PCA is drawn at once; UMAP preserves neighborhoods and takes seconds.")  # fmt: skip


def connect(run: Dependency, maps: gr.State, method: gr.Radio, shown: gr.State, parts: list[Any]) -> None:
    """Draw the maps again after an evaluation and after another choice.

    Args:
        run: the event that evaluates.
        maps, method, shown: the components of `on_method`.
        parts: those that `build` lays out.
    """
    noted = method.change(note_method, [shown, method], None, **NOTE)
    for event, draws in ((run, on_run), (noted, on_method)):
        event.then(draws, [maps, method, shown], parts, show_progress_on=parts[-1], concurrency_limit=1,
                   concurrency_id="umap", trigger_mode="multiple", api_visibility="private")  # fmt: skip
