"""Grouping of unknown faces in Identify: what is said of the cut, and what is left of the faces."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from facelab.data.parametric import ParametricFaces
from facelab.metrics.grouping import group
from facelab.photos.faces import Photo
from facelab.recognition.embedder import as_face, load
from facelab.ui.identify import unknown

MODEL, FAR = "resnet_softmax", 2.0
PROGRESS = type("Progress", (), {"tqdm": staticmethod(lambda items, **_: items)})()


@pytest.fixture
def upload(tmp_path):
    """upload(name, writer) -> path of a file in a folder of its own, as gradio keeps an upload."""

    def make(name, write):
        place = tmp_path / f"upload-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        write(place / name)
        return str(place / name)

    return make


@pytest.fixture(scope="module")
def photos():
    crops = ParametricFaces(2, 1, 0).crop_set().crops
    return [(name, Image.fromarray(crop)) for name, crop in zip(("ada", "ben"), crops)]


def test_photos_of_a_zip_are_grouped_judged_by_folder_and_deleted(upload, photos, tmp_path):
    def write(path):
        with zipfile.ZipFile(path, "w") as file:
            for (person, image), name in zip(photos * 2, ("1.png", "1.png", "2.png", "2.png")):
                with file.open(f"{person}/{name}", "w") as entry:
                    image.save(entry, "PNG")
            file.writestr("nobody/1.png", b"junk")

    faces, card, emptied = unknown.on_group([upload("my.zip", write)], MODEL, FAR, PROGRESS)
    assert emptied is None and not list(tmp_path.iterdir())
    assert "pairwise precision is" in card and "recall 100.0%" in card, "a photo and its copy are one person"
    assert f"threshold of {MODEL} at FAR 0.01" in card and "One photo was left out" in card
    vectors = [load(MODEL).embed(Photo(crop, 1.0), [as_face(crop)])[0] for crop in faces.crops]
    threshold = load(MODEL).calibrated().threshold_for(10.0**-FAR)
    expected = group(np.stack(vectors), threshold)
    assert (
        f"{len(faces.crops)} faces in {expected.groups.max() + 1} group" in card and expected.reason() in card
    )
    strict = unknown.on_settings(faces, MODEL, 4.0)
    assert "at FAR 0.0001" in strict and strict != card
    assert 'role="alert"' in unknown.on_settings(faces, "reference", 2.0)
    unknown.forget(faces)
    assert not any(crop.any() for crop in faces.crops) and not faces.vectors


def test_too_much_or_nothing_is_said_in_one_sentence(upload, photos, tmp_path, monkeypatch):
    image = photos[0][1]
    junk = upload("a.png", lambda path: path.write_bytes(b"junk"))
    two = [upload("b.zip", lambda path: path.write_bytes(b"junk")), upload("b.png", image.save)]
    for paths in ([junk], two, [upload("c.zip", lambda path: path.write_bytes(b"junk"))]):
        state, card, emptied = unknown.on_group(paths, MODEL, FAR, PROGRESS)
        assert 'role="alert"' in card and str(tmp_path) not in card and emptied is None
        assert not isinstance(state, unknown.Faces)
    assert not list(tmp_path.iterdir())
    assert unknown.NO_FILES in unknown.on_group(None, MODEL, FAR, PROGRESS)[1]
    assert not isinstance(unknown.on_settings(None, MODEL, FAR), str)
    monkeypatch.setattr(unknown, "hosted", lambda: True)
    monkeypatch.setattr(unknown, "PHOTOS_HOSTED", 1)
    both = [upload("d.png", image.save), upload("e.png", image.save)]
    assert "2 photos are too many; add 1 or fewer" in unknown.on_group(both, MODEL, FAR, PROGRESS)[1]
    monkeypatch.setattr(unknown, "MOST_FACES", 0)
    assert "faces are the limit" in unknown.on_group([upload("f.png", image.save)], MODEL, FAR, PROGRESS)[1]
