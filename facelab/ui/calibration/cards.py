"""Build the Calibration tab's HTML: confidence against accuracy, all trainings, the worked example."""

import html
import math
from collections.abc import Iterable

import numpy as np

from facelab.evaluation import results as run_records
from facelab.lessons.calibration import Calibration
from facelab.lessons.smoothing import Step
from facelab.metrics.calibration import Reliability
from facelab.ui.calibration.grid import name_of
from facelab.ui.widgets.terms import with_terms

FAIR = 2.0  # standard errors of the accuracy, within which mean confidence and accuracy count as equal
FIGURES = (
    "top-1 accuracy",
    "mean confidence",
    "ECE",
    "NLL",
    "verification EER, unseen identities",
    "EER, LFW",
)
LFW = "lfw_view1"  # view 1's 1,000 test pairs: choosing a training by them leaves view 2 unseen
SHOWN = 3  # entries of a vector


def figures_card(
    lesson: Calibration, ghost: Calibration | None, temperature: float, found: Reliability
) -> str:
    """Return whether the network is overconfident, and its figures beside those of another training.

    Args:
        lesson: the network.
        ghost: the training that it is compared with, at T = 1, if any.
        temperature: one of the lesson's.
        found: its reliability there.
    """
    at = lesson.nearest(temperature)
    claimed, right = float(lesson.confidence[at].mean()), lesson.accuracy()
    bins = len(found.count)
    values = (*_shares((right, claimed, found.ece())), f"{lesson.nll[at]:.3f}", *_eers(lesson))
    former = _as_trained(ghost, bins) if ghost else [""] * len(FIGURES)
    cells = "".join(map(_cell, FIGURES, values, former))
    beside = f"Gray: {html.escape(name_of(ghost))}, as trained (T = 1). " if ghost else ""
    return (
        f'<div class="fl-card" role="status"><h2>{_verdict(claimed, right, len(lesson.correct))}</h2>'
        f"<p><b>{html.escape(name_of(lesson))}</b>{_at(lesson.temperatures[at])}: {len(lesson.correct):,} "
        f"held-out photos, {lesson.identities:,} classes: mean confidence {claimed:.1%}, accuracy "
        f"{right:.1%}.</p>"
        f'<div class="fl-figures">{cells}</div>'
        f'<p class="fl-small">{beside}ECE: mean absolute difference of accuracy and confidence per bin, '
        f"weighted by bin size. NLL: mean −ln p of the right class. EER: verification error on "
        f"{lesson.strangers} unseen identities of the same archive, and on LFW’s 1,000 test pairs of view 1 "
        f"(standard error about 1.3 points); it uses the embeddings, before the softmax, so no temperature "
        f"changes it.</p></div>"
    )


def _at(temperature: float) -> str:
    return "" if temperature == 1 else f" (at T = {temperature:.2f})"


def _as_trained(lesson: Calibration, bins: int) -> list[str]:
    """Return the figures of a training at T = 1."""
    at = lesson.nearest(1.0)
    claimed, ece = float(lesson.confidence[at].mean()), lesson.reliability(1.0, bins).ece()
    return [*_shares((lesson.accuracy(), claimed, ece)), f"{lesson.nll[at]:.3f}", *_eers(lesson)]


def _eers(lesson: Calibration) -> tuple[str, str]:
    """Return the EER on unseen identities of the same archive, and on LFW."""
    return _rate(lesson.eer), _rate(lfw_eer(lesson.model))


def _shares(values: Iterable[float]) -> list[str]:
    return [f"{value:.1%}" for value in values]


def _verdict(claimed: float, right: float, photos: int) -> str:
    if abs(claimed - right) < FAIR * math.sqrt(right * (1 - right) / photos):
        return (
            f"✔ No significant over- or underconfidence on average (n = {photos:,}; bins may still deviate)"
        )
    return "▲ Overconfident on average" if claimed > right else "▼ Underconfident on average"


def _rate(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _cell(name: str, value: str, former: str) -> str:
    beside = f'<br><span class="fl-small">{former}</span>' if former else ""
    return f"<div><b>{value}</b>{with_terms(name)}{beside}</div>"


def trainings_card(lessons: list[Calibration], chosen: str, bins: int) -> str:
    """Return a table of all trainings: as trained, and at the fitted temperature."""
    rows = "".join(_row(lesson, lesson.model == chosen, bins) for lesson in lessons)
    heads = ("recipe, label smoothing", "accuracy", "mean confidence", "ECE", "NLL", "EER, unseen identities",
             "EER, LFW", "fitted T", "ECE at fitted T")  # fmt: skip
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="fl-card"><h3>All trainings, as trained (T = 1)</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Figures of all trainings'>"
        f"<table class='fl-table'><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="fl-small">▶ is shown above. One network and one seed each, trained on the same photos: '
        f"small differences may be chance. Unseen identities: of the same archive. LFW: 1,000 test pairs of "
        f"view 1; – where not measured. The two EERs may disagree.</p></div>"
    )


def lfw_eer(model: str) -> float:
    """Return a model's equal error rate on the 1,000 test pairs of LFW view 1; NaN if not measured."""
    if model not in run_records.names():
        return math.nan
    return run_records.header(model).metrics.get(LFW, {}).get("eer", math.nan)


def _row(lesson: Calibration, chosen: bool, bins: int) -> str:
    mended = lesson.reliability(lesson.fitted, bins).ece()
    figures = [*_as_trained(lesson, bins), f"{lesson.fitted:.2f}", f"{mended:.1%}"]
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return f'<tr><th scope="row">{"▶ " if chosen else ""}{html.escape(name_of(lesson))}</th>{cells}</tr>'


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
    """Format a vector: [0.9333, 0.0333, 0.0333], or the first three of more."""
    shown = [form.format(round(float(value), 4) + 0.0).replace("-", "−") for value in values[:SHOWN]]
    return f"[{', '.join(shown)}{', …' if len(values) > SHOWN else ''}]"
