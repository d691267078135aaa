"""Calibration: what label smoothing does to confidence, and what it does not do to verification.

Everything is drawn from small files that were measured once from the shipped checkpoints; no network runs.
The sum by hand below calls the loss that trains.
"""

import functools
from typing import Any

import gradio as gr

from facelab.lessons.calibration import HIGHEST, LOWEST, STEP, Calibration, load_all
from facelab.metrics.calibration import BINS
from facelab.plots.calibration import (
    confidence_histogram,
    reliability_diagram,
    similarity_map,
    temperature_curve,
)
from facelab.ui.calibration import worked_example as calibration_hand
from facelab.ui.calibration.cards import figures_card, names_of, trainings_card
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.controls import redraw

TITLE = "Calibration"
LEAD = (
    "A classifier says who is on a photo and how sure it is. **When it says 90 %, is it right nine times in "
    "ten?** Label smoothing asks it in training for a little less than certainty: choose how much, and see "
    "what that does to its confidence, to its answers, and to its vectors."
)
NONE = (
    "No network has been measured for this tab yet. Train one with --held-out-images 0.1, then run "
    "`python -m facelab lessons calibration MODEL --data CROPS`, and start the page again."
)
TEMPERATURE = (
    "### Mended afterwards: temperature\n"
    "All logits are divided by one number T before the softmax. Their order stays, so the highest stays the "
    "highest (argmax z/T = argmax z): **no answer changes, only how sure it sounds.** The dashed line is the "
    "T with the lowest NLL on half of the new photos; everything on this page is judged on the other half, "
    "so its own best T can lie a little beside it, and where little was wrong it can even cost a little."
)
LOOK_ALIKES = (
    "### What online label smoothing learned\n"
    "Its targets are not spread evenly: they are the mean probabilities of the photos that it named rightly. "
    "These twelve people take most from each other. A row says what a photo of that person should be called, "
    "in percent; the rest of the row is mostly its own name’s, left blank here. The people are numbered and "
    "have no names here."
)


@functools.cache
def shipped() -> dict[str, Calibration]:
    """The lessons that are here, by model; read once.

    Raises:
        ValueError: a file is damaged.
    """
    return {lesson.model: lesson for lesson in load_all()}


def show(model: str, bins: int, temperature: float) -> list[Any]:
    """(figures, reliability diagram) of one network."""
    lesson = shipped()[model]
    plain = next(other for other in shipped().values() if other.overfit == lesson.overfit)
    at = lesson.nearest(temperature)
    found = lesson.reliability(temperature, bins)
    return [
        figures_card(lesson, plain, lesson.temperatures[at], found),
        reliability_diagram(found),
    ]


def show_others(model: str, bins: int, temperature: float) -> list[Any]:
    """(histogram, temperature curve, table): the same network's, and what other trainings give."""
    lesson = shipped()[model]
    at = lesson.nearest(temperature)
    claimed = float(lesson.confidence[at].mean())
    return [
        confidence_histogram(lesson.reliability(temperature, bins), lesson.accuracy(), claimed),
        temperature_curve(lesson.temperatures, lesson.eces(bins), lesson.nll, lesson.fitted, at),
        trainings_card(list(shipped().values()), model, bins),
    ]


def on_fitted(model: str) -> float:
    """Where the slider goes; its change then shows everything there."""
    return round(shipped()[model].fitted, 2)


def build() -> Controls:
    """Lay the tab out, open at the plain training -> its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    try:
        lessons = list(shipped().values())
    except ValueError as error:
        lessons = []
        gr.HTML(cards.problem(str(error)), padding=False)
    else:
        if not lessons:
            gr.HTML(cards.hint(NONE), padding=False)
    controls = _measured(lessons) if lessons else {}
    controls |= calibration_hand.section()
    for lesson in [lesson for lesson in lessons if lesson.similarity.size][:1]:
        gr.Markdown(LOOK_ALIKES)
        label = "How much of each person’s target online label smoothing gives to eleven others"
        Chart(similarity_map(lesson.similarity), label, "look-alikes-chart")
    return controls


def _measured(lessons: list[Calibration]) -> Controls:
    """Controls and charts of what was measured."""
    controls, fitted = _controls(lessons)
    opening = lessons[0].model, BINS, 1.0
    first = [*show(*opening), *show_others(*opening)]
    figures = gr.HTML(first[0], elem_id="claims", padding=False)
    with gr.Row():
        with gr.Column(min_width=320):
            reliability = Chart(
                first[1], "How often it was right against how sure it was", "reliability-chart"
            )
        with gr.Column(min_width=320):
            histogram = Chart(first[2], "Of how many photos it was how sure", "confidence-chart")
    gr.Markdown(TEMPERATURE)
    curve = Chart(first[3], "ECE and NLL against the temperature", "temperature-chart")
    table = gr.HTML(first[4], elem_id="trainings", padding=False)
    _connect(*controls.values(), fitted, [figures, reliability, histogram, curve, table])
    return controls


def _controls(lessons: list[Calibration]) -> tuple[Controls, gr.Button]:
    """Which training, which temperature and how many bins; and the button that sets the temperature."""
    smoothing = gr.Radio(
        list(zip(names_of(lessons), (lesson.model for lesson in lessons))),
        value=lessons[0].model,
        label="Label smoothing",
        info="One network, trained on the same photos; α is the share of the target that is spread over all "
        "people. “By heart” changes more than the target: photos only mirrored, no weight decay, 12 epochs "
        "at a rate of 0.1, not 16 at 0.5; so compare within one of the two groups.",
        elem_id="smoothing",
    )
    with gr.Row(elem_classes="fl-controls"):
        temperature = gr.Slider(
            LOWEST,
            HIGHEST,
            value=1.0,
            step=0.01,
            label="Temperature, T",
            info=f"Divides all logits: above 1 it sounds less sure, below 1 surer; no answer changes. "
            f"Measured every {STEP:g} and at the fitted one.",
            elem_id="temperature",
        )
        bins = gr.Slider(
            5,
            20,
            value=BINS,
            step=1,
            label="Bins",
            info="Into how many the claims are sorted; more bins hold fewer photos each.",
            elem_id="bins",
        )
    fitted = gr.Button("Use the fitted temperature", size="sm", elem_id="fitted")
    return {"smoothing": smoothing, "bins": bins, "temperature": temperature}, fitted


def _connect(
    smoothing: gr.Radio, bins: gr.Slider, temperature: gr.Slider, fitted: gr.Button, shown: list[Any]
) -> None:
    """Who answers what; the diagram comes first, and the others when it is drawn."""
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    settings = [smoothing, bins, temperature]
    first = redraw(show, settings, shown[:2])
    first.then(show_others, settings, shown[2:], **quietly)
    smoothing.input(lambda: 1.0, None, temperature, **quietly)  # first as it was trained
    fitted.click(on_fitted, smoothing, temperature, **quietly)
