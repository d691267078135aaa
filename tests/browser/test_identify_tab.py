"""The Identify tab, and what Compare says below its verdict, as a learner uses them in a real Chromium."""

import pytest
from PIL import Image

from facelab.recognition import gallery as galleries
from facelab.ui.widgets.examples import STRANGER

from .conftest import choose_tab, until
from .test_compare_tab import jpeg, portrait


def identify_tab(visit, **options):
    page, watch = visit(**options, link="tab=identify")
    choose_tab(page, "Identify")
    page.wait_for_selector("#dir-chart .main-svg", timeout=120_000)
    return page, watch


def answers(page):
    return page.locator("#answers h2").all_inner_texts()


def after(page, selector, act):
    """Do something and wait until the card is a new one."""
    page.evaluate(f"document.querySelector('{selector} .fl-card').dataset.old = '1'")
    act()
    page.wait_for_selector(f"{selector} .fl-card:not([data-old])", timeout=60_000)


def enroll(page, name, content, file="photo.jpg"):
    page.locator("#name textarea, #name input").first.fill(name)
    page.locator("#files input[type=file]").set_input_files(
        {"name": file, "mimeType": "application/octet-stream", "buffer": content}
    )
    page.wait_for_selector(f"#files >> text={file.rsplit('.')[0]}", timeout=120_000)
    after(page, "#status", lambda: page.locator("#enroll").click())
    return page.locator("#status").inner_text()


def test_identify_has_names_for_a_screen_reader_and_a_link(desk):
    page, _ = identify_tab(desk)
    assert page.url.endswith("tab=identify")
    assert page.get_by_role("button", name="Identify", exact=True).count() == 1
    assert page.get_by_label("Name").count() >= 1
    assert page.locator("#dir-chart [role=img]").get_attribute("aria-label")
    for image in page.locator("#gallery img, #answers img").all():
        assert image.get_attribute("alt")
    assert page.get_by_role("tab", selected=True).inner_text() == "Identify"


def test_two_visitors_never_see_each_other(desk, visit):
    """One enrolls the stranger; the other, at the same time, still meets an unknown face."""
    first, _ = identify_tab(visit)
    second, _ = identify_tab(desk)
    assert "1 photo added" in enroll(first, "Zoë", jpeg(portrait(STRANGER)))
    first.wait_for_selector("#answers h2 >> text=✔ Zoë", timeout=120_000)  # the photo was asked again
    after(second, "#answers", lambda: second.locator("#identify").click())
    assert "Unknown" in answers(second)[1] and "Zoë" not in second.locator("body").inner_text()
    assert second.locator("#gallery figure").count() == 7 and first.locator("#gallery figure").count() == 1
    stored = first.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert "Zoë" not in stored and "data:image" not in stored


def test_a_gallery_is_exported_emptied_and_imported(desk, tmp_path):
    page, _ = identify_tab(desk)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export gallery").click()
    path = tmp_path / "gallery.npz"
    download.value.save_as(path)
    assert len(galleries.load_gallery(path).counts()) == 7
    page.get_by_role("button", name="Empty gallery").click()
    page.wait_for_selector("#answers >> text=No person is enrolled yet")
    page.wait_for_selector("#dir-chart .facelab-chart", state="hidden")
    assert "11 photos added" in enroll(page, "", path.read_bytes(), "gallery.npz")
    page.wait_for_selector("#answers h2 >> text=Unknown")
    assert page.locator("#gallery figure").count() == 7 and page.locator("#gallery img").count() == 0
    page.get_by_role("button", name="Restore synthetic identities").click()
    page.wait_for_selector("#gallery img")


def test_one_photo_gets_two_answers_and_the_threshold_moves_one_of_them(desk):
    page, _ = identify_tab(desk)
    closed, opened = answers(page)
    assert closed.startswith("→ ") and "Unknown" in opened
    rates = page.locator("#meaning b").all_inner_texts()
    page.locator("#identify-strictness input[type=number]").fill("1")
    page.locator("#identify-strictness input[type=number]").press("Enter")
    page.wait_for_selector("#answers h2 >> text=✔")
    assert answers(page) == [closed, closed.replace("→", "✔")]
    assert page.locator("#meaning b").all_inner_texts() != rates
    page.get_by_role("button", name="Try: enrolled person").click()
    page.wait_for_selector("#answers h2 >> text=→ Dan", timeout=60_000)
    assert page.locator("#answers li span").first.inner_text() == "Dan"
    assert page.locator("#answers li").count() == page.locator("#gallery figure").count() == 7
    page.locator("#identify-strictness input[type=number]").fill("3")
    page.locator("#identify-strictness input[type=number]").press("Enter")
    page.get_by_role("button", name="Try: unenrolled person").click()
    page.wait_for_selector("#answers h2 >> text=Unknown", timeout=60_000)


def test_compare_shows_every_model_and_where_the_score_comes_from(desk):
    page, _ = identify_tab(desk)
    choose_tab(page, "Compare")
    page.wait_for_selector("#chart .main-svg")
    assert not page.locator("#models td").first.is_visible()  # the chart says the same
    page.locator("#models summary").first.click()  # which stays open while the figures change
    before = page.locator("#models td").all_inner_texts()
    page.get_by_role("button", name="Try: two people").click()
    page.wait_for_selector("#verdict h2 >> text=Different people", timeout=60_000)
    until(
        page, "(old) => document.querySelector('#models td:nth-of-type(2)').innerText != old", arg=before[1]
    )
    score = page.locator("#verdict .fl-figures b").first.inner_text()
    assert page.locator("#models tbody tr").first.locator("td").nth(1).inner_text() == score
    page.locator("#explain").click()
    page.wait_for_selector("#why p b")
    sums = [float(x) for x in page.locator("#why p b").all_inner_texts()]
    assert sums == pytest.approx([float(score)] * 3, abs=6e-4)
    for svg in page.locator("#why svg").all():
        cells = [int(x.replace("−", "-")) for x in svg.locator("text").all_text_contents()]
        assert sum(cells) == pytest.approx(1000 * float(score), abs=0.5 * len(cells) + 1)
    page.locator("#strictness input[type=number]").fill("1")
    page.locator("#strictness input[type=number]").press("Enter")
    page.wait_for_selector("#verdict >> text=1 in 10 impostor pairs")
    threshold = page.locator("#verdict .fl-figures b").nth(1).inner_text()
    first = page.locator("#models tbody tr").first.locator("td").nth(2)
    assert first.is_visible() and first.inner_text() == threshold


def test_own_people_follow_to_another_model_and_are_brought_back(desk):
    page, _ = identify_tab(desk)
    enroll(page, "Zoë", jpeg(portrait(STRANGER)))
    page.wait_for_selector("#answers h2 >> text=✔ Zoë", timeout=120_000)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    page.locator("#identify-model input").click()
    page.get_by_role("option", name="resnet_softmax", exact=True).click()
    page.wait_for_selector("#gallery >> text=Embeddings of resnet_softmax", timeout=60_000)
    page.wait_for_selector("#answers h2 >> text=✔ Zoë")
    assert page.locator("#gallery figure").all_inner_texts() == ["Zoë\n1 photo"]
    assert not page.locator("#undo").is_visible()
    page.get_by_role("button", name="Restore synthetic identities").click()
    page.wait_for_selector("#gallery >> text=Gallery: 7 people")
    page.locator("#undo").click()
    page.wait_for_selector("#gallery >> text=Gallery: 1 person")
    page.locator("#undo").wait_for(state="hidden")
    page.get_by_role("button", name="Restore synthetic identities").click()
    page.wait_for_selector("#gallery >> text=Gallery: 7 people")


def test_a_photo_without_a_face_and_one_without_a_name_say_what_to_do(desk):
    page, _ = identify_tab(desk)
    people = page.locator("#gallery figure").count()
    gray = jpeg(Image.new("RGB", (200, 200), "gray"))
    assert "give the person a name" in enroll(page, "", gray)
    page.locator("#name textarea, #name input").first.fill("Kim")
    after(page, "#status", lambda: page.locator("#enroll").click())
    assert "no face was found" in page.locator("#status").inner_text()
    assert page.locator("#gallery figure").count() == people
