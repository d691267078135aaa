"""The Transfer tab as a learner uses it, in a real Chromium."""

import numpy as np
from PIL import Image

from facelab.data.parametric import ParametricFaces
from tests.conftest import CROP, zipped

LONG = 240_000  # milliseconds: a busy machine is no failure


def transfer_tab(visit):
    page, watch = visit(link="tab=transfer")
    page.wait_for_selector("#transfer-teach", timeout=120_000)
    return page, watch


def test_rendered_people_are_taught_and_one_is_named(visit, tmp_path):
    page, _ = transfer_tab(visit)
    page.locator("#transfer-name").click()
    page.wait_for_selector("#transfer-named >> text=press Fine-tune first")
    page.locator("#transfer-teach").click()
    page.wait_for_selector("#transfer-run h2 >> text=▶ Training", timeout=LONG)
    page.wait_for_selector("#transfer-run h2 >> text=✔ Finished", timeout=LONG)
    page.wait_for_selector("#transfer-run h2 >> text=✔ Above chance", timeout=LONG)
    page.locator("#transfer-try").click()
    page.wait_for_selector("#transfer-named h2 >> text=/: (right|wrong)/", timeout=LONG)
    crop = ParametricFaces(8, 8, 0).crop_set().crops[3 * 8]
    Image.fromarray(np.asarray(crop)).save(tmp_path / "probe.png")
    page.locator("#transfer-photo input[type=file]").set_input_files(tmp_path / "probe.png")
    page.wait_for_selector("#transfer-photo img", timeout=LONG)
    page.locator("#transfer-name").click()
    page.wait_for_selector("#transfer-named h2:not(:has-text(':'))", timeout=LONG)
    assert page.locator("#transfer-named li").count() == 8
    shares = page.locator("#transfer-named data").all_inner_texts()
    assert shares[0] != shares[-1] and shares[0].endswith("%")


def test_a_zip_of_two_people_is_taught_whole_and_stopped(visit, tmp_path):
    page, _ = transfer_tab(visit)
    page.get_by_role("button", name="Photos of your own").last.click()
    file = page.locator("#transfer-file input[type=file]")
    file.set_input_files(zipped(tmp_path / "one.zip", {f"a/{i}.png": CROP for i in range(4)}))
    page.wait_for_selector("#transfer-found >> text=one person only", timeout=LONG)
    file.set_input_files(zipped(tmp_path / "up.zip", {"../a/1.png": CROP, "b/1.png": CROP}))
    page.wait_for_selector("#transfer-found >> text=outside its own folder", timeout=LONG)
    good = {f"{person}/{i}.png": CROP for person in "ab" for i in range(9)}
    file.set_input_files(zipped(tmp_path / "us.zip", good))
    page.wait_for_selector("#transfer-found >> text=18 faces of 2 identities", timeout=LONG)
    page.locator("#transfer-way").get_by_label("whole").check()
    page.locator("#transfer-teach").click()
    page.wait_for_selector("#transfer-run h2 >> text=▶ Training", timeout=LONG)
    page.locator("#transfer-stop").click()
    page.wait_for_selector("#transfer-run h2 >> text=chance", timeout=LONG)
    heads = page.locator("#transfer-run h2").all_inner_texts()
    assert heads[0] in ("■ Stopped", "✔ Finished")
    assert heads[1] == "✖ Not significantly above chance"  # all photos are one and the same
