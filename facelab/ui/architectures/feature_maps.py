"""The Architectures tab's feature maps: what a trained network makes of a face, stage by stage.

The photo is read in memory when it is given, and forgotten when the maps are drawn.
"""

import html
from typing import Any

import gradio as gr
import numpy as np

from facelab.models.zoo import checkpoint_names
from facelab.photos.faces import Source
from facelab.recognition.feature_maps import StageMaps, maps_of, strongest
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import model_choices
from facelab.ui.widgets.current import answer_newest
from facelab.ui.widgets.one_face import crop_of, example_crop
from facelab.ui.widgets.photo_input import PhotoInput
from facelab.ui.widgets.sheet import sheet

SHOWN = 12
QUESTION = (
    "### What does it see? Feature maps of a photo, stage by stage\n"
    "Give a photo of yourself, or look at the rendered face. Each small picture is one channel of a stage, "
    "bright where it answers strongly. **At which stage can you no longer tell that it is a face?**"
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
    """The maps of a photo, of the example without one, or why there are none."""
    try:
        crop = example_crop() if photo is None else crop_of(photo)
        return stages_card(crop, maps_of(model, crop), model)
    except ValueError as error:
        return cards.problem(str(error))


def stages_card(crop: np.ndarray, stages: list[StageMaps], model: str) -> str:
    """The crop, then each stage's strongest maps with their number, size and what one value sees."""
    figures = "".join(_stage(stage) for stage in stages)
    return (
        f'<div class="fl-card fl-stages" role="status"><figure class="fl-crop"><figcaption><b>input</b>: '
        f"what {html.escape(model)} sees, 112×112</figcaption>"
        f"{cards.picture(crop, 'the aligned face')}</figure>{figures}"
        f'<p class="fl-small">Of each stage the {SHOWN} channels that differ most over the face, each from '
        f"its own lowest (dark) to its own highest value (bright); values can be negative. What one value "
        f"sees is counted through convolutions and pooling, and can exceed the crop.</p></div>"
    )


def _stage(stage: StageMaps) -> str:
    channels, height, width = stage.maps.shape
    shown = stage.maps[strongest(stage.maps, SHOWN)]
    alt = f"{len(shown)} of the {channels} feature maps of {stage.name}"
    return (
        f"<figure><figcaption><b>{html.escape(stage.name)}</b>: {channels} maps of {height}×{width}; one "
        f"value sees {stage.receptive_field} px</figcaption>{sheet(shown, alt)}</figure>"
    )


def section() -> Controls:
    """Lay it out, open at the rendered face -> its controls by name."""
    gr.Markdown(QUESTION)
    names = checkpoint_names()
    if not names:
        gr.HTML(cards.hint(NONE), padding=False)
        return {}
    with gr.Row():
        photo = PhotoInput("Your photo (stays in memory)", "map-photo")
        model = gr.Dropdown(
            model_choices(names),
            value=names[0],
            filterable=False,
            label="Trained network",
            info="Which checkpoint’s feature maps; untrained networks would show noise.",
            elem_id="map-model",
        )
    maps = gr.HTML(show(None, names[0]), css_template=STYLE, elem_id="maps", padding=False)
    quietly: dict[str, Any] = {"api_visibility": "private", "show_progress_on": maps}
    answer_newest([photo.input, photo.clear, model.change], show, [photo, model], maps, **quietly)
    return {"maps": model}
