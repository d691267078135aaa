"""The dashboards of one run or two: error curves, histograms, maps, identities, reliability, groups."""

import html
from collections.abc import Mapping
from typing import Any

import gradio as gr

from facelab.data.images import printable
from facelab.evaluation.groups import group_rows
from facelab.evaluation.own_maps import mapped
from facelab.evaluation.own_runs import Judged, compare_runs, groups_of, judge_run
from facelab.plots.verification import error_curves, score_shares
from facelab.ui.own import maps
from facelab.ui.own.maps import SLOTS, Maps
from facelab.ui.own.runs import Run, Runs, most_judged
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.vector_cards import figures_card, nearest_card, reliability_of

NOTHING = "Bring embeddings or photos and press Evaluate: the dashboards appear here."
BLANK = [None, "", None, "", ""]  # of one run
COUNT = 7 + len(SLOTS) * len(BLANK)  # what `build` lays out


def titles(runs: Runs) -> dict[str, str]:
    """Return the titles by slot, told apart by the slot's letter."""
    return {slot: f"{slot}: {printable(runs[slot].title)[:60]}" for slot in SLOTS if slot in runs}


def evaluate(runs: Runs, pairs: str | None, groups: str | None) -> tuple[Maps, list[Any]]:
    """Return (what the maps draw, what `build` lays out, in its order) for the runs of a visit.

    Args:
        runs: one or two.
        pairs: path of a list of pairs, or None for all pairs.
        groups: path of a table of groups, or None.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if not runs:
        raise ValueError("there is nothing to evaluate yet; bring embeddings, or photos by person, first")
    named = titles(runs)
    found = {slot: judge_run(runs[slot].vectors, pairs, most_judged()) for slot in named}
    curves = {named[slot]: judged.curve for slot, judged in found.items()}
    out: list[Any] = [difference_card(runs, named, pairs)]
    out += [error_curves(curves), error_curves(curves, det=True)]
    for slot in SLOTS:
        out += run_outputs(named[slot], found[slot]) if slot in found else BLANK
    out.append("".join(groups_card(named[slot], runs[slot], pairs, groups) for slot in found))
    drawn = Maps(named, mapped({slot: runs[slot].vectors for slot in named}))
    return drawn, [*out, *maps.draw(drawn, "pca")]


def run_outputs(title: str, judged: Judged) -> list[Any]:
    """Return (histogram, nearest, reliability, its card, figures) of one run."""
    reliability = [None, ""]
    if judged.columns is not None:
        reliability = reliability_of(title, judged.vectors.logits, judged.columns)[::-1]
    near = nearest_card([tuple(map(printable, pair[:2])) + pair[2:] for pair in judged.nearest])
    return [
        score_shares(judged.edges, judged.genuine, judged.impostor),
        near if judged.nearest else "",
        *reliability,
        figures_card(title, judged.report, judged.notes),
    ]


def difference_card(runs: Runs, named: Mapping[str, str], pairs: str | None) -> str:
    """Return which of two runs is better, and whether that may be chance; empty for one run."""
    if len(named) < 2:
        return ""
    try:
        found = compare_runs(*(runs[slot].vectors for slot in SLOTS), pairs)
    except ValueError as error:
        return cards.problem(f"The two runs cannot be compared: {error}.")
    value, low, high = found["eer"]
    better = named["A" if value < 0 else "B"]
    verdict = f"✔ {better} has the lower EER" if found["decided"] else "The difference may be chance"
    cells = [("EER, A minus B", f"{value:+.1%} ({low:+.1%} to {high:+.1%})")]
    for far, (more, least, most) in found["tar_at_far"].items():
        cells.append(
            (f"TAR at FAR {100 * float(far):g}%, A minus B", f"{more:+.1%} ({least:+.1%} to {most:+.1%})")
        )
    return (
        f'<div class="fl-card" role="status"><h2>{html.escape(verdict)}</h2>{cards.figures(*cells)}'
        f'<p class="fl-small">Paired bootstrap: both runs are judged on the same {found["pairs"]:,} pairs in '
        "each of the draws, so what makes a pair hard for both cancels. In parentheses: 95% interval; it "
        "decides if it leaves 0 out.</p></div>"
    )


def groups_card(title: str, run: Run, pairs: str | None, groups: str | None) -> str:
    """Return FRR and FAR by group as a table with the notes on what it cannot show; empty without groups."""
    if groups is None:
        return ""
    try:
        report = groups_of(run.vectors, groups, pairs)
    except ValueError as error:
        return cards.problem(f"{title}: {error}.")
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(group)}</th><td>{frr}</td><td>{far}</td><td>{remark}</td></tr>"
        for group, frr, far, remark in group_rows(report)
    )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report["notes"])
    return (
        f"<div class='fl-card'><h3>Errors by group: {html.escape(title)}</h3><p>Threshold "
        f"{report['threshold']:.3f}, at FAR {report['far']:.1%} over all.</p>"
        "<div class='fl-scroll' tabindex='0' role='region' aria-label='Errors by group'>"
        "<table class='fl-table'><thead><tr><th scope='col'>group</th>"
        "<th scope='col'>FRR (95% interval, pairs)</th><th scope='col'>FAR (95% interval, pairs)</th>"
        f"<th scope='col'>remark</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"<ul class='fl-small'>{notes}</ul></div>"
    )


def build() -> list[Any]:
    """Lay the dashboards out, empty; return the components that `evaluate` fills, in its order."""
    difference = gr.HTML("", elem_id="own-difference", padding=False)
    figures, hists, near, charts, reliable = {}, {}, {}, {}, {}
    with beside():
        for slot in SLOTS:
            first = cards.hint(NOTHING) if slot == "A" else ""
            figures[slot] = gr.HTML(first, elem_id=f"own-figures-{slot.lower()}", padding=False)
    with beside():
        roc = Chart(None, "ROC: TAR against FAR of your runs", "own-roc", title="ROC")
        det = Chart(None, "DET: FRR against FAR of your runs", "own-det", title="DET")
    with beside():
        for slot in SLOTS:
            hists[slot] = Chart(None, f"Score histogram of run {slot}", f"own-hist-{slot.lower()}")
    drawn = maps.build()
    with beside():
        for slot in SLOTS:
            with gr.Column(min_width=0):
                near[slot] = gr.HTML("", elem_id=f"own-near-{slot.lower()}", padding=False)
                charts[slot] = Chart(None, f"Reliability diagram of run {slot}", f"own-ece-{slot.lower()}")
                reliable[slot] = gr.HTML("", elem_id=f"own-claims-{slot.lower()}", padding=False)
    groups = gr.HTML("", elem_id="own-groups", padding=False)
    each = [
        made[slot] for slot in SLOTS for made in (hists, near, charts, reliable, figures)
    ]  # as `run_outputs`
    return [difference, roc, det, *each, groups, *drawn]
