"""Run the feeder in a folder of its own and judge what it wrote: counts, slow files, memory, files left."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 5.0, 300.0  # that one file may take


@dataclass(frozen=True)
class Report:
    """What the readers did with a corpus.

    Attributes:
        rows: one for each reader and file, as `feed.fed` gives them.
        left: files found in the folders that should be empty.
        idle: memory after the first files, in MB; the libraries are loaded then.
        after: memory at the end, in MB.
    """

    rows: list[dict]
    left: list[str]
    idle: float
    after: float

    def wrong(self) -> list[dict]:
        """Return the rows that ended neither in success nor in one sentence."""
        return [row for row in self.rows if row["kind"] not in ("accepted", "refused")]

    def greedy(self) -> list[dict]:
        """Return the rows that took more than 300 MB above idle."""
        return [row for row in self.rows if row["peak"] > MEGABYTES]

    def slow(self) -> list[dict]:
        """Return the rows that took more than five seconds of processor time."""
        return [row for row in self.rows if row["seconds"] > SECONDS]

    def table(self) -> str:
        """Return the counts by reader, and the totals, as text."""
        lines = [f"{'reader':<22}{'tried':>7}{'refused':>9}{'accepted':>10}{'wrong':>7}{'s':>7}{'MB':>7}"]
        for reader in dict.fromkeys(row["reader"] for row in self.rows):
            rows = [row for row in self.rows if row["reader"] == reader]
            lines.append(f"{reader:<22}{_counts(rows)}")
        lines.append(f"{'all':<22}{_counts(self.rows)}")
        files = len({row["file"] for row in self.rows})
        lines.append(f"{files} files; {len(self.left)} left behind; {self.idle:.0f} -> {self.after:.0f} MB")
        return "\n".join(lines)


def _counts(rows: list[dict]) -> str:
    kinds = Counter(row["kind"] for row in rows)
    wrong = len(rows) - kinds["refused"] - kinds["accepted"]
    slowest, largest = max(row["seconds"] for row in rows), max(row["peak"] for row in rows)
    return (
        f"{len(rows):>7}{kinds['refused']:>9}{kinds['accepted']:>10}{wrong:>7}{slowest:>7.1f}{largest:>7.0f}"
    )


def run(files: list[tuple[str, Path]], place: Path) -> Report:
    """Feed files to one process; before memory counts, one of each kind, so that libraries are loaded.

    Args:
        files: as `corpus.write` gives them.
        place: a folder in which the process has its home, its temporary and its working folder.
    """
    folders = {name: place / name for name in ("HOME", "TMPDIR", "here")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    own = {name: str(folders[name]) for name in ("HOME", "TMPDIR")}
    warm, mark = _kinds(files), "\t"  # a mark asks for the memory in use
    lines = [*(f"{group}\t{path}" for group, path in warm), mark]
    lines += [*(f"{group}\t{path}" for group, path in files), mark]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hostile.feed"],
        input="\n".join(lines), capture_output=True, text=True, cwd=folders["here"], check=False,
        env=os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        "FACELAB_CACHE": own["HOME"]},
    )  # fmt: skip
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    if ran.returncode:
        raise RuntimeError(f"the process died after {rows[-1:]}: {ran.stderr[-3000:]}")
    marks = [i for i, row in enumerate(rows) if "idle" in row]
    left = [
        str(path.relative_to(place))
        for folder in folders.values()
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return Report(rows[marks[0] + 1 : marks[1]], left, *(rows[i]["idle"] for i in marks))


def _kinds(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Return the first file of each reader and suffix."""
    first: dict[tuple[str, str], tuple[str, Path]] = {}
    for group, path in files:
        first.setdefault((group, path.suffix), (group, path))
    return list(first.values())
