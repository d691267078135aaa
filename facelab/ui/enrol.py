"""Enrolling people on the page: a visitor's gallery, from photos, a zip or an exported file, and out again.

It is a value of the visitor's session: vectors and small faces in memory, never on disk, gone after fifteen
minutes without use. Until something is enrolled, the page's rendered people stand in for it.
"""

import base64
import functools
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from facelab import gallery as galleries
from facelab.faces import IMAGE_SUFFIXES
from facelab.gallery import Gallery
from facelab.photo import HEIC_SUFFIXES
from facelab.ui import cards, people
from facelab.ui.examples import example_people

LEAD = (
    "### Enrol people\nAdd photos of one person with a name, a zip with one folder per person, or a gallery "
    "that you exported (.npz), up to 25 MB. Only vectors and small faces are kept, for this visit. Ask "
    "people before you enrol them."
)
DOWNLOAD = """(packed) => {
  if (!packed) return;
  const link = document.createElement('a');
  link.href = 'data:application/octet-stream;base64,' + packed;
  link.download = 'gallery.npz';
  link.click();
}"""


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A gallery, and the first face of each person in it where there is one, to be shown."""

    gallery: Gallery
    crops: people.Crops


Session = dict[str, Enrolled] | None  # by model, since each has vectors of its own


@functools.cache
def example_gallery(model: str) -> Enrolled:
    """The rendered people, enrolled under a model."""
    photos = [(name, f"photo of {name}", partial(_same, image)) for name, image in example_people()]
    return _with_crops(Enrolled(Gallery(model), {}), galleries.enrol(Gallery(model), photos))


def _same(image: Image.Image) -> Image.Image:
    return image


def _with_crops(before: Enrolled, enrolment: galleries.Enrolment) -> Enrolled:
    first = dict(reversed(enrolment.crops))
    return Enrolled(enrolment.gallery, first | before.crops)


def current(session: Session, own: bool, model: str) -> Enrolled:
    """What a visitor's questions under a model are asked of.

    Args:
        session: the visitor's galleries, if the server still has them.
        own: whether the visitor has made any; the browser remembers that when the server has forgotten them.
        model: name of the embedder.
    """
    if session is None:
        return Enrolled(Gallery(model), {}) if own else example_gallery(model)
    return session.get(model, Enrolled(Gallery(model), {}))


def on_enrol(
    session: Session,
    own: bool,
    model: str,
    name: str,
    files: list[str] | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Add what the files hold -> (galleries, own, what happened, name, files)."""
    before = current(session, own, model)
    try:
        after, note = enrolled_from(before, name, files or [], progress)
    except ValueError as error:
        return [session, own, cards.problem(str(error)), gr.skip(), gr.skip()]
    return [(session or {}) | {model: after}, True, note, "", None]


def enrolled_from(before: Enrolled, name: str, files: list[str], progress: Any) -> tuple[Enrolled, str]:
    """(gallery with what the files hold, a card that says what that was).

    Raises:
        ValueError: one sentence that says what to do.
    """
    suffixes = {os.path.splitext(file)[1].lower() for file in files}
    if not files:
        raise ValueError("There is no file; add photos of one person, a zip or an exported .npz.")
    if suffixes & {".zip", ".npz"} and len(files) > 1:
        raise ValueError("A zip or an .npz comes alone; remove the other files.")
    model = before.gallery.model
    if suffixes == {".npz"}:
        other = galleries.load_gallery(files[0], model)
        merged = galleries.add(before.gallery, other.people, other.embeddings)
        return Enrolled(merged, before.crops), _note(before.gallery, merged, ())
    notes: tuple[str, ...] = ()
    if suffixes == {".zip"}:
        photos, notes = galleries.photos_in_zip(files[0])
    else:
        person = galleries.checked_name(name)
        photos = [(person, os.path.basename(file), partial(str, file)) for file in files]
    done = galleries.enrol(before.gallery, progress.tqdm(photos, desc="finding faces", unit="photos"))
    return _with_crops(before, done), _note(before.gallery, done.gallery, done.failures, notes)


def _note(before: Gallery, after: Gallery, failures: tuple[str, ...], notes: tuple[str, ...] = ()) -> str:
    photos, persons = len(after.people) - len(before.people), len(after.counts()) - len(before.counts())
    words = f"{photos} photo{'' if photos == 1 else 's'} added, {persons} new in the gallery."
    if failures:
        words += f" {len(failures)} left out, the first because: {failures[0]}."
    words += "".join(f" {note}." for note in notes)
    return cards.problem(words) if failures and not photos else cards.hint(words)


def on_empty(session: Session, model: str) -> list[Any]:
    """Start from nothing -> (galleries, own, what happened)."""
    return [
        (session or {}) | {model: Enrolled(Gallery(model), {})},
        True,
        cards.hint("The gallery is empty now."),
    ]


def on_examples() -> list[Any]:
    """Back to the rendered people -> (galleries, own, what happened)."""
    return [None, False, cards.hint("The rendered people are back, and yours are forgotten.")]


def on_export(session: Session, own: bool, model: str) -> list[Any]:
    """The gallery as base64, for the browser to save -> (content, what happened)."""
    try:
        content = galleries.export(current(session, own, model).gallery)
    except ValueError as error:
        return ["", cards.problem(str(error))]
    return [base64.b64encode(content).decode(), cards.hint("gallery.npz is in your downloads: no images.")]


def keep(session: Session) -> Session:
    """Use keeps a gallery: set again, it lives for another fifteen minutes."""
    return session


def forget(session: Session) -> None:
    """Overwrite the vectors of a visit that is over."""
    for enrolled in (session or {}).values():
        if enrolled.gallery.embeddings is not None:
            enrolled.gallery.embeddings.fill(0)


def section(session: gr.State, own: gr.Checkbox, model: gr.Dropdown) -> list[Any]:
    """Lay out what changes the gallery; gives the events after which it is shown anew."""
    gr.Markdown(LEAD)
    with gr.Row(elem_classes="fl-controls"):
        name = gr.Textbox(
            label="Name",
            info="Whom the photos show. A zip or an exported gallery brings its own names.",
            max_length=galleries.MAX_NAME,
            elem_id="name",
        )
        files = gr.File(
            label="Photos, a zip or an .npz",
            file_count="multiple",
            file_types=[*IMAGE_SUFFIXES, *HEIC_SUFFIXES, ".zip", ".npz"],
            height=140,
            elem_id="files",
        )
    with gr.Row(elem_classes="fl-examples"):
        buttons = {
            text: gr.Button(text, size="sm", elem_id=text.split()[0].lower())
            for text in ("Enrol", "Export the gallery", "Empty the gallery", "Rendered people again")
        }
    status = gr.HTML(cards.hint("Nothing has been enrolled by you yet."), elem_id="status", padding=False)
    enrol, export, empty, examples = buttons.values()
    changed = [
        enrol.click(
            on_enrol,
            [session, own, model, name, files],
            [session, own, status, name, files],
            api_visibility="private",
            show_progress_on=status,
        ),
        empty.click(on_empty, [session, model], [session, own, status], api_visibility="private"),
        examples.click(on_examples, None, [session, own, status], api_visibility="private"),
    ]
    packed = gr.Textbox(visible=False)
    export.click(on_export, [session, own, model], [packed, status], api_visibility="private").then(
        None, packed, None, js=DOWNLOAD, api_visibility="private"
    )
    return changed
