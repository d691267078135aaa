"""Show the feature maps of a trained network for a face, stage by stage.

The photo is read in memory and deleted when the maps are drawn.
"""

import html
from typing import Any

import gradio as gr
import numpy as np

from facelab.models.zoo import checkpoint_names
from facelab.photos.faces import Source
from facelab.recognition.feature_maps import StageMaps, maps_of, strongest
from facelab.ui.links import Controls
from facelab.ui.visit import ModelChoice, offered
from facelab.ui.widgets import cards
from facelab.ui.widgets.columns import columns
from facelab.ui.widgets.controls import model_choices
from facelab.ui.widgets.current import answer_newest
from facelab.ui.widgets.one_face import crop_of, example_crop
from facelab.ui.widgets.photo_input import PhotoInput
from facelab.ui.widgets.sheet import sheet

SHOWN = 12
QUESTION = (
    "### Feature maps, stage by stage\n"
    "Add a photo, or use the rendered face. Each picture is one channel of a stage; bright is a large "
    "activation. **From which stage on do you no longer recognize a face?**"
)
NONE = (
    "No checkpoint is shipped here yet. Train one with `python -m facelab train`, put it into checkpoints/ "
    "and start the page again."
)
STYLE = """
.fl-sheet { width: 100%; max-width: 712px; image-rendering: pixelated; border-radius: 6px; display: block; }
.fl-stages figure { margin: 0 0 1rem; } .fl-stages figcaption { margin: 0 0 .3rem; line-height: 1.4; }
.fl-stages .fl-crop img { width: 112px; border-radius: 8px; }
"""


def show(photo: Source | None, model: str) -> str:
    """Return the feature maps of a photo, of the example without one, or an error card."""
    try:
        crop = example_crop() if photo is None else crop_of(photo)
        return stages_card(crop, maps_of(model, crop), model)
    except ValueError as error:
        return cards.problem(str(error))


def stages_card(crop: np.ndarray, stages: list[StageMaps], model: str) -> str:
    """Return the crop, then maps of each stage with their number, size and receptive field."""
    figures = "".join(_stage(stage) for stage in stages)
    return (
        f'<div class="fl-card fl-stages" role="status"><figure class="fl-crop"><figcaption><b>input</b> '
        f"of {html.escape(model)}, 112×112</figcaption>"
        f"{cards.picture(crop, 'the aligned face')}</figure>{figures}"
        f'<p class="fl-small">The {SHOWN} channels of each stage with the largest variance over the face, '
        f"each scaled from its minimum (dark) to its maximum (bright); values can be negative. Receptive "
        f"fields are counted through convolutions and pooling, and can exceed the crop.</p></div>"
    )


def _stage(stage: StageMaps) -> str:
    channels, height, width = stage.maps.shape
    shown = stage.maps[strongest(stage.maps, SHOWN)]
    alt = f"{len(shown)} of the {channels} feature maps of {stage.name}"
    return (
        f"<figure><figcaption><b>{html.escape(stage.name)}</b>: {channels} maps of {height}×{width}; "
        f"receptive field {stage.receptive_field} px</figcaption>{sheet(shown, alt)}</figure>"
    )


def _model(names: list[str]) -> gr.Dropdown:
    """Build the choice of a trained network."""
    model = ModelChoice(
        model_choices(names),
        value=names[0],
        filterable=False,
        label="Trained network",
        info="Checkpoint that computes the feature maps.",
        elem_id="map-model",
    )
    offered(model, model_choices, only_networks=True)
    return model


def section() -> Controls:
    """Lay the section out, open at the rendered face; return its controls by name."""
    gr.Markdown(QUESTION)
    names = checkpoint_names()
    if not names:
        gr.HTML(cards.hint(NONE), padding=False)
        return {}
    with columns() as (panel, results):
        with panel:
            photo = PhotoInput("Your photo (stays in memory)", "map-photo")
            model = _model(names)
        with results:
            maps = gr.HTML(show(None, names[0]), css_template=STYLE, elem_id="maps", padding=False)
    quietly: dict[str, Any] = {"api_visibility": "private", "show_progress_on": maps}
    answer_newest([photo.input, photo.clear, model.change], show, [photo, model], maps, **quietly)
    return {"maps": model}
