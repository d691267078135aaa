"""Common parts of all commands: flags from a signature, a progress bar, and errors of one sentence."""

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tqdm import tqdm

from facelab import settings
from facelab.data.cache import unusable
from facelab.data.images import Track
from facelab.models.names import nearest

if TYPE_CHECKING:
    import torch

CACHE = settings.cache()
JOBS = os.cpu_count() or 1
RULE = "╭╮╰╯─- "  # what tyro draws between the parts of its complaints


def track(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """Draw a progress bar on stderr, if it is a terminal."""
    return tqdm(items, total=total, desc=label, unit="img", disable=None, leave=False)


def on_device(name: str) -> "tuple[torch.device, Track]":
    """Find a device by name -> (device, a `track` that says once, when work begins, which it is)."""
    from facelab.models.device import choose, described

    device = choose(name)
    untold = [f"device: {described(device)}"]

    def tracked(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        if untold:
            print(untold.pop(), file=sys.stderr)
        return track(items, total, label)

    return device, tracked


@functools.cache
def usable(folder: Path) -> Path | None:
    """Return the cache folder, or None if nothing can be stored, with one message."""
    why = unusable(folder)
    if why is None:
        return folder
    words = "so nothing is kept between runs; FACELAB_CACHE names another folder"
    print(f"facelab: {why}, {words}", file=sys.stderr)
    return None


def parse(command: Callable, args: list[str], prog: str, default: Any = None) -> Callable[[], Any]:
    """Read a command's flags from its signature -> the command with its arguments, not yet run.

    Raises:
        ValueError: invalid flags, in one sentence.
        SystemExit: help was requested and printed.
    """

    @functools.wraps(command, updated=())
    def bound(*values: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(command, *values, **named)

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            if default is None:
                return tyro.cli(bound, args=args, prog=prog, config=(tyro.conf.FlagCreatePairsOff,))
            # --flip and --no-flip stand side by side here, for defaults that differ from recipe to recipe.
            value = tyro.cli(command, args=args, prog=prog, default=default)
            return lambda: value
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_unframed(complaint.getvalue(), prog)) from stop


def run_group(group: str, kind: str, commands: dict[str, Callable[..., None]], argv: list[str]) -> None:
    """Run the command of a group named by the first word, or list the commands.

    Args:
        group: name of the group, e.g. "data".
        kind: noun for its commands, e.g. "lesson".
        commands: functions by name.
        argv: the remaining words.

    Raises:
        ValueError: no such command, or invalid flags, in one sentence.
    """
    if not argv or argv[0] in ("-h", "--help"):
        word = kind.upper()
        print(f"usage: python -m facelab {group} {word} ...   ({group} {word} --help explains each)\n")
        for name, command in commands.items():
            print(f"  {name:<12}{command.__doc__.splitlines()[0]}")
        return
    if argv[0] not in commands:
        raise ValueError(f"unknown {kind} {argv[0]!r}: {nearest(argv[0], commands)}")
    parse(commands[argv[0]], argv[1:], f"python -m facelab {group} {argv[0]}")()


def _unframed(complaint: str, prog: str) -> str:
    """Return the first section of tyro's error, between its title and a rule, as one sentence."""
    lines = [line.strip("│ ") for line in complaint.splitlines()]
    rules = [i for i, line in enumerate(lines) if line.startswith("╭") or not line.strip(RULE)]
    first = rules[0] + 1 if rules else 0
    words = " ".join(lines[first : rules[1] if len(rules) > 1 else None])
    return f"{words.removesuffix(' (required)').rstrip('.')}; `{prog} --help` explains"


def one_sentence(error: Exception) -> str:
    """Return an error on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())
