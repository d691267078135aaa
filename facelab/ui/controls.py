"""The two controls that tabs on real photos share: which model, and how strict."""

import gradio as gr

from facelab.embedder import model_names
from facelab.reference import NAME as REFERENCE

MINUTES = 15  # without use, after which what a visitor gave is forgotten
WITHOUT_REFERENCE = "The stronger reference model is not installed here, so only our own models are offered."


def model_and_strictness(strictness: float, prefix: str = "") -> tuple[gr.Dropdown, gr.Slider]:
    """A choice of models and a slider of -log10 FAR; `prefix` goes before their ids."""
    names = model_names()
    with gr.Row(elem_classes="fl-controls"):
        model = gr.Dropdown(
            [(f"{name}: strong, by others" if name == REFERENCE else name, name) for name in names],
            value=names[0],
            filterable=False,
            label="Model",
            info="Which network turns faces into vectors.",
            elem_id=f"{prefix}model",
        )
        slider = gr.Slider(
            1,
            4,
            value=strictness,
            step=0.1,
            label="Strictness",
            info="How rare a false accept must be (FAR): at 1 it is 1 in 10 pairs of different people, at 4 "
            "it is 1 in 10,000.",
            elem_id=f"{prefix}strictness",
        )
    if REFERENCE not in names:
        gr.Markdown(WITHOUT_REFERENCE)
    return model, slider
