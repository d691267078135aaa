"""The Compare tab as a learner uses it, in a real Chromium."""

import io
import re
import zipfile

import pytest
from PIL import Image

from facelab.data.parametric import sample_identities
from facelab.ui.widgets import examples
from facelab.ui.widgets.examples import example_pairs


def portrait(seed, yaw=0.0, size=384):
    """A rendered face as a PIL image."""
    return examples.portrait(sample_identities(1, seed), {"yaw": yaw}, size)


def jpeg(image):
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def clear(page, which):
    """Take photo `which` away, if there is one."""
    remove = page.locator(f"#photo-{which} button[aria-label='Remove Image']")
    if remove.count():
        remove.click()
    page.wait_for_selector(f"#photo-{which} [data-testid=upload-text]")


def put(page, which, content, name="photo.jpg", kind="image/jpeg"):
    """Replace photo `which` ("a" or "b") by a file, as dropping one on it does."""
    clear(page, which)
    page.locator(f"#photo-{which} input[type=file]").set_input_files(
        {"name": name, "mimeType": kind, "buffer": content}
    )
    page.wait_for_selector(f"#photo-{which} img", timeout=120_000)
    page.wait_for_selector("#verdict >> text=press Compare")  # the old verdict goes with the old photo


def press_compare(page):
    """Press the button and wait for the answer to it; returns its text."""
    page.evaluate("document.querySelector('#verdict .fl-card').dataset.old = '1'")
    page.locator("#compare").click()
    page.wait_for_selector("#verdict .fl-card:not([data-old])", timeout=60_000)
    return page.locator("#verdict").inner_text()


def test_opens_with_a_finished_example(desk):
    page, _ = desk()
    assert re.search(r"Same person|Different people", page.locator("#verdict").inner_text())
    assert page.locator("#seen-a img").count() == 1 and page.locator("#verdict .fl-inputs img").count() == 2
    assert page.locator("#seen-a rect").count() == 1  # one face, drawn
    assert page.locator("#chart .bars").count() == 4  # two distributions, and the error of each shaded
    photo_lies_over_its_input(page)


PLACES = """['#photo-a [data-testid=image] img', '#seen-a img', '#seen-a svg'].map((each) => {
  const found = document.querySelector(each), {x, y, right, bottom} = found.getBoundingClientRect();
  return [getComputedStyle(found).visibility, x, y, right, bottom];
})"""


def photo_lies_over_its_input(page):
    """Assert that photo A is shown once, with its box, where it was given."""
    page.wait_for_selector("#photo-a [data-testid=image] img", state="attached")
    (given, *under), (found, left, top, right, bottom), (drawn, *box) = page.evaluate(PLACES)
    assert (given, found, drawn) == ("hidden", "visible", "visible") and [left, top, right, bottom] == box
    assert left <= under[0] + 2 and right >= under[2] - 2  # pixels
    assert under[1::2] == pytest.approx([top, bottom], abs=3)


def test_two_uploads_get_a_verdict(desk):
    page, _ = desk()
    put(page, "a", jpeg(portrait(4)))
    page.wait_for_selector("#verdict >> text=press Compare")  # the old verdict is gone with the old photo
    put(page, "b", jpeg(portrait(4)))
    text = press_compare(page)
    assert "Same person" in text and re.search(r"0\.9\d\d|1\.000", text)  # one picture twice


@pytest.mark.parametrize("model", ["resnet_softmax", "reference"])
def test_real_photographs_of_one_person_and_of_two(visit, shared, model):
    """The first genuine and the first impostor pair of LFW's view 1; the photos stay in memory."""
    page, _ = visit(link="tab=compare&strictness=2")
    page.wait_for_selector("#chart .main-svg", timeout=60_000)
    photos = zipfile.ZipFile(shared / "lfw250.zip")
    page.locator("#model input").click()
    page.get_by_role("option", name=model).click()
    for first, second, wanted in (
        ("Aaron_Peirsol/Aaron_Peirsol_0001", "Aaron_Peirsol/Aaron_Peirsol_0002", "Same person"),
        ("AJ_Cook/AJ_Cook_0001", "Marsha_Thomason/Marsha_Thomason_0001", "Different people"),
    ):
        put(page, "a", photos.read(f"{first}.jpg"))
        put(page, "b", photos.read(f"{second}.jpg"))
        assert wanted in press_compare(page)


def test_examples_tell_one_person_from_two(desk):
    page, _ = desk()
    for name, title in (("Two people", "Different people"), ("One person, twice", "Same person")):
        assert name in example_pairs()
        page.evaluate("document.querySelector('#verdict h2').dataset.old = '1'")  # it may have the same title
        page.get_by_role("button", name=f"Try: {name.lower()}").click()
        page.wait_for_selector(f"#verdict h2:not([data-old]) >> text={title}", timeout=60_000)


def test_slider_moves_threshold_and_rates_but_not_the_score(desk):
    page, _ = desk()
    before = page.locator("#verdict .fl-figures b").all_inner_texts()
    page.locator("#strictness input[type=number]").fill("1")
    page.locator("#strictness input[type=number]").press("Enter")
    page.wait_for_selector("#verdict >> text=1 in 10 impostor pairs")
    after = page.locator("#verdict .fl-figures b").all_inner_texts()
    assert after[0] == before[0] and after[4] == before[4]  # score and probability stay
    assert float(after[1]) < float(before[1])  # a looser threshold is lower
    assert float(after[3].rstrip("%")) < float(before[3].rstrip("%"))  # and refuses fewer


def test_chart_keeps_its_zoom_while_the_slider_moves(desk):
    page, _ = desk()
    page.evaluate("Plotly.relayout(document.querySelector('.facelab-chart'), {'xaxis.range': [0.1, 0.9]})")
    page.locator("#strictness input[type=number]").fill("1.5")
    page.locator("#strictness input[type=number]").press("Enter")
    page.wait_for_selector("#verdict >> text=1 in 32 impostor pairs")
    kept = page.evaluate("document.querySelector('.facelab-chart').layout.xaxis.range")
    assert kept == pytest.approx([0.1, 0.9])


def test_missing_photo_and_photo_without_a_face_say_what_to_do(desk):
    page, _ = desk()
    clear(page, "b")
    page.wait_for_selector("#verdict >> text=press Compare")  # the old verdict goes with the old photo
    assert "Photo B is missing" in press_compare(page)
    gradient = Image.linear_gradient("L").resize((400, 300))
    put(page, "b", jpeg(gradient))
    text = press_compare(page)
    assert "Photo B: no face was found" in text and "sharper" in text
    assert page.locator("#seen-a img").count() == 0  # nothing of the old pair is left standing
    page.wait_for_selector("#chart .facelab-chart", state="hidden")


def test_several_faces_offer_a_choice(desk):
    page, _ = desk()
    group = Image.new("RGB", (768, 384))
    group.paste(portrait(4), (0, 0))
    group.paste(portrait(6), (384, 0))
    put(page, "a", jpeg(portrait(4)))
    put(page, "b", jpeg(group))
    press_compare(page)
    assert page.locator("#seen-b rect").count() == 2
    first = page.locator("#verdict .fl-figures b").first.inner_text()
    other = 1 if "face 2 is used" in page.locator("#seen-b").inner_text() else 2
    page.locator("#face-b").get_by_label(str(other), exact=True).check()
    page.wait_for_selector(f"#seen-b >> text=face {other} is used")
    second = page.locator("#verdict .fl-figures b").first.inner_text()
    assert first != second and max(float(first), float(second)) > 0.9  # one of them is the same picture


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("words.jpg", b"these are words, not a photo", "not a photo"),
        ("cut.jpg", jpeg(Image.effect_noise((600, 600), 80))[:9000], "damaged or cut short"),
        ("dot.jpg", jpeg(Image.new("RGB", (1, 1))), "only 1x1 pixels"),
    ],
)
def test_bad_files_get_one_sentence(desk, name, content, word):
    page, watch = desk()
    put(page, "a", content, name)
    text = press_compare(page)
    assert "Photo A" in text and word in text
    watch.errors = [error for error in watch.errors if "Failed to load resource" not in error]


def test_nothing_is_stored_in_the_browser(desk):
    page, _ = desk()
    page.get_by_role("button", name="Try: two people").click()
    page.wait_for_selector("#verdict h2 >> text=Different people", timeout=60_000)
    stored = page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert "data:image" not in stored and "photo" not in stored.lower()
    assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 0
