"""The page: one module per tab, each with a TITLE and a `build()`; this is the list of them."""

import gradio as gr

from facelab.ui import compare
from facelab.ui.chart import serve_plotly

TABS = (compare,)
CACHE_SECONDS = (300, 900)  # every 5 minutes, uploads older than 15 are deleted


def build_app() -> gr.Blocks:
    """All tabs, with uploads that are deleted after at most twenty minutes."""
    serve_plotly()
    with gr.Blocks(title="FaceLab", delete_cache=CACHE_SECONDS, analytics_enabled=False) as app:
        gr.Markdown("# FaceLab\nSee what a face network does, and what a loss changes.")
        with gr.Tabs():
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=tab.TITLE.lower()):
                    tab.build()
    return app
