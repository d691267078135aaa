"""LFW and Olivetti through scikit-learn: its fetchers are replaced by ones that leave what they document."""

import inspect
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from facelab.data import sources
from facelab.data.folders import ImageFolder
from facelab.data.matching import resolve
from facelab.data.pairs import read_pairs
from facelab.data.sources import lfw, olivetti
from tests.conftest import encoded, one_sentence

PHOTOS = {"Ann_Lee": 3, "Bo": 1, "Zoë_Ünal": 2}


@pytest.fixture
def fetched(tmp_path, monkeypatch) -> dict:
    """Counts calls; `photos` is how many a download leaves."""
    seen = {"calls": 0, "photos": 6}

    def fetch(*, data_home, min_faces_per_person):
        seen["calls"] += 1
        home = Path(data_home) / "lfw_home"
        home.mkdir(parents=True, exist_ok=True)
        names = [f"{name}/{name}_{i + 1:04d}" for name, count in PHOTOS.items() for i in range(count)]
        if not (home / "lfw_funneled").exists():  # so does scikit-learn
            for i, name in enumerate(names[: seen["photos"]]):
                path = home / "lfw_funneled" / f"{name}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(Image.new("RGB", (250, 250), (i, i, i)), "JPEG"))
        for name in sources.LFW_LISTS:
            (home / name).write_text("1\nAnn_Lee\t1\t3\nAnn_Lee\t2\tBo\t1\n")
        print("downloading")

    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_people", fetch)
    monkeypatch.setattr(sources, "LFW_PHOTOS", 6)
    return seen


def test_the_fetchers_take_what_they_are_given():
    """Against scikit-learn as it is installed."""
    for fetcher, names in (
        (sklearn.datasets.fetch_lfw_people, {"data_home", "min_faces_per_person"}),
        (sklearn.datasets.fetch_olivetti_faces, {"data_home"}),
    ):
        assert names <= set(inspect.signature(fetcher).parameters)


def test_lfw_becomes_a_folder_per_person_beside_its_lists(fetched, tmp_path, capsys):
    done = lfw(tmp_path / "out", tmp_path / "cache")
    assert (done.written, done.kept, done.failures) == (6 + 3, 0, ())
    assert not capsys.readouterr().out  # scikit-learn's words are no result
    folder = ImageFolder(tmp_path / "out")
    assert folder.names == sorted(f"{n}/{n}_{i + 1:04d}.jpg" for n, k in PHOTOS.items() for i in range(k))
    kept = tmp_path / "cache" / "lfw_home" / "lfw_funneled"
    assert all(folder.read(name) == (kept / name).read_bytes() for name in folder.names)
    pairs = read_pairs(tmp_path / "out" / "pairs.txt")
    assert resolve(pairs.first, folder.names) == ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg"]
    assert {p.name for p in (tmp_path / "out").glob("*.txt")} == set(sources.LFW_LISTS)


def test_a_second_run_copies_what_is_missing_or_short(fetched, tmp_path):
    lfw(tmp_path / "out", tmp_path / "cache")
    (tmp_path / "out" / "Bo" / "Bo_0001.jpg").unlink()
    (tmp_path / "out" / "Ann_Lee" / "Ann_Lee_0002.jpg").write_bytes(b"short")
    done = lfw(tmp_path / "out", tmp_path / "cache")
    assert (done.written, done.kept) == (2, 7)
    assert lfw(tmp_path / "out", tmp_path / "cache").written == 0


def test_an_unpacking_that_was_stopped_is_begun_anew(fetched, tmp_path):
    home = tmp_path / "cache" / "lfw_home"
    (home / "lfw_funneled" / "Bo").mkdir(parents=True)
    (home / sources.LFW_ARCHIVE).write_bytes(b"whole")  # scikit-learn deletes it when all is unpacked
    assert lfw(tmp_path / "out", tmp_path / "cache").written == 9


def test_an_incomplete_set_is_refused(fetched, tmp_path):
    fetched["photos"] = 4
    with pytest.raises(ValueError, match=r"lfw_home holds 4 of LFW's 6 photos; delete that folder and run"):
        lfw(tmp_path / "out", tmp_path / "cache")
    assert not (tmp_path / "out").exists()


def bunch(*, data_home):
    """400 images of 40 people in [0, 1], each class contiguous, every one of a known gray."""
    images = np.arange(400, dtype=np.float32)[:, None, None] % 256 * np.ones((1, 64, 64), np.float32) / 255
    return sklearn.utils.Bunch(images=images, target=np.arange(400) // 10)


def test_olivetti_becomes_forty_folders_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "fetch_olivetti_faces", bunch)
    done = olivetti(tmp_path / "out", tmp_path / "cache")
    assert (done.written, done.kept) == (400, 0)
    for person in range(40):
        for i in range(10):
            with Image.open(tmp_path / "out" / f"s{person + 1:02d}" / f"{i + 1:02d}.png") as image:
                assert image.size == (64, 64) and image.mode == "L"
                assert set(np.asarray(image).ravel()) == {(10 * person + i) % 256}
    (tmp_path / "out" / "s03" / "07.png").unlink()
    done = olivetti(tmp_path / "out", tmp_path / "cache")
    assert (done.written, done.kept) == (1, 399)


@pytest.mark.parametrize(
    "error", [URLError("no route"), OSError("wrong\nchecksum"), TimeoutError(), EOFError()]
)
@pytest.mark.parametrize("name", ["fetch_lfw_people", "fetch_olivetti_faces"])
def test_without_a_connection_one_sentence_says_what_to_do(name, error, tmp_path, monkeypatch):
    def fail(**options):
        raise error

    monkeypatch.setattr(sklearn.datasets, name, fail)
    write = lfw if "lfw" in name else olivetti
    with pytest.raises(
        ValueError, match=r"could not be downloaded \(.+\); connect to the internet, or"
    ) as stop:
        write(tmp_path / "out", tmp_path / "cache")
    assert one_sentence(str(stop.value)) and not (tmp_path / "out").exists()
