"""The walk of the Compare tab without a browser: what it says at each step is what was scored."""

import json

import pytest

from facelab.lessons.identity_walk import STEPS, walk
from facelab.models.zoo import DEFAULT_MODEL
from facelab.recognition.embedder import load
from facelab.ui.compare import walk as section
from facelab.ui.widgets.controls import STRICTNESS


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [(0.6, 0.4, "✔ Accepted as A<"), (0.4, 0.6, "✔ Accepted as B<"), (0.6, 0.5, "⚠ Accepted as A and as B"),
     (0.4, 0.49, "✖ Neither A nor B")],
)  # fmt: skip
def test_the_card_says_whom_the_face_is_accepted_as(a, b, words):
    card = section.walk_card(5, a, b, 0.5)
    assert words in card and f"{a:.3f}" in card and f"{b:.3f}" in card and "25% of the way" in card


def test_the_shipped_model_accepts_each_end_as_itself_and_the_opening_face_as_both():
    way, threshold = walk(DEFAULT_MODEL), load(DEFAULT_MODEL).calibrated().threshold_for(10**-STRICTNESS)
    assert way.a[0] >= threshold > way.b[0] and way.b[-1] >= threshold > way.a[-1]
    card, chart = section.show(section.OPENING, DEFAULT_MODEL, STRICTNESS)
    assert "Accepted as A and as B" in card
    figure = json.loads(chart)
    assert len(figure["data"][0]["x"]) == STEPS and figure["layout"]["shapes"][0]["y0"] == threshold
    assert figure["layout"]["shapes"][1]["x0"] == pytest.approx(section.OPENING)


def test_a_model_without_a_checkpoint_gets_one_sentence():
    card, chart = section.show(50, "reference", STRICTNESS)
    assert section.OTHER_MODEL in card and chart is None
