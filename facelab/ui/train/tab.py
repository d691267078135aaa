"""Train a network live, from faces to a checkpoint.

Runs are those of `facelab.lessons.live.session`: one at a time in this process, the others in a queue. A
visitor's zip is read into memory and deleted at once; it, the results and the table of runs are values of
the session.
"""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from facelab.lessons.live import shipped_run as lesson
from facelab.lessons.live.course import Result, Snapshot
from facelab.lessons.live.data import TrainingData
from facelab.lessons.live.queue import QUEUE
from facelab.lessons.live.script import as_command, as_python
from facelab.lessons.live.session import Training
from facelab.lessons.live.settings import limits
from facelab.plots.training import people_map, training_course
from facelab.settings import training
from facelab.ui.gpu import BORROW
from facelab.ui.links import Controls
from facelab.ui.train import formulas
from facelab.ui.train.settings import budget_line, described, planned, rendered_words, settings
from facelab.ui.visit import use_button
from facelab.ui.visitor import BUSY, GONE, make, returning, tell, visitor
from facelab.ui.widgets import cards, own_photos
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.code_box import CodeBox
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.doctor import header_card
from facelab.ui.widgets.run_cards import RunRow, history_card, run_card, run_row

TITLE = "Train"
LEAD = (
    "Choose data, a network and a loss, and follow the run. **When the loss decreases, does the verification "
    "EER on unseen identities decrease as well?**"
)
OPENING = (
    "Recorded run: {network} with {loss} on {people} synthetic identities, {faces} faces each. Press Train "
    "for your own run, then change one setting and compare."
)
EMPTY = "No run yet. Press Train: loss, EER and embeddings appear here during the run."
CODE = (
    "Both use the settings above and reproduce the run; on the same kind of processor the loss is equal to "
    "the last digit. They write the checkpoint that you can download here."
)
NEEDS = "One folder per person: at least four people (two are held out), two photos each."
NOTHING = "Synthetic identities are used until you add photos."
SAVE = """(packed) => {
  if (!packed) return;
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], {type: 'application/octet-stream'}));
  link.download = 'live.safetensors';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  document.querySelector('#train-run [data-unsaved]')?.removeAttribute('data-unsaved');
}"""
QUIET = {"api_visibility": "private", "show_progress": "hidden"}
RUNS = 12  # rows that the table keeps
FRAME = 5  # outputs of a frame that shows nothing new but the card


def on_train(
    request: gr.Request, key: str, album: TrainingData | None, rows: tuple[RunRow, ...], *values: Any
) -> Iterator:
    """Wait in the queue, train and yield (card, curves, map, runs, table, result)."""
    who = visitor(key, request)
    if (busy := QUEUE.tab_of(who)) is not None:
        gr.Info(BUSY.format(busy))
        yield [gr.skip()] * (1 + FRAME)
        return
    try:
        plan = planned(album, values)
    except ValueError as error:
        yield [cards.problem(f"{error}."), *[gr.skip()] * FRAME]
        return
    run = Training(plan.recipe, plan.pool, limits().seconds, who, TITLE, plan.words, borrow=BORROW)
    with contextlib.closing(run.follow()) as snapshots:
        yield from frames(snapshots, run.about, rows)


def on_return(request: gr.Request, key: str, rows: tuple[RunRow, ...]) -> Iterator:
    """Show the run of a reloaded page; outputs as `on_train`, and the key."""
    run = QUEUE.find(visitor(key, request), TITLE)
    if run is None:
        card = cards.hint(GONE) + opening_card() if key else gr.skip()
        yield [card, *[gr.skip()] * FRAME, ""]
        return
    with contextlib.closing(run.follow()) as snapshots:
        for frame in frames(snapshots, run.about, rows):
            yield [*frame, gr.skip()]


def frames(
    snapshots: Iterator[Snapshot], words: tuple[str, ...], rows: tuple[RunRow, ...]
) -> Iterator[list[Any]]:
    """Yield the outputs for each snapshot; charts are drawn when they have new content."""
    step, flat = -1, FRAME  # nothing yet: what an earlier run has drawn goes
    for now in snapshots:
        course = training_course(now) if now.step != step or now.result else gr.skip()
        where = gr.skip() if now.map is flat else now.map and people_map(now.map)
        step, flat = now.step, now.map
        last, card = [gr.skip()] * 3, run_card(now)
        if now.result:
            card += header_card(now.result.header)
            rows = (*rows, run_row(now, *words))[-RUNS:]
            last = [rows, history_card(rows), now.result]
        yield [card, course, where, *last]


def on_stop(request: gr.Request, key: str) -> None:
    """Stop this visitor's run; its result so far is kept."""
    QUEUE.stop(visitor(key, request), TITLE)


def on_zip(
    path: str | None,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a zip into memory and delete it -> (faces, what was found, the emptied input, data)."""
    if path is None:
        return [gr.skip()] * 4
    pool, *rest = own_photos.read_zip(path, before, limits().faces, 2, progress)
    return [pool, *rest, gr.skip() if pool is before else "photos"]


def on_folder(
    path: str,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a folder of this machine into memory -> (faces, what was found, data)."""
    pool, found = own_photos.read_folder(path, before, limits().faces, 2, progress)
    return [pool, found, gr.skip() if pool is before else "photos"]


def on_download(request: gr.Request, key: str, result: Result | None) -> list[Any]:
    """Return the checkpoint as base64, for the browser to save -> (content, message)."""
    if QUEUE.tab_of(visitor(key, request)) == TITLE:
        return ["", cards.hint("Your run is not finished; download its checkpoint at the end.")]
    if result is None:
        return ["", cards.hint("You have no finished run; press Train first, then download the checkpoint.")]
    content = base64.b64encode(result.content()).decode()
    said = (
        "live.safetensors is in your downloads. In the project’s folder, “python -m facelab compare A.jpg "
        "B.jpg --model live.safetensors --far 0.1” compares two photos with it."
    )
    return [content, cards.hint(said)]


def on_settings(album: TrainingData | None, *values: Any) -> list[str]:
    """Return (script, command, parameter budget, formula) of the settings; an error becomes a comment."""
    try:
        plan = planned(album, values)
    except ValueError as error:
        return [f"# {error}"] * 2 + ["", formulas.show(None)]
    data = described(album, values)
    return [
        as_python(plan.recipe, data),
        as_command(plan.recipe, data),
        budget_line(plan),
        formulas.show(plan),
    ]


def build() -> Controls:
    """Lay the tab out with a recorded run; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    album = gr.State(None, time_to_live=60 * MINUTES, delete_callback=own_photos.forget)
    recorded = lesson.load()
    if recorded:
        formulas.prediction(recorded.last)
    opening = _opening_row()
    rows, result = gr.State(opening), gr.State(None, time_to_live=60 * MINUTES)
    with columns() as (panel, results):
        with panel:
            with live():
                train = gr.Button("Train", variant="primary", elem_id="train-start", interactive=training())
                stop = gr.Button("Stop", elem_id="train-stop")
            controls = settings()
            meter = gr.HTML(elem_id="train-budget", padding=False)
            equation = formulas.beside(None)
            own = own_photos.section("train", NEEDS, NOTHING)
        values = list(controls.values())
        with results:
            shown = _shown()
            table = gr.HTML(history_card(opening), elem_id="train-tried", padding=False)
            use_button(result, "train")
            codes, download, packed, said = _take_away(values, meter, equation)
    told = [*shown, rows, table, result]
    key = returning("train", on_return, [rows], told)
    train.click(on_train, [key, album, rows, *values], told, js=make("train"), concurrency_limit=None,
                **QUIET)  # fmt: skip
    stop.click(on_stop, key, None, js=tell("train"), queue=False, **QUIET)
    slow = {"api_visibility": "private", "show_progress_on": own.found}
    own.file.upload(on_zip, [own.file, album], [album, own.found, own.file, controls["data"]], **slow)
    gr.on([own.read.click, own.folder.submit], on_folder, [own.folder, album],
          [album, own.found, controls["data"]], **slow)  # fmt: skip
    gr.on([control.change for control in values], on_settings, [album, *values],
          [*codes, meter, equation], queue=False, trigger_mode="always_last", **QUIET)  # fmt: skip
    download.click(
        on_download, [key, result], [packed, said], js=tell("train"), api_visibility="private"
    ).then(None, packed, None, js=SAVE, api_visibility="private").then(str, None, packed, **QUIET)
    return controls


def _opening_row() -> tuple[RunRow, ...]:
    """Return the recorded run's row, for comparison with the first run."""
    shown = lesson.load()
    if shown is None:
        return ()
    what = f"{shown.choice.backbone}, {shown.choice.loss}, default settings (recorded run)"
    words = rendered_words(shown.people, shown.faces, shown.choice.seed)
    return (run_row(shown.last, what, *words),)


def opening_card() -> str:
    """Return the card of the recorded run, marked as an example."""
    opening = lesson.load()
    if opening is None:
        return cards.hint(EMPTY)
    choice = opening.choice
    words = OPENING.format(network=choice.backbone, loss=choice.loss, people=opening.people,
                           faces=opening.faces)  # fmt: skip
    return run_card(replace(opening.last, message=words), example=True)


def _shown() -> list[Any]:
    """Build the card and both charts, with the recorded run."""
    opening = lesson.load()
    course, where = (training_course(opening.last), people_map(opening.last.map)) if opening else (None, None)
    out = [gr.HTML(opening_card(), elem_id="train-run", padding=False)]
    with beside():
        with gr.Column(min_width=0):
            gr.Markdown("**Loss, training accuracy, and EER on unseen identities**")
            out.append(
                Chart(course, "Loss, training accuracy and EER against the training step", "train-course")
            )
        with gr.Column(min_width=0):
            gr.Markdown("**Up to eight unseen identities, after each epoch** (PCA of 128-D embeddings)")
            out.append(Chart(where, "Embeddings of unseen identities, a data point per photo", "train-map"))
    return out


def _take_away(
    values: list[Any], meter: gr.HTML, equation: gr.Markdown
) -> tuple[list[CodeBox], gr.Button, gr.Textbox, gr.HTML]:
    """Build the code to copy and the download of the checkpoint; fill budget and formula."""
    script, command, meter.value, equation.value = on_settings(None, *(control.value for control in values))
    download = gr.Button("Download the checkpoint", elem_id="train-download")
    said = gr.HTML(elem_id="train-downloaded", padding=False)
    with gr.Accordion("Copy as Python, copy as command", open=False, elem_id="train-code"):
        gr.Markdown(CODE, elem_classes="fl-small")
        codes = [
            CodeBox(script, "As Python", "train-python"), CodeBox(command, "As a command", "train-shell"),
        ]  # fmt: skip
    return codes, download, gr.Textbox(visible=False), said
