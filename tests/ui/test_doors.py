"""Before gradio: closed routes, the size of a request, "busy" in a sentence, the policy, API sessions."""

import json
import re

import gradio as gr
import pytest
from starlette.middleware import Middleware

from facelab.ui import doors
from facelab.ui.doors import BUSY, CLOSED, GONE, POLICY, Doors, largest
from facelab.ui.serve import middleware
from facelab.ui.uploads import Guarded
from tests.conftest import awaited
from tests.pages import CLIENT, launched

OPEN = (
    "/", "/config", "/gradio_api/info", "/gradio_api/queue/join", "/gradio_api/queue/data",
    "/gradio_api/upload",
    "/gradio_api/call/compare", "/gradio_api/run/compare", "/gradio_api/file=/a/monitoring/user/x.png",
    "/assets/runs.js", "/static/user.svg", "/theme.css", "/healthz", "/gradio_api/heartbeat/abc",
    "/agents.md",
    "/gradio_api/app_id", "/gradio_api/cancel", "/gradio_api/startup-events", "/gradio_api/reset",
)  # fmt: skip
SHUT = (
    "/openapi.json", "/gradio_api/openapi.json", "/monitoring", "/monitoring/summary",
    "/monitoring/x/dashboard/",
    "/gradio_api/deep_link", "/gradio_api/proxy=http://127.0.0.1/x", "/gradio_api/vibe-edit", "/docs",
    "/redoc",
    "/gradio_api/undo-vibe-edit/", "/gradio_api/runs", "/runs", "/gradio_api/run-history/records", "/user/",
    "/gradio_api/process_recording", "/gradio_api/custom_component/1/client/component/index.js",
    "/token",
)  # fmt: skip


def test_closed_is_what_the_page_does_not_use():
    assert [path for path in OPEN if CLOSED.fullmatch(path)] == []
    assert [path for path in SHUT if not CLOSED.fullmatch(path)] == []


@pytest.fixture(scope="module")
def served():
    """(gradio's app, url) of a page behind the doors, with an event that keeps nothing and one that does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACELAB_MAX_UPLOAD_MB", "1")

        class Page(Guarded):
            stateless = ("length",)

        with Page(analytics_enabled=False) as page:
            press, text, kept = gr.Button(), gr.Textbox(), gr.State()
            press.click(lambda value: str(len(value)), text, gr.Textbox(), api_name="length")
            press.click(lambda value: value, text, kept, api_name="keep")
        with launched(page.queue(max_size=5), app_kwargs={"middleware": [Middleware(Doors)]}) as served:
            yield served


@pytest.mark.parametrize("path", SHUT)
def test_a_closed_route_says_so(served, path):
    answer = CLIENT.get(served[1] + path.lstrip("/"))
    assert answer.status_code == 404 and answer.json() == {"detail": GONE}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["run/length", "call/length", "queue/join"])
def test_an_oversized_body_is_refused_in_a_sentence_however_it_is_sent(served, path, chunked):
    _, url, page = served
    for size, status in ((largest() + 1, 413), (500_000, 200)):
        event = next(i for i, fn in page.fns.items() if fn.api_name == "length")
        body = json.dumps({"data": ["x" * size], "session_hash": f"{size}", "fn_index": event}).encode()
        parts = (body[i : i + 2**16] for i in range(0, len(body), 2**16))
        answer = CLIENT.post(
            f"{url}gradio_api/{path}",
            content=parts if chunked else body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == status, answer.text
        if status == 413:
            assert "upload files first" in answer.json()["detail"]


def test_a_length_that_is_no_number_is_refused(served):
    """By a server before ours, or by ours: never read as a small body."""
    scope = {"type": "http", "path": "/config", "headers": [(b"content-length", b"-5")]}
    sent: list[dict] = []

    async def unread(*_: object) -> None:
        pytest.fail("it was handed on")

    async def send(message: dict) -> None:
        sent.append(message)

    awaited(Doors(unread)(scope, unread, send))
    assert sent[0]["status"] == 413


def test_every_answer_carries_the_policy(served):
    for path in ("", "config", "openapi.json"):
        headers = CLIENT.get(served[1] + path).headers
        assert headers["content-security-policy"] == POLICY and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert "http" not in POLICY and "*" not in POLICY, "no place but the page's own"
    script = re.search(r'src="\./(assets/[\w.-]+\.js)"', CLIENT.get(served[1]).text)[1]
    headers = CLIENT.get(served[1] + script).headers
    assert "javascript" in headers["content-type"] and headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in headers, "a page's policy holds for its parts"


def test_a_full_queue_says_that_the_page_is_busy(served, monkeypatch):
    _, url, page = served
    monkeypatch.setattr(page._queue, "max_size", 0)
    answer = CLIENT.post(f"{url}gradio_api/call/length", json={"data": ["x"]})
    assert answer.status_code == 503 and answer.json() == {"detail": BUSY}


def test_a_call_that_keeps_nothing_leaves_no_session(served):
    app, url, _ = served
    app.state_holder.session_data.clear()
    for session in (None, "mine"):
        body = {"data": ["abc"]} | ({"session_hash": session} if session else {})
        assert CLIENT.post(f"{url}gradio_api/run/length", json=body).json()["data"] == ["3"]
    started = CLIENT.post(f"{url}gradio_api/call/length", json={"data": ["abcd"]}).json()["event_id"]
    assert '"4"' in CLIENT.get(f"{url}gradio_api/call/length/{started}").text
    assert not app.state_holder.session_data
    CLIENT.post(f"{url}gradio_api/run/keep", json={"data": ["abc"], "session_hash": "mine"})
    CLIENT.post(f"{url}gradio_api/run/length", json={"data": ["abc"], "session_hash": "mine"})
    assert list(app.state_holder.session_data) == ["mine"], "what another event keeps stays"


def test_the_page_is_served_behind_the_doors(monkeypatch):
    for name in ("FACELAB_HOSTED", "FACELAB_MAX_UPLOAD_MB"):
        monkeypatch.delenv(name, raising=False)
    assert Doors in [one.cls for one in middleware()]
    assert doors.largest() > 25e6, "a photo of the largest size, in base64"
