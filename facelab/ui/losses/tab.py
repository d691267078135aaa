"""Explore the metric losses in five sections, in the lecture's order.

Center loss, triplets, collapse, margins and pairs have a section and a module each; all numbers come from the
losses that train, through `facelab.lessons`.
"""

import gradio as gr

from facelab.ui.links import Controls
from facelab.ui.losses import center as losses_center
from facelab.ui.losses import collapse as losses_collapse
from facelab.ui.losses import margins as losses_margins
from facelab.ui.losses import pairs as losses_pairs
from facelab.ui.losses import triplets as losses_triplets
from facelab.ui.widgets.prediction import predict

TITLE = "Losses"
LEAD = (
    "Classification needs *separable* features; verification needs *discriminative* ones: small intra-class, "
    "large inter-class distance. **For which embeddings is the gradient of each loss zero, and where is it "
    "largest?**"
)
SECTIONS = {  # in the lecture's order
    "1 · Center loss: compact classes": losses_center,
    "2 · Triplets: easy, semi-hard, hard": losses_triplets,
    "3 · Collapse: all embeddings equal": losses_collapse,
    "4 · Margins: ArcFace, CosFace, A-Softmax": losses_margins,
    "5 · Pairs: contrastive and pairwise": losses_pairs,
}


def build() -> Controls:
    """Lay the tab out; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    _prediction()
    controls: Controls = {}
    for title, module in SECTIONS.items():
        panel = f"losses-{module.__name__.rpartition('.')[2]}"  # links open it by this name
        with gr.Accordion(title, open=not controls, elem_id=panel):
            controls |= module.section()
    return controls


def _prediction() -> None:
    """Ask what training on the hardest triplets alone leads to; the answer is the run of section 3."""
    state = losses_collapse.opening()
    predict(
        "losses",
        "Hard triplets have the largest loss. Does training on the hardest of each anchor alone separate the "
        "identities fastest?",
        ("Yes, fastest", "No, it collapses"),
        int(state.collapsed),
        f"The run of section 3 ends at loss {state.losses[-1]:.3f} with m = {losses_collapse.MARGIN}: all "
        f"embeddings are equal (mean squared distance {state.spreads[-1]:.4f}).",
    )
