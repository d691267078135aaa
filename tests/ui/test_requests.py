"""The server's own answers: that it lives, and a line a request that names nobody."""

import re
import sys

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from facelab.ui.opening import Opening
from facelab.ui.requests import Lines, routes
from facelab.ui.serve import middleware


def test_health_answers_and_each_request_is_one_line_without_names(capsys):
    app = FastAPI(routes=routes(Opening()), middleware=[Middleware(Lines)])

    @app.get("/file={path:path}")
    def file(path: str):
        return {"ann": path}

    @app.get("/broken")
    def broken():
        raise RuntimeError("bad")

    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/file=/tmp/ann-at-home.jpg?session_hash=abc").status_code == 200
    assert client.get("/ann.jpg").status_code == 404
    assert client.get("/broken").status_code == 500
    lines = capsys.readouterr().err.splitlines()
    wanted = [r"GET /healthz 200", r"GET /file=\{path:path\} 200", r"GET - 404", r"GET /broken 500"]
    assert len(lines) == len(wanted)
    assert all(re.fullmatch(rf"{want} \d+ ms", line) for want, line in zip(wanted, lines)), lines


def test_health_touches_no_model():
    before = set(sys.modules)
    assert routes(Opening())[0].endpoint() == {"status": "ok"}
    assert set(sys.modules) == before


def test_lines_are_written_where_others_come_only(monkeypatch):
    for name in ("HOST", "SPACE_ID", "FACELAB_HOSTED"):
        monkeypatch.delenv(name, raising=False)
    assert Lines not in [one.cls for one in middleware()]
    monkeypatch.setenv("FACELAB_HOSTED", "on")
    assert middleware()[0].cls is Lines
