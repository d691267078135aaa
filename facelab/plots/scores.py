"""Plot scores: distributions with a threshold, scores of all models, DIR against FPIR."""

import numpy as np
import plotly.graph_objects as go

from facelab.metrics.identification import DirCurve
from facelab.metrics.operating import OperatingPoints
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND, MARGIN, SCORE
from facelab.recognition.verify import Verdict


def score_histogram(points: OperatingPoints, verdict: Verdict, similarity: str) -> go.Figure:
    """Plot genuine and impostor scores of the calibration set, with this pair's score and the threshold.

    Args:
        points: operating points of the embedder.
        verdict: score and threshold.
        similarity: the score's name, for the axis.
    """
    edges = np.array(points.edges)
    middles = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    for name, share, color, pattern in (
        ("impostor pairs", points.impostor, IMPOSTOR, "/"),
        ("genuine pairs", points.genuine, GENUINE, ""),
    ):
        figure.add_bar(
            x=middles,
            y=np.array(share) * 100,
            width=np.diff(edges),
            name=name,
            marker={
                "color": color,
                "opacity": 0.65,
                "line": {"width": 0},
                "pattern": {"shape": pattern, "size": 5},
            },
            hovertemplate=f"score %{{x:.2f}}: %{{y:.2f}}% of {name}<extra></extra>",
        )
    _shade(figure, points, verdict)
    away = "left" if verdict.threshold >= verdict.score else "right"  # of the pair's line, which is longer
    _mark(figure, verdict.threshold, 1.0, "threshold", "#888888", "dash", away)
    inward = "right" if verdict.score > (edges[0] + edges[-1]) / 2 else "left"
    _mark(figure, verdict.score, 1.09, "this pair", SCORE, "solid", inward)
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        margin={"l": 48, "r": 56, "t": 72, "b": 44},
        height=340,
        legend={"orientation": "h", "y": 1.3, "x": 0},
        xaxis={"title": {"text": similarity}, "zeroline": False},
        yaxis={"title": {"text": "% of pairs"}, "rangemode": "tozero", "zeroline": False},
        uirevision="keep",
    )
    return figure


def _shade(figure: go.Figure, points: OperatingPoints, verdict: Verdict) -> None:
    """Fill the two errors of a threshold: impostor pairs from it upward, genuine pairs below it."""
    edges = np.array(points.edges)
    for name, share, color, low, high in (
        (
            f"FAR: accepted impostors, {100 * verdict.far:.2g}%",
            points.impostor,
            IMPOSTOR,
            verdict.threshold,
            np.inf,
        ),
        (f"FRR: rejected genuine, {verdict.frr:.1%}", points.genuine, GENUINE, -np.inf, verdict.threshold),
    ):
        left, right = np.maximum(edges[:-1], low), np.minimum(edges[1:], high)
        some = right > left
        figure.add_bar(
            x=((left + right) / 2)[some],
            y=np.array(share)[some] * 100,
            width=(right - left)[some],
            name=name,
            marker={"color": color, "opacity": 1, "line": {"width": 1, "color": "#000000"}},
            hoverinfo="skip",
        )


def _mark(figure: go.Figure, x: float, height: float, text: str, color: str, dash: str, side: str) -> None:
    """Draw a vertical line over the plot; `height` is in plot heights, its label begins or ends there."""
    figure.add_shape(
        type="line",
        x0=x,
        x1=x,
        y0=0,
        y1=height,
        yref="paper",
        line={"color": color, "width": 3, "dash": dash},
    )
    figure.add_annotation(
        x=x, y=height, yref="paper", xanchor=side, yanchor="bottom", text=f"{text} {x:.2f}", showarrow=False
    )


def model_scores(verdicts: list[Verdict]) -> go.Figure:
    """Plot one row per model: threshold as a bar, score as a disc (same) or a cross (different)."""
    names = [verdict.model for verdict in verdicts]
    row = 46 if len(names) <= 8 else 28  # pixels
    scores, thresholds = ([getattr(v, field) for v in verdicts] for field in ("score", "threshold"))
    line = {"type": "line", "layer": "below", "line": {"color": "#888888", "width": 2}}
    lines = [line | {"x0": v.threshold, "x1": v.score, "y0": v.model, "y1": v.model} for v in verdicts]
    figure = go.Figure()
    figure.add_scatter(
        x=thresholds,
        y=names,
        mode="markers",
        name="threshold",
        marker={"symbol": "line-ns-open", "size": 0.56 * row, "color": "#888888", "line": {"width": 4}},
        hovertemplate="%{y}: threshold %{x:.3f}<extra></extra>",
    )
    figure.add_scatter(
        x=scores,
        y=names,
        mode="markers",
        name="this pair (● same, ✖ different)",
        marker={
            "symbol": ["circle" if verdict.same else "x" for verdict in verdicts],
            "size": row / 3,
            "color": [GENUINE if verdict.same else IMPOSTOR for verdict in verdicts],
        },
        hovertemplate="%{y}: score %{x:.3f}<extra></extra>",
    )
    figure.update_layout(
        shapes=lines,  # at once: plotly checks all shapes again with each that is added
        margin=MARGIN,
        height=150 + row * len(names),
        legend=LEGEND,
        xaxis={"title": {"text": "score (scales differ by model)"}, "zeroline": False},
        yaxis={"automargin": True, "autorange": "reversed", "type": "category"},
        uirevision="keep",
    )
    return figure


def identification_curve(curve: DirCurve, far: float, rate: float) -> go.Figure:
    """Plot DIR against FPIR at every threshold, as steps, with the threshold in use at (far, rate)."""
    figure = go.Figure()
    figure.add_scatter(
        x=curve.far * 100,
        y=curve.dir * 100,
        mode="lines+markers",
        line={"color": GENUINE, "width": 3, "shape": "hv"},
        marker={"size": 6},
        name="all thresholds",
        text=[f"{threshold:.3f}" for threshold in curve.thresholds],
        hovertemplate="threshold %{text}: DIR %{y:.0f}%, FPIR %{x:.0f}%<extra></extra>",
    )
    figure.add_scatter(
        x=[far * 100],
        y=[rate * 100],
        mode="markers",
        marker={"symbol": "diamond", "size": 16, "color": IMPOSTOR},
        name="threshold in use",
        hovertemplate="in use: DIR %{y:.0f}%, FPIR %{x:.0f}%<extra></extra>",
    )
    figure.update_layout(
        margin=MARGIN,
        height=320,
        legend=LEGEND,
        xaxis={
            "title": {"text": "FPIR (%)"},
            "range": [-4, 104],
            "zeroline": False,
        },
        yaxis={
            "title": {"text": "DIR, rank 1 (%)"},
            "range": [-4, 104],
            "automargin": True,
            "zeroline": False,
        },
        uirevision="keep",
    )
    return figure
