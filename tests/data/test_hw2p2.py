"""The homework's data in both of its layouts, and the two files that are handed in."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.data.folders import load_crops
from facelab.data.hw2p2 import class_labels, find_homework, load_split
from facelab.data.hw2p2_files import write_classes, write_scores
from facelab.data.images import ImageFolder
from facelab.data.pairs import read_pairs
from facelab.data.parametric import ParametricFaces
from facelab.evaluation.hw2p2_submission import submit
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.model import embed
from facelab.photos.faces import read_photo
from tests.conftest import TINY, encoded, one_sentence

PEOPLE = 4  # as many as the tiny checkpoint knows
LABELS = (7, 12, 3, 100)  # a label is a name: sorted as words they are 100, 12, 3, 7


@pytest.fixture(scope="module")
def faces() -> list[bytes]:
    """16 rendered crops, four of each person."""
    crops, _ = ParametricFaces(PEOPLE, 4, seed=3).rows(torch.arange(16))
    return [encoded(Image.fromarray(crop), "PNG") for crop in np.asarray(crops)]


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def listed(faces, tmp_path) -> Path:
    """The layout since fall 2024: labels.txt, ver_data, val_pairs.txt and test_pairs.txt."""
    root = tmp_path / "hw2p2_data"
    for split, take in (("train", (0, 1)), ("dev", (2,)), ("test", (3,))):
        lines = []
        for person in range(PEOPLE):
            for i in take:
                put(root / "cls_data" / split / "images" / f"{person}{i}.png", faces[4 * person + i])
                lines.append(f"{person}{i}.png {LABELS[person]}")
        (root / "cls_data" / split / "labels.txt").write_text("\n".join(lines))
    for i, content in enumerate(faces):
        put(root / "ver_data" / f"{i:03d}.png", content)
    (root / "val_pairs.txt").write_text("000.png 001.png 1\n000.png 004.png 0\n")
    (root / "test_pairs.txt").write_text("000.png 001.png\n005.png 012.png\n007.png 007.png\n")
    return root


@pytest.fixture
def foldered(faces, tmp_path) -> Path:
    """The layout before: a folder per person, flat test images, names with the folder in the lists."""
    root = tmp_path / "11-785-homework"
    for person in range(PEOPLE):
        for split, take in (("train_data", (0, 1)), ("val_data", (2,))):
            for i in take:
                name = f"n00000{9 - person}/{i}.png"
                put(root / "classification_data" / split / name, faces[4 * person + i])
        put(root / "classification_data" / "test_data" / f"{person:06d}.png", faces[4 * person + 3])
    for i, content in enumerate(faces):
        put(root / "verification_data" / f"{i:08d}.png", content)
    (root / "verification_pairs_test.txt").write_text(
        "verification_data/00000000.png verification_data/00000001.png\n"
        "verification_data/00000005.png verification_data/00000012.png\n"
    )
    (root / "verification_pairs_val.txt").write_text(
        "verification_data/00000000.png verification_data/00000001.png 1\n"
    )
    return root


def rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def expected_score(tiny_checkpoint, a: bytes, b: bytes) -> float:
    """Cosine of the flip-averaged embeddings, by hand."""
    model, _, _ = checkpoint.load(tiny_checkpoint)
    x, y = embed(model, np.stack([read_photo(a).pixels, read_photo(b).pixels])).astype(float)
    return x @ y / np.sqrt((x @ x) * (y @ y))


# Finding and loading


def test_both_layouts_are_found(listed, foldered):
    new, old = find_homework(listed), find_homework(foldered)
    assert new.train == listed / "cls_data" / "train" and new.test == listed / "cls_data" / "test"
    assert new.faces == listed / "ver_data" and new.test_pairs == listed / "test_pairs.txt"
    assert old.dev == foldered / "classification_data" / "val_data"
    assert old.faces == foldered / "verification_data"
    assert old.val_pairs == foldered / "verification_pairs_val.txt"
    assert len(read_pairs(new.val_pairs)) == 2 and len(read_pairs(old.val_pairs)) == 1


def test_what_is_no_homework_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is not a folder; unpack the homework with"):
        find_homework(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has neither cls_data/train nor test_pairs\.txt"):
        find_homework(tmp_path)


def test_the_labels_are_those_of_the_homeworks_files(listed, foldered):
    assert class_labels(find_homework(listed).train) == {str(label): str(label) for label in LABELS}
    names = ["n000006", "n000007", "n000008", "n000009"]
    assert class_labels(find_homework(foldered).train) == {name: str(i) for i, name in enumerate(names)}


@pytest.mark.parametrize("layout", ["listed", "foldered"])
def test_a_class_has_one_label_in_every_split(layout, request):
    homework = find_homework(request.getfixturevalue(layout))
    train = load_crops([homework.train])
    dev = load_split(homework.dev, train.identities)
    assert dev.identities == train.identities and len(train) == 8 and len(dev) == 4
    for label in range(PEOPLE):  # renderings of one person differ less than those of two
        own = train.crops[:][train.labels == label].astype(float).mean(0)
        shown = dev.crops[:].astype(float)
        assert np.abs(shown - own).mean((1, 2, 3)).argmin() == np.flatnonzero(dev.labels == label)


def test_a_class_that_was_not_trained_on_is_named(foldered):
    homework = find_homework(foldered)
    kept = ("train_data/n000006", "train_data/n000008", "train_data/n000009")
    with pytest.raises(ValueError, match=r"val_data has 1 of 4 classes .* \(first: n000007\); train with"):
        load_split(homework.dev, kept)
    assert load_split(homework.dev, [*kept, "train_data/n000007"]).labels.tolist() == [0, 3, 1, 2]


# Files


def test_a_submission_is_what_the_course_reads(tmp_path):
    scores = np.array([0.123456789123, -1.0, 1e-12])
    write_scores(tmp_path / "a.csv", "abc", "xyz", scores)
    assert (tmp_path / "a.csv").read_bytes() == b"ID,Label\n0,0.123456789\n1,-1\n2,1e-12\n"
    write_scores(tmp_path / "a.csv", "abc", "xyz", scores, "names")
    assert rows(tmp_path / "a.csv")[:2] == [["Id", "Category"], ["a x", "0.123456789"]]
    write_classes(tmp_path / "b.csv", ["000000.jpg", 'a "b", c.jpg'], ["3", "0"])
    assert rows(tmp_path / "b.csv") == [["id", "label"], ["000000.jpg", "3"], ['a "b", c.jpg', "0"]]
    assert {p.name for p in tmp_path.iterdir()} == {"a.csv", "b.csv"}


def test_scores_of_the_new_layout(listed, faces, tiny_checkpoint, tmp_path):
    done = submit(str(tiny_checkpoint), str(listed), str(tmp_path / "out"))
    assert [path.name for path in done.files] == ["verification.csv", "classification.csv", "metadata.json"]
    assert not done.failures and not done.notes
    scores = rows(tmp_path / "out" / "verification.csv")
    assert scores[0] == ["ID", "Label"] and [row[0] for row in scores[1:]] == ["0", "1", "2"]
    for row, (a, b) in zip(scores[1:], ((0, 1), (5, 12), (7, 7))):
        assert float(row[1]) == pytest.approx(expected_score(tiny_checkpoint, faces[a], faces[b]), abs=1e-5)


def test_scores_of_the_old_layout_are_called_by_their_images(foldered, faces, tiny_checkpoint, tmp_path):
    submit(str(tiny_checkpoint), str(foldered), str(tmp_path))
    header, first, second = rows(tmp_path / "verification.csv")
    assert header == ["Id", "Category"]
    assert first[0] == "verification_data/00000000.png verification_data/00000001.png"
    assert float(second[1]) == pytest.approx(expected_score(tiny_checkpoint, faces[5], faces[12]), abs=1e-5)


def saved(tmp_path, tiny_run, **changes) -> str:
    model, _, header = tiny_run
    path = tmp_path / "changed.safetensors"
    header = dataclasses.replace(header, **changes)
    loss_fn = build_loss(header.recipe.loss, 16, 4, header.recipe.loss_options())
    checkpoint.save(path, model, loss_fn, header)
    return str(path)


def nearest(tmp_path, tiny_run, crops: list[bytes], identities: tuple[str, ...]) -> str:
    """A checkpoint whose class k is whatever lies nearest to crop k: logits 2 e_k·e - |e_k|²."""
    model, _, header = tiny_run
    loss_fn = build_loss("softmax", 16, 4, header.recipe.loss_options())
    prototypes = torch.from_numpy(embed(model, np.stack([read_photo(crop).pixels for crop in crops])) / 2)
    loss_fn.linear.weight.data, loss_fn.linear.bias.data = 2 * prototypes, -prototypes.square().sum(1)
    path = tmp_path / "nearest.safetensors"
    checkpoint.save(path, model, loss_fn, dataclasses.replace(header, identities=identities))
    return str(path)


@pytest.mark.parametrize("kept", [True, False])
def test_each_test_image_gets_its_own_label(kept, listed, faces, tiny_run, tmp_path):
    order = (2, 3, 0, 1) if kept else (3, 1, 2, 0)  # without kept names: as a training set sorts them
    crops = [faces[4 * person + 3] for person in order]
    identities = tuple(f"train/{LABELS[person]}" for person in order) if kept else ()
    submit(nearest(tmp_path, tiny_run, crops, identities), str(listed), str(tmp_path))
    assert rows(tmp_path / "classification.csv") == [
        ["id", "label"], ["03.png", "7"], ["13.png", "12"], ["23.png", "3"], ["33.png", "100"]
    ]  # fmt: skip


def test_folders_are_called_by_their_place(foldered, faces, tiny_run, tmp_path):
    order = (1, 0, 3, 2)
    crops = [faces[4 * person + 3] for person in order]
    identities = tuple(f"crops/n00000{9 - person}" for person in order)
    submit(nearest(tmp_path, tiny_run, crops, identities), str(foldered), str(tmp_path))
    assert rows(tmp_path / "classification.csv")[1:] == [[f"{i:06d}.png", str(3 - i)] for i in range(4)]


def test_a_checkpoint_of_other_classes_still_scores_pairs(listed, tiny_run, tmp_path):
    other = saved(tmp_path, tiny_run, identities=("x/1", "x/2", "x/3", "x/4"))
    done = submit(other, str(listed), str(tmp_path / "out"))
    assert [path.name for path in done.files] == ["verification.csv", "metadata.json"]
    assert done.notes == [
        "classification.csv was not written, since the checkpoint was trained on 1, which train does not have"
    ]
    (listed / "cls_data" / "train" / "labels.txt").write_text("00.png 3\n10.png 7")
    done = submit(saved(tmp_path, tiny_run), str(listed), str(tmp_path / "out"))
    assert done.notes == [
        "classification.csv was not written, since the checkpoint has 4 classes and train has 2"
    ]


def test_a_loss_without_logits_scores_pairs(listed, tiny_run, tmp_path):
    recipe = dataclasses.replace(TINY, loss="triplet")
    done = submit(saved(tmp_path, tiny_run, recipe=recipe), str(listed), str(tmp_path / "out"))
    assert done.notes == [
        "classification.csv was not written, since the loss triplet compares pairs and has no class logits"
    ]


def test_an_unreadable_image_is_told_and_keeps_its_rows(listed, tiny_checkpoint, tmp_path):
    (listed / "ver_data" / "012.png").write_bytes(b"broken")
    (listed / "cls_data" / "test" / "images" / "13.png").write_bytes(encoded(Image.new("RGB", (9, 9)), "PNG"))
    done = submit(str(tiny_checkpoint), str(listed), str(tmp_path / "out"))
    assert set(done.failures) == {"012.png", "images/13.png"}
    assert "9x9 is not an aligned 112x112 crop" in done.failures["images/13.png"]
    assert [row[1] == "-1" for row in rows(tmp_path / "out" / "verification.csv")[1:]] == [False, True, False]
    assert len(rows(tmp_path / "out" / "classification.csv")) == 5


def test_an_image_that_is_not_there_stops_it(listed, tiny_checkpoint, tmp_path):
    (listed / "test_pairs.txt").write_text("000.png 999.png\n")
    with pytest.raises(
        ValueError, match=r"1 image of the list cannot be matched, the first: 999\.png"
    ) as stop:
        submit(str(tiny_checkpoint), str(listed), str(tmp_path / "out"))
    assert one_sentence(str(stop.value)) and not (tmp_path / "out").exists()
    assert len(ImageFolder(listed / "ver_data").names) == 16
