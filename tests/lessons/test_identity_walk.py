"""The walk between two identities: its ends are those people, and its scores are the model's."""

import numpy as np
import pytest

from facelab.data.parametric import NUISANCE, crops, relative, sample_identities, typical, with_values
from facelab.lessons.identity_walk import ALONG, OTHER, SEED, STEPS, faces, walk
from facelab.metrics.verification import cosine
from facelab.models import checkpoint
from facelab.models.model import embed


def test_the_way_leads_from_one_identity_to_the_other():
    ends, along = faces()
    assert ends.shape == (2, 112, 112, 3) and along.shape == (STEPS, 112, 112, 3)
    pose = with_values(typical(NUISANCE, 1), NUISANCE, ALONG)
    first = sample_identities(1, SEED)
    assert np.array_equal(along[0], crops(first, pose)[0]) and not np.array_equal(ends[0], along[0])
    assert np.array_equal(along[-1], crops(relative(first, 1.0, OTHER), pose)[0])


def test_scores_are_the_models_cosine_with_both_ends(tiny_checkpoint):
    way = walk(str(tiny_checkpoint))
    network = checkpoint.load(tiny_checkpoint)[0]
    ends, along = faces()
    middle = embed(network, along[10:11])
    for scores, end in ((way.a, ends[0]), (way.b, ends[1])):
        assert len(scores) == STEPS
        assert scores[10] == pytest.approx(cosine(middle, embed(network, end[None]))[0], abs=1e-5)
    assert way.share[0] == 0 and way.share[-1] == 1
