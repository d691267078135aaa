"""Inputs that the page shows now, so that a late answer is not shown next to other inputs.

A worker can take seconds, and photos, model and faces can change meanwhile. Every change is recorded
immediately, by events without a queue. An answer includes its inputs and is dropped if the page has others by
then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

NOTE = {"queue": False, "trigger_mode": "multiple", "api_visibility": "private", "show_progress": "hidden"}


@dataclass(eq=False)
class Shown:
    """Inputs of a tab as shown on the page, a value of the visitor's session that workers share.

    Attributes:
        inputs: inputs by name; one that has never changed is absent and fits any answer.
    """

    inputs: dict[str, Any] = field(default_factory=dict)

    def note(self, **inputs: Any) -> None:
        """Record these inputs as those of the page."""
        self.inputs = self.inputs | inputs  # a new dict, so that no reader meets half of a change

    def fits(self, **inputs: Any) -> bool:
        """Return whether the page still shows these inputs."""
        return all(self.inputs.get(name, value) == value for name, value in inputs.items())


def answer_newest(
    triggers: list[Any],
    answer: Callable[..., Any],
    inputs: list[Component],
    outputs: Component | list[Component],
    **options: Any,
) -> Dependency:
    """Answer the current inputs whenever one changes; answers to older ones are dropped.

    Args:
        triggers: the events.
        answer: inputs -> outputs.
        inputs, outputs: its components.
        options: of the event that computes.
    """
    shown = gr.State(Shown())

    def changing(shown: Shown) -> None:
        shown.note(values=object())

    def note(shown: Shown, *values: Any) -> None:
        shown.note(values=values)

    def fitting(shown: Shown, *values: Any) -> Any:
        out = answer(*values)
        if shown.fits(values=values):
            return out
        return [gr.skip()] * len(outputs) if isinstance(outputs, list) else gr.skip()

    # The event of a photo that is taken away still carries it: its inputs are read one step later.
    noted = gr.on(triggers, changing, shown, None, **NOTE).then(note, [shown, *inputs], None, **NOTE)
    return noted.then(fitting, [shown, *inputs], outputs, trigger_mode="multiple", **options)
