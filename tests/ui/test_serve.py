"""No upload outlives its process, however that ends."""

import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from facelab.ui.serve import PREFIX, free_port, upload_folder

ROOT = Path(__file__).parents[2]
HOLD = """
import signal, sys, time, types
sys.modules["facelab.ui"] = page = types.ModuleType("facelab.ui")  # without the seconds that the page takes
page.__path__ = ["facelab/ui"]
from facelab.ui.serve import upload_folder
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
folder = upload_folder()
(folder / "photo.jpg").write_bytes(b"x")
print(folder, flush=True)
time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold(temporary):
    environment = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    return process, Path(process.stdout.readline().decode().strip())


@pytest.mark.skipif(os.name != "posix", reason="whether a process lives cannot be asked here")
def test_uploads_go_with_a_stopped_process_and_at_the_next_start_if_it_was_killed(temporary):
    killed, left = hold(temporary)
    assert (left / "photo.jpg").exists()
    killed.kill()
    killed.wait(30)
    running, kept = hold(temporary)  # starting removes what the killed one left
    assert not left.exists()
    mine = upload_folder()
    assert kept.exists() and mine.exists() and mine.name.startswith(f"{PREFIX}{os.getpid()}-")
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 0 and not kept.exists()


def test_app_cleans_up_when_it_is_terminated(temporary):
    environment = os.environ | {"TMPDIR": str(temporary), "PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not any(path.is_file() for path in temporary.glob(f"{PREFIX}*/**/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)  # the opening example is put there while the page is built
    process.terminate()
    assert process.wait(60) == 0
    assert not list(temporary.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("text", ["", "http", "-1", "65536", "8000.0", "8e3", "٣٠٠٠", "9" * 999])
def test_what_is_no_port_is_answered_in_one_sentence(text, monkeypatch):
    monkeypatch.setenv("PORT", text)
    with pytest.raises(ValueError, match=r"it must be a number from 1 to 65535, e\.g\. PORT=8000") as error:
        free_port()
    assert len(str(error.value)) < 150


def test_a_taken_port_is_told_before_the_page_is_built(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(ValueError, match=f"port {port} is taken by another program; choose another"):
            free_port()
    assert free_port() == port
    monkeypatch.setenv("PORT", "0")  # the system chooses
    assert free_port() == 0


def test_the_app_ends_in_one_sentence(monkeypatch, capfd):
    monkeypatch.setenv("PORT", "web")
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    assert end.value.code == "facelab: PORT is 'web'; it must be a number from 1 to 65535, e.g. PORT=8000"
    assert capfd.readouterr() == ("", "")  # Python writes the sentence to stderr, and ends with status 1
