"""Is it the data or the map? Six UMAPs of the same vectors, and one more of the visitor's choice.

The six are shipped. The seventh is fitted here, on request only: UMAP compiles for half a minute in a fresh
process, which begins in the background when the panel is opened.
"""

from typing import Any

import gradio as gr

from facelab.lessons import projection
from facelab.lessons import space as lesson
from facelab.metrics.similarity import normalized
from facelab.plots.space import own_map, umap_variant_maps
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart

TEXT = (
    "The same vectors of the left model’s people (never seen by training), six times. Only UMAP’s random "
    "start (*seed*) and how many neighbors it listens to (*n_neighbors*) differ. **What stays the same in "
    "all six is likely to be in the data; what changes is the map’s.** Watch where a person’s group lies, "
    "how large it is, and which groups touch."
)


def show_six(name: str) -> Any:
    """The shipped maps of a model."""
    space = lesson.load(name)
    return umap_variant_maps(space.umap_variants, space.unseen.labels)


def on_open(name: str) -> Any:
    """The panel was opened: show the six, and let UMAP compile meanwhile."""
    projection.warm_up()
    return show_six(name)


def fit(name: str, neighbors: int, seed: int) -> list[Any]:
    """(a fresh UMAP, what it is), or why there is none."""
    crowd = lesson.load(name).unseen
    projection.warm_up().join()
    try:
        at = projection.umap_map(normalized(crowd.embeddings), 2, int(neighbors), int(seed or 0))
    except ValueError as error:
        return [None, cards.problem(str(error))]
    note = f"UMAP of {len(at)} vectors of {name} with n_neighbors {int(neighbors)} and seed {int(seed or 0)}."
    return [own_map(at, crowd.labels), cards.hint(note)]


def section(left: gr.Dropdown) -> None:
    """The panel, closed at first, for the model that is chosen on the left."""
    with gr.Accordion(
        "Can I trust this map? Six UMAPs of one cloud", open=False, elem_id="space-honest"
    ) as panel:
        gr.Markdown(TEXT)
        six = Chart(None, "Six UMAP maps of the same photos", "space-six")
        with gr.Row(elem_classes="fl-controls"):
            neighbors = gr.Slider(2, 100, 15, step=1, label="n_neighbors", elem_id="space-neighbors",
                                   info="Few show small groups, many the large ones.")  # fmt: skip
            seed = gr.Number(3, precision=0, minimum=0, label="seed", info="Of UMAP’s random start.")
        run = gr.Button("Fit a seventh UMAP", size="sm")
        note = gr.HTML(
            cards.hint(
                "The first fit of a fresh server compiles for half a minute; later ones take a second."
            ),
            elem_id="space-seventh-note",
            padding=False,
        )
        own = Chart(None, "The UMAP map that you asked for", "space-seventh")
    panel.expand(on_open, left, six, api_visibility="private", show_progress="hidden")
    left.change(show_six, left, six, api_visibility="private", show_progress="hidden")
    run.click(
        fit, [left, neighbors, seed], [own, note], api_visibility="private", show_progress_on=note,
        concurrency_limit=1,
    )  # fmt: skip
