"""Plot transfer learning: held-out accuracy against training photos per identity."""

import numpy as np
import plotly.graph_objects as go

from facelab.lessons.transfer import Outcome
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, MARGIN

GRAY = "#888888"
LOOKS = {  # color: from where; dash and shape: what is trained
    "scratch": (GRAY, "dot", "x"),
    "faces, whole": (GENUINE, "solid", "circle"),
    "faces, to stage3": (GENUINE, "dashdot", "circle-dot"),
    "faces, frozen": (GENUINE, "dash", "circle-open"),
    "ImageNet, whole": (IMPOSTOR, "solid", "diamond"),
    "ImageNet, frozen": (IMPOSTOR, "dash", "diamond-open"),
}


def transfer_curves(outcomes: list[Outcome], people: int) -> go.Figure:
    """Plot a line per initialization: mean over seeds, bars from worst to best seed; and the chance level.

    Args:
        outcomes: the runs, of any starts, numbers of photos and seeds.
        people: K; the chance level is 1/K.
    """
    shots = sorted({one.shots for one in outcomes})
    lines = [_line(outcomes, name) for name in LOOKS if any(one.start == name for one in outcomes)]
    chance = {
        "x": [shots[0], shots[-1]],
        "y": [100 / people] * 2,
        "mode": "lines",
        "name": f"chance level, {1 / people:.1%}",
        "line": {"color": GRAY, "width": 1, "dash": "longdash"},
        "hoverinfo": "skip",
    }
    layout = {
        "height": 440,
        "margin": MARGIN | {"l": 56, "t": 96},
        "legend": LEGEND,
        "uirevision": "keep",
        "xaxis": {"title": {"text": "training photos per identity"}, "tickvals": shots},
        "yaxis": {"title": {"text": "held-out top-1 accuracy, %"}, "range": [0, 103], "zeroline": False},
    }
    return go.Figure([*lines, chance], layout)


def summary(outcomes: list[Outcome], start: str) -> dict[int, tuple[float, float, float]]:
    """Return {photos per identity: (mean, worst, best) accuracy over seeds} of one initialization."""
    found: dict[int, list[float]] = {}
    for one in outcomes:
        if one.start == start:
            found.setdefault(one.shots, []).append(one.accuracy)
    return {shots: (float(np.mean(a)), min(a), max(a)) for shots, a in sorted(found.items())}


def _line(outcomes: list[Outcome], start: str) -> dict[str, object]:
    points = summary(outcomes, start)
    mean, worst, best = 100 * np.array(list(points.values())).T
    color, dash, symbol = LOOKS[start]
    return {
        "x": list(points),
        "y": mean,
        "mode": "lines+markers",
        "name": start,
        "line": {"color": color, "dash": dash, "width": 3},
        "marker": {"symbol": symbol, "size": 11, "color": color},
        "cliponaxis": False,
        "error_y": {"type": "data", "symmetric": False, "array": best - mean, "arrayminus": mean - worst},
        "hovertemplate": f"{start}, %{{x}} photos: %{{y:.1f}}%<extra></extra>",
    }
