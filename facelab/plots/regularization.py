"""Plot realized drop rates: three kinds of dropout have the same mean and different variance."""

from typing import Any

import numpy as np
import plotly.io as pio

from facelab.lessons.dropout_masks import Dropped
from facelab.plots.style import GENUINE, IMPOSTOR, SCORE

LOOKS = {
    "Dropout": ("circle", GENUINE),
    "SpatialDropout": ("square", IMPOSTOR),
    "DropBlock": ("diamond", SCORE),
}


def realized_rates(dropped: dict[str, Dropped], rate: float) -> str:
    """Plot one point per sample, one row per kind; the dashed line is the drop rate."""
    data: list[dict[str, Any]] = []
    for row, (name, found) in enumerate(dropped.items()):
        symbol, color = LOOKS[name]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": (100 * found.shares).round(2),
                "y": row + np.linspace(-0.3, 0.3, len(found.shares)),
                "marker": {"symbol": symbol, "color": color, "size": 6, "opacity": 0.6},
                "hovertemplate": f"{name}: %{{x:.1f}}% in this sample<extra></extra>",
            }
        )
    line = {"color": "#888888", "dash": "dash", "width": 2}
    asked = {"type": "line", "x0": 100 * rate, "x1": 100 * rate, "y0": 0, "y1": 1, "yref": "paper"}
    layout = {
        "height": 260,
        "showlegend": False,
        "uirevision": "keep",
        "margin": {"l": 110, "r": 16, "t": 12, "b": 44},
        "shapes": [asked | {"line": line}],
        "xaxis": {"title": {"text": "dropped in one sample, %"}, "range": [-2, 102], "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(dropped))),
            "ticktext": list(dropped),
            "range": [len(dropped) - 0.5, -0.5],
            "zeroline": False,
            "fixedrange": True,
        },
    }
    return pio.to_json({"data": data, "layout": layout}, validate=False)
