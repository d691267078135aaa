"""Failures after which a run's other figures mean nothing: rules of the training doctor.

Each rule takes a `RunLog` and returns what it found, or None. It compares numbers with the number that the
failure must show, and says nothing where one of them was not logged.
"""

import math

import numpy as np

from facelab.evaluation.run_log import FEWEST, MARGIN_LOSSES, PAIR_LOSSES, Curve, RunLog

NEAR = 0.03  # relative difference of what counts as equal
MARGIN_SCALE = 32.0  # from which a margin from scratch is known to fail on little data
COLLAPSED = {"triplet": 1.0, "pairwise": 1.0, "contrastive": 0.5}  # times m, or m² for contrastive
Found = tuple[str, str, str] | None  # title, what was seen, remedy


def class_loss(log: RunLog) -> Curve:
    """Return the curve of a softmax loss without a margin; empty for others."""
    if log.settings.has((*PAIR_LOSSES, *MARGIN_LOSSES)) and "+" not in (log.settings.loss or ""):
        return Curve(np.empty(0), np.empty(0))
    if log.settings.has(MARGIN_LOSSES):
        return Curve(np.empty(0), np.empty(0))
    return log.curve("class_loss") if len(log.curve("class_loss")) else log.curve("loss")


def pair_loss(log: RunLog) -> tuple[str, Curve]:
    """Return the name and curve of a pair loss, alone or in a sum; ("", empty) without one."""
    name = next((part for part in (log.settings.loss or "").split("+") if part in PAIR_LOSSES), "")
    if name and log.settings.loss == name:
        return name, log.curve("loss")
    return name, log.curve("pair_loss")


def peak_rate(log: RunLog) -> float:
    """Return the highest learning rate; NaN where it was not logged."""
    return float(np.max(log.curve("lr").values, initial=-math.inf)) if len(log.curve("lr")) else math.nan


def at_rate(log: RunLog) -> str:
    """Return the peak learning rate as the end of a sentence; empty where it was not logged."""
    peak = peak_rate(log)
    return "" if math.isnan(peak) else f", at a peak learning rate of {peak:.3g}"


def chance(log: RunLog) -> float:
    """Return the accuracy up to which a network has learned nothing: three times chance level, or 2%."""
    return 3 / log.settings.classes if log.settings.classes else 0.02


def not_finite(log: RunLog) -> Found:
    """Find a loss that is NaN or infinite."""
    curve = log.curve("loss")
    bad = np.flatnonzero(~np.isfinite(curve.values))
    if not len(bad):
        return None
    before = curve.values[: bad[0]]
    last = f"; the last finite loss was {before[-1]:.4g}" if len(before) else ""
    return (
        "The loss is not a number",
        f"The loss is {curve.values[bad[0]]} from step {curve.at[bad[0]]:g} on{last}{at_rate(log)}.",
        "Divide the learning rate by 10, add a warm-up, clip the gradient (grad_clip 5), and look for an "
        "image "
        "or a label that is not a number.",
    )


def rate_too_high(log: RunLog) -> Found:
    """Find a loss that is above that of chance level, or above that at the beginning."""
    loss, classes = class_loss(log), log.settings.classes
    remedy = (
        "Divide the learning rate by 3 to 10, warm up over the first 10% of the steps, and clip the gradient."
    )
    level = loss.level()
    if classes and level > 1.1 * math.log(classes):
        saw = f"The loss stays at {level:.4g}, above ln({classes}) = {math.log(classes):.4g} of chance level"
        return "The learning rate is too high", f"{saw}{at_rate(log)}.", remedy
    loss = log.curve("loss")
    if len(loss) < FEWEST or (log.settings.margin_warmup and log.settings.has(MARGIN_LOSSES)):
        return None  # the loss rises with the margin
    smooth = np.array([np.median(loss.values[max(0, i - 2) : i + 3]) for i in range(len(loss))])
    best, level, start = int(smooth.argmin()), loss.level(), loss.start()
    if level > 1.5 * smooth[best] and level > 1.2 * start:
        saw = (
            f"The loss rose from {smooth[best]:.4g} at step {loss.at[best]:g} to {level:.4g}, more than the "
        )
        return "The learning rate is too high", f"{saw}{start:.4g} it began with{at_rate(log)}.", remedy
    return None


def collapse(log: RunLog) -> Found:
    """Find a pair loss at its margin, where it is when all embeddings are equal."""
    name, loss = pair_loss(log)
    margin, tail = log.settings.pair_margin, loss.tail()
    if not name or not margin or not len(tail):
        return None
    at = COLLAPSED[name] * (margin**2 if name == "contrastive" else margin)
    level = float(np.median(tail))
    if abs(level / at - 1) > NEAR or np.ptp(tail) > 4 * NEAR * at:
        return None
    what = "½m²" if name == "contrastive" else "the margin"
    eer = log.curve("eer").level()
    also = "" if math.isnan(eer) else f", and the EER is {eer:.1%}"
    return (
        "The embeddings collapse",
        f"The {name} loss stays at {level:.4g}, {what} of {at:g}: positives are as far away as "
        f"negatives{also}.",
        "Mine semi-hard or all triplets instead of hard ones, lower the learning rate, or begin from a "
        "network "
        "trained by classification (init_from).",
    )


def margin_from_scratch(log: RunLog) -> Found:
    """Find a margin loss with a large scale that learns nothing from random weights."""
    known, level = log.settings, log.curve("accuracy").level()
    if not known.has(MARGIN_LOSSES) or known.pretrained or not known.scale or known.scale < MARGIN_SCALE:
        return None
    if known.margin_warmup or not level <= chance(log):
        return None
    margin = "" if known.margin is None else f" and margin {known.margin:g}"
    return (
        f"{known.loss} does not start",
        f"Training accuracy stays at {level:.1%} with scale {known.scale:g}{margin} from random weights"
        f"{_loss_level(log)}.",
        "Let the margin grow from zero (margin_warmup, e.g. a tenth of the steps), lower the scale to 24 to "
        "32, "
        "or begin from a network trained with softmax (init_from).",
    )


def _loss_level(log: RunLog) -> str:
    level = log.curve("loss").level()
    return "" if math.isnan(level) else f"; the loss stays at {level:.4g}"


def norm_shrinkage(log: RunLog) -> Found:
    """Find embeddings that shrink to a point at the origin."""
    norm = log.curve("norm")
    start, level = norm.start(), norm.level()
    if not level < 0.1 * start:
        return None
    return (
        "The embeddings shrink",
        f"Their mean norm fell from {start:.4g} to {level:.4g}, {level / start:.1%} of its beginning.",
        "Lower the weight of the loss that pulls embeddings together (center_weight, pair_weight) or the "
        "weight "
        "decay, or compare unit vectors (normalize).",
    )


def rate_too_low(log: RunLog) -> Found:
    """Find a loss that hardly changes at a tiny learning rate."""
    loss, peak = class_loss(log), peak_rate(log)
    start, level = loss.start(), loss.level()
    lowest = 1e-6 if log.settings.optimizer == "adamw" else 1e-4
    if math.isnan(peak) or not 0.9 * start <= level <= 1.05 * start or peak > lowest:
        return None
    if log.settings.optimizer is None and peak > 1e-6:
        return None  # it may be AdamW's
    return (
        "The learning rate is too low",
        f"The loss went from {start:.4g} to {level:.4g} in {loss.at[-1]:g} steps at a peak learning rate of "
        f"{peak:.3g}.",
        "Multiply the learning rate by 10 until the loss falls in the first epoch; SGD on faces uses 0.05 to "
        "0.5, "
        "AdamW 1e-3.",
    )


def uniform(log: RunLog) -> Found:
    """Find a loss at ln(C), that of equal probabilities for C classes."""
    loss, classes = class_loss(log), log.settings.classes
    tail, level = loss.tail(), loss.level()
    if not len(tail) or not level > 0 or tail.std() > 0.05 * level:
        return None
    expected = math.log(classes) if classes else math.log(max(2, round(math.exp(min(level, 20)))))
    if abs(level / expected - 1) > NEAR or abs(loss.start() / level - 1) > 4 * NEAR:
        return None
    accuracy = log.curve("accuracy").level()
    if accuracy > chance(log):
        return None
    if not classes and math.isnan(accuracy):
        return None  # a loss that is flat elsewhere can mean other things
    also = "" if math.isnan(accuracy) else f", and training accuracy is {accuracy:.1%}"
    named = classes or round(math.exp(level))
    return (
        "The network stays at chance level",
        f"The loss stays at {level:.4g}, ln({named}) = {expected:.4g} of equal probabilities for {named} "
        "classes"
        f"{also}.",
        "Check that the images differ and belong to their labels, that the optimizer has the network's "
        "parameters, "
        "and that their learning rate is not zero; then overfit one batch on purpose.",
    )


FAILURES = (
    not_finite, collapse, margin_from_scratch, norm_shrinkage, rate_too_low, uniform, rate_too_high,
)  # fmt: skip
