"""A visit that is over leaves nothing in the server's memory, nor on its disk."""

import base64
import datetime
import io
import os
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import SessionState, StateHolder
from gradio_client import Client
from PIL import Image

from facelab.data.formats.vectors import Vectors
from facelab.evaluation.own_maps import Mapped
from facelab.recognition import gallery as galleries
from facelab.ui import serve
from facelab.ui.identify import enroll
from facelab.ui.own import maps, runs
from facelab.ui.serve import IDLE, forget_idle, forget_uploads, sweep
from facelab.ui.uploads import Guarded
from facelab.ui.widgets.photo_input import PhotoInput
from tests.conftest import link
from tests.pages import CLIENT, launched


def test_idle_visits_leave_nothing_in_memory(whole_page):
    app = whole_page[0]
    holder = StateHolder()
    holder.set_blocks(app)
    for name in ("idle", "busy"):
        assert isinstance(holder[name], SessionState)
    vectors, brought, drawn = (np.ones((3, 4), np.float32) for _ in range(3))
    gallery = galleries.Gallery("any", ("Zoë",) * 3, vectors)
    run = runs.Run("mine", Vectors(("1", "2", "3"), brought, None))
    kept = {
        enroll.forget: {"any": enroll.Enrolled(gallery, {})},
        runs.forget: {"A": run},
        maps.forget: maps.Maps({"A": "mine"}, {"A": Mapped(drawn, np.zeros(3, int), ("Zoë",), 3)}),
    }
    for forget, value in kept.items():
        state = next(
            key for key, block in app.blocks.items() if getattr(block, "delete_callback", None) is forget
        )
        holder["idle"][state] = value
    now = datetime.datetime.now()
    holder.time_last_used["idle"] = now - IDLE - datetime.timedelta(seconds=1)
    forget_idle(holder, now)
    assert set(holder.session_data) == set(holder.time_last_used) == {"busy"}
    assert not vectors.any() and not brought.any() and not drawn.any()


def test_the_server_looks_for_idle_visits_while_it_runs(monkeypatch):
    monkeypatch.setattr(serve, "LOOK_EVERY", 0.05)
    with gr.Blocks(analytics_enabled=False) as page:
        kept = gr.State()
        gr.Button().click(lambda text: text, gr.Textbox(), kept, api_name="keep")
    with launched(page, app_kwargs={"lifespan": serve.forgetting}) as (app, url, _):
        Client(url, verbose=False).predict("Zoë", api_name="/keep")
        assert app.state_holder.session_data, "the visit is there while it is fresh"
        monkeypatch.setattr(serve, "IDLE", datetime.timedelta(0))
        deadline = time.monotonic() + 240
        while app.state_holder.session_data:
            assert time.monotonic() < deadline, "the visit is still in memory"
            time.sleep(0.05)


def png(side):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "navy").save(buffer, "PNG")
    return buffer.getvalue()


META = {"_type": "gradio.FileData"}
PHOTO = png(16)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """(gradio's app, url, upload folder) of a page that opens with a picture."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with Guarded(analytics_enabled=False) as page:
        opening = Image.new("RGB", (8, 8), "teal")
        kinds = (PhotoInput("Photo", value=opening), gr.Image(type="filepath"), gr.File(type="filepath"))
        press, said = gr.Button(), gr.Textbox()
        for name, field in zip(("photo", "image", "file"), kinds):
            press.click(lambda value: str(type(value)), field, said, api_name=name)
    with launched(page) as (app, url, _):
        yield app, url, tmp_path


def call(url, event, value, session="visit"):
    body = {"data": [value], "session_hash": session}
    assert CLIENT.post(f"{url}gradio_api/run/{event}", json=body).status_code == 200


def below(folder):
    return set(folder.rglob("*"))


def age(folder, seconds):
    """Let everything below a folder have been written so long ago."""
    then = time.time() - seconds
    for path in below(folder):
        os.utime(path, (then, then), follow_symlinks=os.utime not in os.supports_follow_symlinks)


def test_a_photo_is_gone_from_disk_by_every_way_that_it_can_enter(served):
    app, url, folder = served
    age(folder, 10**6)
    opening = {path for path in below(folder) if path.is_file()}
    assert opening, "the picture that the page opens with"

    def upload(name):
        return CLIENT.post(f"{url}gradio_api/upload", files={"files": (name, PHOTO)})

    path = upload("face.jpg").json()[0]  # a file, a pasted one and the camera's picture alike
    upload("never used.jpg")
    assert upload("..").status_code == 400, "a refused name, whose content is there nevertheless"
    packed = "data:image/png;base64," + base64.b64encode(PHOTO).decode()
    for event in ("photo", "image"):
        call(url, event, {"url": packed})
    call(url, "file", {"path": path, "meta": META})
    assert CLIENT.get(f"{url}gradio_api/deep_link", params={"session_hash": "visit"}).text.strip('"')
    left = {path.name for path in below(folder) if path.is_file()} - {path.name for path in opening}
    assert {"face.jpg", "never used.jpg", "state.json"} < left

    forget_uploads(app, time.time())
    assert Path(path).exists(), "what has just come stays"
    age(folder, IDLE.total_seconds() + 1)
    forget_uploads(app, time.time())
    assert {path for path in below(folder) if path.is_file()} == opening
    assert below(folder) == opening | {path.parent for path in opening}, "a folder stays of an upload"
    assert not set().union(*app.get_blocks().temp_file_sets) - {str(path) for path in opening}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_sweep_takes_all_kinds_of_things_and_follows_no_link(tmp_path):
    folder, elsewhere = tmp_path / "uploads", tmp_path / "elsewhere"
    for place in (folder / "a" / "b" / "c", folder / "kept", elsewhere):
        place.mkdir(parents=True)
    for path in (folder / "a" / "x.jpg", folder / "kept" / "x.png", folder / ".hidden", elsewhere / "x"):
        path.write_bytes(PHOTO)
    link(folder / "link", elsewhere)
    link(folder / "dangling", "nothing")
    os.mkfifo(folder / "pipe")
    age(tmp_path, 100)
    later = time.time() + 10**6
    os.utime(folder / ".hidden", (later, later))  # it claims to be of tomorrow, but is there since today
    sweep(folder, {str(folder / "kept" / "x.png")}, time.time() + IDLE.total_seconds() - 200)
    assert len(below(folder)) == 10, "nothing is old enough"
    sweep(folder, {str(folder / "kept" / "x.png")}, time.time() + IDLE.total_seconds() + 1)
    assert below(folder) == {folder / "kept", folder / "kept" / "x.png"}
    assert (elsewhere / "x").exists() and folder.is_dir()
    sweep(tmp_path / "never made", set(), time.time())


def test_the_server_sweeps_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(serve, "LOOK_EVERY", 0.05)
    with gr.Blocks(analytics_enabled=False) as page:
        gr.Button()
    with launched(page, app_kwargs={"lifespan": serve.forgetting}):
        (tmp_path / "late.jpg").write_bytes(PHOTO)
        age(tmp_path, IDLE.total_seconds() + 1)
        deadline = time.monotonic() + 30
        while (tmp_path / "late.jpg").exists():
            assert time.monotonic() < deadline, "an upload is still on disk"
            time.sleep(0.05)
