"""Show the effect of label smoothing on calibration and on verification.

All figures come from small files, measured once from the shipped checkpoints; no network runs. The worked
example calls the loss that trains.
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
from facelab.ui.calibration import worked_example
from facelab.ui.calibration.cards import figures_card, names_of, trainings_card
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw

TITLE = "Calibration"
LEAD = (
    "A classifier outputs a class and a confidence. **Of the photos given 90% confidence, are 90% correct?** "
    "If fewer, the model is overconfident. Label smoothing trains toward softer targets: choose α, and see "
    "its effect on confidence, accuracy and verification."
)
NONE = (
    "No network has been measured for this tab yet. Train one with --held-out-images 0.1, then run "
    "`python -m facelab lessons calibration MODEL --data CROPS`, and start the page again."
)
TEMPERATURE = (
    "### Temperature scaling\n"
    "p = softmax(z/T). The argmax, so the accuracy, is unchanged; **only confidence changes.** The dashed "
    "line is the T with the lowest NLL on half of the held-out photos. All figures on this tab use the other "
    "half, so the optimum there can differ slightly, and a calibrated network can get slightly worse."
)
LOOK_ALIKES = (
    "### Soft labels of online label smoothing\n"
    "Its targets are not uniform: they are the mean probabilities over correctly classified photos. These "
    "twelve classes share most probability with each other. A row is the target of one class in percent; its "
    "own share, most of the row, is left blank. Classes are numbered and have no names here."
)


@functools.cache
def shipped() -> dict[str, Calibration]:
    """Return the shipped lessons by model; read once.

    Raises:
        ValueError: a file is damaged.
    """
    return {lesson.model: lesson for lesson in load_all()}


def show(model: str, bins: int, temperature: float) -> list[Any]:
    """Return (figures, reliability diagram) of one network."""
    lesson = shipped()[model]
    plain = next(other for other in shipped().values() if other.overfit == lesson.overfit)
    at = lesson.nearest(temperature)
    found = lesson.reliability(temperature, bins)
    return [
        figures_card(lesson, plain, lesson.temperatures[at], found),
        reliability_diagram(found),
    ]


def show_others(model: str, bins: int, temperature: float) -> list[Any]:
    """Return (histogram, temperature curve, table of all trainings)."""
    lesson = shipped()[model]
    at = lesson.nearest(temperature)
    claimed = float(lesson.confidence[at].mean())
    return [
        confidence_histogram(lesson.reliability(temperature, bins), lesson.accuracy(), claimed),
        temperature_curve(lesson.temperatures, lesson.eces(bins), lesson.nll, lesson.fitted, at),
        trainings_card(list(shipped().values()), model, bins),
    ]


def on_fitted(model: str) -> float:
    """Return the fitted temperature; the change of the slider then updates the figures."""
    return round(shipped()[model].fitted, 2)


def build() -> Controls:
    """Lay the tab out, open at the plain training; return its controls by name."""
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
    controls |= worked_example.section()
    for lesson in [lesson for lesson in lessons if lesson.similarity.size][:1]:
        gr.Markdown(LOOK_ALIKES)
        label = "Soft labels of online label smoothing among twelve classes"
        Chart(similarity_map(lesson.similarity), label, "look-alikes-chart")
    return controls


def _measured(lessons: list[Calibration]) -> Controls:
    """Lay out the controls and charts of the shipped lessons."""
    opening = lessons[0].model, BINS, 1.0
    with columns() as (panel, results):
        with panel:
            controls, fitted = _controls(lessons)
        with results:
            shown = _results([*show(*opening), *show_others(*opening)])
    _connect(*controls.values(), fitted, shown)
    return controls


def _results(first: list[Any]) -> list[Any]:
    """Lay out what `show` and `show_others` fill, in their order."""
    with beside():
        figures = gr.HTML(first[0], elem_id="claims", padding=False)
        reliability = Chart(first[1], "Reliability diagram: accuracy against confidence", "reliability-chart")
    with beside():
        histogram = Chart(first[2], "Histogram of confidence", "confidence-chart")
        curve = Chart(first[3], "ECE and NLL against the temperature", "temperature-chart")
    gr.Markdown(TEMPERATURE)
    return [figures, reliability, histogram, curve, gr.HTML(first[4], elem_id="trainings", padding=False)]


def _controls(lessons: list[Calibration]) -> tuple[Controls, gr.Button]:
    """Lay out training, temperature and bins; and the button that sets the fitted temperature."""
    smoothing = gr.Radio(
        list(zip(names_of(lessons), (lesson.model for lesson in lessons))),
        value=lessons[0].model,
        label="Label smoothing",
        info="α: probability mass spread over all K classes. Overfit recipe: no augmentation but flips, no "
        "weight decay, 12 epochs, learning rate 0.1 (else 16 epochs, 0.5); compare within one recipe.",
        elem_id="smoothing",
    )
    with live():
        temperature = gr.Slider(
            LOWEST,
            HIGHEST,
            value=1.0,
            step=0.01,
            label="Temperature, T",
            info=f"Divides all logits: T > 1 lowers confidence, T < 1 raises it. Measured every {STEP:g} and "
            f"at the fitted T.",
            elem_id="temperature",
        )
        bins = gr.Slider(
            5,
            20,
            value=BINS,
            step=1,
            label="Bins",
            info="Bins of confidence; more bins hold fewer photos each.",
            elem_id="bins",
        )
    fitted = gr.Button("Use the fitted temperature", size="sm", elem_id="fitted")
    return {"smoothing": smoothing, "bins": bins, "temperature": temperature}, fitted


def _connect(
    smoothing: gr.Radio, bins: gr.Slider, temperature: gr.Slider, fitted: gr.Button, shown: list[Any]
) -> None:
    """Connect events with their functions; the other charts follow the reliability diagram."""
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    settings = [smoothing, bins, temperature]
    first = redraw(show, settings, shown[:2])
    first.then(show_others, settings, shown[2:], **quietly)
    smoothing.input(lambda: 1.0, None, temperature, **quietly)  # first as it was trained
    fitted.click(on_fitted, smoothing, temperature, **quietly)
