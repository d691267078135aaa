"""Compare six UMAP projections of the same embeddings, and a seventh with the visitor's settings.

The six are shipped. The seventh is fitted here on request: UMAP compiles for half a minute in a fresh
process, which starts in the background when the panel is opened.
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
    "The same embeddings of the left model (unseen identities), projected six times. Only UMAP’s random "
    "*seed* and the size of its neighborhoods (*n_neighbors*) differ. **What is equal in all six is likely a "
    "property of the data; what changes is an artifact of the projection.** Compare the position and size of "
    "a cluster, and which clusters touch."
)


def show_six(name: str) -> Any:
    """Draw the shipped maps of a model."""
    space = lesson.load(name)
    return umap_variant_maps(space.umap_variants, space.unseen.labels)


def on_open(name: str) -> Any:
    """Show the six maps when the panel opens, and compile UMAP meanwhile."""
    projection.warm_up()
    return show_six(name)


def fit(name: str, neighbors: int, seed: int) -> list[Any]:
    """Return (a new UMAP, its settings), or an error card."""
    crowd = lesson.load(name).unseen
    projection.warm_up().join()
    try:
        at = projection.umap_map(normalized(crowd.embeddings), 2, int(neighbors), int(seed or 0))
    except ValueError as error:
        return [None, cards.problem(str(error))]
    note = (
        f"UMAP of {len(at)} embeddings of {name} with n_neighbors {int(neighbors)} and seed {int(seed or 0)}."
    )
    return [own_map(at, crowd.labels), cards.hint(note)]


def section(left: gr.Dropdown) -> None:
    """Lay out the panel, closed at first, for the model that is chosen on the left."""
    with gr.Accordion(
        "Can I trust this map? Six UMAPs of the same embeddings", open=False, elem_id="space-honest"
    ) as panel:
        gr.Markdown(TEXT)
        six = Chart(None, "Six UMAP maps of the same photos", "space-six")
        with gr.Row(elem_classes="fl-controls"):
            neighbors = gr.Slider(2, 100, 15, step=1, label="n_neighbors", elem_id="space-neighbors",
                                   info="Small: local structure; large: global.")  # fmt: skip
            seed = gr.Number(3, precision=0, minimum=0, label="seed", info="Of the random initialization.")
        run = gr.Button("Fit a seventh UMAP", size="sm")
        note = gr.HTML(
            cards.hint("The first fit of a new server compiles for half a minute; later ones take a second."),
            elem_id="space-seventh-note",
            padding=False,
        )
        own = Chart(None, "UMAP with your settings", "space-seventh")
    panel.expand(on_open, left, six, api_visibility="private", show_progress="hidden")
    left.change(show_six, left, six, api_visibility="private", show_progress="hidden")
    run.click(
        fit, [left, neighbors, seed], [own, note], api_visibility="private", show_progress_on=note,
        concurrency_limit=1, concurrency_id="umap",
    )  # fmt: skip
