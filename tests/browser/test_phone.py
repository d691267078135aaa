"""Every tab at 390 px: nothing scrolls sideways, and charts follow the theme."""

import re

import pytest

from .conftest import choose_tab

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
INK = "(id) => getComputedStyle(document.querySelector(`#${id} .xtick text`)).fill"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_tab_scrolls_sideways_on_a_phone(visit, scheme):
    page, _ = visit(390, 844, scheme)
    for tab, shown in TABS.items():
        choose_tab(page, tab)
        has_chart = shown not in ("transfer-teach", "train-start")
        page.wait_for_selector(f"#{shown} .xtick text" if has_chart else f"#{shown}")
        for name in UNFOLDED.get(tab, ()):
            page.locator(".label-wrap:visible", has_text=name).first.click()
        page.wait_for_timeout(300)  # a section unfolds
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        assert page.evaluate(UNNAMED) == [], tab
        if has_chart:
            bright = sum(map(int, re.findall(r"\d+", page.evaluate(INK, shown))[:3])) > 380
            assert bright == (scheme == "dark"), tab
        if tab == "Identify":
            bar = page.locator("#answers .fl-bar").first.bounding_box()
            assert bar["width"] > 60 and bar["x"] < 390
        if tab == "Embedding space":
            assert page.locator("#space-left .main-svg").first.bounding_box()["width"] > 250
