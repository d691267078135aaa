"""`python -m facelab zoo`: train, evaluate and store every missing row of the zoo.

It runs the other commands, prints each before it begins, and continues an interrupted run.
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
    """Train and evaluate the missing rows of the model zoo, the most important first.

    The same command continues an interrupted run, with the same result as without interruption.

    Args:
        out: Folder for checkpoints, `measured/` for rows without weights, `zoo.json` with the commands behind
            every figure, and `runs/` for unfinished runs.
        data: Folders or zips of aligned crops.
        images: Folder or zip of photos for the final test, one folder per person.
        pairs: List of its pairs, in LFW's form; without it, no final test is made.
        people: File with the names of the people on whose photos thresholds are calibrated, in LFW's form.
        only: Names of rows or recipes, or files of recipes, instead of all rows.
        compile: Use torch.compile.
        jobs: Number of processes of the commands that use several.
        dry_run: List the rows, the progress of each and the estimated remaining training time.
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
    """Print a line per row, and the time that all of them take."""
    total, width = 0.0, max(len(row.name) for row in rows)
    for row in rows:
        seconds = reproduce.seconds_left(row, zoo)
        total += seconds
        print(f"{row.name:<{width}}  {_spell(seconds):>9}  {reproduce.progress(row, zoo)[0]}", flush=True)
    print(f"{'all':<{width}}  {_spell(total):>9}  of training left, at this machine's current pace")


def _spell(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _make(row: Row, zoo: reproduce.Zoo, main: reproduce.Execute) -> bool:
    """Run a row, with each command printed before it runs -> whether it is finished; errors are printed."""

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
