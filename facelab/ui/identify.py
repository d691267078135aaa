"""Identify: one photo against a gallery, answered twice, by a matcher that must name somebody and by one that
may say "unknown".

A photo is embedded when the button is pressed or a model is chosen; the slider and changes of the gallery
only compare vectors. The gallery tests itself by leaving out one photo at a time.
"""

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from facelab import gallery as galleries
from facelab.compare import look
from facelab.embedder import load
from facelab.faces import Source, main_face
from facelab.gallery import Gallery
from facelab.metrics.identification import dir_curve
from facelab.plots.scores import identification_curve
from facelab.ui import cards, enrol, people
from facelab.ui.chart import Chart
from facelab.ui.controls import MINUTES, model_and_strictness
from facelab.ui.enrol import Enrolled, Session, current
from facelab.ui.examples import example_probes
from facelab.ui.links import Controls
from facelab.ui.photo_input import PhotoInput

TITLE = "Identify"
LEAD = (
    "Who is on the photo? A *closed-set* matcher names the nearest person of a gallery, whoever comes; an "
    "*open-set* matcher may answer “unknown”. **When should a system say that it does not know?**"
)
EMPTY = "Choose a photo and press Identify. It stays in memory for this visit only."
FORGOTTEN = f"Your gallery was forgotten after {MINUTES} minutes without use; enrol or import it again."


@dataclass(frozen=True, eq=False)
class Probe:
    """The face that is asked about, (112, 112, 3) uint8, and its vector (D,)."""

    crop: np.ndarray
    vector: np.ndarray


def probe_of(photo: Source | None, model: str) -> Probe:
    """Read a photo and embed its main face.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if photo is None:
        raise ValueError("The photo is missing; upload, paste or take one, or try an example.")
    seen = look(photo, "The photo")
    face = main_face(seen.faces, seen.photo)
    return Probe(face.crop, load(model).embed(seen.photo, [face])[0])


def outcome(photo: Source | None, session: Session, own: bool, model: str, strictness: float) -> list[Any]:
    """(probe, everything that `show` shows) of a photo, or the sentence that says why not."""
    try:
        probe = probe_of(photo, model)
    except ValueError as error:
        _, gallery, *curve = show(None, session, own, model, strictness)
        return [None, cards.problem(str(error)), gallery, *curve]
    return [probe, *show(probe, session, own, model, strictness)]


def show(probe: Probe | None, session: Session, own: bool, model: str, strictness: float) -> list[Any]:
    """(answers, gallery, what the curve says, the curve) at a strictness; no network runs."""
    enrolled = current(session, own, model)
    gallery = people.gallery_card(enrolled.gallery, enrolled.crops, own)
    if own and session is None:
        return [cards.problem(FORGOTTEN), gallery, *show_curve(enrolled.gallery, strictness)]
    return [show_answers(probe, enrolled, strictness), gallery, *show_curve(enrolled.gallery, strictness)]


def show_answers(probe: Probe | None, enrolled: Enrolled, strictness: float) -> str:
    """Both answers and the rank list, or what is missing for them."""
    if probe is None:
        return cards.hint(EMPTY)
    try:
        answer = galleries.ask(
            enrolled.gallery, load(enrolled.gallery.model), probe.vector, 10.0**-strictness
        )
    except ValueError as error:
        return cards.problem(str(error))
    return people.answers_card(answer, probe.crop, enrolled.crops)


def show_curve(gallery: Gallery, strictness: float) -> list[Any]:
    """(what it says, the DIR/FAR curve) of a gallery that tests itself, or what it lacks for that."""
    try:
        embedder = load(gallery.model)
        found = galleries.leave_one_out(gallery, embedder)
        curve = dir_curve(found)
        threshold = embedder.calibrated().threshold_for(10.0**-strictness)
    except ValueError as error:
        return [cards.hint(f"A gallery can test itself once it is mixed: {error}."), None]
    at = int((curve.thresholds >= threshold).sum()) - 1
    far, rate = float(curve.far[at]), float(curve.dir[at])
    return [people.curve_card(found, rate, far), identification_curve(curve, far, rate)]


def on_new_photo() -> list[Any]:
    """An old answer must not stand beside a new photo."""
    return [None, cards.hint(EMPTY)]


def build() -> Controls:
    """Lay the tab out; it opens with a finished example."""
    probes = example_probes()
    opening = next(iter(probes.values()))
    gr.Markdown(LEAD, elem_classes="fl-lead")
    session = gr.State(None, time_to_live=60 * MINUTES, delete_callback=enrol.forget)
    own = gr.Checkbox(False, visible=False)  # in the browser, so that it outlives the session's gallery
    with gr.Row():
        with gr.Column(min_width=300):
            photo = PhotoInput("Photo", "probe", opening)
        with gr.Column(min_width=300):
            gallery = gr.HTML(elem_id="gallery", padding=False)
    with gr.Row(elem_classes="fl-examples"):
        examples = [gr.Button(f"Try: {name.lower()}", size="sm") for name in probes]
    model, strictness = model_and_strictness("identify-")
    run = gr.Button("Identify", variant="primary", elem_id="identify")
    probe, *first = outcome(opening, None, False, model.value, strictness.value)
    answers, gallery.value, meaning, figure = first
    shown = [
        gr.HTML(answers, elem_id="answers", padding=False),
        gallery,
        gr.HTML(meaning, elem_id="meaning", padding=False),
        Chart(figure, "Known people named rightly against strangers taken for someone", "dir-chart"),
    ]
    asked = gr.State(probe, time_to_live=60 * MINUTES)
    settings = [session, own, model, strictness]
    changed = enrol.section(session, own, model)
    _connect(photo, asked, settings, run, shown, changed)
    for button, name in zip(examples, probes):
        button.click(
            functools.partial(probes.get, name), None, photo, api_visibility="private", show_progress="hidden"
        ).then(
            outcome,
            [photo, *settings],
            [asked, *shown],
            api_visibility="private",
            show_progress_on=shown[0],
        )
    return {"model": model, "strictness": strictness}


def _connect(
    photo: PhotoInput,
    asked: gr.State,
    settings: list[Any],
    run: gr.Button,
    shown: list[Any],
    changed: list[Any],
) -> None:
    """Who answers what."""
    session, _, model, strictness = settings
    gr.on(
        [run.click, model.change],
        outcome,
        [photo, *settings],
        [asked, *shown],
        api_visibility="private",
        show_progress_on=shown[0],
    ).then(enrol.keep, session, session, api_visibility="private", show_progress="hidden")
    gr.on(
        [photo.input, photo.clear],
        on_new_photo,
        None,
        [asked, shown[0]],
        api_visibility="private",
        show_progress="hidden",
    )
    strictness.change(
        show,
        [asked, *settings],
        shown,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
    for event in changed:
        event.then(show, [asked, *settings], shown, api_visibility="private", show_progress="hidden")
