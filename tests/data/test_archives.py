"""Archives read in place: the crops of unpacked ones, from any of them, in any order, and what is refused."""

import io
import os
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facelab.data import archives
from facelab.data.archives import open_archives
from facelab.data.folders import load_crops
from facelab.data.parametric import ParametricFaces
from facelab.models.recipe import Recipe
from facelab.training import resume
from facelab.training.loop import train
from tests.conftest import CROP, zipped

RECIPE = Recipe(
    backbone="mobilenet_face", neck="pool", embedding_dim=16, epochs=2, batch_size=6, held_out=0.0,
    precision="fp32", lr=0.05,
)  # fmt: skip


def png(crop):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(crop)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Return (a folder of crops, the same in a stored zip, a deflated one and a tar, people across all)."""
    root, data = tmp_path_factory.mktemp("shards"), ParametricFaces(4, 6, seed=3).crop_set()
    paths = [root / "a.zip", root / "b.zip", root / "c.tar"]
    long = "x" * 120  # a name for which a tar needs a header of its own
    with (
        zipfile.ZipFile(paths[0], "w") as a,
        zipfile.ZipFile(paths[1], "w", zipfile.ZIP_DEFLATED) as b,
        tarfile.open(paths[2], "w") as c,
    ):
        for i, label in enumerate(data.labels):
            name, content = f"pers\u00f6n{label}/{i:02d}{long if i == 5 else ''}.png", png(data.crops[i])
            target = root / "folder" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if i % 3 == 2:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                c.addfile(info, io.BytesIO(content))
            else:
                (a, b)[i % 3].writestr(name, content)
    return root / "folder", paths


def test_crops_are_those_of_a_folder_whichever_archive_they_are_in(shards, tmp_path):
    folder, paths = shards
    whole, found = load_crops([folder]), open_archives(paths, tmp_path)
    assert found.identities == tuple(name.partition("/")[2] for name in whole.identities)
    place = {name: i for i, name in enumerate(whole.names)}
    order = [place[name] for name in found.names]
    assert sorted(order) == list(range(24)) and len(found.names) == len(found) == 24
    rows = np.random.default_rng(0).permutation(24)
    assert np.array_equal(found.crops[rows], whole.crops[np.array(order)[rows]])
    assert np.array_equal(found.crops[3:9], whole.crops[np.array(order)[3:9]])
    assert np.array_equal(found.labels, whole.labels[order])


def test_the_index_is_made_once_and_again_for_other_archives(shards, tmp_path, monkeypatch):
    made, real = [], archives._placed
    monkeypatch.setattr(archives, "_placed", lambda path: (made.append(path.name), real(path))[1])
    _, paths = shards
    first, again = open_archives(paths, tmp_path), open_archives(paths, tmp_path)
    assert made == ["a.zip", "b.zip", "c.tar"] and list(first.names) == list(again.names)
    assert isinstance(again.labels.base, np.memmap) and not list(tmp_path.glob("*.rows"))
    assert len(open_archives(paths[:2], tmp_path)) == 16 and len(made) == 5


def test_an_archive_that_was_replaced_by_one_of_its_size_is_indexed_again(tmp_path):
    for time, person in enumerate(("Ann", "Bob")):
        path = zipped(tmp_path / "a.zip", {f"{person}/1.png": CROP, "Cid/2.png": CROP})
        os.utime(path, (time, time))
        assert open_archives([path], tmp_path / "cache").identities == (person, "Cid")


def test_labels_are_of_the_names_whichever_archive_comes_first(tmp_path):
    people = ("Cid", "Ann", "Bob", "Ann")
    paths = [zipped(tmp_path / f"{i}.zip", {f"{p}/{i}.png": CROP}) for i, p in enumerate(people)]
    data = open_archives(paths, tmp_path / "cache")
    assert tuple(data.identities[label] for label in data.labels) == people


def test_training_is_shuffled_across_archives_and_goes_on_exactly(shards, tmp_path):
    _, paths = shards
    data = open_archives(paths, tmp_path)
    whole = replace(data, crops=data.crops[:])
    losses = [p.loss for p in train(RECIPE, whole)]
    run = []
    for progress in train(RECIPE, data):
        run.append(progress.loss)
        if progress.step == 3:
            resume.save(tmp_path / "r.run.safetensors", progress.run)
    assert run == losses
    rest = train(RECIPE, open_archives(paths, tmp_path), tmp_path / "r.run.safetensors")
    assert [p.loss for p in rest] == losses[3:]


def test_what_cannot_be_read_in_place_is_refused_in_words(shards, tmp_path):
    folder, paths = shards
    for given, words in (
        ([folder], "is not an archive; name zips or plain tars"),
        ([paths[0], paths[0]], "named twice"),
    ):
        with pytest.raises(ValueError, match=words):
            open_archives(given, tmp_path)
    with pytest.raises(ValueError, match="FACELAB_CACHE names one"):
        open_archives(paths, None)
    packed = tmp_path / "c.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, "f")
    with pytest.raises(ValueError, match="compressed, so no crop of it can be read alone"):
        open_archives([packed], tmp_path)
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as made:
        made.writestr("p/good.png", png(np.zeros((112, 112, 3), np.uint8)))
        made.writestr("p/small.png", png(np.zeros((50, 40, 3), np.uint8)))
        made.writestr("p/torn.png", b"\x89PNG")
    crops = open_archives([bad], tmp_path).crops
    assert crops[[0]].shape == (1, 112, 112, 3)
    for row, words in (
        (1, "p/small.png in bad.zip is 40x50, not an aligned"),
        (2, "p/torn.png in bad.zip cannot"),
    ):
        with pytest.raises(ValueError, match=words):
            crops[[row]]
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        tar.addfile(tarfile.TarInfo("../p/x.png"))
    with pytest.raises(ValueError, match="outside its own folder"):
        open_archives([hostile], tmp_path)
