"""Links: the address bar always says what is in sight, and opening it shows the same again."""

from urllib.parse import parse_qs, urlparse

import pytest

from .conftest import choose_tab, until


def setting(page):
    """What the address says of tab and settings; it keeps the scheme that these tests ask for."""
    found = {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}
    assert found.pop("__theme") == "light"
    return found


def shown(page):
    return page.get_by_role("tab", selected=True).first.inner_text()


@pytest.mark.parametrize(("width", "chosen"), [(1280, "2.5"), (390, "1.5")])
def test_back_and_forward_move_between_tabs(desk, width, chosen):
    page, _ = desk()
    page.set_viewport_size({"width": width, "height": 844})
    choose_tab(page, "Compare")
    choose_tab(page, "Identify")
    until(page, "location.search.includes('tab=identify')")
    page.locator("#identify-strictness input[type=number]").fill(chosen)
    page.locator("#identify-strictness input[type=number]").press("Enter")
    until(page, f"location.search.includes('strictness={chosen}')")
    choose_tab(page, "Losses")
    until(page, "location.search.includes('tab=losses')")
    for step, tab, strictness in (
        (-1, "identify", chosen),
        (-1, "compare", None),
        (1, "identify", chosen),
        (1, "losses", None),
        (-2, "compare", None),
        (2, "losses", None),
    ):
        page.evaluate("(step) => history.go(step)", step)
        title = tab.capitalize()
        page.get_by_role("tab", name=title, selected=True).first.wait_for(timeout=120_000)
        until(
            page,
            """([tab, strictness]) => {
              const found = new URL(location).searchParams;
              return (found.get('tab') ?? 'compare') === tab && found.get('strictness') === strictness;
            }""",
            arg=[tab, strictness],
        )
        assert shown(page) == title


def test_a_setting_is_written_into_the_address_and_followed_when_opened(visit, desk):
    page, watch = desk()
    page.set_viewport_size({"width": 1280, "height": 900})
    choose_tab(page, "Compare")
    page.locator("#strictness input[type=number]").fill("1")
    page.locator("#strictness input[type=number]").press("Enter")
    page.wait_for_selector("#verdict >> text=1 in 10 impostor pairs")
    until(page, "location.search.includes('strictness=1')")
    assert setting(page) == {"tab": "compare", "strictness": "1"}
    other, _ = visit(link="tab=compare&strictness=1")
    other.wait_for_selector("#verdict >> text=1 in 10 impostor pairs", timeout=60_000)
    assert setting(other)["strictness"] == "1"
    other.wait_for_selector("#chart .main-svg", timeout=60_000)
    hatching_survives_a_new_address(other)
    assert not watch.outside and not watch.errors


def hatching_survives_a_new_address(page):
    references = """() => [...document.querySelectorAll('#chart [style*="url("], #chart [clip-path]')].map(
      (part) => (part.getAttribute('clip-path') ?? part.getAttribute('style')).match(/url[(]"?(.)/)?.[1]
    )"""
    found = page.evaluate(references)
    assert len(found) > 2 and set(found) == {"#"}, "they name the page's address, which changes"


def test_each_tab_has_its_own_settings_and_what_is_not_ours_stays_in_the_address(visit):
    page, _ = visit(link="view=api&tab=identify&strictness=1.5")
    until(
        page,
        "document.querySelector('#identify-strictness input[type=number]')?.value === '1.5'",
        timeout=60_000,
    )
    page.get_by_role("tab", name="Compare").click()
    assert page.locator("#strictness input[type=number]").input_value() == "3"
    until(page, "!location.search.includes('strictness')")
    page.get_by_role("tab", name="Identify").click()
    until(page, "location.search.includes('strictness=1.5')")
    page.get_by_role("tab", name="Transfer").first.click()
    until(page, "location.search.includes('tab=transfer')")
    assert setting(page) == {"view": "api", "tab": "transfer"}


def test_a_link_that_means_nothing_opens_the_page_as_it_is(visit):
    page, watch = visit(link="tab=nowhere&strictness=99&model=../../secret")
    page.get_by_role("tab", name="Start", selected=True).first.wait_for(timeout=60_000)
    until(page, "document.querySelectorAll('#lecture .fl-topic').length > 10")
    page.get_by_role("tab", name="Compare").click()
    assert page.locator("#strictness input[type=number]").input_value() == "3"
    assert not watch.errors
