"""Pages of gradio served in the process of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import gradio as gr
import httpx

# One client for all requests, since making its TLS takes long; a busy machine is no failure.
CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=240)


class Served(NamedTuple):
    """A page that answers.

    Attributes:
        app: gradio's.
        url: the address, which ends with a slash.
        page: its blocks.
    """

    app: object
    url: str
    page: gr.Blocks


@contextmanager
def launched(page: gr.Blocks, **options: object) -> Iterator[Served]:
    """Serve a page on this machine until the end, without what gradio would store or render by itself."""
    app, url, _ = page.launch(
        prevent_thread_lock=True,
        quiet=True,
        run_history=False,
        ssr_mode=False,
        server_name="127.0.0.1",
        **options,
    )
    try:
        yield Served(app, url, page)
    finally:
        page.close()
