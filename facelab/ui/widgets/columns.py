"""Lay a section out in two columns: its controls in a panel that stays in view, its results beside them.

From 1100 px the panel is sticky on the left; below that the page has one column, in which the live control
(the slider whose effect is watched) is docked at the lower edge of the screen while its results are in view.
`layout.css` does both; `live` marks the controls to dock.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr


@contextmanager
def columns() -> Iterator[tuple[gr.Column, gr.Column]]:
    """Open a two-column section; yield (controls, results), to be entered one after the other.

    with columns() as (controls, results):
        with controls: ...
        with results: ...
    """
    with gr.Row(elem_classes="fl-columns"):
        controls = gr.Column(elem_classes="fl-panel", min_width=0)
        results = gr.Column(elem_classes="fl-results", min_width=0)
        yield controls, results


def live() -> gr.Row:
    """Return a row, inside the panel, for the live controls; several scroll sideways on a narrow screen."""
    return gr.Row(elem_classes="fl-live")


def beside() -> gr.Row:
    """Return a row of results that stand side by side where each has 300 px, such as decision and chart."""
    return gr.Row(elem_classes="fl-beside")
