"""The Markdown files of the project, and the fenced blocks in them that tests run.

A fence says in its first line what becomes of it: `sh` is run on small data, `python` is executed, and `page`
behind either is a call to a running page. Behind `sh`, `needs-data`, `needs-processes`, `needs-stopped-run`
and `set-up` mark what is not run; their commands and flags are checked.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_RUN = ("needs-data", "needs-processes", "needs-stopped-run", "set-up")
MARKERS = ("", "page", *NOT_RUN)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the marker behind it, and its lines without comments."""

    language: str
    marker: str
    text: str

    @property
    def commands(self) -> list[str]:
        lines = (re.sub(r"\s+#.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line]


def documents() -> list[Path]:
    """Every Markdown file: at the top, in docs/, and beside the checkpoints and the notebooks."""
    folders = (ROOT, *(ROOT / name for name in ("docs", "checkpoints", "notebooks")))
    return sorted(path for folder in folders for path in folder.glob("*.md"))


def name_of(path: Path) -> str:
    """A document's path as the project writes it, e.g. `docs/tour.md`."""
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without its fenced blocks, where a `#` begins no heading."""
    return FENCE.sub("", path.read_text("utf-8"))


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    for info, text in FENCE.findall(path.read_text("utf-8")):
        language, _, marker = info.strip().partition(" ")
        found.append(Block(language, marker, text))
    return found
