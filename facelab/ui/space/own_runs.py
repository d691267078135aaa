"""Show the held-out photos of a visitor's own network, before its first step and after its last."""

from typing import Any

import gradio as gr
import numpy as np

from facelab.data.formats.vectors import Vectors
from facelab.evaluation.own_vectors import judge_vectors
from facelab.recognition import visit
from facelab.ui.visit import QUIET, own_choice
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.linked_maps import People
from facelab.ui.widgets.vector_cards import figures_card, pca_map

TEXT = (
    "### Your own network, before and after training\nA network that you train in Train or fine-tune in "
    "Transfer appears here with the photos that it held out. **Did photos of one identity move together, "
    "although the network never saw that identity?**"
)
NOTHING = (
    "No network of this visit has held-out photos yet; train one in Train, or fine-tune one in Transfer."
)
WHO = {True: "identities that were not trained on", False: "held-out photos of the training identities"}


def has_held_out(model: visit.VisitModel) -> bool:
    """Return whether a model comes with what its run held out."""
    return model.held_out is not None


def show(name: str | None) -> list[Any]:
    """Return (map before, its card, map after, its card) of a model of the visit."""
    model = visit.models().get(name or "")
    if model is None or model.held_out is None:
        return [None, cards.hint(NOTHING), None, ""]
    held, out = model.held_out, []
    for when, embeddings in (("before training", held.before), ("after training", held.after)):
        out += [pca_map(f"{when}, PCA", embeddings, held.labels), card(when, embeddings, held)]
    return out


def card(when: str, embeddings: np.ndarray, held: visit.HeldOut) -> str:
    """Return the figures of the held-out photos in one of the two networks."""
    people = tuple(str(label) for label in held.labels)
    try:
        report = judge_vectors(Vectors(tuple(map(str, range(len(people)))), embeddings, people))
    except ValueError as error:
        return cards.hint(f"Figures are missing: {error}.")
    notes = [
        f"{len(people)} photos of {report['identities']} {WHO[held.unseen]}, measured in all "
        f"{embeddings.shape[1]} dimensions, mirrored crops added; the map shows two.",
        "Few identities: another seed can change these figures considerably.",
    ]
    return figures_card(when.capitalize(), report, notes)


def section() -> None:
    """Lay the section out."""
    gr.Markdown(TEXT)
    choice = own_choice("Your network", "Trained during this visit.", "own-space", has_held_out)
    shown = []
    with beside():
        for side, first in (("before", cards.hint(NOTHING)), ("after", "")):
            with gr.Column(min_width=0):
                chart = Chart(None, f"Embeddings of held-out photos {side} training", f"own-{side}")
                shown += [chart, gr.HTML(first, elem_id=f"own-{side}-card", padding=False)]
    People(0, ("own-before", "own-after"), "own-people")
    choice.change(show, choice, shown, **QUIET)
