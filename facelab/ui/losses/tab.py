"""Explore the metric losses in four sections.

Margins, triplets, collapse and pairs have a section and a module each; all numbers come from the losses that
train, through `facelab.lessons.loss_curves` and `facelab.lessons.triplet_collapse`.
"""

import gradio as gr

from facelab.ui.links import Controls
from facelab.ui.losses import collapse as losses_collapse
from facelab.ui.losses import margins as losses_margins
from facelab.ui.losses import pairs as losses_pairs
from facelab.ui.losses import triplets as losses_triplets

TITLE = "Losses"
LEAD = (
    "Classification needs *separable* features; verification needs *discriminative* ones: small intra-class, "
    "large inter-class distance. **For which embeddings is the gradient of each loss zero, and where is it "
    "largest?**"
)
SECTIONS = {
    "1 · Margins: softmax, A-Softmax, CosFace, ArcFace": losses_margins,
    "2 · Triplets: easy, semi-hard, hard": losses_triplets,
    "3 · Collapse: all embeddings equal": losses_collapse,
    "4 · Pairs: contrastive and pairwise": losses_pairs,
}


def build() -> Controls:
    """Lay the tab out; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    controls: Controls = {}
    for title, module in SECTIONS.items():
        panel = f"losses-{module.__name__.rpartition('.')[2]}"  # links open it by this name
        with gr.Accordion(title, open=not controls, elem_id=panel):
            controls |= module.section()
    return controls
