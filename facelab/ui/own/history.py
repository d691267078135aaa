"""Ask the training doctor about a run that a visitor brings: a checkpoint with its history, or a log."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from facelab.evaluation.run_log import PAIR_LOSSES, RunLog, Settings, read_run
from facelab.lessons.live.settings import losses
from facelab.settings import hosted
from facelab.ui.uploads import deleting
from facelab.ui.widgets import cards
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.doctor import log_card

LEAD = (
    "### A training\nThe log of a run of any program (CSV or TSV with titles, a JSON object a line, or "
    "TensorBoard’s event file) or a checkpoint of FaceLab. The training doctor says what is wrong with it."
)
NOTHING = "No run of yours is here."
LARGEST_HOSTED = 2 << 20  # bytes of a log, which may take 150 times as much memory
MOST_CLASSES = 10**9
UNKNOWN = "not known"
QUIET = {"api_visibility": "private"}


def read(path: str) -> RunLog:
    """Read a run; the settings of a checkpoint come from its header, a log's are unknown.

    Raises:
        ValueError: one sentence, as `read_run`, or a log that is too large for a hosted page.
    """
    file = Path(path)
    if hosted() and file.suffix != ".safetensors" and file.stat().st_size > LARGEST_HOSTED:
        raise ValueError(f"{file.name} is larger than {LARGEST_HOSTED >> 20} MB; log one row an epoch")
    return read_run(path)


def stated(
    loss: str, classes: float | None, margin: float | None, scale: float | None, pretrained: bool
) -> Settings:
    """Return the settings of a log, as the visitor states them.

    Raises:
        ValueError: an impossible number of classes.
    """
    if classes is not None and not 2 <= classes <= MOST_CLASSES:
        raise ValueError(f"a training has 2 to {MOST_CLASSES:,} classes; correct the number of classes")
    of_pairs = bool(set(loss.split("+")) & set(PAIR_LOSSES))
    return Settings(
        loss or None,
        None if classes is None else int(classes),
        None if of_pairs else margin,
        scale,
        pair_margin=margin if of_pairs else None,
        pretrained=pretrained,
    )


def on_log(path: str | None, *values: Any) -> list[Any]:
    """Take a run in and delete its file -> (run, the findings, the emptied input)."""
    if path is None:
        return [gr.skip()] * 3
    try:
        with deleting(path):
            log = read(path)
        return [log, findings(log, *values), None]
    except ValueError as error:
        return [gr.skip(), cards.problem(f"{error}."), None]


def on_stated(log: RunLog | None, *values: Any) -> str:
    """Return the findings on the same run under other settings."""
    try:
        return cards.hint(NOTHING) if log is None else findings(log, *values)
    except ValueError as error:
        return cards.problem(f"{error}.")


def findings(log: RunLog, *values: Any) -> str:
    """Return the card of a run; a checkpoint's settings are its own.

    Raises:
        ValueError: as `stated`.
    """
    known = log.settings.loss is not None
    return log_card(log if known else replace(log, settings=stated(*values)))


def section() -> None:
    """Lay the section out."""
    gr.Markdown(LEAD)
    file = gr.File(label="A log or a checkpoint", height=110, elem_id="own-log")
    with gr.Accordion("Settings that a log cannot hold", open=False):
        with gr.Row(elem_classes="fl-controls"):
            loss = gr.Dropdown([(UNKNOWN, ""), *losses()], value="", label="Loss", filterable=False,
                               info="Which function was minimized.", elem_id="own-log-loss")  # fmt: skip
            classes = gr.Number(None, label="Classes", precision=0, elem_id="own-log-classes",
                                info="Training identities, C.")  # fmt: skip
        with gr.Row(elem_classes="fl-controls"):
            margin = gr.Number(None, label="Margin (m)", info="Of the loss.", elem_id="own-log-margin")
            scale = gr.Number(None, label="Scale (s)", info="Of the loss.", elem_id="own-log-scale")
        started = gr.Checkbox(False, label="Began from trained weights", elem_id="own-log-pretrained")
    card = gr.HTML(cards.hint(NOTHING), elem_id="own-doctor", padding=False)
    log = gr.State(None, time_to_live=60 * MINUTES)
    values = [loss, classes, margin, scale, started]
    file.upload(on_log, [file, *values], [log, card, file], show_progress_on=card, concurrency_limit=1,
                **QUIET)  # fmt: skip
    gr.on([value.change for value in values], on_stated, [log, *values], card, show_progress="hidden",
          queue=False, trigger_mode="always_last", **QUIET)  # fmt: skip
