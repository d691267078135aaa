"""Galleries in a folder: the answers of a full scan, changes by identity, and what a crash leaves."""

import json
import os

import numpy as np
import pytest

from facelab.metrics.similarity import cosine_matrix
from facelab.recognition.flat_search import calibrate, encode
from facelab.recognition.stored_gallery import StoredGallery


def units(count, dim=32, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def full_scan(vectors, probes, count):
    order = np.argsort(-(probes @ vectors.T), axis=1, kind="stable")
    return order[:, :count]


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


def test_compacting_measures_the_scale_of_those_who_remain(tmp_path):
    people, rest = StoredGallery.create(tmp_path / "g", "strong"), units(50)
    people.add(["wide"] * 32, [str(i) for i in range(32)], np.eye(32, dtype=np.float32))
    people.add(["rest"] * 50, [str(i) for i in range(50)], rest)
    people.remove("wide")
    people.compact()
    np.testing.assert_allclose(people.steps, calibrate(rest), rtol=1e-5)


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


def test_the_files_are_mapped_once_after_each_change(gallery):
    probe = units(1, seed=5)
    gallery.search(probe)
    scan = gallery._scan()
    gallery.search(probe)
    assert gallery._scan() is scan and isinstance(scan.rows(slice(2, 9)), np.memmap)  # a view, no copy
    gallery.add(["late"], ["l.jpg"], probe)
    assert found(gallery, probe[0]).person == "late"
    gallery.remove("late")
    assert found(gallery, probe[0]).person != "late"


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
