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
from facelab.ui.architectures.cards import STYLE, budget_card, code_card, network_card, tree_list
from facelab.ui.links import Controls
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.controls import redraw

TITLE = "Architectures"
LEAD = (
    "Every network here is shown as a change to an earlier one. **What did each paper change, how much code "
    "is that, and what does it cost?** Choose a network and follow its line."
)
COST = (
    "### What do they cost?\n"
    "Each mark is a network. To the right it computes more for a crop; upwards it has more to learn, or, if "
    "you choose so, it has recognized more."
)
BUDGET = (
    "### Does it fit the homework’s 30 million parameters?\n"
    "In training a network is three things: the backbone that gives a map, the neck that makes it a vector "
    "of D numbers, and the head that scores K people: D·K weights, thrown away after training, but counted."
)
OPENING = "resnext50_32x4d"


def show(network: str, measured: dict[str, float], up: str) -> list[Any]:
    """(tree, card, code, scatter) of the chosen network."""
    return [
        family_tree(network),
        network_card(network, measured),
        code_card(network),
        cost_scatter(costs(), scores(), network, up == "score"),
    ]


def show_cost(network: str, up: str) -> str:
    """The scatter alone."""
    return cost_scatter(costs(), scores(), network, up == "score")


def show_budget(network: str, neck: str, embedding_dim: int, people: int) -> str:
    """The meter at these settings."""
    return budget_card(budget(network, neck, int(embedding_dim), int(people)))


def measure(network: str, measured: dict[str, float]) -> tuple[dict[str, float], str]:
    """Time the chosen network here -> what is measured by now, and its card."""
    measured = measured | {network: latency(network)}
    return measured, network_card(network, measured)


def build() -> Controls:
    """Lay the tab out, open at one network -> its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    network = gr.Dropdown(
        [(f"{paper_of(name).label} · {name}", name) for name in BACKBONES],
        value=OPENING,
        filterable=False,
        label="Network",
        info="In the order of history; those ending in _face are ours, small members for 112×112 crops.",
        elem_id="network",
    )
    measured = gr.State({})
    first = show(OPENING, {}, "parameters")
    tree = Chart(
        first[0], "Family tree of the networks over the years; the table below says it", "tree-chart"
    )
    gr.HTML(tree_list(), css_template=STYLE, padding=False)
    card = gr.HTML(first[1], elem_id="network-card", padding=False)
    button = gr.Button("Measure its speed on this machine", variant="primary", elem_id="measure")
    code = gr.HTML(first[2], css_template=STYLE, elem_id="code", padding=False)
    up, scatter = _cost(first[3])
    meter = _budget(network)
    quietly = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    network.change(show, [network, measured, up], [tree, card, code, scatter], **quietly)
    up.change(show_cost, [network, up], scatter, **quietly)
    button.click(
        measure, [network, measured], [measured, card], api_visibility="private", show_progress_on=card
    )
    return {"network": network, "up": up} | meter | architectures_maps.section()


def _cost(figure: str) -> tuple[gr.Radio, Chart]:
    """The scatter, and what it shows upwards."""
    gr.Markdown(COST)
    up = gr.Radio(
        [("parameters", "parameters"), ("LFW accuracy, where trained", "score")],
        value="parameters",
        label="Upwards",
        info="What the height of a mark means; accuracies after the same training for all.",
        elem_id="up",
    )
    label = "Multiply-adds of a crop against parameters or accuracy, all networks"
    return up, Chart(figure, label, "cost-chart")


def _budget(network: gr.Dropdown) -> Controls:
    """The meter and its settings, by name."""
    gr.Markdown(BUDGET)
    controls = _budget_settings()
    settings = [network, *controls.values()]
    meter = gr.HTML(
        show_budget(*(setting.value for setting in settings)),
        css_template=STYLE,
        elem_id="meter",
        padding=False,
    )
    redraw(show_budget, settings, [meter])
    return controls


def _budget_settings() -> Controls:
    """Neck, length of the embedding, and people, by name."""
    with gr.Row(elem_classes="fl-controls"):
        neck = gr.Radio(
            ["pool", "flatten"],
            value="pool",
            label="Neck",
            info="Average each map before the linear layer, or keep all its places.",
            elem_id="budget-neck",
        )
        dim = gr.Slider(
            64,
            2048,
            value=512,
            step=64,
            label="Embedding, D",
            info="How many numbers describe a face.",
            elem_id="budget-dim",
        )
        people = gr.Slider(
            100,
            20_000,
            value=7000,
            step=100,
            label="People, K",
            info="Whom the head tells apart in training.",
            elem_id="budget-people",
        )
    return {"neck": neck, "dim": dim, "people": people}
