"""Exact search: the answers of a full scan, for ties, for scales that bytes hold badly, for many probes."""

import numpy as np
import pytest

from facelab.recognition import flat_search
from facelab.recognition.flat_search import Scan, bounds, calibrate, encode, search


def units(count, dim=64, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return normal(x)


def normal(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def scan_of(vectors, gone=None):
    steps = calibrate(vectors)
    codes = encode(vectors, steps)
    return Scan(codes, steps, *bounds(vectors, codes, steps), lambda rows: vectors[rows], gone)


def full_scan(vectors, probes, count):
    order = np.argsort(-(probes @ vectors.T), axis=1, kind="stable")
    return order[:, :count]


@pytest.mark.parametrize("probes", [1, 7])
@pytest.mark.parametrize("count", [1, 10, 5000])
def test_the_scan_of_bytes_finds_what_a_full_scan_finds(monkeypatch, probes, count):
    monkeypatch.setattr(flat_search, "LEAST_ROWS", 700)
    monkeypatch.setattr(flat_search, "SCORES", 700 * probes)
    vectors = units(3000)
    vectors[1500:] = vectors[:1500] + units(1500, seed=2) * 1e-3  # neighbors nearer than a byte can tell
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = units(probes, seed=1)
    rows, scores = search(scan_of(vectors), asked, count)
    wanted = full_scan(vectors, asked, count)
    assert rows.shape == (probes, min(count, 3000))
    exact = np.take_along_axis(asked @ vectors.T, rows, 1)
    assert np.allclose(scores, exact, atol=1e-6) and (np.diff(scores, axis=1) <= 0).all()
    assert np.allclose(exact, np.take_along_axis(asked @ vectors.T, wanted, 1), atol=1e-6)


def test_dimensions_of_very_different_spread_and_values_beyond_the_scale_stay_exact():
    vectors = units(2000) * np.geomspace(1, 1e-4, 64, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    steps = calibrate(
        vectors[:50] * 0.3
    )  # a scale that is far too small, as after a first batch unlike the rest
    codes = encode(vectors, steps)
    scan = Scan(codes, steps, *bounds(vectors, codes, steps), lambda rows: vectors[rows])
    asked = vectors[[3, 500]]
    rows, _ = search(scan, asked, 5)
    assert rows.tolist() == full_scan(vectors, asked, 5).tolist()


def test_removed_rows_are_not_found_even_where_every_cosine_is_negative():
    probe = units(1)[0]
    vectors = -probe + 0.1 * units(50, seed=4)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    gone = np.arange(50) % 2 == 0
    rows, scores = search(scan_of(vectors, gone), probe[None], 50)
    assert sorted(rows[0].tolist()) == list(range(1, 50, 2)) and (scores < 0).all()


def adversarial(kind, rng, dim=64):
    """Return (1500, dim) unit vectors that are hard to tell apart or to quantize."""
    x = rng.normal(size=(1500, dim)).astype(np.float32)
    if kind == "ties":  # a hundred different ones, fifteen times each
        x = rng.permutation(np.repeat(x[:100], 15, axis=0))
    elif kind == "all equal":
        x[:] = x[0]
    elif kind == "scales":
        x *= np.geomspace(1, 1e-5, dim, dtype=np.float32)
    elif kind == "one dimension":
        x[:, 0] += 50
    elif kind == "late rows off the scale":
        x[700:, 3] *= 40
    elif kind == "rising":  # each nearer to the first probe than those before
        x = np.linspace(-1, 1, 1500, dtype=np.float32)[:, None] + 0.05 * x
    return normal(x)


@pytest.mark.parametrize(
    "kind", ["plain", "ties", "all equal", "scales", "one dimension", "late rows off the scale", "rising"]
)
@pytest.mark.parametrize("probes", [1, flat_search.FEW, flat_search.FEW + 1])
def test_answers_are_those_of_brute_force(monkeypatch, kind, probes):
    monkeypatch.setattr(flat_search, "LEAST_ROWS", 256)
    monkeypatch.setattr(flat_search, "SCORES", 1)
    for seed, shortlist in ((0, 40), (1, 200)):
        monkeypatch.setattr(flat_search, "SHORTLIST", shortlist)
        rng = np.random.default_rng(seed)
        vectors = adversarial(kind, rng)
        steps = calibrate(vectors[:500])  # of a first batch, unlike the rest
        codes = encode(vectors, steps)
        gone = rng.random(1500) < 0.2
        scan = Scan(codes, steps, *bounds(vectors, codes, steps), lambda i, v=vectors: v[i], gone)
        asked = normal(vectors[rng.integers(0, 1500, probes)] + 0.1 * units(probes, vectors.shape[1], seed))
        rows, scores = search(scan, asked, 10)
        exact = asked.astype(np.float64) @ vectors.T.astype(np.float64)
        exact[:, gone] = -2
        assert np.allclose(scores, -np.sort(-exact, axis=1)[:, :10], atol=3e-7)
        assert np.allclose(scores, np.take_along_axis(exact, rows, 1), atol=3e-7) and not gone[rows].any()
        for row, score in zip(rows, scores):
            assert len(set(row)) == 10
            assert all(a < b for a, b, s, t in zip(row, row[1:], score, score[1:]) if s == t)


def test_a_shortlist_that_bytes_cannot_prove_is_not_believed(monkeypatch):
    monkeypatch.setattr(flat_search, "SHORTLIST", 5)
    asked, rng = units(1)[0], np.random.default_rng(0)
    vectors = normal(asked + 1e-3 * rng.normal(size=(400, 64)))  # all within one code's unit
    steps = np.full(64, 0.05, np.float32)
    codes = encode(vectors, steps)
    scan = Scan(codes, steps, *bounds(vectors, codes, steps), lambda i: vectors[i])
    by_bytes = np.argsort(-(codes * steps) @ asked, kind="stable")[:5]
    best = int(np.argmax(vectors.astype(np.float64) @ asked))
    assert best not in by_bytes  # the bytes mislead
    assert search(scan, asked[None], 1)[0].tolist() == [[best]]


@pytest.mark.parametrize("dim", [1, 7, 96, 130])
def test_any_dimension_is_searched(dim):
    vectors, asked = units(300, dim), units(3, dim, seed=1)
    _, scores = search(scan_of(vectors), asked, 300)
    _, best = search(scan_of(vectors), asked, 4)
    exact = -np.sort(-(asked.astype(np.float64) @ vectors.T), axis=1)
    assert np.allclose(scores, exact, atol=3e-7) and np.allclose(best, exact[:, :4], atol=3e-7)


def test_few_probes_read_the_bytes_and_a_shortlist_only():
    vectors, read = units(20_000), []
    steps = calibrate(vectors)
    codes = encode(vectors, steps)

    def rows(chosen):
        read.append(len(vectors[chosen]))
        return vectors[chosen]

    scan = Scan(codes, steps, *bounds(vectors, codes, steps), rows)
    search(scan, units(2, seed=1), 10)
    assert sum(read) == 2 * flat_search.SHORTLIST
