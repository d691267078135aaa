"""Losses: what each one asks of an embedding, as four things to touch.

Margins, triplets, collapse and pairs have a section and a module each; all numbers come from the losses that
train, through `facelab.curves` and `facelab.collapse`.
"""

import gradio as gr

from facelab.ui import losses_collapse, losses_margins, losses_pairs, losses_triplets
from facelab.ui.links import Controls

TITLE = "Losses"
LEAD = (
    "A classifier only has to put each photo on the right side of a line. Verification needs more: photos of "
    "one person close together, photos of different people far apart. **What does each loss ask for, and how "
    "hard does it push where?**"
)
SECTIONS = {
    "1 · Margins: softmax, A-Softmax, CosFace, ArcFace": losses_margins,
    "2 · Triplets: easy, semi-hard, hard": losses_triplets,
    "3 · Collapse: when everything becomes one point": losses_collapse,
    "4 · Pairs: contrastive and pairwise": losses_pairs,
}


def build() -> Controls:
    """Lay the tab out -> its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    controls: Controls = {}
    for title, module in SECTIONS.items():
        with gr.Accordion(title, open=not controls):
            controls |= module.section()
    return controls
