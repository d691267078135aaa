"""Contact sheets of feature maps: each map a small picture, dark where it is low and bright where it is high.

Colors are viridis, whose brightness increases throughout; dropped values are hatched in black and white, so
that nothing depends on color alone. A sheet is a PNG of 256 colors in a few kilobytes, embedded as data.
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


SHADES = 253  # of viridis; the palette's other three:
DARK, LIGHT, CLEAR = 253, 254, 255


@functools.cache
def _palette() -> bytes:
    """Return the RGB values of the 256 colors."""
    anchors = np.array([plotly.colors.hex_to_rgb(c) for c in plotly.colors.sequential.Viridis], float)
    at = np.linspace(0, len(anchors) - 1, SHADES)
    viridis = np.stack([np.interp(at, np.arange(len(anchors)), c) for c in anchors.T], 1)
    grays = np.array([20, 235, 0])[:, None].repeat(3, 1)
    return np.concatenate([viridis, grays]).round().astype(np.uint8).tobytes()


def sheet(maps: np.ndarray, alt: str, hidden: np.ndarray | None = None, columns: int = 6) -> str:
    """Return (K, h, w) maps side by side as an image element, each scaled to its range of values.

    Args:
        maps: what to draw.
        alt: text for screen readers.
        hidden: boolean of the same shape, True is hatched; the range includes all values, hatched or not.
        columns: maps per row.
    """
    low, high = (pick((1, 2), keepdims=True) for pick in (maps.min, maps.max))
    levels = (SHADES - 1) * (maps - low) / np.where(high > low, high - low, 1)
    factor = max(1, SIDE // maps.shape[1])
    cells = levels.round().astype(np.uint8).repeat(factor, 1).repeat(factor, 2)
    if hidden is not None:
        where = hidden.repeat(factor, 1).repeat(factor, 2)
        y, x = np.indices(where.shape[1:])
        cells = np.where(where, np.where((x + y) % 6 < 3, DARK, LIGHT).astype(np.uint8), cells)
    return _image(_tiled(cells, columns), alt)


def _tiled(cells: np.ndarray, columns: int) -> np.ndarray:
    """Arrange (K, s, t) -> (H, W) with transparent gaps."""
    rows = -(-len(cells) // columns)
    height, width = (side + GAP for side in cells.shape[1:3])
    canvas = np.full((rows * height - GAP, columns * width - GAP), CLEAR, np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + height - GAP, left : left + width - GAP] = cell
    return canvas


def _image(pixels: np.ndarray, alt: str) -> str:
    buffer = io.BytesIO()
    image = Image.frombytes("P", pixels.shape[::-1], pixels.tobytes())
    image.putpalette(_palette())
    image.save(buffer, "PNG", transparency=CLEAR)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="fl-sheet" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
