"""The Losses tab's pairs: two heaps of scores, and how contrastive and pairwise loss push them apart."""

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
from facelab.ui.widgets.controls import model_choices, redraw

QUESTION = (
    "A pair of photos has a score, the cosine of its two embeddings. Pairs of one person should score high, "
    "pairs of two people low. **Push the two heaps together and apart: which pairs does each loss still "
    "move, and which does it leave alone?**"
)
READING = (
    "Below the heaps: how hard each loss moves a pair of that score (−∂loss/∂score, as if its kind had one "
    "pair); above zero the score is raised, below zero lowered. Contrastive looks at one pair at a time: it "
    "pulls every genuine pair, and pushes an impostor pair only while its distance √(2 − 2·score) is below "
    "the margin. Pairwise compares: a pair is moved by the share of pairs of the other kind that it has not "
    "yet beaten by the margin. Dotted: the threshold at which both errors are equal (EER)."
)
SLIDERS = "the sliders"


def show(source: str, *settings: float) -> list[Any]:
    """(numbers, chart) of scores from a source: means and spreads of both kinds, and both margins."""
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
    """(genuine, impostor) scores: normal, or spread as a checkpoint's measured histograms."""
    if source == SLIDERS:
        genuine = loss_curves.normal_scores(mean, spread, GENUINE)
        return genuine, loss_curves.normal_scores(other_mean, other_spread, IMPOSTOR)
    points = describe(find_checkpoint(source)).operating_points
    genuine = loss_curves.histogram_scores(points.edges, points.genuine, GENUINE)
    return genuine, loss_curves.histogram_scores(points.edges, points.impostor, IMPOSTOR)


def overlap(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """The area that both histograms share, in [0, 1]."""
    heaps = [np.histogram(scores, 50, (-1, 1))[0] / len(scores) for scores in (genuine, impostor)]
    return float(np.minimum(*heaps).sum())


def pairs_card(
    contrastive: PairGradients, pairwise: PairGradients, eer: float, swapped: float, shared: float
) -> str:
    """Both losses, and how well the scores are apart."""
    numbers = figures(
        ("contrastive loss", f"{contrastive.loss:.3f}"),
        ("pairwise loss", f"{pairwise.loss:.3f}"),
        ("equal error rate (EER)", f"{eer:.1%}"),
        ("overlap of the heaps", f"{shared:.1%}"),
        ("couples in the wrong order", f"{swapped:.1%}"),
    )
    idle = (contrastive.impostor == 0).mean(), (pairwise.impostor == 0).mean()
    return (
        f'<div class="fl-card" role="status">{numbers}<p>Contrastive leaves {idle[0]:.0%} of the impostor '
        f"pairs alone, pairwise {idle[1]:.0%}.</p></div>"
    )


def on_source(source: str) -> list[Any]:
    """The sliders of the heaps rest while a network's scores are shown."""
    return [gr.update(interactive=source == SLIDERS)] * 4


def section() -> Controls:
    """Lay it out, open at two heaps that overlap -> its controls by name."""
    gr.Markdown(QUESTION)
    calibrated = [name for name in checkpoint_names() if describe(find_checkpoint(name)).operating_points]
    source = gr.Dropdown(
        [(SLIDERS, SLIDERS), *model_choices(calibrated)],
        value=SLIDERS,
        label="Scores from",
        info="The sliders, or what was measured of one of our networks; the four sliders below then rest.",
        elem_id="pairs-source",
    )
    settings = [*_heaps(), *_margins()]
    card, figure = show(source.value, *(setting.value for setting in settings))
    said = gr.HTML(card, elem_id="pairs", padding=False)
    chart = Chart(figure, "Scores of pairs, and how hard each loss moves them", "pairs-chart")
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


def _heaps() -> list[gr.Slider]:
    """Mean and spread of either kind."""
    sliders = []
    for kind, words, mean, spread in (
        ("genuine", "pairs of one person", 0.55, 0.18),
        ("impostor", "pairs of two people", 0.1, 0.15),
    ):
        with gr.Row(elem_classes="fl-controls"):
            for name, low, high, value, info in (
                ("mean", -0.5, 0.95, mean, f"The middle of the scores of {words}."),
                ("spread", 0.02, 0.4, spread, "Their standard deviation."),
            ):
                label, slider_id = f"{kind.capitalize()} {name}", f"pairs-{kind}-{name}"
                sliders.append(
                    gr.Slider(low, high, value, step=0.01, label=label, info=info, elem_id=slider_id)
                )
    return sliders


def _margins() -> list[gr.Slider]:
    """Contrastive's in units of distance, pairwise's of score."""
    with gr.Row(elem_classes="fl-controls"):
        contrastive = gr.Slider(
            0.1,
            2,
            value=1.2,
            step=0.05,
            label="Contrastive’s margin",
            info="The distance beyond which impostor pairs are left alone; distance 1 is score 0.5.",
            elem_id="pairs-contrastive",
        )
        pairwise = gr.Slider(
            0,
            2,
            value=0.5,
            step=0.05,
            label="Pairwise’s margin",
            info="By how much every genuine score should exceed every impostor score.",
            elem_id="pairs-pairwise",
        )
    return [contrastive, pairwise]
