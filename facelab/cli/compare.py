"""`python -m facelab compare`: verify two photos."""

import json as jsonlib
import sys
from typing import Annotated

from tyro.conf import arg

from facelab.models.zoo import DEFAULT_MODEL
from facelab.recognition.verify import DEFAULT_FAR
from facelab.recognition.verify import compare as compare_photos

Photo = Annotated[str, arg(metavar="PHOTO")]


def compare(
    a: Photo,
    b: Photo,
    /,
    model: str = DEFAULT_MODEL,
    far: float = DEFAULT_FAR,
    face_a: int | None = None,
    face_b: int | None = None,
    json: bool = False,
) -> None:
    """Verify whether two photos show the same person.

    Detect the faces, embed them and decide at the threshold of the given false accept rate (FAR): FAR 0.001
    accepts one of 1,000 impostor pairs.

    Args:
        a: First photo (JPEG, PNG, WebP, ...).
        b: Second photo.
        model: A checkpoint's name or path, or `reference`; `models` lists them.
        far: Target false accept rate (FAR), 0.0001-0.1; lower is stricter.
        face_a: Face of the first photo, counted from the largest. Default: the main face, large and near the
            center.
        face_b: Face of the second photo.
        json: Print one JSON object.
    """
    chosen = (None if face is None else face - 1 for face in (face_a, face_b))
    result = compare_photos(a, b, model, far, *chosen)
    if json:
        print(jsonlib.dumps(result))
        return
    score, threshold = result["score"], result["threshold"]
    sign, verdict = (">=", "same person") if result["same"] else ("<", "different people")
    print(f"{verdict}: score {score:.3f} {sign} threshold {threshold:.3f} ({result['model']})")
    print(f"at this threshold FAR = 1 in {1 / far:,.0f} impostor pairs,")
    print(f"FRR = {result['frr']:.1%} of genuine pairs")
    print(f"P(same) = {result['probability_same']:.1%}, 50:50 prior")
    print(f"measured on {result['calibration']}")
    for sentence in result.get("warnings", ()):
        print(f"the rates may not hold. {sentence}")
    for name, face in zip("AB", result["faces"]):
        if face["found"] > 1:
            count, flag = face["found"], f"--face-{name.lower()}"
            used = f"face {face['face']} is used{', the main one' if face['main'] else ''}"
            print(f"photo {name} shows {count} faces; {used}, and {flag} chooses another", file=sys.stderr)
