"""Show the reliability of a network that the visitor trained, on photos that it was not trained on."""

from typing import Any

import gradio as gr

from facelab.evaluation.run_log import PAIR_LOSSES
from facelab.recognition import visit
from facelab.ui.visit import QUIET, own_choice
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.vector_cards import reliability_of

TEXT = (
    "### Your own network\nA network that you train in Train or fine-tune in Transfer appears here. **Is it "
    "overconfident, and does more label smoothing in Train change that?**"
)
BRING = "Bring embeddings with logits in Own instead."
NOTHING = "No network of yours is here; train one in Train, or fine-tune one in Transfer."


def missing(model: visit.VisitModel) -> str:
    """Return why there are no class scores of photos that a model has not learned; empty if there are."""
    if model.network is None:
        return f"{model.name} is an ONNX graph, which gives embeddings and no class scores. {BRING}"
    if model.held_out is None:
        return f"The photos that the run of {model.name} held out are not here. {BRING}"
    if model.held_out.logits is not None:
        return ""
    if model.header.recipe.loss in PAIR_LOSSES:
        return (
            f"{model.name} was trained with {model.header.recipe.loss}, which compares embeddings and gives "
            "no probability of an identity; train with softmax."
        )
    return (
        f"{model.name} was trained on photos of yours, of which Train holds out whole people: the network "
        "has no class for them. Fine-tune in Transfer, which holds out photos of each training identity."
    )


def show(name: str | None) -> list[Any]:
    """Return (card, reliability diagram) of a model of the visit."""
    model = visit.models().get(name or "")
    if model is None:
        return [cards.hint(NOTHING), None]
    if why_not := missing(model):
        return [cards.hint(why_not), None]
    return reliability_of(name, model.held_out.logits, model.held_out.classes)


def section() -> None:
    """Lay the section out."""
    gr.Markdown(TEXT)
    choice = own_choice(
        "Your network", "Trained or brought during this visit.", "own-reliability", lambda model: True
    )
    with beside():
        chart = Chart(None, "Reliability diagram of your network", "own-reliability-chart")
        card = gr.HTML(cards.hint(NOTHING), elem_id="own-reliability-card", padding=False)
    choice.change(show, choice, [card, chart], **QUIET)
