"""Galleries in a folder: the answers of a full scan, changes by identity, and what a crash leaves."""

import json
import os

import numpy as np
import pytest

from facelab.metrics.similarity import cosine_matrix
from facelab.recognition import flat_search
from facelab.recognition.flat_search import Scan, bounds, calibrate, encode, search
from facelab.recognition.stored_gallery import StoredGallery


def units(count, dim=32, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


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
    vectors = units(2000) * np.geomspace(1, 1e-4, 32, dtype=np.float32)
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


@pytest.fixture
def gallery(tmp_path):
    made = StoredGallery.create(tmp_path / "g", "strong")
    made.add([f"p{i % 5}" for i in range(20)], [f"{i}.jpg" for i in range(20)], units(20))
    return made


def found(gallery, probe):
    return gallery.search(probe[None], 1)[0][0]


def test_people_are_added_removed_and_updated(gallery):
    vectors = units(20)
    assert gallery.counts() == {f"p{i}": 4 for i in range(5)} and len(gallery) == 20
    assert found(gallery, vectors[7])[:2] == ("p2", "7.jpg")
    assert gallery.add(["p0", "new"], ["0.jpg", "a.jpg"], units(2, seed=3)) == 1  # the first is there
    assert gallery.remove("p2") == 4 and gallery.remove("p2") == 0
    assert found(gallery, vectors[7]).person != "p2"
    gallery.update("p0", ["only.jpg"], vectors[7:8])
    assert found(gallery, vectors[7])[:2] == ("p0", "only.jpg") and gallery.counts()["p0"] == 1
    again = StoredGallery(gallery.path)
    probes = units(3, seed=9)
    assert again.counts() == gallery.counts() and again.search(probes, 6) == gallery.search(probes, 6)


def test_compacting_changes_the_files_and_no_answer(gallery):
    gallery.remove("p1")
    probes = units(3, seed=9)
    before, size = gallery.search(probes, 6), sum(f.stat().st_size for f in gallery.path.glob("rows-*"))
    gallery.compact()
    assert gallery.search(probes, 6) == before == StoredGallery(gallery.path).search(probes, 6)
    assert sum(f.stat().st_size for f in gallery.path.glob("rows-*")) == size * 16 // 20
    gallery.add(["late"], ["l.jpg"], probes[:1])
    assert found(StoredGallery(gallery.path), probes[0]).person == "late"
    for person in [*gallery.counts()]:
        gallery.remove(person)
    gallery.compact()
    assert len(StoredGallery(gallery.path)) == 0
    with pytest.raises(ValueError, match="has no one in it"):
        gallery.search(probes)


@pytest.mark.parametrize("cut", [1, 9, 10, 40])
def test_a_change_that_a_crash_cut_short_never_happened(gallery, cut):
    before = gallery.search(units(3, seed=9), 5)
    journal = gallery._file("journal")
    whole = journal.read_bytes()
    gallery.add(["x", "x"], ["1", "2"], units(2, seed=7))
    line = journal.read_bytes()[len(whole) :]
    journal.write_bytes(whole + line[: len(line) - cut])
    again = StoredGallery(gallery.path)
    assert "x" not in again.counts() and again.search(units(3, seed=9), 5) == before
    again.add(["y"], ["3"], units(1, seed=8))  # over what was left
    once_more = StoredGallery(gallery.path)
    assert found(once_more, units(1, seed=8)[0]).person == "y" and len(once_more) == 21


def test_a_crash_at_any_write_leaves_the_state_before_or_after(gallery, monkeypatch):
    probes, after = units(3, seed=9), StoredGallery(gallery.path)
    before = gallery.search(probes, 5)

    class CrashError(Exception):
        pass

    for point in range(1, 40):
        left, real = [point], os.fsync

        def crashing(file, left=left, real=real):
            left[0] -= 1
            if not left[0]:
                raise CrashError
            return real(file)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", crashing)
            try:
                StoredGallery(gallery.path).compact()
                break
            except CrashError:
                pass
        assert StoredGallery(gallery.path).search(probes, 5) == before
    else:
        raise AssertionError("it never ran through")
    assert point > 2 and StoredGallery(gallery.path).counts() == after.counts()


def test_a_second_writer_builds_on_the_first(gallery):
    other = StoredGallery(gallery.path)
    gallery.add(["a"], ["a"], units(1, seed=5))
    other.add(["b"], ["b"], units(1, seed=6))
    assert {"a", "b"} <= StoredGallery(gallery.path).counts().keys()
    gallery.compact()
    with pytest.raises(ValueError, match="compacted by another process; open it again"):
        other.remove("a")


def test_one_byte_a_dimension_ranks_by_the_stored_bytes(tmp_path):
    small = StoredGallery.create(tmp_path / "s", "strong", "int8")
    vectors, probes = units(500), units(4, seed=2)
    small.add([str(i) for i in range(500)], ["x"] * 500, vectors)
    assert not list(small.path.glob("rows-*"))
    stored = encode(vectors, small.steps) * small.steps
    wanted = full_scan(stored, probes, 8)
    assert [[int(m.person) for m in row] for row in small.search(probes, 8)] == wanted.tolist()
    scores = np.array([[m.score for m in row] for row in small.search(probes, 500)])
    true = np.sort(cosine_matrix(vectors, probes).T, 1)[:, ::-1]
    assert np.abs(scores - true).max() < 0.02


def test_wrong_input_is_refused_in_words(gallery, tmp_path):
    for people, vectors, words in (
        (["a"], units(1, 8), r"shape \(1, 8\); give \(N, 32\)"),
        (["a", "b"], units(1), "2 people, 2 photos and 1 embeddings"),
        ([""], units(1), "a person has no name"),
        (["a"], units(1) * np.nan, "NaN"),
        (["a"], units(1) * 0, "no direction"),
    ):
        with pytest.raises(ValueError, match=words):
            gallery.add(people, ["x"] * len(people), vectors)
    with pytest.raises(ValueError, match="not a gallery; `python -m facelab gallery build`"):
        StoredGallery(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="exists; name a new folder"):
        StoredGallery.create(gallery.path, "strong")
    header = json.loads((gallery.path / "gallery.json").read_text())
    for wrong in (
        {"dim": 33},
        {"kind": "pickle"},
        {"steps": [0.0] * 32},
        {"format": "x"},
        {"generation": -1},
    ):
        (gallery.path / "gallery.json").write_text(json.dumps(header | wrong))
        with pytest.raises(ValueError, match="damaged"):
            StoredGallery(gallery.path)
    (gallery.path / "gallery.json").write_text(json.dumps(header))
    (gallery.path / "rows-0").write_bytes(b"")
    with pytest.raises(ValueError, match="has lost embeddings"):
        StoredGallery(gallery.path)
