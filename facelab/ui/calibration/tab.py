"""Show the effect of label smoothing on calibration and on verification.

All figures come from small files, measured once from the shipped checkpoints; no network runs. The worked
example calls the loss that trains.
"""

import functools
from typing import Any

import gradio as gr

from facelab.lessons.calibration import HIGHEST, LOWEST, STEP, Calibration, load_all
from facelab.metrics.calibration import BINS, Reliability
from facelab.plots.calibration import (
    confidence_histogram,
    reliability_diagram,
    similarity_map,
    temperature_curve,
)
from facelab.ui.calibration import own_runs, worked_example
from facelab.ui.calibration.cards import figures_card, trainings_card
from facelab.ui.calibration.grid import (
    RECIPES,
    Seen,
    compared_with,
    follow,
    grid,
    name_of,
    opening,
    smoothings,
)
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.formula import formula, set_formula
from facelab.ui.widgets.prediction import predict

TITLE = "Calibration"
LEAD = (
    "A classifier outputs a class and a confidence. **Of the photos given 90% confidence, are 90% correct?** "
    "If fewer, the model is overconfident, as this one is. Label smoothing trains toward softer targets: "
    "raise α, and watch confidence, accuracy and verification; the dotted line is the training before."
)
NONE = (
    "No network has been measured for this tab yet. Train one with --held-out-images 0.1, then run "
    "`python -m facelab lessons calibration MODEL --data CROPS`, and start the page again."
)
NO_TRAINING = "This combination has not been measured; choose another α or recipe."
OVERFIT = (
    "Overfit: no data augmentation, no weight decay. Both: 10 epochs, learning rate 0.1, the same photos."
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


def show(recipe: str, smoothing: str, bins: int, temperature: float, seen: Seen = ("", "")) -> list[Any]:
    """Return (models shown, figures, formulas, reliability diagram) of one training.

    Args:
        recipe, smoothing: of the controls.
        bins: of the diagram.
        temperature: divides the logits.
        seen: the models shown now and before; the one before stands behind as a ghost.
    """
    lesson = grid(shipped()).get((recipe, smoothing))
    if lesson is None:
        return [seen, cards.hint(NO_TRAINING), gr.skip(), None]
    seen = follow(seen, lesson.model)
    temperature = float(lesson.temperatures[lesson.nearest(temperature)])
    ghost = compared_with(shipped(), lesson.model, seen[1], temperature)
    found = lesson.reliability(temperature, bins)
    behind = (ghost.reliability(1.0, bins), f"{name_of(ghost)}, T = 1") if ghost else (None, "")
    return [
        seen,
        figures_card(lesson, ghost, temperature, found),
        formulas(lesson, temperature, found),
        reliability_diagram(found, *behind),
    ]


def show_others(recipe: str, smoothing: str, bins: int, temperature: float) -> list[Any]:
    """Return (histogram, temperature curve, table of all trainings)."""
    lesson = grid(shipped()).get((recipe, smoothing))
    if lesson is None:
        return [None, None, gr.skip()]
    at = lesson.nearest(temperature)
    claimed = float(lesson.confidence[at].mean())
    return [
        confidence_histogram(lesson.reliability(temperature, bins), lesson.accuracy(), claimed),
        temperature_curve(lesson.temperatures, lesson.eces(bins), lesson.nll, lesson.fitted, at),
        trainings_card(list(grid(shipped()).values()), lesson.model, bins),
    ]


def formulas(lesson: Calibration, temperature: float, found: Reliability) -> str:
    """Return the smoothed target and the ECE, in symbols and with the current values."""
    alpha, classes = lesson.label_smoothing, lesson.identities
    true = 1 - alpha + alpha / classes
    return set_formula(
        r"y &= (1-\alpha)\,\text{onehot} + \alpha/K",
        rf"y_{{\text{{true}}}} &= {true:.4f}\quad (\alpha = {alpha:g},\ K = {classes})",
        rf"p &= \operatorname{{softmax}}(z / T),\quad T = {temperature:.2f}",
        rf"\text{{ECE}} &= \sum_b \tfrac{{n_b}}{{n}}\,|\text{{acc}}_b - \text{{conf}}_b| = {found.ece():.3f}",
    )


def on_fitted(recipe: str, smoothing: str) -> Any:
    """Return the fitted temperature; the slider's change event then updates the figures."""
    lesson = grid(shipped()).get((recipe, smoothing))
    return gr.skip() if lesson is None else round(lesson.fitted, 2)


def build() -> Controls:
    """Lay the tab out, open at the overfit training without label smoothing; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    try:
        lessons = shipped()
    except ValueError as error:
        lessons = {}
        gr.HTML(cards.problem(str(error)), padding=False)
    else:
        if not lessons:
            gr.HTML(cards.hint(NONE), padding=False)
    controls = _measured(lessons) if lessons else {}
    own_runs.section()
    controls |= worked_example.section()
    for lesson in [lesson for lesson in lessons.values() if lesson.similarity.size][:1]:
        gr.Markdown(LOOK_ALIKES)
        label = "Soft labels of online label smoothing among twelve classes"
        Chart(similarity_map(lesson.similarity), label, "look-alikes-chart")
    return controls


def _measured(lessons: dict[str, Calibration]) -> Controls:
    """Lay out the controls and charts of the shipped lessons."""
    start = *opening(lessons), BINS, 1.0
    first = [*show(*start), *show_others(*start)]
    _prediction(lessons)
    with columns() as (panel, results):
        with panel:
            controls, fitted = _controls(lessons)
            mathematics = formula(first[2], Reliability.ece, "calibration-formula")
        with results:
            shown = _results(first)
    seen = gr.State(first[0])
    _connect(list(controls.values()), fitted, [seen, shown[0], mathematics, *shown[1:]])
    return controls


def _prediction(lessons: dict[str, Calibration]) -> None:
    """Ask what smoothing does to verification, where the grid has the answer."""
    trainings = grid(lessons)
    before, after = (trainings.get(("overfit", alpha)) for alpha in ("0", "0.1"))
    if before is None or after is None:
        return
    eces = [lesson.reliability().ece() for lesson in (before, after)]
    predict(
        "calibration",
        "Label smoothing α = 0.1, overfit recipe: does the verification EER on unseen identities fall?",
        ("It falls", "It rises"),
        int(after.eer > before.eer),
        f"EER {before.eer:.1%} → {after.eer:.1%}, while the ECE goes from {eces[0]:.1%} to {eces[1]:.1%}: "
        f"better calibrated is not better at verification.",
    )


def _results(first: list[Any]) -> list[Any]:
    """Lay out what `show` and `show_others` fill, in their order, but for the state and the formulas."""
    _, card, _, diagram, histogram, curve, table = first
    label = "Reliability diagram: accuracy against confidence, the training before as a dotted line"
    with beside():
        shown = [
            Chart(diagram, label, "reliability-chart"),
            gr.HTML(card, elem_id="claims", padding=False),
        ][::-1]
    with beside():
        shown += [
            Chart(histogram, "Histogram of confidence", "confidence-chart"),
            Chart(curve, "ECE and NLL against the temperature", "temperature-chart"),
        ]
    gr.Markdown(TEMPERATURE)
    return [*shown, gr.HTML(table, elem_id="trainings", padding=False)]


def _controls(lessons: dict[str, Calibration]) -> tuple[Controls, gr.Button]:
    """Lay out recipe, label smoothing, temperature and bins; and the button of the fitted temperature."""
    recipe, smoothing = opening(lessons)
    recipes = [name for name in RECIPES if any(key[0] == name for key in grid(lessons))]
    first = {
        "recipe": gr.Radio(recipes, value=recipe, label="Recipe", info=OVERFIT, elem_id="recipe"),
        "smoothing": gr.Radio(
            smoothings(lessons),
            value=smoothing,
            label="Label smoothing, α",
            info="Probability mass spread over all K classes; online: learned targets.",
            elem_id="smoothing",
        ),
    }
    with live():
        temperature = gr.Slider(
            LOWEST,
            HIGHEST,
            value=1.0,
            step=0.01,
            label="Temperature, T",
            info=f"T > 1 lowers confidence. Measured every {STEP:g} and at the fitted T.",
            elem_id="temperature",
        )
        bins = gr.Slider(5, 20, value=BINS, step=1, label="Bins", info="More bins hold fewer photos each.",
                         elem_id="bins")  # fmt: skip
    fitted = gr.Button("Use the fitted temperature", size="sm", elem_id="fitted")
    return first | {"bins": bins, "temperature": temperature}, fitted


def _connect(settings: list[Any], fitted: gr.Button, shown: list[Any]) -> None:
    """Connect events with their functions; the other charts follow the reliability diagram."""
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    recipe, smoothing, _, temperature = settings
    first = gr.on(
        [setting.change for setting in settings],
        show,
        [*settings, shown[0]],
        shown[:4],
        trigger_mode="always_last",
        **quietly,
    )
    first.then(show_others, settings, shown[4:], **quietly)
    for training in (recipe, smoothing):
        training.input(lambda: 1.0, None, temperature, **quietly)  # first as it was trained
    fitted.click(on_fitted, [recipe, smoothing], temperature, **quietly)
