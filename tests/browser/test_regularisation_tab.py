"""The Regularization tab as a learner uses it, in a real Chromium."""

from facelab.data.parametric import sample_identities
from facelab.ui.widgets.examples import portrait

from .conftest import until


def regularization_tab(visit, *window):
    page, watch = visit(*window, link="tab=regularization")
    page.wait_for_selector("#rates-chart .main-svg", timeout=60_000)
    return page, watch


def captions(page):
    return page.locator("#dropped figcaption").all_inner_texts()


def told(page):
    """What neighbors tell under Dropout, SpatialDropout and DropBlock, in percent."""
    return [int(text.rsplit(" ", 1)[1].rstrip("%")) for text in captions(page)[1:]]


def after(page, selector, act):
    """Do something and wait until the place holds another card."""
    card = f"{selector} .fl-card"
    old = page.locator(card).inner_html()
    act()
    until(
        page,
        "([card, old]) => ![undefined, old].includes(document.querySelector(card)?.innerHTML)",
        arg=[card, old],
        timeout=60_000,
    )


def put(page, control, value):
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.press("Enter")


def pictures(page):
    return [image.get_attribute("src") for image in page.locator("#variants img").all()]


def test_larger_blocks_leave_neighbors_less_to_tell(desk):
    page, _ = regularization_tab(desk)
    after(page, "#dropped", lambda: put(page, "drop-block", 1))
    single = told(page)
    assert abs(single[0] - single[2]) <= 8, "blocks of one value are dropout"
    after(page, "#dropped", lambda: put(page, "drop-block", 7))
    large = told(page)
    assert large[2] < single[2] - 10 and large[0] == single[0]
    after(page, "#dropped", lambda: put(page, "drop-rate", 0.5))
    assert all("drop rate 50%" in text for text in captions(page)[1:])
    until(page, "document.querySelector('#rates-chart .facelab-chart').layout.shapes[0].x0 === 50")
    before = captions(page)
    after(page, "#dropped", lambda: page.locator("#draw").click())
    assert captions(page) != before and captions(page)[0] == before[0]
    after(page, "#dropped", lambda: page.locator("#drop-stage").get_by_label("stage4").check())
    assert "4×4" in captions(page)[0] and "stage4" in page.locator("#alike").inner_text()


def test_a_photo_of_ones_own_is_augmented(desk, tmp_path):
    page, _ = regularization_tab(desk)
    start = pictures(page)
    assert len(start) == 10  # the crop, eight alone, all together
    after(page, "#variants", lambda: put(page, "augment-rotate", 40))
    turned = pictures(page)
    assert [i for i in range(10) if turned[i] != start[i]] == [2, 9]
    after(page, "#variants", lambda: page.locator("#augment-draw").click())
    assert pictures(page)[0] == start[0] and pictures(page)[9] != turned[9]
    photo = tmp_path / "me.png"
    portrait(sample_identities(1, 4), {"yaw": 3.0, "smile": 0.2}).save(photo)
    after(page, "#variants", lambda: page.locator("#augment-photo input[type=file]").set_input_files(photo))
    mine = pictures(page)
    assert mine[0] != start[0]
    after(page, "#variants", lambda: put(page, "augment-rotate", 0))
    assert pictures(page)[0] == mine[0], "the sliders keep the visitor's photo"
