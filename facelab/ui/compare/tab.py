"""Verify two photos: one score, one threshold, one decision.

The photos are read and embedded once, when the button is pressed or a face or model is chosen; the slider
only moves the threshold over the score that is there. What was found stays in the visitor's session and
goes with it.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from facelab.evaluation.results import architectures
from facelab.photos.faces import Source
from facelab.plots.scores import model_scores, score_histogram
from facelab.recognition.embedder import load, model_names
from facelab.recognition.verify import Detection, Verdict, detect_both, judge, score_faces, warn
from facelab.ui.compare import formulas, heat, walk
from facelab.ui.compare.results import explanation_of, photos_of, results_of, show_faces
from facelab.ui.links import Controls
from facelab.ui.visit import Given, arrival, handed_over
from facelab.ui.widgets import cards
from facelab.ui.widgets.columns import columns
from facelab.ui.widgets.controls import STRICTNESS, model_and_strictness
from facelab.ui.widgets.current import NOTE, Shown
from facelab.ui.widgets.examples import example_pairs

TITLE = "Compare"
LEAD = (
    "1:1 verification. A CNN maps each face to an embedding; the score is the cosine similarity of the two "
    "embeddings (classifier layer removed). **Which threshold separates genuine from impostor pairs?**"
)
EMPTY = "Choose two photos and press Compare. They stay in memory for this visit only."
EVERY_MODEL = "Each model’s score and decision appear here after you press Compare."


@dataclass(frozen=True, eq=False)
class Pair:
    """Two detections to compare: the face chosen in each, the model, its score and the inputs."""

    a: Detection
    b: Detection
    face_a: int
    face_b: int
    model: str
    score: float
    photos: tuple[Source | None, Source | None] = (None, None)

    def fits(self, shown: Shown) -> bool:
        """Return whether the page still shows these photos, this model and these faces."""
        return shown.fits(photos=self.photos, model=self.model, faces=(self.face_a, self.face_b))


def pair_of(photo_a: Source | None, photo_b: Source | None, model: str) -> Pair:
    """Read two photos, detect and embed their faces, and score them.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if photo_a is None or photo_b is None:
        missing = (
            "Both photos are" if photo_a is photo_b else "Photo A is" if photo_a is None else "Photo B is"
        )
        raise ValueError(f"{missing} missing; upload, paste or take one, or try an example below.")
    a, b = detect_both(photo_a, photo_b)
    score = score_faces(load(model), a, b)
    return Pair(a, b, a.main, b.main, model, score, (photo_a, photo_b))


def show_pair(pair: Pair, strictness: float) -> tuple[str, Any]:
    """Return (decision card, histogram) at FAR 10^-strictness; no network runs."""
    embedder = load(pair.model)
    try:
        verdict = judge(embedder, pair.score, 10.0**-strictness)
    except ValueError as error:  # a model of the visit may have few thresholds, or none
        return cards.problem(f"The score is {pair.score:.3f}; for a decision, {error}."), None
    warnings = warn(pair.a, pair.b, pair.face_a, pair.face_b)
    card = cards.verdict_card(verdict, warnings, heat.crops_of(pair))
    return card, score_histogram(embedder.calibrated(), verdict, embedder.similarity)


def outcome(
    photo_a: Source | None, photo_b: Source | None, model: str, strictness: float, shown: Shown | None = None
) -> list[Any]:
    """Return the first results for two photos, or an error card.

    A model or FAR chosen meanwhile is used; if other photos have been chosen, nothing is shown.
    """
    shown = shown or Shown()
    try:
        pair = pair_of(photo_a, photo_b, shown.inputs.get("model", model))
        while not shown.fits(model=pair.model):
            pair = rescored(pair, shown.inputs["model"], pair.face_a, pair.face_b)
        out = [pair, *show_pair(pair, shown.inputs.get("strictness", strictness)), *show_faces(pair)]
    except ValueError as error:
        out = blank(cards.problem(str(error)))
    if not shown.fits(photos=(photo_a, photo_b)):
        return [gr.skip()] * len(out)
    if out[0]:
        shown.note(faces=(pair.face_a, pair.face_b))  # as this answer sets them
    return out


def rescored(pair: Pair, model: str, face_a: int, face_b: int) -> Pair:
    """Score the same photos under another model or with other faces; nothing is detected again."""
    score = score_faces(load(model), pair.a, pair.b, face_a, face_b)
    return replace(pair, face_a=face_a, face_b=face_b, model=model, score=score)


def blank(card: str) -> list[Any]:
    """Return outputs that show this card and nothing else."""
    return [None, card, None, "", "", gr.update(visible=False), gr.update(visible=False)]


def on_new_photo(shown: Shown | None = None) -> list[Any]:
    """Clear the old decision when a photo changes; `note_photos` follows.

    The event of a removed photo still carries it, so no answer fits until `note_photos` has run.
    """
    (shown or Shown()).note(photos=object())
    return [*blank(cards.hint(EMPTY)), *explain(None, STRICTNESS)]


def note_photos(shown: Shown, photo_a: Source | None, photo_b: Source | None) -> None:
    """Record which photos are on the page."""
    shown.note(photos=(photo_a, photo_b))


def on_example(name: str, shown: Shown) -> list[Any]:
    """Return (photo A, photo B, empty results); no answer fits until the page shows these photos."""
    shown.note(photos=("example", name))
    return [*example_pairs()[name], *blank(cards.hint(EMPTY)), *explain(None, STRICTNESS)]


def on_given(given: Given, shown: Shown) -> list[Any]:
    """Return (model, FAR, photo A, photo B, empty results) for what another tab hands over."""
    shown.note(photos=object(), model=given.name, strictness=given.exponent)
    return [given.name, given.exponent, *given.photos, *blank(cards.hint(EMPTY)), *explain(None, STRICTNESS)]


def note_choice(shown: Shown, model: str, face_a: str, face_b: str) -> None:
    """Record which model and faces are chosen on the page."""
    shown.note(model=model, faces=(int(face_a) - 1, int(face_b) - 1))


def on_choice(
    pair: Pair | None, model: str, face_a: str, face_b: str, strictness: float, shown: Shown | None = None
) -> list[Any]:
    """Embed and score again after a change of model or face; nothing is detected again."""
    if pair is None:
        return [gr.skip()] * 5
    shown = shown or Shown()
    pair = rescored(pair, model, int(face_a) - 1, int(face_b) - 1)
    out = [pair, *show_pair(pair, shown.inputs.get("strictness", strictness)), *show_faces(pair)[:2]]
    return out if pair.fits(shown) else [gr.skip()] * len(out)


def on_strictness(
    pair: Pair | None, scores: dict[str, float] | None, strictness: float, shown: Shown | None = None
) -> list[Any]:
    """Compare the same scores with the thresholds of another FAR."""
    (shown or Shown()).note(strictness=strictness)
    if pair is None:
        return [gr.skip()] * 4
    return [*show_pair(pair, strictness), *(show_scores(scores, strictness) if scores else [gr.skip()] * 2)]


def explain(pair: Pair | None, strictness: float, shown: Shown | None = None) -> list[Any]:
    """Return (scores of all models, table, chart, an offer to decompose the chosen model's score) of a pair.

    Stop once the page shows another pair.
    """
    if pair is None:
        return [None, cards.hint(EVERY_MODEL), None, ""]
    shown, scores = shown or Shown(), {}
    for name in model_names():
        if not pair.fits(shown):
            return [gr.skip()] * 4
        scores[name] = score_faces(load(name), pair.a, pair.b, pair.face_a, pair.face_b)
    out = [scores, *show_scores(scores, shown.inputs.get("strictness", strictness)), cards.hint(heat.OFFER)]
    return out if pair.fits(shown) else [gr.skip()] * len(out)


def show_scores(scores: dict[str, float], strictness: float) -> list[Any]:
    """Return (table, chart) of every model's score and threshold; no network runs."""
    verdicts: list[Verdict] = []
    without = []  # (model, score, reason) where there is no threshold for this rate
    for name in sorted(scores, key=lambda name: name in architectures()):
        try:
            verdicts.append(judge(load(name), scores[name], 10.0**-strictness))
        except ValueError as error:
            without.append((name, scores[name], str(error)))
    return [cards.models_card(verdicts, without, architectures()), model_scores(verdicts)]


def on_why(pair: Pair | None, shown: Shown) -> Any:
    """Return the decomposition of the score on the page, if it is still there when it is computed."""
    said = heat.why(pair) if pair else cards.hint(EMPTY)
    return said if pair is None or pair.fits(shown) else gr.skip()


def build() -> Controls:
    """Lay the tab out with a finished example; return its controls by name."""
    pairs = example_pairs()
    opening = next(iter(pairs.values()))
    gr.Markdown(LEAD, elem_classes="fl-lead")
    formulas.prediction()
    first = outcome(*opening, model_names()[0], STRICTNESS)
    with columns() as (panel, shelf):
        with panel:
            photos, found, choices, examples = photos_of(opening, list(pairs), first[3:])
            model, strictness = model_and_strictness()
            run = gr.Button("Compare", variant="primary", elem_id="compare")
            said = formulas.beside(first[0], strictness.value)
        with shelf:
            results = results_of(first, found, choices)
            *explained, _ = explain(first[0], strictness.value)
            *explanation, ask = explanation_of([*explained, heat.why(first[0])])
            results += explanation
    shown = gr.State(Shown())
    _connect(photos, model, strictness, run, results, shown)
    ask.click(
        on_why, [results[0], shown], results[-1], api_visibility="private", show_progress_on=results[-1]
    )
    formulas.follow(results[1], [results[0], strictness], said)
    given = handed_over("compare")
    taken = [
        arrival("compare").click(on_given, [given, shown], [model, strictness, *photos, *results], **NOTE)
    ]
    for button, name in zip(examples, pairs):
        taken.append(button.click(partial(on_example, name), shown, [*photos, *results], **NOTE))
    for loaded in taken:
        noted = loaded.then(note_photos, [shown, *photos], None, **NOTE)
        _then_explain(_then_compare(noted.then, [*photos, model, strictness, shown], results), shown, results)
    return {"model": model, "strictness": strictness} | walk.section(model, strictness)


def _then_compare(event: Any, inputs: list[Any], results: list[Any]) -> Any:
    """Run `outcome` after an event."""
    return event(
        outcome,
        inputs,
        results[:7],
        api_visibility="private",
        show_progress_on=results[1],
        trigger_mode="multiple",  # a newer question must not be passed over because an older one is computed
    )


def _then_explain(event: Any, shown: gr.State, results: list[Any]) -> None:
    """Show every model's decision after a decision."""
    event.then(
        _explain,
        [results[0], shown],
        results[7:],
        api_visibility="private",
        show_progress_on=results[8],
        trigger_mode="multiple",
    )


def _explain(pair: Pair | None, shown: Shown) -> list[Any]:
    return explain(pair, STRICTNESS, shown)


def _connect(
    photos: list[gr.Image],
    model: gr.Dropdown,
    strictness: gr.Slider,
    run: gr.Button,
    results: list[Any],
    shown: gr.State,
) -> None:
    """Connect events with their functions."""
    pair, verdict, chart, _, _, face_a, face_b, scores, table, models_chart, _ = results
    ran = _then_compare(run.click, [*photos, model, strictness, shown], results)
    _then_explain(ran, shown, results)
    changes = [event for photo in photos for event in (photo.input, photo.clear)]
    gr.on(changes, on_new_photo, shown, results, **NOTE).then(note_photos, [shown, *photos], None, **NOTE)
    chosen = gr.on(
        [model.change, face_a.input, face_b.input], note_choice, [shown, model, face_a, face_b], None, **NOTE
    ).then(
        on_choice,
        [pair, model, face_a, face_b, strictness, shown],
        results[:5],
        api_visibility="private",
        show_progress_on=verdict,
        trigger_mode="multiple",
    )
    _then_explain(chosen, shown, results)
    strictness.change(
        on_strictness,
        [pair, scores, strictness, shown],
        [verdict, chart, table, models_chart],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
