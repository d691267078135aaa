"""Build the Calibration tab's HTML: confidence against accuracy, all trainings, the worked example."""

import html
import math

import numpy as np

from facelab.evaluation import results as run_records
from facelab.lessons.calibration import Calibration
from facelab.lessons.smoothing import Step
from facelab.metrics.calibration import Reliability
from facelab.ui.widgets.terms import with_terms

FAIR = 2.0  # standard errors of the accuracy, within which mean confidence and accuracy count as equal
SHOWN = 3  # entries of a vector


def name_of(lesson: Calibration) -> str:
    """Return the label of a training: its recipe and its targets."""
    return f"overfit, {_targets(lesson)}" if lesson.overfit else _targets(lesson)


def _targets(lesson: Calibration) -> str:
    if lesson.loss == "online_label_smoothing":
        return "online label smoothing"
    if lesson.loss != "softmax":
        return f"{lesson.model} ({lesson.loss})"
    return f"α = {lesson.label_smoothing:g}" if lesson.label_smoothing else "α = 0 (one-hot)"


def names_of(lessons: list[Calibration]) -> list[str]:
    """Return the labels of several trainings, with the file name where two would be equal."""
    names = [name_of(lesson) for lesson in lessons]
    return [
        f"{name} · {lesson.model}" if names.count(name) > 1 else name for name, lesson in zip(names, lessons)
    ]


def figures_card(lesson: Calibration, plain: Calibration, temperature: float, found: Reliability) -> str:
    """Return whether the network is overconfident, and its figures beside those without smoothing.

    Args:
        lesson: the network.
        plain: the network that it is compared with, as trained.
        temperature: one of the lesson's.
        found: its reliability there.
    """
    at = lesson.nearest(temperature)
    claimed, right = float(lesson.confidence[at].mean()), lesson.accuracy()
    rows = zip(
        ("top-1 accuracy", "mean confidence", "ECE", "NLL"),
        (right, claimed, found.ece(), float(lesson.nll[at])),
        _as_trained(plain, len(found.count)),
    )
    unsmoothed = plain.loss == "softmax" and not plain.label_smoothing
    same = not unsmoothed or (lesson is plain and lesson.temperatures[at] == 1)
    cells = "".join(_cell(name, _number(name, value), _number(name, old), same) for name, value, old in rows)
    cells += _cell("verification EER, unseen identities", _rate(lesson.eer), _rate(plain.eer), same)
    return (
        f'<div class="fl-card" role="status"><h2>{_verdict(claimed, right, len(lesson.correct))}</h2>'
        f"<p>{len(lesson.correct):,} held-out photos, {lesson.identities:,} classes: mean confidence "
        f"{claimed:.1%}{_at(lesson.temperatures[at])}, accuracy {right:.1%}.</p>"
        f'<div class="fl-figures">{cells}</div>'
        f'<p class="fl-small">ECE: mean absolute difference of accuracy and confidence per bin, weighted by '
        f"bin size. NLL: mean −ln p of the right class. EER: verification error on {lesson.strangers} unseen "
        f"identities. It uses the embeddings, before the softmax, so no temperature changes it.</p></div>"
    )


def _at(temperature: float) -> str:
    return "" if temperature == 1 else f" (at T = {temperature:.2f})"


def _as_trained(lesson: Calibration, bins: int) -> tuple[float, ...]:
    at = lesson.nearest(1.0)
    claimed, ece = float(lesson.confidence[at].mean()), lesson.reliability(1.0, bins).ece()
    return lesson.accuracy(), claimed, ece, float(lesson.nll[at])


def _verdict(claimed: float, right: float, photos: int) -> str:
    if abs(claimed - right) < FAIR * math.sqrt(right * (1 - right) / photos):
        return (
            f"✔ No significant over- or underconfidence on average (n = {photos:,}; bins may still deviate)"
        )
    return "▲ Overconfident on average" if claimed > right else "▼ Underconfident on average"


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if "NLL" in name else f"{value:.1%}"


def _rate(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _cell(name: str, value: str, plain: str, same: bool) -> str:
    beside = "" if same else f'<br><span class="fl-small">α = 0, T = 1: {plain}</span>'
    return f"<div><b>{value}</b>{with_terms(name)}{beside}</div>"


def trainings_card(lessons: list[Calibration], chosen: str, bins: int) -> str:
    """Return a table of all trainings: as trained, and at the fitted temperature."""
    rows = "".join(
        _row(lesson, name, lesson.model == chosen, bins) for lesson, name in zip(lessons, names_of(lessons))
    )
    heads = (
        "label smoothing",
        "accuracy",
        "mean confidence",
        "ECE",
        "NLL",
        "fitted T",
        "ECE at fitted T",
        "EER, unseen identities",
        "EER, LFW",
    )
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="fl-card"><h3>All trainings, as trained (T = 1)</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Figures of all trainings'>"
        f"<table class='fl-table'><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="fl-small">▶ is shown above. One network and one seed each, trained on the same photos: '
        f"small differences may be chance. Unseen identities: of the same archives. LFW: its 6,000 pairs "
        f"(view 2); – where not measured. The two EERs may disagree.</p></div>"
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
    """Return target, probabilities, loss and gradient of one photo, and the optimal gap."""
    lines = (
        ("logits, z", _vector(logits, "{:g}")),
        ("target, y = (1−α)·onehot + α/K", _vector(now.target)),
        ("probabilities, p = softmax(z)", _vector(now.probabilities)),
        ("loss, −Σ y·ln p", f"{now.loss:.4f}"),
        ("gradient ∂loss/∂z = p − y", _vector(now.gradient, "{:+.4f}")),
        ("optimal gap, ln((1−α+α/K) / (α/K))", f"{best:.3f}" if math.isfinite(best) else "∞"),
    )
    rows = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in lines)
    return (
        f'<div class="fl-card" role="status"><h3>{_advice(now, best)}</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Worked example, line by line'>"
        f"<table class='fl-table'><tbody>{rows}</tbody></table></div></div>"
    )


def _advice(now: Step, best: float) -> str:
    """Return the direction of the next training step."""
    slope = float(now.gradient[0])
    if abs(slope) < 5e-4 and math.isfinite(best):
        return "✔ p = y: the gradient is zero"
    if slope > 0:
        return "◀ p₁ > y₁: the next step narrows the gap"
    if math.isfinite(best):
        return "▶ p₁ < y₁: the next step widens the gap"
    return "▶ One-hot target: the gradient never vanishes, so logits keep growing"


def _vector(values: list[float] | np.ndarray, form: str = "{:.4f}") -> str:
    """[0.9333, 0.0333, 0.0333], or the first three of more."""
    shown = [form.format(round(float(value), 4) + 0.0).replace("-", "−") for value in values[:SHOWN]]
    return f"[{', '.join(shown)}{', …' if len(values) > SHOWN else ''}]"
