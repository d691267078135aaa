"""Landmarks of a real detector: counted from the right place, on mirror images and at the photo's edge."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN

from facelab.data.parametric import render, sample_identities, sample_nuisances
from facelab.photos import faces
from facelab.photos.faces import find_faces
from facelab.photos.read import Photo


def photo_of(pixels: np.ndarray) -> Photo:
    return Photo(np.ascontiguousarray(pixels), 1.0)


class _DotFinder(torch.nn.Module):
    """In place of MTCNN's last network: all five landmarks are on a green dot in a gray photo, exactly."""

    def forward(self, x):
        green = x[:, 1] - x[:, 0]
        share = (
            torch.arange(48.0) + 0.5
        ) / 48.0  # of the way from one outer edge of the cut-out to the other
        across = (green.sum(1) * share).sum(1) / green.sum((1, 2))
        down = (green.sum(2) * share).sum(1) / green.sum((1, 2))
        points = torch.cat([across[:, None].expand(-1, 5), down[:, None].expand(-1, 5)], 1)
        sees = (green.amax((1, 2)) > 1.0).float()
        return torch.zeros(len(x), 4), points, torch.stack([1.0 - sees, sees], 1)


@pytest.mark.parametrize("larger", [1, 5], ids=["as is", "reduced to 960"])
def test_what_the_network_sees_is_where_the_photo_has_it(larger, portraits, monkeypatch):
    """With a network that cannot err, what is left is the counting: part of a pixel, zero on average."""
    detector = MTCNN(keep_all=True, min_face_size=40)
    detector.onet = _DotFinder()
    monkeypatch.setattr(faces, "_detector", lambda: detector)
    errors = []
    for number in range(24 if larger == 1 else 12):
        left, top = 20 + number * 5 % 24, 20 + number * 7 % 24  # boxes fall between pixels in many ways
        gray = portraits[number % 4, number % 3].mean(2, keepdims=True).astype(np.uint8).repeat(3, 2)
        pixels = np.pad(gray, ((top, 64 - top), (left, 64 - left), (0, 0)), "edge")
        x, y = left + 124 + number % 6, top + 130 + number % 5
        pixels[y - 3 : y + 4, x - 3 : x + 4] = (0, 255, 0)
        boxes, landmarks, _ = faces._detect(pixels.repeat(larger, 0).repeat(larger, 1))
        if len(boxes):
            found = landmarks[np.argmax(boxes[:, 2] - boxes[:, 0]), 0]
            errors.append((found + 0.5) / larger - 0.5 - (x, y))
    searched = min(larger, 960 / 320)  # pixels of the searched image per pixel of the portrait
    errors = np.array(errors) * searched
    assert len(errors) >= 10
    assert np.abs(errors.mean(0)).max() < 0.15
    assert np.abs(errors).max() < 1.0


def test_a_mirror_image_has_its_landmarks_where_the_mirror_puts_them():
    """Half of what a picture and its mirror image disagree by is the detector's own offset to one side."""
    people, conditions = sample_identities(32, 31), sample_nuisances(32, 32, 0.3)
    offsets = []
    for pixels in (render(people, conditions, 256) * 255.0).byte().permute(0, 2, 3, 1).numpy():
        seen, mirrored = find_faces(photo_of(pixels)), find_faces(photo_of(pixels[:, ::-1]))
        if seen and mirrored:
            other = mirrored[0].landmarks[[1, 0, 2, 4, 3], 0]
            offsets.append((seen[0].landmarks[:, 0] + other - 255.0) / 2.0)
    assert len(offsets) >= 28 and abs(np.mean(offsets)) < 0.2


def test_a_face_at_the_edge_of_the_photo_keeps_its_landmarks(portraits):
    """The portrait is cut at the left and the top of the face, so that a square round it reaches beyond."""
    for pixels in portraits[:, 0]:
        (whole,) = find_faces(photo_of(pixels))
        left, top = np.maximum(whole.box[:2].astype(int) + np.array([8, 0]), 0)
        (cut,) = find_faces(photo_of(pixels[top:, left:]))
        apart = np.linalg.norm(cut.landmarks - whole.landmarks + np.array([left, top]), axis=1)
        assert np.median(apart) < 0.08 * np.linalg.norm(whole.landmarks[1] - whole.landmarks[0])


@pytest.mark.parametrize("corner", [(-30, -20), (400, 300), (-900, 50), (60, 9000)], ids=str)
def test_a_second_look_counts_from_its_square_wherever_that_lies(corner, monkeypatch):
    """The middle of a square is its middle, inside the photo, across its edge, or wholly outside."""
    detector = SimpleNamespace(onet=lambda seen: (None, torch.full((1, 10), 0.5), None))
    monkeypatch.setattr(faces, "_detector", lambda: detector)
    points = faces._look_again(np.zeros((340, 420, 3), np.uint8), *corner, 101)
    assert np.allclose(points, np.array(corner) + 50)


def test_a_second_look_sees_gray_beyond_the_photo(monkeypatch):
    seen = []
    detector = SimpleNamespace(onet=lambda x: (seen.append(x), torch.zeros(1, 10), None))
    monkeypatch.setattr(faces, "_detector", lambda: detector)
    faces._look_again(np.full((96, 96, 3), 255, np.uint8), -24, 48, 96)
    (square,) = seen
    assert square.shape == (1, 3, 48, 48)
    white = torch.zeros(48, 48, dtype=torch.bool)
    white[:24, 12:] = True  # the photo begins a quarter in from the left and ends half way down
    assert ((square[0] > 0.9) == white).all() and (square[0, :, ~white].abs() < 0.01).all()
