"""A visit that is over leaves nothing in the server's memory."""

import datetime
import time

import gradio as gr
import numpy as np
from gradio.state_holder import SessionState, StateHolder
from gradio_client import Client

from facelab import gallery as galleries
from facelab import serve
from facelab.serve import IDLE, forget_idle
from facelab.ui import build_app, enrol


def test_idle_visits_leave_nothing_in_memory():
    app = build_app()
    holder = StateHolder()
    holder.set_blocks(app)
    for name in ("idle", "busy"):
        assert isinstance(holder[name], SessionState)
    state = next(
        key for key, block in app.blocks.items() if getattr(block, "delete_callback", None) is enrol.forget
    )
    vectors = np.ones((1, 4), np.float32)
    gallery = galleries.Gallery("any", ("Zoë",), vectors)
    holder["idle"][state] = {"any": enrol.Enrolled(gallery, {})}
    now = datetime.datetime.now()
    holder.time_last_used["idle"] = now - IDLE - datetime.timedelta(seconds=1)
    forget_idle(holder, now)
    assert set(holder.session_data) == set(holder.time_last_used) == {"busy"}
    assert not vectors.any()


def test_the_server_looks_for_idle_visits_while_it_runs(monkeypatch):
    monkeypatch.setattr(serve, "LOOK_EVERY", 0.05)
    with gr.Blocks(analytics_enabled=False) as page:
        kept = gr.State()
        gr.Button().click(lambda text: text, gr.Textbox(), kept, api_name="keep")
    app, url, _ = page.launch(
        prevent_thread_lock=True,
        quiet=True,
        run_history=False,
        ssr_mode=False,
        server_name="127.0.0.1",
        app_kwargs={"lifespan": serve.forgetting},
    )
    try:
        Client(url, verbose=False).predict("Zoë", api_name="/keep")
        assert app.state_holder.session_data, "the visit is there while it is fresh"
        monkeypatch.setattr(serve, "IDLE", datetime.timedelta(0))
        deadline = time.monotonic() + 240
        while app.state_holder.session_data:
            assert time.monotonic() < deadline, "the visit is still in memory"
            time.sleep(0.05)
    finally:
        page.close()
