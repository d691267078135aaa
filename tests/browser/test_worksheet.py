"""The instructors' worksheet on paper."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

WORKSHEET = Path(__file__).parents[2] / "docs" / "worksheet.md"
PREVIEW = """<meta charset="utf-8"><style>
body {font: 11pt sans-serif; line-height: 1.45} table {border-collapse: collapse; width: 100%}
td, th {border: 1px solid; padding: 4px 8px; height: 1.3em}</style>"""


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_worksheet_prints_on_two_pages(chromium, paper):
    page = chromium.new_page()
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(WORKSHEET.read_text("utf-8"))
    page.set_content(PREVIEW + body)
    printed = page.pdf(format=paper, margin=dict.fromkeys(("top", "bottom", "left", "right"), "15mm"))
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
