"""Makes build/space/, what a Hugging Face Space needs and nothing else; tries it, and says how to upload it.

`make space` runs this. The files are those of the last commit. They are tried in an empty environment made
from their own requirements: the server is started, its page walked through in Chromium, and the server
stopped. With an owner and a token in HF_TOKEN the upload is run too, else its lines are printed.
"""

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("README.md", "LICENSE.md", "LICENSE", "app.py", "requirements.txt", "facelab", "checkpoints")
PYTHON = "python3.12"  # as README.md's front matter has it
START_SECONDS = 60.0 * 5


def write(folder: Path, root: Path = ROOT) -> int:
    """Fill a folder, emptied before, with what a Space needs of the last commit -> bytes.

    Raises:
        ValueError: `root` is no git checkout that has these files.
    """
    done = subprocess.run(["git", "archive", "HEAD", "--", *PARTS], cwd=root, capture_output=True)
    if done.returncode:
        raise ValueError(f"git archive failed: {done.stderr.decode().strip().splitlines()[0]}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def interpreter(wanted: str = PYTHON) -> tuple[str, bool]:
    """Return a Python to try it with, and whether it is the one that the Space will have."""
    path = shutil.which(wanted)
    if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
        return path, True
    return sys.executable, False


def environment(python: str, folder: Path, venv: Path) -> Path:
    """Make an empty environment and install the Space's own requirements -> its Python."""
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    inside = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    requirements = str(folder / "requirements.txt")
    subprocess.run([str(inside), "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return inside


def walk(url: str) -> str:
    """Open the page in Chromium, compare, and open every tab -> what was done, in words.

    Raises:
        ValueError: the page complained, or asked another host for something.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or find_spec("playwright") is None:
        return "not opened in a browser: no Chromium or no playwright"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        own = (url, "data:", "blob:")
        page.on("request", lambda asked: asked.url.startswith(own) or said.append(asked.url))
        page.goto(f"{url}?tab=compare")
        page.wait_for_selector("#chart .main-svg", timeout=60_000)
        page.locator("#compare").click()
        tabs = page.get_by_role("tab").all()
        for tab in tabs:
            if tab.is_visible():
                tab.click()
        page.wait_for_timeout(1000)
    if said:
        raise ValueError(f"in the browser: {said[0]}")
    return f"opened in a browser, {len(tabs)} tabs"


def first_page(
    server: list[str],
    folder: Path,
    seconds: float = START_SECONDS,
    then: Callable[[str], None] = lambda _: None,
) -> float:
    """Start the page in a folder, fetch it, stop it -> seconds until it was there.

    Args:
        then: is called with its address before it is stopped.

    Raises:
        ValueError: it ended, or no page came in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        bare = {"PATH": os.defpath, "HOME": home, "HOST": "127.0.0.1", "PORT": str(port)}
        began = time.monotonic()
        said = Path(home) / "said.txt"  # a line for each request: shown only where something is wrong
        with said.open("wb") as out:
            running = subprocess.Popen(
                server, cwd=folder, env=bare | {"FACELAB_HOSTED": "on"}, stdout=out, stderr=out
            )
        try:
            while time.monotonic() - began < seconds:
                if running.poll() is not None:
                    last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                    status = f"the server ended with status {running.returncode} before a page came"
                    raise ValueError(f"{status}: {' '.join(last)}")
                if _title(f"http://127.0.0.1:{port}/"):
                    took = time.monotonic() - began
                    then(f"http://127.0.0.1:{port}/")
                    return took
                time.sleep(0.5)
            raise ValueError(f"no page came within {seconds:g} seconds")
        finally:
            running.terminate()
            running.wait(60)


def _title(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return b"FaceLab" in answer.read()
    except (OSError, urllib.error.URLError):
        return False


def commands(owner: str, folder: Path) -> list[list[str]]:
    """Make the Space where there is none yet, and upload; as arguments.

    By itself the upload would ask for a Space on a CPU, which a free account may not make.
    """
    name = f"{owner}/facelab"
    flavor = ["--type", "space", "--sdk", "gradio", "--flavor", "zero-a10g", "--exist-ok"]
    return [
        ["hf", "repos", "create", name, *flavor],
        ["hf", "upload", name, str(folder), ".", "--repo-type", "space"],
    ]


def publish(owner: str, folder: Path, environ: Mapping[str, str], hf: str = "hf") -> int:
    """Upload where there are an owner and a token, else print the lines that do -> exit status."""
    lines = commands(owner or "OWNER", folder)
    if not owner or not environ.get("HF_TOKEN"):
        print("\n".join(" ".join(line) for line in lines))
        if owner:
            print("nothing was uploaded: HF_TOKEN holds no token", file=sys.stderr)
        return 0
    for line in lines:
        status = subprocess.run([hf, *line[1:]], env=dict(environ)).returncode
        if status:
            return status
    return 0


def main() -> int:
    """Write, try, publish -> exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owner", default="", help="who owns the Space, on the Hub")
    parser.add_argument("--untried", action="store_true", help="do not install and start it")
    asked = parser.parse_args()
    folder = Path("build/space")
    try:
        size = write(ROOT / folder)
        print(f"{folder}: {size / 1e6:.0f} MB")
        hf = "hf"
        if not asked.untried:
            python, meant = interpreter()
            if not meant:
                print(f"{PYTHON} is not here; tried with {sys.version.split()[0]} instead", file=sys.stderr)
            inside = environment(python, ROOT / folder, ROOT / "build/space-environment")
            server = [str(inside), "app.py"]
            took = first_page(server, ROOT / folder, then=lambda url: print(walk(url)))
            print(f"its first page came after {took:.0f} s")
            shutil.rmtree(ROOT / folder, ignore_errors=True)  # what running it has left
            write(ROOT / folder)
            hf = str(inside.with_name("hf"))
        return publish(asked.owner, folder, os.environ, hf)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"space: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
