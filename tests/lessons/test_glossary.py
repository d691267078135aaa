"""The glossary: one table for the page and the document."""

import re
from pathlib import Path

from facelab.lessons.glossary import TERMS, as_markdown, spellings, term

DOCUMENT = Path(__file__).parents[2] / "docs" / "glossary.md"


def test_the_document_is_the_table():
    assert DOCUMENT.read_text() == as_markdown()


def test_every_name_is_there_once_with_a_short_definition():
    names = [entry.name for entry in TERMS]
    assert len(names) == len({*names}) > 50
    for entry in TERMS:
        assert len(entry.means.split()) <= 20 and not entry.means.endswith("."), entry.name


def test_abbreviations_and_plurals_find_their_term():
    assert term("FAR").name == "false accept rate"
    assert term("genuine pairs") is term("genuine pair")
    assert {"FAR", "FRR", "EER", "TAR@FAR", "ECE", "NLL", "FPIR", "DIR", "AUC"} <= {*spellings()}
    assert not [text for text in spellings() if re.fullmatch(r"\W|\w", text)]  # K and m would mark any letter
