"""All tabs of one browser are one visitor, and another browser is another; nothing is stored for it."""

import re

from facelab.ui.theme import HERE


def test_the_tabs_of_a_browser_share_a_visitors_name(served, chromium):
    script = (HERE / "page.js").read_text(encoding="utf-8")
    contexts = [chromium.new_context() for _ in range(2)]
    pages = [contexts[0].new_page(), contexts[0].new_page(), contexts[1].new_page()]
    for page in pages:
        page.goto(f"{served}healthz")  # of the same origin as the page, and loaded at once
        page.add_script_tag(content=script)
    name = pages[0].evaluate("facelabStart('train')")
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert pages[1].evaluate("[facelabKey('train'), facelabKey('transfer')]") == ["", ""]
    assert pages[1].evaluate("facelabStart('transfer')") == name  # asked for, in the other tab
    assert pages[1].evaluate("[facelabKey('train'), facelabKey('transfer')]") == ["", name]
    assert pages[2].evaluate("facelabStart('train')") != name
    pages[0].evaluate("facelabForget('train', '')")
    assert (
        pages[0].evaluate("facelabKey('train')") == "" and pages[0].evaluate("facelabStart('train')") == name
    )
    assert pages[0].evaluate("localStorage.length") == 0
    for context in contexts:
        context.close()
