"""Compare: two photos, one score, one threshold, and what each of them means.

The photos are read and embedded once, when the button is pressed or a face or model is chosen; the slider
only moves the threshold over the score that is there. What was found stays in the visitor's session and
goes with it.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from PIL import Image

from facelab import plots
from facelab.compare import DEFAULT_FAR, Sighting, judge, look_at_both, score_faces
from facelab.compare import compare as compare_photos
from facelab.embedder import load, model_names
from facelab.faces import Source
from facelab.reference import NAME as REFERENCE
from facelab.ui import cards
from facelab.ui.chart import Chart
from facelab.ui.examples import example_pairs

TITLE = "Compare"
LEAD = (
    "Do two photos show one person? A network turns each face into a vector; the more two vectors point the "
    "same way, the higher the score. **Where would you draw the line between “same” and “different”?**"
)
EMPTY = "Choose two photos and press Compare. They stay in memory for this visit only."
WITHOUT_REFERENCE = "The stronger reference model is not installed here, so only our own models are offered."
MINUTES = 15
STRICTNESS = 2.0  # 1 in 100: where a small network still recognises most people


@dataclass(frozen=True, eq=False)
class Pair:
    """What a visitor compares: both sightings, which face of each, the model and its score."""

    a: Sighting
    b: Sighting
    face_a: int
    face_b: int
    model: str
    score: float


class PhotoInput(gr.Image):
    """An image input that hands on the file unread, so that our own reader refuses a bad one in words."""

    def __init__(self, label: str, elem_id: str, value: Image.Image) -> None:
        super().__init__(
            value,
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard", "webcam"],
            buttons=["fullscreen"],
            label=label,
            elem_id=elem_id,
            height=260,
        )

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload, or None; a pasted data URL is written to the session's folder first."""
        if payload is None or payload.path is not None:
            return payload and payload.path
        return super().preprocess(payload)

    def get_block_name(self) -> str:
        """Drawn by the page as any image input is."""
        return "image"

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        """All of gr.Image's settings; gradio would otherwise send those of this constructor only."""
        return super().get_config(gr.Image)


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
    return Pair(a, b, 0, 0, model, score_faces(load(model), a, b))


def show_pair(pair: Pair, strictness: float) -> tuple[str, Any]:
    """(verdict card, histogram) at a strictness; no network runs."""
    embedder = load(pair.model)
    verdict = judge(embedder, pair.score, 10.0**-strictness)
    return cards.verdict_card(verdict), plots.score_histogram(
        embedder.calibrated(), verdict, embedder.similarity
    )


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
    """Everything that the tab shows of two photos, or the sentence that says why not."""
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
    return blank(cards.hint(EMPTY))


def on_choice(pair: Pair | None, model: str, face_a: str, face_b: str, strictness: float) -> list[Any]:
    """Another model or another face: embed again, detect nothing."""
    if pair is None:
        return [gr.skip()] * 5
    chosen = int(face_a) - 1, int(face_b) - 1
    score = score_faces(load(model), pair.a, pair.b, *chosen)
    pair = replace(pair, face_a=chosen[0], face_b=chosen[1], model=model, score=score)
    return [pair, *show_pair(pair, strictness), *show_faces(pair)[:2]]


def on_strictness(pair: Pair | None, strictness: float) -> tuple[Any, Any]:
    """The slider: the same score against another threshold."""
    return (gr.skip(), gr.skip()) if pair is None else show_pair(pair, strictness)


def api_compare(photo_a: str | None, photo_b: str | None, model: str, far: float) -> dict[str, object]:
    """Compare two photos -> the JSON of `python -m facelab compare --json`."""
    if photo_a is None or photo_b is None:
        raise gr.Error("Both photos are needed; send two images.")
    try:
        return compare_photos(photo_a, photo_b, model, float(far))
    except ValueError as error:
        raise gr.Error(str(error)) from error


def build() -> None:
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
    model, strictness = _controls()
    run = gr.Button("Compare", variant="primary", elem_id="compare")
    results = _results(outcome(*opening, model.value, strictness.value))
    _connect(photos, model, strictness, run, results)
    for button, name in zip(examples, pairs):
        inputs = [*photos, model, strictness]
        load_example = functools.partial(pairs.get, name)
        button.click(load_example, None, photos, api_visibility="private", show_progress="hidden").then(
            outcome, inputs, results, api_visibility="private", show_progress_on=results[1]
        )


def _controls() -> tuple[gr.Radio, gr.Slider]:
    names = model_names()
    with gr.Row(elem_classes="fl-controls"):
        model = gr.Radio(
            [(f"{name}: strong, by others" if name == REFERENCE else name, name) for name in names],
            value=names[0],
            label="Model",
            info="Which network turns faces into vectors.",
            elem_id="model",
        )
        strictness = gr.Slider(
            1,
            4,
            value=STRICTNESS,
            step=0.1,
            label="Strictness",
            info="How rare a false accept must be (FAR): at 1 it is 1 in 10 pairs of different people, at 4 "
            "it is 1 in 10,000.",
            elem_id="strictness",
        )
    if REFERENCE not in names:
        gr.Markdown(WITHOUT_REFERENCE)
    return model, strictness


def _results(first: list[Any]) -> list[Any]:
    """The components that `outcome` fills, in its order, filled with the opening example."""
    pair, card, figure, *seen, radio_a, radio_b = first
    verdict = gr.HTML(card, elem_id="verdict")
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
                        info="1 is the largest.",
                        elem_id=f"face-{name.lower()}",
                    )
                )
    return [gr.State(pair, time_to_live=60 * MINUTES), verdict, chart, *cards_seen, *choices]


def _connect(
    photos: list[PhotoInput], model: gr.Radio, strictness: gr.Slider, run: gr.Button, results: list[Any]
) -> None:
    """Who answers what; only /compare is public."""
    pair, verdict, chart, *_, face_a, face_b = results
    run.click(
        outcome, [*photos, model, strictness], results, api_visibility="private", show_progress_on=verdict
    )
    for photo in photos:
        gr.on(
            [photo.input, photo.clear],
            on_new_photo,
            None,
            results,
            api_visibility="private",
            show_progress="hidden",
        )
    gr.on(
        [model.input, face_a.input, face_b.input],
        on_choice,
        [pair, model, face_a, face_b, strictness],
        results[:5],
        api_visibility="private",
        show_progress_on=verdict,
    )
    strictness.input(
        on_strictness,
        [pair, strictness],
        [verdict, chart],
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,
    )
    far = gr.Number(DEFAULT_FAR, label="far", visible=False)
    gr.Button(visible=False).click(
        api_compare, [*photos, model, far], gr.JSON(visible=False), api_name="compare"
    )
