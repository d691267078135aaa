"""Architectures: the family tree of networks, what each paper changed in code, and what that costs.

Everything opens from counted figures and the project's own source; only the speed and the feature maps run a
network, when they are asked for.
"""

from typing import Any

import gradio as gr

from facelab.lessons.family_tree import budget, costs, latency, paper_of, scores
from facelab.models.backbones import BACKBONES
from facelab.plots.architectures import cost_scatter, family_tree
from facelab.ui.architectures import feature_maps as architectures_maps
from facelab.ui.architectures import grouped as architectures_grouped
from facelab.ui.architectures.blocks import STYLE as BLOCKS
from facelab.ui.architectures.blocks import blocks_card
from facelab.ui.architectures.cards import STYLE, budget_card, code_card, network_card, train_link, tree_list
from facelab.ui.links import Controls
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import columns, live
from facelab.ui.widgets.controls import redraw
from facelab.ui.widgets.prediction import predict

TITLE = "Architectures"
LEAD = (
    "Each network is shown as a change to an earlier one. Pick one to see its lineage, diff and cost. "
    "**What did each paper change, how much code is that, and what does it cost?**"
)
COST = (
    "### MACs, parameters and accuracy\n"
    "A data point is a network. x: MACs per crop. y: parameters or LFW accuracy."
)
BUDGET = (
    "### Parameter budget of the homework: 30 million\n"
    "In training a network has three parts: the backbone (feature map), the neck (D-dimensional embedding) "
    "and the head (K classes, D·K weights). The head is removed after training, but counted."
)
OPENING = "resnext50_32x4d"


def show(network: str, measured: dict[str, float], up: str) -> list[Any]:
    """Return (tree, card, blocks, code, scatter) of the chosen network."""
    return [
        family_tree(network),
        network_card(network, measured),
        blocks_card(network),
        code_card(network),
        cost_scatter(costs(), scores(), network, up == "score"),
    ]


def show_cost(network: str, up: str) -> str:
    """Return the scatter alone."""
    return cost_scatter(costs(), scores(), network, up == "score")


def show_budget(network: str, neck: str, embedding_dim: int, people: int) -> str:
    """Return the parameter budget at these settings."""
    return budget_card(budget(network, neck, int(embedding_dim), int(people))) + train_link(network)


def measure(network: str, measured: dict[str, float]) -> tuple[dict[str, float], str]:
    """Time the chosen network here -> measurements so far, and its card."""
    measured = measured | {network: latency(network)}
    return measured, network_card(network, measured)


def build() -> Controls:
    """Lay the tab out, open at one network -> its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    _prediction()
    measured = gr.State({})
    first = show(OPENING, {}, "parameters")
    with columns() as (panel, results):
        with panel:
            with live():
                network = _network()
            button = gr.Button("Measure latency", variant="primary", elem_id="measure")
            up = _up()
        with results:
            label = "Family tree of the networks by year; the table below has the same content"
            tree = Chart(first[0], label, "tree-chart")
            card = gr.HTML(first[1], elem_id="network-card", padding=False)
            blocks = gr.HTML(first[2], css_template=BLOCKS, elem_id="blocks", padding=False)
            code = gr.HTML(first[3], css_template=STYLE, elem_id="code", padding=False)
            gr.Markdown(COST)
            label = "MACs per crop against parameters or LFW accuracy, all networks"
            scatter = Chart(first[4], label, "cost-chart")
            gr.HTML(tree_list(), css_template=STYLE, padding=False)
    groups = architectures_grouped.section()
    meter = _budget(network)
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    network.change(show, [network, measured, up], [tree, card, blocks, code, scatter], **quietly)
    up.change(show_cost, [network, up], scatter, **quietly)
    button.click(
        measure, [network, measured], [measured, card], api_visibility="private", show_progress_on=card
    )
    return {"network": network, "up": up} | groups | meter | architectures_maps.section()


def _prediction() -> None:
    """Ask what the groups of ResNeXt cost; the answer is counted."""
    plain, grouped = (costs()[name] for name in ("resnet50", "resnext50_32x4d"))
    predict(
        "architectures",
        "ResNeXt-50 is ResNet-50 with 32 groups and wider blocks. Does it save over 10% of the parameters?",
        ("Yes", "No"),
        int(grouped.parameters > 0.9 * plain.parameters),
        f"{plain.parameters / 1e6:.1f} M and {grouped.parameters / 1e6:.1f} M parameters, "
        f"{plain.macs / 1e6:,.0f} M and {grouped.macs / 1e6:,.0f} M MACs: the groups pay for the width.",
    )


def _network() -> gr.Dropdown:
    """Build the choice of a network."""
    return gr.Dropdown(
        [(f"{paper_of(name).label} · {name}", name) for name in BACKBONES],
        value=OPENING,
        filterable=False,
        label="Network",
        info="In order of publication; names ending in _face are our small variants for 112×112 crops.",
        elem_id="network",
    )


def _up() -> gr.Radio:
    """Build the choice of the scatter's y axis."""
    return gr.Radio(
        [("parameters", "parameters"), ("LFW accuracy, where trained", "score")],
        value="parameters",
        label="y axis of the cost chart",
        info="LFW accuracy: same training recipe for all networks.",
        elem_id="up",
    )


def _budget(network: gr.Dropdown) -> Controls:
    """Build the parameter budget and its settings, by name."""
    gr.Markdown(BUDGET)
    with columns() as (panel, results):
        with panel:
            controls = _budget_settings()
        settings = [network, *controls.values()]
        first = show_budget(*(setting.value for setting in settings))
        with results:
            meter = gr.HTML(first, css_template=STYLE, elem_id="meter", padding=False)
    redraw(show_budget, settings, [meter])
    return controls


def _budget_settings() -> Controls:
    """Build neck, embedding dimension and number of people, by name."""
    neck = gr.Radio(
        ["pool", "flatten"],
        value="pool",
        label="Neck",
        info="Average each feature map before the linear layer, or keep all spatial positions.",
        elem_id="budget-neck",
    )
    with live():
        dim = gr.Slider(
            64,
            2048,
            value=512,
            step=64,
            label="Embedding, D",
            info="Dimensions of the embedding.",
            elem_id="budget-dim",
        )
        people = gr.Slider(
            100,
            20_000,
            value=7000,
            step=100,
            label="Classes, K",
            info="Training identities.",
            elem_id="budget-people",
        )
    return {"neck": neck, "dim": dim, "people": people}
