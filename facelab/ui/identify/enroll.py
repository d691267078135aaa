"""Enrolling people on the page: a visitor's gallery, from photos, a zip or an exported file, and out again.

It is a value of the visitor's session: vectors and small faces in memory, never on disk, gone after fifteen
minutes without use. Until something is enrolled, the page's rendered people stand in for it.
"""

import base64
import functools
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from facelab.photos.faces import IMAGE_SUFFIXES, Photo
from facelab.photos.read import HEIC_SUFFIXES
from facelab.recognition import gallery as galleries
from facelab.recognition.embedder import as_face, load
from facelab.recognition.gallery import Gallery
from facelab.ui.identify import rank_list as people
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.examples import example_people

LEAD = (
    "### Enroll people\nAdd photos of one person with a name, a zip with one folder per person, or a gallery "
    "that you exported (.npz), up to 25 MB. Only vectors and small faces are kept, for this visit. Ask "
    "people before you enroll them."
)
UNDO = "Undo brings back what was there, until you enroll someone else."
SHOW, HIDE = gr.update(visible=True), gr.update(visible=False)
DOWNLOAD = """(packed) => {
  if (!packed) return;
  const link = document.createElement('a');
  link.href = 'data:application/octet-stream;base64,' + packed;
  link.download = 'gallery.npz';
  link.click();
  document.querySelector('#gallery [data-unsaved]')?.removeAttribute('data-unsaved');
}"""


@dataclass(frozen=True, eq=False)
class Enrolled:
    """A gallery and its faces.

    Attributes:
        gallery: names and vectors.
        crops: the first face of each person where there is one, to be shown.
        faces: (person, face) of each photo of this visit, to be embedded again under another model.
    """

    gallery: Gallery
    crops: people.Crops
    faces: tuple[tuple[str, np.ndarray], ...] = ()


Session = dict[str, Enrolled] | None  # by model, since each has vectors of its own
Undone = (
    tuple[Session, bool] | None
)  # galleries, and whether they were a visitor's, before they were taken away


@functools.cache
def example_gallery(model: str) -> Enrolled:
    """The rendered people, enrolled under a model."""
    photos = [(name, f"photo of {name}", partial(_same, image)) for name, image in example_people()]
    return _with_crops(Enrolled(Gallery(model), {}), galleries.enroll(Gallery(model), photos))


def _same(image: Image.Image) -> Image.Image:
    return image


def _with_crops(before: Enrolled, enrollment: galleries.Enrollment) -> Enrolled:
    first = dict(reversed(enrollment.crops))
    return Enrolled(enrollment.gallery, first | before.crops, (*before.faces, *enrollment.crops))


def current(session: Session, own: bool, model: str) -> Enrolled:
    """What a visitor's questions under a model are asked of; one that is new to the visit embeds its faces.

    Args:
        session: the visitor's galleries, if the server still has them; a model's new one is put there.
        own: whether the visitor has made any; the browser remembers that when the server has forgotten them.
        model: name of the embedder.
    """
    if session is None:
        return Enrolled(Gallery(model), {}) if own else example_gallery(model)
    here = session.get(model, Enrolled(Gallery(model), {}))
    known = {id(face) for _, face in here.faces}
    missing = {id(face): (person, face) for other in session.values() for person, face in other.faces}
    missing = [named for key, named in missing.items() if key not in known]
    if missing:
        here = session[model] = _embedded_again(here, missing)
    return here


def _embedded_again(before: Enrolled, faces: list[tuple[str, np.ndarray]]) -> Enrolled:
    """The gallery with faces that were enrolled under another model; what does not fit in is left out."""
    embed, room = load(before.gallery.model).embed, galleries.MAX_PHOTOS - len(before.gallery.people)
    vectors = [embed(Photo(face, 1.0), [as_face(face)])[0] for _, face in faces[:room]]
    gallery = before.gallery
    if vectors:
        gallery = galleries.add(gallery, [person for person, _ in faces[:room]], np.stack(vectors))
    return Enrolled(gallery, dict(reversed(faces)) | before.crops, (*before.faces, *faces))


def on_enroll(
    session: Session,
    own: bool,
    model: str,
    name: str,
    files: list[str] | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Add what the files hold -> (galleries, own, what happened, name, files, undone, the button to undo).

    A visitor's people are never mixed with the rendered ones, which give way to the first.
    """
    before = current(session, own, model) if own else Enrolled(Gallery(model), {})
    try:
        after, note = enrolled_from(before, name, files or [], progress)
    except ValueError as error:
        return [session, own, cards.problem(str(error)), *[gr.skip()] * 4]
    if not after.gallery.people:  # nothing could be used, so the rendered people stay
        return [session, own, note, *[gr.skip()] * 4]
    return [(session or {}) | {model: after}, True, note, "", None, None, HIDE]


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
        return replace(before, gallery=merged), _note(before.gallery, merged, ())
    notes: tuple[str, ...] = ()
    if suffixes == {".zip"}:
        photos, notes = galleries.photos_in_zip(files[0])
    else:
        person = galleries.checked_name(name)
        photos = [(person, os.path.basename(file), partial(str, file)) for file in files]
    done = galleries.enroll(before.gallery, progress.tqdm(photos, desc="finding faces", unit="photos"))
    return _with_crops(before, done), _note(before.gallery, done.gallery, done.failures, notes)


def _note(before: Gallery, after: Gallery, failures: tuple[str, ...], notes: tuple[str, ...] = ()) -> str:
    photos, persons = len(after.people) - len(before.people), len(after.counts()) - len(before.counts())
    words = f"{photos} photo{'' if photos == 1 else 's'} added, {persons} new in the gallery."
    if failures:
        words += f" {len(failures)} left out, the first because: {failures[0]}."
    words += "".join(f" {note}." for note in notes)
    return cards.problem(words) if failures and not photos else cards.hint(words)


def on_empty(session: Session, own: bool, model: str) -> list[Any]:
    """Start from nothing -> (galleries, own, what happened, undone, the button to undo)."""
    said = cards.hint(f"The gallery is empty now. {UNDO}")
    return [{model: Enrolled(Gallery(model), {})}, True, said, (session, own), SHOW]


def on_examples(session: Session, own: bool) -> list[Any]:
    """Back to the rendered people -> (galleries, own, what happened, undone, the button to undo)."""
    if not own:
        return [session, own, cards.hint("The rendered people are here already."), *[gr.skip()] * 2]
    return [None, False, cards.hint(f"The rendered people are back. {UNDO}"), (session, own), SHOW]


def on_undo(undone: Undone) -> list[Any]:
    """Bring back what was taken away last -> (galleries, own, what happened, undone, the button to undo)."""
    if undone is None:
        return [gr.skip(), gr.skip(), cards.hint(f"That was forgotten after {MINUTES} minutes."), None, HIDE]
    return [*undone, cards.hint("The gallery is as it was."), None, HIDE]


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
    """Overwrite the vectors and faces of a visit that is over."""
    for enrolled in (session or {}).values():
        if enrolled.gallery.embeddings is not None:
            enrolled.gallery.embeddings.fill(0)
        for _, face in enrolled.faces:
            face.fill(0)


def forget_undone(undone: Undone) -> None:
    """Overwrite what was taken away and can no longer be brought back."""
    if undone:
        forget(undone[0])


def _inputs() -> tuple[gr.Textbox, gr.File]:
    """Lay out who is enrolled, and from what."""
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
    return name, files


def section(session: gr.State, own: gr.Checkbox, model: gr.Dropdown) -> list[Any]:
    """Lay out what changes the gallery; gives the events after which it is shown anew."""
    gr.Markdown(LEAD)
    name, files = _inputs()
    with gr.Row(elem_classes="fl-examples"):
        buttons = {
            text: gr.Button(text, size="sm", elem_id=text.split()[0].lower())
            for text in ("Enroll", "Export the gallery", "Empty the gallery", "Rendered people again")
        }
        undo = gr.Button("Undo", size="sm", elem_id="undo", visible=False)
    undone = gr.State(None, time_to_live=60 * MINUTES, delete_callback=forget_undone)
    status = gr.HTML(cards.hint("Nothing has been enrolled by you yet."), elem_id="status", padding=False)
    enroll, export, empty, examples = buttons.values()
    taken = [session, own, status, undone, undo]
    changed = [
        enroll.click(
            on_enroll,
            [session, own, model, name, files],
            [session, own, status, name, files, undone, undo],
            api_visibility="private",
            show_progress_on=status,
        ),
        empty.click(on_empty, [session, own, model], taken, api_visibility="private"),
        examples.click(on_examples, [session, own], taken, api_visibility="private"),
        undo.click(on_undo, undone, taken, api_visibility="private"),
    ]
    packed = gr.Textbox(visible=False)
    export.click(on_export, [session, own, model], [packed, status], api_visibility="private").then(
        None, packed, None, js=DOWNLOAD, api_visibility="private"
    )
    return changed
