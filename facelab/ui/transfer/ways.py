"""The three ways of transfer as controls, and what each trains, as a formula with the counted parameters."""

from typing import Any

import gradio as gr

from facelab.lessons.live.teach import freeze, stages_of, trained_parameters
from facelab.ui.links import Controls
from facelab.ui.visit import ModelChoice, offered
from facelab.ui.widgets.controls import model_choices, redraw
from facelab.ui.widgets.formula import formula, set_formula

WAYS = [
    ("frozen: train the head only", "frozen"),
    ("partly: freeze the first stages, train the rest", "partly"),
    ("whole: fine-tune all layers", "whole"),
]


def last_frozen(start: str, way: str, stage: str) -> str | None:
    """Return what `Recipe.freeze` means by a choice: a stage, `neck`, or None.

    Raises:
        ValueError: the network has no such stage.
    """
    if way != "partly":
        return "neck" if way == "frozen" else None
    names = stages_of(start)
    if stage not in names:
        raise ValueError(f"{start} has no {stage}; its stages are {', '.join(names)}")
    return stage


def show(start: str, way: str, stage: str) -> str:
    """Return what trains, with the parameters counted on the network."""
    try:
        upto = last_frozen(start, way, stage)
    except ValueError:
        upto = None
    trained, whole = trained_parameters(start, upto)
    where = {None: "all layers", "neck": "the new head only"}.get(upto, f"layers behind {upto}")
    return set_formula(
        rf"w &\leftarrow w - \eta\,\frac{{\partial L}}{{\partial w}}\quad\text{{for {where}}}",
        rf"&{_number(trained)}\text{{ of }}{_number(whole)}\text{{ parameters, and the head}}",
    )


def _number(count: int) -> str:
    return f"{count:,}".replace(",", "{,}")


def on_start(start: str, stage: str) -> Any:
    """Return the choice of stages of another network; one that it has too stays chosen."""
    names = stages_of(start)
    return gr.update(choices=names, value=stage if stage in names else _middle(names))


def _middle(names: list[str]) -> str:
    return names[max(0, len(names) - 2)]  # the last stage trains


def settings(names: list[str]) -> Controls:
    """Lay out start, way, last frozen stage and seed, and the formula; return the controls by name."""
    start = ModelChoice(model_choices(names), value=names[0], label="Initialization", filterable=False,
                        elem_id="transfer-start", info="A pretrained network, or one of yours.")  # fmt: skip
    offered(start, model_choices, only_networks=True)
    way = gr.Radio(WAYS, value="frozen", label="Trained layers", elem_id="transfer-way",
                   info="The more is frozen, the fewer weights train.")  # fmt: skip
    stages = stages_of(names[0])
    stage = gr.Radio(stages, value=_middle(stages), label="Freeze up to", elem_id="transfer-stage",
                     info="Used if trained partly: the last stage that stays as it is.")  # fmt: skip
    seed = gr.Slider(0, 9, value=0, step=1, label="Seed", elem_id="transfer-seed",
                     info="Of data, head and order.")  # fmt: skip
    said = formula(show(names[0], way.value, stage.value), freeze, "transfer-formula")
    start.change(on_start, [start, stage], stage, api_visibility="private", show_progress="hidden",
                 queue=False)  # fmt: skip
    redraw(show, [start, way, stage], [said])
    return {"start": start, "way": way, "stage": stage, "seed": seed}
