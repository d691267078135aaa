"""Plot the networks: the family tree by year, and MACs against parameters or accuracy.

The chosen network is a star among circles, so that it can be recognized without color.
"""

from typing import Any

import numpy as np
import plotly.io as pio

from facelab.lessons.family_tree import Cost, Score, lanes, lineage, paper_of, papers
from facelab.models.backbones import BACKBONES
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND

BEFORE = 2009.6  # where 1989 stands: the years between are left out
FIRST = "LeNet"
FIRST_IDEA = "Learn the filters of convolutions by backpropagation: LeCun et al. read zip codes with it."
GRAY = "#888888"
CROWDS = {1: (0, 300), -1: (900, 1500)}  # million MACs between which networks lie too close for their names
UP, PLOT = (-0.35, 2.0), 292  # log10 of millions of parameters on the y axis, and its height in pixels
LINE, BESIDE = 12.5, 90  # pixels between two names of the column, and from a point to it
TICKS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]


def _figure(data: list[dict[str, Any]], layout: dict[str, Any]) -> str:
    common = {"uirevision": "keep", "legend": LEGEND, "margin": {"l": 8, "r": 8, "t": 8, "b": 36}}
    return pio.to_json({"data": data, "layout": common | layout}, validate=False)


def family_tree(chosen: str) -> str:
    """Plot every paper at its year, below its parent; the lineage of the chosen network is bold."""
    line, label = lanes(), paper_of(chosen).label
    own = lineage(label)
    data = [_edges(line, set()), _edges(line, set(own))]
    everyone = papers()
    x = [BEFORE, *(everyone[name].year for name in line)]
    hover = [FIRST_IDEA, *(_told(everyone[name].idea, everyone[name].change) for name in line)]
    names = [FIRST, *line]
    data.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "x": x,
            "y": [-1, *line.values()],
            "text": [f"<b>{name}</b>" if name == label else name for name in names],
            "textposition": "middle right",
            "cliponaxis": False,  # on a phone the last name reaches into the margin
            "hovertext": hover,
            "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {
                "symbol": ["star" if name == label else "circle" for name in names],
                "size": [20 if name == label else 11 for name in names],
                "color": [IMPOSTOR if name == label else GENUINE if name in own else GRAY for name in names],
            },
        }
    )
    return _figure(data, _tree_layout(len(line)))


def _tree_layout(rows: int) -> dict[str, Any]:
    """Arrange years to the right, with a sign where some are omitted, and room for the last name on a
    phone.
    """
    years = [2012, 2015, 2018, 2021]
    gap = {
        "text": "⋯",
        "x": (BEFORE + years[0]) / 2,
        "y": 0,
        "yref": "paper",
        "yanchor": "top",
        "showarrow": False,
    }
    return {
        "height": 460,
        "showlegend": False,
        "xaxis": {
            "range": [BEFORE - 0.6, 2026.6],
            "tickvals": [BEFORE, *years],
            "ticktext": ["1989", *map(str, years)],
            "tickangle": 0,
            "fixedrange": True,
            "zeroline": False,
        },
        "yaxis": {"visible": False, "range": [rows - 0.4, -1.6], "fixedrange": True},
        "annotations": [gap],
        "dragmode": False,
    }


def _told(idea: str, change: str) -> str:
    return f"{idea}<br>Changed: {change}" if change else idea


def _edges(line: dict[str, int], strong: set[str]) -> dict[str, Any]:
    """Draw edges from each paper down its parent's year and across; of all papers, or bold for the
    lineage.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    everyone = papers()
    for name, lane in line.items():
        if strong and name not in strong:
            continue
        parent = everyone[name].parent
        start, top = (everyone[parent].year, line[parent]) if parent else (BEFORE, -1)
        x += [start, start, everyone[name].year, None]
        y += [top, lane, lane, None]
    style = {"color": GENUINE, "width": 4} if strong else {"color": GRAY, "width": 1.5}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": style, "hoverinfo": "skip"}


def cost_scatter(
    costs: dict[str, Cost], scores: dict[str, tuple[Score, ...]], chosen: str, by_score: bool
) -> str:
    """Plot MACs of one crop, to the right, against parameters or against accuracy on LFW.

    Trained networks have similar costs, so with `by_score` the axes are not logarithmic.

    Args:
        costs: costs by network.
        scores: scores by network; only these are drawn with `by_score`.
        chosen: the network drawn as a star.
        by_score: accuracy on the y axis instead of parameters.
    """
    groups: dict[str, list[str]] = {"paper size": [], "for 112×112 crops": []}
    for name in costs:
        if not by_score or name in scores:
            groups["for 112×112 crops" if name.endswith("_face") else "paper size"].append(name)
    looks = {"paper size": ("circle", GENUINE), "for 112×112 crops": ("square", "#E69F00")}
    data = []
    for group, names in groups.items():
        symbol, color = looks[group]
        data.append(_points(names, group, symbol, color, 11, costs, scores, by_score))
    here = [chosen] if not by_score or chosen in scores else []
    data.append(_points(here, "selected", "star", IMPOSTOR, 20, costs, scores, by_score))
    plain = {"zeroline": False, "automargin": True}
    log = plain | {"type": "log", "tickvals": TICKS, "ticktext": [f"{tick:,g}" for tick in TICKS]}
    up = (
        plain | {"title": {"text": "LFW accuracy, %"}}
        if by_score
        else log | {"title": {"text": "parameters, millions"}, "range": UP}
    )
    layout = {
        "height": 400,
        "margin": {"l": 56, "r": 16, "t": 64, "b": 44},
        "annotations": [] if by_score else [*_column(1, costs), *_column(-1, costs)],
        "xaxis": (plain if by_score else log) | {"title": {"text": "MACs per crop, millions"}},
        "yaxis": up,
    }
    return _figure(data, layout)


def _points(
    names: list[str],
    group: str,
    symbol: str,
    color: str,
    size: int,
    costs: dict[str, Cost],
    scores: dict[str, tuple[Score, ...]],
    by_score: bool,
) -> dict[str, Any]:
    heights = [100 * scores[name][0].accuracy if by_score else costs[name].parameters / 1e6 for name in names]
    sides, families = _sides(scores), [BACKBONES[name].family for name in names]
    chosen = symbol == "star"
    unit = "% on LFW" if by_score else " M parameters"
    return {
        "type": "scatter",
        "mode": "markers" if chosen else "markers+text",  # else it has two names
        "textposition": [sides.get(name, "top center") if by_score else "bottom center" for name in names],
        "cliponaxis": False,
        "name": group,
        "x": [costs[name].macs / 1e6 for name in names],
        "y": heights,
        "text": [f if by_score or chosen or not _side(costs[n]) else "" for f, n in zip(families, names)],
        "textfont": {"size": 11},
        "hovertext": families,
        "customdata": names,
        "hovertemplate": "%{hovertext}: %{customdata}<br>%{x:,.0f} MMACs, %{y:,.1f}"
        + f"{unit}<extra></extra>",
        "marker": {"symbol": symbol, "color": color, "size": size, "line": {"width": 1}},
    }


def _side(cost: Cost) -> int:
    """Return where a network's name stands: in a column right (1) or left (-1) of a crowd, or at it (0)."""
    return next((side for side, (low, high) in CROWDS.items() if low <= cost.macs / 1e6 < high), 0)


def _column(side: int, costs: dict[str, Cost]) -> list[dict[str, Any]]:
    """Return the names of a crowd of networks in a column beside it, with a line to each."""
    names = sorted((name for name in costs if _side(costs[name]) == side), key=lambda n: -costs[n].parameters)
    places = np.log10([costs[name].parameters / 1e6 for name in names])
    heights, steps = (UP[1] - places) / (UP[1] - UP[0]) * PLOT, LINE * np.arange(len(names))
    tops = np.maximum.accumulate(heights - steps) + steps  # pixels from the top, LINE apart
    tops -= max(0.0, (tops[-1] - heights[-1]) / 2, tops[-1] - PLOT + LINE)
    return [
        {
            "text": name, "x": float(np.log10(costs[name].macs / 1e6)), "y": float(place),
            "xanchor": "left" if side > 0 else "right", "ax": side * BESIDE, "ay": float(top - height),
            "showarrow": True, "arrowhead": 0, "arrowwidth": 0.7, "arrowcolor": GRAY, "standoff": 5,
            "font": {"size": 10.5},
        }
        for name, place, height, top in zip(names, places, heights, tops)
    ]  # fmt: skip


def _sides(scores: dict[str, tuple[Score, ...]]) -> dict[str, str]:
    """Return the side of each network's name: neighbors in height below and above, so that fewer names
    overlap.
    """
    upwards = sorted(scores, key=lambda name: scores[name][0].accuracy)
    return {name: ("bottom center", "top center")[rank % 2] for rank, name in enumerate(upwards)}
