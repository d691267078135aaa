"""What tabs share of their controls: which model and how strict, and how a change is shown."""

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

STRICTNESS = -math.log10(DEFAULT_FAR)
MINUTES = 15  # without use, after which what a visitor gave is forgotten
WITHOUT_REFERENCE = "The stronger reference model is not installed here, so only our own models are offered."


def model_choices(names: Iterable[str]) -> list[tuple[str, str]]:
    """(what a list says, name) of models: a bare one is a loss or a regularizer."""
    said = dict.fromkeys(architectures(), EQUAL_TRAINING) | {REFERENCE: "strong, by others"}
    return [(f"{name}: {said[name]}" if name in said else name, name) for name in names]


def model_and_strictness(prefix: str = "") -> tuple[gr.Dropdown, gr.Slider]:
    """A choice of models and a slider of -log10 FAR, at the default of every command and endpoint; `prefix`
    goes before their ids."""
    names = model_names()
    with gr.Row(elem_classes="fl-controls"):
        model = gr.Dropdown(
            model_choices(names),
            value=names[0],
            filterable=False,
            label="Model",
            info="Which network turns faces into vectors.",
            elem_id=f"{prefix}model",
        )
        slider = gr.Slider(
            1,
            4,
            value=STRICTNESS,
            step=0.1,
            label="Strictness",
            info="How rare a false accept must be (FAR): at 1 it is 1 in 10 pairs of different people, at 4 "
            "it is 1 in 10,000.",
            elem_id=f"{prefix}strictness",
        )
    if REFERENCE not in names:
        gr.Markdown(WITHOUT_REFERENCE)
    return model, slider


def redraw(show: Callable[..., Any], settings: list[Component], shown: list[Component]) -> Dependency:
    """Whenever a setting changes, by hand or by a link, show the newest state -> that event."""
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
