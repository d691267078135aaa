"""Show the embedding spaces of two models side by side, for the same photos.

Maps and figures are measured beforehand (`facelab.lessons.space`); the page draws them. A visitor's own photo
is embedded here, stays in the session, and is placed near its nearest neighbors.
"""

import html
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np
import plotly.graph_objects as go

from facelab.lessons import space as lesson
from facelab.photos.faces import Face, Photo, Source, main_face
from facelab.plots.space import space_map
from facelab.recognition.embedder import load
from facelab.recognition.verify import DEFAULT_FAR, detect
from facelab.ui.links import Controls
from facelab.ui.space import epochs as space_epochs
from facelab.ui.space import own_runs, umap_variants
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.current import answer_newest
from facelab.ui.widgets.examples import example_probes
from facelab.ui.widgets.linked_maps import People
from facelab.ui.widgets.photo_input import PhotoInput
from facelab.ui.widgets.prediction import predict

TITLE = "Embedding space"
LEAD = (
    "Each face is a point in the embedding space: a data point is a photo, color and shape its identity. "
    "**Are intra-class distances small and inter-class distances large?**"
)
PROJECTED = (
    "### The 128-D embedding space, projected\n"
    "The same question for networks with 128-D embeddings, shown here projected to 2-D."
)
MISSING = f"No map has been measured yet; {lesson.MAKE} from a checkpoint and the crops it was trained on."
NO_PHOTO = "Add a photo to project it onto both maps and to list its nearest identities."
WHO = [("unseen identities", "unseen"), ("training identities", "seen")]
METHODS = [("UMAP", "umap"), ("PCA", "pca")]
PAIR = ("softmax", "center")  # what the tab opens on, where they have been measured


@dataclass(frozen=True, eq=False)
class Dropped:
    """Hold a visitor's photo, the face in use, and its embeddings by model."""

    photo: Photo
    face: Face
    vectors: dict[str, np.ndarray] = field(default_factory=dict)


Settings = tuple[str, str, str, int, str]  # left, right, method, dimensions, who


def drop(source: Source | None) -> Dropped | None:
    """Read a photo and take its main face.

    Raises:
        ValueError: one sentence that says what to do.
    """
    if source is None:
        return None
    seen = detect(source, "The photo")
    return Dropped(seen.photo, main_face(seen.faces, seen.photo))


def embedded(dropped: Dropped | None, models: tuple[str, ...]) -> Dropped | None:
    """Return the photo with an embedding for each of these models.

    Raises:
        ValueError: a model is missing.
    """
    if dropped is None:
        return None
    vectors = {
        name: load(name).embed(dropped.photo, [dropped.face])[0] for name in {*models} - {*dropped.vectors}
    }
    return replace(dropped, vectors=dropped.vectors | vectors)


def on_settings(dropped: Dropped | None, *settings: Any) -> list[Any]:
    """Return (photo, its card, both charts with their figures) for these settings."""
    models, who = settings[:2], settings[4]
    try:
        dropped = embedded(dropped, models)
    except ValueError as error:
        return [None, cards.problem(str(error)), *show(None, settings)]
    return [dropped, photo_card(dropped, models, who), *show(dropped, settings)]


def on_photo(source: Source | None, *settings: Any) -> list[Any]:
    """Return the outputs of `on_settings` after a photo was added or removed."""
    try:
        return on_settings(drop(source), *settings)
    except ValueError as error:
        return [None, cards.problem(str(error)), *show(None, settings)]


def show(dropped: Dropped | None, settings: Settings) -> list[Any]:
    """Return (left chart, left card, right chart, right card)."""
    left, right, method, dims, who = settings
    out: list[Any] = []
    for name in (left, right):
        vector = dropped.vectors[name] if dropped else None
        out += [draw(name, method, dims, who, vector), figures_card(name, method, dims, who)]
    return out


def draw(name: str, method: str, dims: int, who: str, vector: np.ndarray | None) -> go.Figure:
    """Draw one model's map, with the visitor's photo if there is one."""
    photo = None if vector is None else lesson.place(name, who, method, dims, vector)
    labels = getattr(lesson.load(name), who).labels
    at = lesson.coordinates(name, who, method, dims)
    return space_map(name, at, labels, photo, f"{name} {method} {who}")


def figures_card(name: str, method: str, dims: int, who: str) -> str:
    """Return the figures measured in the embedding space, and how the map misleads."""
    crowd = getattr(lesson.load(name), who)
    figures, length = crowd.figures, crowd.embeddings.shape[1]
    cells = (
        ("intra-class angle", f"{figures.intra:.1f}°"),
        ("inter-class angle", f"{figures.inter:.1f}°"),
        ("equal error rate (EER)", f"{figures.eer:.1%}"),
        ("area under the ROC (AUC)", f"{figures.auc:.3f}"),
    )
    return (
        f'<div class="fl-card" role="status"><h3>{html.escape(name)}</h3>'
        f"{cards.figures(*cells)}"
        f'<p class="fl-small">Measured in the {length}-D space on {figures.photos:,} photos of '
        f"{figures.people} identities (the map shows some), not on the projection. Verification needs "
        f"intra ≪ inter; both are means, so read the EER too. "
        f"{misleads(name, method, dims, who, length)}</p></div>"
    )


def misleads(name: str, method: str, dims: int, who: str, length: int) -> str:
    """Return how a projection misleads."""
    if method == "pca":
        share = lesson.pca(name, who, dims).share
        return (
            f"<b>This map misleads:</b> its {dims} axes explain {share:.0%} of the variance. Identities that "
            f"differ along the other {length - dims} overlap."
        )
    return (
        "<b>This map misleads:</b> UMAP preserves neighborhoods; cluster sizes and distances between "
        "clusters mean little."
    )


def photo_card(dropped: Dropped | None, models: tuple[str, ...], who: str) -> str:
    """Return the nearest identities of the visitor's photo under each model, and the decision."""
    if dropped is None:
        return cards.hint(NO_PHOTO)
    rows = "".join(_photo_row(name, dropped.vectors[name], who) for name in dict.fromkeys(models))
    face = cards.picture(dropped.face.crop, "your photo as network input")
    return (
        f'<div class="fl-card" role="status"><h3>Your photo on the maps (★, in 3-D ◇; approximate)</h3>'
        f'<div class="fl-seen fl-read"><div><ul>{rows}</ul></div><figure>{face}</figure></div>'
        f'<p class="fl-small">On the UMAP map it is at the mean of its five nearest photos, weighted by '
        f"cosine similarity: an approximation. On the PCA map its position is exact. Some identity is always "
        f"nearest, even when none is similar. The photo stays in memory for this visit only.</p></div>"
    )


def _photo_row(name: str, vector: np.ndarray, who: str) -> str:
    near = lesson.nearest_people(name, who, vector)
    said = ", ".join(f"identity {person + 1} ({score:.2f})" for person, score in near)
    points = load(name).points
    if points is None:
        return f"<li><b>{html.escape(name)}</b>: nearest by cosine similarity: {said}.</li>"
    threshold = points.threshold_for(DEFAULT_FAR)
    relation = "reaches" if near[0][1] >= threshold else "is below"
    return (
        f"<li><b>{html.escape(name)}</b>: nearest by cosine similarity: {said}. The best {relation} the "
        f"threshold {threshold:.2f} at FAR {DEFAULT_FAR:.1%}.</li>"
    )


def build() -> Controls:
    """Lay the tab out, the paper's 2-D figure first; return its controls by name."""
    gr.Markdown(LEAD, elem_classes="fl-lead")
    names, notes = lesson.comparable()
    controls = space_epochs.section()
    gr.Markdown(PROJECTED)
    _prediction(names)
    if names:
        controls |= _maps(names)
    else:
        gr.Markdown(MISSING, elem_id="space-missing")
    if notes:
        gr.Markdown(". ".join(notes) + ".", elem_classes="fl-small")
    if names:
        umap_variants.section(controls["left"])
    own_runs.section()
    return controls


def _prediction(names: list[str]) -> None:
    """Ask what center loss does to unseen identities, where both runs have been measured."""
    if not {*PAIR} <= {*names}:
        return
    plain, center = (lesson.load(name).unseen.figures for name in PAIR)
    predict(
        "space",
        "Center loss pulls photos to their class center. On unseen identities, does the angle between "
        "neighboring identities grow as well?",
        ("It grows", "It shrinks"),
        int(center.inter < plain.inter),
        f"Intra-class angle {plain.intra:.1f}° → {center.intra:.1f}°, inter-class angle {plain.inter:.1f}° → "
        f"{center.inter:.1f}°; the EER goes from {plain.eer:.1%} to {center.eer:.1%}.",
    )


def _maps(names: list[str]) -> Controls:
    with columns() as (panel, results):
        with panel:
            controls = _controls(names)
        settings = list(controls.values())
        with results:
            shown = _pair(show(None, tuple(control.value for control in settings)))
            People(1 + int(lesson.load(names[0]).unseen.labels.max()))
            photo, card, example = _photo_section()
    dropped = gr.State(None, time_to_live=60 * MINUTES)
    outputs = [dropped, card, *shown]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    for control in settings:
        control.change(on_settings, [dropped, *settings], outputs, **quiet)
    example.click(_example, None, photo, **quiet)
    read = {"api_visibility": "private", "show_progress_on": card}
    placed = answer_newest([photo.change], on_photo, [photo, *settings], outputs, **read)
    placed.then(on_settings, [dropped, *settings], outputs, **quiet)  # which may have changed meanwhile
    return controls


def _pair(first: list[Any]) -> list[Any]:
    """Lay out both maps with their figures."""
    shown = []
    with beside():
        for side, figure, card in zip(("left", "right"), first[::2], first[1::2]):
            with gr.Column(min_width=0):
                label = f"Projected embeddings of the {side} model, a data point for each photo"
                shown += [
                    Chart(figure, label, f"space-{side}"),
                    gr.HTML(card, elem_id=f"space-{side}-card", padding=False),
                ]
    return shown


def _example() -> Any:
    return next(iter(example_probes().values()))


def _controls(names: list[str]) -> Controls:
    opening = PAIR if {*PAIR} <= {*names} else (names[0], names[min(1, len(names) - 1)])
    with live():
        sides = [
            gr.Dropdown(
                names,
                value=value,
                label=f"{side} model",
                info="The network that computed the embeddings of this map.",
                elem_id=f"space-{side.lower()}-model",
                filterable=False,
            )
            for side, value in zip(("Left", "Right"), opening)
        ]
        who = gr.Radio(WHO, value="unseen", label="Identities", elem_id="space-who",
                       info="Verification is measured on unseen identities.")  # fmt: skip
    with gr.Row(elem_classes="fl-controls"):
        method = gr.Radio(METHODS, value="umap", label="Projection", elem_id="space-method",
                          info="UMAP preserves neighborhoods; PCA maximizes variance.")  # fmt: skip
        dims = gr.Radio([("2-D", 2), ("3-D", 3)], value=2, label="Dimensions", elem_id="space-dims",
                        info="Drag a 3-D map to rotate it.")  # fmt: skip
    return {"left": sides[0], "right": sides[1], "map": method, "dimensions": dims, "people": who}


def _photo_section() -> tuple[PhotoInput, gr.HTML, gr.Button]:
    with gr.Accordion("Project your own photo", open=False, elem_id="space-drop"), gr.Row():
        with gr.Column(min_width=280, scale=1):
            photo = PhotoInput("Your photo", "space-photo")
            example = gr.Button("Try: a rendered face", size="sm")
        with gr.Column(min_width=280, scale=2):
            card = gr.HTML(cards.hint(NO_PHOTO), elem_id="space-photo-card", padding=False)
    return photo, card, example
