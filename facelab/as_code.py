"""A run written down: as a Python script and as a command line, which repeat it to the last bit.

Only what differs from a default is said. Both ask for one thread, as the page has, because sums in another
order differ in their last bits; on another kind of processor bits may differ all the same.
"""

import shlex
from dataclasses import dataclass

from facelab.recipe import Recipe
from facelab.recipes import RECIPES

BASE = "softmax"  # the recipe that a command starts from
OUT = "live.safetensors"


@dataclass(frozen=True)
class Data:
    """What a run is trained on, for somebody who has the same zip or none.

    Attributes:
        identities, per_identity: of rendered faces, where there is no zip.
        photos: a zip's file name or a folder's path, one folder per person in it; empty for rendered faces.
        aligned: whether they are 112x112 crops; photos are aligned first, into a folder beside them.
    """

    identities: int = 0
    per_identity: int = 0
    photos: str = ""
    aligned: bool = True

    @property
    def path(self) -> str:
        """What `--data` is given."""
        return self.photos if self.aligned else f"{self.photos.removesuffix('.zip')}-crops"


def as_command(recipe: Recipe, data: Data, out: str = OUT) -> str:
    """The command line that trains a recipe, for a POSIX shell.

    Args:
        recipe: the run.
        data: what it was trained on; rendered faces are drawn from the recipe's seed.
        out: checkpoint to write.
    """
    words = ["train", BASE]
    if data.photos:
        words += ["--data", data.path]
    else:
        words += ["--identities", str(data.identities), "--per-identity", str(data.per_identity)]
    for name, value in _difference(recipe, RECIPES[BASE]).items():
        words += _flag(name, value)
    lines = [_line([*words, "--out", out])]
    if data.photos and not data.aligned:
        lines.insert(0, _line(["data", "prepare", data.photos, data.path]))
    return "\n".join(lines)


def _line(words: list[str]) -> str:
    return f"OMP_NUM_THREADS=1 python -m facelab {shlex.join(words)}"


def _flag(name: str, value: object) -> list[str]:
    """A field as the command line takes it; one that may be None is given a word even if it is a bool."""
    option = name.replace("_", "-")
    if isinstance(getattr(RECIPES[BASE], name), bool):
        return [f"--{option}" if value else f"--no-{option}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{option}", *map(str, values)]


def _difference(recipe: Recipe, base: Recipe) -> dict[str, object]:
    """The fields of a recipe that are not those of another."""
    other = base.to_dict()
    return {name: value for name, value in recipe.to_dict().items() if value != other[name]}


SCRIPT = '''"""Train {title} as FaceLab's page does; print the loss of every step."""

import torch

from facelab import checkpoint
{imports}
from facelab.data.splits import split
from facelab.recipe import Recipe
from facelab.train import train

torch.set_num_threads(1)  # as on the page: the same sums in the same order
recipe = Recipe(
{fields})
{note}data = {crops}

for progress in train(recipe, data):
    print(progress.step, progress.loss)
print(progress.validation)

people = split(data, recipe).training.identities
figures = {{"held_out": progress.validation}}
header = checkpoint.Header(recipe, len(people), {source!r}, figures, identities=people)
checkpoint.save({out!r}, progress.model, progress.loss_fn, header)
'''


def as_python(recipe: Recipe, data: Data, out: str = OUT) -> str:
    """A script that trains a recipe, prints each step's loss and writes a checkpoint.

    Args:
        recipe: the run.
        data: what it was trained on.
        out: checkpoint to write.
    """
    fields = "".join(f"    {name}={value!r},\n" for name, value in _difference(recipe, Recipe()).items())
    if data.photos:
        imports, source = "from facelab.data.folders import load_crops", data.path
        crops = f"load_crops([{data.path!r}])"
    else:
        imports, source = "from facelab.data.parametric import ParametricFaces", "rendered faces"
        crops = f"ParametricFaces({data.identities}, {data.per_identity}, recipe.seed).crop_set()"
    note = ""
    if data.photos and not data.aligned:
        note = f"# first, in a terminal: python -m facelab data prepare {data.photos} {data.path}\n"
    return SCRIPT.format(
        title=f"{recipe.loss} on {source}",
        imports=imports,
        fields=fields,
        crops=crops,
        note=note,
        source=source,
        out=out,
    )
