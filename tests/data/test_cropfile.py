"""Crops on disk: rows are those that were written, damage is noticed, memory does not grow with the file."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facelab.data import cropfile, folders
from facelab.data.cropfile import CROP_BYTES, CropFile, read_index, writing_crops
from facelab.data.folders import decoded, load_crops
from facelab.data.images import ImageFolder
from tests.conftest import encoded

ROOT = Path(__file__).parents[2]
CROPS = np.random.default_rng(0).integers(0, 256, (7, 112, 112, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "a.npy"
    with writing_crops(path, 9) as write:  # two of nine turn out to be unreadable
        for crop in CROPS:
            write(crop)
    return path


def test_numpy_reads_the_same_file(written):
    array = np.load(written, allow_pickle=False)
    assert array.shape == (9, 112, 112, 3) and np.array_equal(array[:7], CROPS)
    assert [p.name for p in written.parent.iterdir()] == ["a.npy"]


@given(st.data())
def test_rows_are_those_of_an_array(written, data):
    crops = CropFile(written, 7)
    assert len(crops) == 7 and crops.shape == CROPS.shape
    rows = np.array(data.draw(st.lists(st.integers(-7, 6), max_size=12)), int)
    assert np.array_equal(crops[rows], CROPS[rows])
    start, stop, step = (data.draw(st.none() | st.integers(-9, 9)) for _ in range(3))
    part = slice(start, stop, step or None)
    assert np.array_equal(crops[part], CROPS[part])


def test_a_row_beyond_the_last_is_no_crop(written):
    with pytest.raises(IndexError):
        CropFile(written, 7)[np.array([7])]  # there is room for it in the file


@pytest.mark.parametrize("lost", [1, CROP_BYTES, 9 * CROP_BYTES, 9 * CROP_BYTES + 60])
def test_a_cut_file_is_noticed(written, tmp_path, lost):
    content = written.read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[:-lost])
    with pytest.raises(ValueError):
        CropFile(tmp_path / "cut.npy", 9)


def test_a_file_that_shrinks_under_way_is_an_error_and_no_crash(written, tmp_path):
    (tmp_path / "a.npy").write_bytes(written.read_bytes())
    crops = CropFile(tmp_path / "a.npy", 9)
    os.truncate(tmp_path / "a.npy", 128 + 3 * CROP_BYTES + 5)
    assert np.array_equal(crops[np.arange(3)], CROPS[:3])
    with pytest.raises(OSError, match=r"a\.npy became shorter while it was being read"):
        crops[np.array([3])]


def test_other_arrays_are_refused(tmp_path):
    for array in (np.zeros((9, 10), np.uint8), np.zeros((2, 112, 112, 3), np.float32)):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match=r"a\.npy holds .*, not crops; delete it"):
            CropFile(tmp_path / "a.npy", 2)


# What load_crops makes of damage


@pytest.mark.parametrize(
    "damage", ["short array", "no array", "short index", "no index", "labels", "foreign"]
)
def test_a_damaged_cache_is_decoded_again(damage, crop_folder, tmp_path):
    cache = tmp_path / "cache"
    good = load_crops([crop_folder], cache)
    expected = good.crops[:]
    (array,), (index,) = cache.glob("*.npy"), cache.glob("*.json")
    if damage == "short array":
        os.truncate(array, array.stat().st_size - 1)
    elif damage == "short index":
        index.write_text(index.read_text()[:-20])
    elif damage == "labels":
        index.write_text(index.read_text().replace('"labels": [0', '"labels": [5'))
    elif damage == "foreign":
        np.save(array, np.zeros((9, 3), np.uint8))
    else:
        {"no array": array, "no index": index}[damage].unlink()
    again = load_crops([crop_folder], cache)
    assert np.array_equal(again.crops[:], expected)
    assert again.labels.tolist() == good.labels.tolist() and again.names == good.names


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"labels": [], "names": []}', '{"labels": [0]}'])
def test_an_index_of_anything_else_is_no_index(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    assert read_index(tmp_path / "a.json") is None
    assert read_index(tmp_path / "missing.json") is None


def test_parts_of_killed_processes_are_removed_and_those_of_living_ones_are_not(crop_folder, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = cropfile.platform.node()
    names = {owner: f"crops-0.{owner}.part.npy" for owner in (f"{host}-{gone.pid}", f"{host}-{os.getppid()}")}
    names["elsewhere"] = f"crops-0.other-{gone.pid}.part.npy"  # a machine that shares the folder
    for name in names.values():
        (tmp_path / name).write_bytes(b"x")
    load_crops([crop_folder], tmp_path)
    left = {path.name for path in tmp_path.glob("*.part.npy")}
    assert left == {names[f"{host}-{os.getppid()}"], names["elsewhere"]}


# Memory


def test_no_more_than_a_few_crops_are_decoded_ahead(crop_folder):
    source, asked = ImageFolder(crop_folder), itertools.count()
    stream = decoded((source, source.names[next(asked) % 9]) for _ in range(1000))
    for _ in range(5):
        next(stream)
    assert 5 <= next(asked) <= 5 + folders.AHEAD


def test_decoded_keeps_the_order(crop_folder):
    source = ImageFolder(crop_folder)
    names = [source.names[i] for i in np.random.default_rng(0).integers(0, 9, 200)]
    grays = [int(crop[0, 0, 0]) for crop in decoded((source, name) for name in names)]
    assert grays == [40 * int(name[2]) + int(name[4]) for name in names]


GROWTH = """
import json, sys
from pathlib import Path
import numpy as np
from facelab.data.folders import load_crops

def rss():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024

data = load_crops([sys.argv[1]], Path(sys.argv[2]))
part = data.select(range(len(data.identities)))
part.batch(np.arange(64))
before = rss()
total = sum(batch.nbytes for _ in range(2) for batch in part.batches(size=64))
print(json.dumps([rss() - before, total]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux how much memory is used")
def test_reading_all_crops_does_not_grow_the_process(tmp_path):
    noise = Image.effect_noise((112, 112), 90).convert("RGB")
    for i in range(800):
        path = tmp_path / "crops" / f"id{i % 8}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise, "JPEG"))
    args = [sys.executable, "-c", GROWTH, str(tmp_path / "crops"), str(tmp_path / "cache")]
    done = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, check=True)
    grown, read = json.loads(done.stdout)
    assert read == 2 * 800 * CROP_BYTES  # 60 MB
    assert grown < read / 6
