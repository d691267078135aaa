"""What stretching, blur, darkness, size and compression do to the rates of a threshold, on LFW view 1.

    python benchmarks/conditions.py lfw250.zip pairsDevTest.txt

Both photos of a pair are changed alike; the threshold is the model's own at 1 false accept in 100. Prints a
Markdown table: of the changed photos, how many faces are found and how many are warned about; of their
pairs, how many impostors are accepted and how many genuine ones are refused. View 2 is not touched.
"""

import io
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from facelab.data.images import ImageFolder
from facelab.data.matching import resolve
from facelab.data.pairs import read_pairs
from facelab.photos.conditions import Conditions, measure, warnings_of
from facelab.photos.faces import find_faces, main_face, read_photo
from facelab.recognition.embedder import load

PHOTOS = 160
FAR = 0.01


def resized(x: float, y: float) -> Callable[[Image.Image], Image.Image]:
    """Change of the sides by factors."""
    return lambda image: image.resize(
        (round(image.width * x), round(image.height * y)), Image.Resampling.BICUBIC
    )


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    """Compression."""

    def compress(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return compress


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "stretched sideways 1.4 : 1": resized(1.4, 1),
    "stretched sideways 2 : 1": resized(2, 1),
    "stretched upwards 2 : 1": resized(1, 2),
    "blurred, σ = 2 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "blurred, σ = 4 pixels": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "darkened to 1/4": lambda image: ImageEnhance.Brightness(image).enhance(0.25),
    "darkened to 1/10": lambda image: ImageEnhance.Brightness(image).enhance(0.1),
    "reduced to 1/2": resized(0.5, 0.5),
    "JPEG, quality 4": jpeg(4),
}


def changed_faces(folder: ImageFolder, names: list[str], change: Callable, model: str) -> tuple:
    """(indices of the photos with a face, embeddings, conditions)."""
    embedder, kept, vectors, conditions = load(model), [], [], []
    for i, name in enumerate(names):
        with Image.open(io.BytesIO(folder.read(name))) as image:
            photo = read_photo(np.asarray(change(image.convert("RGB")).convert("RGB")))
        faces = find_faces(photo)
        if faces:
            face = main_face(faces, photo)
            kept.append(i)
            vectors.append(embedder.embed(photo, [face])[0])
            conditions.append(measure(face, photo))
    return np.array(kept), np.stack(vectors), conditions


def row(title: str, people: np.ndarray, vectors: np.ndarray, found: list[Conditions], model: str) -> str:
    """One line of the table."""
    embedder = load(model)
    first, second = np.triu_indices(len(people), 1)
    accepted = embedder.score(vectors[first], vectors[second]) >= embedder.calibrated().threshold_for(FAR)
    same = people[first] == people[second]
    warned = np.mean([bool(warnings_of(conditions)) for conditions in found])
    return (
        f"| {title} | {len(people):} | {warned:.0%} | {accepted[~same].mean():.1%} "
        f"| {1 - accepted[same].mean():.0%} |"
    )


def main(images: str, pairs_file: str, model: str = "strong") -> None:
    """Print the table."""
    folder, pairs = ImageFolder(images), read_pairs(pairs_file)
    names = sorted(set(resolve(pairs.first + pairs.second, folder.names)))
    names = names[:: len(names) // PHOTOS][: PHOTOS // 2]
    mates = {name.split("/")[0]: name for name in folder.names if name not in names}
    names += [mates[person] for person in dict.fromkeys(n.split("/")[0] for n in names) if person in mates]
    print("| photos | faces found | warned about | strangers accepted | refused of one person |")
    print("|---|---|---|---|---|")
    for title, change in CHANGES.items():
        kept, vectors, found = changed_faces(folder, names, change, model)
        people = np.array([names[i].split("/")[0] for i in kept])
        print(row(title, people, vectors, found, model), flush=True)
        spread = np.percentile([list(vars(c).values()) for c in found], [0.5, 5, 50, 95, 99.5], axis=0)
        for name, values in zip(vars(found[0]), spread.T):
            print(f"  {name}: {np.round(values, 4).tolist()}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(*sys.argv[1:])
    else:  # `make bench` goes on
        print("photos and a list of pairs are needed: lfw250.zip pairsDevTest.txt")
