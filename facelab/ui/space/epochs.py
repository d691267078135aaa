"""Two numbers per face: training watched epoch by epoch, softmax beside another loss.

Every epoch is a frame of the chart, so that slider and play button ask nothing of the server.
"""

from typing import Any

import gradio as gr

from facelab.lessons import epochs as lesson
from facelab.plots.space import epochs_figure, reach
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart

TEXT = (
    "Here the network may keep **two numbers per face** only, so nothing has to be squeezed: this *is* its "
    "embedding space. It learns to tell ten people apart. A gray ray is a person’s prototype, their row of "
    "the last layer, with its number at the tip. Drag the slider or press play: **softmax only pushes people "
    "into different directions; what does the other loss do?**"
)
MISSING = f"No run with two numbers per face has been recorded yet; {lesson.MAKE}."
LOSSES = [("softmax", "softmax"), ("softmax + center loss", "center"), ("ArcFace", "arcface")]
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
    """The run of a loss; only softmax was trained with a bias as well."""
    return "softmax_bias" if loss == "softmax" and bias else loss


def show(left: str, right: str, others: bool, bias: bool) -> list[Any]:
    """(left chart, what it says, right chart, what it says)."""
    out: list[Any] = []
    names = [run_name(loss, bias) for loss in (left, right)]
    limit = max((reach(lesson.load(name)) for name in names if name in lesson.names()), default=1.0)
    for name in names:
        try:
            out += [epochs_figure(lesson.load(name), others, heading(name), limit), card(name)]
        except ValueError as error:
            out += [None, cards.hint(f"{error}.".capitalize())]
    return out


def heading(name: str) -> str:
    """What a run is called on the page."""
    return {loss: label for label, loss in LOSSES}.get(name, "softmax with bias")


def card(name: str) -> str:
    """Where a run ended."""
    run = lesson.load(name)
    training, others = run.accuracy[-1]
    largest = int(abs(run.bias[-1]).argmax())
    words = {
        "softmax": "No bias: a person is told by direction alone, and photos spread far out along their ray.",
        "softmax_bias": f"With a bias, person {largest + 1} ({run.bias[-1, largest]:+.1f}) need not win by "
        "direction: who has the largest bias wins wherever the others score low, near the middle.",
        "center": "Photos are also pulled to their person’s center: rays shrink to clumps nearer the middle.",
        "arcface": "Only angles count, with a margin between people; how far out a photo lies plays no part.",
    }
    return (
        f'<div class="fl-card" role="status"><h3>{heading(name)}</h3><p>{words[name]}</p>'
        f'<p class="fl-small">After {len(run.accuracy)} epochs {training:.0%} of the training photos and '
        f"{others:.0%} of the new ones are named rightly. "
        f"Axes stay fixed through the run and are the same left and right.</p></div>"
    )


def section() -> Controls:
    """Both charts and their controls, or what is missing."""
    gr.Markdown("### Two numbers per face, epoch by epoch")
    found = lesson.names()
    if not found:
        gr.Markdown(MISSING, elem_id="epochs-missing")
        return {}
    gr.Markdown(TEXT)
    left, right, others, bias = settings = _controls()
    epochs = max(len(lesson.load(name).accuracy) for name in found)
    with gr.Row(elem_classes="fl-controls"):
        epoch = gr.Slider(1, epochs, epochs, step=1, label="Epoch", elem_id="epochs-slider", scale=4,
                          info="How often all training photos have been seen.")  # fmt: skip
        play = gr.Button("▶ Play", elem_id="epochs-play", scale=1, size="sm")
    shown = []
    first = show(*(control.value for control in settings))
    with gr.Row():
        for side, figure, words in zip(("left", "right"), first[::2], first[1::2]):
            with gr.Column(min_width=300):
                shown += [
                    Chart(
                        figure, "Embeddings of two numbers at one epoch, with prototypes", f"epochs-{side}"
                    ),
                    gr.HTML(words, elem_id=f"epochs-{side}-card", padding=False),
                ]
    for control in settings:
        control.change(show, list(settings), shown, api_visibility="private", show_progress="hidden")
    epoch.change(None, epoch, None, js=SEEK, api_visibility="private")
    play.click(None, None, None, js=PLAY, api_visibility="private")
    return {"run": left, "against": right, "held-out": others, "bias": bias}


def _controls() -> tuple[gr.Radio, gr.Radio, gr.Radio, gr.Checkbox]:
    with gr.Row(elem_classes="fl-controls"):
        left = gr.Radio(LOSSES, value="softmax", label="Left", info="The loss that was minimized.",
                        elem_id="epochs-left-loss")  # fmt: skip
        right = gr.Radio(LOSSES, value="center", label="Right", info="The loss that was minimized.",
                         elem_id="epochs-right-loss")  # fmt: skip
    with gr.Row(elem_classes="fl-controls"):
        others = gr.Radio([("training photos", False), ("new photos of them", True)], value=False,
                          label="Photos", info="What was learned, and what was held out.",
                          elem_id="epochs-photos")  # fmt: skip
        bias = gr.Checkbox(False, label="Last layer has a bias", elem_id="epochs-bias",
                           info="Softmax only: a person can then win by bias, not direction.")  # fmt: skip
    return left, right, others, bias
