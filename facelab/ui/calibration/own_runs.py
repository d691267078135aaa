"""Show the reliability of a network that the visitor trained, on photos that it was not trained on."""

from typing import Any

import gradio as gr

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
NOTHING = (
    "No network of yours has photos to judge its confidence by. Train one on synthetic identities, or "
    "fine-tune one in Transfer; photos of your own need held-out ones, which Transfer takes."
)


def has_logits(model: visit.VisitModel) -> bool:
    """Return whether class scores of a model's unlearned photos are there."""
    return model.held_out is not None and model.held_out.logits is not None


def show(name: str | None) -> list[Any]:
    """Return (card, reliability diagram) of a model of the visit."""
    model = visit.models().get(name or "")
    if model is None or not has_logits(model):
        return [cards.hint(NOTHING), None]
    return reliability_of(name, model.held_out.logits, model.held_out.classes)


def section() -> None:
    """Lay the section out."""
    gr.Markdown(TEXT)
    choice = own_choice("Your network", "Trained during this visit.", "own-reliability", has_logits)
    with beside():
        chart = Chart(None, "Reliability diagram of your network", "own-reliability-chart")
        card = gr.HTML(cards.hint(NOTHING), elem_id="own-reliability-card", padding=False)
    choice.change(show, choice, [card, chart], **QUIET)
