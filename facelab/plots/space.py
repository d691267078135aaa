"""Plot maps of embeddings: every identity has a color and a shape, and either alone identifies it.

Traces carry a role in `meta` (`person`, `ring`, `photo`), by which the page's script links two maps. Runs
with 2-D embeddings have one frame per epoch, on axes that fit all of them.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from facelab.lessons.epochs import Epochs
from facelab.lessons.space import UMAP_VARIANTS

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
SHAPES = ("circle", "square", "diamond", "cross")  # those that plotly has in 2-D and in 3-D
OUTLINE = {"width": 0.8, "color": "#555555"}
PHOTO = {2: {"size": 9, "line": OUTLINE}, 3: {"size": 5}}  # an outline hides a cross in 3-D
RING = {"color": "#D55E00", "symbol": "circle-open", "size": 24, "line": {"width": 3}}
STAR = {
    2: {"color": "#000000", "symbol": "star", "size": 22, "line": {"width": 2.5, "color": "#FFFFFF"}},
    3: {"color": "#D55E00", "symbol": "diamond-open", "size": 14, "line": {"width": 3}},
}
BARE = {"showticklabels": False, "showgrid": False, "zeroline": False, "title": {"text": ""}}
CUBE = BARE | {"showgrid": True, "showbackground": False}
FRAME = BARE | {"showline": True, "mirror": True}
TIGHT = {"l": 8, "r": 8, "t": 8, "b": 8}


def person_style(person: int) -> tuple[str, str]:
    """Return (color, shape) of an identity, counted from 0; 32 differ."""
    return COLORS[person % 8], SHAPES[(person + person // 8) % 4]


def space_map(
    name: str,
    coordinates: np.ndarray,
    labels: np.ndarray,
    photo: np.ndarray | None,
    view: str,
    people: Sequence[str] = (),
    photos: str = "",
) -> go.Figure:
    """Plot one map.

    Args:
        name: name of the model, the title.
        coordinates: (N, 2) or (N, 3).
        labels: (N,) identity, from 0.
        photo: (2,) or (3,) position of the visitor's photo, or None.
        view: zoom is kept while this stays the same.
        people: names of the identities; numbers from 1 without.
        photos: maps with the same text here draw the same photos, by which the page links them.
    """
    dims = coordinates.shape[1]
    figure = go.Figure()
    for person in range(labels.max() + 1):
        color, shape = person_style(person)
        own = coordinates[labels == person]
        marker = {"color": color, "symbol": shape} | PHOTO[dims]
        said = [f"photo {i + 1}" for i in range(len(own))]
        who = people[person] if people else person + 1
        figure.add_trace(_points(own, marker, "person", f"identity {who}", said))
    nothing = np.empty((0, dims))
    figure.add_trace(_points(nothing, RING, "ring", "", []))
    at = nothing if photo is None else photo[None]
    figure.add_trace(_points(at, STAR[dims], "photo", "your photo", ["your photo (approximate)"] * len(at)))
    figure.update_layout(
        title=_title(name),
        margin=TIGHT | {"t": 36},
        height=430,
        showlegend=False,
        hovermode="closest",
        uirevision=f"{view} {dims}",
        meta=photos,
    )
    if dims == 2:
        figure.update_layout(xaxis=FRAME, yaxis=FRAME | {"scaleanchor": "x"}, dragmode="pan")
    else:
        sides = dict.fromkeys(("xaxis", "yaxis", "zaxis"), CUBE)
        figure.update_layout(scene={**sides, "aspectmode": "data", "uirevision": f"{view} {dims}"})
    return figure


def _points(at: np.ndarray, marker: dict, role: str, name: str, text: list[str]) -> go.Scatter | go.Scatter3d:
    options = {
        "mode": "markers" if role == "person" else "markers+text",
        "name": name,
        "meta": role,
        "marker": marker,
        "text": text if role == "person" else [name] * len(at),
        "textposition": "top center",
        "hovertemplate": f"{name}, %{{text}}<extra></extra>"
        if role == "person"
        else "%{text}<extra></extra>",
    }
    axes = dict(zip("xyz", at.T.tolist()))  # lists, since the page's script reads them
    return go.Scatter(**axes, **options) if len(axes) == 2 else go.Scatter3d(**axes, **options)


def umap_variant_maps(maps: np.ndarray, labels: np.ndarray) -> go.Figure:
    """Plot six UMAPs (6, N, 2) of the same embeddings: a row per n_neighbors, a column per seed."""
    columns = len(UMAP_VARIANTS) // 2
    figure = make_subplots(
        2,
        columns,
        column_titles=[f"seed {seed}" for _, seed in UMAP_VARIANTS[:columns]],
        row_titles=[f"n_neighbors {neighbors}" for neighbors, _ in UMAP_VARIANTS[::columns]],
        horizontal_spacing=0.03,
        vertical_spacing=0.05,
    )
    for i, at in enumerate(maps):
        figure.add_trace(_crowd(at, labels, 6), row=i // columns + 1, col=i % columns + 1)
    figure.update_xaxes(**FRAME)
    figure.update_yaxes(**FRAME)
    figure.update_annotations(font={"size": 11})
    figure.update_layout(margin=TIGHT | {"t": 30}, height=520, showlegend=False, uirevision="variants")
    return figure


def own_map(at: np.ndarray, labels: np.ndarray) -> go.Figure:
    """Plot one UMAP (N, 2) with a visitor's settings."""
    figure = go.Figure(_crowd(at, labels, 9))
    figure.update_layout(margin=TIGHT, height=380, showlegend=False, xaxis=FRAME, yaxis=FRAME)
    return figure


def _crowd(at: np.ndarray, labels: np.ndarray, size: int) -> go.Scatter:
    """Return all identities as one trace."""
    return go.Scatter(x=at[:, 0], y=at[:, 1], **_look(labels, size))


def _look(labels: np.ndarray, size: int) -> dict:
    styles = [person_style(person) for person in labels]
    return {
        "mode": "markers",
        "marker": {
            "color": [color for color, _ in styles],
            "symbol": [shape for _, shape in styles],
            "size": size,
            "line": OUTLINE,
        },
        "text": [f"identity {person + 1}" for person in labels],
        "hovertemplate": "%{text}<extra></extra>",
    }


def reach(run: Epochs) -> float:
    """Return the axis limit that fits a whole run."""
    return 1.08 * float(max(np.abs(run.training).max(), np.abs(run.others).max()))


def epochs_figure(run: Epochs, shown: tuple[bool, ...], name: str, limit: float) -> go.Figure:
    """Plot embeddings (E, N, 2) and prototypes, one frame per epoch; open on the last.

    Args:
        run: what was recorded.
        shown: a panel each: False for the photos that were learned, True for those that were held out.
        name: of the loss, for the title.
        limit: how far the axes reach; the same for runs that are compared.
    """
    rays = run.prototypes * (0.92 * limit / np.linalg.norm(run.prototypes, axis=2).max())
    points = [run.others if others else run.training for others in shown]
    moments = [
        [change for panel in points for change in _moment(panel[e], rays[e])] for e in range(len(rays))
    ]
    titles = [f"{name}, epoch {e + 1}: accuracy {_shares(run, shown, e)}" for e in range(len(rays))]
    labels = [run.other_labels if others else run.training_labels for others in shown]
    looks = [
        look | {"xaxis": f"x{i or ''}", "yaxis": f"y{i or ''}"}
        for i, own in zip((0, 2), labels)
        for look in _epoch_looks(run, own)
    ]
    figure = go.Figure(
        [go.Scatter(**look, **now) for look, now in zip(looks, moments[-1])],
        frames=[
            go.Frame(data=[go.Scatter(**now) for now in moment], layout={"title": _title(title)})
            for moment, title in zip(moments, titles)
        ],
    )
    fixed = {"range": [-limit, limit], "zeroline": True, "zerolinecolor": "#888888"}
    layout = {"margin": TIGHT | {"t": 40}, "height": 450, "showlegend": False, "hovermode": "closest"}
    layout |= {"title": _title(titles[-1]), "xaxis": fixed, "yaxis": fixed | {"scaleanchor": "x"}}
    return figure.update_layout(layout | (_two_panels(fixed) if len(shown) > 1 else {}))


def _shares(run: Epochs, shown: tuple[bool, ...], epoch: int) -> str:
    shares = [f"{run.accuracy[epoch, int(others)]:.0%}" for others in shown]
    return f"{shares[0]} training, {shares[1]} held-out" if len(shares) > 1 else shares[0]


def _two_panels(fixed: dict) -> dict:
    """Return the layout of two maps side by side, the photos named above."""
    small = fixed | {"constrain": "domain"}
    names = (("training photos", 0.0), ("held-out photos", 0.52))
    return {
        "height": 320,
        "margin": TIGHT | {"t": 56},
        "xaxis": small | {"domain": [0, 0.48]},
        "yaxis": small | {"scaleanchor": "x", "showticklabels": False},
        "xaxis2": small | {"domain": [0.52, 1], "anchor": "y2"},
        "yaxis2": small | {"scaleanchor": "x2", "anchor": "x2", "showticklabels": False},
        "annotations": [
            {"text": text, "x": x, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left",
             "yanchor": "bottom", "showarrow": False} for text, x in names
        ],
    }  # fmt: skip


def _epoch_looks(run: Epochs, labels: np.ndarray) -> tuple[dict, ...]:
    """Return what does not change in a panel: of the rays, their tips, the photos."""
    people = range(run.prototypes.shape[1])
    tips = {"color": [person_style(p)[0] for p in people], "symbol": [person_style(p)[1] for p in people]}
    return (
        {"mode": "lines", "line": {"color": "#888888", "width": 1.5}, "hoverinfo": "skip"},
        {"mode": "markers+text", "marker": tips | {"size": 13, "line": {"width": 2, "color": "#555555"}},
         "text": [str(person + 1) for person in people], "textposition": "top center", "cliponaxis": False,
         "hovertemplate": "W of class %{text}<extra></extra>"},
        _look(labels, 8),
    )  # fmt: skip


def _moment(points: np.ndarray, rays: np.ndarray) -> tuple[dict, ...]:
    """Return the changes of the three traces: rays, their tips, the photos."""
    gap = np.full(len(rays), np.nan)
    lines = [np.stack([0 * rays[:, axis], rays[:, axis], gap], 1).ravel() for axis in (0, 1)]
    return (
        {"x": lines[0], "y": lines[1]},
        {"x": rays[:, 0], "y": rays[:, 1]},
        {"x": points[:, 0], "y": points[:, 1]},
    )


def _title(text: str) -> dict:
    return {"text": text, "font": {"size": 15}, "x": 0.02, "y": 0.98}
