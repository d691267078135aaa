"""What a visitor waits for, measured in a real Chromium: first page, Compare, and a move of the slider.

python benchmarks/page.py
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import Page, sync_playwright

PORT = "7869"
REPEATS = 20
MOVE = """(value) => new Promise((done) => {
  const field = document.querySelector('#strictness input[type=number]');
  const card = document.querySelector('#verdict');
  const before = card.innerText, start = performance.now();
  const poll = () => (card.innerText !== before ? done(performance.now() - start) : setTimeout(poll, 2));
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  field.dispatchEvent(new Event('input', {bubbles: true}));
  field.dispatchEvent(new Event('change', {bubbles: true}));
  setTimeout(poll, 2);
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


def main() -> None:
    start = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py"], env=os.environ | {"PORT": PORT}, stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{PORT}/"
    while True:
        try:
            urllib.request.urlopen(url).close()
            break
        except OSError:
            time.sleep(0.05)
    print(f"{'first page after starting the process, s':<48}{time.perf_counter() - start:8.1f}", flush=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector("#chart .main-svg")
            press(page)
            times = [press(page) for _ in range(REPEATS)]
            print(f"{'Compare button to verdict, median ms':<48}{statistics.median(times):8.0f}", flush=True)
            page.evaluate(MOVE, "2.5")
            times = [page.evaluate(MOVE, str(1.5 + (i % 20) / 10)) for i in range(REPEATS)]
            print(f"{'slider to verdict, median ms':<48}{statistics.median(times):8.0f}", flush=True)
            browser.close()
    finally:
        app.terminate()


if __name__ == "__main__":
    main()
