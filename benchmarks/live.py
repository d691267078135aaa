"""Live runs as a visitor meets them, in a real Chromium: how soon a training starts, how often the page tells
of it, and how soon Stop is answered; then, if a zip of photographs is given, how long it takes to teach a
network those people, frozen and whole, and how many held-back photos it names.

python benchmarks/live.py [PEOPLE.zip]
"""

import itertools
import shutil
import statistics
import sys
from pathlib import Path

from page import serving
from playwright.sync_api import Page, sync_playwright

PEOPLE, FACES = 200, 10
WATCH = """(seconds) => new Promise((done) => {
  const card = document.querySelector('#train-run'), start = performance.now(), told = [];
  let shown = null;
  const look = () => {
    const says = card.innerText;  // step and loss, or what is being measured and for how long
    if (says.includes('▶ Training') && says !== shown) {
      told.push(performance.now() - start);
      shown = says;
    }
    if (performance.now() - start < 1000 * seconds) return requestAnimationFrame(look);
    done(told);
  };
  document.querySelector('#train-start').click();
  look();
})"""
STOP = """() => new Promise((done) => {
  const card = document.querySelector('#train-run'), start = performance.now();
  const look = () => /■ (Ending|Stopped)/.test(card.innerText)
    ? done(performance.now() - start) : requestAnimationFrame(look);
  document.querySelector('#train-stop').click();
  look();
})"""


def put(page: Page, slider: str, value: int) -> None:
    box = page.locator(f"#{slider} input[type=number]")
    box.fill(str(value))
    box.press("Enter")


def train(page: Page) -> None:
    """Twenty seconds of a run on rendered people, then Stop."""
    page.wait_for_selector("#train-course .main-svg")
    put(page, "train-people", PEOPLE)
    put(page, "train-faces", FACES)
    page.wait_for_timeout(1500)
    told = page.evaluate(WATCH, 20)
    gaps = [b - a for a, b in itertools.pairwise(told)]
    print(f"{PEOPLE} rendered people, {FACES} faces of each, in 20 s:")
    print(f"  first step shown after          {told[0]:8.0f} ms")
    print(f"  between two, median and longest {statistics.median(gaps):8.0f} and {max(gaps):.0f} ms")
    print(f"  Stop answered after             {page.evaluate(STOP):8.0f} ms")
    page.wait_for_selector("#train-run h2 >> text=■ Stopped", timeout=60_000)


def teach(page: Page, people: Path) -> None:
    """Both ways of transfer on somebody's photographs."""
    page.wait_for_selector("#transfer-teach")
    page.get_by_role("button", name="Photos of your own").last.click()
    page.locator("#transfer-file input[type=file]").set_input_files(people)
    page.wait_for_selector("#transfer-found >> text=are ready", timeout=600_000)
    print(page.locator("#transfer-found").inner_text())
    for way in ("frozen", "whole"):
        page.locator("#transfer-way").get_by_label(way).check()
        page.locator("#transfer-teach").click()
        page.wait_for_selector("#transfer-run h2 >> text=▶", timeout=60_000)
        page.wait_for_selector("#transfer-run h2 >> text=guessing", timeout=120_000)
        took = page.locator("#transfer-run .fl-figures div").filter(has_text="took").inner_text()
        verdict = page.locator("#transfer-run p").last.inner_text().split(" Below")[0]
        print(f"  {way}: {' '.join(took.split())}. {verdict}")


def main() -> None:
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}?tab=train")
        train(page)
        if len(sys.argv) > 1:
            page.goto(f"{url}?tab=transfer")
            teach(page, Path(sys.argv[1]))
        browser.close()


if __name__ == "__main__":
    main()
