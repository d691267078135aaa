"""What a visitor waits for, measured in a real Chromium: start, first paint, Compare, tabs, and sliders.

python benchmarks/page.py
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

from playwright.sync_api import Browser, Page, sync_playwright

PORT = "7869"
REPEATS = 20
TABS = {
    "Compare": "#chart .main-svg",
    "Identify": "#dir-chart .main-svg",
    "Embedding space": "#space-left .main-svg",
    "Calibration": "#reliability-chart .main-svg",
    "Losses": "#center-chart .main-svg",
    "Architectures": "#tree-chart .main-svg",
    "Regularization": "#rates-chart .main-svg",
    "Transfer": "#transfer-start",
    "Train": "#train-course .main-svg",
}
SLIDERS = (  # tab, its section that has to be opened, slider, what it moves, two values
    ("Compare", None, "strictness", "chart", (1.5, 2.5)),
    ("Embedding space", None, "epochs-slider", "epochs-left", (10, 30)),
    ("Calibration", None, "temperature", "reliability-chart", (0.7, 2.05)),
    ("Losses", None, "center-weight", "center-chart", (0.3, 0.7)),
    ("Losses", "Triplets", "triplet-negative", "triplet-circle", (65, 200)),
    ("Losses", "Pairs", "pairs-genuine-mean", "pairs-chart", (0.5, 0.8)),
    ("Architectures", None, "budget-dim", "meter", (256, 512)),
    ("Regularization", None, "drop-rate", "rates-chart", (0.2, 0.4)),
    ("Regularization", None, "augment-rotate", "variants", (5, 30)),
)
MOVE = """([slider, shown, value]) => new Promise((done) => {
  const field = document.querySelector(`#${slider} input[type=number]`);
  const target = document.querySelector(`#${shown}`), plot = target.querySelector('.facelab-chart');
  const start = performance.now(), moved = () => done(performance.now() - start);
  if (plot) plot.once('plotly_afterplot', moved);
  const card = () => target.querySelector('.fl-card')?.innerHTML, before = card();
  const look = () => card() !== before ? moved() : requestAnimationFrame(look);
  if (!plot) look();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  field.dispatchEvent(new Event('input', {bubbles: true}));
  field.dispatchEvent(new Event('change', {bubbles: true}));
  setTimeout(() => done(-1), 5000);
})"""
SWITCH = """([tab, content]) => new Promise((done) => {
  const start = performance.now();
  [...document.querySelectorAll('[role=tab]')].find((t) => t.innerText.trim() === tab).click();
  const poll = () => {
    const seen = document.querySelector(content);
    if (seen && seen.getBoundingClientRect().width > 0) return done(performance.now() - start);
    requestAnimationFrame(poll);
  };
  poll();
  setTimeout(() => done(-1), 5000);
})"""


def press(page: Page) -> float:
    """Milliseconds from the button until the verdict's progress mark has come and gone."""
    mark = "#verdict [data-testid=status-tracker]"
    start = time.perf_counter()
    page.locator("#compare").click()
    page.wait_for_selector(f"{mark}:not(.hide)", state="attached")
    page.wait_for_selector(f"{mark}.hide", state="attached")
    return 1000 * (time.perf_counter() - start)


def first_paint(browser: Browser, url: str, content: str) -> float:
    """Milliseconds from asking for the page until some of its opening content is drawn, in a new visit."""
    page = browser.new_context().new_page()
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(content)
    spent = 1000 * (time.perf_counter() - start)
    page.context.close()
    return spent


def report(what: str, measure: Callable[[int], float], repeats: int = REPEATS) -> None:
    """Print the median of some repetitions after one that does not count."""
    measure(-1)
    print(f"{what:<56}{statistics.median(measure(i) for i in range(repeats)):8.0f}", flush=True)


def visit(browser: Browser, url: str) -> None:
    """All that happens on one open page."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}?tab=compare")
    page.wait_for_selector("#chart .main-svg")
    page.wait_for_timeout(2000)
    report("Compare button to verdict, median ms", lambda i: press(page))
    page.wait_for_timeout(3000)  # the explanation below the verdict is still under way
    names = list(TABS)
    for name, content in TABS.items():
        other = names[names.index(name) - 1]

        def back_and_forth(i: int, other: str = other, name: str = name, content: str = content) -> float:
            page.evaluate(SWITCH, [other, TABS[other]])
            return page.evaluate(SWITCH, [name, content])

        report(f"tab {name}, median ms", back_and_forth)
    for name, section, slider, shown, values in SLIDERS:
        page.evaluate(SWITCH, [name, TABS[name]])
        if section:
            page.get_by_role("button", name=section).first.click()
        page.wait_for_timeout(1500)

        def move(i: int, slider: str = slider, shown: str = shown, values: tuple = values) -> float:
            spent = page.evaluate(MOVE, [slider, shown, str(values[i % 2])])
            page.wait_for_timeout(400)  # what else the move has changed is drawn, as when a hand rests
            return spent

        report(f"slider {slider} of {name}, median ms", move)


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The app as a user starts it -> its URL, once it answers."""
    app = subprocess.Popen(
        [sys.executable, "app.py"], env=os.environ | {"PORT": PORT}, stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{PORT}/"
    try:
        while True:
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        app.terminate()


def main() -> None:
    start = time.perf_counter()
    with serving() as url, sync_playwright() as playwright:
        print(
            f"{'first page after starting the process, s':<56}{time.perf_counter() - start:8.1f}", flush=True
        )
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for what, content, tab in (
            ("Start", "#lecture .fl-topic", "start"),
            ("decision", "#verdict h2", "compare"),
            ("chart", "#chart .main-svg", "compare"),
        ):
            report(
                f"first paint of a warm process, {what}, median ms",
                lambda i, content=content, tab=tab: first_paint(browser, f"{url}?tab={tab}", content),
            )
        visit(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
