"""Arrays to plotly figures: what a score means, drawn.

Colours are Okabe and Ito's, told apart by colour-blind readers; every mark also differs in dash, shape or
label. Backgrounds and text stay unset: the page's chart component takes them from its light or dark theme.
"""

import numpy as np
import plotly.graph_objects as go

from facelab.compare import Verdict
from facelab.metrics.operating import OperatingPoints

GENUINE, IMPOSTOR, SCORE = "#0072B2", "#D55E00", "#009E73"


def score_histogram(points: OperatingPoints, verdict: Verdict, similarity: str) -> go.Figure:
    """Genuine and impostor scores of the calibration set, with this pair's score and the threshold in place.

    Args:
        points: of the embedder that made the score.
        verdict: gives score and threshold.
        similarity: the score's name, for the axis.
    """
    edges = np.array(points.edges)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    for name, share, colour, pattern in (
        ("two people", points.impostor, IMPOSTOR, "/"),
        ("one person", points.genuine, GENUINE, ""),
    ):
        figure.add_bar(
            x=middles,
            y=np.array(share) * 100,
            width=np.diff(edges),
            name=name,
            marker={
                "color": colour,
                "opacity": 0.65,
                "line": {"width": 0},
                "pattern": {"shape": pattern, "size": 5},
            },
            hovertemplate=f"score %{{x:.2f}}: %{{y:.2f}} % of the pairs of {name}<extra></extra>",
        )
    _mark(figure, verdict.threshold, 1.0, "threshold", "#888888", "dash")
    _mark(figure, verdict.score, 1.09, "this pair", SCORE, "solid")
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        margin={"l": 48, "r": 24, "t": 72, "b": 44},
        height=340,
        legend={"orientation": "h", "y": 1.3, "x": 0},
        xaxis={"title": {"text": similarity}, "zeroline": False},
        yaxis={"title": {"text": "% of pairs"}, "rangemode": "tozero", "zeroline": False},
        uirevision="keep",
    )
    return figure


def _mark(figure: go.Figure, x: float, height: float, text: str, colour: str, dash: str) -> None:
    """A vertical line over the whole plot with its label above, `height` in plot heights."""
    figure.add_shape(
        type="line",
        x0=x,
        x1=x,
        y0=0,
        y1=height,
        yref="paper",
        line={"color": colour, "width": 3, "dash": dash},
    )
    figure.add_annotation(
        x=x, y=height, yref="paper", yanchor="bottom", text=f"{text} {x:.2f}", showarrow=False
    )
