"""The Identify tab's prediction and formula: how many comparisons make of a rate for one."""

from typing import Any

import gradio as gr

from facelab.recognition.gallery import ask
from facelab.recognition.verify import DEFAULT_FAR
from facelab.ui.identify.enroll import Session, current
from facelab.ui.widgets.formula import formula, set_formula
from facelab.ui.widgets.prediction import predict


def expected_fpir(far: float, photos: int) -> float:
    """Return the share of unenrolled persons accepted if comparisons with all photos were independent."""
    return 1 - (1 - far) ** photos


def prediction(photos: int) -> None:
    """Ask what a gallery of some photos does to the rate of one comparison."""
    found = expected_fpir(DEFAULT_FAR, photos)
    predict(
        "identify",
        f"FAR {DEFAULT_FAR:.1%} holds for one comparison; the gallery has {photos} photos. How many "
        "unenrolled persons are accepted?",
        (f"About {DEFAULT_FAR:.1%}", f"About {found:.1%}"),
        1,
        f"FPIR is about 1 − (1 − FAR)^{photos} = {found:.1%}: each photo is one more chance of a "
        "false accept.",
    )


def show(session: Session, own: bool, model: str, strictness: float) -> str:
    """Return both answers in symbols, and FPIR at FAR 10^-strictness for the photos enrolled now."""
    photos, far = len(current(session, own, model).gallery.people), 10.0**-strictness
    return set_formula(
        r"\text{closed:}\ \hat{\imath} &= \arg\max_i \cos(e, g_i)",
        r"\text{open:}\ \hat{\imath} &\text{ if }\cos(e, g_{\hat{\imath}}) \ge t\text{, else unknown}",
        r"\text{FPIR} &\approx 1 - (1 - \text{FAR})^{N}",
        rf"&= 1 - (1 - {far:.2g})^{{{photos}}} = {100 * expected_fpir(far, photos):.1f}\,\%",
    )


def beside(settings: list[Any]) -> gr.Markdown:
    """Lay the formula out for session, own, model and strictness; return what a callback updates."""
    return formula(show(None, False, settings[2].value, settings[3].value), ask, "identify-formula")


def follow(gallery: gr.HTML, settings: list[Any], shown: gr.Markdown) -> None:
    """Set the formula again whenever the gallery or a setting changes."""
    gr.on([gallery.change, settings[3].change], show, settings, shown, api_visibility="private",
          show_progress="hidden", queue=False, trigger_mode="always_last")  # fmt: skip
