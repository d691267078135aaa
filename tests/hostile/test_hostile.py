"""Every reader meets malformed files of its kind: one sentence or a right result, and nothing is left.

A part of the corpus, spread over all kinds; `python -m tests.hostile` feeds all of it.
"""

import sys

import pytest

from tests.hostile.report import MEGABYTES, run

EACH = 3  # every third file
SUFFIXES = {".jpg", ".png", ".zip", ".tar", ".gz", ".npz", ".npy", ".safetensors", ".rec", ".bin", ".parquet",
    ".json", ".toml", ".txt", ".csv"}  # fmt: skip
ALWAYS = ("good", "bomb", "pickle", "call", "link", "encrypted", "many", "name 17", "name 20", "loop", "deep")


@pytest.fixture(scope="module")
def report(corpus, tmp_path_factory):
    chosen = [
        (group, path)
        for i, (group, path) in enumerate(corpus)
        if i % EACH == 0 or any(word in path.name for word in ALWAYS)
    ]
    return run(chosen, tmp_path_factory.mktemp("fed") / "process")


def test_the_corpus_is_large_and_of_every_kind(corpus):
    assert len(corpus) >= 500
    assert {path.suffix for _, path in corpus} >= SUFFIXES


def test_each_file_is_read_or_refused_in_one_sentence(report):
    assert report.wrong() == []
    for reader in {row["reader"] for row in report.rows}:
        kinds = {row["kind"] for row in report.rows if row["reader"] == reader}
        assert "refused" in kinds, reader


def test_what_is_good_is_accepted(report):
    for reader in ("photo", "archive", "enrolled", "data_set", "vectors", "gallery", "weights"):
        rows = [row for row in report.rows if row["reader"] == reader]
        good = [row for row in rows if row["kind"] == "accepted"]
        assert good, f"{reader} refuses everything"


def test_nothing_is_left_and_nothing_pickled_has_run(report):
    assert report.left == []


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory needs Linux's /proc")
def test_memory_per_file_is_bounded_and_comes_back(report):
    assert report.greedy() == [], f"more than {MEGABYTES:.0f} MB"
    assert report.after < 1.05 * report.idle, report.table()
