"""Show dropout, spatial dropout and DropBlock on feature maps, their effect on trained networks, and data
augmentation.

Masks and augmentations are those of training. A photo is read in memory; its crop stays in the visit.
"""

import functools
from typing import Any

import gradio as gr

from facelab.lessons.dropout_masks import DRAWS, drop, effects
from facelab.models.zoo import DEFAULT_MODEL, checkpoint_names
from facelab.plots.regularization import realized_rates
from facelab.recognition.feature_maps import StageMaps, correlation_with_neighbors, maps_of, strongest
from facelab.ui.links import Controls
from facelab.ui.regularization import augmentation as regularization_augment
from facelab.ui.regularization import formulas
from facelab.ui.regularization.cards import STYLE, effects_card, maps_card
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import columns, live
from facelab.ui.widgets.one_face import example_crop

TITLE = "Regularization"
LEAD = (
    "Neighboring activations are correlated, so dropout on feature maps removes little information. "
    "DropBlock drops contiguous regions. **How large must the block be?**"
)
NONE = (
    "No checkpoint is shipped here yet, so there is no feature map to drop from. Train one with "
    "`python -m facelab train`, put it into checkpoints/ and start the page again."
)
SHOWN = 6
VALUES = 200_000  # masked values in all samples: what a slider can wait for
RATE, BLOCK = 0.2, 5
OPENING = "stage1"
SEED = 1  # a sample in which SpatialDropout drops a channel; with 0 it drops none


@functools.cache
def example_stages() -> dict[str, StageMaps]:
    """Return the feature maps of a rendered face, by stage."""
    return {stage.name: stage for stage in maps_of(_model(), example_crop())}


def _model() -> str:
    names = checkpoint_names()
    return DEFAULT_MODEL if DEFAULT_MODEL in names else names[0]


def show(stage: str, rate: float, block: int, seed: int) -> list[Any]:
    """Return (maps, realized rates, correlation of neighbors, formula) at these settings."""
    maps = example_stages()[stage].maps
    shown = maps[strongest(maps, SHOWN)]
    dropped = drop(shown, rate, int(block), seed, min(DRAWS, VALUES // shown.size))
    said = formulas.show(rate, int(block), shown.shape[1:])
    return [maps_card(shown, dropped, rate), realized_rates(dropped, rate), alike_card(stage), said]


@functools.cache
def alike_card(stage: str) -> str:
    """Return the correlation of neighboring values of a stage."""
    found = correlation_with_neighbors(example_stages()[stage].maps)
    return cards.hint(
        f"Correlation of neighboring values in {stage} of {_model()} on this face: {found:.2f}."
    )


def on_draw(stage: str, rate: float, block: int, seed: int) -> list[Any]:
    """Resample the masks at the same settings."""
    return [seed + 1, *show(stage, rate, block, seed + 1)]


def build() -> Controls:
    """Lay the tab out, open at a finished sample; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    if checkpoint_names():
        controls = _dropping()
    else:
        controls = {}
        gr.HTML(cards.hint(NONE), padding=False)
    gr.HTML(effects_card(effects()), elem_id="effects", padding=False)
    return controls | regularization_augment.section()


def _dropping() -> Controls:
    """Lay out the settings, the maps and the chart of realized drop rates."""
    _prediction()
    seed = gr.State(SEED)
    with columns() as (panel, results):
        with panel:
            stage, rate, block = _settings()
            again = gr.Button("Resample masks", variant="primary", elem_id="draw")
            first = show(stage.value, RATE, BLOCK, SEED)
            said = formulas.beside(RATE, BLOCK, example_stages()[stage.value].maps.shape[1:])
        with results:
            maps = gr.HTML(first[0], css_template=STYLE, elem_id="dropped", padding=False)
            label = "Realized drop rate of each sample, three kinds of dropout"
            rates = Chart(first[1], label, "rates-chart")
            alike = gr.HTML(first[2], elem_id="alike", padding=False)
    settings, shown = [stage, rate, block, seed], [maps, rates, alike, said]
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    changed = [stage.change, rate.change, block.change]
    gr.on(changed, show, settings, shown, trigger_mode="always_last", **quietly)
    again.click(on_draw, settings, [seed, *shown], **quietly)
    return {"stage": stage, "rate": rate, "block": block}


def _prediction() -> None:
    """Ask what the neighbors tell about dropped values; measured on the opening stage."""
    names = list(example_stages())
    maps = example_stages()[OPENING if OPENING in names else names[0]].maps
    shown = maps[strongest(maps, SHOWN)]
    dropped = drop(shown, RATE, BLOCK, SEED, min(DRAWS, VALUES // shown.size))
    formulas.prediction({name: found.told for name, found in dropped.items()}, BLOCK)


def _settings() -> tuple[gr.Radio, gr.Slider, gr.Slider]:
    """Lay out stage, drop rate and block size."""
    names = list(example_stages())
    stage = gr.Radio(
        names,
        value=OPENING if OPENING in names else names[0],
        label="Stage",
        info="Stage of the feature maps. Neighbors correlate most in the first stage; DropBlock is trained "
        "in the last two, where neighbors explain little (R²) under any kind of dropout.",
        elem_id="drop-stage",
    )
    with live():
        rate = gr.Slider(
            0,
            0.9,
            value=RATE,
            step=0.05,
            label="Drop rate",
            info="Expected share of dropped values.",
            elem_id="drop-rate",
        )
        block = gr.Slider(
            1,
            14,
            value=BLOCK,
            step=1,
            label="Block size",
            info="Side of DropBlock’s squares; 1 is dropout; a block larger than the map drops all of it.",
            elem_id="drop-block",
        )
    return stage, rate, block
