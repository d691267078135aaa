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
    """Decide whether two photos show the same person; the result is the JSON of `python -m facelab compare
    --json`.

    Args:
        photo_a: a photo of a face
        photo_b: another photo of a face
        model: a name that /models lists
        far: target false accept rate, 0.0001 to 0.1

    Returns:
        score, threshold, same, rates, calibrated probability, their calibration set, the faces
    """
    if photo_a is None or photo_b is None:
        raise gr.Error("Both photos are needed; send two images.", print_exception=False)
    return _answered(lambda: compare(photo_a, photo_b, listed(model), far))


def api_identify(photo: Source | None, gallery: str | None, model: str, far: float) -> dict[str, object]:
    """Identify the person on a photo in a gallery; the closed-set answer is the nearest person, the open-set
    one may be null.

    Args:
        photo: a photo of a face
        gallery: an .npz file that the Identify tab exported for the same model
        model: a name that /models lists
        far: target false accept rate of one comparison, 0.0001 to 0.1

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
    """Return the embedding of every face on a photo, largest face first.

    Args:
        photo: a photo with at least one face
        model: a name that /models lists

    Returns:
        model, the name of the similarity for comparing embeddings, and faces: box, landmarks, embedding, and
        whether it is the main face, which /compare and /identify use
    """
    if photo is None:
        raise gr.Error("A photo is needed; send an image.", print_exception=False)
    return _answered(lambda: _embed(photo, listed(model)))


def api_models() -> list[dict[str, object]]:
    """List the models that the other endpoints accept.

    Returns:
        for each model: name, similarity, and, if calibrated, the calibration set and the thresholds by FAR
    """
    return [_describe(name) for name in model_names()]


def documented(info: dict[str, Any]) -> dict[str, Any]:
    """Return gradio's description of the endpoints with the text of their docstrings, and files that fit as
    examples.

    Args:
        info: description of all endpoints, as from `Blocks.get_api_info`; changed in place.
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
    """Call a function; the message of a ValueError becomes the endpoint's error."""
    try:
        return call()
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


ENDPOINTS = {"/compare": api_compare, "/identify": api_identify, "/embed": api_embed, "/models": api_models}
NAMES = tuple(name.strip("/") for name in ENDPOINTS)
EXAMPLES = {"photo": "photo.jpg", "photo_a": "a.jpg", "photo_b": "b.jpg", "gallery": "gallery.npz"}


def build() -> None:
    """Build the four endpoints, on components that are not shown."""
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
