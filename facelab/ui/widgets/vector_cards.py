"""Cards and charts of embeddings with labels: figures, the nearest identities, a map, reliability."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facelab.lessons.projection import NEIGHBORS, fit_pca, umap_map
from facelab.metrics.calibration import reliability, softmax
from facelab.metrics.closed_set import classification_report
from facelab.metrics.similarity import normalized
from facelab.plots.calibration import reliability_diagram
from facelab.plots.space import space_map
from facelab.ui.widgets import cards

MISLEADS = {  # how each projection does
    "pca": "PCA draws the two directions of largest variance; identities that differ along others overlap.",
    "umap": "UMAP preserves neighborhoods; cluster sizes and distances between clusters mean little.",
}
Interval = tuple[float, float] | None


def figures_card(title: str, report: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return EER and TAR@FAR with their intervals, and the angles, as a card.

    Args:
        title: of the card.
        report: of `judge_vectors` or `judge_pairs`, with "interval" where there is one.
        notes: sentences below.
    """
    between = report.get("interval", {})
    cells = [("equal error rate (EER)", _rate(report["eer"], between.get("eer")))]
    for far, tar in report["tar_at_far"].items():
        cells.append(
            (f"TAR at FAR {100 * float(far):g}%", _rate(tar, between.get("tar_at_far", {}).get(far)))
        )
    for kind in ("intra", "inter"):
        if f"{kind}_class_angle" in report:
            cells.append((f"{kind}-class angle", f"{report[f'{kind}_class_angle']:.1f}°"))
    said = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        f'<div class="fl-card" role="status"><h3>{html.escape(title)}</h3>{cards.figures(*cells)}'
        f'<ul class="fl-small">{said}</ul></div>'
    )


def _rate(value: float, between: Interval) -> str:
    return f"{value:.1%}" + (f" ({between[0]:.1%} to {between[1]:.1%})" if between else "")


def nearest_card(nearest: Sequence[tuple[str, str, float]]) -> str:
    """Return the pairs of identities whose centers are nearest, as a table."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(one)}</th><td>{html.escape(other)}</td><td>{angle:.1f}°</td></tr>"
        for one, other, angle in nearest
    )
    return (
        "<div class='fl-card'><h3>Nearest identities</h3><div class='fl-scroll' tabindex='0' role='region' "
        "aria-label='Nearest identities'><table class='fl-table'><thead><tr><th scope='col'>identity</th>"
        "<th scope='col'>nearest other identity</th><th scope='col'>angle of their centers</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></div>"
    )


def pca_map(title: str, embeddings: np.ndarray, labels: np.ndarray) -> Any:
    """Return the map of unit embeddings (N, D) by PCA, a data point a photo; None below three."""
    if len(embeddings) < 3:
        return None
    unit = normalized(embeddings)
    return space_map(title, fit_pca(unit, 2).project(unit), labels, None, title)


def projected_map(
    title: str, unit: np.ndarray, labels: np.ndarray, method: str, people: Sequence[str], photos: str
) -> Any:
    """Return the map of embeddings of length 1 by `pca` or `umap`, which its title names.

    Args:
        title: of the run.
        unit: (N, D), 3 to 1,500 of them.
        labels: (N,) identity, from 0.
        method: below five photos it is PCA.
        people, photos: as in `space_map`.

    Raises:
        ValueError: umap-learn is not installed.
    """
    if method == "umap" and len(unit) > 4:
        at, how = umap_map(unit, 2, min(NEIGHBORS, len(unit) - 1)), "UMAP"
    else:
        pca = fit_pca(unit, 2)
        at, how = pca.project(unit), f"PCA, {pca.share:.0%} of the variance"
    return space_map(f"{title}; {how}", at, labels, None, f"{title} {how}", people, photos)


def reliability_of(title: str, logits: np.ndarray, classes: np.ndarray) -> list[Any]:
    """Return (card, reliability diagram) of class scores.

    Args:
        title: of the card.
        logits: (N, K).
        classes: (N,) in [0, K).
    """
    probabilities = softmax(logits)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == classes
    report = classification_report(logits, classes)
    cells = (
        ("top-1 accuracy", f"{report['top_1']:.1%}"),
        ("mean confidence", f"{confidence.mean():.1%}"),
        ("ECE", f"{report['ece']:.1%}"),
        ("NLL", f"{report['nll']:.3f}"),
        ("ECE at fitted T", f"{report['ece_after_temperature']:.1%}"),
    )
    card = (
        f'<div class="fl-card" role="status"><h3>{html.escape(title)}</h3>{cards.figures(*cells)}'
        f'<p class="fl-small">{len(classes):,} held-out photos of {logits.shape[1]:,} training identities; '
        "chance level 1/K. With few photos a bin holds few, and its bar is uncertain.</p></div>"
    )
    return [card, reliability_diagram(reliability(confidence, correct))]
