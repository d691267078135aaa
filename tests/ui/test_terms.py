"""Terms in the cards: marked once, escaped, and reachable without a mouse."""

import re

from facelab.ui.theme import CSS, SCRIPT
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.terms import with_terms


def test_a_label_shows_the_definition_of_its_first_term():
    marked = with_terms("false accept rate (FAR)")
    assert marked.count("fl-term") == 1 and "share of impostor pairs" in marked
    assert 'tabindex="0"' in marked and 'role="tooltip"' in marked
    assert "FAR" in with_terms("FAR at this threshold")


def test_the_longest_spelling_is_found_and_parts_of_words_are_not():
    assert "TAR@FAR" in re.search(r'tabindex="0">([^<]+)<', with_terms("TAR@FAR 0.1%"))[1]
    assert with_terms("AFAR, scored") == "AFAR, scored"


def test_what_is_no_term_is_escaped_and_left_alone():
    assert with_terms("<b>") == "&lt;b&gt;"
    assert "&lt;i&gt;" in with_terms("EER <i>") and "<i>" not in with_terms("EER <i>")


def test_figures_mark_their_names_but_not_their_values():
    card = figures(("EER", "FAR"), ("steps", "3"))
    assert card.count("fl-term") == 1 and "<b>FAR</b>" in card


def test_the_definition_opens_on_hover_and_on_focus_and_closes_with_escape():
    css = CSS.read_text()
    assert ".fl-term:hover > .fl-means" in css and ".fl-term:focus > .fl-means" in css
    assert "Escape" in SCRIPT and ".fl-term" in SCRIPT
