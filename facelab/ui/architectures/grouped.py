"""Show what groups save in a convolution, from an ordinary to a depthwise one."""

import math
from typing import Any

import gradio as gr

from facelab.lessons.grouped import divisors, grouped_conv, grouped_cost
from facelab.plots.grouped import grouped_figure
from facelab.ui.links import Controls
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw
from facelab.ui.widgets.formula import formula, set_formula

CHANNELS, SIDE, KERNEL = 128, 14, 3
OPENING = 5  # log2 of ResNeXt's 32
TEXT = (
    "### Grouped convolution\n"
    "Each of g groups of output channels sees its own share of the input channels. **Why are groups cheaper, "
    "and what remains at g = C?**"
)


def show(exponent: float) -> list[Any]:
    """Return (card, formula, chart) at g = 2^exponent groups."""
    cost = grouped_cost(CHANNELS, 2 ** int(exponent), SIDE, KERNEL)
    plain = grouped_cost(CHANNELS, 1, SIDE, KERNEL)
    kind = {1: "an ordinary convolution", CHANNELS: "a depthwise convolution"}.get(
        cost.groups, f"{CHANNELS // cost.groups} input channels for each output channel"
    )
    numbers = figures(
        ("parameters", f"{cost.parameters:,}"),
        (f"MACs on a {SIDE}×{SIDE} map", f"{cost.macs / 1e6:.2f} M"),
        ("of the ordinary convolution", f"{cost.parameters / plain.parameters:.1%}"),
    )
    card = f'<div class="fl-card" role="status"><h3>g = {cost.groups}: {kind}</h3>{numbers}</div>'
    count = f"{cost.parameters:,}".replace(",", "{,}")
    text = set_formula(
        r"\text{parameters} &= k^2 \cdot C_{\text{in}} \cdot C_{\text{out}} / g",
        rf"&= {KERNEL}^2 \cdot {CHANNELS} \cdot {CHANNELS} / {cost.groups} = {count}",
    )
    costs = [grouped_cost(CHANNELS, groups, SIDE, KERNEL) for groups in divisors(CHANNELS)]
    return [card, text, grouped_figure(costs, cost.groups)]


def section() -> Controls:
    """Lay the section out, open at ResNeXt's 32 groups; return its control by name."""
    gr.Markdown(TEXT)
    first = show(OPENING)
    with columns() as (panel, results):
        with panel:
            with live():
                exponent = gr.Slider(
                    0,
                    math.log2(CHANNELS),
                    value=OPENING,
                    step=1,
                    label="Groups, g = 2ˣ",
                    info=f"0: ordinary; 5: ResNeXt’s 32; {math.log2(CHANNELS):g}: depthwise.",
                    elem_id="groups",
                )
            said = formula(first[1], grouped_conv, "groups-formula")
        with results, beside():
            label = "Parameters of a 3×3 convolution against the number of groups"
            chart = Chart(first[2], label, "groups-chart")
            card = gr.HTML(first[0], elem_id="groups-card", padding=False)
    redraw(show, [exponent], [card, said, chart])
    return {"groups": exponent}
