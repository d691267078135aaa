"""The Embedding space tab as a learner uses it, in a real Chromium."""

import pytest

from facelab.lessons import epochs as runs
from facelab.lessons import space as lesson

from .conftest import until
from .test_compare_tab import jpeg, portrait

MAP = "document.querySelector('#space-{} .facelab-chart')"
RUN = "document.querySelector('#epochs-{} .facelab-chart')"
HEADING = "document.querySelector('#epochs-{} .fl-chart-title').textContent"
MODELS, _ = lesson.comparable()

if not MODELS or not runs.names():
    pytest.skip("no lesson files; python -m facelab lessons", allow_module_level=True)


def space_tab(visit, **options):
    page, watch = visit(**options, link="tab=embedding-space")  # on a phone the tab itself is in a menu
    page.wait_for_selector("#space-right .main-svg", timeout=60_000)
    page.wait_for_selector("#epochs-right .main-svg", timeout=60_000)
    return page, watch


def first_photo(page, side):
    """Where the first person's first photo lies on a map."""
    return page.evaluate(f"(({{x, y}}) => [x[0], y[0]])({MAP.format(side)}.data[0])")


def wait_for(page, condition):
    until(page, condition, timeout=120_000)


def point_at(page, side, person, photo):
    """Put the pointer on a photo of a 2-D map."""
    page.locator(f"#space-{side}").scroll_into_view_if_needed()
    at = page.evaluate(
        f"""(([person, photo]) => {{
          const map = {MAP.format(side)}, box = map.getBoundingClientRect();
          const {{_size, xaxis, yaxis}} = map._fullLayout, trace = map.data[person];
          return [box.x + _size.l + xaxis.d2p(trace.x[photo]), box.y + _size.t + yaxis.d2p(trace.y[photo])];
        }})([{person}, {photo}])"""
    )
    page.mouse.move(at[0] - 4, at[1] - 4)
    page.mouse.move(*at)


def test_space_has_names_for_a_screen_reader(desk):
    page, _ = space_tab(desk)
    assert page.get_by_role("button", name="identity 1", exact=True).count() == 1
    for chart in ("space-left", "space-right", "epochs-left", "epochs-right"):
        assert page.locator(f"#{chart} [role=img]").get_attribute("aria-label")
    assert page.get_by_role("group", name="Highlight identity").count() == 1
    assert page.get_by_role("slider").count() >= 1


def test_a_photo_under_the_pointer_is_ringed_on_the_other_map_and_a_click_brings_out_its_person(desk):
    page, _ = space_tab(desk)
    target = page.evaluate(
        f"""(() => {{  // a photo with nothing else near it
          const points = {MAP.format("left")}.data.slice(0, 16).flatMap(({{x, y}}, person) =>
            x.map((value, photo) => ({{person, photo, x: value, y: y[photo]}})));
          const apart = (a, b) => (a === b ? 1e9 : Math.hypot(a.x - b.x, a.y - b.y));
          const gap = (a) => Math.min(...points.map((b) => apart(a, b)));
          const best = points.reduce((a, b) => (gap(b) > gap(a) ? b : a));
          return [best.person, best.photo];
        }})()"""
    )
    point_at(page, "left", *target)
    wait_for(page, f"{MAP.format('right')}.data[16].x?.length === 1")
    ring, photo = (
        page.evaluate(f"(({{x, y}}) => [x[{i}], y[{i}]])({MAP.format('right')}.data[{trace}])")
        for trace, i in ((16, 0), (target[0], target[1]))
    )
    assert ring == photo
    page.mouse.down()
    page.mouse.up()
    wait_for(page, f"{MAP.format('right')}.data[{(target[0] + 1) % 16}].marker.opacity === 0.1")
    chip = page.locator("#space-people button").nth(target[0])
    assert chip.get_attribute("aria-pressed") == "true"
    page.mouse.move(5, 5)
    wait_for(page, f"{MAP.format('right')}.data[16].x.length === 0")
    chip.focus()
    page.keyboard.press("Enter")
    wait_for(page, f"{MAP.format('right')}.data.slice(0, 16).every((trace) => trace.marker.opacity === 1)")


def test_a_selection_on_one_map_selects_the_same_photos_on_the_other(desk):
    page, _ = space_tab(desk)
    page.evaluate(
        f"""{MAP.format("left")}.emit('plotly_selected', {{points: [
          {{curveNumber: 2, pointNumber: 1}}, {{curveNumber: 2, pointNumber: 4}}]}})"""
    )
    chosen = page.evaluate(f"{MAP.format('right')}.data.slice(0, 4).map((trace) => trace.selectedpoints)")
    assert chosen == [[], [], [1, 4], []]
    page.evaluate(f"{MAP.format('left')}.emit('plotly_deselect')")
    wait_for(page, f"!{MAP.format('right')}.data[2].selectedpoints")


def test_epochs_play_on_fixed_axes_without_asking_the_server(desk):
    page, _ = space_tab(desk)
    state = f"""(() => {{ const {{_fullData: [, , photos], layout}} = {RUN.format("left")};
      return [photos.x[0], {HEADING.format("left")}, layout.xaxis.range]; }})()"""
    last = page.evaluate(state)
    field = page.locator("#epochs-slider input[type=number]")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    field.fill("3")
    field.press("Enter")
    wait_for(page, f"{HEADING.format('left')}.startsWith('softmax, epoch 3:')")
    early = page.evaluate(state)
    assert early[0] != last[0] and early[2] == pytest.approx(last[2], rel=0.01)
    assert page.evaluate(HEADING.format("right")).startswith("softmax + center loss, epoch 3:")
    page.locator("#epochs-play").click()
    wait_for(page, f"Number({HEADING.format('left')}.match(/\\d+/)[0]) >= 6")
    page.locator("#epochs-play").click()
    assert "Play" in page.locator("#epochs-play").inner_text()
    assert int(field.input_value()) >= 6
    assert asked == []


def test_new_photos_and_the_bias_change_the_picture(desk):
    page, _ = space_tab(desk)
    page.locator("#epochs-photos").get_by_label("held-out photos").check()
    wait_for(page, f"{RUN.format('left')}._fullData[2].x.length === 60")
    words = page.locator("#epochs-left-card").inner_text()
    page.locator("#epochs-bias input").check()
    page.wait_for_selector("#epochs-left-card >> text=With a bias, direction")
    assert page.locator("#epochs-left-card").inner_text() != words
    assert "center loss" in page.locator("#epochs-right-card").inner_text()


def test_six_umaps_are_shown_when_the_panel_is_opened(desk):
    page, _ = space_tab(desk)
    assert page.locator("#space-six .main-svg").count() == 0
    page.get_by_role("button", name="Can I trust this map?").click()
    page.wait_for_selector("#space-six .main-svg", timeout=120_000)
    assert page.locator("#space-six .subplot").count() == 6
    assert "seed 2\nn_neighbors 5\nn_neighbors 30" in page.locator("#space-six").inner_text()


def test_two_models_show_the_same_people_and_pca_or_3d_draws_them_anew(desk):
    page, _ = space_tab(desk)
    assert all(page.evaluate(f"{MAP.format(side)}.data.length") == 18 for side in ("left", "right"))
    before, umap = page.locator("#space-right-card").inner_text(), first_photo(page, "left")
    other = next((name for name in reversed(MODELS) if name not in before), None)
    if other:
        page.locator("#space-right-model input").click()
        page.get_by_role("option", name=other, exact=True).click()
        page.wait_for_selector(f"#space-right-card h3 >> text={other}")
        assert page.locator("#space-right-card").inner_text() != before
        assert page.locator("#space-left-card b").all_inner_texts()
    page.locator("#space-people button").nth(5).click()
    assert "Identity 6 is highlighted on both maps" in page.locator("#space-people").inner_text()
    strengths = page.evaluate(f"{MAP.format('right')}.data.slice(0, 16).map((trace) => trace.marker.opacity)")
    assert strengths == [1 if person == 5 else 0.1 for person in range(16)]
    page.locator("#space-method").get_by_label("PCA").check()
    page.wait_for_selector("#space-left-card >> text=axes explain")
    wait_for(page, f"{MAP.format('left')}.data[0].x[0] !== {umap[0]}")
    wait_for(page, f"{MAP.format('left')}.data[0].marker.opacity === 0.1")  # still brought out
    page.locator("#space-dims").get_by_label("3-D").check()
    wait_for(page, f"{MAP.format('left')}.data[0].type === 'scatter3d' && {MAP.format('left')}.data[0].z")
    figures = page.locator("#space-left-card .fl-figures b").all_inner_texts()
    page.locator("#space-who").get_by_label("training identities").check()
    until(
        page,
        "(old) => document.querySelector('#space-left-card .fl-figures b').innerText !== old",
        arg=figures[0],
    )


def test_a_photo_is_put_on_both_maps_and_other_visitors_do_not_see_it(desk, visit):
    page, _ = space_tab(visit)
    other, _ = space_tab(desk)
    page.get_by_role("button", name="Project your own photo").click()
    page.locator("#space-photo input[type=file]").set_input_files(
        {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": jpeg(portrait(6))}
    )
    page.wait_for_selector("#space-photo-card >> text=nearest by cosine similarity: ", timeout=60_000)
    for side in ("left", "right"):
        wait_for(page, f"{MAP.format(side)}.data[17].x.length === 1")
        star = page.evaluate(f"{MAP.format(side)}.data[17].x[0]")
        xs = page.evaluate(f"{MAP.format(side)}.data.slice(0, 16).flatMap((trace) => trace.x)")
        assert min(xs) <= star <= max(xs)
    assert page.locator("#space-photo-card li").count() == len(
        {page.locator(f"#space-{side}-card h3").inner_text() for side in ("left", "right")}
    )
    assert not other.evaluate(f"{MAP.format('left')}.data[17].x?.length")
    assert "nearest by cosine similarity" not in other.locator("body").inner_text()
    page.locator("#space-photo button[aria-label='Remove Image']").click()
    wait_for(page, f"{MAP.format('left')}.data[17].x.length === 0")
