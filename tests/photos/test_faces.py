"""Faces: found where they are, in order of size, none where there is none, and warped onto the template."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facelab.data.folders import ImageFolder
from facelab.data.parametric import sample_identities
from facelab.photos import faces
from facelab.photos.cascade import OutsideError
from facelab.photos.faces import MAX_FACES, TEMPLATE, Face, Photo, align, find_faces, find_largest, main_face
from facelab.photos.read import read_photo
from facelab.recognition.verify import describe_face, detect, score_faces
from facelab.ui.widgets.cards import found_card
from tests.conftest import drawn


def photo_of(pixels: np.ndarray) -> Photo:
    return Photo(np.ascontiguousarray(pixels), 1.0)


def tiled(*rows: tuple[np.ndarray, ...]) -> np.ndarray:
    """Pictures of one size side by side, on a gray ground that keeps them apart."""
    framed = [[np.pad(p, ((30, 30), (30, 30), (0, 0)), constant_values=160) for p in row] for row in rows]
    return np.concatenate([np.concatenate(row, 1) for row in framed], 0)


# Detection


def test_most_rendered_people_are_found():
    poses = np.concatenate([drawn(person) for person in sample_identities(6, 11).split(1)])
    found = [len(find_faces(photo_of(pixels))) for pixels in poses]
    assert max(found) == 1 and np.mean(found) >= 0.75


def test_a_face_has_its_landmarks_in_its_box_and_its_crop_from_them(portraits):
    for pixels in portraits[:, 0]:
        (face,) = find_faces(photo_of(pixels))
        assert 0.95 <= face.confidence <= 1
        left, top, right, bottom = face.box
        assert 0 < right - left < 256 and 0 < bottom - top < 256
        assert (face.landmarks >= (left, top)).all() and (face.landmarks <= (right, bottom)).all()
        eye, other = face.landmarks[:2]
        assert other[0] - eye[0] > 20 and abs(other[1] - eye[1]) < 15
        assert np.array_equal(face.crop, align(pixels, face.landmarks))


def test_several_faces_come_largest_first(clearest):
    canvas = np.full((330, 800, 3), 160, np.uint8)
    for left, side in ((20, 160), (210, 256), (500, 210)):
        canvas[30 : 30 + side, left : left + side] = np.asarray(
            Image.fromarray(clearest).resize((side, side))
        )
    found = find_faces(photo_of(canvas))
    area = [(f.box[2] - f.box[0]) * (f.box[3] - f.box[1]) for f in found]
    assert area == sorted(area, reverse=True)
    middles = np.array([f.box[[0, 2]].mean() for f in found])
    assert np.abs(middles - (210 + 128, 500 + 105, 20 + 80)).max() < 25


def test_twelve_faces_are_all_found(clearest):
    found = find_faces(photo_of(tiled(*[[clearest] * 4] * 3)))
    cells = {(int(f.box[[0, 2]].mean() // 316), int(f.box[[1, 3]].mean() // 316)) for f in found}
    assert len(found) == len(cells) == 12


def test_of_a_crowd_the_largest_faces_are_used(monkeypatch):
    rng = np.random.default_rng(0)
    count, photo = 300, photo_of(rng.integers(0, 256, (600, 600, 3), np.uint8))
    corner, side = rng.uniform(0, 500, (count, 2)), rng.permutation(np.linspace(40, 90, count))[:, None]
    boxes = np.hstack([corner, corner + side]).astype(np.float32)
    points = (corner[:, None] + side[:, None] * TEMPLATE / 112).astype(np.float32)
    found = boxes, points, np.full(count, 0.9999, np.float32)
    monkeypatch.setattr(faces, "_detect", lambda pixels: found)
    used, all_of_them = find_largest(photo)
    assert (len(used), all_of_them) == (MAX_FACES, count)
    widths = [float(face.box[2] - face.box[0]) for face in used]
    assert widths == sorted(widths, reverse=True)
    assert widths == pytest.approx(sorted(side[:, 0], reverse=True)[:MAX_FACES], abs=1e-3)
    seen = detect(photo.pixels, "Photo A")
    assert (len(seen.faces), seen.left_out) == (MAX_FACES, count - MAX_FACES)
    assert describe_face(seen, 0)["found"] == count
    card = found_card(seen, 0, "Photo A")
    assert f"{count} faces found" in card and f"the largest {MAX_FACES} can be chosen" in card
    with pytest.raises(ValueError, match=f"{count - MAX_FACES} smaller ones; there is no face 100"):
        score_faces(None, seen, seen, face_a=99)


def test_a_face_found_only_with_a_margin_is_told_in_the_photos_own_pixels(portraits, monkeypatch):
    pixels = portraits[0, 0]
    (plain,) = find_faces(photo_of(pixels))
    detect, shapes = faces._detect, []

    def blind_at_first(seen):
        shapes.append(seen.shape)
        return tuple(part[: len(part) * (len(shapes) > 1)] for part in detect(seen))

    monkeypatch.setattr(faces, "_detect", blind_at_first)
    (face,) = find_faces(photo_of(pixels))
    assert shapes == [(256, 256, 3), (512, 512, 3)]
    assert np.abs(face.landmarks - plain.landmarks).max() < 4
    assert np.abs(face.box - plain.box).max() < 12
    assert np.array_equal(face.crop, align(pixels, face.landmarks))


def test_tight_crops_are_found_and_stay_where_they_are(portraits):
    for pixels in portraits[:, 0]:
        (face,) = find_faces(photo_of(find_faces(photo_of(pixels))[0].crop))
        assert np.abs(face.landmarks - TEMPLATE).max() < 8


def test_the_margin_finds_real_crops_that_would_be_missed(shared):
    folder = ImageFolder(shared / "celeba112.zip")
    photos = [read_photo(folder.read(name)) for name in folder.names[:600:10]]
    without = sum(len(faces._detect(photo.pixels)[0]) > 0 for photo in photos)
    found = sum(bool(find_faces(photo)) for photo in photos)
    assert found > without and found >= 0.97 * len(photos)


def test_reduction_for_detection_is_undone(portraits):
    """The same picture at four times the size: boxes and landmarks are four times as large."""
    small = find_faces(photo_of(portraits[0, 0]))[0]
    large = find_faces(photo_of(np.asarray(Image.fromarray(portraits[0, 0]).resize((2048, 2048)))))[0]
    assert np.abs(large.landmarks / 8 - small.landmarks).max() < 4
    assert np.abs(large.box / 8 - small.box).max() < 12


def test_a_strip_keeps_its_height_for_detection(portraits):
    """60 pixels of height out of 2,000: reduced to 960 they would be too few for any face."""
    strip = np.full((64, 2000, 3), 160, np.uint8)
    strip[:, 900:964] = np.asarray(Image.fromarray(portraits[0, 0][40:210, 43:213]).resize((64, 64)))
    (face,) = find_faces(photo_of(strip))
    assert 900 < face.box[[0, 2]].mean() < 964


@pytest.mark.parametrize(
    "size", [(41, 2000), (2000, 41), (40, 40), (40, 1999), (97, 1280), (333, 40), (959, 961)], ids=str
)
@pytest.mark.parametrize("kind", ["flat", "gradient", "noise", "blobs"])
def test_no_face_where_there_is_none_at_any_shape(size, kind):
    height, width = size
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 256, (max(2, height // 30), max(2, width // 30), 3), dtype=np.uint8)
    pixels = {
        "flat": np.full((height, width, 3), 77, np.uint8),
        "gradient": np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3)),
        "noise": rng.integers(0, 256, (height, width, 3)),
        "blobs": np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)),
    }[kind]
    assert find_faces(photo_of(pixels.astype(np.uint8))) == []


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_cut_and_stretched_portraits_never_crash_the_detector(portraits, data):
    """Faces cut by the edge give second-stage boxes that lie outside the photo."""
    x, y = data.draw(st.integers(0, 200)), data.draw(st.integers(0, 200))
    size = data.draw(st.integers(40, 400)), data.draw(st.integers(40, 400))
    part = Image.fromarray(portraits[data.draw(st.integers(0, 3)), 0]).crop((x, y, 256, 256)).resize(size)
    for face in find_faces(photo_of(np.asarray(part))):
        assert np.isfinite(face.landmarks).all() and face.crop.shape == (112, 112, 3)


def test_a_photo_with_a_candidate_outside_it_is_searched_again_with_a_margin(portraits, monkeypatch):
    true = faces.cascade

    def detect(networks, pixels, min_face):
        if pixels.shape == (256, 256, 3):
            raise OutsideError
        return true(networks, pixels, min_face)

    monkeypatch.setattr(faces, "cascade", detect)
    (face,) = find_faces(photo_of(portraits[0, 0]))
    assert face.landmarks[1, 0] - face.landmarks[0, 0] > 20


def test_want_of_memory_is_not_taken_for_want_of_a_face(portraits, monkeypatch):
    def detect(networks, pixels, min_face):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(faces, "cascade", detect)
    with pytest.raises(RuntimeError, match="memory"):
        find_faces(photo_of(portraits[0, 0]))


@pytest.mark.parametrize("size", [(39, 500), (1, 1), (500, 12)])
def test_a_photo_smaller_than_any_face_is_refused_with_its_size(size):
    with pytest.raises(ValueError, match=f"only {size[1]}x{size[0]} pixels; use one in which the face is 40"):
        find_faces(photo_of(np.zeros((*size, 3), np.uint8)))


def test_eight_threads_find_the_same(portraits):
    photos = [photo_of(portraits[i % 4, i % 3]) for i in range(16)]
    alone = [find_faces(photo)[0] for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        together = [found[0] for found in pool.map(find_faces, photos)]
    for a, b in zip(alone, together):
        assert np.array_equal(a.crop, b.crop) and np.array_equal(a.box, b.box)


def test_there_is_one_detector_however_many_threads_ask(portraits, monkeypatch):
    import facenet_pytorch

    made = []
    original = facenet_pytorch.MTCNN
    monkeypatch.setattr(facenet_pytorch, "MTCNN", lambda **options: made.append(1) or original(**options))
    faces._detector.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(find_faces, [photo_of(portraits[0, 0])] * 8))
    assert len(made) == 1


def test_an_upright_face_is_found_whatever_the_camera_stored(portraits):
    lying = Image.fromarray(portraits[0, 0]).transpose(Image.Transpose.ROTATE_90)
    exif = lying.getexif()
    exif[0x0112] = 6
    found = find_faces(read_photo(lying))
    expected = find_faces(photo_of(portraits[0, 0]))
    assert np.array_equal(found[0].crop, expected[0].crop)


# The main face


def face_at(left: float, top: float, side: float) -> Face:
    box = np.array([left, top, left + side, top + side], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), 1.0, np.zeros((112, 112, 3), np.uint8))


def test_the_main_face_is_large_and_central():
    photo = photo_of(np.zeros((300, 300, 3), np.uint8))
    central, corner, tiny = face_at(110, 110, 80), face_at(0, 0, 100), face_at(140, 140, 20)
    assert main_face([corner, central, tiny], photo) is central
    assert main_face([face_at(60, 60, 180), central], photo) is not central


def test_without_a_face_the_sentence_says_what_to_do():
    with pytest.raises(ValueError, match="no face was found; use a sharper"):
        main_face([], photo_of(np.zeros((50, 50, 3), np.uint8)))
