"""Who a visitor is, across a reload: a random key that their browser tab makes when it first starts a run.

The key is known to that tab alone, so that nobody else can follow or stop the run. It comes with every event
that names a run; a request without a proper one is known by its session, which a reload ends.
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
BUSY = "Your run is still under way; stop it first, then start another."


def make(tab: str) -> str:
    """Return the script of an event that starts a run; its first input becomes the key."""
    return f"(key, ...values) => [window.facelabKey('{tab}', true), ...values]"


def tell(tab: str) -> str:
    """Return the script of an event that asks for a run; its first input becomes the key, if there is one."""
    return f"(key, ...values) => [window.facelabKey('{tab}', false), ...values]"


def returning(
    tab: str, show: Callable[..., Any], inputs: list[Component], shown: list[Component]
) -> gr.Textbox:
    """When a page is loaded whose tab has started a run, show it -> the key.

    Args:
        tab: as for `make`.
        show: a generator of (key, inputs) -> (shown, the key, or '' where there is no such run any more).
        inputs: what else `show` reads.
        shown: what it fills.
    """
    key = gr.Textbox(visible=False)
    page, quiet = Context.root_block, {"api_visibility": "private", "show_progress": "hidden"}
    page.load(None, None, key, js=f"() => window.facelabKey('{tab}', false)", **quiet)
    key.change(show, [key, *inputs], [*shown, key], concurrency_limit=None, **quiet).then(
        None, key, None, js=f"(key) => window.facelabForget('{tab}', key)", **quiet
    )
    return key


def visitor(key: str | None, request: gr.Request) -> str:
    """Return the name that a visitor's runs are kept under."""
    return key if key and KEY.fullmatch(key) else request.session_hash or ""
