"""The Train tab as a learner uses it, in a real Chromium."""

import re

from facelab.models import checkpoint
from tests.conftest import CROP, zipped

from .conftest import until

LONG = 240_000  # milliseconds: a busy machine is no failure


def train_tab(visit, **options):
    page, watch = visit(**options, link="tab=train")
    page.wait_for_selector("#train-start", timeout=120_000)
    return page, watch


def put(page, slider, value):
    """Type a value into a slider's number box, as a learner may."""
    box = page.locator(f"#{slider} input[type=number]")
    box.fill(str(value))
    box.press("Enter")


def small(page):
    """A run of a few seconds: twenty people with four faces each."""
    put(page, "train-people", 20)
    put(page, "train-faces", 4)


def figures(page):
    """Name -> value of the run's card; empty before there is a loss."""
    cells = page.locator("#train-run .fl-figures div").all_inner_texts()
    return {name: value for value, name in (cell.split("\n", 1) for cell in cells)}


def drawn(page):
    """How many steps the loss's line has."""
    return page.evaluate("document.querySelector('#train-course .facelab-chart').data?.[0].x.length ?? 0")


def test_a_bad_zip_gets_one_sentence(desk, tmp_path):
    page, _ = train_tab(desk)
    page.get_by_role("button", name="Photos of your own").first.click()
    bad = zipped(tmp_path / "one.zip", {"a/1.png": CROP, "a/2.png": CROP})
    page.locator("#train-file input[type=file]").set_input_files(bad)
    page.wait_for_selector("#train-found >> text=one person only", timeout=LONG)
    good = zipped(tmp_path / "us.zip", {f"{p}/{i}.png": CROP for p in "abcd" for i in range(2)})
    page.locator("#train-file input[type=file]").set_input_files(good)
    page.wait_for_selector("#train-found >> text=8 faces of 4 identities", timeout=LONG)
    assert page.locator("#train-data").get_by_label("my photos").is_checked()
    page.locator("#train-data").get_by_label("synthetic identities").check()


def test_a_run_is_watched_to_its_end_listed_and_downloaded(desk, tmp_path):
    page, _ = train_tab(desk)
    small(page)
    put(page, "train-epochs", 2)
    page.get_by_role("button", name="Copy as Python").click()
    until(page, "document.querySelector('#train-python').innerText.includes('epochs=2')")
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=▶", timeout=LONG)
    page.wait_for_selector("#train-run h2 >> text=✔ Finished", timeout=LONG)
    assert figures(page)["step"] == "4 of 4" and drawn(page) == 4
    page.wait_for_selector("#train-tried td >> text=20 synthetic identities × 4", timeout=LONG)
    page.wait_for_selector("#train-map .main-svg", timeout=LONG)
    with page.expect_download(timeout=LONG) as download:
        page.locator("#train-download").click()
    file = tmp_path / "mine.safetensors"
    download.value.save_as(file)
    header = checkpoint.describe(file)
    assert f"{header.metrics['held_out']['eer']:.1%}" == figures(page)["EER, unseen identities"]
    assert (header.recipe.epochs, header.num_classes) == (2, 18)
    checkpoint.load(file)


def test_stop_answers_soon_and_keeps_what_was_learned(visit):
    page, _ = train_tab(visit)
    put(page, "train-epochs", 60)  # minutes: a slow browser presses Stop before it ends by itself
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=▶ Training", timeout=LONG)
    until(  # the page looks every 0.4 s, which a quick machine passes step 2 in
        page, "parseInt(document.querySelector('#train-run .fl-figures b').innerText) >= 2", timeout=LONG
    )
    page.locator("#train-stop").click()
    page.wait_for_selector("#train-run h2 >> text=/■ (Ending|Stopped)/", timeout=LONG)
    page.wait_for_selector("#train-run h2 >> text=■ Stopped", timeout=LONG)
    done, of = figures(page)["step"].split(" of ")
    assert 2 <= int(done) < int(of)
    assert re.match(r"\d+\.\d%", figures(page)["EER, unseen identities"])
    rows = page.locator("#train-tried tbody tr").all_inner_texts()
    assert len(rows) == 2 and "(stopped)" in rows[0] and "recorded run" in rows[1]


def test_a_reload_finds_the_living_run_again_and_a_question_guards_it(visit):
    page, watch = train_tab(visit)
    assert page.locator("#train-run h2").inner_text() == "Example: a recorded run"
    assert page.locator("[data-unsaved]").count() == 0
    put(page, "train-epochs", 60)
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=▶ Training", timeout=LONG)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    assert asked == ["beforeunload"]
    page.wait_for_selector("#train-run h2 >> text=▶ Training", timeout=LONG)
    page.locator("#train-start").click()  # not a second run beside it
    page.wait_for_selector("text=Your run is still under way", timeout=LONG)
    page.locator("#train-stop").click()
    page.wait_for_selector("#train-run h2 >> text=■ Stopped", timeout=LONG)
    assert page.locator("#train-tried tbody tr").count() == 2
    assert page.locator("#train-run [data-unsaved]").count() == 1  # the network is not downloaded yet
    with page.expect_download(timeout=LONG):
        page.locator("#train-download").click()
    until(page, "!document.querySelector('[data-unsaved]')")
    page.reload()
    page.wait_for_selector("#train-run >> text=The page was loaded again", timeout=LONG)
    page.wait_for_selector("#train-run h2 >> text=Example")
    cut = ("AbortError", "Connection errored out")  # what gradio says when its stream is cut by the reload
    watch.errors[:] = [error for error in watch.errors if not any(words in error for words in cut)]


def test_the_second_visitor_waits_and_goes_on_when_the_first_closes_the_browser(visit):
    first, _ = train_tab(visit)
    put(first, "train-epochs", 60)
    first.locator("#train-start").click()
    first.wait_for_selector("#train-run h2 >> text=▶", timeout=LONG)
    second, _ = train_tab(visit)
    assert second.locator("#train-run h2").inner_text() == "Example: a recorded run"
    put(second, "train-epochs", 60)
    second.locator("#train-start").click()
    second.wait_for_selector("#train-run >> text=Position 2 in the queue", timeout=LONG)
    first.close()
    second.wait_for_selector("#train-run h2 >> text=▶", timeout=LONG)
    second.locator("#train-stop").click()
    second.wait_for_selector("#train-run h2 >> text=■ Stopped", timeout=LONG)
