"""Fine-tune a shipped network on new identities, live, and classify a photo with it.

Photos stay in memory for the visit: the zip is deleted when it is read, and the fine-tuned network is a value
of the session.
"""

import contextlib
import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from facelab.lessons.live.course import Result, Snapshot
from facelab.lessons.live.data import TrainingData, rendered
from facelab.lessons.live.queue import QUEUE
from facelab.lessons.live.session import Training
from facelab.lessons.live.settings import limits, require_training
from facelab.lessons.live.teach import (
    MOST,
    PHOTOS,
    Named,
    chance_bound_95,
    held_back_photo,
    lesson_recipe,
    name_photo,
    starts,
)
from facelab.photos.faces import Source
from facelab.plots.training import training_course
from facelab.settings import training
from facelab.ui.gpu import BORROW
from facelab.ui.links import Controls
from facelab.ui.transfer import ways
from facelab.ui.visit import use_button
from facelab.ui.visitor import BUSY, GONE, make, returning, tell, visitor
from facelab.ui.widgets import cards, own_photos
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import columns, live
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.current import answer_newest
from facelab.ui.widgets.doctor import header_card
from facelab.ui.widgets.photo_input import PhotoInput
from facelab.ui.widgets.run_cards import held_out, run_card

QUESTION = (
    "### Fine-tune on new identities\nAdd a zip or folder with one folder of photos per person, at least two "
    "people with {photos} photos each, or use eight synthetic identities. Some photos of each are held out: "
    "**is the held-out accuracy above chance?**"
)
NEEDS = f"One folder per person: at least two people with {PHOTOS} photos each, {MOST} photos in all."
NOTHING = "Eight synthetic identities are used until you add photos."
NO_NETWORK = "No network is fine-tuned yet; press Fine-tune first."
NO_PHOTO = "Add a photo of one of the new identities first."
TEACH_SECONDS = 60.0
PEOPLE, FACES = 8, 8  # rendered, for those without a zip
TAB = "Transfer"
QUIET = {"api_visibility": "private", "show_progress": "hidden"}


def on_teach(
    request: gr.Request,
    key: str,
    album: TrainingData | None,
    start: str,
    way: str,
    stage: str,
    seed: float,
) -> Iterator:
    """Fine-tune on the visitor's photos, or synthetic identities -> (card, curves, network)."""
    who = visitor(key, request)
    if (busy := QUEUE.tab_of(who)) is not None:
        gr.Info(BUSY.format(busy))
        yield [gr.skip()] * 3
        return
    try:
        require_training()
        pool = album or rendered(PEOPLE, FACES, int(seed))
        recipe = lesson_recipe(start, ways.last_frozen(start, way, stage), pool, int(seed))
    except ValueError as error:
        yield [cards.problem(f"{error}."), gr.skip(), gr.skip()]
        return
    seconds = min(TEACH_SECONDS, limits().seconds)
    about = len(pool.data.identities), chance_bound_95(pool)
    run = Training(recipe, pool, seconds, who, TAB, about, borrow=BORROW)
    yield from _frames(run)


def on_return(request: gr.Request, key: str) -> Iterator:
    """Show the run of a reloaded page; outputs as `on_teach`, and the key."""
    run = QUEUE.find(visitor(key, request), TAB)
    if run is None:
        yield [cards.hint(GONE) if key else gr.skip(), gr.skip(), gr.skip(), ""]
        return
    for frame in _frames(run):
        yield [*frame, gr.skip()]


def _frames(run: Training) -> Iterator:
    """Yield the outputs for each snapshot."""
    with contextlib.closing(run.follow()) as snapshots:
        for now in snapshots:
            yield [teach_card(now, *run.about), training_course(now, closed=True), now.result or gr.skip()]


def teach_card(now: Snapshot, people: int, lucky: float) -> str:
    """Return the state of the run, and at its end what the doctor says and whether it is above chance.

    Args:
        now: the run.
        people: number of identities, K.
        lucky: the accuracy that chance exceeds in at most one of twenty cases.
    """
    card = run_card(now, closed=True) + (header_card(now.result.header) if now.result else "")
    right = held_out(now, "top_1")
    if now.result is None or right != right:
        return card
    better = right > lucky
    title = "✔ Above chance" if better else "✖ Not significantly above chance"
    return card + (
        f'<div class="fl-card {"fl-same" if better else "fl-different"}" role="status"><h2>{title}</h2>'
        f"<p>Held-out accuracy <b>{right:.0%}</b>; chance level 1/K = {1 / people:.0%}, 95% chance bound "
        f"{lucky:.0%}. Below, classify one of the held-out photos, or a photo of your own.</p></div>"
    )


def on_stop(request: gr.Request, key: str) -> None:
    """Stop this visitor's run; its result so far is kept."""
    QUEUE.stop(visitor(key, request), TAB)


def on_zip(
    path: str | None,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a zip into memory and delete it -> (faces, what was found, the emptied input)."""
    if path is None:
        return [gr.skip()] * 3
    return own_photos.read_zip(path, before, MOST, PHOTOS, progress)


def on_folder(
    path: str,
    before: TrainingData | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by this default
) -> list[Any]:
    """Read a folder of this machine into memory -> (faces, what was found)."""
    return own_photos.read_folder(path, before, MOST, PHOTOS, progress)


def on_name(result: Result | None, photo: Source | None) -> str:
    """Classify a photo with the fine-tuned network."""
    if result is None:
        return cards.hint(NO_NETWORK)
    if photo is None:
        return cards.hint(NO_PHOTO)
    try:
        return named_card(name_photo(result, photo))
    except ValueError as error:
        return cards.problem(f"{error}.")


def on_held_back(result: Result | None, album: TrainingData | None, turn: int) -> list[Any]:
    """Classify the next held-out photo -> (card with prediction and truth, the next turn)."""
    if result is None:
        return [cards.hint(NO_NETWORK), turn]
    try:
        pool = album or rendered(PEOPLE, FACES, result.header.recipe.seed)
        crop, person = held_back_photo(result, pool, turn)
        return [named_card(name_photo(result, crop), person), turn + 1]
    except ValueError as error:
        return [cards.problem(f"{error}."), turn]


def named_card(named: Named, truth: str | None = None) -> str:
    """Return the predicted identity, whether it is correct if known, and all probabilities as bars."""
    name = named.ranks[0][0]
    told = "" if truth is None else f": {'right' if name == truth else f'wrong, it is {truth}'}"
    rows = "".join(
        f"<li><span></span><span>{html.escape(person)}</span>"
        f'<div class="fl-bar"><b style="width:{100 * p:.1f}%"></b></div><data>{cards.percent(p)}</data></li>'
        for person, p in named.ranks
    )
    face = cards.picture(named.crop, "the classified face")
    return (
        f'<div class="fl-card fl-closed" role="status"><h2>→ {html.escape(name + told)}</h2>'
        f"<div class='fl-ranks'><figure>{face}</figure><ol>{rows}</ol></div>"
        f'<p class="fl-small">Closed set: the classifier always outputs one of its K identities. The '
        f"Identify tab (open set) can return “unknown”.</p></div>"
    )


def section() -> Controls:
    """Lay the section out; return its controls by name."""
    gr.Markdown(QUESTION.format(photos=PHOTOS))
    album = gr.State(None, time_to_live=60 * MINUTES, delete_callback=own_photos.forget)
    network = gr.State(None, time_to_live=60 * MINUTES)
    names = starts()
    if not names:
        gr.HTML(
            cards.hint("No checkpoint to initialize from is here; train one first."), elem_id="transfer-none"
        )
        return {}
    with columns() as (panel, results):
        with panel:
            controls = ways.settings(names)
            own = own_photos.section("transfer", NEEDS, NOTHING)
            with live():
                teach = gr.Button("Fine-tune", variant="primary", elem_id="transfer-teach",
                                  interactive=training())  # fmt: skip
                stop = gr.Button("Stop", elem_id="transfer-stop")
        with results:
            waiting = cards.hint("Press Fine-tune: it takes under a minute.")
            card = gr.HTML(waiting, elem_id="transfer-run", padding=False)
            label = "Loss, training accuracy and held-out accuracy against the step"
            course = Chart(None, label, "transfer-course")
            use_button(network, "transfer")
            _probe(network, album)
    told = [card, course, network]
    key = returning("transfer", on_return, [], told)
    teach.click(on_teach, [key, album, *controls.values()], told, js=make("transfer"), concurrency_limit=None,
                **QUIET)  # fmt: skip
    stop.click(on_stop, key, None, js=tell("transfer"), queue=False, **QUIET)
    slow = {"api_visibility": "private", "show_progress_on": own.found}
    own.file.upload(on_zip, [own.file, album], [album, own.found, own.file], **slow)
    gr.on([own.read.click, own.folder.submit], on_folder, [own.folder, album], [album, own.found], **slow)
    return controls


def _probe(network: gr.State, album: gr.State) -> None:
    with gr.Row():
        with gr.Column(min_width=280):
            photo = PhotoInput("Photo to classify", "transfer-photo")
            name = gr.Button("Classify", elem_id="transfer-name")
            again = gr.Button("Try: a held-out photo", size="sm", elem_id="transfer-try")
        with gr.Column(min_width=280):
            answer = gr.HTML(cards.hint(NO_NETWORK), elem_id="transfer-named", padding=False)
    turn = gr.State(0)
    asked = {"api_visibility": "private", "show_progress_on": answer}
    changed = [name.click, photo.input, photo.clear]
    answer_newest(changed, on_name, [network, photo], answer, **asked)
    again.click(on_held_back, [network, album, turn], [answer, turn], **asked)
