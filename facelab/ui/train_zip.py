"""A visitor's zip of photos, for Train and Transfer: read into memory, deleted at once, forgotten."""

import contextlib
import os
from pathlib import Path
from typing import Any

import gradio as gr

from facelab.live_data import Pool, from_zip
from facelab.ui import cards
from facelab.ui.controls import MINUTES

PRIVATE = (
    "Aligned 112×112 crops are taken as they are; on other photos the main face is found and aligned. "
    "The zip is deleted as soon as it is read; faces and networks stay in memory for this visit, until "
    f"{MINUTES} minutes after your last step. Ask people before you train on their faces."
)


def read_zip(path: str, before: Pool | None, most: int, least: int, progress: Any) -> list[Any]:
    """The faces of an upload, which is gone afterwards -> (faces, what was found, the emptied input).

    Args:
        path: the upload.
        before: faces that are kept if this zip is refused, and overwritten if not.
        most, least: photos in all, and of each person.
        progress: gradio's.
    """

    def track(names: Any, total: int, label: str) -> Any:
        return progress.tqdm(names, desc="finding and aligning faces", unit="photos")

    try:
        pool = from_zip(path, most, least, track)
    except ValueError as error:
        return [before, cards.problem(f"{error}."), None]
    finally:
        Path(path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.rmdir(Path(path).parent)  # gradio makes one for each upload
    forget(before)
    return [pool, found_card(pool), None]


def found_card(pool: Pool) -> str:
    """What was found in a zip."""
    left = pool.data.skipped
    words = f"{len(pool.data)} faces of {len(pool.data.identities)} people are ready."
    if left:
        words += f" {len(left)} photos were left out, the first ({left[0][0]}) because: {left[0][1]}."
    return cards.hint(words)


def forget(pool: Pool | None) -> None:
    """Overwrite the faces of a visit that is over."""
    if pool is not None:
        pool.forget()


def section(prefix: str, needs: str, nothing: str) -> tuple[gr.File, gr.HTML]:
    """The input for a zip, and the card that says what was found.

    Args:
        prefix: of the ids on the page.
        needs: what must be in the zip.
        nothing: what holds until there is one.
    """
    with gr.Accordion("Photos of your own", open=False, elem_id=f"{prefix}-zip"):
        gr.Markdown(f"{needs} {PRIVATE}", elem_classes="fl-small")
        file = gr.File(label="A zip, up to 25 MB", file_types=[".zip"], height=120, elem_id=f"{prefix}-file")
        found = gr.HTML(cards.hint(nothing), elem_id=f"{prefix}-found", padding=False)
    return file, found
