"""Cards of the training doctor: what is wrong with a run, the numbers that show it, and what to change."""

import html
import re

from facelab.evaluation.doctor import Finding, diagnose
from facelab.evaluation.run_log import RunLog, from_rows
from facelab.models.checkpoint import Header

TITLE = "Training doctor"
SILENT = "No rule of the doctor applies to this run."
CURVES = {
    "loss": "loss",
    "class_loss": "class loss",
    "pair_loss": "pair loss",
    "accuracy": "training accuracy",
    "lr": "learning rate",
    "norm": "embedding norm",
    "val_loss": "held-out loss",
    "val_accuracy": "held-out accuracy",
    "eer": "EER",
}


def header_card(header: Header) -> str:
    """Return the findings on the run of a checkpoint, by the history in its header; empty without one."""
    if not header.history:
        return ""
    measured = any(header.metrics.values())
    return log_card(from_rows(header.recipe, header.num_classes, header.history, measured))


def log_card(log: RunLog) -> str:
    """Return the findings on a run as a card, with the curves that were read."""
    findings = diagnose(log)
    read = ", ".join(
        f"{CURVES[name]} ({len(log.curve(name)):,} points)" for name in CURVES if name in log.curves
    )
    said = "".join(map(_finding, findings)) or f"<p>✔ {SILENT}</p>"
    return (
        f'<div class="fl-card {"fl-different" if findings else "fl-same"}" role="status"><h3>{TITLE}</h3>'
        f'{said}<p class="fl-small">Read: {read}. A rule compares numbers of a run with the number that its '
        "failure must show, and is silent where one of them was not logged.</p></div>"
    )


def _finding(finding: Finding) -> str:
    return (
        f"<p><b>⚠ {_marked(finding.title)}.</b> {_marked(finding.saw)} <b>Remedy:</b> "
        f"{_marked(finding.remedy)}</p>"
    )


def _marked(text: str) -> str:
    """Return text with its `code` as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
