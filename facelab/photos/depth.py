"""From deep samples to 8 bits: the sample values of black and white.

Cameras write 10, 12 or 14 bits into 16-bit files. White is what the file declares (TIFF's MaxSampleValue,
PNG's sBIT where the samples keep to it, PGM's maximum); without a declaration it is the highest value of the
smallest of these depths that holds all samples. Integers that stay below 256 keep the depth of their file, so
that a black 16-bit photo stays black. Negative samples and values beyond these depths are stretched from the
lowest to the highest.
"""

import io
import sys
from dataclasses import dataclass

import numpy as np
from PIL import Image

DEPTHS = (10, 12, 14, 16, 24, 31, 32)
BAND = 256  # rows at once
SIGNIFICANT = "facelab significant bits"  # in an image's info
# Pillow keeps the high byte of deep colors; read as if the bytes were swapped, a file gives the low ones.
SWAPPED = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("L", "B"), ("B", "L"), ("N", "B" if sys.byteorder == "little" else "L"))
}


@dataclass(frozen=True)
class Levels:
    """Sample values that become 0 and 255; `black` may be the higher one."""

    black: float
    white: float

    def to_8_bits(self, samples: np.ndarray) -> np.ndarray:
        """Convert samples of any type -> uint8, rounded; NaN becomes black."""
        scaled = (samples.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        return np.nan_to_num(scaled + 0.5, nan=0.0).clip(0, 255).astype(np.uint8)


def levels_of(image: Image.Image) -> Levels:
    """Return the levels of a loaded gray image of mode I;16, I or F."""
    lowest, highest = _range(image)
    declared = _declared(image, highest)
    if declared:
        black, white = 0.0, declared
    elif (lowest < 0 and lowest < -0.01 * highest) or highest <= lowest < 0:
        black, white = lowest, highest
    else:
        black, white = 0.0, _white(image.mode, highest)
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # WhiteIsZero
        black, white = white, black
    return Levels(black, white) if white != black else Levels(0.0, 1.0)


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the (lowest, highest) finite sample, band by band."""
    lowest, highest = np.inf, -np.inf
    for top in range(0, image.height, BAND):
        band = np.asarray(image.crop((0, top, image.width, min(top + BAND, image.height))))
        band = band[np.isfinite(band)]
        if band.size:
            lowest, highest = min(lowest, float(band.min())), max(highest, float(band.max()))
    return (lowest, highest) if highest >= lowest else (0.0, 0.0)


def _declared(image: Image.Image, highest: float) -> float:
    """Return the white that a file declares and its samples do not exceed; 0 if there is none."""
    white = 0.0
    if image.format == "TIFF":
        value = image.tag_v2.get(281)  # MaxSampleValue, one for each channel
        white = float(value[0] if isinstance(value, tuple) else value or 0)
    elif image.format == "PPM" and image.mode != "F":
        white = 65535.0  # Pillow has scaled the file's maximum to it
    elif image.format == "PNG":
        white = 2.0 ** image.info.get(SIGNIFICANT, 0) - 1
    return white if white >= max(highest, 1) else 0.0


def _white(mode: str, highest: float) -> float:
    """Return the highest value of the smallest depth that holds all samples, for files without a
    declaration.
    """
    if mode == "F" and highest <= 1:
        return 1.0
    if highest <= 255:
        return 65535.0 if mode.startswith("I;16") else 255.0
    return next((2.0**bits - 1 for bits in DEPTHS if highest < 2**bits), highest)


def note_significant_bits(image: Image.Image) -> None:
    """Store a PNG's sBIT chunk, which Pillow ignores; the image is opened and not loaded."""
    if image.format == "PNG":
        at = image.fp.tell()
        image.fp.seek(0)
        head = image.fp.read(1 << 16).partition(b"IDAT")[0]
        image.fp.seek(at)
        _, found, content = head.partition(b"sBIT")
        if found and content and content[0] <= 16:
            image.info[SIGNIFICANT] = content[0]


def low_bytes(image: Image.Image) -> Image.Image | None:
    """Return the low bytes of an image with 16 bits per color, of which Pillow keeps the high ones; None for
    others.

    Args:
        image: an image opened from a file or from bytes, not loaded.
    """
    tile = getattr(image, "tile", ())
    args = tile[0][3] if tile else ""
    raw = args if isinstance(args, str) else args[0] if args else ""
    if raw not in SWAPPED:
        return None
    name = getattr(image, "filename", "")
    twin = Image.open(name or io.BytesIO(image.fp.getvalue()), formats=[image.format])
    with twin:
        swapped = SWAPPED[raw]
        twin.tile = [
            tile._replace(args=swapped if isinstance(tile[3], str) else (swapped, *tile[3][1:]))
            for tile in twin.tile
        ]
        twin.load()
    return twin


def colors_to_8_bits(high: Image.Image, low: Image.Image) -> Image.Image:
    """Combine the high and low bytes of 16-bit samples into an 8-bit RGB or RGBA image; alpha is never
    stretched.
    """
    out, top_value = high.copy(), 0
    bands = [(0, top, high.width, min(top + BAND, high.height)) for top in range(0, high.height, BAND)]

    def samples(box: tuple[int, int, int, int]) -> np.ndarray:
        return np.asarray(high.crop(box)).astype(np.uint16) * 256 + np.asarray(low.crop(box))

    for box in bands:
        top_value = max(top_value, int(samples(box)[:, :, :3].max()))
    declared = _declared(high, top_value)
    levels = Levels(0.0, declared or _white("I;16", top_value))
    for box in bands:
        deep = samples(box)
        shallow = levels.to_8_bits(deep)
        if deep.shape[2] == 4:
            shallow[:, :, 3] = Levels(0.0, 65535.0).to_8_bits(deep[:, :, 3])
        out.paste(Image.fromarray(shallow), box[:2])
    return out
