"""Show data augmentation: variants of a photo as in training."""

from typing import Any

import gradio as gr
import numpy as np

from facelab.lessons.augmentations import KINDS, variants
from facelab.ui.links import Controls
from facelab.ui.regularization.cards import STYLE, gallery_card
from facelab.ui.widgets import cards
from facelab.ui.widgets.columns import columns, live
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.current import answer_newest
from facelab.ui.widgets.one_face import crop_of, example_crop
from facelab.ui.widgets.photo_input import PhotoInput

QUESTION = (
    "### Data augmentation\n"
    "Random flips, rotations, crops and color changes keep the identity, so the network learns features that "
    "are invariant to them. **At which strength do you no longer recognize the person?**"
)
COUNT = 4
FIRST_DRAW = 33  # shows every augmentation, those that come a share of the time too
SLIDERS = {  # highest, start, step, label, what it means
    "rotate": (45, 10, 1, "Rotate", "Largest rotation, in degrees."),
    "zoom": (0.5, 0.1, 0.02, "Zoom", "Largest relative change of size."),
    "shift": (0.3, 0.06, 0.02, "Shift", "Largest shift, as a share of the side."),
    "jitter": (0.9, 0.3, 0.05, "Brightness and contrast", "Largest relative change of either."),
    "saturation": (0.9, 0.3, 0.05, "Saturation", "Largest relative change of saturation."),
    "gray": (0.95, 0.2, 0.05, "Gray", "Share of photos converted to gray."),
    "random_erasing": (0.95, 0.4, 0.05, "Erase", "Share of photos with an erased rectangle."),
}


def show(crop: np.ndarray, seed: int, flip: bool, *strengths: float) -> str:
    """Return every augmentation of a crop at these strengths."""
    chosen = dict(zip(KINDS, (flip, *strengths)))
    return gallery_card(crop, variants(crop, chosen, COUNT, seed))


def on_photo(photo: str | None, seed: int, flip: bool, *strengths: float) -> list[Any]:
    """Return (crop, variants) of a new photo or the example, or an error card."""
    try:
        crop = crop_of(photo) if photo else example_crop()
    except ValueError as error:
        return [gr.skip(), cards.problem(str(error))]
    return [crop, show(crop, seed, flip, *strengths)]


def on_draw(crop: np.ndarray, seed: int, flip: bool, *strengths: float) -> list[Any]:
    """Resample the augmentations at the same settings."""
    return [seed + 1, show(crop, seed + 1, flip, *strengths)]


def section() -> Controls:
    """Lay the section out, open at the rendered face; return its controls by name."""
    gr.Markdown(QUESTION)
    crop, seed = gr.State(example_crop(), time_to_live=60 * MINUTES), gr.State(FIRST_DRAW)
    with columns() as (panel, results):
        with panel:
            photo = PhotoInput("Your photo (stays in memory)", "augment-photo")
            flip, sliders = _sliders()
            again = gr.Button("Resample augmentations", elem_id="augment-draw")
        strengths = [flip, *sliders.values()]
        opening = show(example_crop(), FIRST_DRAW, *(control.value for control in strengths))
        with results:
            gallery = gr.HTML(opening, css_template=STYLE, elem_id="variants", padding=False)

    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    settings = [crop, seed, *strengths]
    changed = [control.change for control in strengths]
    gr.on(changed, show, settings, gallery, trigger_mode="always_last", **quietly)
    again.click(on_draw, settings, [seed, gallery], **quietly)
    read = {"api_visibility": "private", "show_progress_on": gallery}
    answer_newest([photo.input, photo.clear], on_photo, [photo, seed, *strengths], [crop, gallery], **read)
    return {"flip": flip} | sliders


def _sliders() -> tuple[gr.Checkbox, Controls]:
    """Lay out the flip, and a strength for each of the others."""
    flip = gr.Checkbox(True, label="Flip", info="Mirror half of the photos.", elem_id="augment-flip")
    sliders: Controls = {}
    with live():
        for name, (highest, start, step, label, info) in SLIDERS.items():
            sliders[name] = gr.Slider(
                0, highest, value=start, step=step, label=label, info=info, elem_id=f"augment-{name}"
            )
    return flip, sliders
