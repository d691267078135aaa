"""Enroll persons on the page: a visitor's gallery, from photos, a zip or an exported file, and its export.

The gallery is a value of the visitor's session: embeddings and small faces in memory, never on disk, deleted
after fifteen minutes without use. Until something is enrolled, the page uses its synthetic identities.
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

from facelab.models.zoo import DEFAULT_MODEL
from facelab.photos.faces import IMAGE_SUFFIXES, Photo
from facelab.photos.read import HEIC_SUFFIXES
from facelab.recognition import gallery as galleries
from facelab.recognition import visit
from facelab.recognition.embedder import Embedder, as_face, load
from facelab.recognition.gallery import Gallery
from facelab.ui.identify import rank_list as people
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.examples import example_people

LEAD = (
    "### Enroll people\nAdd photos of one person with a name, a zip with one folder per person, or a gallery "
    "that you exported (.npz), up to 25 MB. Only embeddings and small faces are kept, for this visit. Ask "
    "people before you enroll them."
)
UNDO = "Undo restores the gallery, until you enroll another person."
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
        gallery: names and embeddings.
        crops: the first face of each person where there is one, for display.
        faces: (person, face) of each photo of this visit, to be embedded again under another model.
    """

    gallery: Gallery
    crops: people.Crops
    faces: tuple[tuple[str, np.ndarray], ...] = ()


Session = dict[str, Enrolled] | None  # by model, since embeddings of two models are not comparable
Undone = (
    tuple[Session, bool] | None
)  # galleries, and whether they were a visitor's, before they were taken away


def example_gallery(model: str) -> Enrolled:
    """Return the synthetic identities, enrolled under a model; those of a visit's model stay with it."""
    own = visit.models().get(model)
    if own is None:
        return _example_gallery(model, load(model))
    if "gallery" not in own.kept:
        faces = list(_example_gallery(DEFAULT_MODEL, load(DEFAULT_MODEL)).faces)
        own.kept["gallery"] = _embedded_again(Enrolled(Gallery(model), {}), faces)
    return own.kept["gallery"]


@functools.lru_cache(maxsize=40)
def _example_gallery(model: str, embedder: Embedder) -> Enrolled:
    """Return the example under an embedder, which is another one once its checkpoint is replaced."""
    photos = [(name, f"photo of {name}", partial(_same, image)) for name, image in example_people()]
    return _with_crops(Enrolled(Gallery(model), {}), galleries.enroll(Gallery(model), photos))


def _same(image: Image.Image) -> Image.Image:
    return image


def _with_crops(before: Enrolled, enrollment: galleries.Enrollment) -> Enrolled:
    first = dict(reversed(enrollment.crops))
    return Enrolled(enrollment.gallery, first | before.crops, (*before.faces, *enrollment.crops))


def current(session: Session, own: bool, model: str) -> Enrolled:
    """Return the gallery for a model; embed its faces if the model is new to the visit.

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
    """Add faces that were enrolled under another model; faces beyond the limit are omitted."""
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
    """Enroll from files -> (galleries, own, message, name, files, undone, the Undo button).

    The first enrollment replaces the synthetic identities.
    """
    before = current(session, own, model) if own else Enrolled(Gallery(model), {})
    try:
        after, note = enrolled_from(before, name, files or [], progress)
    except ValueError as error:
        return [session, own, cards.problem(str(error)), *[gr.skip()] * 4]
    if not after.gallery.people:  # nothing could be used, so the synthetic identities stay
        return [session, own, note, *[gr.skip()] * 4]
    return [(session or {}) | {model: after}, True, note, "", None, None, HIDE]


def enrolled_from(before: Enrolled, name: str, files: list[str], progress: Any) -> tuple[Enrolled, str]:
    """Return (gallery with the faces of the files, a card with the counts).

    Raises:
        ValueError: one sentence that says what to do.
    """
    suffixes = {os.path.splitext(file)[1].lower() for file in files}
    if not files:
        raise ValueError("No file is chosen; add photos of one person, a zip or an exported .npz.")
    if suffixes & {".zip", ".npz"} and len(files) > 1:
        raise ValueError("Add a zip or an .npz alone; remove the other files.")
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
    words = f"{photos} photo{'' if photos == 1 else 's'} added, {persons} new to the gallery."
    if failures:
        words += f" {len(failures)} left out, the first because: {failures[0]}."
    words += "".join(f" {note}." for note in notes)
    return cards.problem(words) if failures and not photos else cards.hint(words)


def on_empty(session: Session, own: bool, model: str) -> list[Any]:
    """Empty the gallery -> (galleries, own, message, undone, the Undo button)."""
    said = cards.hint(f"The gallery is empty. {UNDO}")
    return [{model: Enrolled(Gallery(model), {})}, True, said, (session, own), SHOW]


def on_examples(session: Session, own: bool) -> list[Any]:
    """Restore the synthetic identities -> (galleries, own, message, undone, the Undo button)."""
    if not own:
        return [session, own, cards.hint("The synthetic identities are already shown."), *[gr.skip()] * 2]
    return [None, False, cards.hint(f"The synthetic identities are restored. {UNDO}"), (session, own), SHOW]


def on_undo(undone: Undone) -> list[Any]:
    """Undo the last removal -> (galleries, own, message, undone, the Undo button)."""
    if undone is None:
        return [
            gr.skip(),
            gr.skip(),
            cards.hint(f"The removed gallery was deleted after {MINUTES} minutes."),
            None,
            HIDE,
        ]
    return [*undone, cards.hint("The gallery is restored."), None, HIDE]


def on_export(session: Session, own: bool, model: str) -> list[Any]:
    """Export the gallery as base64, for the browser to save -> (content, message)."""
    try:
        content = galleries.export(current(session, own, model).gallery)
    except ValueError as error:
        return ["", cards.problem(str(error))]
    return [
        base64.b64encode(content).decode(),
        cards.hint("gallery.npz is in your downloads; it holds embeddings and names, no images."),
    ]


def keep(session: Session) -> Session:
    """Set the gallery again, which keeps it for another fifteen minutes."""
    return session


def forget(session: Session) -> None:
    """Overwrite the embeddings and faces of a visit that is over."""
    for enrolled in (session or {}).values():
        if enrolled.gallery.embeddings is not None:
            enrolled.gallery.embeddings.fill(0)
        for _, face in enrolled.faces:
            face.fill(0)


def forget_undone(undone: Undone) -> None:
    """Overwrite a removed gallery that can no longer be restored."""
    if undone:
        forget(undone[0])


def _inputs() -> tuple[gr.Textbox, gr.File]:
    """Lay out the name and the files to enroll."""
    with gr.Row(elem_classes="fl-controls"):
        name = gr.Textbox(
            label="Name",
            info="The person in the photos. A zip or an exported gallery has its own names.",
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
    """Lay out the enrollment; return the events after which the gallery is shown again."""
    gr.Markdown(LEAD)
    name, files = _inputs()
    with gr.Row(elem_classes="fl-examples"):
        buttons = {
            name: gr.Button(text, size="sm", elem_id=name)
            for name, text in (
                ("enroll", "Enroll"),
                ("export", "Export gallery"),
                ("empty", "Empty gallery"),
                ("rendered", "Restore synthetic identities"),
            )
        }
        undo = gr.Button("Undo", size="sm", elem_id="undo", visible=False)
    undone = gr.State(None, time_to_live=60 * MINUTES, delete_callback=forget_undone)
    status = gr.HTML(cards.hint("You have not enrolled a person yet."), elem_id="status", padding=False)
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
