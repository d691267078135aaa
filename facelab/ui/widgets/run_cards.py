"""Build the cards of the Train and Transfer tabs: the state of a run, its figures, the run history."""

import html
import math
from dataclasses import dataclass

from facelab.lessons.live.course import Snapshot
from facelab.ui.widgets import cards

STATES = {
    "waiting": "⏳ Waiting in the queue",
    "starting": "▶ Starting",
    "training": "▶ Training",
    "ending": "■ Ending: evaluating",
    "stopped": "■ Stopped",
    "finished": "✔ Finished",
}
EXAMPLE = "Example: a recorded run"
LAST = "fl-same"


@dataclass(frozen=True)
class RunRow:
    """A row of the table of runs.

    Attributes:
        what: network, loss, and changed settings.
        on: the faces, as text.
        data: equal for two runs if and only if they were trained and evaluated on the same faces.
        steps, loss, right, eer, seconds: its figures, as shown.
    """

    what: str
    on: str
    data: str
    steps: str
    loss: str
    right: str
    eer: str
    seconds: str


def duration(seconds: float) -> str:
    """Format seconds: 48 s, 3 min 5 s."""
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def share(value: float) -> str:
    """Format a share in percent, or a dash for NaN."""
    return f"{value:.1%}" if math.isfinite(value) else "–"


def held_out(snapshot: Snapshot, name: str) -> float:
    """Return the newest held-out figure of that name; NaN before the first."""
    return snapshot.figures[-1][1].get(name, math.nan) if snapshot.figures else math.nan


def run_card(snapshot: Snapshot, closed: bool = False, example: bool = False) -> str:
    """Return the state of a run. The card of a visitor's own run is marked as unsaved (see page.js).

    Args:
        snapshot: the run.
        closed: whether to evaluate held-out photos of the same people, not unseen people.
        example: whether it is the recorded run with which the page opens.
    """
    if snapshot.state == "failed":
        return cards.problem(snapshot.message[:1].upper() + snapshot.message[1:].rstrip(".") + ".")
    over = snapshot.state in ("stopped", "finished")
    words = _words(snapshot)
    role = ' role="status"' if over or snapshot.state == "waiting" else ""  # every frame would be too much
    kind = LAST if over and not example else ""
    numbers = _figures(snapshot, closed) if snapshot.losses else ""
    title = EXAMPLE if example else STATES[snapshot.state]
    lost = "" if example or (over and snapshot.result is None) else " data-unsaved"
    return f'<div class="fl-card {kind}"{role}{lost}><h2>{title}</h2><p>{words}</p>{numbers}</div>'


def _words(snapshot: Snapshot) -> str:
    if snapshot.state == "waiting":
        others = "one run is" if snapshot.ahead == 1 else f"{snapshot.ahead} runs are"
        return (
            f"<b>Position {snapshot.ahead + 1} in the queue:</b> {others} before yours, one run at a time. "
            f"{_wait(snapshot.seconds_left)} Yours starts automatically; Stop leaves the queue."
        )
    if snapshot.state == "starting":
        return f"Rendering faces and building the network ({snapshot.seconds:.0f} s)."
    if snapshot.state in ("stopped", "finished"):
        return html.escape(snapshot.message) or "The charts below show the whole run."
    if snapshot.state == "ending":
        return "The current step is the last."
    return f"About <b>{duration(snapshot.seconds_left)}</b> left."


def _wait(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "The wait can be estimated once the run before yours has begun to train."
    return f"The wait is about <b>{duration(max(10, 10 * math.ceil(seconds / 10)))}</b>."


def _figures(snapshot: Snapshot, closed: bool) -> str:
    held, words = (
        ("top_1", "top-1 accuracy, held-out photos") if closed else ("eer", "EER, unseen identities")
    )
    cells = (
        ("step", f"{snapshot.step} of {snapshot.steps}"),
        ("epoch", f"{snapshot.epoch} of {snapshot.epochs}"),
        ("loss", f"{snapshot.losses[-1]:.3f}"),
        ("training accuracy", share(snapshot.accuracies[-1])),
        (words, share(held_out(snapshot, held))),
        ("time" if snapshot.state in ("stopped", "finished") else "time so far", duration(snapshot.seconds)),
    )
    return cards.figures(*cells)


def run_row(snapshot: Snapshot, what: str, on: str, data: str) -> RunRow:
    """Return the row of a finished run; see `RunRow` for its fields."""
    return RunRow(
        what,
        on,
        data,
        f"{snapshot.step} of {snapshot.steps}" + (" (stopped)" if snapshot.state == "stopped" else ""),
        f"{snapshot.losses[-1]:.3f}",
        share(snapshot.accuracies[-1]),
        share(held_out(snapshot, "eer")),
        duration(snapshot.seconds),
    )


def history_card(rows: tuple[RunRow, ...]) -> str:
    """Return the runs of this visit, newest first; mark the lowest EER among runs on the same faces."""
    if not rows:
        return cards.hint("Your runs are listed here, newest first: change one setting and compare.")
    heads = ("run", "data", "steps", "last loss", "training accuracy", "EER, unseen identities", "time")
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    best = lowest(rows)
    body = "".join(_row(row, i in best) for i, row in reversed(list(enumerate(rows))))
    return (
        '<div class="fl-card"><h3>Run history</h3><div class="fl-scroll" tabindex="0" role="region" '
        f"aria-label='Run history'><table class='fl-table'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        '<p class="fl-small">✔ is the lowest EER of several runs on the same faces; EERs on different faces '
        "are not comparable. Synthetic faces are an illustration: their EER does not predict the EER on "
        "real people.</p></div>"
    )


def lowest(rows: tuple[RunRow, ...]) -> set[int]:
    """Return the numbers of the rows with the lowest EER of two or more on the same faces."""
    groups: dict[str, dict[int, float]] = {}
    for i, row in enumerate(rows):
        if row.eer != "–":
            groups.setdefault(row.data, {})[i] = float(row.eer.rstrip("%"))
    return {min(errors, key=errors.get) for errors in groups.values() if len(errors) > 1}


def _row(row: RunRow, best: bool) -> str:
    rest = (row.on, row.steps, row.loss, row.right, row.eer + (" ✔" if best else ""), row.seconds)
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in rest)
    return f"<tr><th scope='row'>{html.escape(row.what)}</th>{cells}</tr>"
