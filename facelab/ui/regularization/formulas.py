"""The Regularization tab's prediction and formula: how often DropBlock places a block."""

import gradio as gr

from facelab.models.regularizers import seed_rate
from facelab.ui.widgets.formula import formula, set_formula
from facelab.ui.widgets.prediction import predict


def prediction(told: dict[str, float], block: int) -> None:
    """Ask whether a block hides more than single values; `told` is R² of the neighbors by kind of dropout."""
    plain, blocks = told["Dropout"], told["DropBlock"]
    predict(
        "regularization",
        f"Dropout drops single values, DropBlock squares of {block}×{block}, both the same share. Do the "
        "visible neighbors still explain over half of what DropBlock drops?",
        ("Yes", "No"),
        int(blocks <= 0.5),
        f"They explain {plain:.0%} (R²) of what dropout drops and {blocks:.0%} of what DropBlock drops.",
    )


def show(rate: float, block: int, size: tuple[int, int]) -> str:
    """Return the paper's seed rate γ with the current values, and the exact one that is used.

    Args:
        rate: drop rate.
        block: side of a block, reduced to the map where it is larger.
        size: (H, W) of the map.
    """
    height, width = size
    h, w = min(block, height), min(block, width)
    places = (height - h + 1) * (width - w + 1)
    paper = rate * height * width / (h * w * places)
    return set_formula(
        r"\gamma &\approx \frac{\text{rate}}{b^2}\cdot\frac{H\,W}{(H-b+1)(W-b+1)}",
        rf"&= \frac{{{rate:g}}}{{{h * w}}}\cdot\frac{{{height * width}}}{{{places}}}"
        rf" = {paper:.4f}\ \text{{(paper)}}",
        rf"\gamma &= {seed_rate(rate, (h, w), size):.4f}\ \text{{(exact: overlaps counted once)}}",
    )


def beside(rate: float, block: int, size: tuple[int, int]) -> gr.Markdown:
    """Lay the formula out; return what a callback updates."""
    return formula(show(rate, block, size), seed_rate, "drop-formula")
