"""Links to a tab and its settings: `/?tab=compare&strictness=3` opens what the sender saw.

The address bar always holds the open tab and those of its settings that differ from their start; choosing
another tab makes an entry for Back and Forward. A setting that a link names and the page does not know, or a
value that it does not offer, is left alone; a model of a visit that is not there is explained. Photos and
galleries are never part of a link.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
from gradio.components import Component

from facelab.recognition import visit as reach
from facelab.ui.visit import ModelChoice

FORMER_NAMES = {"regularisation": "regularization", "grey": "gray", "erase": "random_erasing"}  # in old links
GONE = (
    "This link names a model of another visit, or of one that is over; such a model lives in one open page "
    "only. Choose another model, or train or bring it again."
)
Controls = dict[str, Component]  # a tab's settings, by the short names that a link gives them

WRITE = """(...values) => {{
  const [tab, names, starts, chosen, known] = {};
  const address = new URL(window.location);
  const open = address.searchParams.get('tab') ?? window.facelabTab ?? tab;
  if (chosen && !window.facelabTab) return void (window.facelabTab = tab);  // the page's own first choice
  if (chosen) window.facelabTab = tab;
  if (!chosen && open !== tab) return;  // a setting of a tab that is not in sight
  if (open !== tab) for (const name of ['at', 'open']) address.searchParams.delete(name);
  for (const name of known) address.searchParams.delete(name);  // others stay, such as gradio's theme
  address.searchParams.set('tab', tab);
  names.forEach((name, i) => {{
    if (String(values[i]) !== String(starts[i])) address.searchParams.set(name, values[i]);
  }});
  const change = open === tab ? 'replaceState' : 'pushState';  // Back and Forward move between tabs
  window.history[change](null, '', address);
}}"""
GO = """() => {{
  const [first, names] = {}, wanted = new URL(window.location).searchParams.get('tab');
  window.facelabTab = names.includes(wanted) ? wanted : first;
  return {{__type__: 'update', selected: window.facelabTab}};
}}"""


@dataclass(frozen=True, eq=False)
class LinkedTab:
    """A tab on the page: its name in links, its item, and its settings."""

    name: str
    item: gr.Tab
    controls: Controls


def connect(app: gr.Blocks, tabs: gr.Tabs, linked: list[LinkedTab]) -> None:
    """Write the link whenever a tab is chosen or a setting changes; follow it when the page is opened."""
    names = [tab.name for tab in linked]
    known = sorted({"tab", *(name for tab in linked for name in tab.controls)})
    for tab in linked:
        values = list(tab.controls.values())
        tab.item.select(None, values, None, js=_write(tab, True, known), api_visibility="private")
        if values:
            changes = [control.change for control in values]
            gr.on(changes, None, values, None, js=_write(tab, False, known), api_visibility="private")
    back = gr.Button(visible="hidden", elem_id="facelab-back")  # page.js presses it
    back.click(None, None, tabs, js=GO.format(json.dumps([names[0], names])), api_visibility="private")

    def follow(request: gr.Request) -> list[Any]:
        return open_link(linked, request.query_params)

    everything = [tabs, *(control for tab in linked for control in tab.controls.values())]
    opened = app.load(follow, None, everything, api_visibility="private", show_progress="hidden")
    opened.then(None, None, None, js="() => { window.facelabLoaded = true; }", api_visibility="private")
    go, address = gr.Button(visible="hidden", elem_id="facelab-go"), gr.Textbox(visible="hidden")

    def jump(text: str) -> list[Any]:
        return open_link(linked, dict(parse_qsl(text.lstrip("?"))), exact=True)

    jumped = go.click(jump, address, everything, js="() => window.facelabLink", api_visibility="private",
             show_progress="hidden", queue=False, trigger_mode="always_last")  # fmt: skip
    jumped.then(
        None, None, None, js="() => { window.facelabArrived = window.facelabLink; }", api_visibility="private"
    )


def _write(tab: LinkedTab, chosen: bool, known: list[str]) -> str:
    starts = [_written(control.value) for control in tab.controls.values()]
    return WRITE.format(json.dumps([tab.name, list(tab.controls), starts, chosen, known]))


def _written(value: object) -> object:
    """Return a value as JavaScript writes it into an address: 2.0 as 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def open_link(linked: list[LinkedTab], wanted: Mapping[str, str], exact: bool = False) -> list[Any]:
    """Return the changes of a link: the open tab, then each setting of every tab.

    Args:
        linked: all tabs.
        wanted: the link's parameters.
        exact: on a page in use, reset settings of the link's tab that it does not name.
    """
    names = [tab.name for tab in linked]
    wanted = {FORMER_NAMES.get(name, name): value for name, value in wanted.items()}
    opened = FORMER_NAMES.get(wanted.get("tab", ""), wanted.get("tab", ""))
    out: list[Any] = [gr.Tabs(selected=opened) if opened in names else gr.skip()]
    shown = opened or names[0]
    gone = False
    for tab in linked:
        for name, control in tab.controls.items():
            text = wanted.get(name) if tab.name == shown else None
            value = legal_value(control, text)
            gone = gone or (value is None and isinstance(control, ModelChoice) and is_own(text))
            if exact and tab.name == shown:
                out.append(control.value if value is None else value)
            else:
                out.append(gr.skip() if value is None or value == control.value else value)
    if gone:
        gr.Info(GONE)
    return out


def is_own(text: str | None) -> bool:
    """Return whether a link's text is the name of a model of some visit."""
    return text is not None and reach.NAME.fullmatch(text) is not None


def legal_value(control: Component, text: str | None) -> object | None:
    """Return the value of a link's text for a control, or None if the control does not offer it."""
    if text is None:
        return None
    if isinstance(control, gr.Checkbox):
        return {"true": True, "false": False}.get(text)
    if isinstance(control, gr.Slider):
        try:
            value = float(text)
        except ValueError:
            return None
        return value if _is_on(control, value) else None
    if isinstance(control, ModelChoice) and text in reach.models():
        return text
    return next((value for _, value in getattr(control, "choices", []) if _is_written(value, text)), None)


def _is_written(value: object, text: str) -> bool:
    """Return whether a link's text is a choice, as JavaScript writes it (true, 0) or Python (True, 0.0)."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return str(value) == text


def _is_on(slider: gr.Slider, value: float) -> bool:
    """Return whether a value is valid for a slider: in its range, an integer number of steps from its
    minimum.
    """
    if not slider.minimum <= value <= slider.maximum:
        return False
    steps = (value - slider.minimum) / slider.step
    return abs(steps - round(steps)) < 1e-6
