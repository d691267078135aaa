"""Take the documents' pictures of the page: `make pictures`, with Chromium installed.

It serves the page, opens links and writes WebP files to docs/pictures/: one still a tab, and `demo.webp`, the
animation of the README. Only rendered faces are shown, since the page opens on them.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"
WIDTH = 1280  # of a still, in pixels: two columns; the height shows what matters of the tab
STILLS = {
    "start": ("start", 1000), "compare": ("compare", 1000), "identify": ("identify", 1000),
    "embedding-space": ("space", 1000), "calibration": ("calibration", 1000), "losses": ("losses", 1000),
    "architectures": ("architectures", 1500), "regularization": ("regularization", 1000),
    "transfer": ("transfer", 1000), "train": ("train", 1000),
}  # fmt: skip
DEMO = (1280, 800)  # pixels on the page
SHRUNK = (960, 600)  # and in the file
STRICTNESS = (4, 3, 2, 1)  # -log10 of the false accept rate
NEGATIVE = (65, *range(80, 300, 20), 240, 180, 140, 120, 105, 90, 75)  # degrees on the circle
WAIT_MS = 240_000  # generous: the first page computes its examples
SETTLE_MS = 1500
DRAWN = """() => window.facelabLoaded
  && ![...document.querySelectorAll('[data-later]')].some((each) => each.checkVisibility())
  && [...document.querySelectorAll('.facelab-chart')].every((each) => !each.checkVisibility() || each.data)"""


@contextmanager
def served() -> Iterator[str]:
    """Serve the page as a user does; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | {"PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    try:
        while True:
            if process.poll() is not None:
                sys.exit("app.py ended before it served a page")
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait()


def opened(browser: Browser, url: str, link: str, size: tuple[int, int]) -> Page:
    """Open a link in a window of its own and wait until it is drawn."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="light")
    page.goto(f"{url}?__theme=light&tab={link}", timeout=WAIT_MS)
    page.wait_for_selector(".tabitem:visible", timeout=WAIT_MS)
    page.wait_for_function(DRAWN, timeout=WAIT_MS, polling=100)
    page.wait_for_timeout(SETTLE_MS)
    return page


def pixels(page: Page, selector: str | None = None) -> Image.Image:
    """Return what the window, or one element, shows."""
    shot = page.locator(selector).screenshot() if selector else page.screenshot()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def take_stills(browser: Browser, url: str) -> None:
    """Write a picture of each tab, and of the score by feature-map position."""
    for tab, (name, height) in STILLS.items():
        page = opened(browser, url, tab, (WIDTH, height))
        pixels(page).save(OUT / f"{name}.webp", quality=80, method=6)
        if tab == "compare":
            pixels(page, "#why").save(OUT / "why.webp", quality=80, method=6)
        page.close()


def threshold_frames(browser: Browser, url: str) -> list[tuple[Image.Image, int]]:
    """(picture, milliseconds): the decision on one pair at four false accept rates."""
    frames = []
    for strictness in STRICTNESS:
        page = opened(browser, url, f"compare&strictness={strictness}", DEMO)
        page.evaluate("document.querySelector('#photo-a').scrollIntoView()")
        page.wait_for_timeout(SETTLE_MS)
        frames.append((pixels(page), 1300))
        page.close()
    return frames


def triplet_frames(browser: Browser, url: str) -> list[tuple[Image.Image, int]]:
    """(picture, milliseconds): a negative that is dragged around the circle."""
    page = opened(browser, url, "losses&tripletmargin=0.5&open=losses-triplets&at=triplet-circle", DEMO)
    page.wait_for_selector("#triplet-circle .main-svg", timeout=WAIT_MS)
    page.evaluate("document.querySelector('#triplet-circle').scrollIntoView({block: 'center'})")
    handle = page.get_by_role("slider", name="negative", exact=True)
    frames = []
    for degrees in NEGATIVE:
        x, y = page.evaluate(PLACE, degrees)
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(x, y)
        page.mouse.up()
        page.wait_for_timeout(SETTLE_MS // 2)
        frames.append((pixels(page), 220))
    page.close()
    return frames


PLACE = """(degrees) => {
  const plot = document.querySelector('#triplet-circle .facelab-chart');
  const {xaxis: x, yaxis: y} = plot._fullLayout, place = plot.getBoundingClientRect();
  const angle = degrees * Math.PI / 180;
  return [place.left + x._offset + x.l2p(Math.cos(angle)), place.top + y._offset + y.l2p(Math.sin(angle))];
}"""


def take_demo(browser: Browser, url: str) -> None:
    """Write the animation."""
    shots = threshold_frames(browser, url) + triplet_frames(browser, url)
    images = [image.resize(SHRUNK, Image.Resampling.LANCZOS) for image, _ in shots]
    times = [milliseconds for _, milliseconds in shots]
    path = OUT / "demo.webp"
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=times, loop=0, quality=60, method=6,
        minimize_size=True,
    )  # fmt: skip
    print(f"{path.name}: {len(images)} frames, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Take the stills and the animation, or only what is named: `stills`, `demo`."""
    wanted = sys.argv[1:] or ["stills", "demo"]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium was found; install one, e.g. apt-get install chromium")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if "stills" in wanted:
            take_stills(browser, url)
        if "demo" in wanted:
            take_demo(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
