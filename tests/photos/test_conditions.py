"""Conditions under which rates do not hold: each is measured, said once, and carried by every answer."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facelab.photos.conditions import Conditions, measure, warnings_of
from facelab.recognition.verify import compare, detect, warn

GOOD = Conditions(width=0.9, sharpness=10.0, brightness=120.0, size=90.0, confidence=1.0, tilt=2.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("width", 1.21, "stretched sideways"),
        ("width", 0.59, "narrow"),
        ("sharpness", 2.4, "blurred"),
        ("brightness", 49.0, "dark"),
        ("size", 39.0, "only 39 pixels"),
        ("confidence", 0.98, "not sure"),
        ("tilt", 26.0, "tilted by about 26 degrees"),
    ],
)
def test_each_condition_has_its_sentence(name, value, words):
    (sentence,) = warnings_of(replace(GOOD, **{name: value}))
    assert words in sentence and sentence.endswith(".")


def test_a_good_photo_and_one_at_the_limits_have_none():
    assert warnings_of(GOOD) == []
    assert warnings_of(Conditions(1.2, 2.5, 50.0, 40.0, 0.99, 25.0)) == []


def test_what_is_done_to_a_photo_is_measured(clearest):
    def conditions(pixels):
        seen = detect(pixels, "x")
        return measure(seen.faces[seen.main], seen.photo)

    image = Image.fromarray(clearest)
    plain = conditions(clearest)
    assert conditions(np.asarray(image.resize((384, 256)))).width > 1.15 * plain.width
    assert conditions(np.asarray(image.filter(ImageFilter.GaussianBlur(4)))).sharpness < 0.6 * plain.sharpness
    assert conditions((clearest * 0.5).astype(np.uint8)).brightness < 0.6 * plain.brightness
    assert plain.tilt < 10 < 25 < conditions(np.asarray(image.rotate(35, fillcolor="gray"))).tilt
    assert conditions(np.rot90(clearest)).tilt < 15, "a photo that lies on its side is turned by itself"
    assert conditions(np.asarray(image.resize((512, 512)))).size > 1.7 * plain.size


def test_answers_carry_the_warnings(portraits, clearest, tiny_checkpoint):
    dark = (clearest * 0.3).astype(np.uint8)
    result = compare(clearest, dark, str(tiny_checkpoint), 0.01)
    a, b = detect(clearest, "A"), detect(dark, "B")
    assert result["warnings"] == warn(a, b, a.main, b.main)
    assert any(sentence.startswith("Photo B: The face is dark") for sentence in result["warnings"])
