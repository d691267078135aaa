"""What one visitor may do to another and to the server, tried on the whole page: nothing."""

import http.server
import json
import random
import threading
import uuid
from pathlib import Path

import gradio as gr
import httpx
import pytest

from facelab.models.zoo import CHECKPOINTS
from facelab.ui.doors import GONE, largest
from facelab.ui.serve import middleware
from facelab.ui.uploads import UNFIT
from tests.conftest import CROP
from tests.hostile.arrays import galleries
from tests.hostile.corpus import SEED
from tests.hostile.images import images
from tests.pages import CLIENT, launched

SECRET = "of-another-visitor-7f3a"  # never in an answer
OUT = ("..", "../..", "../../..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e", "....//....", "..\\..", ".%00.")
BELOW = ("/assets/", "/static/", "/svelte/", "/gradio_api/file/", "/gradio_api/file=", "/file=", "/")


@pytest.fixture(scope="module")
def page(whole_page):
    """(gradio's app, address without its last slash, upload folder) of the whole page behind its doors."""
    blocks, _, uploads = whole_page
    (uploads.parent / "secret.txt").write_text(SECRET)
    options = {"show_error": False, "app_kwargs": {"middleware": middleware()}, "_frontend": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.delenv("FACELAB_HOSTED", raising=False)
        with launched(blocks.queue(), **options) as served:
            yield served.app, served.url.rstrip("/"), uploads


def upload(url: str, name: str, content: bytes = CROP) -> httpx.Response:
    return CLIENT.post(f"{url}/gradio_api/upload", files={"files": (name, content)})


def event(url: str, number: int, data: list, session: str) -> str:
    """Everything that an event says when it is called by its number."""
    body = {"data": data, "fn_index": number, "session_hash": session}
    joined = CLIENT.post(f"{url}/gradio_api/queue/join", json=body)
    if joined.status_code != 200:
        return joined.text
    return CLIENT.get(f"{url}/gradio_api/queue/data", params={"session_hash": session}).text


def test_no_address_leads_out_of_its_folder(page):
    """Sent as they are: a client would tidy the dots away."""
    _, url, uploads = page
    port = int(url.rpartition(":")[2])
    theirs = Path(upload(url, "face.png").json()[0])
    places = [
        f"{below}{out}/{path}" for below in BELOW for out in OUT for path in ("secret.txt", "etc/passwd")
    ]
    secret = uploads.parent / "secret.txt"
    places += [f"/gradio_api/file={path}" for path in (
        secret, "/etc/passwd", uploads, theirs.parent, f"{theirs}/../../../secret.txt", f"file://{secret}",
        CHECKPOINTS / "strong.safetensors", Path("app.py").resolve(), "/proc/self/environ", "~/.bashrc",
        f"/proc/self/root{secret}", "app.py", "./app.py", "", "http://127.0.0.1/", "//etc/passwd",
    )]  # fmt: skip
    for place in places:
        asked = httpx.Request("GET", f"http://127.0.0.1:{port}/")
        asked.url = httpx.URL(scheme="http", host="127.0.0.1", port=port, raw_path=place.encode())
        answer = CLIENT.send(asked)
        own = answer.status_code == 200 and "<gradio-app" in answer.text  # the page itself, at any place
        assert answer.status_code in (307, 400, 403, 404) or own, (place, answer.status_code)
        assert SECRET not in answer.text and "root:" not in answer.text, place
    assert CLIENT.get(f"{url}/gradio_api/file={theirs}").content == CROP, "its own address works"


def test_an_upload_lands_in_its_own_folder_whatever_its_name(page):
    _, url, uploads = page
    before = {path for path in uploads.parent.rglob("*") if not path.is_relative_to(uploads)}
    for name in (
        *(f"{out}/{SECRET}.png" for out in OUT),
        f"/tmp/{SECRET}.png",
        f"C:\\{SECRET}.png",
        "..",
        "~",
    ):
        answer = upload(url, name)
        if answer.status_code == 200:
            (path,) = answer.json()
            assert Path(path).resolve().parent.parent == uploads.resolve(), name
    assert {path for path in uploads.parent.rglob("*") if not path.is_relative_to(uploads)} == before
    assert not Path(f"/tmp/{SECRET}.png").exists()


def test_private_events_have_no_name(page, capfd):
    app, url, _ = page
    fns = app.get_blocks().fns.values()
    public = {fn.api_name for fn in fns if fn.api_visibility == "public"}
    hidden = {str(fn.api_name) for fn in fns} | {getattr(fn.fn, "__name__", "x") for fn in fns}
    assert public and len(hidden) > 20
    ways = ("call", "call/v2", "run", "api")
    for name in sorted({*hidden, SECRET} - public):
        for way in ways:
            for end in ("", "/"):
                answer = CLIENT.post(f"{url}/gradio_api/{way}/{name}{end}", json={"data": []})
                assert answer.status_code == 404 and answer.json()["detail"] == GONE, (way, name)
    answer = CLIENT.post(f"{url}/gradio_api/run/predict", json={"data": []})
    assert answer.status_code == 404, "a number is missing"
    assert CLIENT.post(f"{url}/gradio_api/run/models", json={"data": []}).json()["data"]
    said = "".join(capfd.readouterr())
    assert "Traceback" not in said and SECRET not in said


def test_an_event_of_the_browser_alone_is_no_event_of_the_server(page, capfd):
    app, url, _ = page
    number = next(number for number, fn in app.get_blocks().fns.items() if fn.fn is None)
    assert UNFIT in event(url, number, [], uuid.uuid4().hex)
    numbers = [number for number, fn in app.get_blocks().fns.items() if fn.fn and not fn.queue]
    assert (
        numbers
        and GONE
        not in CLIENT.post(
            f"{url}/gradio_api/run/predict", json={"data": [], "fn_index": numbers[0], "session_hash": "a"}
        ).text
    ), "how the page calls an event without a queue"
    assert "Traceback" not in "".join(capfd.readouterr())


def opening(block):
    """What the page sends for a component that nobody has touched."""
    return None if isinstance(block, gr.State) else getattr(block, "value", None)


def holding(blocks: gr.Blocks) -> dict[int, set[int]]:
    """{event: the states that it reads or writes}, of events that a visit may hold something in."""
    states = {number for number, block in blocks.blocks.items() if isinstance(block, gr.State)}
    found = {n: {b._id for b in (*fn.inputs, *fn.outputs)} & states for n, fn in blocks.fns.items() if fn.fn}
    return {number: touched for number, touched in found.items() if touched}


def watch(monkeypatch, fn, seen: list) -> None:
    """Let an event keep what it is given, without the seconds of its work."""
    nothing = [gr.skip()] * len(fn.outputs)
    out = nothing[0] if len(nothing) == 1 else nothing
    monkeypatch.setattr(fn, "fn", lambda *given: seen.append(given) or out)


def test_what_a_visit_holds_reaches_no_other_visit(page, monkeypatch):
    """Galleries, photos, runs, networks: each state of one visit is set; then each event that uses a state is
    called by its number in another visit, which claims the first one's state as its own input."""
    app, url, _ = page
    blocks = app.get_blocks()
    events = holding(blocks)
    states, seen = set().union(*events.values()), []
    mine, theirs = uuid.uuid4().hex, uuid.uuid4().hex
    for number in states:
        app.state_holder[theirs][number] = {"secret": SECRET}
    for number in events:
        fn = blocks.fns[number]
        watch(monkeypatch, fn, seen)
        data = [{"session_hash": theirs} if block._id in states else opening(block) for block in fn.inputs]
        said = event(url, number, data, mine)
        assert SECRET not in said, number
    kept = app.state_holder[theirs]
    assert len(events) > 20 and len(states) > 10 and SECRET not in repr(seen)
    assert all(kept[number] == {"secret": SECRET} for number in states)
    for path in ("config", "gradio_api/info", "gradio_api/queue/status", "healthz", "agents.md"):
        assert theirs not in CLIENT.get(f"{url}/{path}").text, "a visit's only key is told"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another server of the machine's network, which counts who comes."""

    came: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.came.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CROP)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def test_no_address_in_a_request_is_fetched(page, monkeypatch):
    """By any event that takes a file, public or private, and in each field that may hold an address."""
    app, url, _ = page
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    near = f"http://127.0.0.1:{server.server_port}/face.png"
    meta = {"_type": "gradio.FileData"}
    shapes = [{"url": near}, {"path": near, "meta": meta}, {"path": None, "url": near, "meta": meta}, near]
    files = ("photoinput", "image", "file", "uploadbutton", "gallery")
    tried = set()
    session = uuid.uuid4().hex
    for number, fn in app.get_blocks().fns.items():
        at = [i for i, block in enumerate(fn.inputs) if block.get_block_name() in files]
        if not at or not fn.fn:
            continue
        watch(monkeypatch, fn, [])
        fields = {fn.inputs[i]._id for i in at}
        for shape in shapes if not fields <= tried else shapes[:1]:  # all for each field, one for each event
            data = [shape if i in at else opening(block) for i, block in enumerate(fn.inputs)]
            assert "Traceback" not in event(url, number, data, session), fn.fn
        tried |= fields
    server.shutdown()
    server.server_close()
    assert len(tried) > 5 and Elsewhere.came == []


@pytest.mark.parametrize("way", ["call/embed", "run/embed", "queue/join", "queue/data", "cancel", "reset"])
def test_an_oversized_request_is_refused(page, way):
    _, url, _ = page
    packed = json.dumps({"data": ["x" * largest()], "session_hash": "a", "fn_index": 0, "event_id": "e"})
    answer = CLIENT.post(
        f"{url}/gradio_api/{way}", content=packed, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (405, 413) and "Traceback" not in answer.text
    assert answer.status_code == 405 or "upload files first" in answer.json()["detail"]


def test_a_number_that_is_no_event_and_a_visit_that_is_no_name_are_refused(page):
    _, url, _ = page
    for number in (-1, 10**6, 10**30, "0", None, [0]):
        said = event(url, number, [], uuid.uuid4().hex)
        assert "Traceback" not in said and str(CHECKPOINTS.parent) not in said, number
    for session in ("", "../..", "a" * 100_000, "\0", 5, None, ["a"], {"a": 1}):
        body = {"data": [{"path": "/etc/passwd"}], "fn_index": 0, "session_hash": session}
        said = CLIENT.post(f"{url}/gradio_api/queue/join", json=body).text
        assert "Traceback" not in said and "root:" not in said, session


def test_malformed_files_get_a_sentence_from_each_endpoint(page, capfd):
    """A sample of the corpus, uploaded and named, as a photo and as a gallery."""
    _, url, uploads = page
    rng = random.Random(SEED)
    photos = list(images(rng))
    meta = {"_type": "gradio.FileData"}
    good = {"path": upload(url, "good.png").json()[0], "meta": meta}
    refused = 0
    for name, content in [*photos[3::45], *list(galleries(rng))[::16]]:
        sent = upload(url, name, content)
        if sent.status_code != 200:
            continue
        file = {"path": sent.json()[0], "meta": meta}
        calls = {"identify": [good, file, "strong", 0.01]}
        if not name.endswith(".npz"):
            calls = {"embed": [file, "strong"], "compare": [good, file, "strong", 0.01]}
        for endpoint, data in calls.items():
            started = CLIENT.post(f"{url}/gradio_api/call/{endpoint}", json={"data": data})
            answer = f"{url}/gradio_api/call/{endpoint}/{started.json()['event_id']}"
            said = CLIENT.get(answer, timeout=120).text
            assert "event: complete" in said or "event: error" in said, (name, said)
            refused += "event: error" in said
            assert str(uploads) not in said and len(said) < 3000 and "null" not in said.split(), (name, said)
    assert refused > 5 and "Traceback" not in "".join(capfd.readouterr())
    assert CLIENT.post(f"{url}/gradio_api/run/models", json={"data": []}).json()["data"], "the page lives"
