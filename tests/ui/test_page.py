"""The page as it is sent: compressed where that helps, with a preview of its own; no connection is held."""

import io
import re

import gradio as gr
import pytest
from gradio.routes import templates
from PIL import Image

from facelab.ui import LEAD, Page
from facelab.ui.opening import Opening
from facelab.ui.packing import compressed
from facelab.ui.preview import TEMPLATE, describe_page
from facelab.ui.requests import routes
from tests.pages import CLIENT, launched


@pytest.fixture(scope="module")
def url():
    describe_page("FaceLab", 'A "lab" & more')
    with Page(title="FaceLab", analytics_enabled=False) as page:
        gr.State(0)
        gr.Markdown("A long text. " * 500)
        gr.Button().click(lambda: 1, None, gr.Number(), api_name="one")
    with launched(page, app_kwargs={"middleware": compressed(), "routes": routes(Opening())}) as served:
        yield served.url


@pytest.mark.parametrize("path", ["", "config"])
def test_pages_and_json_are_compressed_for_who_takes_that(url, path):
    whole = CLIENT.get(url + path, headers={"Accept-Encoding": "identity"})
    with CLIENT.stream("GET", url + path, headers={"Accept-Encoding": "gzip"}) as packed:
        sent = sum(map(len, packed.iter_raw()))
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in whole.headers
    assert sent < len(whole.content) / 2


def test_event_streams_are_not_compressed(url):
    joined = {"data": [], "fn_index": 0, "session_hash": "abc"}
    assert CLIENT.post(f"{url}gradio_api/queue/join", json=joined).status_code == 200
    where = f"{url}gradio_api/queue/data?session_hash=abc"
    with CLIENT.stream("GET", where, headers={"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in stream.headers


def test_previews_say_what_this_is(url):
    page = CLIENT.get(url).text
    named = dict(
        re.findall(r'<meta (?:property|name)="((?:og|twitter):[\w:]+|description)" content="(.*?)"', page)
    )
    described = {
        "og:type": "website",
        "og:title": "FaceLab",
        "og:description": "A &quot;lab&quot; &amp; more",
        "description": "A &quot;lab&quot; &amp; more",
    }
    assert described.items() <= named.items()
    assert named["og:image"] == f"{url}preview.jpg"  # whole, or a messenger would not find it
    others = [
        found for found in re.findall(r'<meta[^>]*content="(http.*?)"', page) if not found.startswith(url)
    ]
    assert not others
    size = int(named["og:image:width"]), int(named["og:image:height"])
    assert Image.open(io.BytesIO(CLIENT.get(named["og:image"]).content)).size == size
    describe_page("FaceLab", LEAD)  # again, as every test that builds the page does
    assert templates.env.get_template(TEMPLATE) is not None and page.count("og:title") == 1


def test_the_page_asks_for_no_open_connection(url):
    assert CLIENT.get(f"{url}config").json()["connect_heartbeat"] is False
