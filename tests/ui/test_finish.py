"""The finish of rendered people on the contact sheet: eyes, skin and hair change, the person does not."""

import numpy as np
import pytest
import torch

from facelab.data.parametric import (
    IDENTITY,
    render,
    sample_identities,
    sample_nuisances,
    with_values,
)
from facelab.ui.widgets.finish import BALD, SCLERA, finish, finished

SIZE = 128


@pytest.fixture(scope="module")
def people():
    """Two people, the second of them bald, and their conditions."""
    hairy = with_values(sample_identities(1, 2), IDENTITY, {"hair_length": 0.9})
    return torch.cat([hairy, with_values(hairy, IDENTITY, BALD)]), sample_nuisances(1, 3, 0.2).expand(2, -1)


def test_a_person_stays_the_same_and_gets_the_same_finish_again(people):
    once, again = finished(*people, SIZE), finished(*people, SIZE)
    for first, second, drawn in zip(once, again, render(*people, SIZE), strict=True):
        assert first.size == (SIZE, SIZE) and np.array_equal(first, second)
        change = np.abs(np.asarray(first) / 255 - drawn.permute(1, 2, 0).numpy())
        assert 0 < change.mean() < 0.03 and np.quantile(change, 0.99) < 0.2


def test_hair_gets_strands_where_hair_is(people):
    drawn = render(*people, SIZE).permute(0, 2, 3, 1).numpy()
    rough = [
        np.diff(np.asarray(picture) / 255 - face, axis=1)
        for picture, face in zip(finished(*people, SIZE), drawn)
    ]
    crown = (slice(SIZE // 8, SIZE // 4), slice(SIZE // 3, 2 * SIZE // 3))
    assert rough[0][crown].std() > rough[1][crown].std()


def test_the_white_of_an_eye_is_shaded_and_gray_elsewhere_is_not():
    pixels = np.full((SIZE, SIZE, 3), 0.95)
    points = np.array([[44.0, 60], [84, 60], [64, 80], [50, 95], [78, 95]])
    out = finish(pixels, np.zeros((SIZE, SIZE)), points)
    assert out[58:63, 42:47].mean((0, 1)) == pytest.approx(0.95 * SCLERA, abs=0.02)
    assert out[:20].mean() == pytest.approx(0.95, abs=0.005)
    assert (pixels == 0.95).all()  # of the renderer's picture
