"""The public endpoints: /compare, /identify, /embed and /models. Everything else on the page is private.

They keep nothing between two calls: a gallery comes with each question, as the .npz file that the Identify
tab exports.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.utils import get_function_description

from facelab.metrics.verification import FARS
from facelab.models.zoo import DEFAULT_MODEL
from facelab.photos.faces import Source
from facelab.recognition import gallery as galleries
from facelab.recognition.embedder import listed, load, model_names
from facelab.recognition.verify import DEFAULT_FAR, compare, describe_face, detect
from facelab.ui.widgets.photo_input import PhotoInput


def api_compare(photo_a: Source | None, photo_b: Source | None, model: str, far: float) -> dict[str, object]:
    """Are two photos of one person? Gives the JSON of `python -m facelab compare --json`.

    Args:
        photo_a: a photo of a face
        photo_b: another
        model: a name that /models lists
        far: how rare a false accept must be, 0.0001 to 0.1

    Returns:
        score, threshold, same, rates, calibrated probability, the set that these were measured on, the faces
    """
    if photo_a is None or photo_b is None:
        raise gr.Error("Both photos are needed; send two images.", print_exception=False)
    return _answered(lambda: compare(photo_a, photo_b, listed(model), far))


def api_identify(photo: Source | None, gallery: str | None, model: str, far: float) -> dict[str, object]:
    """Who of a gallery is on a photo? The closed-set answer names the nearest; the open-set one may be null.

    Args:
        photo: a photo of a face
        gallery: an .npz file that the Identify tab exported for the same model
        model: a name that /models lists
        far: how rare a false accept of one comparison must be, 0.0001 to 0.1

    Returns:
        closed_set, open_set, score, threshold, stranger_accepted, and ranks: everyone with their score
    """
    if photo is None or gallery is None:
        raise gr.Error(
            "A photo and a gallery are needed; send an image and an exported .npz file.",
            print_exception=False,
        )
    return _answered(lambda: galleries.identify(photo, galleries.load_gallery(gallery, listed(model)), far))


def api_embed(photo: Source | None, model: str) -> dict[str, object]:
    """The vector of every face on a photo, largest face first.

    Args:
        photo: a photo with at least one face
        model: a name that /models lists

    Returns:
        model, the name of the similarity to compare vectors with, and faces: box, landmarks, embedding, and
        whether it is the main face, which /compare and /identify take
    """
    if photo is None:
        raise gr.Error("A photo is needed; send an image.", print_exception=False)
    return _answered(lambda: _embed(photo, listed(model)))


def api_models() -> list[dict[str, object]]:
    """The models that the other endpoints take.

    Returns:
        for each model: name, similarity, and, where it was calibrated, on what and its thresholds by FAR
    """
    return [_describe(name) for name in model_names()]


def documented(info: dict[str, Any]) -> dict[str, Any]:
    """Return gradio's account of the endpoints with their docstrings' words, and files that fit as examples.

    Args:
        info: of all endpoints, as `Blocks.get_api_info` gives it; changed in place.
    """
    ours = {name: info["named_endpoints"].get(name) for name in ENDPOINTS}
    for name, endpoint in ((name, found) for name, found in ours.items() if found):
        _, arguments, returned = get_function_description(ENDPOINTS[name])
        for parameter in endpoint["parameters"]:
            argument = parameter["parameter_name"]
            parameter["python_type"]["description"] = f"It is {arguments[argument]}."
            if argument in EXAMPLES:
                file = EXAMPLES[argument]
                parameter["example_input"] = {"path": file, "url": file, "meta": {"_type": "gradio.FileData"}}
        for value in endpoint["returns"]:
            value["python_type"]["description"] = f"It holds {' '.join(returned)}."
    return info


def _embed(photo: Source, model: str) -> dict[str, object]:
    embedder = load(model)
    seen = detect(photo, "The photo")
    vectors = embedder.embed(seen.photo, seen.faces).tolist()
    faces = [describe_face(seen, i) | {"embedding": vector} for i, vector in enumerate(vectors)]
    return {"model": model, "similarity": embedder.similarity, "faces": faces}


def _describe(name: str) -> dict[str, object]:
    embedder = load(name)
    points = embedder.points
    thresholds = {f"{far:g}": points.threshold_for(far) for far in FARS if points and points.covers(far)}
    return {
        "name": name,
        "similarity": embedder.similarity,
        "calibration": points and points.source,
        "thresholds": thresholds,
    }


def _answered(call: Callable[[], Any]) -> Any:
    """What a call returns; its sentence, if it refuses, becomes the endpoint's error."""
    try:
        return call()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


ENDPOINTS = {"/compare": api_compare, "/identify": api_identify, "/embed": api_embed, "/models": api_models}
EXAMPLES = {"photo": "photo.jpg", "photo_a": "a.jpg", "photo_b": "b.jpg", "gallery": "gallery.npz"}


def build() -> None:
    """The four endpoints, on components that are not shown."""
    with gr.Row(visible=False):
        photo, photo_a, photo_b = (PhotoInput(label) for label in ("Photo", "Photo A", "Photo B"))
        gallery = gr.File(label="Gallery", file_types=[".npz"])
        model = gr.Textbox(DEFAULT_MODEL, label="Model")
        far = gr.Number(DEFAULT_FAR, label="False-accept rate")
        answer, press = gr.JSON(label="Answer"), gr.Button()
    press.click(api_compare, [photo_a, photo_b, model, far], answer, api_name="compare")
    press.click(api_identify, [photo, gallery, model, far], answer, api_name="identify")
    press.click(api_embed, [photo, model], answer, api_name="embed")
    press.click(api_models, None, answer, api_name="models")
