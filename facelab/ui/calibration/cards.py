"""The Calibration tab's HTML: what a network claims, all of them side by side, and the sum by hand."""

import html
import math

import numpy as np

from facelab.evaluation import results as run_records
from facelab.lessons.calibration import Calibration
from facelab.lessons.smoothing import Step
from facelab.metrics.calibration import Reliability

FAIR = 2.0  # standard errors of the accuracy, within which a mean claim is called kept
SHOWN = 3  # entries of a vector


def name_of(lesson: Calibration) -> str:
    """What a training did with its targets, in words."""
    return f"by heart, {_targets(lesson)}" if lesson.overfit else _targets(lesson)


def _targets(lesson: Calibration) -> str:
    if lesson.loss == "online_label_smoothing":
        return "online: learned targets"
    if lesson.loss != "softmax":
        return f"{lesson.model} ({lesson.loss})"
    return f"on, α = {lesson.label_smoothing:g}" if lesson.label_smoothing else "off: one-hot targets (α = 0)"


def names_of(lessons: list[Calibration]) -> list[str]:
    """The names of several, told apart by their files where two would be called the same."""
    names = [name_of(lesson) for lesson in lessons]
    return [
        f"{name} · {lesson.model}" if names.count(name) > 1 else name for name, lesson in zip(names, lessons)
    ]


def figures_card(lesson: Calibration, plain: Calibration, temperature: float, found: Reliability) -> str:
    """Whether it claims too much, in words; then the figures, each beside those without smoothing.

    Args:
        lesson: the network in question.
        plain: the one that it is held against, as trained.
        temperature: one of the lesson's.
        found: its reliability there.
    """
    at = lesson.nearest(temperature)
    claimed, right = float(lesson.confidence[at].mean()), lesson.accuracy()
    rows = zip(
        ("right (accuracy)", "claimed (mean confidence)", "gap in the bins (ECE)", "surprise (NLL)"),
        (right, claimed, found.ece(), float(lesson.nll[at])),
        _as_trained(plain, len(found.count)),
    )
    unsmoothed = plain.loss == "softmax" and not plain.label_smoothing
    same = not unsmoothed or (lesson is plain and lesson.temperatures[at] == 1)
    cells = "".join(_cell(name, _number(name, value), _number(name, old), same) for name, value, old in rows)
    cells += _cell("strangers (EER)", _rate(lesson.eer), _rate(plain.eer), same)
    return (
        f'<div class="fl-card" role="status"><h2>{_verdict(claimed, right, len(lesson.correct))}</h2>'
        f"<p>{len(lesson.correct):,} new photos of {lesson.identities:,} people whom it knows: it names one "
        f"person for each, claims on average to be right in {claimed:.1%}{_at(lesson.temperatures[at])}, and "
        f"is right in {right:.1%}.</p>"
        f'<div class="fl-figures">{cells}</div>'
        f'<p class="fl-small">ECE: how far claim and truth lie apart in a bin, on average over the photos. '
        f"NLL: the mean of −ln of the probability that it gave to the right person. EER: the error rate of "
        f"“same person or not?” on {lesson.strangers} people whom it never saw; it rests on the vectors "
        f"before the softmax, so no temperature changes it.</p></div>"
    )


def _at(temperature: float) -> str:
    return "" if temperature == 1 else f" (at temperature {temperature:.2f})"


def _as_trained(lesson: Calibration, bins: int) -> tuple[float, ...]:
    at = lesson.nearest(1.0)
    claimed, ece = float(lesson.confidence[at].mean()), lesson.reliability(1.0, bins).ece()
    return lesson.accuracy(), claimed, ece, float(lesson.nll[at])


def _verdict(claimed: float, right: float, photos: int) -> str:
    if abs(claimed - right) < FAIR * math.sqrt(right * (1 - right) / photos):
        return f"✔ On average it claims what it keeps, as far as {photos:,} photos can tell"
    return "▲ Too sure: it claims too much" if claimed > right else "▼ Too modest: it claims too little"


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if "NLL" in name else f"{value:.1%}"


def _rate(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _cell(name: str, value: str, plain: str, same: bool) -> str:
    beside = "" if same else f'<br><span class="fl-small">off, T = 1: {plain}</span>'
    return f"<div><b>{value}</b>{name}{beside}</div>"


def trainings_card(lessons: list[Calibration], chosen: str, bins: int) -> str:
    """One row a training, as trained and at its own fitted temperature."""
    rows = "".join(
        _row(lesson, name, lesson.model == chosen, bins) for lesson, name in zip(lessons, names_of(lessons))
    )
    heads = (
        "smoothing",
        "right",
        "claimed",
        "ECE",
        "NLL",
        "fitted T",
        "ECE at that T",
        "EER, strangers",
        "EER, LFW",
    )
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="fl-card"><h3>Every training side by side, as trained (T = 1)</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Every training’s figures'>"
        f"<table class='fl-table'><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="fl-small">▶ is the one shown above. One network each, trained once on the same photos: '
        f"small differences are chance. Strangers: people of the same archives whom training never saw. "
        f"LFW: its 6,000 pairs (view 2); – where nobody measured it. The two EERs need not agree.</p></div>"
    )


def lfw_eer(model: str) -> float:
    """Return a model's equal error rate on LFW's 6,000 pairs; NaN where it was not measured."""
    if model not in run_records.names():
        return math.nan
    return run_records.header(model).metrics.get("lfw_view2", {}).get("eer", math.nan)


def _row(lesson: Calibration, name: str, chosen: bool, bins: int) -> str:
    right, claimed, ece, nll = _as_trained(lesson, bins)
    mended = lesson.reliability(lesson.fitted, bins).ece()
    figures = (
        f"{right:.1%}", f"{claimed:.1%}", f"{ece:.1%}", f"{nll:.3f}", f"{lesson.fitted:.2f}", f"{mended:.1%}",
        _rate(lesson.eer), _rate(lfw_eer(lesson.model)),
    )  # fmt: skip
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return f'<tr><th scope="row">{"▶ " if chosen else ""}{html.escape(name)}</th>{cells}</tr>'


def hand_card(logits: list[float], label_smoothing: float, now: Step, best: float) -> str:
    """Target, probabilities, loss and gradient of one photo, and where the loss is lowest."""
    lines = (
        ("logits, z", _vector(logits, "{:g}")),
        ("target, y = (1−α)·onehot + α/K", _vector(now.target)),
        ("probabilities, p = softmax(z)", _vector(now.probabilities)),
        ("loss, −Σ y·ln p", f"{now.loss:.4f}"),
        ("gradient by the logits, p − y", _vector(now.gradient, "{:+.4f}")),
        ("best gap, ln((1−α+α/K) / (α/K))", f"{best:.3f}" if math.isfinite(best) else "∞"),
    )
    rows = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in lines)
    return (
        f'<div class="fl-card" role="status"><h3>{_advice(now, best)}</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='The sum, line by line'>"
        f"<table class='fl-table'><tbody>{rows}</tbody></table></div></div>"
    )


def _advice(now: Step, best: float) -> str:
    """Which way the next step of training goes."""
    slope = float(now.gradient[0])
    if abs(slope) < 5e-4 and math.isfinite(best):
        return "✔ p = y: the gradient is zero, and training leaves this photo alone"
    if slope > 0:
        return "◀ Surer than asked: the next step brings the logits together"
    if math.isfinite(best):
        return "▶ Less sure than asked: the next step drives the logits apart"
    return "▶ A one-hot target: every step drives the logits further apart, for ever"


def _vector(values: list[float] | np.ndarray, form: str = "{:.4f}") -> str:
    """[0.9333, 0.0333, 0.0333], or the first three of more."""
    shown = [form.format(round(float(value), 4) + 0.0).replace("-", "−") for value in values[:SHOWN]]
    return f"[{', '.join(shown)}{', …' if len(values) > SHOWN else ''}]"
