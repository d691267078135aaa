"""Turned photos: found at any quarter turn, told in the photo's own frame, and paid for only in doubt."""

import numpy as np
import pytest
from PIL import Image

from facelab.data.images import ImageFolder
from facelab.photos import faces
from facelab.photos.faces import Photo, find_faces
from facelab.photos.read import read_photo
from facelab.photos.turns import quarter_turns, turned_back
from facelab.recognition import reference


def photo_of(pixels: np.ndarray) -> Photo:
    return Photo(np.ascontiguousarray(pixels), 1.0)


def test_points_and_boxes_come_back_to_where_they_were():
    """A marked pixel, and the box around it, for every turn of a photo that is no square."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        height, width = rng.integers(5, 40, 2)
        x, y = rng.integers(width), rng.integers(height)
        pixels = np.zeros((height, width), np.uint8)
        pixels[y, x] = 1
        for turns in range(4):
            (row,), (column,) = np.nonzero(np.rot90(pixels, turns))
            box = np.array([[column, row, column + 1, row + 1]], np.float32)
            points = np.array([[column, row]], np.float32)
            boxes, landmarks = turned_back(box, points, width, height, turns)
            assert landmarks.tolist() == [[x, y]]
            assert boxes.tolist() == [[x, y, x + 1, y + 1]]


def test_quarter_turns_set_a_face_upright():
    for turned in range(4):
        _, points = turned_back(np.empty((0, 4)), faces.TEMPLATE, 112, 112, turned)
        assert quarter_turns(points) == turned
    assert quarter_turns(np.zeros((5, 2))) == 0
    angle = np.radians(40)  # less than half a quarter is upright
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert quarter_turns(faces.TEMPLATE @ rotation) == quarter_turns(faces.TEMPLATE @ rotation.T) == 0


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_portrait_gives_the_upright_crop_in_its_own_frame(turns, portraits):
    for pixels in portraits[:, 0]:
        pixels = pixels[:, 8:-12]  # no square
        (upright,) = find_faces(photo_of(pixels))
        turned = photo_of(np.rot90(pixels, turns))
        (face,) = find_faces(turned)
        height, width = pixels.shape[:2]
        box, landmarks = turned_back(face.box[None], face.landmarks, width, height, turns)
        assert np.abs(landmarks - upright.landmarks).max() < 2 and np.abs(box - upright.box).max() < 4
        assert np.abs(face.crop.astype(int) - upright.crop).mean() < 6
        assert quarter_turns(face.landmarks) == 4 - turns


def test_every_turn_of_a_portrait_is_one_person_to_the_reference(portraits):
    """dlib's own landmarks know upright faces only."""
    if not reference.is_installed():
        pytest.skip(reference.MISSING)
    vectors = []
    for turns in range(4):
        turned = photo_of(np.rot90(portraits[1, 0], turns))
        vectors.append(reference.embed_faces(turned, find_faces(turned))[0])
    assert min(reference.score(vectors[0], vector) for vector in vectors[1:]) > 0.85


@pytest.fixture
def looks(monkeypatch) -> list[tuple[int, int]]:
    """The sizes that the detector was run on."""
    detect, sizes = faces._detect, []

    def counted(pixels):
        sizes.append(pixels.shape[:2])
        return detect(pixels)

    monkeypatch.setattr(faces, "_detect", counted)
    return sizes


def found_with(*confidences: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the detector would give for faces in the middle of a 256x256 photo."""
    box, points = np.array([78, 78, 178, 178], np.float32), np.float32(faces.TEMPLATE + 72)
    count = len(confidences)
    return (
        np.tile(box, (count, 1)),
        np.tile(points, (count, 1, 1)),
        np.array(confidences, np.float32),
    )


def test_an_upright_confident_photo_is_looked_at_once(looks, clearest):
    (face,) = find_faces(photo_of(clearest))
    assert face.confidence >= faces.SURE_CONFIDENCE and len(looks) == 1


@pytest.mark.parametrize(
    ("seen", "confidence", "turned"),
    [  # by quarter turns: what the detector says of the photo, and of its mirror image
        ({0: (0.999, 0.0), 2: (0.9999, 0.9999)}, 0.999, 0),  # sure enough: nobody looks further
        ({0: (0.99, 0.99)}, 0.99, 0),
        ({2: (0.97, 0.96)}, 0.97, 2),  # nothing upright, and something that comes twice
        ({2: (0.9999, 0.0)}, None, 0),  # on the photo alone: a false detection
        ({0: (0.97, 0.97), 1: (0.9999, 0.9999)}, 0.9999, 1),
        ({0: (0.97, 0.99), 1: (0.98, 0.98)}, 0.97, 0),
        ({0: (0.98, 0.96), 3: (0.98, 0.99)}, 0.98, 0),  # a tie is the upright one's
        ({0: (0.96, 0.0), 1: (0.98, 0.97), 3: (0.99, 0.98)}, 0.99, 3),  # the surest of several
    ],
)
def test_the_surest_turn_is_taken_and_the_upright_one_in_doubt(seen, confidence, turned, monkeypatch):
    corners = np.zeros((256, 256, 3), np.uint8)
    corners[:9, :9], corners[:9, -9:] = 60, 120  # which tell turn and mirror image

    def detect(pixels):
        marks = [int(pixels[y, x, 0]) for y, x in ((0, 0), (0, -1), (-1, -1), (-1, 0))]
        at = marks.index(60) if 60 in marks else None
        if at is None:
            return found_with()
        mirrored = marks[at - 1] == 120
        turns = {True: {1: 0, 2: 1, 3: 2, 0: 3}, False: {0: 0, 3: 1, 2: 2, 1: 3}}[mirrored][at]
        value = seen.get(turns, (0.0, 0.0))[int(mirrored)]
        return found_with(*([value] if value else []))

    monkeypatch.setattr(faces, "_detect", detect)
    found = find_faces(photo_of(corners))
    assert [round(face.confidence, 5) for face in found] == ([] if confidence is None else [confidence])
    assert not found or quarter_turns(found[0].landmarks) == turned


def landscapes() -> list[np.ndarray]:
    """12 pictures without a face: skies over hills, checks and clouds, none of them upright only."""
    rng, pictures = np.random.default_rng(5), []
    for number in range(0, 24, 2):
        coarse = rng.integers(0, 256, (4 + number, 4 + number, 3), dtype=np.uint8)
        clouds = np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)) / 255
        x, y = np.meshgrid(np.arange(256), np.arange(256))
        hills = y > 140 + 30 * np.sin(x / (11 + number)) + 20 * np.sin(x / 7)
        checks = ((x // (5 + number) + y // (9 + number)) % 2)[:, :, None]
        sky = np.where(hills[:, :, None], [0.2, 0.35, 0.15], [0.55, 0.7, 0.95])
        mixed = (0.5 * clouds + 0.5 * sky, 0.6 * clouds + 0.4 * checks, clouds)[number % 3]
        pictures.append((mixed * 255).astype(np.uint8))
    return pictures


def test_more_looks_find_no_more_faces_where_there_are_none():
    pictures = landscapes()
    before = sum(len(faces._detect_with_margin(pixels)[0]) > 0 for pixels in pictures)
    for turns in range(4):
        after = sum(bool(find_faces(photo_of(np.rot90(pixels, turns)))) for pixels in pictures)
        assert after <= before


def test_turned_photographs_keep_their_face(shared):
    """A few of LFW at every turn: the same face, by its crop."""
    folder = ImageFolder(shared / "lfw250.zip")
    same, names = 0, folder.names[150::2600]
    for name in names:
        photo = read_photo(folder.read(name))
        crop = faces.main_face(find_faces(photo), photo).crop.astype(int)
        for turns in (1, 2, 3):
            turned = photo_of(np.rot90(photo.pixels, turns))
            same += np.abs(faces.main_face(find_faces(turned), turned).crop - crop).mean() < 12
    assert same >= 0.95 * 3 * len(names)
