"""`python -m facelab compare`: two photos, one answer."""

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
    """Are two photos of one person?

    Finds the faces, embeds them and decides at the threshold whose false-accept rate is FAR: of 1,000 pairs
    of different people, FAR 0.001 lets one pass as the same.

    Args:
        a: First photo (JPEG, PNG, WebP, ...).
        b: Second photo.
        model: A checkpoint's name or path, or `reference`; `models` lists them.
        far: False-accept rate that you are ready to bear, 0.0001 to 0.1. Lower is stricter.
        face_a: Which face of the first photo, counted from the largest; if left out the main face, which is
            large and near the middle.
        face_b: Which face of the second photo.
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
    print(f"at this threshold 1 in {1 / far:,.0f} pairs of different people is accepted,")
    print(f"and {result['frr']:.1%} of pairs of one person are refused")
    print(f"probability that it is one person, for even odds beforehand: {result['probability_same']:.1%}")
    print(f"measured on {result['calibration']}")
    for sentence in result.get("warnings", ()):
        print(f"the rates may not hold. {sentence}")
    for name, face in zip("AB", result["faces"]):
        if face["found"] > 1:
            count, flag = face["found"], f"--face-{name.lower()}"
            used = f"face {face['face']} is used{', the main one' if face['main'] else ''}"
            print(f"photo {name} shows {count} faces; {used}, and {flag} chooses another", file=sys.stderr)
