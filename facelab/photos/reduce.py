"""From an opened image to 8-bit RGB of at most MAX_SIDE, band by band: memory has no room for copies of a
large photo.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from facelab.photos.depth import Levels, levels_of
from facelab.settings.extras import explained

BAND = 256  # rows that are converted at once
MAX_SIDE = 2048  # a photo is reduced to this; a face of a fifth of it fills a 112-pixel crop three times


def to_rgb(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB at most MAX_SIDE long, band by band: memory has no room for copies of a large
    photo.
    """
    factor = _factor(image.size)
    if image.mode in ("I", "F"):  # their brightness depends on the whole image
        image, factor = _to_gray8(image.reduce(factor), levels_of(image)), 1
    levels = levels_of(image) if image.mode.startswith("I;16") else None
    small = _by_bands(image.size, factor, partial(_rows, image), levels)
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return small


def _factor(size: tuple[int, int]) -> int:
    """Return the factor by which a photo is reduced before it is resampled."""
    return max(1, int(max(size) / (1.5 * MAX_SIDE)))


def _rows(image: Image.Image, top: int, end: int) -> Image.Image:
    return image.crop((0, top, image.width, end))


def _by_bands(
    size: tuple[int, int],
    factor: int,
    rows: Callable[[int, int], Image.Image],
    levels: Levels | None,
) -> Image.Image:
    """Return an RGB image reduced by an integer factor, some rows at a time."""
    small = Image.new("RGB", tuple(-(-side // factor) for side in size))
    for top in range(0, size[1], BAND * factor):
        band = rows(top, min(top + BAND * factor, size[1]))
        small.paste(_over_white(band, levels).reduce(factor), (0, top // factor))
    return small


def _over_white(image: Image.Image, levels: Levels | None) -> Image.Image:
    if levels:
        image = _to_gray8(image, levels)
    if image.mode in ("RGBA", "LA", "RGBa", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _to_gray8(image: Image.Image, levels: Levels) -> Image.Image:
    return Image.fromarray(levels.to_8_bits(np.asarray(image)))


def decode_reduced(image: Image.Image) -> Image.Image:
    """Return a large photo reduced by its format's own decoder, or as it is: never a caller's image, which
    need not be what its file holds."""
    if image.format == "WEBP" and not image.is_animated:
        return _decode_webp(image)
    return _decode_heic(image) if image.format == "HEIF" else image


def _decode_webp(image: Image.Image) -> Image.Image:
    """Decode a large still WebP with torchvision, reduced before Pillow has it: Pillow's decoder holds four
    copies.
    """
    import torch  # here: few photos need it

    with explained():
        from torchvision.io import ImageReadMode, decode_webp

    exif = image.info.get("exif", b"")
    image.fp.seek(0)
    mode = ImageReadMode.RGB_ALPHA if image.mode == "RGBA" else ImageReadMode.RGB
    data = torch.frombuffer(bytearray(image.fp.read()), dtype=torch.uint8)
    pixels = decode_webp(data, mode).permute(1, 2, 0).numpy()
    decoded = _by_bands(image.size, _factor(image.size), lambda a, b: Image.fromarray(pixels[a:b]), None)
    decoded.info["exif"] = exif
    return decoded


def _decode_heic(image: Image.Image) -> Image.Image:
    """Return a large HEIC photo, reduced from the decoder's memory; Pillow would add four bytes a pixel."""
    import pillow_heif  # an extra, installed where such an image was opened

    image.fp.seek(0)
    heic = pillow_heif.open_heif(image.fp, convert_hdr_to_8bit=True, remove_stride=False)
    pixels = np.asarray(heic[heic.primary_index])[:, : heic.size[0]]  # without the padding of its rows

    def rows(top: int, end: int) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(pixels[top:end]), heic.mode)

    decoded = _by_bands(heic.size, _factor(heic.size), rows, None)
    decoded.info["exif"] = image.info.get("exif", b"")
    return decoded
