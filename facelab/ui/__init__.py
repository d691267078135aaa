"""The page: one module per tab, each with a TITLE and a `build()`; this is the list of them.

A link such as `/?tab=identify` opens a tab, and choosing a tab writes that link into the address bar.
"""

import gradio as gr

from facelab.ui import api, compare, identify
from facelab.ui.chart import serve_plotly

TABS = (compare, identify)
CACHE_SECONDS = (300, 900)  # every 5 minutes, uploads older than 15 are deleted
WRITE_LINK = """() => {{  // the first call is the page's own, before the address was read
  if (!window.facelabOpened) return void (window.facelabOpened = true);
  const address = new URL(window.location);
  address.searchParams.set('tab', '{}');
  window.history.replaceState(null, '', address);
}}"""


def build_app() -> gr.Blocks:
    """All tabs and the public endpoints, with uploads that are deleted after at most twenty minutes."""
    serve_plotly()
    with gr.Blocks(title="FaceLab", delete_cache=CACHE_SECONDS, analytics_enabled=False) as app:
        gr.Markdown("# FaceLab\nSee what a face network does, and what a loss changes.")
        with gr.Tabs() as tabs:
            for tab in TABS:
                name = tab.TITLE.lower()
                with gr.Tab(tab.TITLE, id=name) as item:
                    tab.build()
                item.select(None, None, None, js=WRITE_LINK.format(name), api_visibility="private")
        app.load(open_linked_tab, None, tabs, api_visibility="private", show_progress="hidden")
        api.build()
    return app


def open_linked_tab(request: gr.Request) -> gr.Tabs:
    """The tab that the address names, if it names one."""
    wanted = request.query_params.get("tab")
    return gr.Tabs(selected=wanted) if wanted in {tab.TITLE.lower() for tab in TABS} else gr.skip()
