"""Contact sheets of feature maps: each map a small picture, dark where it is low and bright where it is high.

Colours are viridis, whose brightness rises throughout; what is hidden is hatched in black and white, so that
nothing rests on colour alone. A sheet is a few kilobytes of PNG, embedded as data.
"""

import base64
import functools
import html
import io

import numpy as np
import plotly.colors
from PIL import Image

SIDE = 56  # pixels of a map on the sheet; smaller maps are enlarged, a whole number of times
GAP = 4


@functools.cache
def _palette() -> np.ndarray:
    """(256, 3) uint8."""
    anchors = np.array([plotly.colors.hex_to_rgb(c) for c in plotly.colors.sequential.Viridis], float)
    at = np.linspace(0, len(anchors) - 1, 256)
    return (
        np.stack([np.interp(at, np.arange(len(anchors)), c) for c in anchors.T], 1).round().astype(np.uint8)
    )


def sheet(maps: np.ndarray, alt: str, hidden: np.ndarray | None = None, columns: int = 6) -> str:
    """(K, h, w) maps side by side as an image element, each from its own lowest to its own highest value.

    Args:
        maps: what to draw.
        alt: what a screen reader says.
        hidden: boolean of the same shape, True is hatched; the range is that of all values, hidden or not.
        columns: maps in a row.
    """
    low, high = (pick((1, 2), keepdims=True) for pick in (maps.min, maps.max))
    levels = 255 * (maps - low) / np.where(high > low, high - low, 1)
    factor = max(1, SIDE // maps.shape[1])
    cells = _palette()[levels.round().astype(np.uint8)].repeat(factor, 1).repeat(factor, 2)
    if hidden is not None:
        where = hidden.repeat(factor, 1).repeat(factor, 2)
        y, x = np.indices(where.shape[1:])
        hatch = np.where((x + y) % 6 < 3, 20, 235).astype(np.uint8)
        cells = np.where(where[..., None], hatch[None, :, :, None], cells)
    return _image(_tiled(cells, columns), alt)


def _tiled(cells: np.ndarray, columns: int) -> np.ndarray:
    """(K, s, t, 3) -> (H, W, 4) with transparent gaps."""
    rows = -(-len(cells) // columns)
    height, width = (side + GAP for side in cells.shape[1:3])
    canvas = np.zeros((rows * height - GAP, columns * width - GAP, 4), np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + height - GAP, left : left + width - GAP, :3] = cell
        canvas[top : top + height - GAP, left : left + width - GAP, 3] = 255
    return canvas


def _image(pixels: np.ndarray, alt: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="fl-sheet" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
