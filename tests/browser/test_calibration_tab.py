"""The Calibration tab as a learner uses it, in a real Chromium."""

import pytest

from facelab.lessons.calibration import FOLDER, load_all

from .conftest import choose_tab, until

LESSONS = load_all(FOLDER)
needs_lessons = pytest.mark.skipif(
    len(LESSONS) < 2, reason="checkpoints/lessons/calibration holds fewer than two"
)


def calibration_tab(visit, *window):
    page, watch = visit(*window)
    choose_tab(page, "Calibration")
    page.wait_for_selector("#hand-chart .main-svg", timeout=30_000)
    return page, watch


def figures(page):
    """Accuracy, mean confidence, ECE, NLL and EER, as the card writes them."""
    return page.locator("#claims .fl-figures b").all_inner_texts()


def bars(page):
    """The numbers of photos above the bins of the reliability diagram."""
    return page.evaluate("document.querySelector('#reliability-chart .facelab-chart').data[4].text")


def after(page, selector, act):
    """Do something and wait until the card there says something else -> what it says then."""
    selector = f"{selector} .fl-card"
    old = page.locator(selector).inner_text()
    act()
    until(
        page, "([selector, old]) => document.querySelector(selector).innerText !== old", arg=[selector, old]
    )
    return page.locator(selector).inner_text()


def put(page, control, value):
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.press("Enter")


@needs_lessons
def test_smoothing_changes_confidence_and_a_temperature_no_answer(visit):
    page, _ = calibration_tab(visit)
    before, drawn = figures(page), bars(page)
    assert before[0] == f"{LESSONS[0].accuracy():.1%}" and "plain" not in page.locator("#claims").inner_text()
    choices = page.locator("#smoothing input[type=radio]")
    after(page, "#claims", lambda: choices.nth(1).check())
    smoothed = figures(page)
    assert smoothed[1:] != before[1:] and smoothed[0] == f"{LESSONS[1].accuracy():.1%}"
    assert smoothed[2] == f"{LESSONS[1].reliability().ece():.1%}" and bars(page) != drawn
    assert f"α = 0, T = 1: {before[2]}" in page.locator("#claims").inner_text()
    until(  # the table comes after the diagram
        page, "document.querySelectorAll('#trainings th[scope=row]')[1].innerText.startsWith('▶')"
    )
    assert page.locator("#trainings th[scope=row] >> text=▶").count() == 1
    after(page, "#claims", lambda: put(page, "temperature", 2.05))
    warm = figures(page)
    assert (warm[0], warm[4]) == (smoothed[0], smoothed[4]) and warm[1:4] != smoothed[1:4]
    after(page, "#claims", lambda: page.locator("#fitted").click())
    lesson = LESSONS[1]
    assert figures(page)[2] == f"{lesson.reliability(lesson.fitted).ece():.1%}"
    assert float(page.locator("#temperature input[type=number]").input_value()) == round(lesson.fitted, 2)
    after(page, "#claims", lambda: put(page, "bins", 6))
    assert len(bars(page)) == 6 and figures(page)[:2] != warm[:2]
    after(page, "#claims", lambda: choices.nth(0).check())
    until(page, "document.querySelector('#temperature input[type=number]').value === '1'")


def test_the_best_gap_follows_alpha(visit):
    page, _ = calibration_tab(visit)
    assert "0.9333, 0.0333, 0.0333" in page.locator("#hand").inner_text()
    assert "3.332" in page.locator("#hand").inner_text()
    assert "optimal gap 3.332" in page.locator("#hand-chart").inner_text()
    assert "the gradient is zero" in after(page, "#hand", lambda: put(page, "hand-gap", 3.33))
    text = after(page, "#hand", lambda: put(page, "hand-alpha", 0.3))
    assert "0.8000, 0.1000, 0.1000" in text and "2.079" in text and "narrows the gap" in text  # ln 8
    until(page, "document.querySelector('#hand-chart').textContent.includes('optimal gap 2.079')")
    assert "keep growing" in after(page, "#hand", lambda: put(page, "hand-alpha", 0))
    text = after(page, "#hand", lambda: page.locator("#hand-classes").get_by_label("650").check())
    assert "[3.33, 0, 0, …]" in text and "∞" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_needs_no_sideways_scroll_in_calibration(visit, scheme):
    page, _ = calibration_tab(visit, 390, 844, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for chart in page.locator("[id$=-chart] [role=img]").all():
        assert chart.get_attribute("aria-label")
    assert page.locator("#hand-alpha").get_by_label("Label smoothing, α").count() >= 1
