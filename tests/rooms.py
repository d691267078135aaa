"""The rooms of facelab/ and the arrows between them, as a table; run to print it as a diagram."""

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "facelab"

# room: (floor, what it may import from, besides itself)
ROOMS = {
    "settings": (0, ""),
    "photos": (1, "settings"),
    "metrics": (1, "settings"),
    "data": (2, "settings photos"),
    "models": (2, "settings photos metrics"),
    "training": (3, "settings photos metrics data models"),
    "recognition": (3, "settings photos metrics data models"),
    "evaluation": (4, "photos metrics data models training recognition"),
    "lessons": (5, "settings photos metrics data models training recognition evaluation"),
    "plots": (6, "metrics models recognition lessons"),
    "cli": (8, "settings metrics data models training recognition evaluation lessons ui"),
    "ui": (7, "settings photos metrics data models recognition evaluation lessons plots"),
    "__main__": (9, "cli"),
}

FILES = {"__main__"}  # rooms of one module


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Modules that a file imports; `from a import b` counts as a.b, which may be a module or a name in a."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def room_of(name: str) -> str:
    """facelab.models.losses.margins -> models."""
    return name.split(".")[1]


@functools.cache
def arrows() -> dict[str, set[str]]:
    """{room: rooms that its files import from}."""
    out: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room in ROOMS:
        for path in [PACKAGE / f"{room}.py"] if room in FILES else (PACKAGE / room).rglob("*.py"):
            found = {name for name in imports(path) if name.startswith("facelab.")}
            out[room] |= {room_of(name) for name in found} - {room}
    return out


def diagram() -> str:
    """The rooms from the top floor down, each with what it imports from."""
    rows = [
        f"{floor}  {room:<12} {' '.join(o for o in ROOMS if o in arrows()[room])}".rstrip()
        for room, (floor, _) in sorted(ROOMS.items(), key=lambda item: -item[1][0])
    ]
    return "\n".join(["   room         imports from", *rows])


if __name__ == "__main__":
    print(diagram())
