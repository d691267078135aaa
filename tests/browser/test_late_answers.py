"""A photo that is taken away while its answer is computed by a held worker: the answer never appears."""

import threading

import pytest

from facelab.ui import Page, serve_plotly
from facelab.ui.compare import tab as compare
from facelab.ui.requests import routes
from facelab.ui.theme import SCRIPT
from facelab.ui.widgets.chart import HEAD
from tests.pages import launched


@pytest.fixture
def held_page(chromium, monkeypatch):
    """(page, reached, release): a page whose scores stand still until they are let go."""
    reached, release, score = threading.Event(), threading.Event(), compare.score_faces
    with Page(analytics_enabled=False) as app:
        compare.build()

    def held(*args):
        reached.set()
        assert release.wait(120)
        return score(*args)

    monkeypatch.setattr(compare, "score_faces", held)
    serve_plotly()
    with launched(app, head=HEAD + SCRIPT, app_kwargs={"routes": routes(app.opening)}) as served:
        page = chromium.new_page()
        page.goto(served.url)
        page.wait_for_selector("#verdict h2", timeout=60_000)
        yield page, reached, release
        release.set()
        page.close()


def test_a_verdict_never_appears_beside_a_photo_that_was_changed_meanwhile(held_page):
    page, reached, release = held_page
    page.locator("#compare").click()
    assert reached.wait(60)
    page.locator("#photo-a button[aria-label='Remove Image']").click()
    page.wait_for_selector("#verdict >> text=press Compare")
    page.evaluate(
        """() => {
          window.seen = [];
          const look = () => window.seen.push(document.querySelector('#verdict').innerText);
          new MutationObserver(look).observe(document.querySelector('#verdict'),
            {childList: true, subtree: true, characterData: true});
        }"""
    )
    release.set()
    page.get_by_role("button", name="Try: two people").click()  # whose answer comes after the held one
    page.wait_for_selector("#verdict h2 >> text=Different people", timeout=60_000)
    assert not [text for text in page.evaluate("window.seen") if "Same person" in text]
