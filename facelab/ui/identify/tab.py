"""Identify one photo in a gallery (1:N), closed set and open set side by side.

A photo is embedded when the button is pressed or a model is chosen; the slider and changes of the gallery
only compare embeddings. A leave-one-out test of the gallery gives DIR and FPIR.
"""

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from facelab.metrics.identification import dir_curve
from facelab.photos.conditions import measure, warnings_of
from facelab.photos.faces import Source, main_face
from facelab.plots.scores import identification_curve
from facelab.recognition import gallery as galleries
from facelab.recognition.embedder import load
from facelab.recognition.gallery import Gallery
from facelab.recognition.verify import detect
from facelab.ui.identify import enroll, formulas, unknown
from facelab.ui.identify import rank_list as people
from facelab.ui.identify.enroll import Enrolled, Session, current
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns
from facelab.ui.widgets.controls import MINUTES, model_and_strictness
from facelab.ui.widgets.current import NOTE, Shown
from facelab.ui.widgets.examples import example_people, example_probes
from facelab.ui.widgets.photo_input import PhotoInput

TITLE = "Identify"
LEAD = (
    "1:N identification. *Closed set*: always return the nearest gallery identity; *open set*: return "
    "“unknown” below a threshold. **Which threshold rejects unenrolled persons but finds the enrolled?**"
)
EMPTY = "Choose a photo and press Identify. It stays in memory for this visit only."
FORGOTTEN = f"Your gallery was deleted after {MINUTES} minutes without use; enroll or import it again."


@dataclass(frozen=True, eq=False)
class Probe:
    """The face of the probe, (112, 112, 3) uint8, its embedding (D,), and warnings about the error rates."""

    crop: np.ndarray
    vector: np.ndarray
    warnings: tuple[str, ...] = ()


def probe_of(photo: Source | None, model: str) -> Probe:
    """Read a photo and embed its main face.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if photo is None:
        raise ValueError("The photo is missing; upload, paste or take one, or try an example.")
    seen = detect(photo, "The photo")
    face = main_face(seen.faces, seen.photo)
    warnings = warnings_of(measure(face, seen.photo))
    return Probe(face.crop, load(model).embed(seen.photo, [face])[0], tuple(warnings))


def outcome(
    photo: Source | None,
    session: Session,
    own: bool,
    model: str,
    strictness: float,
    shown: Shown | None = None,
) -> list[Any]:
    """Return (probe, the outputs of `show`) for a photo, or an error card.

    If another photo or model is shown by then, nothing changes.
    """
    shown = shown or Shown()
    try:
        probe = probe_of(photo, model)
        out = [probe, *show(probe, session, own, model, shown.inputs.get("strictness", strictness))]
    except ValueError as error:
        _, gallery, *curve = show(None, session, own, model, strictness)
        out = [None, cards.problem(str(error)), gallery, *curve]
    return out if shown.fits(photo=photo, model=model) else [gr.skip()] * len(out)


def show(probe: Probe | None, session: Session, own: bool, model: str, strictness: float) -> list[Any]:
    """Return (answers, gallery, DIR and FPIR, their curve) at FAR 10^-strictness; no network runs."""
    enrolled = current(session, own, model)
    gallery = people.gallery_card(enrolled.gallery, enrolled.crops, own)
    if own and session is None:
        return [cards.problem(FORGOTTEN), gallery, *show_curve(enrolled.gallery, strictness)]
    return [show_answers(probe, enrolled, strictness), gallery, *show_curve(enrolled.gallery, strictness)]


def show_answers(probe: Probe | None, enrolled: Enrolled, strictness: float) -> str:
    """Return both answers and the rank list, or a hint about what is missing."""
    if probe is None:
        return cards.hint(EMPTY)
    try:
        answer = galleries.ask(
            enrolled.gallery, load(enrolled.gallery.model), probe.vector, 10.0**-strictness
        )
    except ValueError as error:
        return cards.problem(str(error))
    return people.answers_card(answer, probe.crop, enrolled.crops, probe.warnings)


def show_curve(gallery: Gallery, strictness: float) -> list[Any]:
    """Return (card, DIR/FPIR curve) of a gallery's leave-one-out test, or a hint about what it needs."""
    try:
        embedder = load(gallery.model)
        found = galleries.leave_one_out(gallery, embedder)
        curve = dir_curve(found)
        threshold = embedder.calibrated().threshold_for(10.0**-strictness)
    except ValueError as error:
        return [cards.hint(f"The leave-one-out test is not possible yet: {error}."), None]
    at = int((curve.thresholds >= threshold).sum()) - 1
    far, rate = float(curve.far[at]), float(curve.dir[at])
    return [people.curve_card(found, rate, far), identification_curve(curve, far, rate)]


def on_new_photo(shown: Shown | None = None) -> list[Any]:
    """Clear the old answer when the photo changes; `note_photo` follows."""
    (shown or Shown()).note(photo=object())  # the event of a photo that is taken away still carries it
    return [None, cards.hint(EMPTY)]


def on_example(name: str, shown: Shown) -> list[Any]:
    """Return (photo, no probe, no answer); no answer fits until the page shows this photo."""
    shown.note(photo=("example", name))
    return [example_probes()[name], None, cards.hint(EMPTY)]


def note_photo(shown: Shown, photo: Source | None) -> None:
    """Record which photo is on the page."""
    shown.note(photo=photo)


def note_model(shown: Shown, model: str) -> None:
    """Record which model is chosen on the page."""
    shown.note(model=model)


def on_strictness(
    probe: Probe | None, session: Session, own: bool, model: str, strictness: float, shown: Shown
) -> list[Any]:
    """Compare the same scores with the threshold of another FAR; no network runs."""
    shown.note(strictness=strictness)
    return show(probe, session, own, model, strictness)


def build() -> Controls:
    """Lay the tab out with a finished example; return its controls by name."""
    probes = example_probes()
    opening = next(iter(probes.values()))
    gr.Markdown(LEAD, elem_classes="fl-lead")
    formulas.prediction(len(example_people()))
    session = gr.State(None, time_to_live=60 * MINUTES, delete_callback=enroll.forget)
    own = gr.Checkbox(False, visible=False)  # in the browser, so that it outlives the session's gallery
    with columns() as (panel, results):
        with panel:
            photo = PhotoInput("Photo", "probe", opening)
            with gr.Row(elem_classes="fl-examples"):
                examples = [gr.Button(f"Try: {name.lower()}", size="sm") for name in probes]
            model, strictness = model_and_strictness("identify-")
            settings = [session, own, model, strictness]
            run = gr.Button("Identify", variant="primary", elem_id="identify")
            said = formulas.beside(settings)
        probe, *first = outcome(opening, None, False, model.value, strictness.value)
        with results:
            shown = _results(first)
            changed = enroll.section(session, own, model)
            unknown.section(model, strictness)
    formulas.follow(shown[1], settings, said)
    asked = gr.State(probe, time_to_live=60 * MINUTES)
    now = gr.State(Shown())
    _connect(photo, asked, settings, run, shown, changed, now)
    for button, name in zip(examples, probes):
        loaded = button.click(functools.partial(on_example, name), now, [photo, asked, shown[0]], **NOTE)
        noted = loaded.then(note_photo, [now, photo], None, **NOTE)
        _then_answer(noted.then, [photo, *settings, now], [asked, *shown])
    return {"model": model, "strictness": strictness}


def _results(first: list[Any]) -> list[Any]:
    """Return the components that `show` fills, in its order, with the opening example."""
    answers, gallery, meaning, figure = first
    with beside():
        told = gr.HTML(answers, elem_id="answers", padding=False)
        with gr.Column(min_width=0):
            label = "DIR (enrolled persons identified) against FPIR (unenrolled persons accepted)"
            chart = Chart(figure, label, "dir-chart")
            meant = gr.HTML(meaning, elem_id="meaning", padding=False)
    return [told, gr.HTML(gallery, elem_id="gallery", padding=False), meant, chart]


def _then_answer(event: Any, inputs: list[Any], outputs: list[Any]) -> None:
    """Run `outcome` after an event, and keep the gallery for another fifteen minutes."""
    session = inputs[1]
    event(
        outcome,
        inputs,
        outputs,
        api_visibility="private",
        show_progress_on=outputs[1],
        trigger_mode="multiple",  # a newer question must not be passed over because an older one is computed
    ).then(enroll.keep, session, session, api_visibility="private", show_progress="hidden")


def _connect(
    photo: PhotoInput,
    asked: gr.State,
    settings: list[Any],
    run: gr.Button,
    shown: list[Any],
    changed: list[Any],
    now: gr.State,
) -> None:
    """Connect events with their functions."""
    _, _, model, strictness = settings
    inputs, outputs = [photo, *settings, now], [asked, *shown]
    _then_answer(run.click, inputs, outputs)
    _then_answer(model.change(note_model, [now, model], None, **NOTE).then, inputs, outputs)
    renewed = gr.on([photo.input, photo.clear], on_new_photo, now, [asked, shown[0]], **NOTE)
    renewed.then(note_photo, [now, photo], None, **NOTE)
    strictness.change(
        on_strictness,
        [asked, *settings, now],
        shown,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
    for event in changed:
        event.then(show, [asked, *settings], shown, api_visibility="private", show_progress="hidden")
