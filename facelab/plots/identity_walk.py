"""Plot the scores of a walk between two identities, against the threshold."""

import plotly.io as pio

from facelab.lessons.identity_walk import Walk
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, SCORE


def walk_figure(way: Walk, threshold: float, step: int) -> str:
    """Plot the score with A and with B against the share of the way.

    Args:
        way: the scores.
        threshold: smallest score that is accepted.
        step: index of the face that is shown, a vertical line.
    """
    percent = (100 * way.share).tolist()
    lines = [
        {"type": "scatter", "mode": "lines+markers", "x": percent, "y": scores.tolist(), "name": name,
         "line": {"color": color, "width": 3, "dash": dash}, "marker": {"symbol": symbol, "size": 7},
         "hovertemplate": f"{name}, %{{x:.0f}}% of the way: %{{y:.3f}}<extra></extra>"}
        for name, scores, color, dash, symbol in (
            ("score with A", way.a, GENUINE, "solid", "circle"),
            ("score with B", way.b, IMPOSTOR, "dash", "diamond"),
        )
    ]  # fmt: skip
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold,
         "line": {"color": "#888888", "width": 2, "dash": "dash"}},
        {"type": "line", "x0": percent[step], "x1": percent[step], "yref": "paper", "y0": 0, "y1": 1,
         "line": {"color": SCORE, "width": 3}},
    ]  # fmt: skip
    label = {"x": 0, "xref": "paper", "xanchor": "left", "y": threshold, "yanchor": "bottom",
             "text": f"threshold {threshold:.3f}", "showarrow": False}  # fmt: skip
    layout = {
        "height": 320, "uirevision": "keep", "legend": LEGEND, "margin": {"l": 56, "r": 16, "t": 40, "b": 44},
        "xaxis": {"title": {"text": "share of the way from A to B, %"}, "zeroline": False},
        "yaxis": {"title": {"text": "cosine similarity"}, "range": [0, 1.02], "zeroline": False},
        "shapes": shapes, "annotations": [label],
    }  # fmt: skip
    return pio.to_json({"data": lines, "layout": layout}, validate=False)
