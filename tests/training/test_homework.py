"""A homework run keeps every class and is calibrated on the course's pairs; docs/homework.md is followed."""

import csv
import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli.main import main
from facelab.data.hw2p2 import homework_of
from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint
from tests import networks
from tests.conftest import as_zip, link, refused

pytestmark = pytest.mark.usefixtures("own_cache_and_models", "small_backbone")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "homework.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python -m facelab ")]
LAYOUT = [line.split()[0] for block in BLOCKS for line in block.splitlines() if line.startswith("hw2p2/")]
CLASSES, STRANGERS = 6, 5
SHORT = [
    "--backbone",
    networks.SMALL,
    "--epochs",
    "1",
    "--neck",
    "pool",
    "--embedding-dim",
    "16",
    "--batch-size",
    "8",
    "--precision",
    "fp32",
]


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    """A copy of the layout in small: 6 classes with 5 crops each, 5 other people with 4."""
    root = tmp_path_factory.mktemp("course") / "hw2p2"
    crops, labels = (np.asarray(part) for part in ParametricFaces(11, 5, seed=4).rows(torch.arange(55)))
    for split, take in (("train", (0, 1, 2)), ("dev", (3,)), ("test", (4,))):
        folder, lines = root / "cls_data" / split / "images", []
        folder.mkdir(parents=True)
        for person, i in itertools.product(range(CLASSES), take):
            Image.fromarray(crops[labels == person][i]).save(folder / f"{person}{i}.png")
            lines.append(f"{person}{i}.png {person}")
        if split != "test":
            (root / "cls_data" / split / "labels.txt").write_text("\n".join(lines))
    names = []
    for person, i in itertools.product(range(CLASSES, CLASSES + STRANGERS), range(4)):
        names.append(f"{person}_{i}.png")
        (root / "ver_data").mkdir(exist_ok=True)
        Image.fromarray(crops[labels == person][i]).save(root / "ver_data" / names[-1])
    pairs = [(a, b, int(a.split("_")[0] == b.split("_")[0])) for a, b in itertools.combinations(names, 2)]
    (root / "val_pairs.txt").write_text("".join(f"{a} {b} {same}\n" for a, b, same in pairs))
    (root / "test_pairs.txt").write_text("".join(f"{a} {b}\n" for a, b, _ in pairs[:7]))
    return root


@pytest.fixture
def desk(course, tmp_path, monkeypatch) -> Path:
    """A folder to work in, with the course's data unpacked."""
    monkeypatch.chdir(tmp_path)
    link(tmp_path / "hw2p2", course)
    return tmp_path


def train(*flags: str, data: str = "hw2p2/cls_data/train", out: str = "mine.safetensors") -> None:
    assert (
        main(["train", "softmax", "--data", data, "--out", out, *SHORT, "--held-out-images", "0", *flags])
        == 0
    )


def test_the_document_is_followed_command_by_command(course, tmp_path, monkeypatch, capsys):
    """As written, but for a smaller network and one epoch."""
    monkeypatch.chdir(tmp_path)
    as_zip(course, tmp_path / "hw2p2.zip")
    assert [shlex.split(line)[3] for line in COMMANDS] == [
        "data", "train", "evaluate", "evaluate", "submit",
    ]  # fmt: skip
    printed = []
    for line in COMMANDS:
        words = shlex.split(line)[3:]
        assert main(words + (SHORT if words[0] == "train" else [])) == 0, line
        printed.append(capsys.readouterr().out)
        if words[0] == "data":
            assert all((tmp_path / path).exists() for path in LAYOUT) and len(LAYOUT) == 8
    header = checkpoint.describe(tmp_path / "homework.safetensors")
    assert header.num_classes == CLASSES and header.recipe.held_out == 0
    assert header.operating_points.source == "the course's val_pairs.txt: 190 pairs"
    assert "thresholds from" in printed[1] and "val_pairs eer" in printed[1]
    assert printed[2].startswith("6 crops of 6 people") and "top 1" in printed[2]
    assert printed[3].startswith("190 pairs, 0 skipped")
    rows = {
        path.name: list(csv.reader(path.read_text().splitlines()))
        for path in (tmp_path / "submissions").iterdir()
    }
    assert [row[0] for row in rows["verification.csv"]] == ["ID", *map(str, range(7))]
    assert [row[0] for row in rows["classification.csv"]] == ["id", *(f"{k}4.png" for k in range(CLASSES))]
    assert {row[1] for row in rows["classification.csv"][1:]} <= set(map(str, range(CLASSES)))


@pytest.mark.parametrize("data", ["hw2p2", "hw2p2/cls_data", "hw2p2/cls_data/train"])
def test_the_homework_is_recognized_and_trained_on_whole(data, desk, course, capsys):
    assert homework_of([data]).train.resolve() == course / "cls_data" / "train"
    train(data=data)
    err = capsys.readouterr().err
    assert "every class is trained on, none is held out (--held-out changes that)" in err
    header = checkpoint.describe(desk / "mine.safetensors")
    assert header.data == "train: 6 identities, 18 crops" and header.recipe.held_out == 0
    figures = header.metrics["val_pairs"]
    assert main(["evaluate", "mine.safetensors", "--images", "hw2p2/ver_data", "--aligned", "--pairs",
                 "hw2p2/val_pairs.txt", "--jobs", "1", "--json"]) == 0  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert figures["eer"] == pytest.approx(report["eer"], abs=1e-6)
    assert figures["tar_at_far"] == pytest.approx(report["tar_at_far"]) and set(figures["tar_at_far"]) == {
        "0.1", "0.01",
    }  # fmt: skip


@pytest.mark.parametrize("flag", [["--held-out", "0.3"], ["--held-out=0.3"], ["--held_out", "0.3"]])
def test_classes_are_held_out_where_that_is_asked_for_and_then_neither_judged_nor_submitted(
    flag, desk, capsys
):
    train(*flag)
    header = checkpoint.describe(desk / "mine.safetensors")
    assert header.num_classes == 4 and header.recipe.held_out == 0.3
    assert header.operating_points.source.startswith("the course's val_pairs.txt")
    capsys.readouterr()
    words = refused(
        capsys, "evaluate", "mine.safetensors", "--images", "hw2p2/cls_data/dev", "--classify", begun=True
    )
    assert "dev has 2 of 6 classes that were not trained on" in words and "--held-out 0" in words
    words = refused(capsys, "submit", "mine.safetensors", "hw2p2", "--out", "submissions")
    assert "2 of 6 classes cannot be predicted" in words and "--partial" in words
    assert not (desk / "submissions").exists()
    assert main(["submit", "mine.safetensors", "hw2p2", "--out", "submissions", "--partial"]) == 0
    assert {path.name for path in (desk / "submissions").iterdir()} == {
        "verification.csv", "classification.csv", "metadata.json",
    }  # fmt: skip


def test_a_wrong_list_of_pairs_is_told_before_training(course, tmp_path, capsys, monkeypatch):
    for part in ("cls_data", "ver_data"):
        (tmp_path / "broken" / part).parent.mkdir(exist_ok=True)
        link(tmp_path / "broken" / part, course / part)
    argv = ["train", "softmax", "--data", tmp_path / "broken", "--out", tmp_path / "x.safetensors", *SHORT]
    wrong = {
        "6_0.png 6_1.png\n": "line 1: expected",
        "6_0.png 9_9.png 0\n6_0.png 6_1.png 1\n": "not found",
        "6_0.png 6_1.png 1\n": "holds pairs of one person only",
    }
    for text, words in wrong.items():
        (tmp_path / "broken" / "val_pairs.txt").write_text(text)
        assert main([str(word) for word in argv]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_too_few_pairs_set_no_thresholds_and_say_so(desk, course, tmp_path, capsys):
    root = tmp_path / "few"
    root.mkdir()
    for part in ("cls_data", "ver_data"):
        link(root / part, course / part)
    (root / "val_pairs.txt").write_text("6_0.png 6_1.png 1\n6_0.png 7_0.png 0\n")
    train(data=str(root), out="few.safetensors")
    assert "no thresholds were set: 1 genuine and 1 impostor pairs are too few" in capsys.readouterr().err
    header = checkpoint.describe(desk / "few.safetensors")
    assert header.operating_points is None and header.metrics["val_pairs"]["tar_at_far"] == {}


def test_the_root_is_no_split_to_classify(desk, capsys):
    train()
    capsys.readouterr()
    words = refused(capsys, "evaluate", "mine.safetensors", "--images", "hw2p2", "--classify")
    assert "hw2p2 holds several splits; name the one to classify" in words and "dev" in words


def test_the_archive_is_to_be_unpacked_first(course, tmp_path, capsys):
    archive = as_zip(course, tmp_path / "hw2p2.zip")
    words = refused(capsys, "train", "softmax", "--data", archive, "--out", tmp_path / "x.safetensors")
    assert (
        "is the homework's archive; unpack it with `python -m facelab data unpack hw2p2.zip hw2p2/`" in words
    )
    crops = as_zip(course / "cls_data" / "train", tmp_path / "train.zip")
    assert homework_of([crops]) is None


def test_a_homework_beside_another_keeps_its_own_lists(course, desk):
    """Parts that are linked into one folder belong to it, wherever they lie."""
    (desk / "mine").mkdir()
    link(desk / "mine" / "cls_data", course / "cls_data")
    link(desk / "mine" / "ver_data", course / "ver_data")
    (desk / "mine" / "val_pairs.txt").write_text("6_0.png 6_1.png 1\n")
    for part in ("mine", "mine/cls_data", "mine/cls_data/train"):
        found = homework_of([part])
        assert found.val_pairs == desk / "mine" / "val_pairs.txt"
        assert found.train == desk / "mine" / "cls_data" / "train"
    assert homework_of(["mine/cls_data/dev"]) is None


def test_other_folders_are_no_homework(crop_folder, tmp_path):
    assert homework_of([crop_folder]) is None and homework_of([]) is None
    assert homework_of([tmp_path / "missing"]) is None
    for part in ("train", "val"):
        (tmp_path / "generic" / part / "ann").mkdir(parents=True)
    assert homework_of([tmp_path / "generic" / "train"]) is None
    assert homework_of([tmp_path / "generic"]) is None
