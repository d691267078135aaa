"""Group the faces of unknown people on a visitor's photos, cut at the threshold of the chosen FAR.

Photos are deleted when they are read; faces and embeddings are a value of the session, so that another FAR
or another model groups the same faces again, and are overwritten with it.
"""

import html
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from facelab.data.identities import person_labels
from facelab.data.images import ImageFolder, printable
from facelab.metrics.grouping import Grouping, group, pairwise_report
from facelab.photos.faces import IMAGE_SUFFIXES, Source
from facelab.photos.read import HEIC_SUFFIXES
from facelab.recognition.embedder import embed_crops, load
from facelab.recognition.verify import detect
from facelab.settings import hosted
from facelab.ui.uploads import deleting
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.examples import example_people

PHOTOS_HOSTED, PHOTOS_HERE = 100, 1_000
MOST_FACES = 1_000
GROUPS, FACES = 12, 8  # shown; the others are counted
LEAD = (
    "### Group unknown faces\nAdd photos, or a zip of them: every face is embedded, and two groups are "
    "joined while the mean cosine between their faces reaches the threshold of FAR above. **Which FAR keeps "
    "two people apart, and one person together?** Photos are deleted as soon as they are read."
)
NOTHING = "Add photos and press Group; no enrollment is needed."
NO_FILES = "No photo is chosen; add photos or one zip of photos."
ZIP_ALONE = "Add a zip alone; remove the other files."
CUT = "A lower FAR raises the threshold: fewer groups mix two people, and more people are split into several."
NamedPhoto = tuple[str, int, Callable[[], Source]]  # its name, a label of its main face or -1, what reads it


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of a visitor's photos.

    Attributes:
        crops: (112, 112, 3) uint8 each.
        names: name of the photo of each.
        labels: (N,) int64, who it is by the names of folders, -1 where that is not known.
        failures: a sentence for each photo without a face.
        vectors: (N, D) embeddings by model.
    """

    crops: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    failures: tuple[str, ...] = ()
    vectors: dict[str, np.ndarray] = field(default_factory=dict)


def most_photos() -> int:
    """Return how many photos are grouped here."""
    return PHOTOS_HOSTED if hosted() else PHOTOS_HERE


def photos_of(paths: list[str]) -> list[NamedPhoto]:
    """Return the photos of an upload: images, or one zip, which is read in memory.

    Raises:
        ValueError: a zip with other files, no safe zip of images, or too many photos.
    """
    zipped = [path for path in paths if path.lower().endswith(".zip")]
    if zipped and len(paths) > 1:
        raise ValueError(ZIP_ALONE)
    folder = ImageFolder(zipped[0]) if zipped else None
    count = len(paths if folder is None else folder.names)
    if count > most_photos():
        raise ValueError(f"{count:,} photos are too many; add {most_photos():,} or fewer")
    if folder is None:
        return [(os.path.basename(path), -1, partial(str, path)) for path in paths]
    labels = person_labels(folder, folder.names).tolist()
    return [(name, label, partial(folder.read, name)) for name, label in zip(folder.names, labels)]


def found_on(photos: Iterable[NamedPhoto]) -> Faces:
    """Find the faces of photos, up to `MOST_FACES`; the main face of a photo has its label.

    Raises:
        ValueError: no face at all; one sentence.
    """
    crops, names, labels, failures = [], [], [], []
    for name, label, read in photos:
        try:
            seen = detect(read(), printable(name))
        except ValueError as error:
            failures.append(str(error))
            continue
        if len(crops) + len(seen.faces) > MOST_FACES:
            failures.append(f"{printable(name)}: {MOST_FACES:,} faces are the limit; group fewer photos")
            break
        for i, face in enumerate(seen.faces):
            crops.append(face.crop)
            names.append(name)
            labels.append(label if i == seen.main else -1)
    if not crops:
        raise ValueError(failures[0] if failures else NO_FILES)
    return Faces(tuple(crops), tuple(names), np.array(labels, np.int64), tuple(failures))


def on_group(
    files: list[str] | None,
    model: str,
    strictness: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Find, embed and group the faces of an upload, and delete it -> (faces, card, the emptied input)."""
    if not files:
        return [gr.skip(), cards.hint(NO_FILES), gr.skip()]
    try:
        with deleting(*files):
            faces = found_on(progress.tqdm(photos_of(files), desc="finding faces", unit="photos"))
    except ValueError as error:
        return [gr.skip(), cards.problem(f"{str(error).rstrip('.')}."), None]
    return [faces, on_settings(faces, model, strictness), None]


def on_example(model: str, strictness: float) -> list[Any]:
    """Group the photos of the synthetic identities -> (faces, card)."""
    faces = found_on([(f"photo of {name}", -1, image.copy) for name, image in example_people()])
    return [faces, on_settings(faces, model, strictness)]


def on_settings(faces: Faces | None, model: str, strictness: float) -> Any:
    """Return the card of the same faces at another FAR or by another model."""
    if faces is None:
        return gr.skip()
    try:
        embedder, far = load(model), 10.0**-strictness
        if embedder.similarity != "cosine similarity":
            raise ValueError(f"{model} compares by {embedder.similarity}; choose a model of cosines")
        threshold = embedder.calibrated().threshold_for(far)
        return groups_card(faces, group(embedded(faces, model), threshold), model, far)
    except ValueError as error:
        return cards.problem(f"{error}.")


def embedded(faces: Faces, model: str) -> np.ndarray:
    """Return (N, D) embeddings of the faces; a model's are computed once."""
    if model not in faces.vectors:
        faces.vectors[model] = embed_crops(load(model), faces.crops)
    return faces.vectors[model]


def groups_card(faces: Faces, found: Grouping, model: str, far: float) -> str:
    """Return the groups with their faces, and why the cut is where it is."""
    sizes = np.bincount(found.groups)
    alone, several = int((sizes == 1).sum()), int((sizes > 1).sum())
    groups = "".join(_group(faces, found, i) for i in range(min(several, GROUPS)))
    if several > GROUPS:
        groups += f"<p>… and {several - GROUPS} groups more.</p>"
    if alone:
        groups += _people(
            f"Alone: {alone} face{'s' * (alone > 1)}", faces, np.flatnonzero(sizes[found.groups] == 1)
        )
    notes = [f"{found.reason()} That is the threshold of {model} at FAR {far:.2g}.", CUT]
    report = pairwise_report(found.groups, faces.labels)
    if report["people"] > 1:
        notes.append(
            f"By the names of the folders, pairwise precision is {_share(report['precision'])} and recall "
            f"{_share(report['recall'])} ({report['people']} people, main faces)."
        )
    if faces.failures:
        left = f"{len(faces.failures)} photos were" if len(faces.failures) > 1 else "One photo was"
        notes.append(f"{left} left out. {faces.failures[0]}.")
    said = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        f'<div class="fl-card fl-same" role="status"><h3>{len(faces.crops)} faces in {len(sizes)} '
        f"group{'s' * (len(sizes) > 1)}, {alone} alone</h3><ul>{said}</ul>{groups}</div>"
    )


def _share(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.1%}"


def _group(faces: Faces, found: Grouping, number: int) -> str:
    rows = np.flatnonzero(found.groups == number)
    return _people(f"Group {number + 1}: {len(rows)} faces", faces, rows)


def _people(title: str, faces: Faces, rows: np.ndarray) -> str:
    shown = "".join(
        f"<figure>{cards.picture(faces.crops[i], 'a face')}<figcaption>"
        f"{html.escape(printable(faces.names[i])[-40:])}</figcaption></figure>"
        for i in rows[:FACES]
    )
    more = f"<p>… and {len(rows) - FACES} more.</p>" if len(rows) > FACES else ""
    return f'<h4>{title}</h4><div class="fl-people">{shown}</div>{more}'


def forget(faces: Faces | None) -> None:
    """Overwrite the faces of a visit that is over."""
    if faces is not None:
        for array in (*faces.crops, *faces.vectors.values()):
            if array.flags.writeable:
                array.fill(0)
        faces.vectors.clear()


def section(model: gr.Dropdown, strictness: gr.Slider) -> None:
    """Lay the section out."""
    gr.Markdown(LEAD)
    label = f"Photos, or a zip: up to {most_photos():,} photos"
    files = gr.File(label=label, file_count="multiple", height=120,
                    file_types=[*IMAGE_SUFFIXES, *HEIC_SUFFIXES, ".zip"], elem_id="group-files")  # fmt: skip
    with gr.Row(elem_classes="fl-examples"):
        press = gr.Button("Group", size="sm", elem_id="group")
        example = gr.Button("Try: synthetic faces", size="sm", elem_id="group-try")
    card = gr.HTML(cards.hint(NOTHING), elem_id="groups", padding=False)
    faces = gr.State(None, time_to_live=60 * MINUTES, delete_callback=forget)
    slow = {"api_visibility": "private", "show_progress_on": card, "concurrency_limit": 1}
    settings = [model, strictness]
    press.click(on_group, [files, *settings], [faces, card, files], **slow)
    example.click(on_example, settings, [faces, card], **slow)
    model.change(on_settings, [faces, *settings], card, **slow)
    strictness.change(on_settings, [faces, *settings], card, api_visibility="private", queue=False,
                      show_progress="hidden", trigger_mode="always_last")  # fmt: skip
