"""Show pair losses: two score distributions, and the gradients of contrastive and pairwise loss."""

from typing import Any

import gradio as gr
import numpy as np

from facelab.lessons import loss_curves
from facelab.lessons.loss_curves import GENUINE, IMPOSTOR, PairGradients
from facelab.models.checkpoint import describe
from facelab.models.zoo import checkpoint_names, find_checkpoint
from facelab.plots.losses import pair_scores
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import model_choices, redraw

QUESTION = (
    "The score of a pair is the cosine similarity of its two embeddings: high for genuine pairs, low for "
    "impostor pairs. **Move the two score distributions: which pairs still have a non-zero gradient?**"
)
READING = (
    "Below the distributions: −∂loss/∂score of a pair at that score; above zero the score rises, below zero "
    "it falls. Contrastive loss uses one pair at a time: every genuine pair has a gradient, an impostor pair "
    "only while its distance √(2 − 2·score) is below the margin. Pairwise loss compares: the gradient is the "
    "share of pairs of the other kind that are not yet separated by the margin. Dotted: the EER threshold."
)
SLIDERS = "the sliders"


def show(source: str, *settings: float) -> list[Any]:
    """Return (figures, chart) of scores from a source: mean and SD of both kinds, and both margins."""
    *normals, contrastive_margin, pairwise_margin = settings
    genuine, impostor = scores_of(source, *normals)
    contrastive = loss_curves.weigh_contrastive(genuine, impostor, contrastive_margin)
    pairwise = loss_curves.weigh_pairwise(genuine, impostor, pairwise_margin)
    eer, threshold, swapped = loss_curves.separation(genuine, impostor)
    return [
        pairs_card(contrastive, pairwise, eer, swapped, overlap(genuine, impostor)),
        pair_scores(genuine, impostor, contrastive, pairwise, threshold),
    ]


def scores_of(
    source: str, mean: float, spread: float, other_mean: float, other_spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (genuine, impostor) scores: normal, or distributed as a checkpoint's histograms."""
    if source == SLIDERS:
        genuine = loss_curves.normal_scores(mean, spread, GENUINE)
        return genuine, loss_curves.normal_scores(other_mean, other_spread, IMPOSTOR)
    points = describe(find_checkpoint(source)).operating_points
    genuine = loss_curves.histogram_scores(points.edges, points.genuine, GENUINE)
    return genuine, loss_curves.histogram_scores(points.edges, points.impostor, IMPOSTOR)


def overlap(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Return the area that both histograms share, in [0, 1]."""
    shares = [np.histogram(scores, 50, (-1, 1))[0] / len(scores) for scores in (genuine, impostor)]
    return float(np.minimum(*shares).sum())


def pairs_card(
    contrastive: PairGradients, pairwise: PairGradients, eer: float, swapped: float, shared: float
) -> str:
    """Return both losses, EER, overlap and ranking errors."""
    numbers = figures(
        ("contrastive loss", f"{contrastive.loss:.3f}"),
        ("pairwise loss", f"{pairwise.loss:.3f}"),
        ("equal error rate (EER)", f"{eer:.1%}"),
        ("overlap of distributions", f"{shared:.1%}"),
        ("ranking errors (1 − AUC)", f"{swapped:.1%}"),
    )
    idle = (contrastive.impostor == 0).mean(), (pairwise.impostor == 0).mean()
    return (
        f'<div class="fl-card" role="status">{numbers}<p>Zero gradient: {idle[0]:.0%} of impostor pairs '
        f"under contrastive loss, {idle[1]:.0%} under pairwise loss.</p></div>"
    )


def on_source(source: str) -> list[Any]:
    """Disable the sliders of the distributions while a network's scores are shown."""
    return [gr.update(interactive=source == SLIDERS)] * 4


def section() -> Controls:
    """Lay the section out, open at two overlapping distributions; return its controls by name."""
    gr.Markdown(QUESTION)
    calibrated = [name for name in checkpoint_names() if describe(find_checkpoint(name)).operating_points]
    with columns() as (panel, results):
        with panel:
            source = gr.Dropdown(
                [(SLIDERS, SLIDERS), *model_choices(calibrated)],
                value=SLIDERS,
                label="Scores from",
                info="The sliders, or a FaceLab network’s measured scores (disables the four below).",
                elem_id="pairs-source",
            )
            with live():
                settings = [*_distributions(), *_margins()]
        card, figure = show(source.value, *(setting.value for setting in settings))
        with results:
            label = "Score distributions of pairs, and the gradient of each loss"
            with beside():
                chart = Chart(figure, label, "pairs-chart")
                said = gr.HTML(card, elem_id="pairs", padding=False)
            gr.Markdown(READING, elem_classes="fl-small")
    gr.HTML(papers_card("contrastive", "pairwise"), padding=False)
    redraw(show, [source, *settings], [said, chart])
    source.change(
        on_source,
        source,
        settings[:4],
        api_visibility="private",
        show_progress="hidden",
        queue=False,
    )
    names = ("genuine", "genuinespread", "impostor", "impostorspread", "contrastive", "pairwise")
    return {"scores": source} | dict(zip(names, settings))


def _distributions() -> list[gr.Slider]:
    """Lay out mean and standard deviation of both kinds."""
    sliders = []
    for kind, words, mean, spread in (
        ("genuine", "genuine pairs", 0.55, 0.18),
        ("impostor", "impostor pairs", 0.1, 0.15),
    ):
        for name, low, high, value, info in (
            ("mean", -0.5, 0.95, mean, f"Mean score of {words}."),
            ("spread", 0.02, 0.4, spread, f"Standard deviation of the scores of {words}."),
        ):
            label = f"{kind.capitalize()} {'mean' if name == 'mean' else 'standard deviation'}"
            slider_id = f"pairs-{kind}-{name}"
            sliders.append(gr.Slider(low, high, value, step=0.01, label=label, info=info, elem_id=slider_id))
    return sliders


def _margins() -> list[gr.Slider]:
    """Lay out both margins: contrastive in units of distance, pairwise of score."""
    contrastive = gr.Slider(
        0.1,
        2,
        value=1.2,
        step=0.05,
        label="Contrastive margin, m",
        info="Distance beyond which impostor pairs have zero gradient; distance 1 is score 0.5.",
        elem_id="pairs-contrastive",
    )
    pairwise = gr.Slider(
        0,
        2,
        value=0.5,
        step=0.05,
        label="Pairwise margin, m",
        info="Target difference of every genuine and every impostor score.",
        elem_id="pairs-pairwise",
    )
    return [contrastive, pairwise]
