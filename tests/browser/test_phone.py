"""Every tab at 390 px, and at 640, a desk's 1280 at 200% zoom: nothing scrolls sideways; swipes; themes."""

from .conftest import Watch, choose_tab, until
from .test_access import open_tab

TABS = {  # a chart with ticks, or what shows that the tab is there
    "Compare": "chart",
    "Identify": "dir-chart",
    "Embedding space": "epochs-left",
    "Calibration": "hand-chart",
    "Losses": "center-chart",
    "Architectures": "cost-chart",
    "Regularization": "rates-chart",
    "Transfer": "transfer-teach",
    "Train": "train-start",
}
UNFOLDED = {
    "Losses": ("Triplets", "Collapse", "Margins", "Pairs"),
    "Transfer": ("Photos of your own",),
    "Train": ("Copy as Python", "Regularizers"),
}
UNNAMED = """[...document.querySelectorAll('[id$=-chart] [role=img]')]
  .filter((each) => each.offsetParent && !each.getAttribute('aria-label')).map((each) => each.outerHTML)"""
BRIGHT = """(id) => getComputedStyle(document.querySelector(`#${id} .xtick text`)).fill.match(/\\d+/g)
  .slice(0, 3).reduce((sum, each) => sum + Number(each), 0) > 380"""


def test_no_tab_scrolls_sideways_on_a_phone_and_charts_follow_a_change_of_theme(visit):
    page, _ = visit(390, 844, "dark")
    for tab, shown in TABS.items():
        look_at(page, tab, shown)
        for name in UNFOLDED.get(tab, ()):
            page.locator(".label-wrap:visible", has_text=name).first.click()
        page.wait_for_timeout(300)  # a section unfolds
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        assert page.evaluate(UNNAMED) == [], tab
        if has_chart(shown):
            assert bright(page, shown), tab
        if tab == "Identify":
            bar = page.locator("#answers .fl-bar").first.bounding_box()
            assert bar["width"] > 60 and bar["x"] < 390
        if tab == "Embedding space":
            assert page.locator("#space-left .main-svg").first.bounding_box()["width"] > 250
    page.get_by_role("button", name="Light or dark theme").click()
    for tab, shown in TABS.items():
        look_at(page, tab, shown)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        if has_chart(shown):
            until(page, f"!({BRIGHT})('{shown}')")
    page.set_viewport_size({"width": 640, "height": 450})
    for tab, shown in TABS.items():
        look_at(page, tab, shown)
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, tab


def look_at(page, tab, shown):
    choose_tab(page, tab)
    page.wait_for_selector(f"#{shown} .xtick text" if has_chart(shown) else f"#{shown}")


def has_chart(shown):
    return shown not in ("transfer-teach", "train-start")


def bright(page, shown):
    """Whether the ink of a chart is that of the dark theme."""
    return page.evaluate(BRIGHT, shown)


CHARTS = """(window.flCharts = [...document.querySelectorAll('.facelab-chart')]
  .filter((each) => each.checkVisibility() && each.data)).length"""
MIDDLE = """(i) => {
  flCharts[i].scrollIntoView({block: 'center', behavior: 'instant'});
  const box = flCharts[i].getBoundingClientRect();
  const below = document.documentElement.scrollHeight - innerHeight - scrollY;
  return [box.x + box.width / 2, box.y + box.height / 2, below > 300 ? 150 : -150];
}"""
STATE = """(i) => [flCharts[i].closest('.block').id, Math.round(scrollY),
  Object.entries(flCharts[i]._fullLayout)
  .filter(([name]) => /^[xy]axis/.test(name))
  .map(([name, axis]) => [name, ...axis.range])]"""


def swipe(session, x, y, by):
    """Move a finger up by `by` pixels, down if they are negative, and a little sideways."""

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 7):
        touch("touchMove", {"x": x + step, "y": y - by * step / 6})
    touch("touchEnd")


SWIPED = ("compare", "embedding-space", "losses", "train")  # one rule makes every chart of the page


def test_a_swipe_on_a_chart_scrolls_the_page_and_changes_no_range(served, chromium):
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(120_000)
    watch, session = Watch(page), context.new_cdp_session(page)
    page.goto(f"{served}?tab=compare")
    still, zoomed, charts = [], [], 0
    for tab in SWIPED:
        open_tab(page, tab)
        page.evaluate("dispatchEvent(new Event('touchmove'))")  # a link's search for its figure ends
        for i in range(min(2, page.evaluate(CHARTS))):
            at = page.evaluate(MIDDLE, i)
            page.wait_for_timeout(50)
            name, top, ranges = page.evaluate(STATE, i)
            swipe(session, *at)
            page.wait_for_timeout(200)
            _, moved, now = page.evaluate(STATE, i)
            charts += 1
            if abs(moved - top) < 50:
                still.append((tab, name, moved - top))
            if now != ranges:
                zoomed.append((tab, name, ranges, now))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    assert charts > 4
    assert (still, zoomed) == ([], [])
    assert not watch.errors
    context.close()
