"""A run as a Python script and as a command line, which reproduce it bit by bit.

Only values that differ from a default are written. Both set one thread, as on the page, because sums in
another order differ in their last bits; on another kind of processor bits may still differ.
"""

import os
import shlex
from dataclasses import dataclass

from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES

BASE = "softmax"  # the recipe that a command starts from where none has the loss
OUT = "live.safetensors"


@dataclass(frozen=True)
class Data:
    """Describe the training data for a user who has the same zip or none.

    Attributes:
        identities, per_identity: numbers of rendered faces, without a zip.
        photos: a zip's file name or a folder's path, one folder per person in it; empty for rendered faces.
        aligned: whether they are 112x112 crops; photos are aligned first, into a folder next to them.
    """

    identities: int = 0
    per_identity: int = 0
    photos: str = ""
    aligned: bool = True

    @property
    def path(self) -> str:
        """Return the argument of `--data`."""
        beside = self.photos.rstrip("/\\").removesuffix(".zip")
        return self.photos if self.aligned else f"{beside}-crops"


def as_command(recipe: Recipe, data: Data, out: str = OUT) -> str:
    """Return the command line that trains a recipe, for a POSIX shell.

    Args:
        recipe: the run.
        data: its training data; rendered faces are drawn from the recipe's seed.
        out: checkpoint to write.
    """
    base = _base(recipe)
    words = ["train", base]
    if data.photos:
        words += ["--data", _argument(data.path)]
    else:
        words += ["--identities", str(data.identities), "--per-identity", str(data.per_identity)]
    for name, value in _difference(recipe, RECIPES[base]).items():
        words += _flag(name, value)
    lines = [_line([*words, "--out", out])]
    if data.photos and not data.aligned:
        lines.insert(0, _line(["data", "prepare", _argument(data.photos), _argument(data.path)]))
    return "\n".join(lines)


def _base(recipe: Recipe) -> str:
    """Return the recipe to start from: one with the same loss, if it exists."""
    name = recipe.loss.replace("+", "_")
    return name if name in RECIPES and RECIPES[name].loss == recipe.loss else BASE


def _line(words: list[str]) -> str:
    return f"OMP_NUM_THREADS=1 python -m facelab {' '.join(map(_quoted, words))}"


def _argument(path: str) -> str:
    """Return a path that is not parsed as a flag."""
    return f"./{path}" if path.startswith("-") else path


def _quoted(word: str) -> str:
    """Quote a word for a POSIX shell, on one line; line breaks and undecodable bytes are escaped."""
    if word.isprintable():
        return shlex.quote(word)
    plain = set(range(32, 127)) - set(b"'\\")
    return "$'" + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(word)) + "'"


def _flag(name: str, value: object) -> list[str]:
    """Return a field as a command-line flag; one that may be None gets a word even if it is a bool."""
    option = name.replace("_", "-")
    if isinstance(getattr(RECIPES[BASE], name), bool):
        return [f"--{option}" if value else f"--no-{option}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{option}", *map(str, values)]


def _difference(recipe: Recipe, base: Recipe) -> dict[str, object]:
    """Return the fields of a recipe that differ from another's."""
    other = base.to_dict()
    return {name: value for name, value in recipe.to_dict().items() if value != other[name]}


SCRIPT = '''"""Train {title} as FaceLab's page does; print the loss of every step."""

import torch

{imports}
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.training.loop import train
from facelab.training.splits import split

torch.set_num_threads(1)  # as on the page: the same sums in the same order
recipe = Recipe(
{fields})
{first}data = {crops}

for progress in train(recipe, data):
    print(progress.step, progress.loss)
print(progress.validation)

people = split(data, recipe).training.identities
figures = {{"held_out": progress.validation}}
rows = tuple(progress.run.history.so_far())  # for `python -m facelab doctor`
header = checkpoint.Header(recipe, len(people), {source!r}, figures, identities=people, history=rows)
checkpoint.save({out!r}, progress.model, progress.loss_fn, header)
'''


def as_python(recipe: Recipe, data: Data, out: str = OUT) -> str:
    """Return a script that trains a recipe, prints each step's loss and writes a checkpoint.

    Args:
        recipe: the run.
        data: its training data.
        out: checkpoint to write.
    """
    fields = "".join(f"    {name}={value!r},\n" for name, value in _difference(recipe, Recipe()).items())
    first = ""
    if data.photos:
        imports, title, source = "from facelab.data.folders import load_crops", "photographs", data.path
        crops = f"load_crops([{data.path!r}])"
        if not data.aligned:  # code, since a shell on another system would want other quotes
            imports = f"{imports}\nfrom facelab.evaluation.photo_pool import prepare"
            first = f"prepare({data.photos!r}, {data.path!r})  # crops that are there already are kept\n"
    else:
        imports, title = "from facelab.data.parametric import ParametricFaces", "rendered faces"
        source = title
        crops = f"ParametricFaces({data.identities}, {data.per_identity}, recipe.seed).crop_set()"
    return SCRIPT.format(
        title=f"{recipe.loss} on {title}",
        imports=imports,
        fields=fields,
        first=first,
        crops=crops,
        source=source,
        out=out,
    )
