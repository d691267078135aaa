"""Links: the address bar always says what is in sight, and opening it shows the same again."""

from urllib.parse import parse_qs, urlparse

from .conftest import until


def setting(page):
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def test_a_setting_is_written_into_the_address_and_followed_when_opened(visit):
    page, watch = visit()
    page.locator("#strictness input[type=number]").fill("1")
    page.locator("#strictness input[type=number]").press("Enter")
    page.wait_for_selector("#verdict >> text=1 in 10 pairs")
    until(page, "location.search.includes('strictness=1')")
    assert setting(page) == {"tab": "compare", "strictness": "1"}
    other, _ = visit(link="tab=compare&strictness=1")
    other.wait_for_selector("#verdict >> text=1 in 10 pairs", timeout=60_000)
    assert setting(other)["strictness"] == "1"
    assert not watch.outside and not watch.errors


def test_hatching_survives_a_new_address(visit):
    page, _ = visit(link="tab=compare&strictness=3")
    page.wait_for_selector("#chart .main-svg", timeout=60_000)
    references = """() => [...document.querySelectorAll('#chart [style*="url("], #chart [clip-path]')].map(
      (part) => (part.getAttribute('clip-path') ?? part.getAttribute('style')).match(/url[(]"?(.)/)?.[1]
    )"""
    found = page.evaluate(references)
    assert len(found) > 2 and set(found) == {"#"}, "they name the page's address, which changes"


def test_each_tab_has_its_own_settings(visit):
    page, _ = visit(link="tab=identify&strictness=1.5")
    until(
        page,
        "document.querySelector('#identify-strictness input[type=number]')?.value === '1.5'",
        timeout=60_000,
    )
    assert page.locator("#strictness input[type=number]").input_value() == "2"
    page.get_by_role("tab", name="Compare").click()
    until(page, "!location.search.includes('strictness')")
    page.get_by_role("tab", name="Identify").click()
    until(page, "location.search.includes('strictness=1.5')")


def test_a_link_that_means_nothing_opens_the_page_as_it_is(visit):
    page, watch = visit(link="tab=nowhere&strictness=99&model=../../secret")
    page.wait_for_selector("#verdict h2")
    assert page.locator("#strictness input[type=number]").input_value() == "2"
    assert not watch.errors
