"""Faults of a run that does learn: rules of the training doctor, in the form of `doctor_failures`."""

import math

import numpy as np

from facelab.evaluation.doctor_failures import Found, class_loss, pair_loss, peak_rate
from facelab.evaluation.run_log import FEWEST, RunLog

CHECKS = 5  # epochs with a validation that a trend needs
HELD_OUT = ("val_loss", "val_accuracy", "eer")


def no_validation(log: RunLog) -> Found:
    """Find a run that nothing was held out from."""
    if log.settings.measured or any(len(log.curve(name)) for name in HELD_OUT):
        return None
    accuracy, loss = log.curve("accuracy"), log.curve("loss")
    if max(len(accuracy), len(loss)) < FEWEST:
        return None
    level = accuracy.level()
    seen = (
        f"training loss is {loss.level():.4g}" if math.isnan(level) else f"training accuracy is {level:.1%}"
    )
    steps = max(curve.at[-1] for curve in (accuracy, loss) if len(curve))
    return (
        "Nothing was validated",
        f"After {steps:g} steps {seen}, and 0 figures are of held-out images.",
        "Hold out identities (held_out 0.08) or images (held_out_images 0.1), or judge the checkpoint with "
        "`python -m facelab evaluate`.",
    )


def chance_validation(log: RunLog) -> Found:
    """Find validation at chance while training succeeds."""
    accuracy, classes = log.curve("accuracy").level(), log.settings.classes
    if not accuracy >= 0.5 or (classes and accuracy < 10 / classes):
        return None
    eer, held_out = log.curve("eer").level(fewest=3), log.curve("val_accuracy").level(fewest=3)
    if eer >= 0.42:
        saw = f"an EER of {eer:.1%} on held-out identities, where chance level is 50%"
    elif classes and held_out <= 2 / classes:
        saw = f"{held_out:.1%} on held-out images, where chance level is {1 / classes:.1%}"
    else:
        return None
    return (
        "Validation is at chance",
        f"Training accuracy is {accuracy:.1%}, against {saw}.",
        "Check that validation reads the right labels in the order of the training classes, prepares images "
        "as "
        "training does, and runs in eval mode.",
    )


def label_noise(log: RunLog) -> Found:
    """Find labels that are memorized: held-out accuracy falls while training accuracy rises
    (arXiv:1706.05394), or held-out images are predicted worse than at chance level.

    Too few images can have the same curves, so the remedy says how to tell the causes apart.
    """
    saw = _peak(log) or _worse_than_chance(log)
    if not saw:
        return None
    return (
        "Labels are memorized, as wrong ones are",
        saw,
        f"{_confident_errors('Curves cannot tell wrong labels from too few images')} Keep the weights of the "
        "step with the best held-out figure.",
    )


def _confident_errors(reason: str) -> str:
    """Return the check that tells wrong labels from too few images."""
    return (
        f"{reason}: look at the held-out images that the network assigns to another class with the highest "
        "confidence. If their labels are wrong, correct them (`python -m facelab data info` names photos "
        "under two identities) or add label smoothing; if they are right, add images, augmentation, dropout "
        "or weight decay."
    )


def _peak(log: RunLog) -> str:
    """Return what shows that held-out accuracy fell while training accuracy rose; else empty."""
    held_out, accuracy = log.curve("val_accuracy"), log.curve("accuracy")
    if len(held_out) < CHECKS or len(accuracy) < FEWEST:
        return ""
    smooth = held_out.smooth()
    best, level = int(smooth.argmax()), held_out.level(0.2, CHECKS)
    at = held_out.at[best]
    before = float(np.interp(at, accuracy.at, accuracy.smooth()))
    after = accuracy.level(0.2)
    if level > 0.85 * smooth[best] or after < before + 0.2:
        return ""
    fell = f"fell from {smooth[best]:.1%} at step {at:g} to {level:.1%}"
    rose = f"rose from {before:.1%} to {after:.1%}"
    return f"Accuracy on held-out images {fell}, while training accuracy {rose}."


def _worse_than_chance(log: RunLog) -> str:
    """Return what shows that the network is sure of images that it learned, and wrongly so of others."""
    classes, loss, gap = log.settings.classes, log.curve("val_loss"), _gap(log)
    level = loss.level(0.2, CHECKS)
    if not gap or not classes or not len(class_loss(log)) or not level > math.log(classes):
        return ""
    guess = f"ln({classes}) = {math.log(classes):.4g} of chance level"
    return f"{gap[:-1]}, where the loss is {level:.4g}, above {guess}."


def overfitting(log: RunLog) -> Found:
    """Find a held-out figure that is far from training's, or worsens while the training loss falls."""
    if label_noise(log):
        return None
    gap = _gap(log)
    saw = gap or _rise(log, "val_loss", 0.0) or _rise(log, "eer", 0.1)
    remedy = "Add images, augmentation, dropout or weight decay, or train fewer epochs."
    if gap:
        remedy = _confident_errors("Wrong labels can have the same curves")
    return ("The run overfits", saw, remedy) if saw else None


def _gap(log: RunLog) -> str:
    """Return what shows that training images are learned one by one; else empty."""
    accuracy, held_out = log.curve("accuracy").level(0.2), log.curve("val_accuracy").level(0.2, CHECKS)
    if not (accuracy >= 0.95 and held_out <= accuracy - 0.25):
        return ""
    return f"Training accuracy is {accuracy:.1%}, on held-out images of the same people {held_out:.1%}."


def _rise(log: RunLog, name: str, least: float) -> str:
    """Return what shows that a held-out loss or EER rose by a fifth, and by at least so much; else empty."""
    curve, loss = log.curve(name), log.curve("loss")
    if len(curve) < CHECKS or len(loss) < FEWEST:
        return ""
    smooth, level = curve.smooth(), curve.level(0.2, CHECKS)
    best = int(smooth.argmin())
    before, after = float(np.interp(curve.at[best], loss.at, loss.smooth())), loss.level(0.2)
    if level - smooth[best] <= max(least, 0.2 * smooth[best]) or after >= 0.9 * before:
        return ""
    words = "EER on held-out identities" if name == "eer" else "loss on held-out images"
    rose = f"The {words} rose from {smooth[best]:.4g} at step {curve.at[best]:g} to {level:.4g}"
    return f"{rose}, while the training loss fell from {before:.4g} to {after:.4g}."


def no_active_pairs(log: RunLog) -> Found:
    """Find a pair loss that is zero while verification is not solved."""
    name, loss = pair_loss(log)
    tail, eer, margin = loss.tail(), log.curve("eer").level(fewest=3), log.settings.pair_margin
    if not len(tail) or eer < 0.02 or not margin:
        return None
    share = float(np.mean(tail <= 0.001 * margin))
    if share < 0.5:
        return None
    also = "" if math.isnan(eer) else f", and the EER is still {eer:.1%}"
    return (
        "No pair is left to learn from",
        f"The {name} loss is zero in {share:.0%} of the last third of the steps (at most "
        f"{tail.max():.2g}){also}.",
        f"Raise the margin from {margin:g}, mine semi-hard or hard triplets, or put more identities into a "
        "batch.",
    )


def decayed_too_early(log: RunLog) -> Found:
    """Find a learning rate that vanished long before the end."""
    rate, loss, peak = log.curve("lr"), log.curve("loss"), peak_rate(log)
    if len(rate) < FEWEST or len(loss) < FEWEST or not peak > 0:
        return None
    alive = np.flatnonzero(rate.values > 0.01 * peak)
    end = rate.at[alive[-1]]
    share = (rate.at[-1] - end) / max(1e-9, rate.at[-1] - rate.at[0])
    if share < 0.4 or log.curve("accuracy").level() > 0.9:
        return None
    after = loss.values[loss.at > end]
    half = len(after) // 2
    if half < 2:
        return None
    was, became = float(np.median(after[:half])), float(np.median(after[half:]))
    if was - became > 0.05 * abs(was):
        return None
    return (
        "The learning rate decays too early",
        f"It is below 1% of its peak of {peak:.3g} in the last {share:.0%} of the steps, in which the loss "
        "went "
        f"from {was:.4g} to {became:.4g}.",
        "Set the milestones to shares such as 0.5 and 0.75, or use the cosine schedule.",
    )


def cut_short(log: RunLog) -> Found:
    """Find a run that ended while its loss still fell at a high learning rate."""
    rate, loss, peak = log.curve("lr"), class_loss(log), peak_rate(log)
    if len(rate) < FEWEST or len(loss) < 2 * FEWEST or not rate.level(0.1, 1) >= 0.5 * peak:
        return None
    last, two = loss.level(), loss.tail(2 / 3)
    before = float(np.median(two[: len(two) // 2]))
    if before - last < 0.1 * before:
        return None
    return (
        "The run ended too early",
        f"From the second third of the run to the last the loss fell from {before:.4g} to {last:.4g}, at "
        f"{rate.level(0.1, 1) / peak:.0%} "
        "of the peak learning rate.",
        "Train more epochs, and let the learning rate fall to zero at their end (schedule cosine).",
    )


QUALITY = (
    no_validation, chance_validation, label_noise, overfitting, no_active_pairs, decayed_too_early, cut_short,
)  # fmt: skip
