"""What the page asks of its server: below a path, with many tabs open; tried on a small page."""

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gradio as gr
import plotly.graph_objects as go
import pytest

from facelab.ui import Page
from facelab.ui.packing import compressed
from facelab.ui.requests import routes
from facelab.ui.theme import SCRIPT
from facelab.ui.widgets.chart import HEAD, Chart, serve_plotly
from tests.pages import launched

from .conftest import Watch

PREFIX = "/user/me/proxy/7860"  # as JupyterHub gives one
HOP = {"connection", "transfer-encoding", "keep-alive"}


class Below(BaseHTTPRequestHandler):
    """Hands on what lies below the prefix, without it, and refuses everything else, as a hub does."""

    def do_GET(self):
        if not self.path.startswith(PREFIX):
            return self.send_error(404)
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        length = int(self.headers.get("Content-Length") or 0)
        upstream.request(self.command, self.path.removeprefix(PREFIX), self.rfile.read(length), self.headers)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while chunk := answer.read1(65536):
            self.wfile.write(chunk)
            self.wfile.flush()
        self.close_connection = True

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@contextmanager
def small_page(**options):
    """The port of a page with a chart, a state and an event at its start."""
    serve_plotly()
    with Page(analytics_enabled=False) as page:
        gr.State(0)
        Chart(go.Figure(go.Scatter(y=[1, 3, 2])), elem_id="chart")
        said = gr.HTML(elem_id="said")
        page.load(lambda: "loaded", None, said)
    own = {"middleware": compressed(), "routes": routes(page.opening)}
    with launched(page, head=HEAD + SCRIPT, app_kwargs=own, **options):
        yield page.server_port


@pytest.fixture
def below(chromium):
    with small_page(root_path=PREFIX) as port:
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Below)
        proxy.upstream = port
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}{PREFIX}/"
        proxy.shutdown()


def test_the_page_works_below_a_path(below, chromium):
    context = chromium.new_context()
    page = context.new_page()
    watch = Watch(page)
    missing = []
    page.on("response", lambda answer: answer.status == 404 and missing.append(answer.url))
    page.goto(below)
    page.wait_for_selector("#chart .main-svg", timeout=60_000)
    page.wait_for_selector("#said >> text=loaded", timeout=60_000)
    context.close()
    assert not [url for url in missing if "plotly" in url or "/gradio_api/" in url]
    assert not watch.outside


def test_more_tabs_than_a_browser_has_connections_load(chromium):
    with small_page() as port:
        context = chromium.new_context()
        try:
            for _ in range(8):
                tab = context.new_page()
                tab.goto(f"http://127.0.0.1:{port}/")
                tab.wait_for_selector("#said >> text=loaded", timeout=60_000)
        finally:
            context.close()
