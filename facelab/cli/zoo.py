"""`python -m facelab zoo`: every row of the zoo that is missing, trained, judged and filed.

It runs the other commands, shows each before it begins, and goes on where it was cut.
"""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from facelab.cli.terminal import JOBS, one_sentence
from facelab.evaluation import reproduce
from facelab.evaluation.rows import Row
from facelab.evaluation.rows import rows as rows_of

Out = Annotated[str, arg(metavar="OUT")]


def zoo(
    out: Out,
    /,
    data: tuple[str, ...],
    images: str | None = None,
    pairs: str | None = None,
    people: str | None = None,
    only: tuple[str, ...] = (),
    compile: bool = False,
    jobs: int = JOBS,
    dry_run: bool = False,
) -> None:
    """Train, evaluate and file the missing rows of the model zoo, the most important first.

    A zoo that was stopped goes on where it was when the same command is given again, and ends as if it had
    not been stopped.

    Args:
        out: Folder for checkpoints, `measured/` for rows that keep figures alone, `zoo.json` with the
            commands behind every figure, and `runs/` for what is under way.
        data: Folders or zips of aligned crops.
        images: Folder or zip of photos for the final test, one folder per person.
        pairs: List of its pairs, in LFW's form; left out, nothing is tested.
        people: File of names, as in LFW, that says by which of the photos thresholds are set.
        only: Names of rows or recipes, or files of recipes, in place of the whole table.
        compile: Let torch.compile fuse the networks.
        jobs: Processes of those commands that take several.
        dry_run: List the rows, how far each is and about how long its training still takes.
    """
    from facelab.cli.main import main

    if not data:
        raise ValueError("no data was given; name at least one folder or zip of aligned crops with --data")
    if (pairs or people) and not images:
        raise ValueError("--pairs and --people are about photos; give them with --images FOLDER_OR_ZIP")
    path, photos, list_of_pairs, names = (
        Path(x).resolve() if x else None for x in (out, images, pairs, people)
    )
    sources = tuple(Path(source).resolve() for source in data)
    wanted = reproduce.Zoo(path, sources, photos, list_of_pairs, names, jobs, compile)
    rows = rows_of(only)
    if dry_run:
        _list(rows, wanted)
        return
    unfinished = [row.name for row in rows if not _make(row, wanted, main)]
    if unfinished:
        raise ValueError(f"not finished: {', '.join(unfinished)}; give the same command again to go on")


def _list(rows: list[Row], zoo: reproduce.Zoo) -> None:
    """A line per row, and how long all of them take."""
    total, width = 0.0, max(len(row.name) for row in rows)
    for row in rows:
        seconds = reproduce.seconds_left(row, zoo)
        total += seconds
        print(f"{row.name:<{width}}  {_spell(seconds):>9}  {reproduce.progress(row, zoo)[0]}", flush=True)
    print(f"{'all':<{width}}  {_spell(total):>9}  of training left, at this machine's present pace")


def _spell(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _make(row: Row, zoo: reproduce.Zoo, main: reproduce.Execute) -> bool:
    """Make a row, with each command shown before it runs -> whether it is finished; trouble is said."""

    def execute(argv: list[str]) -> int:
        print(f"$ {reproduce.written(argv)}", file=sys.stderr, flush=True)
        status = main(argv)
        if status == 130:
            raise KeyboardInterrupt
        return status

    try:
        return reproduce.make(row, zoo, execute)
    except ValueError as error:
        print(f"facelab: {one_sentence(error)}", file=sys.stderr)
        return False
