"""Compare: two photos, one score, one threshold, and what each of them means.

The photos are read and embedded once, when the button is pressed or a face or model is chosen; the slider
only moves the threshold over the score that is there. What was found stays in the visitor's session and
goes with it.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from facelab.compare import Sighting, Verdict, judge, look_at_both, score_faces
from facelab.embedder import load, model_names
from facelab.faces import Source
from facelab.measured import architectures
from facelab.plots.scores import model_scores, score_histogram
from facelab.reference import NAME as REFERENCE
from facelab.saliency import cosine_maps
from facelab.ui import cards, heat
from facelab.ui.chart import Chart
from facelab.ui.controls import MINUTES, STRICTNESS, model_and_strictness
from facelab.ui.examples import example_pairs
from facelab.ui.links import Controls
from facelab.ui.photo_input import PhotoInput

TITLE = "Compare"
LEAD = (
    "Do two photos show one person? A network turns each face into a vector; the more two vectors point the "
    "same way, the higher the score. **Where would you draw the line between “same” and “different”?**"
)
EMPTY = "Choose two photos and press Compare. They stay in memory for this visit only."
EVERY_MODEL = "When two photos have been compared, every model says here what it thinks of them."


@dataclass(frozen=True, eq=False)
class Pair:
    """What a visitor compares: both sightings, which face of each, the model and its score."""

    a: Sighting
    b: Sighting
    face_a: int
    face_b: int
    model: str
    score: float


def pair_of(photo_a: Source | None, photo_b: Source | None, model: str) -> Pair:
    """Read, find, embed and score two photos.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if photo_a is None or photo_b is None:
        missing = (
            "Both photos are" if photo_a is photo_b else "Photo A is" if photo_a is None else "Photo B is"
        )
        raise ValueError(f"{missing} missing; upload, paste or take one, or try an example below.")
    a, b = look_at_both(photo_a, photo_b)
    return Pair(a, b, a.main, b.main, model, score_faces(load(model), a, b))


def show_pair(pair: Pair, strictness: float) -> tuple[str, Any]:
    """(verdict card, histogram) at a strictness; no network runs."""
    embedder = load(pair.model)
    verdict = judge(embedder, pair.score, 10.0**-strictness)
    return cards.verdict_card(verdict), score_histogram(embedder.calibrated(), verdict, embedder.similarity)


def show_faces(pair: Pair) -> tuple[str, str, Any, Any]:
    """Both photos with their faces, and the choice between several."""
    out: list[Any] = [
        cards.sighting_card(pair.a, pair.face_a, "Photo A"),
        cards.sighting_card(pair.b, pair.face_b, "Photo B"),
    ]
    for sighting, chosen in ((pair.a, pair.face_a), (pair.b, pair.face_b)):
        count = len(sighting.faces)
        out.append(
            gr.update(choices=[str(i + 1) for i in range(count)], value=str(chosen + 1), visible=count > 1)
        )
    return tuple(out)


def outcome(photo_a: Source | None, photo_b: Source | None, model: str, strictness: float) -> list[Any]:
    """What the tab shows of two photos first, or the sentence that says why not."""
    try:
        pair = pair_of(photo_a, photo_b, model)
        return [pair, *show_pair(pair, strictness), *show_faces(pair)]
    except ValueError as error:
        return blank(cards.problem(str(error)))


def blank(card: str) -> list[Any]:
    """A card and nothing else."""
    return [None, card, None, "", "", gr.update(visible=False), gr.update(visible=False)]


def on_new_photo() -> list[Any]:
    """An old verdict must not stand beside a new photo."""
    return [*blank(cards.hint(EMPTY)), *explain(None, STRICTNESS)]


def on_choice(pair: Pair | None, model: str, face_a: str, face_b: str, strictness: float) -> list[Any]:
    """Another model or another face: embed again, detect nothing."""
    if pair is None:
        return [gr.skip()] * 5
    chosen = int(face_a) - 1, int(face_b) - 1
    score = score_faces(load(model), pair.a, pair.b, *chosen)
    pair = replace(pair, face_a=chosen[0], face_b=chosen[1], model=model, score=score)
    return [pair, *show_pair(pair, strictness), *show_faces(pair)[:2]]


def on_strictness(pair: Pair | None, scores: dict[str, float] | None, strictness: float) -> list[Any]:
    """The slider: the same scores against other thresholds."""
    if pair is None:
        return [gr.skip()] * 4
    return [*show_pair(pair, strictness), *(show_scores(scores, strictness) if scores else [gr.skip()] * 2)]


def explain(pair: Pair | None, strictness: float) -> list[Any]:
    """(every model's score, table, chart, where the chosen model's score comes from) of a pair."""
    if pair is None:
        return [None, cards.hint(EVERY_MODEL), None, ""]
    chosen = pair.face_a, pair.face_b
    scores = {name: score_faces(load(name), pair.a, pair.b, *chosen) for name in model_names()}
    return [scores, *show_scores(scores, strictness), why(pair)]


def show_scores(scores: dict[str, float], strictness: float) -> list[Any]:
    """(table, chart) of every model's score at its own threshold; no network runs."""
    verdicts: list[Verdict] = []
    without = []  # models that have no threshold for this rate
    for name in sorted(scores, key=lambda name: name in architectures()):
        try:
            verdicts.append(judge(load(name), scores[name], 10.0**-strictness))
        except ValueError as error:
            without.append(str(error))
    return [cards.models_card(verdicts, without, architectures()), model_scores(verdicts)]


def why(pair: Pair) -> str:
    """Heat maps of the chosen model's score, or why there are none."""
    if pair.model == REFERENCE:
        return cards.hint(heat.NOT_OURS)
    crops = pair.a.faces[pair.face_a].crop, pair.b.faces[pair.face_b].crop
    return heat.why_card(cosine_maps(pair.model, *crops), crops, pair.score)


def build() -> Controls:
    """Lay the tab out; it opens with a finished example."""
    pairs = example_pairs()
    opening = next(iter(pairs.values()))
    gr.Markdown(LEAD, elem_classes="fl-lead")
    with gr.Row():
        photos = [
            PhotoInput(f"Photo {name}", f"photo-{name.lower()}", image) for name, image in zip("AB", opening)
        ]
    with gr.Row(elem_classes="fl-examples"):
        examples = [gr.Button(f"Try: {name.lower()}", size="sm") for name in pairs]
    model, strictness = model_and_strictness()
    run = gr.Button("Compare", variant="primary", elem_id="compare")
    first = outcome(*opening, model.value, strictness.value)
    results = [*_results(first), *_explanation(explain(first[0], strictness.value))]
    _connect(photos, model, strictness, run, results)
    for button, name in zip(examples, pairs):
        load_example = functools.partial(pairs.get, name)
        loaded = button.click(
            load_example, None, photos, api_visibility="private", show_progress="hidden"
        ).then(
            outcome,
            [*photos, model, strictness],
            results[:7],
            api_visibility="private",
            show_progress_on=results[1],
        )
        _then_explain(loaded, strictness, results)
    return {"model": model, "strictness": strictness}


def _results(first: list[Any]) -> list[Any]:
    """The components that `outcome` fills, in its order, filled with the opening example."""
    pair, card, figure, *seen, radio_a, radio_b = first
    verdict = gr.HTML(card, elem_id="verdict", padding=False)
    chart = Chart(figure, "Scores of pairs of one and of two people, and this pair's", "chart")
    cards_seen, choices = [], []
    with gr.Row():
        for name, html, radio in zip("AB", seen, (radio_a, radio_b)):
            with gr.Column():
                cards_seen.append(gr.HTML(html, elem_id=f"seen-{name.lower()}"))
                choices.append(
                    gr.Radio(
                        radio.get("choices", ["1"]),
                        value=radio.get("value", "1"),
                        visible=radio["visible"],
                        label=f"Which face of photo {name}?",
                        info="1 is the largest; the main face, large and near the middle, is taken first.",
                        elem_id=f"face-{name.lower()}",
                    )
                )
    return [gr.State(pair, time_to_live=60 * MINUTES), verdict, chart, *cards_seen, *choices]


def _explanation(first: list[Any]) -> list[Any]:
    """The components that `explain` fills, in its order, filled with the opening example."""
    scores, table, figure, why_html = first
    return [
        gr.State(scores, time_to_live=60 * MINUTES),
        gr.HTML(table, elem_id="models", padding=False),
        Chart(figure, "Every model's score and its own threshold", "models-chart"),
        gr.HTML(why_html, elem_id="why", padding=False),
    ]


def _then_explain(event: Any, strictness: gr.Slider, results: list[Any]) -> None:
    """After a verdict: what every model says, and where the score comes from."""
    event.then(
        explain,
        [results[0], strictness],
        results[7:],
        api_visibility="private",
        show_progress_on=results[8],
    )


def _connect(
    photos: list[PhotoInput], model: gr.Dropdown, strictness: gr.Slider, run: gr.Button, results: list[Any]
) -> None:
    """Who answers what."""
    pair, verdict, chart, _, _, face_a, face_b, scores, table, models_chart, _ = results
    inputs = [*photos, model, strictness]
    ran = run.click(outcome, inputs, results[:7], api_visibility="private", show_progress_on=verdict)
    _then_explain(ran, strictness, results)
    for photo in photos:
        gr.on(
            [photo.input, photo.clear],
            on_new_photo,
            None,
            results,
            api_visibility="private",
            show_progress="hidden",
        )
    chosen = gr.on(
        [model.change, face_a.input, face_b.input],
        on_choice,
        [pair, model, face_a, face_b, strictness],
        results[:5],
        api_visibility="private",
        show_progress_on=verdict,
    )
    _then_explain(chosen, strictness, results)
    strictness.change(
        on_strictness,
        [pair, scores, strictness],
        [verdict, chart, table, models_chart],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
