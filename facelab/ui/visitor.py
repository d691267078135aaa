"""Identity of a visitor across a reload: a random key that the browser creates when it first starts a run.

Only the browser tabs of that visitor hold the key, so no other visitor can follow or stop the run; a new tab
asks those that are open for it (page.js), so that one visitor has one place in the queue. Every event about a
run contains it; a request without a valid key is identified by its session, which a reload ends.
"""

import re
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.context import Context

from facelab.lessons.live.queue import PATIENCE

KEY = re.compile("[0-9a-f]{32}")
GONE = (
    "The page was loaded again: what earlier runs left is gone with the old one, and a run goes on for "
    f"{PATIENCE:.0f} seconds only while no page shows it."
)
BUSY = "Your run is still under way in the {} tab; stop it first, then start another."


def make(tab: str) -> str:
    """Return the script of an event that starts a run; its first input becomes the key."""
    return f"async (key, ...values) => [await window.facelabStart('{tab}'), ...values]"


def tell(tab: str) -> str:
    """Return the script of an event that asks for a run; its first input becomes the key, if there is one."""
    return f"(key, ...values) => [window.facelabKey('{tab}'), ...values]"


def returning(
    tab: str, show: Callable[..., Any], inputs: list[Component], shown: list[Component]
) -> gr.Textbox:
    """Show the run of a reloaded page whose tab has started one -> the key.

    Args:
        tab: as for `make`.
        show: a generator of (key, inputs) -> (shown, the key, or '' if the run no longer exists).
        inputs: further inputs of `show`.
        shown: its outputs.
    """
    key = gr.Textbox(visible=False)
    page, quiet = Context.root_block, {"api_visibility": "private", "show_progress": "hidden"}
    page.load(None, None, key, js=f"() => window.facelabKey('{tab}')", **quiet)
    key.change(show, [key, *inputs], [*shown, key], concurrency_limit=None, **quiet).then(
        None, key, None, js=f"(key) => window.facelabForget('{tab}', key)", **quiet
    )
    return key


def visitor(key: str | None, request: gr.Request) -> str:
    """Return the name under which a visitor's runs are stored."""
    return key if key and KEY.fullmatch(key) else request.session_hash or ""
