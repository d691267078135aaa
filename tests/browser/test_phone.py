"""Every tab at 390 px: nothing scrolls sideways, and charts follow the theme."""

from .conftest import choose_tab, until

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


def look_at(page, tab, shown):
    choose_tab(page, tab)
    page.wait_for_selector(f"#{shown} .xtick text" if has_chart(shown) else f"#{shown}")


def has_chart(shown):
    return shown not in ("transfer-teach", "train-start")


def bright(page, shown):
    """Whether the ink of a chart is that of the dark theme."""
    return page.evaluate(BRIGHT, shown)
