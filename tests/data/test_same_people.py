"""Commands and page count the same people in a source, whatever its layout, and print the same figures."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.cli.main import main
from facelab.data.folders import load_crops
from facelab.data.images import ImageFolder
from facelab.evaluation import photo_pool as bulk
from facelab.evaluation.crop_names import crop_files
from facelab.evaluation.evaluate import embed_folder
from facelab.evaluation.photo_pool import embed_images
from facelab.evaluation.protocols import judge_all_pairs, judge_identification
from facelab.lessons.live.data import from_photos
from facelab.models import checkpoint
from facelab.models.model import embed
from facelab.recognition.embedder import load
from facelab.recognition.gallery import photos_in_zip
from tests.conftest import as_zip, encoded, refused

PEOPLE = ("Ann", "Bob", "Cid", "Dan")


@pytest.fixture(scope="module")
def faces() -> dict[str, list[bytes]]:
    """Four crops of noise for each person, alike within a person."""
    rng, found = np.random.default_rng(0), {}
    for person in PEOPLE:
        own = rng.integers(0, 256, (112, 112, 3))
        some = [(own + rng.integers(-120, 120, own.shape)).clip(0, 255).astype(np.uint8) for _ in range(4)]
        found[person] = [encoded(Image.fromarray(pixels), "PNG") for pixels in some]
    return found


def laid_out(root: Path, faces: dict[str, list[bytes]], layout: str) -> Path:
    """The faces in one of LAYOUTS."""
    lines = []
    for person, crops in faces.items():
        for i, content in enumerate(crops):
            name = layout.format(p=person, i=i, half=i // 2)
            lines.append(f"{name.rpartition('/')[2]} {person}")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    if "images/" in layout:
        (root / layout.partition("images/")[0] / "labels.txt").write_text("\n".join(lines))
    for split in ("val", "test") if layout.startswith("train") else ():
        (root / split / "Ann").mkdir(parents=True)
        (root / split / "Ann" / "9.png").write_bytes(faces["Bob"][0])
    if "@" in layout:
        (root / "Ann" / "@eaDir").mkdir()
        (root / "Ann" / "@eaDir" / "1.png").write_bytes(faces["Bob"][0])
    return root


LAYOUTS = (
    "{p}/session{half}/{i}.png", "wrap/{p}/{i}.png", "train/{p}/{i}.png", "images/{p}{i}.png",
    "deep/images/{p}{i}.png", "{p}/@{i}.png", "{p}/{half}/{i}.png",
)  # fmt: skip


def figures(capsys, *argv) -> dict:
    assert main([*map(str, argv), "--json"]) == 0
    return flat(json.loads(capsys.readouterr().out))


def flat(report: dict, prefix: str = "") -> dict:
    """A report without nesting, as pytest can compare it."""
    out = {}
    for name, value in report.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out


def judged(model: Path, source: Path, said: list[str]) -> dict:
    """The figures of both protocols that need to know who is on an image."""
    embedded = embed_folder(str(model), str(source), aligned=True, say=said.append)
    return flat({"all": judge_all_pairs(embedded), "one": judge_identification(embedded)})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_figures_of_the_plain_one(layout, faces, tiny_checkpoint, tmp_path):
    plain = laid_out(tmp_path / "plain", faces, "{p}/{i}.png")
    other = laid_out(tmp_path / "other", faces, layout)
    said: list[str] = []
    wanted = judged(tiny_checkpoint, plain, said)
    assert not said and wanted["all.identities"] == 4 and wanted["all.genuine_pairs"] == 24
    assert judged(tiny_checkpoint, other, said) == pytest.approx(wanted, rel=1e-5)
    assert bool(said) == ("@" not in layout)
    for source in (other, as_zip(other, tmp_path / "other.zip")):
        data, pool = load_crops([source]), from_photos(source, 99)
        assert data.identities == pool.data.identities == tuple(f"other/{person}" for person in PEOPLE)
        assert data.notes == pool.data.notes and bool(data.notes) == ("@" not in layout)
    people = [person for person, _, _ in photos_in_zip(tmp_path / "other.zip")[0]]
    assert {person: people.count(person) for person in PEOPLE} == dict.fromkeys(PEOPLE, 4)


@pytest.mark.usefixtures("own_cache_and_models")
@pytest.mark.parametrize("layout", ["{p}/session{half}/{i}.png", "images/{p}{i}.png"])
def test_embeddings_in_a_file_carry_who_they_are_of(layout, faces, capsys, tmp_path):
    source, file = laid_out(tmp_path / "s", faces, layout), tmp_path / "e.npz"
    argv = ["--aligned", "--jobs", 1]
    assert main([*map(str, ("embed", "tiny", source, file, *argv))]) == 0
    assert "s: " in capsys.readouterr().err
    for flag in ("--all-pairs", "--identify"):
        direct = figures(capsys, "evaluate", "tiny", "--images", source, *argv, flag)
        assert figures(capsys, "evaluate", "--embeddings", file, flag) == pytest.approx(direct, rel=1e-5)


@pytest.mark.usefixtures("own_cache_and_models")
def test_loose_strangers_are_refused_by_every_command(faces, capsys, tmp_path):
    root = laid_out(tmp_path / "s", faces, "{p}/{i}.png")
    for i in range(6):
        (root / f"stranger{i}.png").write_bytes(faces["Ann"][0])
    archive = as_zip(root, tmp_path / "s.zip")
    common = ("--images", root, "--aligned")
    for argv in (
        ("evaluate", "tiny", *common, "--all-pairs"), ("evaluate", "tiny", *common, "--identify"),
        ("calibrate", "tiny", *common),
        ("train", "resnet_softmax", "--data", root, "--out", tmp_path / "x.safetensors"),
    ):  # fmt: skip
        assert "outside any identity folder (first: stranger0.png)" in refused(capsys, *argv)
    for read in (photos_in_zip, lambda path: from_photos(path, 99)):
        with pytest.raises(ValueError, match=r"outside any identity folder \(first: stranger0\.png\)"):
            read(archive)
    assert main([*map(str, ("embed", "tiny", root, tmp_path / "e.npz", "--aligned", "--jobs", 1))]) == 0
    assert "no identities are kept" in capsys.readouterr().err  # a list of pairs needs none
    assert "outside any identity folder" in refused(
        capsys, "evaluate", "--embeddings", tmp_path / "e.npz", "--all-pairs"
    )


# Caches and flags


def test_a_replaced_zip_is_read_anew(faces, tiny_checkpoint, tmp_path):
    """A zip that is replaced under its name must not give the former one's embeddings."""
    found = []
    for person in ("Ann", "Bob"):
        root = laid_out(tmp_path / person, {"Ann": faces[person]}, "{p}/{i}.png")
        folder = ImageFolder(as_zip(root, tmp_path / "s.zip"))
        names = folder.names
        vectors, _ = embed_images(str(tiny_checkpoint), folder, names, aligned=True, cache=tmp_path / "c")
        alone, _ = embed_images(str(tiny_checkpoint), ImageFolder(root), names, aligned=True)
        assert all(np.allclose(vectors[name], alone[name], atol=1e-6) for name in names)
        found.append(vectors[names[0]])
        os.utime(tmp_path / "s.zip", (1, len(found)))
    assert not np.allclose(*found)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_no_flip_reaches_the_network(jobs, aligned, faces, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "FEW", 0)
    crop = np.asarray(Image.open(io.BytesIO(faces["Ann"][0])))
    folder = ImageFolder(laid_out(tmp_path / "s", {"Ann": faces["Ann"][:1]}, "{p}/{i}.png"))
    monkeypatch.setattr(bulk, "_locate", lambda place, name, known: (crop, bulk.Found(name, [], [])))
    monkeypatch.setattr(bulk, "_face", lambda pixels, found: bulk.as_face(pixels))
    if jobs > 1 and not aligned:
        pytest.skip("another process does not see the patches")
    model, _, _ = checkpoint.load(tiny_checkpoint)
    for flip in (True, False):
        vectors, _ = embed_images(str(tiny_checkpoint), folder, folder.names, aligned, jobs=jobs, flip=flip)
        np.testing.assert_allclose(vectors["Ann/0.png"], embed(model, crop[None], flip)[0], atol=1e-5)
    assert load(str(tiny_checkpoint), True) is not load(str(tiny_checkpoint), False)


@pytest.mark.parametrize(
    "names",
    [
        ["a/b.png", "a/b.jpg", "a/b.png.jpg"],
        ["a/b.png", "a/b.webp", "a/b.jpg", "a/b.png.jpg", "a/b.webp.jpg"],
        ["a/B.png", "a/b.jpg"],
        ["a/x:y.png", "a/x_y.png", "a/x?y.jpg"],
        ["a/b.png.2.jpg", "a/b.png", "a/b.jpg"],
    ],
)  # fmt: skip
def test_no_two_crops_go_to_one_file(names, tmp_path):
    targets = crop_files(names, tmp_path)
    assert list(targets) == names
    assert len({str(target).casefold() for target in targets.values()}) == len(names)
    assert targets == crop_files(names, tmp_path)
    for name in names:
        if name.endswith(".jpg") and "?" not in name and ":" not in name:
            assert targets[name] == tmp_path / name


def test_names_as_long_as_a_disk_takes_are_prepared(album, tmp_path):
    content = (album / "p1" / "p1_0001.jpg").read_bytes()
    names = [f"{'n' * 244}.png", f"{'n' * 251}.jpg", f"{'ü' * 124}.webp"]
    for name in names:
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "a" / name).write_bytes(content)
    done = bulk.prepare(str(tmp_path / "in"), str(tmp_path / "out"))
    assert done.written == 3 and not done.failures and len(list((tmp_path / "out" / "a").iterdir())) == 3


def test_prepare_keeps_the_list_that_says_who_is_who(album, tmp_path):
    root = tmp_path / "in"
    (root / "images").mkdir(parents=True)
    for person in (1, 2):
        photo = (album / f"p{person}" / f"p{person}_0001.jpg").read_bytes()
        Image.open(io.BytesIO(photo)).save(root / "images" / f"{person}.png")
    (root / "labels.txt").write_text("1.png Ann\n2.png Bob\n")
    bulk.prepare(str(root), str(tmp_path / "out"))
    assert load_crops([tmp_path / "out"]).identities == ("out/Ann", "out/Bob")


# Names that are not UTF-8


@pytest.mark.usefixtures("own_cache_and_models")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_does_not_end_a_run(faces, capfd, tmp_path, monkeypatch):
    root = laid_out(tmp_path / "s", faces, "{p}/{i}.png")
    for bad in (b"caf\xe9.png", b"\xff\n.png"):
        (root / "Ann" / os.fsdecode(bad)).write_bytes(b"no picture")
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    common = ("--aligned", "--jobs", "1")
    assert main(["embed", "tiny", str(root), str(tmp_path / "e.npz"), *common]) == 0
    for flags in (["--all-pairs"], ["--identify", "--json"]):
        assert main(["evaluate", "tiny", "--images", str(root), *common, *flags]) == 0
    for good in root.rglob("?.png"):
        good.unlink()
    for person in PEOPLE[1:]:
        (root / person).rmdir()
    assert main(["data", "prepare", str(root), str(tmp_path / "out"), "--jobs", "1"]) == 0
    stream.seek(0)
    out, err = stream.read(), capfd.readouterr().err
    assert "16 embeddings" in out and "Ann/caf\\xe9.png" in out and "Ann/\\xff\\n.png" in out
    assert "Ann/caf\\xe9.png: " in err
