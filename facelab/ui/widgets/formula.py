"""Set a formula beside its controls, with the current values substituted and the code that computes it.

Gradio's Markdown typesets with KaTeX, whose scripts and fonts it serves itself. The code is read from the
very function that trains or measures, so it cannot differ from what runs.
"""

import html
import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr

STYLE = """
.fl-source { margin: 0; font-size: .85rem; } .fl-source summary { cursor: pointer; font-weight: 600;
  min-height: 24px; } .fl-source pre { margin: .3rem 0 0; padding: .5rem .7rem; overflow-x: auto;
  font-size: .78rem; line-height: 1.45; border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--background-fill-secondary); }
"""


def set_formula(*lines: str) -> str:
    """Return Markdown that typesets LaTeX, a line each, the first in symbols and the rest with values."""
    aligned = r" \\ ".join(lines)
    return rf"$$\begin{{aligned}}{aligned}\end{{aligned}}$$"


def formula(value: str, function: Callable[..., Any], elem_id: str) -> gr.Markdown:
    """Lay out a formula and a button that shows its code; return what a callback updates.

    Args:
        value: of `set_formula`.
        function: what computes it.
        elem_id: of the formula.
    """
    with gr.Column(elem_classes="fl-formula", min_width=0):
        shown = gr.Markdown(value, elem_id=elem_id)
        gr.HTML(code(function), css_template=STYLE, padding=False)
    return shown


def code(function: Callable[..., Any]) -> str:
    """Return a button that shows the source of a function, docstring and all."""
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    where = f"{function.__module__.replace('.', '/')}.py, {function.__qualname__}"
    return (
        f'<details class="fl-source"><summary>Code: {html.escape(function.__qualname__)}</summary>'
        f'<pre tabindex="0" role="region" aria-label="{html.escape(where)}"><code># {html.escape(where)}\n'
        f"{html.escape(source)}</code></pre></details>"
    )
