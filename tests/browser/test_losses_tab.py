"""The Losses tab as a learner uses it, in a real Chromium."""

import re
import threading
import types

import gradio as gr
import pytest

from facelab.ui.losses import collapse

from .conftest import until


def open_section(page, name):
    """Open one of the tab's sections, if it is not, by the start of its title."""
    title = page.get_by_role("button", name=re.compile(name))
    if "open" not in title.get_attribute("class").split():
        title.click()


def losses_tab(visit, *arguments, section=None):
    page, watch = visit(*arguments, link="tab=losses")
    page.wait_for_selector("#center-chart .main-svg", timeout=120_000)
    if section:
        open_section(page, section)
    return page, watch


def put(page, slider, value):
    """Type a value into a slider's number box, as a learner may."""
    box = page.locator(f"#{slider} input[type=number]")
    box.fill(str(value))
    box.press("Enter")


def drawn(page, chart):
    """The y values of a chart's lines, by name; of two of one name the first."""
    return page.evaluate(
        "(id) => Object.fromEntries(document.querySelector(id + ' .facelab-chart').data"
        ".map((trace) => [trace.name, Array.from(trace.y ?? [])]).reverse())",
        f"#{chart}",
    )


def figures(page, card):
    """Name -> value of a card's figures."""
    cells = page.locator(f"#{card} .fl-figures div").all_inner_texts()
    return {name: value for value, name in (cell.split("\n", 1) for cell in cells)}


def test_center_loss_makes_the_classes_compact(desk):
    page, _ = losses_tab(desk)
    before = figures(page, "center")
    put(page, "center-weight", 0.5)
    page.wait_for_selector("#center >> text=Discriminative")
    after = figures(page, "center")
    assert float(after["distance to the class center"]) < float(before["distance to the class center"]) / 3
    until(page, "document.querySelector('#center-formula').innerText.includes('0.5')")


def test_a_margin_moves_the_curve_and_opens_the_gap(desk):
    page, _ = losses_tab(desk, section="4 · Margins")
    page.wait_for_selector("#margin-chart .main-svg", timeout=120_000)
    assert set(drawn(page, "margin-chart")) == {"softmax", "ArcFace"}  # one loss at a time
    page.locator("#margin-all input").check()
    page.wait_for_selector("#gaps >> text=CosFace")
    until(page, "document.querySelector('#margin-chart .facelab-chart').data.length === 8")
    before, gap = drawn(page, "margin-chart"), figures(page, "gaps")
    put(page, "margin-arcface", 1)
    page.wait_for_selector("#gaps >> text=57°")
    until(page, "document.querySelector('#sphere-chart .facelab-chart').data[0].type === 'surface'")
    after = drawn(page, "margin-chart")
    assert after["softmax"] == before["softmax"] and after["CosFace"] == before["CosFace"]
    assert after["ArcFace"][60] < before["ArcFace"][60] < before["softmax"][60]
    assert figures(page, "gaps") == gap | {"ArcFace": "57°"}
    put(page, "margin-arcface", 0)
    page.wait_for_selector("#gaps .fl-figures div:nth-child(4) >> text=/^0°/")
    assert drawn(page, "margin-chart")["ArcFace"] == pytest.approx(before["softmax"], abs=2e-4)
    put(page, "margin-scale", 1)
    page.wait_for_selector("#sureness >> text=s = 1 ")
    assert "1 in 368" in page.locator("#sureness").inner_text()


def drag(page, photo, degrees):
    """Drag a handle to a place on the circle with the mouse."""
    handle = page.get_by_role("slider", name=photo, exact=True)
    handle.scroll_into_view_if_needed()
    to = page.evaluate(
        """(degrees) => {
          const plot = document.querySelector('#triplet-circle .facelab-chart');
          const {xaxis: x, yaxis: y} = plot._fullLayout, place = plot.getBoundingClientRect();
          const angle = degrees * Math.PI / 180;
          const right = x._offset + x.l2p(Math.cos(angle)), down = y._offset + y.l2p(Math.sin(angle));
          return [place.left + right, place.top + down];
        }""",
        degrees,
    )
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(*to, steps=8)
    page.mouse.up()


def test_dragging_the_negative_away_makes_a_hard_triplet_easy(desk):
    page, _ = losses_tab(desk, section="Triplets")
    page.wait_for_selector("#triplet h2 >> text=✖ Hard")
    until(page, "document.querySelector('#triplet-circle .fl-handles button').style.left")
    near = figures(page, "triplet")
    drag(page, "negative", 200)
    page.wait_for_selector("#triplet h2 >> text=✔ Easy")
    far = figures(page, "triplet")
    assert far["loss"] == "0.000" < near["loss"] and far["d(a, n)²"] > near["d(a, n)²"]
    assert far["d(a, p)²"] == near["d(a, p)²"]
    value = page.locator("#triplet-negative input[type=number]").input_value()
    assert int(value) == pytest.approx(200, abs=3)
    handle = page.get_by_role("slider", name="negative", exact=True)
    large, small = divmod(int(value) - 104, 15)  # with the keyboard to just beyond the positive
    for key in ["PageDown"] * large + ["ArrowRight"] * (small // 2):
        handle.press(key)
    page.wait_for_selector("#triplet h2 >> text=◆ Semi-hard")
    assert int(handle.get_attribute("aria-valuenow")) == pytest.approx(104, abs=1)


def test_a_drawing_of_where_a_handle_was_does_not_move_it_back(desk):
    page, _ = losses_tab(desk, section="Triplets")
    until(page, "document.querySelector('#triplet-circle .fl-handles button').style.left")
    before, after = page.evaluate(
        """() => {
          const handle = document.querySelector('#triplet-circle [aria-label=negative]');
          const now = () => +handle.getAttribute('aria-valuenow'), before = now();
          handle.dispatchEvent(new KeyboardEvent('keydown', {key: 'PageUp'}));
          document.querySelector('#triplet-circle .facelab-chart').dispatchEvent(new Event('drawn'));
          return [before, now()];
        }"""
    )
    assert after == before + 15
    until(page, f"document.querySelector('#triplet-negative input[type=number]').value === '{after}'")
    put(page, "triplet-negative", 200)  # once it is drawn, the slider moves it as before
    until(page, "document.querySelector('#triplet-circle [aria-label=negative]').ariaValueNow === '200'")


def test_a_collapse_is_watched_flagged_and_fixed(desk, collapsing):
    page, _ = losses_tab(desk, section="Collapse")
    page.wait_for_selector("#collapse-course .main-svg")
    put(page, "collapse-seed", collapsing)
    page.locator("#collapse-train").click()
    page.wait_for_selector("#collapse h2 >> text=Training")
    page.wait_for_selector("#collapse h2 >> text=✖ Collapsed", timeout=60_000)
    assert float(figures(page, "collapse")["loss"]) == pytest.approx(0.2, abs=0.01)
    page.wait_for_selector("#collapse >> text=200 of 200", timeout=60_000)
    page.locator("#collapse-fix").click()
    page.wait_for_selector("#collapse h2 >> text=✔ Not collapsed", timeout=60_000)
    assert page.locator("#collapse-mining").get_by_label("all").is_checked()
    shown = figures(page, "collapse")
    assert (
        float(shown["mean squared distance"]) > 1
        and float(shown["pairs ranked correctly (AUC)"].rstrip("%")) > 95
    )


def test_a_stopped_run_ends_where_it_was(chromium, monkeypatch):
    """Each frame waits for a permit, so that no machine is slow enough to let the run end before Stop."""
    permit, ended, run = threading.Semaphore(0), threading.Event(), collapse.run

    def paced(*settings):
        try:
            yield from run(*settings)
        finally:
            ended.set()

    pacer = types.SimpleNamespace(sleep=lambda _: permit.acquire(timeout=120))
    monkeypatch.setattr(collapse, "time", pacer)  # not time.sleep itself: the server sleeps too
    monkeypatch.setattr(collapse, "run", paced)
    with gr.Blocks() as app:
        collapse.section()
    _, url, _ = app.launch(
        prevent_thread_lock=True, quiet=True, run_history=False, ssr_mode=False, server_name="127.0.0.1"
    )
    page = chromium.new_page()
    try:
        page.goto(url)
        page.locator("#collapse-train").click(timeout=60_000)
        page.wait_for_selector("#collapse h2 >> text=Training: step 4 of 200", timeout=60_000)
        with page.expect_request("**/cancel"):
            page.locator("#collapse-stop").click()
        for _ in range(20):  # a frame that is under way ends first, and then no other begins
            permit.release()
            if ended.wait(0.5):
                break
        assert ended.is_set()
        step = re.search(r"step (\d+) of 200", page.locator("#collapse h2").inner_text())
        assert int(step[1]) < 200
    finally:
        permit.release(200)
        page.close()
        app.close()


def test_heaps_pushed_apart_lower_both_losses(desk):
    page, _ = losses_tab(desk, section="Pairs")
    page.wait_for_selector("#pairs-chart .main-svg")
    before = figures(page, "pairs")
    put(page, "pairs-genuine-mean", 0.9)
    until(page, f"!document.querySelector('#pairs').innerText.includes('{before['pairwise loss']}')")
    after = figures(page, "pairs")
    for name in ("contrastive loss", "pairwise loss"):
        assert float(after[name]) < float(before[name])
    assert float(after["equal error rate (EER)"][:-1]) < float(before["equal error rate (EER)"][:-1])
