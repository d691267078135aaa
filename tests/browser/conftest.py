"""A served app and a real Chromium; without one, tests are skipped unless FACELAB_BROWSER=1 demands it."""

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent.parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a test picture
    "--use-fake-ui-for-media-stream",
]
long = pytest.mark.skipif(
    os.environ.get("FACELAB_LONG") != "1", reason="takes minutes: FACELAB_LONG=1 runs it"
)
START_SECONDS = 240  # generous: a busy test machine imports slowly


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.browser)


def started():
    """(URL, process id) of the app, started as a user starts it, once it serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | {"PORT": str(port)})
    answers(f"http://127.0.0.1:{port}/", process)
    return f"http://127.0.0.1:{port}/", process.pid


def answers(url, process):
    """Wait until a process that was just started serves a page there."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert process.poll() is None, "it ended before it served a page"
            assert time.monotonic() < deadline, "it did not serve a page in time"
            time.sleep(0.3)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """URL of the app; the processes of a test run share one server, which the last of them ends."""
    room = tmp_path_factory.getbasetemp()
    room = room.parent if "PYTEST_XDIST_WORKER" in os.environ else room
    file, lock = room / "served.json", FileLock(room / "served.lock")
    with lock:
        url, pid, users = json.loads(file.read_text()) if file.exists() else (*started(), 0)
        file.write_text(json.dumps((url, pid, users + 1)))
    yield url
    with lock:
        users = json.loads(file.read_text())[2] - 1
        if users:
            file.write_text(json.dumps((url, pid, users)))
        else:
            file.unlink()
            os.kill(pid, signal.SIGTERM)


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("FACELAB_BROWSER") == "1":
            pytest.fail("FACELAB_BROWSER=1 and no chromium is installed")
        pytest.skip("no chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page must not do: ask another host, or complain on its console."""

    def __init__(self, page):
        self.outside, self.errors = [], []
        page.on("request", self._request)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request):
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.outside.append(request.url)


def choose_tab(page, name):
    """Choose a tab as a visitor does; on a phone their strip scrolls sideways."""
    page.get_by_role("tab", name=name, exact=True).first.click()


def until(page, condition, arg=None, timeout=120_000):
    """Wait until a JavaScript expression, or function of `arg`, holds; what it reads may not be drawn yet."""
    page.wait_for_function(
        """([condition, arg]) => {
          try {
            const held = eval(`(${condition})`);
            return typeof held === "function" ? held(arg) : held;
          } catch (error) {
            if (error instanceof TypeError) return false;
            throw error;
          }
        }""",
        arg=[condition, arg],
        timeout=timeout,
        polling=100,  # milliseconds; the default asks for a frame each time, which costs a whole core
    )


@contextmanager
def visits(served, chromium):
    """Open pages until the end, when none may have asked another host or complained."""
    contexts, watches = [], []

    def open_page(width=1280, height=900, scheme="light", link=None):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US"
        )
        page = context.new_page()
        page.set_default_timeout(120_000)  # milliseconds: a busy machine is no failure
        watch = Watch(page)
        page.goto(f"{served}?__theme={scheme}&{link or 'tab=compare'}")
        if link is None:
            page.wait_for_selector("#chart .main-svg", timeout=60_000)
        contexts.append(context)
        watches.append(watch)
        return page, watch

    yield open_page
    for context in contexts:
        context.close()
    for watch in watches:
        assert watch.outside == []
        assert watch.errors == []


@pytest.fixture
def visit(served, chromium):
    """visit(width, height, scheme, link) -> (page, watch), settled at Compare, or at what a link says;
    nothing outside, no error at the end."""
    with visits(served, chromium) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def desk(served, chromium):
    """Like `visit`, but the tests of a file share the page: to open one takes five seconds of processor time.

    What a test leaves there must not disturb the next one.
    """
    with visits(served, chromium) as open_page:
        yield functools.cache(open_page)
