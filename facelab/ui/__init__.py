"""The page: one module per tab, each with a TITLE and a `build()`; this is the list of them.

`links` lets a link such as `/?tab=identify&strictness=2` open a tab with its settings.
"""

from typing import Any

import gradio as gr

from facelab.ui import api, header, visit
from facelab.ui.architectures import tab as architectures
from facelab.ui.calibration import tab as calibration
from facelab.ui.compare import tab as compare
from facelab.ui.identify import tab as identify
from facelab.ui.links import LinkedTab, connect
from facelab.ui.losses import tab as losses
from facelab.ui.opening import Opening
from facelab.ui.own import tab as own
from facelab.ui.preview import describe_page
from facelab.ui.regularization import tab as regularization
from facelab.ui.space import tab as space
from facelab.ui.start import tab as start
from facelab.ui.train import tab as train
from facelab.ui.transfer import tab as transfer
from facelab.ui.uploads import Guarded
from facelab.ui.widgets.chart import serve_plotly

TABS = (
    start, compare, identify, space, calibration, losses, architectures, regularization, transfer, train, own,
)  # fmt: skip
TITLE, LEAD = (
    "FaceLab",
    "Explore how a CNN classifies and verifies faces, and how the loss shapes its embeddings.",
)


class Page(Guarded):
    """The page, without a permanent connection.

    Gradio would keep one open for each browser tab, to detect when it closes; a browser allows six per
    server, so the sixth tab would not load. Instead, data of a visit expire by age (serve.py), and a run
    without followers ends (live.py).
    """

    stateless = api.NAMES

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.opening = Opening()
        super().__init__(*arguments, **named)

    def get_config_file(self) -> dict[str, Any]:
        """Return the configuration sent to the browser, without long values, nor the request to keep a
        connection open.
        """
        return self.opening.shorten(super().get_config_file()) | {"connect_heartbeat": False}

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> dict[str, Any]:
        """Return the description of the public endpoints for the API page, without private ones."""
        return api.documented(super().get_api_info(all_endpoints=False, page=page))


def link_name(tab: Any) -> str:
    """Return how a link names a tab."""
    return tab.TITLE.lower().replace(" ", "-")


def build_app() -> Page:
    """Build all tabs and the public endpoints; `serve` deletes uploads after at most twenty minutes."""
    serve_plotly()
    describe_page(TITLE, LEAD)
    with Page(title=TITLE, analytics_enabled=False) as app:
        quiet = gr.Textbox(visible=False)  # first, since the browser looks for it from here
        gr.HTML(header.bar(TITLE, LEAD), elem_id="header", padding=False)
        gr.HTML(header.pipeline(), elem_id="pipeline", padding=False)
        linked = []
        with gr.Tabs(elem_id="fl-tabs", overflow_behavior="wrap") as tabs:
            for tab, after in zip(TABS, (*TABS[1:], None)):
                with gr.Tab(tab.TITLE, id=link_name(tab)) as item:
                    gr.HTML(
                        f"<h2>{tab.TITLE}</h2>", elem_classes="fl-heading", padding=False
                    )  # to hear, not see
                    controls = tab.build()
                    following = after and (f"?tab={link_name(after)}", after.TITLE)
                    gr.HTML(header.foot(following), padding=False)
                linked.append(LinkedTab(link_name(tab), item, controls))
        visit.connect()
        connect(app, tabs, linked)
        api.build()
    _show_no_progress(app, quiet)
    return app


def _show_no_progress(app: gr.Blocks, quiet: gr.Textbox) -> None:
    """Let events without a progress mark report to one invisible component instead of to all their outputs.

    With each event the browser copies everything in every component that an event has ever reported to: a
    tenth of a second before a slider's request even leaves, once a link has been followed (Gradio 6.31).
    """
    for event in app.fns.values():
        if event.show_progress == "hidden" and event.show_progress_on is None:
            event.show_progress_on = [quiet]
