"""What a visitor waits for, measured in a real Chromium: start, first paint, tabs, sliders, and Compare.

python benchmarks/page.py        about two minutes on two idle cores
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence

from playwright.sync_api import Browser, Page, sync_playwright

PORT = "7869"
REPEATS, FEW = 20, 5
PAINT, SWITCHED, MOVED = 2000, 300, 150  # milliseconds: the goals
DRAWN_MS = 150  # what else a slider has changed is drawn, as when a hand rests
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
MOVE = """([slider, shown, value]) => {  // not a promise: Chromium drops one now and then before it is read
  const mine = window.flMove = {};  // the time limit of an earlier move says nothing about this one
  const done = (spent) => { if (window.flMove === mine) window.flSpent ??= spent; };
  window.flSpent = null;
  const field = document.querySelector(`#${slider} input[type=number]`);
  const target = document.querySelector(`#${shown}`), plot = target.querySelector('.facelab-chart');
  const start = performance.now(), moved = () => done(performance.now() - start);
  if (plot) plot.addEventListener('drawn', moved, {once: true});
  const card = () => target.querySelector('.fl-card')?.innerHTML, before = card();
  const look = () => card() !== before ? moved() : requestAnimationFrame(look);
  if (!plot) look();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  field.dispatchEvent(new Event('input', {bubbles: true}));
  field.dispatchEvent(new Event('change', {bubbles: true}));
  setTimeout(() => done(-1), 5000);
}"""
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


def say(what: str, spent: Sequence[float], goal: float | None = None) -> None:
    """Print the median of some times in ms, and whether it meets its goal; -1 is a time that did not end."""
    middle = float("inf") if min(spent) < 0 else statistics.median(spent)
    held = "" if goal is None else f"  goal {goal:,}: {'met' if middle <= goal else 'MISSED'}"
    print(f"{f'{what}, median of {len(spent)}, ms':<56}{middle:8.0f}{held}", flush=True)


def repeated(measure: Callable[[int], float], repeats: int = REPEATS) -> list[float]:
    """Return the times of some repetitions after one that does not count."""
    measure(-1)
    return [measure(i) for i in range(repeats)]


def visit(browser: Browser, url: str) -> None:
    """All that happens on one open page."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{url}?tab=compare")
    page.wait_for_selector("#chart .main-svg")
    page.wait_for_timeout(2000)
    rounds = [
        {name: page.evaluate(SWITCH, [name, content]) for name, content in TABS.items()}
        for _ in range(1 + REPEATS)
    ]
    for name in TABS:
        say(f"tab {name}", [spent[name] for spent in rounds[1:]], SWITCHED)
    say("slowest first opening of a tab", [max(rounds[0].values())])
    for name, section, slider, shown, values in SLIDERS:
        page.evaluate(SWITCH, [name, TABS[name]])
        if section:
            page.get_by_role("button", name=section).first.click()
            page.wait_for_selector(f"#{shown} .main-svg")
        page.wait_for_timeout(500)

        def move(i: int, slider: str = slider, shown: str = shown, values: tuple = values) -> float:
            page.evaluate(MOVE, [slider, shown, str(values[i % 2])])
            spent = page.wait_for_function("flSpent !== null && [flSpent]", polling=50).json_value()[0]
            page.wait_for_timeout(DRAWN_MS)
            return spent

        say(f"slider {slider} of {name}", repeated(move), MOVED)
    page.evaluate(SWITCH, ["Compare", TABS["Compare"]])
    say("Compare button to verdict", repeated(lambda i: press(page), FEW))


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
        for what, content, tab, repeats in (
            ("Start", "#lecture .fl-topic", "start", REPEATS),
            ("Compare’s decision", "#verdict h2", "compare", FEW),
            ("Compare’s chart", "#chart .main-svg", "compare", FEW),
        ):
            spent = repeated(lambda i, c=content, t=tab: first_paint(browser, f"{url}?tab={t}", c), repeats)
            say(f"first paint, {what}", spent, PAINT)
        visit(browser, url)
        browser.close()
    print(f"{'all of this, s':<56}{time.perf_counter() - start:8.1f}", flush=True)


if __name__ == "__main__":
    main()
