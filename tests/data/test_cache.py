"""What is kept between runs: bounded, oldest first, shown and deleted on request, and never in the way."""

import os
import stat
import time

import numpy as np
import pytest

from facelab import settings
from facelab.cli import evaluate as cli_evaluate
from facelab.cli import terminal
from facelab.cli.main import main
from facelab.data import cache
from facelab.data.cropfile import CropFile
from facelab.data.folders import load_crops
from tests.conftest import refused

pytestmark = pytest.mark.usefixtures("own_cache_and_models")


@pytest.fixture
def full(tmp_path):
    """A cache of three entries of 1,000 bytes, used 3, 2 and 1 days ago, and a file that is not ours."""
    folder = tmp_path / "cache"
    (folder / "sklearn" / "lfw_home").mkdir(parents=True)
    files = {"faces-a.jsonl": 3, "sklearn/lfw_home/x.jpg": 2, "crops-b.json": 1, "crops-b.npy": 1}
    for name, days in files.items():
        (folder / name).write_bytes(b"x" * (500 if "crops" in name else 1000))
        os.utime(folder / name, (time.time() - 86_400 * days,) * 2)
    (folder / "notes.txt").write_text("mine")
    return folder


def test_entries_are_whole_and_the_longest_unused_comes_first(full):
    found = cache.entries(full)
    assert [(entry.kind, entry.size, len(entry.paths)) for entry in found] == [
        ("faces", 1000, 1), ("sklearn", 1000, 1), ("crops", 1000, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "left"), [(3000, 3), (2999, 2), (2000, 2), (1999, 1), (1000, 1), (999, 0), (0, 0)]
)
def test_what_is_longest_unused_goes_until_the_rest_fits(most, left, full):
    everything = cache.entries(full)
    assert cache.trim(full, most) == everything[: 3 - left]
    assert cache.entries(full) == everything[3 - left :]
    assert (full / "notes.txt").read_text() == "mine"


def test_what_is_in_use_stays(full):
    cache.touch(full / "faces-a.jsonl")
    gone = cache.trim(full, 0, time.time() - 60)
    assert [entry.kind for entry in gone] == ["sklearn", "crops"]
    assert [entry.kind for entry in cache.entries(full)] == ["faces"]


def test_the_command_shows_and_empties_it(full, capsys, monkeypatch):
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["faces found", "downloads", "decoded crops"]
    assert lines[3] == f"0.00 GB of 20 GB in {full}"
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.endswith(f"0.00 GB deleted from {full}\n")
    assert cache.entries(full) == [] and (full / "notes.txt").exists()


def test_a_command_trims_what_others_left(full, capsys, monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE_GB", "0.000002")  # 2,000 bytes
    assert main(["cache"]) == 0
    assert [entry.kind for entry in cache.entries(full)] == ["sklearn", "crops"]
    capsys.readouterr()
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("FACELAB_CACHE_GB", wrong)
        assert "must be a number of gigabytes" in refused(capsys, "cache")


def test_a_command_keeps_what_it_has_used_itself(full, capsys, monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE_GB", "0")
    os.utime(full / "faces-a.jsonl")
    assert main(["cache"]) == 0
    assert [entry.kind for entry in cache.entries(full)] == ["faces"]


def test_reading_counts_as_use(crop_folder, tmp_path):
    load_crops([crop_folder], tmp_path / "cache")
    (entry,) = cache.entries(tmp_path / "cache")
    for path in entry.paths:
        os.utime(path, (1e9, 1e9))
    load_crops([crop_folder], tmp_path / "cache")
    assert cache.entries(tmp_path / "cache")[0].used > 1.5e9


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="an open file cannot be removed here")
def test_crops_that_are_removed_meanwhile_can_still_be_read(crop_folder, tmp_path):
    data = load_crops([crop_folder], tmp_path / "cache")
    assert isinstance(data.crops, CropFile)
    before = data.crops[:]
    cache.clear(tmp_path / "cache")
    assert np.array_equal(data.crops[:], before)


def test_the_folder_is_the_users_alone(tmp_path):
    assert cache.unusable(tmp_path / "new" / "cache") is None
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "new" / "cache").stat().st_mode) & 0o077 == 0


def test_where_nothing_can_be_written_nothing_is_kept_and_that_is_said_once(crop_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    folder = tmp_path / "file" / "cache"  # below a file nobody can write, not even root
    for _ in range(2):
        assert terminal.usable(folder) is None
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "cannot be written" in err and "FACELAB_CACHE names another folder" in err
    assert isinstance(load_crops([crop_folder], terminal.usable(folder)).crops, np.ndarray)


def test_a_command_works_without_a_home(crop_folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(cli_evaluate, "CACHE", tmp_path / "file" / "other")
    argv = ["evaluate", "tiny", "--images", str(crop_folder), "--aligned", "--all-pairs", "--jobs", "1"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert "EER" in out and "nothing is kept between runs" in first and second.startswith("device: cpu (")


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path))
    assert settings.cache() == tmp_path
    monkeypatch.delenv("FACELAB_CACHE")
    monkeypatch.setenv("HOME", "/home/ann")
    assert str(settings.cache()) == "/home/ann/.cache/facelab"
    assert cache.unusable(cache.Path("~/.cache/facelab")) == "there is no home folder"
