"""What the sections of the Losses tab share: where a loss comes from, and how a slider redraws."""

import html
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component

from facelab.curves import papers
from facelab.plots.losses import NAMES


def papers_card(*names: str) -> str:
    """One line a loss: name, year, idea in a sentence, and a link to the paper."""
    rows = "".join(
        f"<li><b>{html.escape(NAMES.get(name, name))}</b> ({loss.year}). {html.escape(loss.idea)} "
        f'<a href="{html.escape(loss.paper)}" target="_blank" rel="noopener">paper</a></li>'
        for name, loss in papers(*names).items()
    )
    return f'<div class="fl-card"><h3>Where they come from</h3><ul>{rows}</ul></div>'


def figures(*pairs: tuple[str, str]) -> str:
    """Numbers with their names, side by side."""
    cells = "".join(f"<div><b>{html.escape(value)}</b>{html.escape(name)}</div>" for name, value in pairs)
    return f'<div class="fl-figures">{cells}</div>'


def redraw(show: Callable[..., Any], settings: list[Component], shown: list[Component]) -> None:
    """Whenever a setting changes, by hand or by a link, show the newest state."""
    gr.on(
        [setting.change for setting in settings],
        show,
        settings,
        shown,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
