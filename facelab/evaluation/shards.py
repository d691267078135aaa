"""Shards of a long run over one listing, on one machine or on many: who does what, and what is done.

Shard i of n takes every n-th name of the sorted listing, so that shards are equally long and independent.
Each keeps a record beside the results; the records are the index, which tells whether all shards had
the same listing, which of them are done, and what failed.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from facelab.data.files import Written, replacing

FOLDER = ".shards"  # hidden, so that no reader of crops takes it for a person
MOST = 100_000


def parse_shard(text: str) -> tuple[int, int]:
    """Read `i/n` -> (i, n).

    Raises:
        ValueError: not two numbers with 1 <= i <= n.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    i, n = map(int, found.groups()) if found else (0, 0)
    if not 1 <= i <= n <= MOST:
        raise ValueError(f"--shard is {text[:40]!r}; it must be i/n with i from 1 to n, e.g. 2/8")
    return i, n


def share(names: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Return the names of a shard; those of all shards together are all names, each once."""
    i, n = shard
    return sorted(names)[i - 1 :: n]


def begin(out: Path, shard: tuple[int, int], names: Sequence[str]) -> None:
    """Record that a shard has begun.

    Raises:
        ValueError: other shards of OUT had another listing, or another number of shards.
    """
    listing = hashlib.sha256("\0".join(sorted(names)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    for other in _records(out).values():
        if other["of"] != shard[1]:
            raise ValueError(f"{out} was begun in {other['of']} shards, not {shard[1]}; keep to that number")
        if other["listing"] != listing:
            raise ValueError(f"{out} was begun with other photos; give every shard the same source")
    _write(out, shard, {"of": shard[1], "listing": listing, "done": False})


def end(out: Path, shard: tuple[int, int], done: Written) -> Written:
    """Record that a shard is done -> the report with a note on all shards; the last one has all failures."""
    was = _records(out).get(shard[0], {"of": shard[1], "listing": ""})
    counts = {"crops": done.written + done.kept, "failures": list(done.failures)}
    _write(out, shard, {**was, "done": True, **counts})
    records = _records(out)
    missing = [i for i in range(1, shard[1] + 1) if not records.get(i, {}).get("done")]
    if missing:
        left = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        note = f"shard {shard[0]} of {shard[1]} is done; not done yet: {left}"
        return replace(done, notes=(*done.notes, note))
    crops = sum(int(record["crops"]) for record in records.values())
    failures = tuple((str(n), str(why)) for record in records.values() for n, why in record["failures"])
    note = f"all {shard[1]} shards are done: {crops:,} crops, {len(failures):,} failed"
    return replace(done, failures=failures, notes=(*done.notes, note))


def _write(out: Path, shard: tuple[int, int], record: dict[str, object]) -> None:
    with replacing(out / FOLDER / f"{shard[0]}-of-{shard[1]}.json") as part:
        part.write_text(json.dumps(record), encoding="utf-8")


def _records(out: Path) -> dict[int, dict[str, object]]:
    """Return the records of shards by number; one that cannot be read counts as not begun."""
    found = {}
    for path in sorted((out / FOLDER).glob("*-of-*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            number, of = map(int, path.stem.split("-of-"))
            if record["of"] == of and isinstance(record["listing"], str):
                found[number] = record
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return dict(sorted(found.items()))
