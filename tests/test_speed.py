"""Figures on speed in README.md and docs/speed.md are those of docs/speed.json."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MEASURED = json.loads((DOCS / "speed.json").read_text("utf-8"))
PAGE = (DOCS / "speed.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
PHOTOS, NETWORKS = MEASURED["photo_ms"], MEASURED["network_ms"]
FIRST = next(iter(PHOTOS["250 px"]))


def rows(page: str) -> dict[str, list[str]]:
    """{first cell: the other cells} of every table."""
    lines = [line.strip("| ").split("|") for line in re.findall(r"^\|.*$", page, re.MULTILINE)]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


@pytest.mark.parametrize("name", list(PHOTOS["250 px"]))
def test_a_pipelines_row_is_what_was_measured(name):
    expected = [f"{ms[name]:.0f} ms ({ms[name] / ms[FIRST]:.2f}x)" for ms in PHOTOS.values()]
    assert rows(PAGE)[name] == expected


@pytest.mark.parametrize("name", list(NETWORKS["1"]))
def test_a_runtimes_row_is_what_was_measured(name):
    expected = [f"{ms[name]:.1f}" for count, ms in NETWORKS.items() if count.isdigit()]
    assert rows(PAGE)[name] == [*expected, f"{NETWORKS['smallest cosine'][name]:.4f}"]


def test_the_readmes_ratios_are_measured_and_say_of_what():
    """Every ratio of the paragraph, in its order: ours to each other pipeline, at both sizes."""
    paragraph = README.split("## Speed", 1)[1].split("##", 1)[0]
    ours, reference, _, dlib, facenet = PHOTOS["250 px"]
    pairs = [(ours, dlib), (ours, facenet), (reference, dlib)]
    expected = [f"{ms[a] / ms[b]:.2f}" for a, b in pairs for ms in PHOTOS.values()]
    assert re.findall(r"\b\d\.\d\d\b(?!\.)", paragraph) == expected
    assert MEASURED["date"] in paragraph and MEASURED["processor"] in paragraph
    for package in ("torch", "dlib-bin", "facenet-pytorch"):
        assert f"{package} {MEASURED['versions'][package]}" in paragraph
