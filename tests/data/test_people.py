"""Who is on which crop: by folder or by list, and what is said where that cannot be told."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.data.folders import CropSet, ImageFolder, fewer_than, load_crops
from tests.conftest import CROP, as_zip, encoded, one_sentence


def values(data: CropSet) -> list[int]:
    """The gray value of each crop, which says which file it was."""
    return data.crops[:][:, 50, 50, 0].tolist()


# Bad folders


def test_an_empty_class_folder_is_named(crop_folder, tmp_path):
    for name in ("nobody", "deep/nobody", ".hidden"):
        (crop_folder / name).mkdir(parents=True)
    words = r"crops has 2 folder\(s\) without any image \(first: deep\); delete them or put that person"
    with pytest.raises(ValueError, match=words) as error:
        load_crops([crop_folder], tmp_path / "cache")
    assert one_sentence(str(error.value), tmp_path) and not (tmp_path / "cache").exists()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("id0/0.png", CROP)
        archive.mkdir("id1")
    with pytest.raises(ValueError, match=r"a\.zip has 1 folder\(s\) without any image \(first: id1\)"):
        load_crops([tmp_path / "a.zip"])


def test_images_outside_any_folder_are_not_taken_for_a_person(crop_folder, tmp_path):
    (crop_folder / "x.png").write_bytes(CROP)
    words = r"crops holds images outside any identity folder \(first: x\.png\); put each person's images into"
    for source in (crop_folder, as_zip(crop_folder, tmp_path / "crops.zip")):
        with pytest.raises(ValueError, match=words.replace("crops", source.name, 1)):
            load_crops([source])
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "x.png").write_bytes(CROP)
    with pytest.raises(ValueError, match="outside any identity folder"):
        load_crops([tmp_path / "flat"])
    assert ImageFolder(tmp_path / "flat").names == ["x.png"]  # a list of pairs may name it


def test_people_with_few_crops_can_be_told():
    labels = np.repeat(np.arange(5), [3, 1, 4, 2, 1])
    data = CropSet(np.zeros((11, 2, 2, 3), np.uint8), labels, tuple("abcde"), tuple(map(str, range(11))))
    names = data.identities
    assert fewer_than(data, 2) == (names[1], names[4])
    assert fewer_than(data.select([3, 1]), 3) == (names[3], names[1])
    assert fewer_than(data, 1) == () and fewer_than(data, 9) == names


# A list of labels in place of folders


def listed(root: Path, lines: str) -> Path:
    (root / "images" / "deep").mkdir(parents=True)
    for name, gray in {"0.png": 10, "1.png": 20, "2.png": 30, "deep/3.png": 40}.items():
        content = encoded(Image.new("RGB", (112, 112), (gray,) * 3), "PNG")
        (root / "images" / name).write_bytes(content)
    (root / "labels.txt").write_text(lines)
    return root


def test_labels_txt_takes_the_place_of_folders(tmp_path):
    source = listed(tmp_path / "train", "1.png 7\n0.png 12\n\ndeep/3.png 7\n2.png 3\n")
    for data in (
        load_crops([source], tmp_path / "cache"),
        load_crops([as_zip(source, tmp_path / "train.zip")]),
    ):
        people = [data.identities[label] for label in data.labels]
        assert dict(zip(values(data), people)) == {
            10: "train/12", 20: "train/7", 30: "train/3", 40: "train/7"
        }  # fmt: skip
        assert not data.skipped


def test_a_changed_list_is_read_again_and_who_is_not_on_it_is_left_out(tmp_path):
    source = listed(tmp_path / "train", "0.png 1\n1.png 1\n2.png 2\ndeep/3.png 2\n")
    assert len(load_crops([source], tmp_path / "cache")) == 4
    (source / "labels.txt").write_text("0.png 5\n1.png 5\n2.png 6")
    data = load_crops([source], tmp_path / "cache")
    assert data.identities == ("train/5", "train/6")
    assert data.skipped == (("images/deep/3.png", "is not named in labels.txt"),)


def test_a_malformed_list_is_answered_by_its_line(tmp_path):
    source = listed(tmp_path / "train", "0.png 1\n1.png\n")
    with pytest.raises(ValueError, match=r"train/labels\.txt, line 2: expected `image label`, got '1\.png'"):
        load_crops([source])
