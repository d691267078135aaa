"""Deep files: 10 to 16 bits, signed, floating point and both byte orders come out as bright as they are."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from facelab.photos.read import read_photo
from tests.conftest import encoded

RAMP = np.tile(np.arange(256), (8, 1))  # what every file below shows, in 8 bits


def seen(data: bytes) -> np.ndarray:
    return read_photo(data).pixels.astype(int)


def deep(bits: int) -> np.ndarray:
    return np.round(RAMP * ((2**bits - 1) / 255)).astype(np.uint16)


def png(samples: np.ndarray, sbit: int = 0) -> bytes:
    """A PNG of 16-bit samples (H, W, C), which Pillow cannot write in color."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width, channels = samples.shape
    color = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    declared = chunk(b"sBIT", bytes([sbit] * channels)) if sbit else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + declared + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def tiff(samples: np.ndarray, order: str, form: int = 1, extra: dict[int, int] | None = None) -> bytes:
    """An uncompressed TIFF of samples (H, W, C) in byte order `<` or `>`; form 2 is signed, 3 is float."""
    height, width, channels = samples.shape
    content = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    directory = ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    tags = {256: width, 257: height, 258: (samples.dtype.itemsize * 8,) * channels, 259: 1,
            262: 2 if channels > 1 else 1, 273: 0, 277: channels, 278: height, 279: len(content),
            339: (form,) * channels}  # fmt: skip
    if channels == 4:
        tags[338] = 2  # unassociated alpha
    for tag, value in {**tags, **(extra or {})}.items():
        directory[tag] = value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + directory.tobytes(8) + content  # 273 counts from its end


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_depth_is_as_bright_as_it_is(bits, order, channels):
    samples = np.repeat(deep(bits)[:, :, None], channels, 2)
    for data in (tiff(samples, order), png(samples)):
        assert np.abs(seen(data) - RAMP[:, :, None]).max() <= (bits < 16)


def test_sixteen_bits_are_divided_by_257_and_rounded():
    """Around every exact gray: 256 in place of 257 is a level off in the brighter half."""
    for offset in (-128, 0, 128):
        gray = (RAMP * 257 + offset).clip(0, 65535).astype(np.uint16)[:, :, None]
        for samples in (gray, gray.repeat(3, 2)):
            for data in (png(samples), tiff(samples, "<"), tiff(samples, ">")):
                assert (seen(data) == RAMP[:, :, None]).all()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_gray_tiff_of_pillows_own(compression):
    data = encoded(Image.fromarray(deep(12)), "TIFF", compression=compression)
    assert np.abs(seen(data) - RAMP[:, :, None]).max() <= 1


def test_alpha_of_deep_colors_is_not_stretched():
    samples = np.repeat(deep(12)[:, :, None], 4, 2)
    samples[:, :, 3] = 65535
    for data in (png(samples), tiff(samples, "<"), tiff(samples, ">")):
        assert np.abs(seen(data) - RAMP[:, :, None]).max() <= 1
    samples[:, :, 3] = 0
    assert (seen(png(samples)) == 255).all()


def test_what_a_file_declares_comes_first():
    quarter = (deep(12) // 4)[:, :, None]  # no sample above 1,023: 10 bits by its range
    assert np.abs(seen(tiff(quarter, "<", extra={281: 4095})) - RAMP[:, :, None] / 4).max() <= 1
    assert np.abs(seen(tiff(quarter, "<")) - RAMP[:, :, None]).max() <= 1
    assert np.abs(seen(png(quarter, sbit=12)) - RAMP[:, :, None] / 4).max() <= 1
    full = deep(16)[:, :, None]  # 12 significant bits, scaled up as PNG's specification wants it
    assert np.abs(seen(png(full, sbit=12)) - RAMP[:, :, None]).max() <= 1
    pgm = b"P5 256 8 4095\n" + (deep(12) // 4).astype(">u2").tobytes()
    assert np.abs(seen(pgm) - RAMP[:, :, None] / 4).max() <= 1


def test_signed_samples():
    signed = (RAMP * 257 - 32768).astype(np.int16)[:, :, None]
    for order in "<>":
        assert (seen(tiff(signed, order, form=2)) == RAMP[:, :, None]).all()
        positive = deep(12).astype(np.int16)[:, :, None]
        assert np.abs(seen(tiff(positive, order, form=2)) - RAMP[:, :, None]).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 4095), (0, 65535), (-1, 1), (-3e5, 7e6)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point(low, high, order):
    values = (low + RAMP / 255 * (high - low)).astype(np.float32)[:, :, None]
    assert np.abs(seen(tiff(values, order, form=3)) - RAMP[:, :, None]).max() <= 1


def test_white_is_zero():
    inverted = (65535 - deep(16))[:, :, None].astype(np.uint16)
    assert np.abs(seen(tiff(inverted, "<", extra={262: 0})) - RAMP[:, :, None]).max() <= 1


def test_a_path_and_bytes_of_deep_colors_agree(tmp_path):
    samples = np.repeat(deep(12)[:, :, None], 3, 2)
    (tmp_path / "a.png").write_bytes(png(samples))
    assert (read_photo(tmp_path / "a.png").pixels == seen(png(samples))).all()


def test_a_portable_float_map_counts_to_one():
    values = (RAMP / 255).astype("<f4")
    assert np.abs(seen(b"Pf\n256 8\n-1.0\n" + values.tobytes()) - RAMP[:, :, None]).max() <= 1
