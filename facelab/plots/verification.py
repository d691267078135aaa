"""Plot verification on many pairs: ROC, DET and the scores of one run or of two."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from facelab.metrics.verification import Roc
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, MARGIN

POINTS = 400  # of a line; a screen shows no more
LOOKS = ((GENUINE, "solid"), (IMPOSTOR, "dash"))
LOWEST = 1e-4  # of the axes, where the data do not set a higher bound


def error_curves(runs: Mapping[str, Roc], det: bool = False) -> go.Figure:
    """Plot TAR against FAR (ROC), or FRR against FAR (DET), on logarithmic axes of the rates near 0.

    Args:
        runs: curves by name, two at most.
        det: whether to plot the DET.
    """
    figure = go.Figure()
    least = min((curve.far[curve.far > 0].min() for curve in runs.values()), default=LOWEST)
    low = float(np.log10(max(LOWEST, least)))
    for (name, curve), (color, dash) in zip(runs.items(), LOOKS):
        shown = thinned(curve)
        rates = curve.frr if det else curve.tar
        figure.add_scatter(
            x=100 * np.maximum(curve.far[shown], 10**low),
            y=100 * (np.maximum(rates[shown], 10**low) if det else rates[shown]),
            mode="lines",
            name=name,
            line={"color": color, "dash": dash, "width": 3},
            hovertemplate=f"FAR %{{x:.3g}}%, {'FRR' if det else 'TAR'} %{{y:.3g}}%<extra>{name}</extra>",
        )
    up = {"type": "log", "range": [low + 2, 2]} if det else {"range": [-2, 102]}
    figure.update_layout(
        margin=MARGIN,
        height=360,
        legend=LEGEND,
        xaxis={"title": {"text": "FAR (%)"}, "type": "log", "range": [low + 2, 2], "zeroline": False},
        yaxis={"title": {"text": f"{'FRR' if det else 'TAR'} (%)"}, "automargin": True, "zeroline": False}
        | up,
        showlegend=len(runs) > 1,
        uirevision="keep",
    )
    return figure


def thinned(curve: Roc) -> np.ndarray:
    """Return indices of at most about 800 points: evenly by rank, and evenly in log FAR."""
    count = len(curve.far)
    if count <= POINTS:
        return np.arange(count)
    even = np.linspace(0, count - 1, POINTS).astype(int)
    rates = np.geomspace(max(curve.far[1], LOWEST / 10), 1, POINTS)
    return np.unique(np.concatenate([even, np.searchsorted(curve.far, rates).clip(0, count - 1)]))


def score_shares(edges: np.ndarray, genuine: np.ndarray, impostor: np.ndarray) -> go.Figure:
    """Plot the shares of genuine and impostor pairs in each bin of the score."""
    figure = go.Figure()
    for name, share, color, pattern in (
        ("impostor pairs", impostor, IMPOSTOR, "/"),
        ("genuine pairs", genuine, GENUINE, ""),
    ):
        marker = {"color": color, "opacity": 0.65, "line": {"width": 0}}
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * share,
            width=np.diff(edges),
            name=name,
            marker=marker | {"pattern": {"shape": pattern, "size": 5}},
            hovertemplate=f"score %{{x:.2f}}: %{{y:.2f}}% of {name}<extra></extra>",
        )
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        margin=MARGIN,
        height=320,
        legend=LEGEND,
        xaxis={"title": {"text": "cosine similarity"}, "zeroline": False},
        yaxis={"title": {"text": "% of pairs"}, "rangemode": "tozero", "automargin": True, "zeroline": False},
        uirevision="keep",
    )
    return figure
