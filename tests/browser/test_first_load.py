"""What a first opening of the page transfers, headers included, and what it leaves for later."""

import pytest

from facelab.ui.widgets.chart import LIBRARIES

from .conftest import until

OPENINGS = {  # link: what is there at the end, and kB at most; plotly's basic bundle alone has 358
    "tab=start": ("document.querySelector('#lecture-5')", 700),
    "tab=compare": (
        "document.querySelector('#chart .main-svg') && document.querySelector('#verdict h2')",
        1250,
    ),
}
SETTLED = """window.facelabLoaded
  && ![...document.querySelectorAll('[data-later]')].some((each) => each.getClientRects().length)"""


def transferred(context, page):
    """Record (bytes over the wire, address) of each answer."""
    session, addresses, sizes = context.new_cdp_session(page), {}, {}
    session.send("Network.enable")

    def answered(event):
        addresses[event["requestId"]] = event["response"]["url"]

    def ended(event):
        sizes[event["requestId"]] = event["encodedDataLength"]

    session.on("Network.responseReceived", answered)
    session.on("Network.loadingFinished", ended)
    return addresses, sizes


@pytest.mark.parametrize("link", OPENINGS)
def test_a_first_opening_is_small(served, chromium, link):
    there, limit = OPENINGS[link]
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    addresses, sizes = transferred(context, page)
    page.goto(f"{served}?{link}")
    until(page, there)
    until(page, SETTLED)
    before = -1
    while len(sizes) != before:  # "networkidle" never comes where gradio's heartbeat began before it
        before = len(sizes)
        page.wait_for_timeout(1000)
    kilobytes = {addresses.get(name, name): size / 1000 for name, size in sizes.items()}
    context.close()
    largest = sorted(kilobytes.items(), key=lambda pair: -pair[1])[:8]
    assert sum(sizes.values()) / 1000 <= limit, largest
    assert not any(LIBRARIES["large"] in address for address in addresses.values())
    assert any(LIBRARIES["small"] in address for address in addresses.values()) == (link != "tab=start")


def test_a_tab_fetches_its_values_and_the_large_script_when_they_are_shown(visit):
    page, _ = visit(link="tab=start")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    until(page, "document.querySelector('#lecture-5')")
    page.evaluate("window.facelabGo('?tab=losses&open=losses-margins&at=sphere-chart')")
    until(page, "document.querySelector('#sphere-chart .gl-container')")
    assert any("/opening/" in url for url in asked)
    assert any(LIBRARIES["large"] in url for url in asked)
    small = "document.querySelector('#center-chart .facelab-chart').library"
    until(page, f"{small} && {small} !== document.querySelector('#sphere-chart .facelab-chart').library")
    page.get_by_role("button", name="Light or dark theme").click()  # drawn anew, by the large one
    until(page, f"{small} === document.querySelector('#sphere-chart .facelab-chart').library")
    assert page.locator("#center-chart .xtick text").count() > 0
