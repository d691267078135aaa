"""The fast execution of MTCNN: it answers as facenet-pytorch does, on photos of every kind."""

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d, max_pool2d

from facelab.photos import cascade, faces


@pytest.fixture(scope="module")
def library() -> MTCNN:
    return MTCNN(keep_all=True, min_face_size=faces.MIN_FACE)


def ours(pixels: np.ndarray) -> cascade.Detections:
    detector = faces._detector()
    return cascade.detect((detector.pnet, detector.rnet, detector.onet), pixels, faces.MIN_FACE)


def pictures(portraits: np.ndarray) -> dict[str, np.ndarray]:
    """One photo of each kind on which the two could part."""
    rng, people = np.random.default_rng(3), portraits[:, 0]
    row = np.concatenate(list(people), 1)
    small = np.asarray(Image.fromarray(row).resize((300, 75)))
    return {
        "large": np.asarray(Image.fromarray(people[0]).resize((700, 700))),
        "four, and no square": np.concatenate([row, row[::-1]])[:401],
        "small": np.pad(small, ((31, 0), (0, 17), (0, 0)), mode="edge"),
        "cut by the edge": people[1][70:, 60:],
        "turned": np.rot90(people[2]),
        "beside noise": np.concatenate([people[3], rng.integers(0, 256, people[3].shape, np.uint8)], 1),
        "no face": rng.integers(0, 256, (200, 333, 3), np.uint8),
        "as small as can be": people[0][100:140, 100:140],
    }


def test_the_answers_are_those_of_facenet_pytorch(portraits, library):
    found = 0
    for name, pixels in pictures(portraits).items():
        pixels = np.ascontiguousarray(pixels)
        theirs = library.detect(Image.fromarray(pixels), landmarks=True)
        boxes, landmarks, confidences = ours(pixels)
        assert len(boxes) == (0 if theirs[0] is None else len(theirs[0])), name
        found += len(boxes)
        if len(boxes):
            order, other = np.argsort(-confidences), np.argsort(-theirs[1].astype(float))
            assert np.allclose(confidences[order], theirs[1][other].astype(float), atol=1e-5), name
            assert np.allclose(boxes[order], theirs[0][other].astype(float), atol=2e-3), name
            assert np.allclose(landmarks[order], theirs[2][other].astype(float), atol=2e-3), name
    assert found >= 10


@pytest.mark.parametrize("white", [False, True])
def test_rectangles_are_averaged_as_by_pytorch(white):
    """From one pixel, which is repeated, to windows that fill a channel's bits, at every edge."""
    rng = np.random.default_rng(1)
    pixels = np.full((960, 947, 3), 255, np.uint8) if white else rng.integers(0, 256, (960, 947, 3), np.uint8)
    squares = [(0, 0, 947, 960), (946, 959, 947, 960), (0, 500, 5, 960), (300, 0, 347, 60), (17, 17, 41, 41)]
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    table = cascade.summed(pixels)
    for side in (24, 48):
        seen = cascade.cut(table, np.array(squares), side)
        for got, (left, top, right, bottom) in zip(seen, squares):
            whole = adaptive_avg_pool2d(planes[:, :, top:bottom, left:right], side)[0]
            assert torch.allclose(got.double(), (whole - 127.5) / 128, atol=1e-6)
    for size in ((13, 12), (288, 285)):
        whole = (adaptive_avg_pool2d(planes, size) - 127.5) / 128
        assert torch.allclose(cascade._reduced(table, *size).double(), whole, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 4), (7, 9)])
def test_maxima_of_four_are_max_pooling(size):
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(cascade.MaxOfFour()(maps), max_pool2d(maps, 2, 2, ceil_mode=True))


def test_a_candidate_outside_the_photo_is_an_error_of_its_own():
    """P-Net moves every candidate ten of its sides to the left."""

    def propose(x):
        height, width = (x.shape[2] - 2 + 1) // 2 - 4, (x.shape[3] - 2 + 1) // 2 - 4
        moves = torch.tensor([-10.0, 0, -10, 0]).view(1, 4, 1, 1).expand(1, 4, height, width)
        return moves, torch.full((1, 2, height, width), 0.9)

    with pytest.raises(cascade.OutsideError):
        cascade.detect((propose, None, None), np.zeros((80, 60, 3), np.uint8), 40)


@pytest.mark.parametrize(
    ("shares", "is_face"),
    [
        ((0.59, 1, 1), False),
        ((0.61, 0.69, 1), False),
        ((0.61, 0.71, 0.69), False),
        ((0.61, 0.71, 0.71), True),
    ],
)
def test_a_face_passes_each_network_at_its_own_threshold(shares, is_face):
    def propose(x):
        height, width = (x.shape[2] - 1) // 2 - 4, (x.shape[3] - 1) // 2 - 4
        return torch.zeros(1, 4, height, width), torch.full((1, 2, height, width), shares[0])

    def refine(x):
        return torch.zeros(len(x), 4), torch.full((len(x), 2), shares[1])

    def finish(x):
        return torch.zeros(len(x), 4), torch.full((len(x), 10), 0.5), torch.full((len(x), 2), shares[2])

    boxes, _, _ = cascade.detect((propose, refine, finish), np.zeros((80, 60, 3), np.uint8), 40)
    assert (len(boxes) > 0) == is_face
