"""The Train tab's prediction, on a recorded run, and its formula: cross-entropy, and its value at first."""

import math

import gradio as gr

from facelab.lessons.live.course import Snapshot
from facelab.lessons.live.settings import code_of
from facelab.ui.train.settings import Planned
from facelab.ui.widgets.formula import formula, set_formula
from facelab.ui.widgets.prediction import predict


def prediction(last: Snapshot) -> None:
    """Ask whether the EER falls as far as the loss did in a recorded run."""
    eers = [found["eer"] for _, found in last.figures if "eer" in found]
    if len(eers) < 2:
        return
    best = min(range(len(eers)), key=eers.__getitem__)
    predict(
        "train",
        f"In the recorded run the loss falls from {last.losses[0]:.2f} to {last.losses[-1]:.2f}. Is the EER "
        "on unseen identities lowest after the last epoch?",
        ("Yes", "No"),
        int(best != len(eers) - 1),
        f"EER after each epoch: {', '.join(f'{eer:.1%}' for eer in eers)}. The loss is of training photos, "
        "the EER of identities that training never sees.",
    )


def show(plan: Planned | None) -> str:
    """Return the loss in symbols, and its value at the beginning if all classes are equally probable."""
    cross_entropy = r"L &= -\ln\frac{e^{z_y}}{\sum_{k=1}^{K} e^{z_k}}"
    if plan is None:
        return set_formula(cross_entropy)
    if plan.recipe.loss != "softmax":
        return set_formula(
            cross_entropy, rf"&\text{{softmax; {plan.recipe.loss} has its picture in the Losses tab}}"
        )
    classes = plan.classes
    return set_formula(
        cross_entropy,
        rf"L_0 &\approx \ln K = \ln {classes} = {math.log(classes):.2f}\ \text{{(all classes equal)}}",
    )


def beside(plan: Planned | None) -> gr.Markdown:
    """Lay the formula out; return what a callback updates."""
    return formula(show(plan), code_of("softmax"), "train-formula")
