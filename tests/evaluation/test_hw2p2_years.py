"""The homework as handed out from 2021 to 2026: a synthetic copy of each layout, and what is refused."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli.main import main
from facelab.data.hw2p2 import LAYOUTS, find_homework, homework_of
from facelab.data.hw2p2_files import as_sample, require_consecutive
from facelab.data.pairs import read_pairs
from facelab.data.parametric import ParametricFaces
from facelab.evaluation import hw2p2_submission, own_work
from facelab.evaluation.hw2p2_open_set import NOBODY, answer, choose_threshold
from facelab.evaluation.hw2p2_submission import submit
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.model import embed
from facelab.photos.faces import read_photo
from tests.conftest import encoded, one_sentence

PEOPLE, EACH = 6, 4  # four in the classes, all in verification
CLASSES = [f"n00000{i}" for i in range(2, 6)]


@pytest.fixture(scope="module")
def faces() -> list[bytes]:
    crops, _ = ParametricFaces(PEOPLE, EACH, seed=3).rows(torch.arange(PEOPLE * EACH))
    return [encoded(Image.fromarray(crop), "PNG") for crop in np.asarray(crops)]


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def classes(root: Path, faces: list[bytes]) -> None:
    """A folder per person and flat test images."""
    for person, name in enumerate(CLASSES):
        for i, split in enumerate(("train", "train", "dev")):
            put(root / split / name / f"{i}.png", faces[EACH * person + i])
        put(root / "test" / f"{person:06d}.png", faces[EACH * person + 3])


def pairs_2022(root: Path, faces: list[bytes]) -> None:
    """Two archives, each unpacked into a folder of its own name; pairs as CSV with titles."""
    classes(root / "classification" / "classification", faces)
    at = root / "verification" / "verification"
    for i, face in enumerate(faces):
        put(at / ("dev" if i < 12 else "test") / f"{i:06d}.png", face)
    put(
        at / "verification_dev.csv",
        "img1,img2,match\ndev/000000.png,dev/000001.png,1\ndev/000000.png,dev/000004.png,0\n",
    )
    put(
        at / "verification_test.csv",
        "img1,img2\ntest/000012.png,test/000013.png\ntest/000012.png,test/000020.png\n",
    )


def known_2023(root: Path, faces: list[bytes]) -> None:
    """Known people of whom photos are enrolled; the last two people are nobody."""
    classes(root / "11-785-f23-hw2p2-classification", faces)
    at = root / "11-785-f23-hw2p2-verification"
    who = [CLASSES[person] if person < 4 else NOBODY for person in range(PEOPLE)]
    for person, name in enumerate(CLASSES):
        put(at / "known" / name / "0.png", faces[EACH * person])
    answers = []
    for i, person in enumerate((5, 0, 1, 2, 3, 4)):
        put(at / "unknown_dev" / f"{i:06d}.png", faces[EACH * person + 1])
        answers.append(f"{i},{who[person]}")
    for i, person in enumerate((3, 4, 0, 5)):
        put(at / "unknown_test" / f"{i:06d}.png", faces[EACH * person + 2])
    put(at / "verification_dev.csv", "id,label\n" + "\n".join(answers))


def inside_2025(root: Path, faces: list[bytes]) -> None:
    """Lists inside cls_data, images and labels.txt beside each other."""
    for i, split in enumerate(("train", "dev", "test")):
        for person in range(len(CLASSES)):
            put(root / "cls_data" / split / "images" / f"{person}.png", faces[EACH * person + i])
        lines = "".join(f"{person}.png {name}\n" for person, name in enumerate(CLASSES))
        put(root / "cls_data" / split / "labels.txt", lines)
    for i, face in enumerate(faces):
        put(root / "ver_data" / f"{i:03d}.png", face)
    put(
        root / "cls_data" / "val_pairs.txt",
        "ver_data/000.png ver_data/001.png 1\nver_data/000.png ver_data/004.png 0\n",
    )
    put(
        root / "cls_data" / "test_pairs.txt",
        "ver_data/002.png ver_data/003.png\nver_data/001.png ver_data/009.png\n",
    )


@pytest.fixture
def knows(faces, tiny_run, tmp_path) -> str:
    """A checkpoint whose class k is whatever lies nearest to the first photo of person k."""
    model, _, header = tiny_run
    loss_fn = build_loss("softmax", 16, 4, header.recipe.loss_options())
    crops = np.stack([read_photo(faces[EACH * person]).pixels for person in range(4)])
    prototypes = torch.from_numpy(embed(model, crops) / 2)
    loss_fn.linear.weight.data, loss_fn.linear.bias.data = 2 * prototypes, -prototypes.square().sum(1)
    path = tmp_path / "knows.safetensors"
    checkpoint.save(path, model, loss_fn, dataclasses.replace(header, identities=tuple(CLASSES)))
    return str(path)


def unit(checkpoint_path: str, faces: list[bytes]) -> np.ndarray:
    model, _, _ = checkpoint.load(checkpoint_path)
    vectors = embed(model, np.stack([read_photo(face).pixels for face in faces])).astype(float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_pairs_in_a_csv_are_answered_by_number(knows, faces, tmp_path, capsys):
    pairs_2022(tmp_path / "hw", faces)
    found = find_homework(tmp_path / "hw")
    assert found.layout == "csv" and len(read_pairs(found.val_pairs)) == 2
    assert homework_of([tmp_path / "hw"]).train == found.train
    assert main(["submit", knows, str(tmp_path / "hw"), "--out", str(tmp_path / "out")]) == 0
    assert f"layout: {LAYOUTS['csv']}" in capsys.readouterr().err
    own, answers = unit(knows, faces), rows(tmp_path / "out" / "verification.csv")
    assert answers[0] == ["id", "match"] and [row[0] for row in answers[1:]] == ["0", "1"]
    expected = [own[12] @ own[13], own[12] @ own[20]]
    assert [float(row[1]) for row in answers[1:]] == pytest.approx(expected, abs=1e-5)
    assert [row[0] for row in rows(tmp_path / "out" / "classification.csv")[1:]] == [
        f"{i:06d}.png" for i in range(4)
    ]


def test_known_people_are_named_and_others_are_nobody(knows, faces, tmp_path):
    known_2023(tmp_path / "hw", faces)
    done = submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"))
    assert done.layout == LAYOUTS["open_set"]
    own = unit(knows, faces)
    gallery = own[[EACH * person for person in range(4)]]
    dev = own[[EACH * person + 1 for person in (5, 0, 1, 2, 3, 4)]] @ gallery.T
    truth = [NOBODY, *CLASSES, NOBODY]
    best = max(  # by hand: every threshold between two scores
        np.mean([(CLASSES[s.argmax()] if s.max() >= cut else NOBODY) == t for s, t in zip(dev, truth)])
        for cut in np.r_[-2, np.sort(dev.max(1)) + 1e-9]
    )
    (note,) = done.notes
    assert f"right for {best:.1%} of the 6 images of unknown_dev" in note
    cut = float(note.split("cosine of ")[1].split(",")[0])
    test = own[[EACH * person + 2 for person in (3, 4, 0, 5)]] @ gallery.T
    expected = [CLASSES[s.argmax()] if s.max() >= cut else NOBODY for s in test]
    assert rows(tmp_path / "out" / "verification.csv") == [
        ["id", "label"],
        *([str(i), e] for i, e in enumerate(expected)),
    ]


def test_lists_inside_cls_data_are_found(knows, faces, tmp_path):
    inside_2025(tmp_path / "hw", faces)
    done = submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"))
    assert done.layout == LAYOUTS["pairs"]
    own, answers = unit(knows, faces), rows(tmp_path / "out" / "verification.csv")
    assert answers[0] == ["ID", "Label"]
    assert [float(row[1]) for row in answers[1:]] == pytest.approx(
        [own[2] @ own[3], own[1] @ own[9]], abs=1e-5
    )
    assert rows(tmp_path / "out" / "classification.csv")[1][0] == "0.png"
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text("utf-8"))
    model, loss_fn, _ = checkpoint.load(knows)
    count = sum(p.numel() for module in (model, loss_fn) for p in module.parameters())
    assert metadata == {"parameter_count": count, "model_architecture": str(model)}


def test_a_threshold_is_the_best_and_lies_in_the_widest_range():
    names, scores = ["a", "b", "a", "b"], np.array([0.9, 0.8, 0.3, 0.2])
    chosen = choose_threshold(names, scores, ["a", "b", NOBODY, NOBODY])
    assert (chosen.value, chosen.accuracy, chosen.images) == (pytest.approx(0.55), 1.0, 4)
    assert choose_threshold(names, scores, [NOBODY] * 4).value > 0.9  # nobody is accepted
    everyone = choose_threshold(names, scores, names)
    assert everyone.value < 0.2 and answer(names, scores, everyone.value) == names
    rng = np.random.default_rng(0)
    scores, right = rng.random(200), rng.random(200) < 0.5
    truth = [("a" if ok else NOBODY) for ok in right]
    best = max(np.mean((scores >= cut) == right) for cut in np.r_[-1, scores + 1e-12])
    assert choose_threshold(["a"] * 200, scores, truth).accuracy == pytest.approx(best)


# Ids


def test_missing_numbers_are_refused_unless_that_is_asked_for(knows, faces, tmp_path):
    inside_2025(tmp_path / "hw", faces)
    images = tmp_path / "hw" / "cls_data" / "test" / "images"
    for i in range(12):
        put(images / f"{i}.png", faces[i])
    (images / "7.png").unlink()
    with pytest.raises(
        ValueError, match=r"test lacks 1 of 12 numbered images \(first: 7\.png\), so ids would"
    ):
        submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"), partial=True).files
    require_consecutive(["000003.png", "000900.png"], "sparse")  # no numbering
    require_consecutive([f"{i}.png" for i in range(1, 50)], "from one")
    require_consecutive(["ann.png", *(f"{i}.png" for i in range(40) if i != 9)], "names")


def test_one_combined_file_follows_the_courses_sample(knows, faces, tmp_path):
    inside_2025(tmp_path / "hw", faces)
    sample = tmp_path / "sample.csv"
    sample.write_text("ID,answer\n1,0\n0,0\n3,x\n", "utf-8")
    with pytest.raises(ValueError, match="classes and pairs have ids in common"):  # 0.png, and pair 0
        submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"), sample=str(sample))
    test = tmp_path / "hw" / "cls_data" / "test"
    for i in range(4):
        (test / "images" / f"{i}.png").rename(test / "images" / f"t{i}.png")
    sample.write_text("ID,answer\nt3,0\n1,0\n0,0\nt0.png,0\nt1.png,0\nt2,0\n", "utf-8")
    done = submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"), sample=str(sample))
    combined, out = rows(tmp_path / "out" / "combined.csv"), tmp_path / "out"
    assert done.files[-2:] == [out / "combined.csv", out / "metadata.json"]
    assert combined[0] == ["ID", "answer"] and [row[0] for row in combined[1:]] == [
        "t3",
        "1",
        "0",
        "t0.png",
        "t1.png",
        "t2",
    ]
    own = dict(rows(out / "verification.csv")) | dict(rows(out / "classification.csv"))
    assert combined[2][1] == own["1"] and combined[1][1] == own["t3.png"] and combined[6][1] == own["t2.png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,label\na.png,0\nx.png,0\n", r"1 of 2 ids in s\.csv have no answer \(first: x\.png\)"),
        ("id,label\na.png,0\n", r"s\.csv lacks 1 ids \(first: b\.png\)"),
        ("id,label\na.png,0\na,0\n", "some stand twice"),
        ("id,label,match\na.png,0,0\n", "needs two columns"),
    ],
)
def test_a_sample_that_cannot_be_followed_writes_nothing(text, words, tmp_path):
    (tmp_path / "s.csv").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=words):
        as_sample(tmp_path / "s.csv", [{"a.png": "1", "b.png": "2"}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "the threshold of n000000 is chosen on unknown_dev and verification_dev.csv"),
        ("id,person\n0,x\n", "needs a column `label`; it has id, person"),
        ("id,label\n0,x\n1,y\n", "has 2 answers for 6 images"),
        (
            "id,label\n" + "".join(f"{i + 7},x\n" for i in range(6)),
            "names other images than its folder holds",
        ),
    ],
)
def test_answers_that_are_not_those_of_the_images_are_refused(text, words, knows, faces, tmp_path):
    known_2023(tmp_path / "hw", faces)
    path = tmp_path / "hw" / "11-785-f23-hw2p2-verification" / "verification_dev.csv"
    path.unlink() if text is None else path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=words) as stop:
        submit(knows, str(tmp_path / "hw"), str(tmp_path / "out"))
    assert one_sentence(str(stop.value)) and not (tmp_path / "out").exists()


# What may be handed in


def start(tmp_path, tiny_run, name: str, **changes) -> str:
    model, loss_fn, header = tiny_run
    recipe = dataclasses.replace(header.recipe, **changes)
    header = dataclasses.replace(header, recipe=recipe, identities=tuple(CLASSES))
    checkpoint.save(tmp_path / name, model, loss_fn, header)
    return str(tmp_path / name)


def test_pretrained_weights_are_refused_and_the_reason_is_told(faces, tiny_run, tmp_path, monkeypatch):
    inside_2025(tmp_path / "hw", faces)
    hw, out = str(tmp_path / "hw"), str(tmp_path / "out")
    for given, changes, words in (
        ("a.safetensors", {"init_from": "imagenet"}, "a.safetensors begins from imagenet, whose weights"),
        ("b.safetensors", {"init_from": "strong"}, "b.safetensors begins from strong"),
        ("c.safetensors", {"init_from": "gone.safetensors"}, "begins from gone.safetensors"),
        ("d.safetensors", {"teacher": "teacher.npz"}, "d.safetensors is distilled from a trained teacher"),
        ("e.safetensors", {"init_from": "a.safetensors"}, "a.safetensors begins from imagenet"),
        ("f.safetensors", {"init_from": "f.safetensors"}, "f.safetensors begins from itself"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words) as stop:
            submit(start(tmp_path, tiny_run, given, **changes), hw, out)
        assert "that you train from random weights on its data" in str(stop.value)
    own = start(tmp_path, tiny_run, "own.safetensors")
    assert submit(own, hw, out).files
    assert submit(start(tmp_path, tiny_run, "second.safetensors", init_from="own.safetensors"), hw, out).files
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(own_work, "CHECKPOINTS", shipped)
    inside = start(shipped, tiny_run, "strong.safetensors", seed=5)
    for path in (inside, start(tmp_path, tiny_run, "renamed.safetensors", seed=5)):
        with pytest.raises(ValueError, match=r"(strong|renamed)\.safetensors is shipped with facelab"):
            submit(path, hw, out)
    assert submit(own, hw, out).files


def test_a_shipped_checkpoint_is_refused_by_name(faces, tmp_path, capsys):
    if not (own_work.CHECKPOINTS / "softmax.safetensors").is_file():
        pytest.skip("no checkpoint is here")
    inside_2025(tmp_path / "hw", faces)
    assert main(["submit", "softmax", str(tmp_path / "hw"), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert one_sentence(err) and "softmax.safetensors is shipped with facelab" in err
    assert not (tmp_path / "out").exists()


def test_a_large_network_is_warned_about(knows, faces, tmp_path, monkeypatch):
    inside_2025(tmp_path / "hw", faces)
    assert submit(knows, str(tmp_path / "hw"), str(tmp_path / "out")).notes == []
    monkeypatch.setattr(hw2p2_submission, "MOST_PARAMETERS", 1000)
    (note,) = submit(knows, str(tmp_path / "hw"), str(tmp_path / "out")).notes
    assert note.startswith("the network has ") and note.endswith("the course allows 1,000")
