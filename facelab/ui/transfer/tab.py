"""Show transfer learning: accuracy on few photos of new identities, by initialization.

The curves are measured beforehand (`facelab.lessons.transfer`); below them a visitor fine-tunes a shipped
network on new identities (`live`).
"""

import html

import gradio as gr

from facelab.lessons import transfer as lesson
from facelab.lessons.transfer import Outcome
from facelab.plots.transfer import LOOKS, summary, transfer_curves
from facelab.ui.links import Controls
from facelab.ui.transfer import live as transfer_live
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.prediction import predict

TITLE = "Transfer"
PEOPLE = 40  # in the ORL faces
LEAD = (
    "You have a few photos per person; a pretrained network has seen many faces. **Is it better to "
    "initialize from its weights? And then, to fine-tune all layers, the last ones, or only a new head?**"
)
MISSING = (
    "No curve has been measured yet. Make it with python -m facelab lessons transfer, from crops of people "
    "with ten photos each, as the ORL faces are, and start the page again."
)
PARTLY = " **To stage3**: freeze up to that stage, train the rest."
WAYS = (
    "**Whole**: fine-tune all layers.{partly} **Frozen**: train the new head only. **Scratch**: random "
    "initialization. All runs have the same number of steps and the same four held-out photos per identity; "
    "a bar reaches from the worst seed to the best."
)


def build() -> Controls:
    """Lay the tab out with the measured curves; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    outcomes = lesson.load()
    _prediction(outcomes)
    if outcomes:
        label = "Held-out top-1 accuracy against training photos per identity, a line per initialization"
        with beside():
            Chart(transfer_curves(outcomes, PEOPLE), label, "transfer-curves")
            gr.HTML(answer_card(outcomes), elem_id="transfer-answer", padding=False)
        partly = PARTLY if any("stage" in one.start for one in outcomes) else ""
        gr.Markdown(WAYS.format(partly=partly), elem_classes="fl-small")
    else:
        gr.HTML(cards.hint(MISSING), elem_id="transfer-missing", padding=False)
    return transfer_live.section()


def _prediction(outcomes: list[Outcome]) -> None:
    """Ask which way is better with the fewest photos; the answer was measured."""
    found = [summary(outcomes, name) for name in ("ImageNet, whole", "ImageNet, frozen")]
    if not all(found):
        return
    shots = min(found[0])
    whole, frozen = (points[shots][0] for points in found)
    predict(
        "transfer",
        f"A network trained on ImageNet, {shots} photo per person: is it better to fine-tune all layers, or "
        "to train a new head only?",
        ("All layers", "The head only"),
        int(frozen > whole),
        f"Held-out accuracy {whole:.0%} with all layers, {frozen:.0%} with the head only: few photos cannot "
        "correct many weights. A network trained on faces behaves otherwise, as the curves show.",
    )


def answer_card(outcomes: list[Outcome]) -> str:
    """Return the best initialization at both ends of the curves, and a table of them, folded."""
    shots = sorted({one.shots for one in outcomes})
    ends = (shots[0], shots[-1])
    found = {name: summary(outcomes, name) for name in LOOKS}
    best = [max((f[n][0], name) for name, f in found.items() if n in f)[1] for n in ends]
    few, many = (f"{n} photo{'s' if n > 1 else ''}" for n in ends)
    title = f"“{html.escape(best[0])}”, with {few} and with {many} per identity"
    if best[0] != best[1]:
        title = f"“{html.escape(best[0])}” with {few} per identity, “{html.escape(best[1])}” with {many}"
    rows = "".join(_row(name, [points.get(n) for n in shots]) for name, points in found.items() if points)
    heads = "".join(f"<th scope='col'>{n} photo{'s' if n > 1 else ''}</th>" for n in shots)
    return (
        f'<div class="fl-card"><h3>Highest held-out accuracy: {title}</h3>'
        f"<details class='fl-more'><summary>Values of the curves</summary>"
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Accuracy of each initialization'>"
        f"<table class='fl-table'><thead><tr><th scope='col'>initialization</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details><p class='fl-small'>Held-out top-1 accuracy: mean "
        f"over seeds (worst–best); {PEOPLE} identities of the ORL faces, chance level 1/K = {1 / PEOPLE:.1%}."
        f"</p></div>"
    )


def _row(name: str, points: list[tuple[float, float, float] | None]) -> str:
    cells = "".join(
        f"<td>{p[0]:.0%} <span class='fl-small'>({p[1]:.0%}–{p[2]:.0%})</span></td>" if p else "<td>–</td>"
        for p in points
    )
    return f"<tr><th scope='row'>{html.escape(name)}</th>{cells}</tr>"
