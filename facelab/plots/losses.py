"""Plot losses: margins against the angle, triplets on the circle, collapse, pairs by score.

A slider redraws these figures many times a second, and the checks of a `go.Figure` take longer than all the
mathematics; so the figures are plain data, converted to plotly's JSON directly. Each line differs from its
neighbors by dash or shape as well as by color.
"""

from typing import Any

import numpy as np
import plotly.io as pio

from facelab.lessons.loss_curves import KINDS, Curves, OneTriplet, PairGradients
from facelab.lessons.triplet_collapse import PEOPLE, STEPS, CollapseState
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, SCORE

NAMES = {"norm_softmax": "softmax", "a_softmax": "A-Softmax", "cosface": "CosFace", "arcface": "ArcFace"}
LINES = {
    "norm_softmax": {"color": "#888888", "dash": "dot", "width": 3},
    "a_softmax": {"color": "#009E73", "dash": "dashdot", "width": 3},
    "cosface": {"color": "#D55E00", "dash": "dash", "width": 3},
    "arcface": {"color": "#0072B2", "dash": "solid", "width": 3},
}
CLASSES = ("#0072B2", "#E69F00", "#CC79A7")
PATTERNS, SYMBOLS = ("", "/", "."), ("circle", "square", "diamond", "cross", "x", "star")
SIX = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
RINGS = dict(zip(NAMES, (0.4, 0.58, 0.76, 0.94)))  # inner radius of each loss's ring
KIND_LINES = {
    "easy": {"color": "#888888", "dash": "dot", "width": 4},
    "semi-hard": {"color": "#E69F00", "dash": "5px,3px", "width": 7},
    "hard": {"color": "#D55E00", "dash": "solid", "width": 9},
}
KIND_SYMBOLS = ("triangle-up-open", "triangle-up", "x")
TRACK = 0.07  # between the tracks of two identities
ARROW = 0.3  # of a unit of gradient, in radii


def _figure(data: list[dict[str, Any]], layout: dict[str, Any]) -> str:
    common = {"uirevision": "keep", "legend": LEGEND, "margin": {"l": 56, "r": 16, "t": 64, "b": 44}}
    return pio.to_json({"data": data, "layout": common | layout}, validate=False)


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "zeroline": False, "automargin": True} | more


def margin_curves(degrees: np.ndarray, curves: dict[str, Curves]) -> str:
    """Plot the target logit above and the gradient magnitude below, both against the angle."""
    data: list[dict[str, Any]] = []
    for name, curve in curves.items():
        line = {"type": "scatter", "mode": "lines", "x": degrees, "line": LINES[name], "name": NAMES[name]}
        hover = f"{NAMES[name]} at %{{x}}°: %{{y:.2f}}<extra></extra>"
        data.append(line | {"y": curve.target.round(4), "yaxis": "y2", "hovertemplate": hover})
        data.append(line | {"y": curve.gradient.round(4), "showlegend": False, "hovertemplate": hover})
    layout = {
        "height": 520,
        "xaxis": _axis("angle θ_y to W_y, °", range=[0, 180], dtick=30, anchor="y"),
        "yaxis2": _axis("target logit", domain=[0.54, 1]),
        "yaxis": _axis("gradient magnitude", domain=[0, 0.44], rangemode="tozero"),
    }
    return _figure(data, layout)


def decision_regions(owners: dict[str, np.ndarray], prototypes: np.ndarray, degrees: np.ndarray) -> str:
    """Plot one ring per loss, from softmax inside to ArcFace outside; gaps stay empty."""
    data: list[dict[str, Any]] = []
    for c in range(len(prototypes)):
        arcs = [(name, *arc) for name, owner in owners.items() for arc in _arcs(owner == c, degrees)]
        data.append(
            {
                "type": "barpolar",
                "name": f"class {c + 1}",
                "base": [RINGS[name] for name, _, _ in arcs],
                "r": [0.14] * len(arcs),
                "theta": [(start + end) / 2 for _, start, end in arcs],
                "width": [end - start for _, start, end in arcs],
                "text": [NAMES[name] for name, _, _ in arcs],
                "marker": {"color": CLASSES[c], "pattern": {"shape": PATTERNS[c], "size": 6}},
                "hovertemplate": f"%{{text}}: class {c + 1}<extra></extra>",
            }
        )
        data.append(
            {
                "type": "scatterpolar",
                "mode": "lines+markers+text",
                "r": [0, 1.14],
                "theta": [prototypes[c]] * 2,
                "text": ["", f"<b>{c + 1}</b>"],
                "textposition": "top center",
                "line": {"color": CLASSES[c], "width": 2},
                "marker": {"size": [0, 9], "symbol": "arrow", "angleref": "previous"},
                "showlegend": False,
                "hoverinfo": "skip",
            }
        )
    hidden = {"visible": False, "range": [0, 1.3]}
    polar = {"bgcolor": "rgba(0,0,0,0)", "radialaxis": hidden, "angularaxis": {"visible": False}}
    return _figure(data, {"height": 430, "polar": polar, "margin": {"l": 8, "r": 8, "t": 44, "b": 8}})


def _arcs(held: np.ndarray, degrees: np.ndarray) -> list[tuple[float, float]]:
    """Return (start, end) of every run of True around the whole circle, in degrees."""
    if held.all():
        return [(0.0, 360.0)]
    starts = degrees[held & ~np.roll(held, 1)]
    ends = degrees[held & ~np.roll(held, -1)]
    if len(starts) and ends[0] < starts[0]:  # a run goes through 0°
        ends = np.append(ends[1:], ends[0] + 360)
    return list(zip(starts.tolist(), ends.tolist()))


def best_probabilities(scales: np.ndarray, curves: dict[int, np.ndarray], scale: float, best: float) -> str:
    """Plot the maximum attainable probability against s, one line per K, and the current setting."""
    dashes = ("dot", "dash", "dashdot", "solid")
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": scales,
            "y": y.round(5),
            "name": f"{classes:,} classes",
            "line": {"color": SIX[i], "dash": dashes[i], "width": 3},
        }
        for i, (classes, y) in enumerate(curves.items())
    ]
    marker = {"symbol": "diamond", "size": 15, "color": IMPOSTOR, "line": {"width": 1}}
    here = {"type": "scatter", "mode": "markers", "x": [scale], "y": [best], "marker": marker}
    data.append(here | {"name": "current setting"})
    layout = {
        "height": 330,
        "xaxis": _axis("scale s", range=[0, 66]),
        "yaxis": _axis("maximum attainable probability", range=[-0.03, 1.05]),
    }
    return _figure(data, layout)


def triplet_circle(
    degrees: list[float],
    triplet: OneTriplet,
    ring: np.ndarray,
    cloud: np.ndarray,
    same: np.ndarray,
    kinds: np.ndarray,
) -> str:
    """Plot the circle with one triplet, the zones of its negative, and other photos.

    Args:
        degrees: angles of anchor, positive and negative, where the page places its handles.
        triplet: result of `one_triplet`.
        ring: (N,) kind of a negative at N even steps around the circle.
        cloud: (K, 2) other photos on the circle.
        same: (K,) whether they have the identity of the anchor.
        kinds: (K,) their kind as the negative of this anchor and positive.
    """
    points = np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], 1)
    data = []
    around = np.linspace(0, 2 * np.pi, len(ring) + 1)
    track = 1.2 * np.stack([np.cos(around), np.sin(around)], 1)
    ring = np.append(ring, ring[0])
    for kind, name in enumerate(KINDS):
        there = (ring == kind) | (np.roll(ring, 1) == kind)
        zone = np.where(there[:, None], track, np.nan)
        data.append(_line(zone, KIND_LINES[name], f"{name} negative"))
    for end, color, dash in ((1, GENUINE, "solid"), (2, IMPOSTOR, "dash")):
        data.append(_line(points[[0, end]], {"color": color, "dash": dash, "width": 3}, None))
    data.append(_photos(cloud[same], "same identity", "circle", GENUINE))
    others = [KIND_SYMBOLS[kind] for kind in kinds[~same]]
    data.append(_photos(cloud[~same], "different identity", others, IMPOSTOR))
    axis = {"visible": False, "range": [-1.27, 1.27], "fixedrange": True}
    layout = {
        "height": 480,
        "xaxis": axis,
        "yaxis": axis | {"scaleanchor": "x"},
        "dragmode": False,
        "margin": {"l": 4, "r": 4, "t": 84, "b": 4},
        "meta": {"degrees": degrees},
        "shapes": [_ring(1.0)],
        "annotations": [_arrow(*pair) for pair in zip(points, -triplet.gradient) if pair[1].any()],
    }
    return _figure(data, layout)


def _ring(radius: float) -> dict[str, Any]:
    """Return a thin circle around the origin."""
    ends = {"x0": -radius, "x1": radius, "y0": -radius, "y1": radius}
    return {"type": "circle", "layer": "below", "line": {"color": "rgba(136,136,136,.45)", "width": 1}} | ends


def _line(points: np.ndarray, line: dict[str, Any], name: str | None) -> dict[str, Any]:
    shown = {"name": name or "", "showlegend": name is not None, "hoverinfo": "skip", "connectgaps": False}
    x, y = points.T
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line} | shown


def _photos(points: np.ndarray, name: str, symbol: str | list[str], color: str) -> dict[str, Any]:
    marker = {"symbol": symbol, "size": 12, "color": color, "opacity": 0.85}
    x, y = points.T
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "name": name, "marker": marker} | {
        "hoverinfo": "skip"
    }


def _arrow(tail: np.ndarray, push: np.ndarray) -> dict[str, Any]:
    """Return an arrow from a point along its gradient-descent step."""
    head = tail + ARROW * push
    ends = {"x": head[0], "y": head[1], "ax": tail[0], "ay": tail[1]}
    refs = {"xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": ""}
    return ends | refs | {"showarrow": True, "arrowwidth": 4, "arrowhead": 2, "arrowcolor": SCORE}


def collapse_course(moment: CollapseState, margin: float) -> str:
    """Plot loss and margin above, mean squared distance below, against the steps."""
    steps = np.arange(1, len(moment.losses) + 1)
    line = {"type": "scatter", "mode": "lines", "x": steps}
    data = [
        line | {"y": moment.losses, "yaxis": "y2", "name": "loss", "line": {"color": GENUINE, "width": 3}},
        line | {"x": [1, STEPS], "y": [margin, margin], "yaxis": "y2", "name": "margin"}
        | {"line": {"color": IMPOSTOR, "dash": "dash", "width": 3}},
        line | {"y": moment.spreads, "name": "mean squared distance"}
        | {"line": {"color": SCORE, "dash": "dashdot", "width": 3}},
    ]  # fmt: skip
    layout = {
        "height": 420,
        "xaxis": _axis("training step", range=[0, STEPS], anchor="y"),
        "yaxis2": _axis("loss", domain=[0.55, 1], rangemode="tozero"),
        "yaxis": _axis("mean squared distance", domain=[0, 0.43], range=[-0.05, 2.1]),
    }
    return _figure(data, layout)


def collapse_map(moment: CollapseState) -> str:
    """Plot the 48 embeddings as directions; each identity has its own track, so none is hidden."""
    data = []
    for person in range(PEOPLE):
        x, y = ((TRACK * person + 0.82) * moment.embeddings[moment.labels == person]).numpy().round(4).T
        marker = {"symbol": SYMBOLS[person], "size": 9, "color": SIX[person], "opacity": 0.85}
        data.append(
            {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker}
            | {"name": f"{person + 1}", "hovertemplate": f"identity {person + 1}<extra></extra>"}
        )
    axis = {"visible": False, "range": [-1.25, 1.25], "fixedrange": True}
    layout = {"xaxis": axis, "yaxis": axis | {"scaleanchor": "x"}, "dragmode": False, "height": 420}
    layout["shapes"] = [_ring(TRACK * person + 0.82) for person in range(PEOPLE)]
    return _figure(data, layout | {"margin": {"l": 4, "r": 4, "t": 44, "b": 4}})


def pair_scores(
    genuine: np.ndarray,
    impostor: np.ndarray,
    contrastive: PairGradients,
    pairwise: PairGradients,
    threshold: float,
) -> str:
    """Plot histograms of the scores; below them the gradient of each loss by score."""
    edges = np.linspace(-1, 1, 51)
    data: list[dict[str, Any]] = []
    for name, scores, color, shape in (
        ("impostor pairs", impostor, IMPOSTOR, "/"),
        ("genuine pairs", genuine, GENUINE, ""),
    ):
        share = np.histogram(scores, edges)[0] / len(scores) * 100
        marker = {"color": color, "opacity": 0.65, "pattern": {"shape": shape, "size": 5}}
        bars = {"type": "bar", "x": (edges[:-1] + edges[1:]) / 2, "y": share, "name": name, "yaxis": "y3"}
        data.append(bars | {"marker": marker, "hovertemplate": "%{y:.1f}% of pairs<extra></extra>"})
    for axis, weighed in (("y2", contrastive), ("y", pairwise)):
        for scores, push, color, dash in (
            (genuine, weighed.genuine, GENUINE, "solid"),
            (impostor, weighed.impostor, IMPOSTOR, "dash"),
        ):
            line = {"type": "scatter", "mode": "lines", "x": scores[::4], "y": push[::4], "yaxis": axis}
            data.append(line | {"line": {"color": color, "dash": dash, "width": 3}, "showlegend": False})
    mark = {"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper"}
    layout = {
        "height": 560,
        "barmode": "overlay",
        "bargap": 0,
        "shapes": [mark | {"line": {"color": "#888888", "dash": "dot", "width": 2}}],
        "xaxis": _axis("score (cosine)", range=[-1, 1], anchor="y"),
        "yaxis3": _axis("% of pairs", domain=[0.66, 1]),
        "yaxis2": _axis("contrastive", domain=[0.34, 0.6], range=[-2.2, 1.3]),
        "yaxis": _axis("pairwise", domain=[0, 0.28], range=[-1.15, 1.15]),
    }
    return _figure(data, layout)
