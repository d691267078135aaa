"""Plot calibration: reliability, confidence histogram, temperature, optimal gap, learned soft labels.

Each figure is passed to plotly in one piece, which takes a third of the time of several calls: sliders wait
for these.
"""

import numpy as np
import plotly.graph_objects as go

from facelab.metrics.calibration import Reliability
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, MARGIN, SCORE

GRAY = "#888888"
CLAIM = {"title": {"text": "confidence, %"}, "range": [-1, 101], "zeroline": False}
SHARE = {  # with room above for the numbers of photos
    "title": {"text": "accuracy, %"},
    "range": [0, 114],
    "tickvals": list(range(0, 101, 20)),
    "zeroline": False,
}

Part = dict[str, object]


def reliability_diagram(
    found: Reliability, ghost: Reliability | None = None, ghost_name: str = ""
) -> go.Figure:
    """Plot the accuracy of each bin, its difference to the mean confidence hatched, and its photo count.

    A calibrated network lies on the diagonal. Empty bins are marked with a cross.

    Args:
        found: of the network shown.
        ghost: of the one that it is compared with, a gray line behind; None for none.
        ghost_name: for the legend.
    """
    middles, width = _bins(found)
    right = {
        "type": "bar",
        "x": middles,
        "y": found.accuracy * 100,
        "width": width,
        "marker": {"color": GENUINE, "opacity": 0.55, "line": {"width": 0}},
        "name": "accuracy",
        "customdata": np.stack([found.confidence * 100, found.count], 1),
        "hovertemplate": "%{customdata[1]} photos: confidence %{customdata[0]:.1f}%, accuracy %{y:.1f}%"
        "<extra></extra>",
    }
    over, under = found.confidence > found.accuracy, found.confidence < found.accuracy
    empty = middles[found.count == 0]
    crosses = {
        "x": empty,
        "y": np.full(len(empty), 2.5),
        "mode": "markers",
        "name": "empty bin",
        "marker": {"symbol": "x-thin-open", "size": 8, "color": GRAY, "line": {"width": 2}},
        "hovertemplate": "no photo<extra></extra>",
    }
    return _figure(
        [
            right,
            _gaps(found, over, "overconfident", IMPOSTOR, "/"),
            _gaps(found, under, "underconfident", SCORE, "\\"),
            crosses,
            _counts(middles, found.count),
            *([_ghost(ghost, ghost_name)] if ghost else []),
        ],
        400,
        CLAIM,
        SHARE,
        shapes=[_line(0, 100, 0, 100, GRAY, "dash")],
    )


def _bins(found: Reliability) -> tuple[np.ndarray, float]:
    """Return the centers of the bins, and the width of a bar, in percent."""
    return (found.edges[:-1] + found.edges[1:]) * 50, 94 / len(found.count)


def _gaps(found: Reliability, shown: np.ndarray, name: str, color: str, pattern: str) -> Part:
    """Return hatched bars between mean confidence and accuracy, for some of the bins."""
    middles, width = _bins(found)
    true, claimed = found.accuracy[shown] * 100, found.confidence[shown] * 100
    hatch = {"shape": pattern, "size": 6, "fgcolor": color}
    return {
        "type": "bar",
        "x": middles[shown],
        "base": np.minimum(true, claimed),
        "y": np.abs(claimed - true),
        "width": width,
        "name": name,
        "marker": {"color": "rgba(0,0,0,0)", "line": {"width": 2, "color": color}, "pattern": hatch},
        "hoverinfo": "skip",
    }


def _ghost(found: Reliability, name: str) -> Part:
    """Return another network's accuracy over its mean confidence, where it has photos."""
    some = found.count > 0
    return {
        "x": found.confidence[some] * 100,
        "y": found.accuracy[some] * 100,
        "mode": "lines+markers",
        "name": name,
        "line": {"color": GRAY, "width": 2, "dash": "dot"},
        "marker": {"symbol": "diamond-open", "size": 8, "color": GRAY, "line": {"width": 2}},
        "customdata": found.count[some],
        "hovertemplate": f"{name}: %{{customdata}} photos, confidence %{{x:.1f}}%, accuracy %{{y:.1f}}%"
        "<extra></extra>",
    }


def _counts(middles: np.ndarray, count: np.ndarray) -> Part:
    """Return the number of photos above each bin, in two alternating rows, to fit on a phone."""
    return {
        "x": middles,
        "y": np.where(np.arange(len(middles)) % 2, 106, 100),
        "mode": "text",
        "text": [f"{n}" for n in count],
        "textposition": "top center",
        "textfont": {"size": 11},
        "name": "photos in the bin",
        "hoverinfo": "skip",
    }


def confidence_histogram(found: Reliability, accuracy: float, confidence: float) -> go.Figure:
    """Plot the share of photos in each bin, with accuracy and mean confidence, both in [0, 1]."""
    middles, width = _bins(found)
    share = {
        "type": "bar",
        "x": middles,
        "y": 100 * found.count / found.count.sum(),
        "width": width,
        "marker": {"color": GENUINE, "opacity": 0.65, "line": {"width": 0}},
        "customdata": found.count,
        "hovertemplate": "%{customdata} photos, %{y:.1f}%<extra></extra>",
        "showlegend": False,
    }
    low, high = sorted((accuracy, confidence))  # labels point away from each other, and stay inside a phone
    sides = {high: "left" if high < 0.7 else "right", low: "right" if low > 0.3 else "left"}
    first, second = sides[accuracy], sides[confidence]
    marks = [
        _mark(100 * accuracy, 1.02, f"accuracy {accuracy:.1%}", SCORE, "solid", first),
        _mark(100 * confidence, 1.12, f"confidence {confidence:.1%}", IMPOSTOR, "dash", second),
    ]
    figure = _figure([share], 400, CLAIM, _from_zero("% of the photos"), marks)
    figure.layout.margin.l = 64  # where a label may end that belongs far left
    return figure


def temperature_curve(
    temperatures: np.ndarray, ece: np.ndarray, nll: np.ndarray, fitted: float, current: int
) -> go.Figure:
    """Plot ECE and NLL against the temperature, three times (T,), and mark the fitted and current T."""
    parts = []
    for name, values, axis, color, dash, symbol in (
        ("ECE", ece * 100, "y", IMPOSTOR, "solid", "circle"),
        ("NLL", nll, "y2", GENUINE, "dot", "diamond"),
    ):
        now = temperatures[current], values[current]
        hover = f"T %{{x:.2f}}: {name} %{{y:.2f}}<extra></extra>"
        parts += _curve(name, temperatures, values, now, color, dash, symbol, hover, axis)
    x = {"title": {"text": "temperature T"}, "zeroline": False}
    right = {"title": {"text": "NLL, nats"}, "overlaying": "y", "side": "right", "tickmode": "auto"}
    marks = [_mark(fitted, 1.0, f"fitted T {fitted:.2f}", SCORE, "dash")]
    figure = _figure(parts, 300, x, _from_zero("ECE, %"), marks)
    figure.layout.yaxis2 = right | {"showgrid": False, "zeroline": False, "automargin": True}
    return figure


def gap_curves(
    one_hot: np.ndarray, smoothed: np.ndarray, gap: float, losses: tuple[float, float], best: float
) -> go.Figure:
    """Plot the loss against the gap between logits, for both targets.

    Args:
        one_hot, smoothed: (2, P) gaps and losses.
        gap: the current gap.
        losses: losses of both at that gap.
        best: gap at the minimum of the smoothed loss; infinite for a one-hot target.
    """
    parts = []
    for name, curve, loss, color, dash, symbol in (
        ("one-hot target", one_hot, losses[0], IMPOSTOR, "dot", "diamond"),
        ("smoothed target", smoothed, losses[1], GENUINE, "solid", "circle"),
    ):
        hover = f"{name}: gap %{{x:.2f}}, loss %{{y:.4f}}<extra></extra>"
        parts += _curve(name, *curve, (gap, loss), color, dash, symbol, hover, "y")
    marks = [_mark(best, 1.0, f"optimal gap {best:.3f}", SCORE, "dash")] if np.isfinite(best) else []
    x = {"title": {"text": "gap: target logit − other logits"}, "zeroline": False}
    return _figure(parts, 340, x, _from_zero("loss, nats"), marks)


def similarity_map(similarity: np.ndarray) -> go.Figure:
    """Plot a part (M, M) of learned soft labels in percent; the diagonal, the share of the same class, is
    blank.
    """
    names = [f"class {i + 1}" for i in range(len(similarity))]
    others = np.where(np.eye(len(similarity), dtype=bool), np.nan, similarity * 100)
    heat = {
        "type": "heatmap",
        "z": others,
        "text": [[f"{share:.0f}" if share >= 1 else "" for share in row] for row in others],
        "x": names,
        "y": names,
        "colorscale": "Cividis",
        "texttemplate": "%{text}",
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": {"text": "%"}, "thickness": 12},
        "hovertemplate": "target of %{y}: %{z:.2f}% %{x}<extra></extra>",
    }
    axis = {"automargin": True, "showgrid": False, "zeroline": False}
    figure = _figure([heat], 480, axis | {"tickangle": -90}, axis | {"autorange": "reversed"})
    figure.layout.margin.t = 12
    return figure


def _curve(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    now: tuple[float, float],
    color: str,
    dash: str,
    symbol: str,
    hover: str,
    axis: str,
) -> list[Part]:
    """Return a line, and a marker at its current point."""
    line = {"color": color, "width": 3, "dash": dash}
    marker = {"symbol": symbol, "size": 15, "color": color}
    shared = {"yaxis": axis, "hovertemplate": hover}
    return [
        {"x": x, "y": y, "mode": "lines", "name": name, "line": line} | shared,
        {"x": [now[0]], "y": [now[1]], "mode": "markers", "marker": marker, "showlegend": False} | shared,
    ]


def _mark(
    x: float, height: float, text: str, color: str, dash: str, side: str = "center"
) -> tuple[Part, Part]:
    """Return a vertical line with its label above; `height` is in plot heights."""
    label = {"x": x, "y": height, "yref": "paper", "yanchor": "bottom", "text": text, "showarrow": False}
    return _line(x, x, 0, height, color, dash) | {"yref": "paper"}, label | {"xanchor": side}


def _line(x0: float, x1: float, y0: float, y1: float, color: str, dash: str) -> Part:
    line = {"color": color, "width": 3, "dash": dash}
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": line}


def _from_zero(title: str) -> Part:
    return {"title": {"text": title}, "rangemode": "tozero", "zeroline": False, "automargin": True}


def _figure(
    parts: list[Part],
    height: int,
    x: Part,
    y: Part,
    marks: list[tuple[Part, Part]] | None = None,
    shapes: list[Part] | None = None,
) -> go.Figure:
    """Return parts on two axes, with room for labels above the plot; zoom survives an update."""
    layout = {
        "barmode": "overlay",
        "margin": MARGIN | {"t": 84},
        "height": height,
        "legend": LEGEND | {"y": 1.13},
        "xaxis": x,
        "yaxis": y,
        "uirevision": "keep",
        "shapes": [*(shapes or []), *(line for line, _ in marks or [])],
        "annotations": [label for _, label in marks or []],
    }
    return go.Figure(parts, layout)
