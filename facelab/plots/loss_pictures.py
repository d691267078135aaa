"""Plot losses on their simplest picture: center loss in the plane, a margin on the sphere.

As in `plots.losses`, figures are plain data, turned into plotly's JSON directly.
"""

from typing import Any

import numpy as np
import plotly.io as pio

from facelab.lessons.center_pull import Pulled
from facelab.lessons.loss_curves import NO_CLASS
from facelab.plots.losses import CLASSES, SYMBOLS
from facelab.plots.style import LEGEND, SCORE

GAP = "#BBBBBB"
TURN = {"eye": {"x": 1.1, "y": 1.1, "z": 0.9}}
EMPTY = {"visible": False, "showbackground": False, "showspikes": False}


def center_figure(state: Pulled, limit: float) -> str:
    """Plot embeddings, class centers (stars), class weights (rays), and the pull to the centers (arrows).

    Args:
        state: the plane.
        limit: how far both axes reach.
    """
    data: list[dict[str, Any]] = []
    for c, (center, weight) in enumerate(zip(state.centers, state.weights)):
        x, y = state.embeddings[state.labels == c].T
        look = {"color": CLASSES[c], "symbol": SYMBOLS[c], "size": 9, "opacity": 0.8}
        hover = {"marker": look, "hovertemplate": f"class {c + 1}<extra></extra>"}
        data.append(_scatter("markers", x, y, f"class {c + 1}") | hover)
        ray = limit * weight / np.linalg.norm(weight)
        line = {"line": {"color": CLASSES[c], "width": 1.5, "dash": "dot"}, "showlegend": False}
        data.append(_scatter("lines", [0, ray[0]], [0, ray[1]], "class weight") | line)
        star = {"color": CLASSES[c], "symbol": "star", "size": 18, "line": {"width": 1.5, "color": "#000000"}}
        center = _scatter("markers", [center[0]], [center[1]], "class centers")
        data.append(center | {"marker": star, "showlegend": c == 0})
    axis = {"range": [-limit, limit], "zeroline": True, "zerolinecolor": "#888888"}
    arrows = [_arrow(*pair) for pair in zip(state.embeddings, state.pull) if np.abs(pair[1]).max() > 0.02]
    layout = {"height": 430, "xaxis": axis, "yaxis": axis | {"scaleanchor": "x"}, "annotations": arrows}
    return _json(data, layout | {"margin": {"l": 36, "r": 8, "t": 44, "b": 32}, "hovermode": "closest"})


def _scatter(mode: str, x: Any, y: Any, name: str) -> dict[str, Any]:
    return {"type": "scatter", "mode": mode, "x": x, "y": y, "name": name, "hoverinfo": "skip"}


def _arrow(tail: np.ndarray, step: np.ndarray) -> dict[str, Any]:
    head = tail + step
    ends = {"x": head[0], "y": head[1], "ax": tail[0], "ay": tail[1]}
    refs = {"xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "", "showarrow": True}
    return ends | refs | {"arrowwidth": 1.5, "arrowhead": 2, "arrowsize": 0.8, "arrowcolor": SCORE}


def sphere_figure(owner: np.ndarray, grid: np.ndarray, prototypes: np.ndarray, name: str) -> str:
    """Plot the unit sphere, each direction in the color of the class whose margin it satisfies; turn it.

    Args:
        owner: (R, C) class of each direction, NO_CLASS in the gaps, which are gray.
        grid: (R, C, 3) directions.
        prototypes: (P, 3) class weight vectors.
        name: of the loss.
    """
    colors = [GAP, *CLASSES[: len(prototypes)]]
    steps = np.repeat(np.linspace(0, 1, len(colors) + 1), 2)[1:-1]
    scale = [[float(at), colors[i // 2]] for i, at in enumerate(steps)]
    x, y, z = grid.transpose(2, 0, 1).round(4)
    surface = {
        "type": "surface", "x": x, "y": y, "z": z, "surfacecolor": owner - NO_CLASS, "colorscale": scale,
        "cmin": -0.5, "cmax": len(prototypes) + 0.5, "showscale": False, "hoverinfo": "skip", "name": name,
        "lighting": {"ambient": 0.85, "diffuse": 0.3, "specular": 0.05},
    }  # fmt: skip
    tips = 1.18 * prototypes
    labels = {
        "type": "scatter3d", "mode": "markers+text", "x": tips[:, 0], "y": tips[:, 1], "z": tips[:, 2],
        "text": [f"W{c + 1}" for c in range(len(tips))], "marker": {"color": colors[1:], "size": 7},
        "showlegend": False, "hoverinfo": "skip",
    }  # fmt: skip
    scene = {"xaxis": EMPTY, "yaxis": EMPTY, "zaxis": EMPTY, "aspectmode": "data", "camera": TURN}
    layout = {
        "height": 360,
        "scene": scene | {"uirevision": "keep"},
        "margin": {"l": 0, "r": 0, "t": 8, "b": 0},
    }
    return _json([surface, labels], layout)


def _json(data: list[dict[str, Any]], layout: dict[str, Any]) -> str:
    return pio.to_json(
        {"data": data, "layout": {"uirevision": "keep", "legend": LEGEND} | layout}, validate=False
    )
