"""A card's link shows its point, and a control stands beside what it changes, on a projector and a phone."""

import pytest

from facelab.lessons.lecture import cards

from .conftest import until

LIVE = (  # tab, folded section, control, the view that it changes
    ("compare", "", "strictness", "chart"),
    ("compare", "", "walk", "walk-chart"),
    ("identify", "", "identify-strictness", "dir-chart"),
    ("embedding-space", "", "space-left-model", "space-left"),
    ("embedding-space", "", "space-right-model", "space-right"),
    ("embedding-space", "", "epochs-slider", "epochs-left"),
    ("calibration", "", "temperature", "reliability-chart"),
    ("calibration", "", "bins", "reliability-chart"),
    ("calibration", "", "hand-gap", "hand-chart"),
    ("calibration", "", "hand-alpha", "hand-chart"),
    ("losses", "losses-center", "center-weight", "center-chart"),
    ("losses", "losses-center", "center-steps", "center-chart"),
    ("losses", "losses-margins", "margin-arcface", "regions-chart"),
    ("losses", "losses-margins", "margin-scale", "scale-chart"),
    ("losses", "losses-triplets", "triplet-margin", "triplet-circle"),
    ("losses", "losses-triplets", "triplet-negative", "triplet-circle"),
    ("losses", "losses-triplets", "triplet-anchor", "triplet-circle"),
    ("losses", "losses-triplets", "triplet-positive", "triplet-circle"),
    ("losses", "losses-pairs", "pairs-genuine-mean", "pairs-chart"),
    ("losses", "losses-pairs", "pairs-genuine-spread", "pairs-chart"),
    ("losses", "losses-pairs", "pairs-impostor-mean", "pairs-chart"),
    ("losses", "losses-pairs", "pairs-impostor-spread", "pairs-chart"),
    ("architectures", "", "budget-dim", "meter"),
    ("architectures", "", "budget-people", "meter"),
    ("architectures", "", "groups", "groups-chart"),
    ("regularization", "", "drop-rate", "dropped"),
    ("regularization", "", "drop-block", "dropped"),
    ("regularization", "", "augment-rotate", "variants"),
)
# A long card counts as seen when its upper 200 px are in view; a chart has to be seen whole.
INSIDE = """([id, whole]) => {
  const found = [...document.querySelectorAll(`[id="${id}"]`)].find((each) => each.offsetParent);
  if (!found) return false;
  const drawn = found.querySelector('.facelab-chart');
  if (drawn && !drawn.querySelector('.main-svg, canvas')) return false;
  const box = (drawn ?? found).getBoundingClientRect(), strip = document.querySelector('.fl-head');
  const top = parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--fl-top'));
  const bottom = Math.min(box.bottom, whole || drawn ? Infinity : box.top + 200);
  return box.height > 0 && box.top >= top - 1 && bottom <= window.innerHeight + 1 && Boolean(strip);
}"""
NEAR = """([control, view, least]) => {
  const shown = (id) => [...document.querySelectorAll(`[id="${id}"]`)].find((each) => each.offsetParent);
  const slider = shown(control), drawn = shown(view);
  if (!slider || !drawn) return null;
  const a = slider.getBoundingClientRect();
  const b = (drawn.querySelector('.facelab-chart') ?? drawn).getBoundingClientRect();
  const top = parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--fl-top'));
  const dock = slider.closest('.fl-live'), docked = dock && getComputedStyle(dock).position === 'sticky';
  const end = docked ? dock.getBoundingClientRect().top : window.innerHeight;
  const seen = Math.min(b.bottom, end) - Math.max(b.top, top);
  return {
    control: a.top >= top - 1 && a.bottom <= window.innerHeight + 1,
    view: seen >= Math.min(b.height, least) - 1,
    figures: [a.top, a.bottom, b.top, b.bottom, end].map(Math.round),
  };
}"""


STRIP = """(() => {  // tabs that are not whole in sight
  const list = document.querySelector('#fl-tabs [role=tablist]'), strip = list.getBoundingClientRect();
  return [...list.querySelectorAll('[role=tab]')].filter((tab) => {
    const box = tab.getBoundingClientRect();
    return box.left < strip.left - 1 || box.right > strip.right + 1;
  }).map((tab) => tab.innerText);
})()"""


def follow(page, link):
    """Follow a link of the page in place, as a click does; wait until scrolling rests."""
    until(page, "window.facelabGo && window.facelabLoaded")
    page.evaluate("(link) => window.facelabGo(link)", link)


def page_at(desk, width, height):
    """The page of this file's tests, opened by the first card's link and put on a screen of this size."""
    page, watch = desk(1280, 720, link=cards()[0].link.lstrip("?"))
    page.set_viewport_size({"width": width, "height": height})
    return page, watch


def test_the_link_of_every_card_shows_its_point_without_any_further_action(desk):
    page, watch = page_at(desk, 1280, 720)
    missed = []
    for i, card in enumerate(cards()):
        if i:
            follow(page, card.link)
        try:
            until(page, INSIDE, [card.shows, False])
        except Exception:  # all of them are told at once
            missed.append((card.number, card.title, card.shows))
    assert not missed
    assert f"card={len(cards())}" in page.url
    assert not watch.outside


@pytest.mark.parametrize(("width", "height", "least"), [(1280, 720, 400), (390, 844, 250)])
def test_each_live_control_and_its_view_fit_one_screen(desk, width, height, least):
    page, _ = page_at(desk, width, height)
    apart = []
    for tab, panel, control, view in LIVE:
        follow(page, f"?tab={tab}&at={view}" + (f"&open={panel}" if panel else ""))
        try:
            near = f"(arg) => {{ const found = ({NEAR})(arg); return found && found.control && found.view; }}"
            until(page, near, [control, view, least])
        except Exception:
            apart.append((control, view, page.evaluate(NEAR, [control, view, least])))
    assert not apart


def test_a_card_leads_on_and_progress_stands_in_the_address_only(desk):
    page, _ = page_at(desk, 1280, 720)
    follow(page, "?tab=start")
    page.locator("#lecture-1").wait_for()
    assert page.evaluate(STRIP) == []
    page.locator("#lecture-2 .fl-go").click()
    until(page, "location.search.includes('tab=identify') && location.search.includes('card=2')")
    following = page.locator(".fl-next:visible")
    assert following.inner_text() == f"Next: 3. {cards()[2].title} →"
    page.locator(".fl-stage", has_text="embedding").click()
    page.get_by_role("tab", name="Embedding space", selected=True).first.wait_for()
    assert page.locator(".fl-stage[aria-current]").first.inner_text() == "embedding"
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('facelab')).length") == 0
    page.get_by_role("button", name="Light or dark theme").click()
    assert page.evaluate("document.body.classList.contains('dark')") and "__theme=dark" in page.url
    page.get_by_role("button", name="Light or dark theme").click()
    assert not page.evaluate("document.body.classList.contains('dark')") and "__theme=light" in page.url


def test_a_projector_shows_large_type_and_turns_the_cards(visit):
    page, _ = visit(1280, 720, link="tab=compare&present=1&card=1")
    page.wait_for_selector("#chart .main-svg")
    until(page, "document.body.classList.contains('fl-present')")
    assert page.evaluate(STRIP) == []
    assert not page.locator(".fl-pipe").is_visible()
    page.keyboard.press("PageDown")
    page.get_by_role("tab", name="Identify", selected=True).first.wait_for()
    until(page, "location.search.includes('card=2') && location.search.includes('present=1')")


def test_a_chart_is_saved_as_values_and_its_legend_hides_a_trace(desk):
    page, _ = page_at(desk, 1280, 720)
    follow(page, "?tab=compare")
    page.wait_for_selector("#chart .main-svg")
    with page.expect_download() as saved:
        page.locator("#chart [data-do=csv]").click()
    rows = saved.value.path().read_text().splitlines()
    assert rows[0] == "trace,x,y,z" and len(rows) > 100 and any("genuine pairs" in row for row in rows)
    button = page.locator("#chart .fl-legend button", has_text="impostor pairs")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator(".modebar").count() == 0
