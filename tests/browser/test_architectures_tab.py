"""The Architectures tab as a learner uses it, in a real Chromium."""

import numpy as np
from PIL import Image

from facelab.data.parametric import sample_identities
from facelab.lessons.code_diff import written
from facelab.lessons.family_tree import budget, costs
from facelab.ui.widgets.examples import portrait

from .conftest import until


def architectures_tab(visit, *window):
    page, watch = visit(*window, link="tab=architectures")
    page.wait_for_selector("#cost-chart .main-svg", timeout=60_000)
    return page, watch


def says(page, selector, words):
    until(
        page,
        "([selector, words]) => document.querySelector(selector).innerText.includes(words)",
        arg=[selector, words],
        timeout=60_000,
    )


def choose(page, control, option):
    page.locator(f"#{control} input").first.click()
    page.get_by_role("option", name=option).click()


def starred(page, chart):
    """What the star of a chart says."""
    return page.evaluate(
        """(chart) => {
          const plot = document.querySelector(`#${chart} .facelab-chart`);
          for (const trace of plot.data) {
            const at = [].concat(trace.marker?.symbol ?? []).indexOf('star');
            if (at >= 0) return trace.text[at];
          }
        }""",
        chart,
    )


def test_a_learner_follows_a_line_counts_code_and_fits_the_budget(desk):
    page, _ = architectures_tab(desk)
    says(page, "#code", "about 3 changed lines")
    assert page.locator("#code .fl-new").count() == written("resnext50_32x4d")
    assert starred(page, "tree-chart") == "<b>ResNeXt</b>"
    choose(page, "network", "SENet · se_resnet50")
    says(page, "#network-card", "SENet, 2017")
    says(page, "#code", "about 20 changed lines")
    assert page.locator("#code .fl-new").count() == written("se_resnet50")
    assert f"{costs()['se_resnet50'].parameters / 1e6:.2f} M" in page.locator("#network-card").inner_text()
    until(page, "document.querySelector('#tree-chart .facelab-chart').data[2].text.includes('<b>SENet</b>')")
    assert starred(page, "cost-chart") == "SENet"
    says(page, "#meter", "Too large")  # 26 M, and a head of 7,000 people
    field = page.locator("#budget-people input[type=number]")
    field.fill("500")
    field.press("Enter")
    says(page, "#meter", "Fits")
    assert (
        f"{budget('se_resnet50', 'pool', 512, 500).total / 1e6:.2f} M" in page.locator("#meter").inner_text()
    )
    page.locator("#budget-neck").get_by_label("flatten").check()
    says(page, "#meter", "Too large")


def test_a_photo_of_ones_own_is_seen_stage_by_stage(desk, tmp_path):
    page, _ = architectures_tab(desk)
    sheets = page.locator("#maps img.fl-sheet")
    before = [sheets.nth(i).get_attribute("src") for i in range(sheets.count())]
    assert len(before) == 5 and "256 maps of 4×4" in page.locator("#maps").inner_text()
    photo = tmp_path / "me.png"
    portrait(sample_identities(1, 4), {"yaw": 3.0, "smile": 0.2}).save(photo)
    page.locator("#map-photo input[type=file]").set_input_files(photo)
    until(
        page, "old => document.querySelector('#maps img.fl-sheet').src !== old", arg=before[0], timeout=60_000
    )
    assert all(sheets.nth(i).get_attribute("src") != before[i] for i in range(5))
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(photo)
    page.locator("#map-photo button[aria-label='Remove Image']").click()
    until(
        page, "old => document.querySelector('#maps img.fl-sheet').src === old", arg=before[0], timeout=60_000
    )
    page.locator("#map-photo input[type=file]").set_input_files(photo)
    says(page, "#maps", "no face was found")


def test_speed_and_score_come_when_they_are_asked_for(desk):
    page, _ = architectures_tab(desk)
    choose(page, "network", "AlexNet · alexnet_face")
    says(page, "#network-card", "AlexNet, 2012")
    assert " ms" not in page.locator("#network-card").inner_text()
    page.locator("#measure").click()
    says(page, "#network-card", "alexnet_face ")
    says(page, "#network-card", " ms")
    drawn = "document.querySelector('#cost-chart .facelab-chart').data[0].x.length"
    assert page.evaluate(drawn) > 10
    page.locator("#up").get_by_label("LFW accuracy").check()
    until(page, f"{drawn} < 10")
