"""Lay out the photos and the results of the Compare tab: decision, chart, faces, every model's decision.

The components open with the example; `tab.py` updates them.
"""

from typing import Any

import gradio as gr

from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.photo_input import PhotoInput


def photos_of(opening: tuple[Any, Any], names: list[str]) -> tuple[list[PhotoInput], list[gr.Button]]:
    """Lay out both photos and the examples."""
    with gr.Row(elem_classes="fl-pair"):
        photos = [
            PhotoInput(f"Photo {name}", f"photo-{name.lower()}", image) for name, image in zip("AB", opening)
        ]
    with gr.Row(elem_classes="fl-examples"):
        examples = [gr.Button(f"Try: {name.lower()}", size="sm") for name in names]
    return photos, examples


def results_of(first: list[Any]) -> list[Any]:
    """Return the components that `outcome` fills, in its order, with the opening example."""
    pair, card, figure, *seen, radio_a, radio_b = first
    with beside():
        verdict = gr.HTML(card, elem_id="verdict", padding=False)
        label = "Score distributions of genuine and impostor pairs, with this pair and the threshold"
        chart = Chart(figure, label, "chart")
    cards_seen, choices = [], []
    with gr.Row():
        for name, html, radio in zip("AB", seen, (radio_a, radio_b)):
            with gr.Column():
                cards_seen.append(gr.HTML(html, elem_id=f"seen-{name.lower()}"))
                choices.append(
                    gr.Radio(
                        radio.get("choices", ["1"]),
                        value=radio.get("value", "1"),
                        visible=radio["visible"],
                        label=f"Face in photo {name}",
                        info="1 is the largest. Default: the main face, large and near the center.",
                        elem_id=f"face-{name.lower()}",
                    )
                )
    return [gr.State(pair, time_to_live=60 * MINUTES), verdict, chart, *cards_seen, *choices]


def explanation_of(first: list[Any]) -> list[Any]:
    """Return the components that `explain` fills, in its order, with the opening example; and the button that
    asks for the decomposition of a score.
    """
    scores, table, figure, why_html = first
    shown = [
        gr.State(scores, time_to_live=60 * MINUTES),
        gr.HTML(table, elem_id="models", padding=False),
        Chart(figure, "Score and threshold of every model", "models-chart"),
    ]
    ask = gr.Button("Explain the score", elem_id="explain", size="sm")
    return [*shown, gr.HTML(why_html, elem_id="why", padding=False), ask]


def show_faces(pair: Any) -> tuple[str, str, Any, Any]:
    """Return both photos of a `Pair` with their faces, and the choice between several."""
    out: list[Any] = [
        cards.detection_card(pair.a, pair.face_a, "Photo A"),
        cards.detection_card(pair.b, pair.face_b, "Photo B"),
    ]
    for detection, chosen in ((pair.a, pair.face_a), (pair.b, pair.face_b)):
        count = len(detection.faces)
        out.append(
            gr.update(choices=[str(i + 1) for i in range(count)], value=str(chosen + 1), visible=count > 1)
        )
    return tuple(out)
