"""Datasets: a folder and a zip are one thing, a hostile archive is refused, a cache is whole or unused."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facelab.data import folders
from facelab.data.cropfile import CropFile
from facelab.data.folders import CropSet, ImageFolder, load_crops
from facelab.training.splits import split_identities
from tests.conftest import CROP, as_zip, encoded, zipped


def values(data: CropSet) -> list[int]:
    """The gray value of each crop, which says which file it was."""
    return data.crops[:][:, 50, 50, 0].tolist()


# Folders and zips


def test_a_folder_and_its_zip_hold_the_same(crop_folder, tmp_path):
    archive = as_zip(crop_folder, tmp_path / "crops.zip")
    folder, zipped_folder = ImageFolder(crop_folder), ImageFolder(archive)
    assert folder.names == zipped_folder.names == sorted(f"id{i}/{j}.png" for i in range(3) for j in range(3))
    assert all(folder.read(name) == zipped_folder.read(name) for name in folder.names)
    a, b = load_crops([crop_folder]), load_crops([archive])
    assert np.array_equal(a.crops, b.crops) and np.array_equal(a.labels, b.labels)
    assert a.identities == b.identities == ("crops/id0", "crops/id1", "crops/id2")
    assert values(a) == [40 * i + j for i in range(3) for j in range(3)]
    assert a.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_unicode_names_suffixes_and_hidden_files(tmp_path):
    good = {"Zoë Ünal/é 1.JPG", "李雷/照片.png", "./a/b.png"}
    other = {"a/._b.png", "__MACOSX/a/b.png", "a/.hidden.png", ".cache/a.png", "a/notes.txt"}
    folder = ImageFolder(zipped(tmp_path / "a.zip", dict.fromkeys(good | other, CROP)))
    assert set(folder.names) == good
    data = load_crops([tmp_path / "a.zip"], tmp_path / "cache")
    assert data.identities == ("a/Zoë Ünal", "a/a", "a/李雷")
    assert load_crops([tmp_path / "a.zip"], tmp_path / "cache").identities == data.identities


def test_the_fingerprint_changes_with_the_content(crop_folder):
    before = ImageFolder(crop_folder).fingerprint()
    assert ImageFolder(crop_folder).fingerprint() == before
    (crop_folder / "id0" / "9.png").write_bytes(CROP)
    after = ImageFolder(crop_folder).fingerprint()
    assert after != before
    os.utime(crop_folder / "id0" / "9.png", (1, 1))
    assert ImageFolder(crop_folder).fingerprint() != after


def test_the_fingerprint_of_a_zip_changes_when_it_is_replaced(tmp_path):
    path, found = zipped(tmp_path / "a.zip", {"id0/1.png": CROP}), set()
    for moment in (1, 2):
        os.utime(path, (moment, moment))
        found.add(ImageFolder(path).fingerprint())
    assert len(found) == 2


# Crop sets and their cache


def test_the_second_start_decodes_nothing(crop_folder, tmp_path, monkeypatch):
    first = load_crops([crop_folder], tmp_path / "cache")
    monkeypatch.setattr(folders, "read_photo", lambda source: pytest.fail("decoded again"))
    second = load_crops([crop_folder], tmp_path / "cache")
    assert np.array_equal(first.crops[:], second.crops[:]) and np.array_equal(first.labels, second.labels)
    assert (first.identities, first.names, first.skipped) == (second.identities, second.names, second.skipped)
    assert isinstance(second.crops, CropFile)


def test_a_changed_file_or_a_lost_array_is_decoded_again(crop_folder, tmp_path):
    load_crops([crop_folder], tmp_path / "cache")
    (crop_folder / "id0" / "0.png").write_bytes(encoded(Image.new("RGB", (112, 112), (9, 9, 9)), "PNG"))
    assert values(load_crops([crop_folder], tmp_path / "cache"))[0] == 9
    for array in (tmp_path / "cache").glob("*.npy"):
        array.unlink()
    assert values(load_crops([crop_folder], tmp_path / "cache"))[:2] == [9, 1]


def test_without_a_cache_nothing_is_written(crop_folder, tmp_path):
    load_crops([crop_folder])
    assert {p.name for p in tmp_path.iterdir()} == {"crops"}


def test_a_stopped_decode_leaves_nothing_usable_and_does_not_wait_for_the_rest(
    crop_folder, tmp_path, monkeypatch
):
    for i in range(300):
        (crop_folder / "id0" / f"more{i}.png").write_bytes(CROP)
    decoded = []
    monkeypatch.setattr(
        folders, "_read_crop", lambda entry: decoded.append(entry) or time.sleep(0.05) or "slow"
    )

    def stop(items, total, label):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_crops([crop_folder], tmp_path / "cache", stop)
    assert 0 < len(decoded) <= folders.AHEAD + 1  # of 309
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    assert len(load_crops([crop_folder], tmp_path / "cache")) == 309


KILLED = """
import os, signal, sys
from facelab.data.folders import load_crops
def kill(items, total, label):
    for i, item in enumerate(items):
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item
load_crops([sys.argv[1]], __import__("pathlib").Path(sys.argv[2]), kill)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_decode_leaves_no_usable_cache(crop_folder, tmp_path):
    args = [sys.executable, "-c", KILLED, str(crop_folder), str(tmp_path / "cache")]
    run = subprocess.run(args, cwd=Path(__file__).parents[2], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not list((tmp_path / "cache").glob("*.json"))
    assert values(load_crops([crop_folder], tmp_path / "cache")) == [0, 1, 2, 40, 41, 42, 80, 81, 82]


def test_a_full_disk_is_an_error_and_leaves_no_cache(crop_folder, tmp_path, monkeypatch):
    def full(fd, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        load_crops([crop_folder], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_unreadable_and_misshapen_images_are_reported_and_the_good_ones_kept(crop_folder, tmp_path):
    (crop_folder / "id1" / "broken.jpg").write_bytes(b"no picture")
    (crop_folder / "id1" / "wide.png").write_bytes(encoded(Image.new("RGB", (200, 112)), "PNG"))
    (crop_folder / "id2" / "empty.png").write_bytes(b"")
    for data in (
        load_crops([crop_folder]),
        *[load_crops([crop_folder], tmp_path / "cache") for _ in range(2)],
    ):
        assert values(data) == [0, 1, 2, 40, 41, 42, 80, 81, 82]
        assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        reasons = dict(data.skipped)
        assert set(reasons) == {"id1/broken.jpg", "id1/wide.png", "id2/empty.png"}
        assert (
            "200x112 is not an aligned 112x112 crop; run `python -m facelab data prepare`"
            in reasons["id1/wide.png"]
        )


def test_a_damaged_entry_of_a_zip_is_reported_and_the_others_kept(crop_folder, tmp_path):
    archive = as_zip(crop_folder, tmp_path / "crops.zip")
    with zipfile.ZipFile(archive) as opened:
        at = opened.getinfo("id1/1.png").header_offset
    data = bytearray(archive.read_bytes())
    data[at + 60] ^= 255
    archive.write_bytes(data)
    crops = load_crops([archive])
    assert values(crops) == [0, 1, 2, 40, 42, 80, 81, 82]
    assert crops.skipped == (("id1/1.png", "id1/1.png cannot be read from crops.zip; copy it again"),)


def test_nothing_readable_is_an_error_that_names_a_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"no readable crop: a/x.png"):
        load_crops([tmp_path])
    with pytest.raises(ValueError, match="no data was given"):
        load_crops([])


def test_equal_folder_names_of_two_sources_stay_two_people(crop_folder, tmp_path):
    other = as_zip(crop_folder, tmp_path / "other.zip")
    (tmp_path / "deep").mkdir()
    twin = as_zip(crop_folder, tmp_path / "deep" / "other.zip")
    data = load_crops([crop_folder, other, twin], tmp_path / "cache")
    assert len(data.identities) == 9 and len(set(data.identities)) == 9
    assert {"crops/id0", "other/id0", "other (2)/id0"} <= set(data.identities)
    assert np.bincount(data.labels).tolist() == [3] * 9
    with pytest.raises(ValueError, match="named twice"):
        load_crops([crop_folder, other, crop_folder])


# Splits


def labeled(sizes: list[int]) -> CropSet:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    crops = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    return CropSet(crops, labels, tuple(f"p{i}" for i in range(len(sizes))), tuple(map(str, labels)))


@given(st.lists(st.integers(1, 5), min_size=4, max_size=30), st.floats(0, 0.9), st.integers(0, 999))
def test_a_split_is_disjoint_whole_and_of_the_asked_size(sizes, held_out, seed):
    data, count = labeled(sizes), len(sizes)
    held = max(2, round(held_out * count)) if held_out else 0
    if count - held < 2:
        with pytest.raises(ValueError, match="too few to hold out"):
            split_identities(data, held_out, seed)
        return
    training, test = split_identities(data, held_out, seed)
    assert len(test.identities) == held
    assert set(training.identities) | set(test.identities) == set(data.identities)
    assert not set(training.identities) & set(test.identities)
    assert sorted([*training.rows, *test.rows]) == list(range(len(data)))
    for part in (training, test):
        assert [part.identities[k] for k in part.labels] == [
            data.identities[k] for k in data.labels[part.rows]
        ]
        assert set(part.labels.tolist()) == set(range(len(part.identities)))


def test_a_split_follows_the_seed():
    data = labeled([2] * 40)
    first = split_identities(data, 0.25, 5)
    again, other = split_identities(data, 0.25, 5), split_identities(data, 0.25, 6)
    assert first[1].identities == again[1].identities and np.array_equal(first[0].rows, again[0].rows)
    assert first[1].identities != other[1].identities


@given(st.data())
def test_a_batch_has_the_right_rows_in_the_right_order(data):
    crops = labeled([3, 1, 4, 2, 5])
    people = data.draw(st.permutations(range(5)))[: data.draw(st.integers(1, 5))]
    part = crops.select(people)
    index = np.array(data.draw(st.lists(st.integers(0, len(part) - 1), max_size=9)), int)
    batch = part.batch(index)
    assert batch.shape == (len(index), 2, 2, 3) and batch.dtype == np.uint8
    assert batch[:, 0, 0, 0].tolist() == part.rows[index].tolist()
    assert part.identities == tuple(crops.identities[i] for i in people)


def test_real_crops_match_their_description(shared):
    folder = ImageFolder(shared / "celeba112.zip")
    people = {name.split("/")[-2] for name in folder.names}
    assert (len(folder.names), len(people)) == (11_730, 444)
    with Image.open(io.BytesIO(folder.read(folder.names[77]))) as image:
        assert image.size == (112, 112)


def test_the_index_is_json_and_holds_no_pickle(crop_folder, tmp_path):
    load_crops([crop_folder], tmp_path / "cache")
    (index,) = (tmp_path / "cache").glob("*.json")
    assert json.loads(index.read_text())["identities"] == ["crops/id0", "crops/id1", "crops/id2"]
    (array,) = (tmp_path / "cache").glob("*.npy")
    assert np.load(array, allow_pickle=False).dtype == np.uint8
