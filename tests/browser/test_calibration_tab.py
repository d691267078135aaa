"""The Calibration tab as a learner uses it, in a real Chromium."""

import pytest

from facelab.lessons.calibration import FOLDER, load_all
from facelab.ui.calibration.grid import grid

from .conftest import until

LESSONS = grid({lesson.model: lesson for lesson in load_all(FOLDER)})
GHOST = "document.querySelector('#reliability-chart .facelab-chart').data[5].name"
needs_lessons = pytest.mark.skipif(
    len(LESSONS) < 2, reason="checkpoints/lessons/calibration holds fewer than two"
)


def calibration_tab(visit, *window):
    page, watch = visit(*window, link="tab=calibration")
    page.wait_for_selector("#hand-chart .main-svg", timeout=120_000)
    return page, watch


def figures(page):
    """Accuracy, mean confidence, ECE, NLL and EER, as the card writes them."""
    return page.locator("#claims .fl-figures div > b").all_inner_texts()


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


def choose(page, control, label):
    after(page, "#claims", lambda: page.locator(f"#{control}").get_by_label(label, exact=True).check())


def put(page, control, value):
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.press("Enter")


@needs_lessons
def test_smoothing_changes_confidence_and_a_temperature_no_answer(desk):
    page, _ = calibration_tab(desk)
    plain, smoothed = LESSONS["overfit", "0"], LESSONS["overfit", "0.1"]
    before, drawn = figures(page), bars(page)
    assert before[0] == f"{plain.accuracy():.1%}" and "Overconfident" in page.locator("#claims").inner_text()
    choose(page, "smoothing", "α = 0.1")
    now = figures(page)
    assert now[0] == f"{smoothed.accuracy():.1%}" and now[2] == f"{smoothed.reliability().ece():.1%}"
    assert bars(page) != drawn and page.evaluate(GHOST) == "overfit, α = 0, T = 1"
    assert page.locator("#claims .fl-figures .fl-small").all_inner_texts() == before
    until(page, "document.querySelector('#trainings').innerText.includes('▶ overfit, α = 0.1')")
    until(page, "document.querySelector('#calibration-formula .katex')")
    choose(page, "recipe", "standard")
    assert figures(page)[0] == f"{LESSONS['standard', '0.1'].accuracy():.1%}"
    assert page.evaluate(GHOST) == "overfit, α = 0.1, T = 1"
    after(page, "#claims", lambda: put(page, "temperature", 2.05))
    warm = figures(page)
    lesson = LESSONS["standard", "0.1"]
    assert warm[0] == f"{lesson.accuracy():.1%}" and warm[4] == f"{lesson.eer:.1%}"
    after(page, "#claims", lambda: page.locator("#fitted").click())
    assert figures(page)[2] == f"{lesson.reliability(lesson.fitted).ece():.1%}"
    assert float(page.locator("#temperature input[type=number]").input_value()) == round(lesson.fitted, 2)
    after(page, "#claims", lambda: put(page, "bins", 6))
    assert len(bars(page)) == 6 and figures(page)[:2] != warm[:2]
    choose(page, "smoothing", "α = 0")
    until(page, "document.querySelector('#temperature input[type=number]').value === '1'")


@needs_lessons
def test_a_prediction_is_answered_once_or_skipped(desk):
    page, _ = calibration_tab(desk)
    card = page.locator("#predict-calibration")
    assert "27.3%" not in card.inner_text()
    card.get_by_role("button", name="It falls").click()
    until(page, "document.querySelector('#predict-calibration').innerText.includes('Not as you predicted')")
    assert "22.7% → 27.3%" in card.inner_text() and card.get_by_role("button").count() == 0


def test_the_best_gap_follows_alpha(desk):
    page, _ = calibration_tab(desk)
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
