"""The page: one module per tab, each with a TITLE and a `build()`; this is the list of them.

`links` lets a link such as `/?tab=identify&strictness=2` open a tab with its settings.
"""

import gradio as gr

from facelab.ui import (
    api,
    architectures,
    calibration,
    compare,
    identify,
    losses,
    regularisation,
    space,
    train,
    transfer,
)
from facelab.ui.chart import serve_plotly
from facelab.ui.links import LinkedTab, connect

TABS = (compare, identify, space, calibration, losses, architectures, regularisation, transfer, train)
CACHE_SECONDS = (300, 900)  # every 5 minutes, uploads older than 15 are deleted


def build_app() -> gr.Blocks:
    """All tabs and the public endpoints, with uploads that are deleted after at most twenty minutes."""
    serve_plotly()
    with gr.Blocks(title="FaceLab", delete_cache=CACHE_SECONDS, analytics_enabled=False) as app:
        gr.Markdown("# FaceLab\nSee what a face network does, and what a loss changes.")
        linked = []
        with gr.Tabs() as tabs:
            for tab in TABS:
                name = tab.TITLE.lower().replace(" ", "-")
                with gr.Tab(tab.TITLE, id=name) as item:
                    controls = tab.build()
                linked.append(LinkedTab(name, item, controls))
        connect(app, tabs, linked)
        api.build()
    return app
