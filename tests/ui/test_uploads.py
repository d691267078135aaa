"""Which file a visitor may name: by each component, each event and each spelling of a path."""

import base64
import io
import os
import uuid
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from facelab.ui.uploads import NOT_UPLOADED, UNFIT, Guarded, check_inputs, uploaded
from facelab.ui.widgets.photo_input import PhotoInput
from tests.conftest import link
from tests.pages import CLIENT, launched

HASH = "a" * 64
META = {"_type": "gradio.FileData"}


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The upload folder, with one upload in it, beside a private photo."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    place = tmp_path / "uploads" / HASH
    place.mkdir(parents=True)
    (place / "face.png").write_bytes(png())
    (tmp_path / "private.png").write_bytes(png())
    return place


def trespasses(folder: Path) -> list[object]:
    """Other files, folders, nothing, links out, and what lies in the folder without being an upload."""
    private = folder.parents[1] / "private.png"
    link(folder / "link.png", private)
    link(folder.parent / ("b" * 64), private.parent)
    state = folder.parent / "deep_links" / ("c" * 64)
    state.mkdir(parents=True)
    (state / "state.json").write_text("{}")
    (folder.parent / "tmp1234").write_bytes(png())
    (folder / "deeper").mkdir()
    (folder / "deeper" / "face.png").write_bytes(png())
    return [
        str(private), str(private.parent), "/etc/passwd", "/proc/self/environ", "/nothing/there.png", "", ".",
        f"{folder}/../../private.png", f"{folder}/link.png", f"{folder.parent}/{'b' * 64}/private.png",
        f"/proc/self/root{private}", str(folder), str(folder.parent), f"{state}/state.json", "~",
        f"{folder.parent}/tmp1234", f"{folder}/deeper/face.png", f"file://{private}", "a\0b", "x" * 10_000,
        "https://example.com/face.png", "HTTP://example.com", "ftp://example.com/a", "\\\\host\\share",
        "http://127.0.0.1:1/a.png", os.path.relpath(private), 5, True, ["a"], {"a": 1},
    ]  # fmt: skip


def test_an_upload_may_be_named_and_nothing_else_and_all_refusals_are_alike(folder):
    assert uploaded(f"{folder}/face.png") == os.path.realpath(folder / "face.png")
    for path in trespasses(folder):
        with pytest.raises(gr.Error) as refused:
            uploaded(path)
        assert refused.value.message == NOT_UPLOADED and not refused.value.print_exception, path


def test_a_path_is_found_wherever_a_request_hides_it(folder):
    good, bad = {"path": f"{folder}/face.png", "meta": META}, {"path": "/etc/passwd"}
    check_inputs([good, None, "text /etc/passwd", {"path": None, "url": "data:x"}, [good], 5.0])
    deep = bad
    for _ in range(50_000):
        deep = [deep]
    for hidden in (bad, [bad], {"value": bad}, {"a": [{"path": None, "b": bad}]}, deep, good | {"x": bad}):
        with pytest.raises(gr.Error, match="not on the page"):
            check_inputs(["first", hidden])


def test_a_photo_sent_as_data_is_never_written(folder):
    with gr.Blocks():
        field = PhotoInput("Photo")
    before = sorted(folder.parent.rglob("*"))
    packed = base64.b64encode(png()).decode()
    model = field.data_model
    assert field.preprocess(model(url=f"data:image/png;base64,{packed}")) == png()
    for url in (
        None,
        "",
        "http://x/y.png",
        "data:image/png,abc",
        "data:image/png;base64",
        "file:///etc/passwd",
    ):
        with pytest.raises(gr.Error, match="not on the page"):
            field.preprocess(model(url=url))
    with pytest.raises(gr.Error, match="cut short"):
        field.preprocess(model(url=f"data:image/png;base64,{packed[:-3]}"))
    with pytest.raises(gr.Error, match="not on the page"):
        field.preprocess(model(path=str(folder.parents[1] / "private.png")))
    assert sorted(folder.parent.rglob("*")) == before


COMPONENTS = (
    lambda: PhotoInput("Photo"), lambda: gr.Image(type="filepath"), gr.File, gr.Textbox, gr.JSON, gr.HTML,
    lambda: gr.File(file_count="multiple"), gr.Checkbox, lambda: gr.Dropdown(["a"]), gr.Number,
)  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(url, seen, private photo): every kind of component behind a public and a private event."""
    seen: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("doors")
        patch.setenv("GRADIO_TEMP_DIR", str(root / "uploads"))
        (root / "private.png").write_bytes(png())
        with Guarded(analytics_enabled=False) as page:
            press = gr.Button()
            for i, build in enumerate(COMPONENTS):
                name = f"public{i}"
                press.click(seen.append, build(), None, api_name=name)
                press.click(seen.append, build(), None, api_visibility="private")
        with launched(page) as served:
            yield served.url, seen, root / "private.png"


def answer_of(url: str, event: str | int, value: object) -> str:
    """The last message of an event, called by name or by number."""
    if isinstance(event, str):
        started = CLIENT.post(f"{url}gradio_api/call/{event}", json={"data": [value]})
        return CLIENT.get(f"{url}gradio_api/call/{event}/{started.json()['event_id']}").text
    session = uuid.uuid4().hex
    body = {"data": [value], "fn_index": event, "session_hash": session}
    CLIENT.post(f"{url}gradio_api/queue/join", json=body)
    return CLIENT.get(f"{url}gradio_api/queue/data", params={"session_hash": session}).text


@pytest.mark.parametrize("component", range(len(COMPONENTS)))
def test_no_event_reads_a_file_of_the_server(served, component):
    url, seen, private = served
    seen.clear()
    answers = set()
    for path in (str(private), "/nothing/there.png", str(private.parent), "http://127.0.0.1:9/face.png"):
        for value in (
            {"path": path},
            {"path": path, "meta": META},
            {"path": path, "meta": META, "is_stream": True},
        ):
            for event in (f"public{component}", 2 * component, 2 * component + 1):
                answer = answer_of(url, event, value)
                assert NOT_UPLOADED in answer and str(private.parent) not in answer
                if isinstance(event, str):
                    answers.add(answer)
    assert not seen and len(answers) == 1, "a refusal says nothing of the file"


def test_an_upload_reaches_the_event(served):
    url, seen, _ = served
    path = CLIENT.post(f"{url}gradio_api/upload", files={"files": ("face.png", png())}).json()[0]
    seen.clear()
    for event in ("public0", 1, "public2"):
        answer_of(url, event, {"path": path, "meta": META})
    assert [Path(str(found)).read_bytes() for found in seen] == [png()] * 3


@pytest.mark.parametrize("event", ["public0", 1, "public1", "public2", "public6", "public8"])
def test_a_request_of_another_shape_gets_a_sentence_and_leaves_nothing_in_the_log(served, event, capfd):
    url, seen, _ = served
    seen.clear()
    packed = "data:image/png;base64," + base64.b64encode(b"of a visitor").decode()
    private = {"orig_name": "Zoe at home.jpg", "url": packed, "size": "large", "meta": 5}
    for value in (private, [private], "Zoe at home.jpg", 5, {"url": [packed]}, [[[[private]]]]):
        answer = answer_of(url, event, value)
        assert UNFIT in answer or NOT_UPLOADED in answer or "choices" in answer, (value, answer)
    said = "".join(capfd.readouterr())
    assert not seen and "Traceback" not in said and "Zoe" not in said and packed[:30] not in said
