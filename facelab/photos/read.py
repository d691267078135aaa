"""From a file to an upright photo: 8-bit RGB, reduced while it is read to limit memory.

Files of cameras, phones and web pages become one kind of array here. A file that cannot be read, or would
take too long, raises an error that says what to do. Simplified: color profiles are ignored.
"""

import contextlib
import io
import mmap
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from facelab.photos.cost import ROOM, Budgeted, CostlyError, check_jpeg, check_opened, fits
from facelab.photos.depth import colors_to_8_bits, low_bytes, note_significant_bits
from facelab.photos.reduce import MAX_SIDE, decode_reduced, to_rgb

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".avif", ".jfif",
    ".jpe", ".mpo", ".apng", ".pbm", ".pnm", ".pfm", ".dib", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c",
    ".jpc", ".avifs",
)  # fmt: skip
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
HEIC = "is a HEIC photo; `pip install pillow-heif` (facelab's extra `heic`) to read it, or save it as JPEG"
UNREAD_SUFFIXES = (  # pictures of kinds that are not read
    *HEIC_SUFFIXES,
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".orf", ".rw2", ".raf", ".pef", ".srw",
    ".raw", ".x3f", ".jxl", ".jxr", ".svg", ".psd", ".xcf", ".tga", ".ico", ".pcx", ".eps", ".jps", ".bpg",
    ".exr", ".hdr",
)  # fmt: skip
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, what Pillow's convert("L") uses
FORMATS = (  # no EPS: it runs a program
    *("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000"),
    "HEIF",  # where pillow-heif is installed
)
SHAPES = ((), (3,), (4,))  # what may follow an array's height and width
MAX_PIXELS = 51_000_000  # 50-megapixel phones write 8160x6144 and the like
PILLOW_PIXELS = 8_000_000  # a larger WebP or HEIC photo is not decoded through Pillow, which holds copies
DEEP_PIXELS = 12_000_000  # of a larger photo with 16 bits a color, the high bytes have to do
UPRIGHT = {  # EXIF orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Source = str | os.PathLike | bytes | Image.Image | np.ndarray


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, the longer side at most 2048.
        scale: original pixels per pixel of `pixels`, >= 1.
    """

    pixels: np.ndarray
    scale: float


def read_photo(source: Source) -> Photo:
    """Read a photo upright as RGB, reduced if it is large.

    Gray, palette, transparent (over white), CMYK, 16-bit and animated (first frame) files become 8-bit RGB.

    Args:
        source: path, file content, PIL image (left as it is) or uint8 array (H, W), (H, W, 3) or (H, W, 4).

    Raises:
        ValueError: not an image, damaged, of an unsupported type, over 51 megapixels, or built so that
            reading it would take seconds (rejected before decoding).
    """
    # Pillow's words on sizes and damaged metadata; ours follow. Not catch_warnings, which threads undo.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    with contextlib.ExitStack() as stack:
        name, image = _open(source, stack)
        own = image is not source
        if own:
            stack.enter_context(image)  # its file is closed whatever happens
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(_too_large(name, f"{width:,}x{height:,} pixels"))
        try:
            image, orientation = _decoded(image, own)
        except CostlyError as error:
            raise ValueError(f"{name} {error}") from error
        except Exception as error:  # a hostile or broken file makes decoders raise anything
            raise ValueError(f"{name} is damaged or cut short; export or download it again") from error
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return Photo(np.array(image), max(1.0, max(width, height) / max(image.size)))


def readable_suffixes() -> tuple[str, ...]:
    """Return suffixes of the images that can be read on this machine."""
    return IMAGE_SUFFIXES + (HEIC_SUFFIXES if find_spec("pillow_heif") else ())


def why_unread(name: str) -> str:
    """Return what to do about a file of UNREAD_SUFFIXES, as the end of a sentence."""
    return HEIC if name.lower().endswith(HEIC_SUFFIXES) else "is of a kind that is not read; save it as JPEG"


def _open(source: Source, stack: contextlib.ExitStack) -> tuple[str, Image.Image]:
    """Return (its name in messages, image with its header read)."""
    if isinstance(source, Image.Image):
        return "The image", source
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or not source.size or source.ndim < 2 or source.shape[2:] not in SHAPES:
            kind = f"{source.dtype} {source.shape}"
            raise ValueError(f"an array of {kind} is not a photo; give uint8 (H, W), (H, W, 3) or (H, W, 4)")
        return "The array", Image.fromarray(source)
    if isinstance(source, bytes):
        name, file, size = "The file", io.BytesIO(source), len(source)
    else:
        name = Path(source).name or "The path"
        if not os.path.isfile(source):
            fault = (
                "is a folder; name one photo" if os.path.isdir(source) else "does not exist; check the path"
            )
            raise ValueError(f"{name} {fault}")
        try:
            file, size = open(source, "rb"), os.path.getsize(source)  # noqa: SIM115  the stack closes it
        except OSError as error:
            raise ValueError(f"{name} cannot be opened; check who may read it") from error
    stack.enter_context(file)
    if not size:
        raise ValueError(f"{name} is empty; choose a JPEG or PNG photo")
    if _is_heic(file):
        _prepare_heic(name)
    try:
        return name, _opened(file, size)
    except CostlyError as error:
        raise ValueError(f"{name} {error}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large(name, "far more")) from error
    except Exception as error:  # a hostile header raises anything; usually UnidentifiedImageError
        raise ValueError(f"{name} is not a photo that can be read; save it as JPEG, PNG or WebP") from error


def _opened(file: BinaryIO, size: int) -> Image.Image:
    """Return the image with its header read, after checking the cost of decoding."""
    file.seek(0)
    if file.read(2) == b"\xff\xd8":
        if isinstance(file, io.BytesIO):
            check_jpeg(file.getvalue())
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                check_jpeg(data)
    file.seek(0)
    Image.init()  # Pillow knows only half of FORMATS before, and a name that it does not know is an error
    image = Image.open(Budgeted(file, size), formats=[kind for kind in FORMATS if kind in Image.OPEN])
    check_opened(image, size)
    return image


def _is_heic(file: BinaryIO) -> bool:
    """Return whether a file begins like an iPhone's photos."""
    kinds = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    file.seek(0)
    head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in kinds


def _prepare_heic(name: str) -> None:
    """Register the extra package that reads HEIC with Pillow, or name the package in an error."""
    if not find_spec("pillow_heif"):
        raise ValueError(f"{name} {HEIC}")
    import pillow_heif  # here: an extra, and few photos need it

    pillow_heif.register_heif_opener(thumbnails=False)


def _decoded(image: Image.Image, own: bool) -> tuple[Image.Image, int]:
    """Return (small RGB image, EXIF orientation); `own` images may be changed, a caller's may not."""
    if own:
        image.draft(None, (MAX_SIDE, MAX_SIDE))  # a JPEG can be decoded at half, quarter or eighth size
        if image.width * image.height > PILLOW_PIXELS:
            image = decode_reduced(image)
        note_significant_bits(image)
    low = low_bytes(image) if own and image.width * image.height <= DEEP_PIXELS else None
    image.load()
    orientation = _orientation(image)  # after load, which turns some formats upright by itself
    return to_rgb(colors_to_8_bits(image, low) if low else image), orientation


def _orientation(image: Image.Image) -> int:
    try:
        if not fits(image.info.get("exif", b"").removeprefix(b"Exif\0\0")):
            return 1
        if len(image.info.get("Raw profile type exif", "")) > ROOM // 8:  # which is unpacked and then read
            return 1
        return image.getexif().get(0x0112, 1)
    except Exception:  # broken metadata must not cost a good photo
        return 1


def _too_large(name: str, size: str) -> str:
    return f"{name} has {size}; the limit is {MAX_PIXELS // 10**6} megapixels, so reduce it first"
