"""Show the collapse of triplet loss: all embeddings become equal; then avoid it with another mining."""

import functools
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from facelab.lessons.triplet_collapse import (
    IN_A_ROW,
    PEOPLE,
    PHOTOS,
    STEPS,
    CollapseConfig,
    CollapseState,
    collapses,
    learn,
)
from facelab.plots.losses import collapse_course, collapse_map
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets import cards
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live

QUESTION = (
    "Hard triplets have the largest loss, so why not train on them alone? The fastest way to decrease one "
    "large distance is to decrease *all* distances. **Train and watch the loss: at which value does it stop, "
    "and where are the embeddings then?**"
)
RULE = (
    "**Collapse criterion.** For {row} consecutive steps the loss is within 5% of m (or 0: semi-hard mining "
    "finds no triplet in a point) *and* the mean squared distance between normalized embeddings is below 5% "
    "of m. In a point every hinge is max(0, 0 − 0 + m) = m. The gradient of a squared distance is zero "
    "there, so training does not leave it. After a collapse, AUC depends on rounding. On the map each "
    "identity has its own ring, so that equal directions stay visible. Network: three layers; data: "
    "{people} synthetic identities, {photos} photos each."
)
SEEDS = (
    " Of {seeds} seeds (warm-up {warmup}, learning rate {lr}), hard mining collapsed in {hard}, "
    "semi-hard mining in {semi_hard}, all triplets in {all}."
)
MINING = [("hard: the hardest of each anchor", "hard"), ("semi-hard: FaceNet’s", "semi_hard"),
          ("all: the mean over every triplet", "all")]  # fmt: skip
MARGIN, FRAME, EVERY = 0.2, 0.12, 4  # a frame every so many steps, slow enough to follow and to stop
FIX = "all"


def rule() -> str:
    """Return the collapse criterion, with the number of collapsed seeds where they are measured."""
    text = RULE.format(row=IN_A_ROW, people=PEOPLE, photos=PHOTOS)
    seeds, counts = collapses()
    config = CollapseConfig()
    return text + SEEDS.format(seeds=seeds, warmup=config.warmup, lr=config.lr, **counts) if counts else text


def run(mining: str, lr: float, warmup: float, seed: float) -> Iterator[list[Any]]:
    """Train and yield (card, curves, map); closing the generator ends the training."""
    try:
        for moment in learn(CollapseConfig(mining, lr, int(warmup), MARGIN, int(seed))):
            if len(moment.losses) % EVERY == 0 or len(moment.losses) == STEPS:
                yield show(moment)
                time.sleep(FRAME)
    except ValueError as error:
        yield [cards.problem(f"{error}."), gr.skip(), gr.skip()]


def show(moment: CollapseState) -> list[Any]:
    """Return (card, curves, map) of a state."""
    return [moment_card(moment), collapse_course(moment, MARGIN), collapse_map(moment)]


def moment_card(moment: CollapseState) -> str:
    """Return whether the run has collapsed, and its figures."""
    done, loss, spread = len(moment.losses), moment.losses[-1], moment.spreads[-1]
    kind, title, words = "", f"Training: step {done} of {STEPS}", "No collapse so far."
    if moment.collapsed:
        kind, title = "fl-different", "✖ Collapsed"
        words = (
            f"The loss stays at the margin (loss {loss:.3f}, m = {MARGIN}) and the mean squared distance of "
            f"the embeddings is {spread:.4f}: all are equal. Press “Fix it” to train on all triplets from "
            "the same initialization."
        )
    elif done == STEPS:
        kind, title = "fl-same", "✔ Not collapsed"
        words = "The embeddings are not equal. The share of pairs ranked correctly (AUC) is the last figure."
    numbers = figures(
        ("step", f"{done} of {STEPS}"),
        ("loss", f"{loss:.3f}"),
        ("mean squared distance", f"{spread:.4f}"),
        ("pairs ranked correctly (AUC)", f"{moment.ordered:.1%}"),
    )
    role = ' role="status"' if done == STEPS else ""  # a screen reader hears the end, not every frame
    return f'<div class="fl-card {kind}"{role}><h2>{title}</h2><p>{words}</p>{numbers}</div>'


def on_fix() -> str:
    """Return the mining that does not collapse."""
    return FIX


@functools.cache
def opening() -> CollapseState:
    """Return the collapse that the section opens on, trained once, in under a second."""
    return list(learn(CollapseConfig(margin=MARGIN)))[-1]


def section() -> Controls:
    """Lay the section out, open at a finished collapse; return its controls by name."""
    gr.Markdown(QUESTION)
    with columns() as (panel, results):
        with panel:
            settings = _settings()
            with live():
                train = gr.Button("Train", variant="primary", elem_id="collapse-train")
                fix = gr.Button("Fix it: train on all triplets", elem_id="collapse-fix")
                stop = gr.Button("Stop", elem_id="collapse-stop")
        card, course, where = show(opening())
        with results:
            said = gr.HTML(card, elem_id="collapse", padding=False)
            with beside():
                label = "Loss and mean squared distance of the embeddings against the step"
                first = Chart(course, label, "collapse-course")
                second = Chart(where, "Directions of the embeddings of six identities", "collapse-map")
            gr.Markdown(rule(), elem_classes="fl-small")
    gr.HTML(papers_card("triplet"), padding=False)
    training = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 4}
    values, shown = list(settings.values()), [said, first, second]
    trained = train.click(run, values, shown, **training)
    fixed = fix.click(on_fix, None, values[0], api_visibility="private", queue=False)
    fixed = fixed.then(run, values, shown, **training)
    stop.click(None, None, None, cancels=[trained, fixed], api_visibility="private")
    return settings


def _settings() -> Controls:
    """Lay out mining, learning rate, warm-up and seed."""
    start = CollapseConfig()
    mining = gr.Radio(
        MINING,
        value=start.mining,
        label="Mining",
        info="Which triplets of a batch enter the loss.",
        elem_id="collapse-mining",
    )
    with gr.Row(elem_classes="fl-controls"):
        lr = gr.Slider(
            0.005,
            0.5,
            value=start.lr,
            step=0.005,
            label="Learning rate",
            info="Step size; larger ones collapse sooner.",
            elem_id="collapse-lr",
        )
        warmup = gr.Slider(
            0,
            100,
            value=start.warmup,
            step=10,
            label="Warm-up, steps",
            info="Steps over which the learning rate rises from near zero; alone it only delays a collapse.",
            elem_id="collapse-warmup",
        )
        seed = gr.Slider(
            0,
            23,
            value=start.seed,
            step=1,
            label="Seed",
            info="Of the data and the initialization.",
            elem_id="collapse-seed",
        )
    return {"mining": mining, "lr": lr, "warmup": warmup, "seed": seed}
