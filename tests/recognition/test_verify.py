"""Two photos, one verdict: the decision follows from score and rate; bad input ends in one sentence."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from facelab.metrics.verification import cosine
from facelab.models import zoo
from facelab.models.zoo import checkpoint_names, find_checkpoint
from facelab.photos.faces import Face, find_faces
from facelab.photos.read import read_photo
from facelab.recognition import embedder as embedders
from facelab.recognition.embedder import as_face, load, model_names
from facelab.recognition.verify import Detection, compare, describe_face, detect, judge, score_faces
from tests.conftest import encoded, one_sentence

KEYS = {
    "model",
    "score",
    "threshold",
    "far",
    "frr",
    "same",
    "probability_same",
    "calibration",
    "faces",
    "warnings",
}


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint):
    return load(str(tiny_checkpoint))


@pytest.fixture
def blank() -> np.ndarray:
    return np.full((120, 160, 3), 128, np.uint8)


def test_a_photo_and_itself_score_one_and_are_the_same(album, tiny_checkpoint):
    path = album / "p1" / "p1_0001.jpg"
    result = compare(path, path, str(tiny_checkpoint), 0.001)
    assert result["score"] == pytest.approx(1, abs=1e-6)
    assert result["same"] is True and set(result) == KEYS
    assert json.loads(json.dumps(result)) == result


def test_the_verdict_is_that_of_the_parts(album, tiny):
    paths = [album / "p1" / "p1_0001.jpg", album / "p2" / "p2_0001.jpg"]
    result = compare(*paths, tiny.name, 0.02)
    vectors = []
    for path in paths:
        photo = read_photo(path)
        vectors.append(tiny.embed(photo, find_faces(photo)[:1]))
    score = cosine(*vectors)[0]
    assert result["score"] == pytest.approx(float(score), abs=1e-6)
    assert result["threshold"] == tiny.points.threshold_for(0.02)
    assert result["frr"] == tiny.points.frr_for(0.02)
    assert result["same"] == (result["score"] >= result["threshold"])
    assert result["probability_same"] == tiny.points.probability(result["score"])
    assert result["calibration"] == "normal draws" and result["model"] == tiny.name
    assert compare(*paths[::-1], tiny.name, 0.02)["score"] == pytest.approx(result["score"], abs=1e-6)


def test_every_kind_of_source_gives_the_same_score(album, tiny_checkpoint):
    path = album / "p1" / "p1_0002.jpg"
    with Image.open(path) as image:
        sources = [path, str(path), path.read_bytes(), image.copy(), np.asarray(image)]
    scores = [compare(sources[0], source, str(tiny_checkpoint), 0.01)["score"] for source in sources]
    assert np.allclose(scores, 1, atol=1e-5)


@pytest.mark.parametrize("far", [0.1, 0.03, 0.001])
def test_a_score_at_the_threshold_is_accepted_and_one_below_is_not(far, tiny):
    threshold = tiny.points.threshold_for(far)
    assert judge(tiny, threshold, far).same is True
    assert judge(tiny, float(np.nextafter(threshold, -1)), far).same is False


def test_a_stricter_rate_never_accepts_more(tiny):
    accepted = [judge(tiny, 0.5, far).same for far in np.geomspace(0.0006, 0.1, 40)]
    assert accepted == sorted(accepted)


@pytest.mark.parametrize("far", [float("nan"), 0, -1, 0.5, 1e-9, float("inf")])
def test_a_bad_rate_is_refused_before_any_photo_is_read(far, tiny_checkpoint):
    with pytest.raises(ValueError, match="it must lie between"):
        compare("missing.jpg", "missing.jpg", str(tiny_checkpoint), far)


def test_without_calibration_there_is_no_verdict(tiny):
    bare = embedders.Embedder("bare", tiny.embed, tiny.score, "cosine similarity", None)
    with pytest.raises(ValueError, match="bare has no thresholds yet; measure them"):
        judge(bare, 0.5, 0.01)


def bad_photos(good: bytes) -> dict[str, tuple[object, str]]:
    return {
        "empty": (b"", "is empty"),
        "text": (b"no photo at all", "save it as JPEG"),
        "short": (good[: len(good) // 2], "export or download it again"),
        "1x1": (encoded(Image.new("RGB", (1, 1)), "PNG"), "only 1x1 pixels; use one"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "save it as JPEG"),
        "no face": (np.full((120, 160, 3), 128, np.uint8), "no face was found; use a sharper"),
        "missing": ("missing.jpg", "does not exist; check"),
    }


@pytest.mark.parametrize("kind", bad_photos(b""))
def test_a_bad_photo_is_named_in_one_sentence(kind, album, tiny_checkpoint):
    good = album / "p1" / "p1_0001.jpg"
    bad, words = bad_photos(good.read_bytes())[kind]
    for pair, name in (((bad, good), "Photo A: "), ((good, bad), "Photo B: ")):
        with pytest.raises(ValueError, match=words) as error:
            compare(*pair, str(tiny_checkpoint), 0.01)
        assert str(error.value).startswith(name)
        assert one_sentence(str(error.value), album)


def test_faces_are_embedded_together_where_their_crops_suffice(album, tiny):
    pair = [detect(album / name / f"{name}_0001.jpg", "Photo") for name in ("p1", "p2")]
    asked = []

    def noted(photo, faces):
        asked.append((photo, faces))
        return tiny.embed(photo, faces)

    together, apart = (replace(tiny, embed=noted, crops_suffice=alone) for alone in (True, False))
    assert tiny.crops_suffice and score_faces(together, *pair) == pytest.approx(score_faces(tiny, *pair))
    ((_, faces),) = asked
    assert faces == [one.faces[0] for one in pair]
    assert score_faces(apart, *pair) == pytest.approx(score_faces(together, *pair), abs=1e-6)
    assert [photo for photo, _ in asked[2:] if photo] and asked[1][0] is pair[0].photo, "each with its photo"
    assert asked[2][0] is pair[1].photo


def test_the_face_of_a_group_can_be_chosen(clearest, portraits, tiny):
    small = np.asarray(Image.fromarray(clearest).resize((180, 180)))
    group = np.full((316, 600, 3), 160, np.uint8)
    group[30:286, 30:286], group[60:240, 370:550] = clearest, small
    detection, alone = detect(group, "Photo A"), detect(portraits[2, 0], "Photo B")
    assert len(detection.faces) == 2
    scores = [score_faces(tiny, detection, alone, index) for index in (0, 1)]
    crops = [tiny.embed(s.photo, [s.faces[i]]) for s, i in ((detection, 0), (detection, 1), (alone, 0))]
    assert scores == pytest.approx([cosine(crops[i], crops[2])[0] for i in (0, 1)], abs=1e-6)
    assert describe_face(detection, 1)["found"] == 2
    assert 370 < describe_face(detection, 1)["box"][0] < 550
    for index in (-1, 2, 99):
        with pytest.raises(ValueError, match=rf"Photo A has 2 face\(s\); there is no face {index + 1}"):
            score_faces(tiny, detection, alone, index)


def test_boxes_are_told_in_pixels_of_the_photo_that_was_given(portraits):
    small = detect(portraits[1, 0], "Photo A")
    large = detect(np.asarray(Image.fromarray(portraits[1, 0]).resize((4096, 4096))), "Photo B")
    assert large.photo.scale == 2 and small.photo.scale == 1
    a, b = describe_face(small, 0), describe_face(large, 0)
    assert np.abs(np.array(b["landmarks"]) / 16 - a["landmarks"]).max() < 4
    assert set(a) == {"found", "face", "main", "box", "landmarks", "confidence"}
    assert 0.95 <= a["confidence"] <= 1


def test_original_pixels_account_for_the_half_pixel(portraits):
    """The centers of a reduced photo's pixels lie between those of the original."""
    large = read_photo(np.asarray(Image.fromarray(portraits[1, 0]).resize((4096, 4096))))
    rng = np.random.default_rng(0)
    for scale, photo in ((2.0, large), (1.0, read_photo(portraits[1, 0]))):
        side = photo.pixels.shape[0]
        points = rng.uniform(0, side - 1, (5, 2)).astype(np.float32)
        face = Face(np.array([0, 0, side, side], np.float32), points, 1.0, portraits[0, 0, :112, :112])
        told = describe_face(Detection(photo, [face]), 0)
        assert np.abs(np.array(told["landmarks"]) - ((points + 0.5) * scale - 0.5)).max() < 0.051
        assert told["box"] == [0, 0, side * scale, side * scale]  # the whole photo is the whole photo


def test_a_dot_of_a_large_photo_is_told_where_the_photo_has_it():
    """A 4x4 dot of 4096 pixels is a 2x2 dot of 2048; both have one middle."""
    pixels = np.zeros((4096, 4096, 3), np.uint8)
    pixels[1000:1004, 3000:3004] = 255
    photo = read_photo(pixels)
    rows, columns = np.nonzero(photo.pixels[:, :, 0] > 127)
    point = np.array([[columns.mean(), rows.mean()]] * 5, np.float32)
    face = Face(np.array([0, 0, 9, 9], np.float32), point, 1.0, photo.pixels[:112, :112])
    assert describe_face(Detection(photo, [face]), 0)["landmarks"] == [[3001.5, 1001.5]] * 5


@pytest.fixture(scope="module")
def crowd(clearest) -> np.ndarray:
    """A face in the middle, and a larger one at the edge: the main face is not the largest."""
    canvas = np.full((500, 900, 3), 160, np.uint8)
    for left, top, side in ((0, 0, 300), (350, 150, 220)):
        small = np.asarray(Image.fromarray(clearest).resize((side, side)))
        canvas[top : top + side, left : left + side] = small
    return canvas


def test_the_face_that_is_judged_is_the_one_that_thresholds_were_measured_on(crowd, portraits, tiny):
    detection, alone = detect(crowd, "Photo A"), detect(portraits[2, 0], "Photo B")
    assert [detection.main, alone.main, len(detection.faces)] == [1, 0, 2]
    wanted = score_faces(tiny, detection, alone, 1, 0)
    assert score_faces(tiny, detection, alone) == wanted != score_faces(tiny, detection, alone, 0, 0)
    result = compare(crowd, portraits[2, 0], tiny.name, 0.01)
    assert result["score"] == wanted
    assert [(face["face"], face["main"], face["found"]) for face in result["faces"]] == [
        (2, True, 2),
        (1, True, 1),
    ]
    largest = compare(crowd, portraits[2, 0], tiny.name, 0.01, face_a=0)
    assert (largest["faces"][0]["face"], largest["faces"][0]["main"]) == (1, False)
    assert compare(portraits[2, 0], crowd, tiny.name, 0.01)["faces"][1]["face"] == 2


def test_the_page_opens_on_the_main_face(crowd, portraits, tiny):
    from facelab.ui.compare.tab import pair_of, show_faces

    pair = pair_of(crowd, portraits[2, 0], tiny.name)
    assert (pair.face_a, pair.face_b) == (1, 0)
    assert pair.score == score_faces(tiny, pair.a, pair.b, 1, 0)
    assert "face 2 is used" in show_faces(pair)[0] and show_faces(pair)[2]["value"] == "2"


# Names of models


def test_models_are_found_by_name_and_by_path(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "CHECKPOINTS", tiny_checkpoint.parent)
    assert checkpoint_names() == ["tiny"]
    assert find_checkpoint("tiny") == find_checkpoint(str(tiny_checkpoint)) == tiny_checkpoint
    monkeypatch.chdir(tiny_checkpoint.parent)
    assert find_checkpoint("tiny.safetensors").is_file()
    monkeypatch.setattr(embedders.reference, "is_installed", lambda: False)
    assert model_names() == ["tiny"]
    for name in ("tinny", "", "x" * 300, "../tiny", "a\0b", str(tmp_path)):
        with pytest.raises(ValueError, match="there is no model") as error:
            find_checkpoint(name)
        assert "Legal: tiny" in str(error.value)
    with pytest.raises(ValueError, match=r"did you mean tiny\?"):
        load("tinny")


def test_a_rewritten_checkpoint_is_loaded_afresh(tiny_checkpoint, tmp_path):
    from dataclasses import replace

    from facelab.models import checkpoint

    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    assert load(str(path)).points is not None
    checkpoint.update_header(path, replace(checkpoint.describe(path), operating_points=None))
    assert load(str(path)).points is None


def test_only_an_aligned_crop_passes_for_a_face():
    crop = np.zeros((112, 112, 3), np.uint8)
    assert as_face(crop).crop is crop
    with pytest.raises(ValueError, match="100x112 is not an aligned 112x112 crop"):
        as_face(np.zeros((112, 100, 3), np.uint8))


def test_the_reference_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embedders, "reference", SimpleNamespace(NAME="reference", is_installed=lambda: False,
                                                               MISSING="install it with pip"))  # fmt: skip
    embedders._load_reference.cache_clear()
    with pytest.raises(ValueError, match="install it with pip"):
        load("reference")
    embedders._load_reference.cache_clear()


def test_the_packages_function_is_not_hidden_by_a_module_of_its_name():
    # Importing a submodule sets an attribute of the package, so whichever comes last would win.
    program = (
        "import facelab, inspect, pkgutil\n"
        "modules = {module.name for module in pkgutil.iter_modules(facelab.__path__)}\n"
        "assert not modules & set(facelab.__all__)\n"
        "assert all(not inspect.ismodule(getattr(facelab, name)) for name in facelab.__all__)\n"
        "assert {'a', 'b', 'model', 'far'} <= set(inspect.signature(facelab.compare).parameters)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
