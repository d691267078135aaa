"""Plot a run: loss and accuracy of its steps, EER on unseen identities, and their embeddings.

The figures are redrawn twice a second, so they are plain data, converted to plotly's JSON directly. A long
run is thinned to the resolution of a screen.
"""

from typing import Any

import numpy as np
import plotly.io as pio

from facelab.lessons.live.course import Map, Snapshot
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, SCORE

POINTS = 400  # of a line; a screen shows no more
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#888888", "#B8A000")
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "star", "triangle-up", "hexagon")
SMOOTH = 0.9  # of the loss before, in the bold line


def training_course(snapshot: Snapshot, closed: bool = False) -> str:
    """Plot the loss of every step above, training accuracy and held-out EER or accuracy below, in percent.

    Args:
        snapshot: the run.
        closed: show top-1 accuracy on held-out photos, not the EER on held-out identities.
    """
    steps = np.arange(1, len(snapshot.losses) + 1)
    shown = np.unique(np.linspace(0, len(steps) - 1, min(POINTS, len(steps))).astype(int))
    losses, accuracies = np.array(snapshot.losses), 100 * np.array(snapshot.accuracies)
    name, held = ("top-1 accuracy, held-out photos", "top_1") if closed else ("EER, unseen identities", "eer")
    at = [step for step, found in snapshot.figures if held in found]
    percent = [100 * found[held] for _, found in snapshot.figures if held in found]
    line = {"type": "scatter", "mode": "lines", "x": steps[shown]}
    faint = {"color": "#56B4E9", "width": 1}
    data = [
        line | {"y": losses[shown], "yaxis": "y2", "name": "loss of a step", "line": faint, "opacity": 0.7},
        line | {"y": _smooth(losses)[shown], "yaxis": "y2", "name": "loss, smoothed"}
        | {"line": {"color": GENUINE, "width": 3}},
        line | {"y": accuracies[shown], "name": "training accuracy"}
        | {"line": {"color": SCORE, "dash": "dot", "width": 3}},
        {"type": "scatter", "mode": "lines+markers", "x": at, "y": percent, "name": name,
         "line": {"color": IMPOSTOR, "dash": "dash", "width": 3},
         "marker": {"symbol": "diamond", "size": 11}, "cliponaxis": False},
    ]  # fmt: skip
    layout = {
        "height": 430,
        "xaxis": _axis("training step", range=[0, max(2, snapshot.steps)], anchor="y"),
        "yaxis2": _axis("loss", domain=[0.56, 1], rangemode="tozero"),
        "yaxis": _axis("%", domain=[0, 0.44], range=[-3, 103]),
    }
    return _figure(data, layout)


def _smooth(losses: np.ndarray) -> np.ndarray:
    """Return an exponential moving average, a plain mean at first."""
    out, mean = np.empty(len(losses)), 0.0
    for i, loss in enumerate(losses):
        keep = min(SMOOTH, i / (i + 1))
        mean = out[i] = keep * mean + (1 - keep) * loss
    return out


def people_map(found: Map) -> str:
    """Plot a data point per photo of the unseen identities; color and shape give the identity."""
    data: list[dict[str, Any]] = []
    for person in np.unique(found.labels).tolist():
        x, y = found.coordinates[found.labels == person].T.round(4)
        marker = {"symbol": SYMBOLS[person], "size": 9, "color": COLORS[person], "opacity": 0.85}
        data.append(
            {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, "name": f"{person + 1}"}
            | {"hovertemplate": f"unseen identity {person + 1}<extra></extra>"}
        )
    axis = {"showticklabels": False, "zeroline": False, "range": [-1.1, 1.1]}
    layout = {"height": 430, "xaxis": axis, "yaxis": axis | {"scaleanchor": "x"}}
    return _figure(data, layout | {"margin": {"l": 8, "r": 8, "t": 64, "b": 8}})


def _figure(data: list[dict[str, Any]], layout: dict[str, Any]) -> str:
    common = {"uirevision": "keep", "legend": LEGEND, "margin": {"l": 56, "r": 16, "t": 64, "b": 44}}
    return pio.to_json({"data": data, "layout": common | layout}, validate=False)


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "zeroline": False, "automargin": True} | more
