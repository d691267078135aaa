"""The commands that bring images, embeddings and submissions: their words, help and files."""

import inspect
import re

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from facelab.cli import data as cli_data
from facelab.cli.data import DATA
from facelab.cli.main import main
from facelab.data.embeddings import load_embeddings
from facelab.data.folders import CropSet
from facelab.data.images import ImageFolder
from facelab.evaluation.photo_pool import embed_images
from tests.conftest import CROP, as_zip, encoded, refused, zipped

pytestmark = pytest.mark.usefixtures("own_cache_and_models")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cli_data, "CACHE", tmp_path / "cache")


def words(text: str) -> str:
    return re.sub(r"[│─\s]+", " ", text)


# Help


def test_data_alone_explains_each_command_in_a_line(capsys):
    for argv in (["data"], ["data", "--help"], ["data", "-h"]):
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert out.startswith("usage: python -m facelab data COMMAND") and not err
        assert re.findall(r"^  (\w+) ", out, re.MULTILINE) == [
            "lfw",
            "olivetti",
            "unpack",
            "prepare",
            "blend",
            "info",
            "convert",
        ]
        assert all(command.__doc__.splitlines()[0] in out for command in DATA.values())


@pytest.mark.parametrize("name", DATA)
def test_help_explains_every_argument(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", name, "--help"])
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert not err and out.startswith(f"usage: python -m facelab data {name}") and "STR STR" not in words(out)
    described = dict(re.findall(r"^ {8}(\w+): (.+?)$", DATA[name].__doc__, re.MULTILINE))
    assert set(described) == set(inspect.signature(DATA[name]).parameters)
    assert all(" ".join(text.split()[:4]) in words(out) for text in described.values())


def test_an_unknown_word_is_answered_with_the_nearest(capsys):
    assert "unknown command 'prepar': did you mean prepare?" in refused(capsys, "data", "prepar")
    assert "ARCHIVE" in refused(capsys, "data", "unpack")
    assert "unknown command 'prepare'" in refused(capsys, "prepare", "a", "b")


# data


def test_blends_are_of_those_whom_the_named_recipe_trains(capsys, monkeypatch, tmp_path):
    asked = []

    def loaded(sources, *_):
        return CropSet(
            None, np.zeros(0), sources, (), (("a/b.png", "is damaged"),), ("old: sessions of Ann",)
        )

    monkeypatch.setattr("facelab.cli.data.load_crops", loaded)
    monkeypatch.setattr("facelab.cli.data.write_blends", lambda *values: asked.append(values))
    recipe = tmp_path / "r.json"
    recipe.write_text('{"held_out": 0.3, "held_out_from": "new", "split_seed": 5}')
    out = tmp_path / "blends.zip"
    argv = ["old", "new", "--out", str(out), "--count", "7", "--seed", "9", "--recipe", str(recipe)]
    assert main(["data", "blend", *argv]) == 0
    (data, of, path, count, _) = asked[0]
    assert (data.identities, path, count) == (("old", "new"), out, 7)
    assert (of.held_out, of.held_out_from, of.split_seed, of.seed) == (0.3, "new", 5, 9)
    assert capsys.readouterr().err == "old: sessions of Ann\nskipped a/b.png: is damaged\n"
    assert "unknown recipe 'strog'" in refused(
        capsys, "data", "blend", "old", "--out", out, "--recipe", "strog"
    )


def test_prepare_ends_with_what_failed_and_why(capsys, album, tmp_path):
    argv = ["data", "prepare", str(album), str(tmp_path / "out"), "--jobs", "1"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 crops written, 0 already there, 1 failed"
    assert re.fullmatch(r"p0/p0_0004\.jpg  no face was found; .*", lines[1])
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("0 crops written, 12 already there, 1 failed")
    assert "does not exist" in refused(capsys, "data", "prepare", tmp_path / "nowhere", tmp_path / "out")
    assert "choose another" in refused(capsys, "data", "prepare", album, album / "out")


def test_unpack_says_what_it_wrote_and_what_it_could_not(capsys, tmp_path):
    archive = zipped(
        tmp_path / "a.zip", {"a/x.png": CROP, "a.png/y.png": CROP, "a.png": CROP, "a/run.sh": b""}
    )
    argv = ["data", "unpack", str(archive), str(tmp_path / "out")]
    assert main(argv) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "2 files written, 0 already there, 1 failed"
    assert second.startswith("a.png  cannot be written under this name: ")
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("0 files written, 2 already there, 1 failed")
    evil = zipped(tmp_path / "evil.zip", {"../x.png": CROP})
    assert "outside its own folder" in refused(capsys, "data", "unpack", evil, tmp_path / "evil")
    assert not (tmp_path / "evil").exists() and not (tmp_path / "x.png").exists()


def test_without_a_network_lfw_and_olivetti_say_what_to_do(capsys, tmp_path, monkeypatch):
    def fail(**options):
        raise OSError("no route")

    for name, fetcher in (("LFW", "fetch_lfw_people"), ("Olivetti", "fetch_olivetti_faces")):
        monkeypatch.setattr(sklearn.datasets, fetcher, fail)
        argv = ["data", name.lower(), str(tmp_path / "out"), "--cache", str(tmp_path / "kept")]
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert not out and err.splitlines()[-1] == (
            f"facelab: {name} could not be downloaded (no route); connect to the internet, or copy "
            f"scikit-learn's data to {tmp_path / 'kept'}"
        )


def test_olivetti_says_what_it_wrote(capsys, tmp_path, monkeypatch):
    faces = sklearn.utils.Bunch(images=np.zeros((4, 64, 64), np.float32), target=np.array([0, 0, 1, 1]))
    monkeypatch.setattr(sklearn.datasets, "fetch_olivetti_faces", lambda data_home: faces)
    for line in (
        "4 images written, 0 already there, 0 failed\n",
        "0 images written, 4 already there, 0 failed\n",
    ):
        assert main(["data", "olivetti", str(tmp_path / "out")]) == 0
        assert capsys.readouterr().out == line
    assert ImageFolder(tmp_path / "out").names == ["s01/01.png", "s01/02.png", "s02/01.png", "s02/02.png"]


# embed


def test_embed_keeps_what_the_model_says_of_every_image(capsys, tmp_path, tiny_checkpoint):
    for i in range(3):
        (tmp_path / "crops" / f"p{i}").mkdir(parents=True)
        noise = Image.effect_noise((112, 112), 20 + 30 * i).convert("RGB")
        noise.save(tmp_path / "crops" / f"p{i}" / "0.png")
    (tmp_path / "crops" / "p0" / "broken.png").write_bytes(b"?")
    (tmp_path / "crops" / "p0" / "wide.png").write_bytes(encoded(Image.new("RGB", (200, 112)), "PNG"))
    source = as_zip(tmp_path / "crops", tmp_path / "crops.zip")
    out = tmp_path / "deep" / "a.npz"
    assert main(["embed", "tiny", str(source), str(out), "--aligned", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"3 embeddings written to {out}, 2 images failed"
    assert lines[1].startswith("p0/broken.png  ") and lines[2].startswith(
        "p0/wide.png    200x112 is not an aligned"
    )
    names, vectors = load_embeddings(out)
    assert names == ("p0/0.png", "p1/0.png", "p2/0.png")
    expected, _ = embed_images(str(tiny_checkpoint), ImageFolder(source), names, aligned=True)
    assert np.array_equal(vectors, np.stack([expected[name] for name in names]))
    (tmp_path / "more" / "p9").mkdir(parents=True)
    noise.save(tmp_path / "more" / "p9" / "0.png")
    more = ["--also", str(tmp_path / "more")]
    assert main(["embed", "tiny", str(source), str(out), "--aligned", "--jobs", "1", *more]) == 0
    more, all_vectors = load_embeddings(out)
    assert more == (*names, "p9/0.png")
    assert np.allclose(all_vectors, vectors[[0, 1, 2, 2]], atol=1e-5)  # batches of other sizes


def test_embed_refuses_before_it_begins(capsys, tmp_path, crop_folder):
    assert "OUT is a.npy; it must end in .npz" in refused(capsys, "embed", "tiny", crop_folder, "a.npy")
    out = tmp_path / "a.npz"
    assert "there is no model 'tinny'" in refused(capsys, "embed", "tinny", crop_folder, out)
    assert "does not exist" in refused(capsys, "embed", "tiny", tmp_path / "nowhere", out)
    twice = refused(capsys, "embed", "tiny", crop_folder, out, "--also", crop_folder)
    assert twice.startswith("id0/0.png is in 2 of the sources")
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"?")
    sentence = refused(capsys, "embed", "tiny", tmp_path / "bad", out, "--aligned", begun=True)
    assert sentence.startswith("no image could be embedded; a/x.png: ")
    assert not out.exists()


# submit


def test_submit_lists_its_files_and_says_what_is_missing(capsys, tmp_path):
    faces = tmp_path / "hw" / "ver_data"
    faces.mkdir(parents=True)
    for i in range(3):
        Image.effect_noise((112, 112), 20 + 30 * i).convert("RGB").save(faces / f"{i}.png")
    (faces / "3.png").write_bytes(b"?")
    (tmp_path / "hw" / "test_pairs.txt").write_text("0.png 1.png\n2.png 2.png\n1.png 3.png\n")
    assert main(["submit", "tiny", str(tmp_path / "hw"), "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "out" / "verification.csv"
    assert out.splitlines()[:2] == [f"wrote {path}", f"wrote {path.with_name('metadata.json')}"]
    assert out.splitlines()[2].startswith("3.png  ")
    assert err.splitlines()[0].startswith("device: cpu (") and err.split("\n", 1)[1] == (
        "layout: pairs in test_pairs.txt (since fall 2024), answer ID,Label\n"
        "classification.csv was not written, since there is no folder of test images beside the training "
        "classes\n"
    )
    lines = path.read_text().splitlines()
    assert lines[0] == "ID,Label" and lines[3] == "2,-1"
    assert float(lines[2].split(",")[1]) == pytest.approx(1, abs=1e-6)


def test_submit_refuses_what_is_no_homework(capsys, tmp_path, crop_folder):
    out = ("--out", tmp_path / "out")
    assert "there is no model" in refused(capsys, "submit", "tinny", tmp_path, *out)
    assert "is not a folder; unpack" in refused(capsys, "submit", "tiny", tmp_path / "a.zip", *out)
    assert "has neither cls_data/train nor" in refused(capsys, "submit", "tiny", crop_folder, *out)
    (crop_folder / "test_pairs.txt").write_text("0.png 1.png 1\n")
    assert "line 1: expected `image1 image2`" in refused(capsys, "submit", "tiny", crop_folder, *out)
    assert not (tmp_path / "out").exists()
