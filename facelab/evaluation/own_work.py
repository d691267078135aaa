"""Whether a checkpoint may be handed in: the course forbids pretrained weights and data of others.

A checkpoint says in its header what it began from. A start from a checkpoint of one's own is allowed if that
was trained on the homework's classes and rests on no pretrained weights itself.
"""

from pathlib import Path

from facelab.data.hw2p2 import Homework, class_labels, class_order
from facelab.models import checkpoint
from facelab.models.checkpoint import Header
from facelab.models.zoo import PACKAGE, shipped

WHY = "the course asks for a network that you train from random weights on its data"
CHECKPOINTS = shipped(PACKAGE)
MOST_STARTS = 20  # of starts from one another


def require_own_work(path: Path, header: Header, homework: Homework) -> None:
    """Raise a ValueError for a checkpoint that is no work of one's own on the homework.

    Args:
        path: its file.
        header: its header.
        homework: whose classes a start must have been trained on.

    Raises:
        ValueError: a shipped checkpoint or a copy of one, a pretrained start, or a teacher.
    """
    for _ in range(MOST_STARTS):
        if is_shipped(path, header):
            raise ValueError(f"{path.name} is shipped with facelab; {WHY}")
        if header.recipe.teacher is not None:
            raise ValueError(f"{path.name} is distilled from a trained teacher; {WHY}")
        start = header.recipe.init_from
        if start is None:
            return
        before = _own_start(path, start, homework)
        if before is None:
            raise ValueError(
                f"{path.name} begins from {start}, whose weights are pretrained or unknown; {WHY}"
            )
        path, header = before
    raise ValueError(f"{path.name} begins from itself; {WHY}")


def is_shipped(path: Path, header: Header) -> bool:
    """Return whether a checkpoint is one of the project's, or a copy of one under another name."""
    if path.resolve().parent == CHECKPOINTS.resolve():
        return True
    return any(
        ours.recipe == header.recipe and ours.data == header.data
        for ours in map(_header, sorted(CHECKPOINTS.glob("*.safetensors")))
        if ours is not None
    )


def _own_start(path: Path, start: str, homework: Homework) -> tuple[Path, Header] | None:
    """Return the checkpoint that a run began from, if it was trained on the homework's classes."""
    if not start.endswith(".safetensors") or homework.train is None:
        return None
    for place in (Path(start), path.parent / Path(start).name):
        found = _header(place) if place.is_file() else None
        if found and found.identities:
            labels = set(class_labels(homework.train))
            return (place, found) if set(class_order(found.identities)) <= labels else None
    return None


def _header(path: Path) -> Header | None:
    try:
        return checkpoint.read_header(path)
    except ValueError:
        return None
