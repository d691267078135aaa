"""Identification against loops over every probe, with ties, unknown probes and chunks."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from facelab.metrics import identification
from facelab.metrics.identification import cmc, dir_at_far, dir_curve, search, templates
from facelab.metrics.similarity import cosine_matrix


@st.composite
def cases(draw):
    """(gallery, its people, probes, their people) in 2-D at multiples of 30 degrees: ties everywhere."""
    g, p, seed = draw(st.integers(1, 8)), draw(st.integers(1, 14)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    people = rng.permutation(12)[:g]
    return at(30 * rng.integers(0, 12, g)), people, at(30 * rng.integers(0, 12, p)), rng.integers(0, 12, p)


def at(degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], -1)


def rounded(gallery, probes):
    return np.round(cosine_matrix(gallery, probes).astype(np.float64), 4)


@given(cases(), st.sampled_from([1, 3, 512]))
def test_search_ranks_as_a_loop_does_and_ties_stand_before_the_mate(case, chunk):
    gallery, people, probes, who = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identification, "CHUNK", chunk)
        found = search(gallery, people, probes, who, rounded)
    for i, (probe, person) in enumerate(zip(probes, who)):
        scores = {p: rounded(probe[None], t[None])[0, 0] for p, t in zip(people, gallery)}
        assert found.top[i] == max(scores.values())
        assert found.mated[i] == (person in scores)
        if person in scores:
            assert found.mate[i] == scores[person]
            others = sum(s >= scores[person] for p, s in scores.items() if p != person)
            assert found.rank[i] == 1 + others
        else:
            assert np.isnan(found.mate[i]) and found.rank[i] == 0


def dir_by_loop(found, threshold):
    """(DIR, FAR) of Phillips, Grother and Micheals at one threshold."""
    hits = [m >= threshold and r == 1 for m, r in zip(found.mate, found.rank) if r]
    alarms = [t >= threshold for t, r in zip(found.top, found.rank) if not r]
    return np.mean(hits), np.mean(alarms)


@given(cases())
def test_curves_count_what_a_loop_counts(case):
    found = search(*case, rounded)
    assume(found.mated.any())
    ranks = found.rank[found.mated]
    assert cmc(found, 9).tolist() == pytest.approx([np.mean([r <= k for r in ranks]) for k in range(1, 10)])
    assert cmc(found, len(case[0]))[-1] == 1
    assume(not found.mated.all())
    curve = dir_curve(found)
    assert curve.thresholds[0] == np.inf and (np.diff(curve.thresholds) < 0).all()
    for t, far, rate in zip(curve.thresholds, curve.far, curve.dir):
        assert (rate, far) == pytest.approx(dir_by_loop(found, t))
    assert curve.far[-1] == 1 and curve.dir[-1] == pytest.approx(cmc(found, 1)[0])
    for far in (0.01, 0.1, 0.3, 0.5, 0.9):
        legal = [rate for share, rate in zip(curve.far, curve.dir) if share <= far + 1e-12]
        assert dir_at_far(found, far) == pytest.approx(max(legal))


def test_a_case_worked_by_hand():
    """A gallery at 0, 90 and 180 degrees; of 0 two probes, the second nearer to 90, and a stranger at 120."""
    found = search(at([0, 90, 180]), np.array(["a", "b", "c"]), at([10, 50, 120]), np.array(["a", "a", "x"]))
    assert found.rank.tolist() == [1, 2, 0]
    assert found.top == pytest.approx(np.cos(np.radians([10, 40, 30])))
    assert cmc(found, 3).tolist() == [0.5, 1, 1]
    # The unknown probe scores cos 30° with b. cos 10° is above it, so half of the mated probes are found.
    assert dir_at_far(found, 0.5) == 0.5
    assert dir_at_far(search(at([0, 90]), np.array([0, 1]), at([20, 80, 95]), np.array([0, 1, 7])), 0.9) == 0


def test_a_mate_at_the_threshold_is_detected():
    # At a rate of 1 the threshold is the lowest best score of an unmated probe, here the mate's own.
    found = search(at([0, 90]), np.array([0, 1]), at([20, 20]), np.array([0, 7]))
    assert dir_at_far(found, 1.0) == 1


def test_a_model_that_gives_one_score_to_everybody_identifies_nobody():
    found = search(np.ones((5, 3)), np.arange(5), np.ones((5, 3)), np.arange(5))
    assert found.rank.tolist() == [5] * 5 and cmc(found, 5).tolist() == [0, 0, 0, 0, 1]


def test_templates_are_means_in_which_each_photo_weighs_the_same():
    embeddings = np.array([[3.0, 0.0], [0.0, 0.5], [0.0, -2.0], [0.0, 0.0]])
    vectors, people = templates(embeddings, np.array(["b", "b", "a", "c"]))
    assert people.tolist() == ["a", "b", "c"]
    assert vectors == pytest.approx(np.array([[0, -1], [0.5, 0.5], [0, 0]]))


def test_ten_thousand_against_ten_thousand_stays_within_memory():
    """Their 100 million scores would take 400 MB; a thousand probes stand for them all."""
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(10_000, 16)).astype(np.float32)
    tracemalloc.start()
    found = search(gallery, np.arange(10_000), gallery[:1000], np.arange(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.rank == 1).all() and peak < 45e6


def test_what_cannot_be_searched_is_refused():
    e, y = np.eye(3), np.arange(3)
    with pytest.raises(ValueError, match="two templates of 1; merge them with `templates`"):
        search(e, np.array([0, 1, 1]), e, y)
    with pytest.raises(ValueError, match=r"shape \(3, 3\) and labels \(2,\)"):
        search(e, y, e, y[:2])
    with pytest.raises(ValueError, match="embeddings hold NaN"):
        search(e * np.nan, y, e, y)
    strangers, friends = search(e, y, e, y + 9), search(e, y, e, y)
    for function in (lambda f: cmc(f, 5), lambda f: dir_at_far(f, 0.1), dir_curve):
        with pytest.raises(ValueError, match="no mated probe; give a second photo"):
            function(strangers)
    for function in (lambda f: dir_at_far(f, 0.1), dir_curve):
        with pytest.raises(ValueError, match="no unmated probe; give photos of people who are not"):
            function(friends)
    both = search(e, y, e, np.array([0, 1, 9]))
    with pytest.raises(ValueError, match=r"far is 0; it must lie in \(0, 1\]"):
        dir_at_far(both, 0)
