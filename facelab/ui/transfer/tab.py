"""Transfer: what weights that were trained before are worth, when there are few photos of new people.

The curves were measured beforehand (`facelab.lessons.transfer`); below them a visitor teaches a shipped
network new people, live (`transfer_live`).
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

TITLE = "Transfer"
PEOPLE = 40  # in the ORL faces
LEAD = (
    "Nobody has a million photos of the people at their own door, but somebody has trained a network on "
    "such a crowd. **With a few photos of each new person, is it better to start from those weights? And "
    "then, to train all of them or only a new last layer?**"
)
MISSING = (
    "No curve has been measured yet. Make it with python -m facelab lessons transfer, from crops of people "
    "with ten photos each, as the ORL faces are, and start the page again."
)
WAYS = (
    "**Whole**: start from trained weights and go on training every layer. **Frozen**: leave the network "
    "as it is and train only a new head that names the new people. **Scratch**: start from random weights. "
    "Every run takes the same number of steps and is judged on the same four photos of each person, which "
    "no run learns from; a bar reaches from the worst seed to the best."
)


def build() -> Controls:
    """Lay the tab out; it opens on the measured curves."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    outcomes = lesson.load()
    if outcomes:
        gr.HTML(answer_card(outcomes), elem_id="transfer-answer", padding=False)
        label = "Share of new photos named rightly against photos to learn from, a line for each start"
        Chart(transfer_curves(outcomes, PEOPLE), label, "transfer-curves")
        gr.Markdown(WAYS, elem_classes="fl-small")
    else:
        gr.HTML(cards.hint(MISSING), elem_id="transfer-missing", padding=False)
    return transfer_live.section()


def answer_card(outcomes: list[Outcome]) -> str:
    """What the curves say at both ends, in a sentence and a table."""
    shots = sorted({one.shots for one in outcomes})
    ends = (shots[0], shots[-1])
    found = {name: summary(outcomes, name) for name in LOOKS}
    best = [max((f[n][0], name) for name, f in found.items() if n in f)[1] for n in ends]
    few, many = (f"{n} photo{'s' if n > 1 else ''}" for n in ends)
    title = f"“{html.escape(best[0])}”, with {few} of each to learn from and with {many} too"
    if best[0] != best[1]:
        title = f"“{html.escape(best[0])}” with {few} of each, and by “{html.escape(best[1])}” with {many}"
    rows = "".join(_row(name, [points.get(n) for n in shots]) for name, points in found.items() if points)
    heads = "".join(f"<th scope='col'>{n} photo{'s' if n > 1 else ''}</th>" for n in shots)
    return (
        f'<div class="fl-card"><h3>Most new photos are named rightly by {title}</h3>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Accuracy of each start'>"
        f"<table class='fl-table'><thead><tr><th scope='col'>start</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div><p class='fl-small'>Mean over the seeds, in brackets the worst "
        f"and best; {PEOPLE} people of the ORL faces, so guessing names {1 / PEOPLE:.1%}.</p></div>"
    )


def _row(name: str, points: list[tuple[float, float, float] | None]) -> str:
    cells = "".join(
        f"<td>{p[0]:.0%} <span class='fl-small'>({p[1]:.0%}–{p[2]:.0%})</span></td>" if p else "<td>–</td>"
        for p in points
    )
    return f"<tr><th scope='row'>{html.escape(name)}</th>{cells}</tr>"
