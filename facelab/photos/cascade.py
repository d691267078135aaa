"""MTCNN's cascade of three networks (arXiv:1604.02878), executed faster than facenet-pytorch does.

P-Net proposes boxes at every scale of the photo, R-Net rejects most of them, and O-Net rejects the rest and
finds five landmarks. Weights, thresholds and rounding are facenet-pytorch's, so the answers are equal. Only
the execution differs: the candidates of a stage are cut out at once by means of a summed-area table (Crow
1984), and each network runs in the memory layout in which PyTorch's max pooling is fast.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

FACTOR = 0.709  # between scales of the pyramid
CELL, STRIDE = 12, 2  # pixels that P-Net sees at each position, and from one position to the next
PROPOSED, REFINED, FOUND = 0.6, 0.7, 0.7  # least probability of a face after each network
OVERLAP_IN_SCALE, OVERLAP = 0.5, 0.7  # beyond which the less probable of two boxes is dropped
BATCH = 512  # candidates at once
FIELD = 21  # bits of a channel's sum; a window of the coarsest scale, 82 x 82 pixels, fills them

Network = Callable[[Tensor], tuple[Tensor, ...]]
Detections = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (N, 4), landmarks (N, 5, 2), confidences (N,)


class MaxOfFour(nn.Module):
    """Halve a map by maxima of 2x2, as `MaxPool2d(2, 2, ceil_mode=True)` does.

    (B, C, H, W) -> (B, C, ⌈H/2⌉, ⌈W/2⌉). PyTorch's own is slow unless channels are last, and P-Net's first
    layer is slow if they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Halve a map."""
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate")
        rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class OutsideError(ValueError):
    """A candidate lies wholly outside the photo."""


def detect(networks: tuple[Network, Network, Network], pixels: np.ndarray, min_face: int) -> Detections:
    """Find faces and their landmarks.

    Args:
        networks: P-Net, R-Net and O-Net.
        pixels: (H, W, 3) uint8, each side at least `min_face`, the shorter at most 960.
        min_face: side of the smallest face in pixels.

    Returns:
        boxes (N, 4), landmarks (N, 5, 2) and confidences (N,), float32, as facenet-pytorch counts them.

    Raises:
        OutsideError: a candidate lies wholly outside the photo, so that it cannot be cut out.
    """
    propose, refine, finish = networks
    height, width = pixels.shape[:2]
    table = summed(pixels)
    with torch.inference_mode():
        boxes = _proposed(propose, table, CELL / min_face)
        if len(boxes):
            moves, shares = _look(refine, table, _inside(boxes, width, height), 24)
            keep, shares = shares[:, 1] > REFINED, shares[:, 1]
            boxes, shares, moves = boxes[keep], shares[keep], moves[keep]
            keep = _apart(boxes, shares, OVERLAP)
            boxes = _squared(_moved(boxes[keep], moves[keep]))
        if not len(boxes):
            return np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32)
        moves, points, shares = _look(finish, table, _inside(boxes, width, height), 48)
    keep = shares[:, 1] > FOUND
    boxes, moves, points, shares = boxes[keep], moves[keep], points[keep], shares[keep, 1]
    points = points.reshape(-1, 2, 5).transpose(0, 2, 1)
    corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + 1
    points = size[:, None] * points + corner[:, None] - 1
    boxes = _moved(boxes, moves)
    keep = _not_within(boxes, shares, OVERLAP)
    return boxes[keep], points[keep], shares[keep]


def summed(pixels: np.ndarray) -> np.ndarray:
    """Return the summed-area table of a photo: (H, W, 3) uint8 -> (H + 1, W + 1) int64.

    The three channels share a number, 21 bits each. The sums overflow, but the sum over a window, which
    follows from four entries, is exact as long as each of its channels fits 21 bits.
    """
    table = np.zeros((pixels.shape[0] + 1, pixels.shape[1] + 1), np.int64)
    packed = pixels[..., 0] + (pixels[..., 1].astype(np.int64) << FIELD)
    packed += pixels[..., 2].astype(np.int64) << 2 * FIELD
    np.cumsum(packed, 0, out=packed)
    np.cumsum(packed, 1, out=table[1:, 1:])
    return table


def _windows(start: np.ndarray, length: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide lengths (N,) from starts (N,) into windows as PyTorch's `area` does -> ends (N, count) each."""
    steps, length = np.arange(count), length[:, None]
    first = steps * length // count
    last = -(-(steps + 1) * length // count)
    return start[:, None] + first, start[:, None] + last


def _means(sums: np.ndarray, areas: np.ndarray) -> Tensor:
    """Unpack window sums (N, h, w) -> the networks' input (N, 3, h, w) in [-1, 1], channels last."""
    mask = (1 << FIELD) - 1
    out = np.empty((*sums.shape, 3), np.float32)
    for channel in range(3):
        out[..., channel] = sums >> FIELD * channel & mask
    out /= areas[..., None]
    out -= 127.5
    out *= 1 / 128
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def cut(table: np.ndarray, squares: np.ndarray, side: int) -> Tensor:
    """Cut out and resize rectangles by averaging: (N, 4) whole pixels -> (N, 3, side, side) in [-1, 1]."""
    left, top, right, bottom = squares.T
    x0, x1 = _windows(left, right - left, side)
    y0, y1 = (y[:, :, None] * table.shape[1] for y in _windows(top, bottom - top, side))
    sums = table.take(y1 + x1[:, None])
    sums -= table.take(y0 + x1[:, None])
    sums -= table.take(y1 + x0[:, None])
    sums += table.take(y0 + x0[:, None])
    areas = (y1 - y0) // table.shape[1] * (x1 - x0)[:, None]
    return _means(sums, areas.astype(np.float32))


def _reduced(table: np.ndarray, height: int, width: int) -> Tensor:
    """Resize the whole photo by averaging -> (1, 3, height, width) in [-1, 1]."""
    (y0, y1), (x0, x1) = (
        [edge[0] for edge in _windows(np.zeros(1, int), np.array([length - 1]), count)]
        for length, count in zip(table.shape, (height, width))
    )
    rows = table[y1] - table[y0]
    areas = (y1 - y0)[:, None] * (x1 - x0)
    return _means((rows[:, x1] - rows[:, x0])[None], areas[None].astype(np.float32))


def _proposed(propose: Network, table: np.ndarray, scale: float) -> np.ndarray:
    """Run P-Net over the pyramid -> squares (N, 4) float32, each perhaps a face."""
    height, width = table.shape[0] - 1, table.shape[1] - 1
    smallest, found = min(height, width) * scale, []
    while smallest >= CELL:
        moves, shares = propose(_reduced(table, int(height * scale + 1), int(width * scale + 1)))
        y, x = np.nonzero(shares[0, 1].numpy() >= PROPOSED)
        corner = np.stack([x, y], 1).astype(np.float32) * STRIDE
        boxes = np.concatenate([np.floor((corner + 1) / scale), np.floor((corner + CELL) / scale)], 1)
        level = np.full(len(boxes), len(found) * (height + width), np.float32)
        found.append((boxes, level, shares[0, 1].numpy()[y, x], moves[0].numpy()[:, y, x].T))
        scale, smallest = scale * FACTOR, smallest * FACTOR
    boxes, level, shares, moves = (np.concatenate(part) for part in zip(*found))
    # Levels side by side, so that no box overlaps one of another; whole numbers, so nothing is rounded.
    keep = _apart(boxes + level[:, None], shares, OVERLAP_IN_SCALE)
    boxes, shares, moves = boxes[keep], shares[keep], moves[keep]
    keep = _apart(boxes, shares, OVERLAP)
    boxes, moves = boxes[keep], moves[keep]
    return _squared(boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2], 2))


def _look(network: Network, table: np.ndarray, squares: np.ndarray, side: int) -> list[np.ndarray]:
    """Run a network on what rectangles (N, 4) in whole pixels show, a batch at a time."""
    batches = (squares[i : i + BATCH] for i in range(0, len(squares), BATCH))
    parts = [network(cut(table, batch, side)) for batch in batches]
    return [torch.cat(part).numpy() for part in zip(*parts)]


def _apart(boxes: np.ndarray, shares: np.ndarray, overlap: float) -> np.ndarray:
    """Return the indices of boxes, most probable first, that no more probable box overlaps."""
    from torchvision.ops import nms  # a second to import, which training does not need

    return nms(torch.from_numpy(boxes), torch.from_numpy(shares), overlap).numpy()


def _not_within(boxes: np.ndarray, shares: np.ndarray, overlap: float) -> np.ndarray:
    """Return the indices as `_apart` does, where overlap is a share of the smaller of two boxes."""
    corner, end = boxes[:, :2], boxes[:, 2:]
    area = np.prod(end - corner + 1, 1)
    waiting, kept = np.argsort(shares), []
    while len(waiting):
        best, waiting = waiting[-1], waiting[:-1]
        kept.append(best)
        common = np.minimum(end[best], end[waiting]) - np.maximum(corner[best], corner[waiting]) + 1
        shared = np.prod(np.maximum(common, 0), 1) / np.minimum(area[best], area[waiting])
        waiting = waiting[shared <= overlap]
    return np.array(kept, int)


def _moved(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Shift the corners of boxes (N, 4) by shares of their size (N, 4)."""
    return boxes + moves * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def _squared(boxes: np.ndarray) -> np.ndarray:
    """Return squares about the centers of boxes (N, 4), as long as the longer side."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(1, keepdims=True)
    half = np.float32(0.5)
    corner = boxes[:, :2] + size * half - side * half
    return np.concatenate([corner, corner + side], 1)


def _inside(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the part of boxes (N, 4) inside the photo as whole pixels: left, top, right, bottom (N, 4).

    Raises:
        OutsideError: there is none.
    """
    whole = np.trunc(boxes).astype(int)
    whole[:, :2] = np.maximum(whole[:, :2], 1) - 1
    whole[:, 2:] = np.minimum(whole[:, 2:], (width, height))
    if (whole[:, 2:] <= whole[:, :2]).any():
        raise OutsideError("a candidate lies outside the photo")
    return whole
