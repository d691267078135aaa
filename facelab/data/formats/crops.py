"""Our own crop file: decoded 112x112 crops in one `.npy` with a `.json` of who is on them, which `train`
reads.

Crops come out as PNG files, which keep every pixel.
"""

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from facelab.data.cropfile import read_crop_file
from facelab.data.formats.labeled import Item, Labeled


def open_crops(path: Path) -> Labeled:
    """Read the crops as PNG files."""
    crops, index = read_crop_file(path)

    def items() -> Iterator[Item]:
        for row, (name, label) in enumerate(zip(index["names"], index["labels"])):
            buffer = io.BytesIO()
            Image.fromarray(crops[np.array([row])][0]).save(buffer, "PNG")
            person = index["identities"][label].partition("/")[2] or index["identities"][label]
            yield Item(str(PurePosixPath(name).with_suffix(".png")), person, buffer.getvalue())

    return Labeled("crop file", items, len(index["names"]))
