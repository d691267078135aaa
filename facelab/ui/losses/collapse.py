"""The Losses tab's collapse lab: watch triplet loss shrink everything to a point, then keep it from that."""

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
    learn,
)
from facelab.plots.losses import collapse_course, collapse_map
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets import cards
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.chart import Chart

QUESTION = (
    "Hard triplets teach most, so why not train on nothing else? The quickest way to bring a far positive "
    "nearer is to bring *everything* nearer. **Train, and watch the loss: at which value does it get stuck, "
    "and what do the embeddings look like then?**"
)
RULE = (
    "**The rule of the flag.** For {row} steps in a row the loss is within 5 % of the margin (or 0, as "
    "semi-hard mining finds nothing in a point) *and* the spread, the mean squared distance between unit "
    "embeddings, is below 5 % of the margin. In one point every hinge is max(0, 0 − 0 + m) = m, and the "
    "gradient of a squared distance is zero there, so training never leaves it. On the map everyone has "
    "a ring, so that marks in one direction stay visible; after a collapse the order of pairs rests on "
    "differences in the last digits. The learner is a network of three layers on {people} made-up people "
    "with {photos} photos each. Of 24 seeds, with warm-up 50 and "
    "learning rate 0.1, hard mining collapsed 23, semi-hard mining 1, all triplets none."
)
MINING = [("hard: the hardest of each anchor", "hard"), ("semi-hard: FaceNet’s", "semi_hard"),
          ("all: the mean over every triplet", "all")]  # fmt: skip
MARGIN, FRAME, EVERY = 0.2, 0.12, 4  # a frame every so many steps, slow enough to follow and to stop
FIX = "all"


def run(mining: str, lr: float, warmup: float, seed: float) -> Iterator[list[Any]]:
    """Train and show (card, course, map) as it goes; closing it ends the training."""
    try:
        for moment in learn(CollapseConfig(mining, lr, int(warmup), MARGIN, int(seed))):
            if len(moment.losses) % EVERY == 0 or len(moment.losses) == STEPS:
                yield show(moment)
                time.sleep(FRAME)
    except ValueError as error:
        yield [cards.problem(f"{error}."), gr.skip(), gr.skip()]


def show(moment: CollapseState) -> list[Any]:
    """(card, course, map) of a moment."""
    return [moment_card(moment), collapse_course(moment, MARGIN), collapse_map(moment)]


def moment_card(moment: CollapseState) -> str:
    """Collapsed or not, in words, then the numbers."""
    done, loss, spread = len(moment.losses), moment.losses[-1], moment.spreads[-1]
    kind, title, words = "", f"Training: step {done} of {STEPS}", "No collapse so far."
    if moment.collapsed:
        kind, title = "fl-different", "✖ Collapsed"
        words = (
            f"The loss sits at the margin ({loss:.3f} of {MARGIN}) and the spread of the embeddings is "
            f"{spread:.4f}: they all point one way. Press “Fix it” to train from the same start on all "
            "triplets."
        )
    elif done == STEPS:
        kind, title = "fl-same", "✔ Not collapsed"
        words = (
            "The embeddings have not shrunk to a point. How well they tell people apart is the last number."
        )
    numbers = figures(
        ("step", f"{done} of {STEPS}"),
        ("loss", f"{loss:.3f}"),
        ("spread", f"{spread:.4f}"),
        ("pairs in the right order", f"{moment.ordered:.1%}"),
    )
    role = ' role="status"' if done == STEPS else ""  # a screen reader hears the end, not every frame
    return f'<div class="fl-card {kind}"{role}><h2>{title}</h2><p>{words}</p>{numbers}</div>'


def on_fix() -> str:
    """The mining that does not collapse."""
    return FIX


@functools.cache
def opening() -> CollapseState:
    """The collapse that the section opens on, trained once, in well under a second."""
    return list(learn(CollapseConfig(margin=MARGIN)))[-1]


def section() -> Controls:
    """Lay it out, open at a finished collapse -> its controls by name."""
    gr.Markdown(QUESTION)
    settings = _settings()
    with gr.Row(elem_classes="fl-examples"):
        train = gr.Button("Train", variant="primary", elem_id="collapse-train")
        fix = gr.Button("Fix it: train on all triplets", elem_id="collapse-fix")
        stop = gr.Button("Stop", elem_id="collapse-stop")
    card, course, where = show(opening())
    said = gr.HTML(card, elem_id="collapse", padding=False)
    with gr.Row():
        with gr.Column(min_width=320):
            first = Chart(course, "Loss and spread of the embeddings against the step", "collapse-course")
        with gr.Column(min_width=320):
            second = Chart(where, "Directions of the embeddings of six people", "collapse-map")
    gr.Markdown(RULE.format(row=IN_A_ROW, people=PEOPLE, photos=PHOTOS), elem_classes="fl-small")
    gr.HTML(papers_card("triplet"), padding=False)
    training = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 4}
    values, shown = list(settings.values()), [said, first, second]
    trained = train.click(run, values, shown, **training)
    fixed = fix.click(on_fix, None, values[0], api_visibility="private", queue=False)
    fixed = fixed.then(run, values, shown, **training)
    stop.click(None, None, None, cancels=[trained, fixed], api_visibility="private")
    return settings


def _settings() -> Controls:
    """What the learner mines, how fast it learns, and where it starts."""
    start = CollapseConfig()
    mining = gr.Radio(
        MINING,
        value=start.mining,
        label="Mining",
        info="Which triplets of a batch the loss is taken over.",
        elem_id="collapse-mining",
    )
    with gr.Row(elem_classes="fl-controls"):
        lr = gr.Slider(
            0.005,
            0.5,
            value=start.lr,
            step=0.005,
            label="Learning rate",
            info="How large a step is; larger ones collapse sooner.",
            elem_id="collapse-lr",
        )
        warmup = gr.Slider(
            0,
            100,
            value=start.warmup,
            step=10,
            label="Warm-up, in steps",
            info="Over how many steps the learning rate grows from near zero. By itself it only delays.",
            elem_id="collapse-warmup",
        )
        seed = gr.Slider(
            0,
            23,
            value=start.seed,
            step=1,
            label="Seed",
            info="Draws the photos and the first weights.",
            elem_id="collapse-seed",
        )
    return {"mining": mining, "lr": lr, "warmup": warmup, "seed": seed}
