"""Every tab for keyboards and screen readers: axe-core's rules in four looks, stops, focus, charts in words.

axe-core (MPL-2.0, deque) comes with the package axe-playwright-python. One page serves all four looks; the
rules that cannot differ between looks run in one of them.
"""

import importlib.util
from pathlib import Path

import pytest

from .conftest import long, until

TABS = (
    "start", "compare", "identify", "embedding-space", "calibration", "losses", "architectures",
    "regularization", "transfer", "train", "own",
)  # fmt: skip
BY_LOOK = ["color-contrast", "scrollable-region-focusable", "target-size"]  # the rules that a look can change
GRADIO = {  # rule: selector of gradio's own markup, for rules that are less than serious
    "image-redundant-alt": "footer img",
}
MOST_STOPS = 40
OPEN = """() => {
  for (const each of document.querySelectorAll('details:not([open], .fl-lessons)')) each.open = true;
  const folded = [...document.querySelectorAll('button.label-wrap:not(.open)')]
    .filter((each) => each.checkVisibility());
  for (const each of folded) each.click();
  return folded.length;
}"""
DRAWN = """() => window.facelabLoaded
  && ![...document.querySelectorAll('[data-later]')].some((each) => each.checkVisibility())
  && [...document.querySelectorAll('.facelab-chart')].every((each) => !each.checkVisibility() || each.data)"""
RUN = """async ([rules, own]) => {
  const panels = [...document.querySelectorAll('#fl-tabs [role=tabpanel]')];
  const context = rules ? panels.find((each) => each.checkVisibility()) : document;
  const found = await axe.run(context, {resultTypes: ['violations'], elementRef: true,
    rules: {'target-size': {enabled: true}}, ...(rules ? {runOnly: {type: 'rule', values: rules}} : {})});
  const covered = (each) => {  // by the bar at a phone's foot, on whose color the text does not stand
    const box = each.getBoundingClientRect();
    const above = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return above && !above.contains(each) && !each.contains(above);
  };
  return found.violations.flatMap(({id, impact, nodes}) => nodes
    .filter(({element}) => !(own[id] && element.closest(own[id])))
    .filter(({element}) => id !== 'color-contrast' || !covered(element))
    .map(({element, any: [why]}) =>
      `${impact} ${id}: ${element.outerHTML.slice(0, 120)} ${why?.message ?? ''}`));
}"""
STOPS = """() => {
  const radios = new Set();
  const all = 'a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]';
  return [...document.querySelectorAll(all)]
    .filter((each) => {
      if (each.tabIndex < 0 || each.disabled) return false;
      if (!each.checkVisibility({visibilityProperty: true})) return false;
      const again = each.type === 'radio' && radios.has(each.name);
      if (each.type === 'radio') radios.add(each.name);
      return !again;
    }).map((each) => each.getAttribute('aria-label') || each.innerText || each.outerHTML.slice(0, 60));
}"""
LABELS = """[...document.querySelectorAll('.facelab-chart')]
  .filter((each) => each.data && each.checkVisibility()).map((each) => each.getAttribute('aria-label'))"""
FOCUSED = """() => {
  const at = document.activeElement, box = at.closest('label') ?? at;
  const ring = [at, box].some((each) => parseFloat(getComputedStyle(each).outlineWidth) >= 2
    && getComputedStyle(each).outlineStyle !== 'none');
  return [at.tagName, at.matches(':focus-visible') && ring, at.outerHTML.slice(0, 100)];
}"""


def open_tab(page, tab):
    """Open a tab by a link of the page, all of it drawn."""
    until(page, "window.facelabGo && window.facelabLoaded")
    page.evaluate("(tab) => window.facelabGo(`?tab=${tab}`)", tab)
    until(page, f"document.querySelector('#fl-tabs [data-tab-id={tab}][aria-selected=true]')")
    until(page, DRAWN)


@long
def test_axe_finds_nothing_in_any_tab_and_look(desk):
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-playwright-python is not installed (requirements-dev.txt)")
    page, _ = desk(link="tab=start")
    page.evaluate((Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    found = {}
    for tab in TABS:
        page.set_viewport_size({"width": 1280, "height": 900})
        open_tab(page, tab)
        while page.evaluate(OPEN):
            page.wait_for_timeout(300)  # a section unfolds
        until(page, DRAWN)
        for look in ("1280 light", "1280 dark", "390 dark", "390 light"):
            width, scheme = look.split()
            page.set_viewport_size({"width": int(width), "height": 900})
            page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", scheme == "dark")
            until(page, DRAWN)
            wrong = page.evaluate(RUN, [None if look == "1280 light" else BY_LOOK, GRADIO])
            if wrong:
                found[f"{tab}, {look}"] = wrong
            if page.evaluate("document.documentElement.scrollWidth") > int(width):
                found[f"{tab}, {look}, width"] = page.evaluate("document.documentElement.scrollWidth")
    assert not found


def test_no_tab_has_too_many_stops_and_every_chart_says_its_result(desk):
    page, _ = desk(link="tab=start&card=1")
    many, silent = {}, []
    for tab in TABS:
        open_tab(page, tab)
        until(page, "!flKeysSoon")  # keys.js has followed the page's changes
        stops = page.evaluate(STOPS)
        if len(stops) > MOST_STOPS:
            many[tab] = len(stops), stops
        for text in page.evaluate(LABELS):
            if not (any(sign.isdigit() for sign in text) and text.count(".") >= 2):
                silent.append((tab, text))
    assert not many
    assert not silent


def test_each_stop_is_seen_and_none_is_the_body(desk):
    page, _ = desk(link="tab=start&card=1")
    unseen = []
    for tab in ("compare", "train"):
        open_tab(page, tab)
        until(page, "!flKeysSoon")
        count = len(page.evaluate(STOPS))
        page.evaluate("document.querySelector('.fl-brand').focus()")
        for _ in range(count - 1):
            page.keyboard.press("Tab")
            tag, ring, what = page.evaluate(FOCUSED)
            if tag == "BODY" or not ring:
                unseen.append((tab, what))
    assert not unseen


def test_arrows_move_among_tabs_radios_and_the_buttons_of_a_chart(desk):
    page, _ = desk(link="tab=start&card=1")
    open_tab(page, "calibration")
    page.get_by_role("tab", name="Calibration").focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.matches('[data-tab-id=losses][aria-selected=true]')")
    page.keyboard.press("ArrowLeft")
    until(page, "document.activeElement.matches('[data-tab-id=calibration][aria-selected=true]')")
    radio = page.locator("#smoothing input[type=radio]:checked")
    first = radio.input_value()
    radio.focus()
    page.keyboard.press("ArrowDown")
    until(page, "(first) => document.querySelector('#smoothing input:checked').value !== first", first)
    page.keyboard.press("ArrowUp")
    until(page, "(first) => document.querySelector('#smoothing input:checked').value === first", first)
    page.locator("#reliability-chart [data-do=table]").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.do") == "reset"
    handle = page.locator("#temperature input[type=range]")
    handle.focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#temperature input[type=range]').value !== '1'")
    page.keyboard.press("Delete")
    until(page, "document.querySelector('#temperature input[type=range]').value === '1'")


def test_a_chart_is_read_as_a_table_that_follows_it(desk):
    page, _ = desk(link="tab=start&card=1")
    open_tab(page, "calibration")
    button = page.locator("#reliability-chart [data-do=table]")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    drawn = """[...document.querySelector('#reliability-chart .facelab-chart')._fullData]
      .reduce((sum, trace) => sum + Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0), 0)"""
    rows = "document.querySelectorAll('#reliability-chart tbody tr').length"
    assert page.evaluate(f"{rows} === {drawn}") and page.evaluate(rows) > 5
    heads = page.locator("#reliability-chart th").all_inner_texts()
    assert heads[0] == "series" and len(set(heads)) == 3
    before = page.evaluate("document.querySelector('#reliability-chart tbody').innerText")
    label = page.locator("#reliability-chart .facelab-chart").get_attribute("aria-label")
    page.locator("#temperature input[type=number]").fill("3")
    until(page, "(text) => document.querySelector('#reliability-chart tbody').innerText !== text", before)
    assert page.locator("#reliability-chart .facelab-chart").get_attribute("aria-label") != label
    button.click()
    assert page.locator("#reliability-chart .fl-chart-table").is_hidden()
