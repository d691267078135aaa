"""Show 2-D embeddings epoch by epoch, softmax beside another loss.

Every epoch is a frame of the chart, so slider and play button need no call to the server.
"""

from typing import Any

import gradio as gr

from facelab.lessons import epochs as lesson
from facelab.plots.space import epochs_figure, reach
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live

TEXT = (
    "With a **2-D embedding** no projection is needed: this *is* the embedding space (Wen et al. 2016, "
    "figs. 2–3). The network classifies K = 10 identities. A gray ray is a class weight vector W_y "
    "(prototype), with the class number at its tip. Left of each pair: training photos, right: held-out. "
    "Drag the epoch or press play: **softmax separates the classes by direction; what does the other loss "
    "add, and must it be there from the beginning?**"
)
MISSING = f"No run with 2-D embeddings has been recorded yet; {lesson.MAKE}."
LOSSES = [
    ("softmax", "softmax"),
    ("softmax + center loss", "center"),
    (f"center loss from epoch {lesson.LATE['center_late'][0] + 1} on", "center_late"),
    ("ArcFace", "arcface"),
]
BOTH = "both"
PHOTOS: dict[bool | str, tuple[bool, ...]] = {BOTH: (False, True), False: (False,), True: (True,)}
SEEK = """(epoch) => {
  for (const plot of document.querySelectorAll('#epochs-left .facelab-chart, #epochs-right .facelab-chart')) {
    plot.dispatchEvent(new CustomEvent('frame', {detail: epoch - 1}));
  }
}"""
PLAY = """() => {
  const field = document.querySelector('#epochs-slider input[type=number]');
  const button = document.querySelector('#epochs-play');
  const write = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const stop = () => {
    clearInterval(window.facelabPlay);
    window.facelabPlay = 0;
    button.textContent = '▶ Play';
  };
  const go = (epoch) => {
    write.call(field, epoch);
    field.dispatchEvent(new Event('input', {bubbles: true}));
  };
  if (window.facelabPlay) return stop();
  let epoch = Number(field.value) >= Number(field.max) ? 0 : Number(field.value);
  button.textContent = '‖ Pause';
  window.facelabPlay = setInterval(() => {
    if (!field.isConnected || epoch >= Number(field.max)) return stop();
    go(++epoch);
  }, 160);
}"""


def run_name(loss: str, bias: bool) -> str:
    """Return the run of a loss; only softmax was trained with a bias as well."""
    return "softmax_bias" if loss == "softmax" and bias else loss


def show(left: str, right: str, others: bool | str, bias: bool) -> list[Any]:
    """Return (left chart, left card, right chart, right card)."""
    out: list[Any] = []
    names = [run_name(loss, bias) for loss in (left, right)]
    limit = max((reach(lesson.load(name)) for name in names if name in lesson.names()), default=1.0)
    for name in names:
        try:
            out += [epochs_figure(lesson.load(name), PHOTOS[others], heading(name), limit), card(name)]
        except ValueError as error:
            out += [None, cards.hint(f"{error}.".capitalize())]
    return out


def heading(name: str) -> str:
    """Return the label of a run."""
    return {loss: label for label, loss in LOSSES}.get(name, "softmax with bias")


def card(name: str) -> str:
    """Return the card of a run's end: what the map shows, and both accuracies."""
    run = lesson.load(name)
    training, others = run.accuracy[-1]
    spread = " and ".join(f"{lesson.compactness(run, held):.2f}" for held in (False, True))
    largest = int(abs(run.bias[-1]).argmax())
    words = {
        "softmax": "No bias: only direction decides the class; norms grow along each ray. Separable, not "
        "discriminative.",
        "softmax_bias": f"With a bias, direction alone does not decide: class {largest + 1} has the largest "
        f"({run.bias[-1, largest]:+.1f}) and wins near the origin, where all dot products are small.",
        "center": "Center loss pulls each embedding to its class center: small intra-class distance, "
        "discriminative.",
        "center_late": "Center loss was added after half of the training, its centers at zero: from the same "
        "point as softmax it pulls the classes together, but less than from the beginning.",
        "arcface": "Only angles count, with an angular margin m between classes; the norm has no effect.",
    }
    return (
        f'<div class="fl-card" role="status"><h3>{heading(name)}</h3><p>{words[name]}</p>'
        f'<p class="fl-small">After {len(run.accuracy)} epochs: training accuracy {training:.0%} '
        f"({len(run.training_labels):,} photos), held-out accuracy {others:.0%} "
        f"({len(run.other_labels):,} photos). Distance to the own class center ÷ distance from it to the "
        f"nearest other: {spread} (training, held-out). Axes are equal left and right.</p>"
        f"</div>"
    )


def section() -> Controls:
    """Lay out both charts and their controls, or a hint what is missing."""
    gr.Markdown("### 2-D embeddings, epoch by epoch")
    found = lesson.names()
    if not found:
        gr.Markdown(MISSING, elem_id="epochs-missing")
        return {}
    gr.Markdown(TEXT)
    epochs = max(len(lesson.load(name).accuracy) for name in found)
    with columns() as (panel, results):
        with panel:
            left, right, others, bias = settings = _controls()
            with live():
                epoch = gr.Slider(1, epochs, epochs, step=1, label="Epoch", elem_id="epochs-slider",
                                  info="Passes over the training photos.")  # fmt: skip
                play = gr.Button("▶ Play", elem_id="epochs-play", size="sm")
        with results:
            shown = _pair(show(*(control.value for control in settings)))
    for control in settings:
        control.change(show, list(settings), shown, api_visibility="private", show_progress="hidden")
    epoch.change(None, epoch, None, js=SEEK, api_visibility="private")
    play.click(None, None, None, js=PLAY, api_visibility="private")
    return {"run": left, "against": right, "held-out": others, "bias": bias}


def _pair(first: list[Any]) -> list[Any]:
    """Lay out both charts with their cards."""
    shown = []
    with beside():
        for side, figure, words in zip(("left", "right"), first[::2], first[1::2]):
            with gr.Column(min_width=0):
                shown += [
                    Chart(figure, "2-D embeddings at one epoch, with class weight vectors", f"epochs-{side}"),
                    gr.HTML(words, elem_id=f"epochs-{side}-card", padding=False),
                ]
    return shown


def _controls() -> tuple[gr.Radio, gr.Radio, gr.Radio, gr.Checkbox]:
    with gr.Row(elem_classes="fl-controls"):
        left = gr.Radio(LOSSES, value="softmax", label="Left", info="The loss that was minimized.",
                        elem_id="epochs-left-loss")  # fmt: skip
        right = gr.Radio(LOSSES, value="center", label="Right", info="The loss that was minimized.",
                         elem_id="epochs-right-loss")  # fmt: skip
    with gr.Row(elem_classes="fl-controls"):
        choices = [("both", BOTH), ("training photos", False), ("held-out photos", True)]
        others = gr.Radio(choices, value=BOTH,
                          label="Photos", info="Of the same ten training identities.",
                          elem_id="epochs-photos")  # fmt: skip
        bias = gr.Checkbox(False, label="Bias in last layer", elem_id="epochs-bias",
                           info="Softmax only: a class can then win by its bias.")  # fmt: skip
    return left, right, others, bias
