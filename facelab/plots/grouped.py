"""Plot what a grouped convolution costs against the number of groups."""

import numpy as np
import plotly.io as pio

from facelab.lessons.grouped import GroupedCost
from facelab.plots.style import GENUINE, IMPOSTOR, LEGEND


def grouped_figure(costs: list[GroupedCost], chosen: int) -> str:
    """Plot parameters of every g on logarithmic axes, the chosen one a star.

    Args:
        costs: by rising g.
        chosen: g in use.
    """
    groups = [cost.groups for cost in costs]
    counts = [cost.parameters for cost in costs]
    here = groups.index(chosen)
    names = {1: "ordinary", 32: "ResNeXt", groups[-1]: "depthwise"}
    line = {
        "type": "scatter", "mode": "lines+markers+text", "x": groups, "y": counts, "name": "parameters",
        "line": {"color": GENUINE, "width": 3}, "marker": {"size": 9}, "cliponaxis": False,
        "textposition": ["top right"] * (len(groups) - 1) + ["top left"],  # the last name stays inside
        "text": [names.get(g, "") for g in groups],
        "customdata": [cost.macs / 1e6 for cost in costs],
        "hovertemplate": "g = %{x}: %{y:,} parameters, %{customdata:,.2f} MMACs<extra></extra>",
    }  # fmt: skip
    star = {
        "type": "scatter", "mode": "markers", "x": [chosen], "y": [counts[here]], "name": f"g = {chosen}",
        "marker": {"symbol": "star", "size": 20, "color": IMPOSTOR}, "hoverinfo": "skip",
    }  # fmt: skip
    ticks = [g for g in groups if np.log2(g) % 1 == 0]
    layout = {
        "height": 300, "uirevision": "keep", "legend": LEGEND, "margin": {"l": 64, "r": 40, "t": 40, "b": 44},
        "xaxis": {"type": "log", "title": {"text": "groups g"}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": {"type": "log", "title": {"text": "parameters"}, "automargin": True},
    }  # fmt: skip
    return pio.to_json({"data": [line, star], "layout": layout}, validate=False)
