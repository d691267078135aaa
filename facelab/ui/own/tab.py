"""Own: a model for the other tabs; embeddings, or photos by person, for the dashboards here.

Everything is a value of the session: a file is read in memory and deleted, a model is in reach of its own
visit only, and all of it goes fifteen minutes after the last step.
"""

from functools import partial
from typing import Any

import gradio as gr

from facelab.lessons.live.data import TrainingData
from facelab.recognition.embedder import model_names
from facelab.recognition.visit import Models
from facelab.ui import visit
from facelab.ui.links import Controls
from facelab.ui.own import dashboards, history, maps
from facelab.ui.own.models import KINDS as MODELS
from facelab.ui.own.models import brought, model_card
from facelab.ui.own.runs import (
    KINDS,
    Runs,
    forget,
    from_files,
    from_photos,
    most_photos,
    with_thresholds,
)
from facelab.ui.uploads import deleting
from facelab.ui.widgets import cards, own_photos
from facelab.ui.widgets.columns import columns
from facelab.ui.widgets.controls import MINUTES, model_choices
from facelab.ui.widgets.current import Shown

TITLE = "Own"
LEAD = (
    "Bring a model, embeddings, or photos by person; the figures below are measured on them. **Which of your "
    "two runs is better, and is that chance?**"
)
MODEL = (
    "### A model\nA `.safetensors` checkpoint of FaceLab, or an `.onnx` embedder of aligned 112×112 crops. "
    "It joins the lists of models in Compare and Identify."
)
RUNS = (
    "### Embeddings\n`.npz` with `embeddings` and `labels` (or `names`, `logits`), `.npy` with `.csv`, or "
    "`.parquet`. A second run is compared with the first on the same images."
)
NO_MODEL = (
    f"No model of yours is here. Models stay in memory for this visit, until {MINUTES} minutes after your "
    "last step."
)
NEEDS = "One folder per person: at least two people, two photos each."
NO_PHOTOS = "Add a zip of photos, choose a model and press Embed the photos."
NOTHING = "no second model"
QUIET = {"api_visibility": "private"}


def on_model(models: Models, path: str | None) -> list[Any]:
    """Take a model file in and delete it -> (models, its card, the emptied input, its name, the button)."""
    if path is None:
        return [gr.skip()] * 5
    try:
        with deleting(path):
            model = brought(path)
    except ValueError as error:
        return [gr.skip(), cards.problem(f"{error}."), None, gr.skip(), gr.skip()]
    after = visit.added(models, model)
    return [after, model_card(model), None, model.name, gr.update(interactive=True)]


def on_files(slot: str, runs: Runs, paths: list[str] | None) -> list[Any]:
    """Take the files of a run in and delete them -> (runs, card, the emptied input)."""
    if not paths:
        return [gr.skip()] * 3
    try:
        with deleting(*paths):
            run = from_files(paths)
    except ValueError as error:
        return [gr.skip(), cards.problem(f"{error}."), None]
    vectors = run.vectors
    people = "no labels, so a list of pairs is needed"
    if vectors.identities is not None:
        count = len(set(vectors.identities) - {""})
        people = "1 identity" if count == 1 else f"{count:,} identities"
    more = "" if vectors.logits is None else f", logits of {vectors.logits.shape[1]:,} classes"
    said = f"Run {slot}: {len(vectors.names):,} embeddings, {vectors.embeddings.shape[1]}-D, {people}{more}."
    return [runs | {slot: run}, cards.hint(f"{said} Press Evaluate."), None]


def on_embed(
    models: Models,
    runs: Runs,
    album: TrainingData | None,
    first: str,
    second: str,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Embed the photos with one model or two -> (models, runs, card)."""
    if album is None:
        return [gr.skip(), gr.skip(), cards.hint(NO_PHOTOS)]
    chosen = {"A": first} | ({"B": second} if second else {})
    found: Runs = {}
    said = [f"{len(album.data)} photos of {len(album.data.identities)} people are embedded."]
    try:
        for slot, name in chosen.items():
            found[slot] = from_photos(album, name, progress)
            models, words = with_thresholds(models, found[slot])
            said += [words] * bool(words)
    except ValueError as error:
        return [gr.skip(), gr.skip(), cards.problem(f"{error}.")]
    return [dict(models), found, cards.hint(" ".join([*said, "Press Evaluate."]))]


def on_zip(
    path: str | None,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a zip of photos and delete it -> (faces, what was found, the emptied input)."""
    if path is None:
        return [gr.skip()] * 3
    return own_photos.read_zip(path, before, most_photos(), 2, progress)


def on_folder(
    path: str,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a folder of this machine -> (faces, what was found)."""
    return own_photos.read_folder(path, before, most_photos(), 2, progress)


def on_evaluate(runs: Runs, pairs: str | None, groups: str | None, shown: Shown | None = None) -> list[Any]:
    """Return (message, what the maps draw, the dashboards) of the runs."""
    try:
        drawn, out = dashboards.evaluate(runs, pairs, groups)
    except ValueError as error:
        return [cards.problem(f"{error}."), *[gr.skip()] * (1 + dashboards.COUNT)]
    (shown or Shown()).note(maps=drawn)
    return ["", drawn, *out]


def build() -> Controls:
    """Lay the tab out; it has no settings that a link could name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    runs = gr.State({}, delete_callback=forget)
    album = gr.State(None, time_to_live=60 * MINUTES, delete_callback=own_photos.forget)
    with columns() as (panel, results):
        with panel:
            _model()
            files = _files()
            photos, first, second, embed = _photos()
            pairs, groups = _lists()
            method = maps.choice()
            run = gr.Button("Evaluate", variant="primary", elem_id="own-evaluate")
            history.section()
        with results:
            said = gr.HTML("", elem_id="own-said", padding=False)
            filled = dashboards.build()
    for slot, file in files.items():
        file.upload(partial(on_files, slot), [runs, file], [runs, said, file], show_progress_on=said, **QUIET)
    slow = QUIET | {"show_progress_on": photos.found}
    photos.file.upload(on_zip, [photos.file, album], [album, photos.found, photos.file], **slow)
    gr.on(
        [photos.read.click, photos.folder.submit],
        on_folder,
        [photos.folder, album],
        [album, photos.found],
        **slow,
    )
    models = visit.state()
    embed.click(on_embed, [models, runs, album, first, second], [models, runs, said], show_progress_on=said,
                concurrency_limit=1, **QUIET)  # fmt: skip
    drawn = gr.State(None, time_to_live=60 * MINUTES, delete_callback=maps.forget)
    shown = gr.State(Shown())
    ran = run.click(on_evaluate, [runs, pairs, groups, shown], [said, drawn, *filled], show_progress_on=said,
                    concurrency_limit=1, **QUIET)  # fmt: skip
    maps.connect(ran, drawn, method, shown, filled[-3:])
    return {}


def _model() -> None:
    """Lay out the input for a model, its card and the button that uses it."""
    gr.Markdown(MODEL)
    file = gr.File(label="A model", file_types=list(MODELS), height=110, elem_id="own-model")
    card = gr.HTML(cards.hint(NO_MODEL), elem_id="own-model-card", padding=False)
    models, mine = visit.state(), gr.State("")
    use = visit.compare_button(mine, "own-use")
    visit.changes(file.upload(on_model, [models, file], [models, card, file, mine, use],
                              show_progress_on=card, concurrency_limit=1, **QUIET))  # fmt: skip


def _files() -> dict[str, gr.File]:
    """Lay out the inputs for embeddings, by slot."""
    gr.Markdown(RUNS)
    with gr.Row():
        return {
            slot: gr.File(label=f"Run {slot}", file_count="multiple", file_types=list(KINDS), height=110,
                          elem_id=f"own-run-{slot.lower()}")
            for slot in dashboards.SLOTS
        }  # fmt: skip


def _photos() -> tuple[own_photos.Inputs, gr.Dropdown, gr.Dropdown, gr.Button]:
    """Lay out the input for photos and the models that embed them."""
    photos = own_photos.section("own", NEEDS, NO_PHOTOS)
    names = model_names()
    first = visit.ModelChoice(model_choices(names), value=names[0], label="Model of run A", filterable=False,
                              info="It embeds the photos.", elem_id="own-first")  # fmt: skip
    second = visit.ModelChoice(_or_none(["", *names]), value="", label="Model of run B", filterable=False,
                               info="Compared with the first.", elem_id="own-second")  # fmt: skip
    visit.offered(first, model_choices)
    visit.offered(second, _or_none)
    return photos, first, second, gr.Button("Embed the photos", elem_id="own-embed")


def _or_none(names: list[str]) -> list[tuple[str, str]]:
    """Return the choices of a model that may be left out, whose name is empty."""
    return [(NOTHING, ""), *model_choices(name for name in names if name)]


def _lists() -> list[gr.File]:
    """Lay out the inputs for a list of pairs and a table of groups; both are optional."""
    with gr.Row():
        return [
            gr.File(label="Pairs (optional)", file_types=[".txt", ".csv", ".tsv"], height=110,
                    elem_id="own-pairs"),
            gr.File(label="Groups (optional)", file_types=[".csv", ".tsv", ".txt"], height=110,
                    elem_id="own-groups-file"),
        ]  # fmt: skip
