"""Lines of code that a paper adds: a network against its parent, function by function.

Only code is compared, one statement a line, without comments and docstrings. A renamed block or network is
not a change, a function or class that the parent does not use counts in full, and tables of numbers outside
the functions (EfficientNet's plan) are not counted. The course states that ResNeXt needs about 3 changed
lines of ResNet, SENet 20 and RegNet 10; this module checks it.
"""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from facelab.models.backbones import BACKBONES
from facelab.models.names import nearest

Definition = Callable[..., object]  # a function or a class
CLAIMS = {"resnext50_32x4d": 3, "se_resnet50": 20, "regnet_x_400mf": 10}  # the course's, against ResNet
RESNET = "resnet50"


@dataclass(frozen=True)
class Part:
    """Hold one function or class before and after, as lines; `before` is empty for a new one."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def written(self) -> int:
        """Return the number of lines of `after` that are not in `before`."""
        blocks = SequenceMatcher(None, self.before, self.after, autojunk=False).get_matching_blocks()
        return len(self.after) - sum(block.size for block in blocks)


@functools.cache
def changes(name: str, base: str | None = None) -> tuple[Part, ...]:
    """Return the differences between two networks: block, plan, and new definitions.

    Args:
        name: in BACKBONES.
        base: the network to compare with; None is its parent, or nothing for the first network.

    Raises:
        ValueError: no such backbone.
    """
    for wanted in filter(None, (name, base)):
        if wanted not in BACKBONES:
            raise ValueError(f"unknown backbone {wanted!r}: {nearest(wanted, BACKBONES)}")
    base = base or BACKBONES[name].parent
    own, old = definitions(name), definitions(base) if base else {}
    twins = _twins(name, base, own) if base else {}
    parts = []
    for key, thing in own.items():
        twin = old.get(twins.get(key, key))
        if twin is not thing:
            parts.append(Part(key, code(twin, {}) if twin else (), code(thing, twins)))
    return tuple(part for part in parts if part.written or part.before != part.after)


def written(name: str, base: str | None = None) -> int:
    """Return the number of lines to write for a network, given the other one; see `changes`."""
    return sum(part.written for part in changes(name, base))


def _twins(name: str, base: str, own: dict[str, Definition]) -> dict[str, str]:
    """Return the base's names for this network's block and for the network itself.

    A block that calls the base's block is a new block around it.
    """
    pairs = (
        (BACKBONES[name].block.__name__, BACKBONES[base].block.__name__),
        (BACKBONES[name].build.__name__, BACKBONES[base].build.__name__),
    )
    return {mine: theirs for mine, theirs in pairs if mine != theirs and theirs not in own}


@functools.cache
def definitions(name: str) -> dict[str, Definition]:
    """Return every function and class of this project that a network uses, by name: its block first, then
    from the network down.
    """
    row = BACKBONES[name]
    found: dict[str, Definition] = {}
    todo: list[Definition] = [row.block, row.build]
    while todo:
        thing = todo.pop(0)
        if thing.__name__ not in found:
            found[thing.__name__] = thing
            todo += _used(thing)
    return found


def _used(thing: Definition) -> list[Definition]:
    """Return the names that the code of a definition uses, if it is a function or class of this project."""
    room = vars(sys.modules[thing.__module__])
    names = dict.fromkeys(node.id for node in ast.walk(_tree(thing)) if isinstance(node, ast.Name))
    things = (room.get(name) for name in names)
    return [
        thing
        for thing in things
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__.startswith("facelab.")
    ]


def code(thing: Definition, renamed: dict[str, str]) -> tuple[str, ...]:
    """Return a definition without comments and docstrings, one statement a line, with some names replaced."""
    tree = _tree(thing)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.name = renamed.get(node.name, node.name)
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.Name):
            node.id = renamed.get(node.id, node.id)
    return tuple(line for line in ast.unparse(tree).splitlines() if line.strip())


def _tree(thing: Definition) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(thing)))


def block_source(name: str) -> str:
    """Return the source code of a network's block, to be shown with the paper."""
    return inspect.getsource(BACKBONES[name].block)
