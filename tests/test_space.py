"""`make space`: the folder that is uploaded, and the line that uploads it."""

import http.server
import itertools
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub.cli.hf import app

from deploy import space
from facelab.models import zoo

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkout(tmp_path):
    """A small repository with everything a Space needs, and things it does not."""
    root = tmp_path / "checkout"
    for name in (*space.PARTS[:-2], "facelab/a.py", "checkpoints/b.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "tests").mkdir()
    (root / "tests" / "test_a.py").write_text("")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for line in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *line], cwd=root, check=True)
    (root / "facelab" / "photo.jpg").write_text("not committed")
    return root


def test_the_folder_holds_what_is_committed_and_needed_and_nothing_else(checkout, tmp_path):
    folder = tmp_path / "build" / "space"
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("of an earlier time")
    size = space.write(folder, checkout)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {*space.PARTS[:-2], "facelab/a.py", "checkpoints/b.txt"}
    assert size == sum(len(name) for name in found)
    assert zoo.shipped(folder / "facelab") == folder / "checkpoints"


def test_what_is_no_checkout_is_refused_and_nothing_deleted(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").touch()
    with pytest.raises(ValueError, match="git archive failed"):
        space.write(tmp_path / "out", tmp_path)
    assert (tmp_path / "out" / "kept.txt").exists()


def test_our_own_parts_exist():
    assert all((ROOT / name).exists() for name in space.PARTS)


SERVER = """
import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert os.environ["FACELAB_HOSTED"] == "on" and "SECRET" not in os.environ
        self.send_response(200); self.end_headers(); self.wfile.write(b"<title>FaceLab</title>")
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"""


def test_its_first_page_is_fetched_in_a_bare_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "of mine")
    (tmp_path / "app.py").write_text(SERVER)
    assert 0 < space.first_page([sys.executable, "app.py"], tmp_path) < space.START_SECONDS


def test_a_server_that_ends_is_told(tmp_path):
    (tmp_path / "app.py").write_text("print('why'); raise SystemExit(3)")
    with pytest.raises(ValueError, match="ended with status 3 before a page came: why"):
        space.first_page([sys.executable, "app.py"], tmp_path)


def test_a_python_that_is_not_here_is_replaced_and_told():
    assert space.interpreter("python0.0") == (sys.executable, False)
    assert space.interpreter(sys.executable) == (sys.executable, True)


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the uploader")
def test_the_lines_are_printed_without_a_token_and_run_with_one(tmp_path, capsys):
    folder = Path("build/space")
    made = "repos create ann/facelab --type space --sdk gradio --flavor zero-a10g --exist-ok"
    sent = "upload ann/facelab build/space . --repo-type space"
    assert space.publish("", folder, {"HF_TOKEN": "t"}) == 0
    assert capsys.readouterr().out == f"hf {made}\nhf {sent}\n".replace("ann", "OWNER")
    assert space.publish("ann", folder, {}) == 0
    out, err = capsys.readouterr()
    assert out == f"hf {made}\nhf {sent}\n" and "no token" in err
    hf, said = tmp_path / "hf", tmp_path / "said"
    hf.write_text(f'#!/bin/sh\necho "$HF_TOKEN $@" >> {said}\n[ $1 = repos ] || exit 4\n')
    hf.chmod(0o755)
    assert space.publish("ann", folder, {"HF_TOKEN": "t"}, str(hf)) == 4
    assert said.read_text() == f"t {made}\nt {sent}\n"
    hf.write_text(f'#!/bin/sh\necho "$@" >> {said}\nexit 3\n')
    assert space.publish("ann", folder, {"HF_TOKEN": "t"}, str(hf)) == 3
    assert said.read_text().count(sent) == 1, "nothing is sent where no Space was made"


def test_the_lines_are_those_that_the_library_knows(capsys):
    for line in space.commands("ann", Path("build/space")):
        words = itertools.takewhile(lambda word: "/" not in word, line[1:])
        app([*words, "--help"], standalone_mode=False)
        known = capsys.readouterr().out
        assert all(word in known for word in line if word.startswith("--") or word == "zero-a10g"), known


def walked(url):
    """Walk in a thread of its own: the browser of other tests may be open in this one, and Playwright's
    synchronous interface works once a thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(space.walk, url).result()


PAGE = """<title>FaceLab</title><div id=chart><p class=main-svg>x</p></div><button id=compare>Compare</button>
<button role=tab>Train</button><script>{}</script>"""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("script", "words"), [("throw new Error('broken')", "broken"), ("fetch('http://127.0.0.1:9/x')", ":9/x")]
)
def test_the_walk_opens_the_tabs_and_tells_what_a_page_must_not_do(script, words):
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no chromium is installed")

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE.format("" if self.path.startswith("/good") else script).encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        if words == "broken":
            assert walked(url + "good") == "opened in a browser, 1 tabs"
        with pytest.raises(ValueError, match=words):
            walked(url)
    finally:
        server.shutdown()
