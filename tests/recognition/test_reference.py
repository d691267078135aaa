"""The reference embedder: optional, repeatable, and good at what its author says."""

import importlib.util

import numpy as np
import pytest

from facelab.data.folders import ImageFolder
from facelab.data.matching import resolve
from facelab.data.pairs import read_pairs
from facelab.photos.faces import Photo, find_faces, main_face, read_photo
from facelab.recognition import reference

installed = pytest.mark.skipif(
    not reference.is_installed(), reason="dlib-bin or its weights are not installed"
)
AUTHORS_THRESHOLD = 1 - 0.6


def embedding(photo: Photo) -> np.ndarray:
    return reference.embed_faces(photo, [main_face(find_faces(photo), photo)])


@pytest.mark.parametrize("missing", ["dlib", "face_recognition_models"])
def test_without_a_package_one_sentence_says_what_to_install(missing, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert not reference.is_installed()
    with pytest.raises(ValueError, match="install it with `pip install") as error:
        if missing == "face_recognition_models":
            reference._weights("shape_predictor_5_face_landmarks.dat")
        else:
            from facelab.recognition.embedder import _load_reference

            _load_reference.cache_clear()
            _load_reference()
    assert str(error.value) == reference.MISSING and "\n" not in reference.MISSING


def test_a_package_without_the_weights_counts_as_missing():
    with pytest.raises(ValueError, match="not installed; install it"):
        reference._weights("no_such_file.dat")


@installed
def test_embeddings_repeat_bit_for_bit_and_do_not_depend_on_company(portraits):
    photo = Photo(portraits[1, 0], 1.0)
    face = main_face(find_faces(photo), photo)
    once = reference.embed_faces(photo, [face])
    assert once.shape == (1, reference.DIMENSION) and once.dtype == np.float32
    assert np.array_equal(once, reference.embed_faces(photo, [face]))
    assert np.array_equal(np.repeat(once, 2, 0), reference.embed_faces(photo, [face, face]))
    assert reference.embed_faces(photo, []).shape == (0, reference.DIMENSION)


def test_the_score_is_one_minus_the_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 128))
    expected = [1 - np.sqrt(sum((x - y) ** 2 for x, y in zip(p, q))) for p, q in zip(a, b)]
    assert reference.score(a, b) == pytest.approx(expected)
    assert (reference.score(a, a) == 1).all()


def test_a_box_becomes_a_square_about_its_middle():
    left, top, right, bottom = reference._square(np.array([10, 20, 50, 80], np.float32))
    assert right - left == bottom - top == 50
    assert ((left + right) / 2, (top + bottom) / 2) == (30, 50)


@installed
def test_one_rendered_person_scores_higher_than_two(portraits):
    vectors = [[embedding(Photo(pixels, 1.0)) for pixels in person[:2]] for person in portraits]
    genuine = [float(reference.score(a, b)[0]) for a, b in vectors]
    impostor = [float(reference.score(vectors[i][0], vectors[j][1])[0])
                for i in range(len(vectors)) for j in range(len(vectors)) if i != j]  # fmt: skip
    assert np.mean(genuine) > np.mean(impostor) + 0.1
    assert np.median(genuine) > np.quantile(impostor, 0.8)


@installed
def test_real_pairs_separate_at_the_authors_threshold(shared):
    """40 pairs of view 1, which thresholds may be chosen on; the figure of all 6,000 is the evaluation's."""
    pairs = read_pairs(shared / "lfw-protocol" / "pairsDevTest.txt")
    rows = [*np.flatnonzero(pairs.same)[:20], *np.flatnonzero(~pairs.same)[:20]]
    folder = ImageFolder(shared / "lfw250.zip")
    names = resolve([side[i] for side in (pairs.first, pairs.second) for i in rows], folder.names)
    vectors = {name: embedding(read_photo(folder.read(name))) for name in set(names)}
    scores = np.array([reference.score(vectors[a], vectors[b])[0] for a, b in zip(names[:40], names[40:])])
    right = (scores >= AUTHORS_THRESHOLD) == pairs.same[rows]
    assert right.mean() >= 0.9


@installed
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_the_network_gives_dlibs_own_numbers(kind):
    import dlib
    import torch
    from PIL import Image

    from facelab.recognition.reference_net import ReferenceNetwork

    rng = np.random.default_rng(0)
    side = 150 if kind == "noise" else 8
    chip = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((150, 150))
    chip = np.array(chip)
    path = reference._weights("dlib_face_recognition_resnet_model_v1.dat")
    theirs = np.array(dlib.face_recognition_model_v1(path).compute_face_descriptor(chip))
    with torch.inference_mode():
        ours = ReferenceNetwork(path)(torch.from_numpy(chip).permute(2, 0, 1)[None].float())[0].numpy()
    assert np.abs(ours - theirs).max() < 2e-6 < np.abs(theirs).max()


def test_another_file_is_refused_in_one_sentence(tmp_path):
    from facelab.recognition.reference_net import ReferenceNetwork

    (tmp_path / "x.dat").write_bytes(b"no network")
    with pytest.raises(ValueError, match="is not dlib's face network"):
        ReferenceNetwork(tmp_path / "x.dat")
