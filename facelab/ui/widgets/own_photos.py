"""Read a visitor's photos for Train and Transfer: a zip, read into memory and deleted immediately; or, where
the page is not hosted, a folder of this machine, which is only read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from facelab.data.images import printable
from facelab.lessons.live.data import TrainingData, from_photos
from facelab.settings import hosted
from facelab.ui.uploads import deleting
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import MINUTES

PRIVATE = (
    "Aligned 112×112 crops are used as they are; in other photos the main face is detected and aligned. "
    "A zip is deleted as soon as it is read; faces and networks stay in memory for this visit, until "
    f"{MINUTES} minutes after your last step. Ask people before you train on their faces."
)


def read_zip(path: str, before: TrainingData | None, most: int, least: int, progress: Any) -> list[Any]:
    """Read the faces of an upload and delete it -> (faces, message, the emptied input).

    Args:
        path: the upload.
        before: faces that are kept if this zip is invalid, and overwritten otherwise.
        most, least: maximum number of photos, and minimum per person.
        progress: gradio's progress bar.
    """
    with deleting(path):
        return [*_read(path, before, most, least, progress), None]


def read_folder(path: str, before: TrainingData | None, most: int, least: int, progress: Any) -> list[Any]:
    """Read the faces of a folder on this machine -> (faces, message); arguments as for `read_zip`.

    A hosted page reads nothing, because the visitor uses another machine.
    """
    if hosted():
        return [before, cards.problem("This page is hosted and cannot read your folders; add a zip.")]
    if not Path(path).expanduser().is_dir():
        return [before, cards.problem(f"There is no folder {path!r} on this machine; enter its full path.")]
    return _read(str(Path(path).expanduser()), before, most, least, progress)


def _read(path: str, before: TrainingData | None, most: int, least: int, progress: Any) -> list[Any]:
    def track(names: Any, total: int, label: str) -> Any:
        return progress.tqdm(names, desc="detecting and aligning faces", unit="photos")

    try:
        pool = from_photos(path, most, least, track)
    except ValueError as error:
        return [before, cards.problem(f"{error}.")]
    forget(before)
    return [pool, found_card(pool)]


def found_card(pool: TrainingData) -> str:
    """Return the number of faces and identities in a zip or folder, and what was omitted."""
    left = pool.data.skipped
    words = f"{len(pool.data)} faces of {len(pool.data.identities)} identities are ready."
    if left:
        first = printable(left[0][0])
        words += f" {len(left)} photos were left out, the first ({first}) because: {left[0][1]}."
    words += "".join(f" {note}." for note in pool.data.notes)
    return cards.hint(words)


def forget(pool: TrainingData | None) -> None:
    """Overwrite the faces of a visit that is over."""
    if pool is not None:
        pool.forget()


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs for photos: a zip, or the path of a folder (hidden where the page is hosted), and a card with
    the result.
    """

    file: gr.File
    folder: gr.Textbox
    read: gr.Button
    found: gr.HTML


def section(prefix: str, needs: str, nothing: str) -> Inputs:
    """Lay the inputs out.

    Args:
        prefix: prefix of the ids on the page.
        needs: required content of the zip or folder.
        nothing: text until there is one.
    """
    with gr.Accordion("Photos of your own", open=False, elem_id=f"{prefix}-zip"):
        gr.Markdown(f"{needs} {PRIVATE}", elem_classes="fl-small")
        file = gr.File(label="A zip, up to 25 MB", file_types=[".zip"], height=120, elem_id=f"{prefix}-file")
        with gr.Row(visible=not hosted()):
            folder = gr.Textbox(label="Folder on this machine", placeholder="/home/me/people",
                                info="Full path; read only.", scale=3,
                                elem_id=f"{prefix}-folder")  # fmt: skip
            read = gr.Button("Read the folder", scale=1, min_width=160, elem_id=f"{prefix}-read")
        found = gr.HTML(cards.hint(nothing), elem_id=f"{prefix}-found", padding=False)
    return Inputs(file, folder, read, found)
