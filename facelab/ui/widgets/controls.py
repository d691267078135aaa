"""Build the controls that tabs share: the model and the false accept rate (FAR)."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from facelab.evaluation.results import EQUAL_TRAINING, architectures
from facelab.recognition.embedder import model_names
from facelab.recognition.reference import NAME as REFERENCE
from facelab.recognition.verify import DEFAULT_FAR
from facelab.ui.visit import ModelChoice, offered
from facelab.ui.widgets.columns import live
from facelab.ui.widgets.far import far_slider

STRICTNESS = -math.log10(DEFAULT_FAR)
MINUTES = 15  # without use, after which what a visitor gave is forgotten
WITHOUT_REFERENCE = "The reference model (dlib ResNet) is not installed, so only FaceLab models are offered."


def model_choices(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (label, name) of models; a name without a note is a loss or a regularizer."""
    said = dict.fromkeys(architectures(), EQUAL_TRAINING) | {REFERENCE: "dlib ResNet"}
    return [(f"{name}: {said[name]}" if name in said else name, name) for name in names]


def model_and_strictness(prefix: str = "") -> tuple[gr.Dropdown, gr.Slider]:
    """Lay out a choice of models and a slider of -log10 FAR, which opens at the default of every command.

    `prefix` goes before their ids.
    """
    names = model_names()
    with live():
        slider = far_slider(STRICTNESS, f"{prefix}strictness")
    model = ModelChoice(
        model_choices(names),
        value=names[0],
        filterable=False,
        label="Model",
        info="The network that computes the embeddings.",
        elem_id=f"{prefix}model",
    )
    offered(model, model_choices)
    if REFERENCE not in names:
        gr.Markdown(WITHOUT_REFERENCE)
    return model, slider


def redraw(show: Callable[..., Any], settings: list[Component], shown: list[Component]) -> Dependency:
    """Update the outputs whenever a setting changes, by hand or by a link; return the event."""
    return gr.on(
        [setting.change for setting in settings],
        show,
        settings,
        shown,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
