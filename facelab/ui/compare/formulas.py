"""The Compare tab's prediction, on what one accuracy hides, and its formula: cosine and threshold."""

from typing import Any, Protocol

import gradio as gr

from facelab.evaluation import results as run_records
from facelab.metrics.verification import cosine
from facelab.models.zoo import DEFAULT_MODEL
from facelab.recognition.embedder import load
from facelab.ui.widgets.formula import formula, set_formula
from facelab.ui.widgets.prediction import predict

STRICT, MANY = 1e-4, 0.8  # the rate that is asked about, and the share of genuine pairs
SATURATED = (
    "An easy benchmark saturates: ResNet-100 has 99.75% on LFW with CosFace, 99.80% with ArcFace and 99.83% "
    "with SphereFace (MS1MV2), and one pair of its 6,000 is 0.017%. So compare TAR at a low FAR, on harder "
    "sets such as IJB-C."
)


class Scored(Protocol):
    """Have a model's name and a pair's score."""

    model: str
    score: float


def prediction() -> None:
    """Ask what an accuracy on LFW says about a strict rate; the answer was measured."""
    accuracy = run_records.header(DEFAULT_MODEL).metrics.get("lfw_view2", {}).get("accuracy")
    points = load(DEFAULT_MODEL).calibrated()
    if accuracy is None or not points.covers(STRICT):
        return
    accepted = 1 - points.frr_for(STRICT)
    predict(
        "compare",
        f"{DEFAULT_MODEL} decides {accuracy:.1%} of LFW’s pairs right. At FAR 0.01%, does it accept over "
        f"{MANY:.0%} of genuine pairs?",
        ("Yes", "No"),
        int(accepted <= MANY),
        f"It accepts {accepted:.1%} (LFW view 1), and {1 - points.frr_for(0.1):.1%} at FAR 10%. {SATURATED}",
    )


def show(pair: Scored | None, strictness: float) -> str:
    """Return the score and the decision of a pair at FAR 10^-strictness, in symbols alone without one."""
    score = (
        r"s &= \cos\theta = \frac{\langle e_A, e_B\rangle}{\lVert e_A\rVert\,\lVert e_B\rVert}"
        if pair is None or load(pair.model).similarity == "cosine similarity"
        else r"s &= 1 - \lVert e_A - e_B\rVert"
    )
    rule = r"\text{same} &\iff s \ge t(\text{FAR})"
    if pair is None:
        return set_formula(score, rule)
    try:
        threshold = load(pair.model).calibrated().threshold_for(10.0**-strictness)
    except ValueError:  # a model without thresholds
        return set_formula(f"{score} = {pair.score:.3f}", rule)
    relation = r"\ge" if pair.score >= threshold else "<"
    return set_formula(
        f"{score} = {pair.score:.3f}", rule, rf"{pair.score:.3f} &{relation} t = {threshold:.3f}"
    )


def beside(pair: Scored | None, strictness: float) -> gr.Markdown:
    """Lay the formula out; return what a callback updates."""
    return formula(show(pair, strictness), cosine, "compare-formula")


def follow(verdict: gr.HTML, inputs: list[Any], shown: gr.Markdown) -> None:
    """Set the formula again whenever the decision changes."""
    verdict.change(show, inputs, shown, api_visibility="private", show_progress="hidden", queue=False,
                   trigger_mode="always_last")  # fmt: skip
