"""Logs of trainings by any program, as named series: CSV, a JSON object a line, or TensorBoard's events.

Nothing is made of the names here; `facelab.evaluation.run_log` knows which is a loss. A cell that is empty or
no number is left out of its series, as loggers leave cells empty that were not measured in a step.
"""

import json
import os
from pathlib import Path

from facelab.data.formats.events import is_event_file, read_scalars
from facelab.data.images import printable
from facelab.data.lists import read_rows

Series = dict[str, tuple[list[float], list[float]]]  # {name: (steps, values)}
STEPS = ("step", "global_step", "iteration", "iter", "trainer/global_step", "_step", "epoch")  # best first
MAX_BYTES, MAX_COLUMNS = 200 << 20, 1_000  # of a text
EVENTS = "*tfevents*"


def read_log(path: str | os.PathLike) -> Series:
    """Read a log: a .csv or .tsv with titles, a .jsonl, an event file, or a folder of event files.

    Raises:
        ValueError: no such file, of no such kind, damaged, or without a number.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob(EVENTS))
        if not files:
            raise ValueError(f"{path} holds no event file of TensorBoard; name a log")
        return _joined([read_scalars(file).series for file in files])
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a log")
    if is_event_file(path):
        return read_scalars(path).series
    if os.path.getsize(path) > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than 200 MB; log one row an epoch")
    if path.suffix.lower() in (".jsonl", ".json", ".ndjson"):
        return _series(path.name, *_json_rows(path))
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".log"):
        raise ValueError(f"{path.name} is not a log; give a .csv, a .jsonl or TensorBoard's event file")
    rows = read_rows(path, "row of figures")
    names = rows[0][1]
    if len(set(names)) < len(names) or all(map(_is_number, names)):
        raise ValueError(
            f"{path.name} needs a first line of titles, each different, e.g. epoch,loss,val_loss"
        )
    return _series(path.name, names, [dict(zip(names, row)) for _, row in rows[1:]])


def _json_rows(path: Path) -> tuple[list[str], list[dict[str, object]]]:
    names, rows = {}, []
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path.name}, line {number}: it is not a JSON object; write one per line"
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f"{path.name}, line {number}: it is not a JSON object; write one per line")
        rows.append(row)
        names |= dict.fromkeys(map(str, row))
    return list(names), rows


def _series(title: str, names: list[str], rows: list[dict[str, object]]) -> Series:
    """Return the columns as series over the best column of steps, or over the rows."""
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{title} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read")
    lower = {name.lower(): name for name in names}
    steps = next((lower[name] for name in STEPS if name in lower), None)
    out: Series = {}
    for number, row in enumerate(rows, 1):
        at = row.get(steps) if steps else number
        if not _is_number(at):
            continue
        for name in names:
            if name != steps and _is_number(row.get(name)):
                places, values = out.setdefault(name, ([], []))
                places.append(float(at))
                values.append(float(row[name]))
    if not out:
        if not names:
            raise ValueError(f"{title} is empty; log one row an epoch")
        raise ValueError(
            f"{title} holds no figures below its titles {', '.join(map(printable, names))[:200]}"
        )
    return out


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        float(value)
    except (ValueError, OverflowError):
        return False
    return True


def _joined(parts: list[Series]) -> Series:
    """Return the series of several files of a run, each in the order of its steps."""
    points: dict[str, list[tuple[float, float]]] = {}
    for part in parts:
        for name, (steps, values) in part.items():
            points.setdefault(name, []).extend(zip(steps, values))
    return {name: tuple(map(list, zip(*sorted(pairs)))) for name, pairs in points.items()}
