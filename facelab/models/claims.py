"""Check the claims of a .safetensors file before anything is built, allocated or trusted.

A header is untrusted text: one kilobyte can announce eight million classes. So the header is read alone,
every number and type in it is checked, and the tensors that it lists are compared with those that its recipe
implies. The expected tensors come from building the network on PyTorch's meta device, which allocates no
memory.
"""

import functools
import json
import math
import os
import struct
from dataclasses import dataclass

import torch

from facelab.models.losses import build_loss
from facelab.models.model import build_model
from facelab.models.recipe import Recipe

MAX_HEADER = 4 * 2**20  # bytes: a hundred thousand names of people
MAX_CLASSES = 10_000_000
MAX_TEXT = 10_000  # characters of what is said in words, e.g. of the data
MAX_ROWS, MAX_FIGURES = 1000, 100  # of a run's history, and of one of its rows
MAX_DEPTH = 6  # of measured figures: test, subset, figure, ...
SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")  # in which a checkpoint keeps a real number
WHOLE = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}


@dataclass(frozen=True)
class Claims:
    """Hold a header's texts by name, and (type, shape) of each tensor by name."""

    metadata: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...]]]


def read_claims(path: str | os.PathLike) -> Claims:
    """Read a header alone and check it against the size of its file.

    Raises:
        ValueError: not a complete .safetensors file; the message continues a sentence that begins with the
            file's name.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))[0]
        if length > min(MAX_HEADER, size - 8):
            raise ValueError(
                "is not a complete .safetensors file: its header is longer than allowed or than the file"
            )
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not a complete .safetensors file: its header is not JSON") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("is not a complete .safetensors file: its header is not a table")
    end, tensors = 0, {}
    for name, entry in sorted(header.items(), key=_begin):
        dtype, shape, begin, stop = _fields(entry)
        if begin != end or stop - begin != math.prod(shape) * SIZES[dtype]:
            raise ValueError(
                f"is not a complete .safetensors file: {name[:80]!r} does not fill its byte range"
            )
        end, tensors[name] = stop, (dtype, shape)
    if end != size - 8 - length:
        raise ValueError("is not a complete .safetensors file: it is longer or shorter than its header says")
    return Claims(metadata, tensors)


def _begin(item: tuple[str, object]) -> tuple[int, int]:
    """Return the offset at which a tensor begins, as a sort key."""
    return _fields(item[1])[2:]


def _fields(entry: object) -> tuple[str, tuple[int, ...], int, int]:
    """Return (type, shape, begin, end) of one tensor's entry."""
    try:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and 0 <= n < 2**40 for n in (*shape, begin, stop))
        if len(entry) == 3 and whole and len(shape) <= 8 and SIZES.get(dtype):
            return dtype, tuple(shape), begin, stop
    except (TypeError, KeyError, ValueError):  # whatever else JSON can hold there
        pass
    raise ValueError("is not a complete .safetensors file: the entry of a tensor is unreadable")


def check_values(
    num_classes: object, data: object, metrics: object, identities: object, device: object, history: object
) -> None:
    """Raise a ValueError if a value of a checkpoint's header has a type that its readers do not expect.

    Raises:
        ValueError: the message names the value and what it must be.
    """
    if type(num_classes) is not int or not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes is {_short(num_classes)}; it must be 1 to {MAX_CLASSES:,}")
    for name, text in (("data", data), ("device", device)):
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(f"{name} is {_short(text)}; it must be text of at most {MAX_TEXT:,} characters")
    if not isinstance(metrics, dict) or not all(isinstance(test, dict) for test in metrics.values()):
        raise ValueError(f"metrics are {_short(metrics)}; they must be a table of figures for each test")
    if not _is_plain(metrics, MAX_DEPTH):
        raise ValueError(f"metrics hold a figure that is neither a number nor text: {_short(metrics)}")
    names = isinstance(identities, list | tuple) and all(
        isinstance(name, str) and len(name) <= MAX_TEXT for name in identities
    )
    if not names:
        raise ValueError(f"identities are {_short(identities)}; they must be a list of names")
    if len(identities) not in (0, num_classes):
        raise ValueError(
            f"{len(identities)} identities are named for {num_classes} classes; name all or none"
        )
    check_history(history)


def check_history(history: object) -> None:
    """Raise a ValueError if a run's history is not a list of rows of finite numbers by name."""
    if not isinstance(history, list | tuple) or len(history) > MAX_ROWS:
        raise ValueError(f"the history is {_short(history)}; it must be a list of at most {MAX_ROWS:,} rows")
    for row in history:
        if not isinstance(row, dict) or len(row) > MAX_FIGURES or not all(map(_is_figure, row.items())):
            raise ValueError(f"a row of the history is {_short(row)}; it must be a table of finite numbers")


def _is_figure(item: tuple[object, object]) -> bool:
    name, value = item
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(name, str) and len(name) <= 100 and number and abs(value) < 1e30


def _is_plain(value: object, depth: int) -> bool:
    """Return whether a figure is a number, text, None, or a table or list of these."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(item, depth - 1) for item in inner)
    return value is None or isinstance(value, int | float | str)


def _short(value: object) -> str:
    return repr(value)[:60]


def check_tensors(claims: Claims, recipe: Recipe, num_classes: int) -> None:
    """Raise a ValueError if a tensor is unexpected, missing, or of the wrong type or shape for a recipe.

    Raises:
        ValueError: the message names the tensor.
    """
    wanted = expected_tensors(recipe, num_classes)
    for name, (dtype, shape) in claims.tensors.items():
        if name not in wanted:
            raise ValueError(f"unknown key {name[:80]!r}; its recipe has no such tensor")
        types, legal = wanted[name]
        if shape != legal or dtype not in types:
            there = f"{dtype} {list(shape)}"
            raise ValueError(f"{name} is {there}; its recipe needs {' or '.join(types)} {list(legal)}")
    if missing := sorted(set(wanted) - set(claims.tensors)):
        raise ValueError(f"{missing[0]} is missing, with {len(missing) - 1} other tensors of its recipe")


@functools.lru_cache(maxsize=64)
def expected_tensors(recipe: Recipe, num_classes: int) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
    """Return (valid types, shape) of each tensor in a checkpoint, by name, without allocating memory.

    Raises:
        ValueError: the recipe cannot be built.
    """
    with torch.device("meta"):
        model = build_model(recipe)
        loss_fn = build_loss(recipe.loss, recipe.embedding_dim, num_classes, recipe.loss_options())
    return {
        prefix + name: (FLOATS if value.is_floating_point() else (WHOLE[value.dtype],), tuple(value.shape))
        for prefix, module in (("model.", model), ("loss.", loss_fn))
        for name, value in module.state_dict().items()
    }
