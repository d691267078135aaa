"""Short trainings on rendered faces that fail in a known way, and healthy ones, for the tests of the doctor.

`python -m tests.evaluation.doctor_runs [NAME ...]` trains them again, half a minute each on an idle core, and
writes their histories to histories/NAME.json.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from facelab.data.folders import CropSet
from facelab.data.parametric import ParametricFaces
from facelab.models.recipe import Recipe
from facelab.training.loop import train
from facelab.training.splits import split

FOLDER = Path(__file__).parent / "histories"
CALM = {
    "rotate": 0.0,
    "zoom": 0.0,
    "shift": 0.0,
    "jitter": 0.0,
    "gray": 0.0,
    "random_erasing": 0.0,
    "flip": False,
}
PLAIN = Recipe(
    backbone="alexnet_face", neck="pool", embedding_dim=32, epochs=12, batch_size=32, lr=0.1, held_out=0.2,
    held_out_images=0.2, precision="fp32", random_erasing=0.0,
)  # fmt: skip
LONG = replace(PLAIN, lr=0.01, held_out=0.0, held_out_images=0.5, weight_decay=0.0, **CALM)
PAIRS = replace(PLAIN, loss="triplet", images_per_identity=4, held_out_images=0.0)
ARCFACE = replace(PLAIN, loss="arcface", neck_bias=False)


def gray(data: CropSet, recipe: Recipe) -> CropSet:
    """Every crop is the same, as from a loader that is broken."""
    return replace(data, crops=np.full_like(data.crops[:], 127))


def mismatched(data: CropSet, recipe: Recipe) -> CropSet:
    """The labels of the people held out are shuffled, as where validation reads another list."""
    rows, labels = split(data, recipe).people.rows, data.labels.copy()
    labels[rows] = np.random.default_rng(1).permutation(labels[rows])
    return replace(data, labels=labels)


def noisy(data: CropSet, recipe: Recipe) -> CropSet:
    """Half of the photos of each person, under noise by which a photo can be known, but not a person."""
    rows = np.flatnonzero(np.arange(len(data.labels)) % 16 < 8)
    noise = np.random.default_rng(1).integers(0, 256, data.crops[:][rows].shape)
    crops = (0.4 * data.crops[:][rows] + 0.6 * noise).astype(np.uint8)
    return CropSet(crops, data.labels[rows], data.identities, tuple(map(str, rows)))


def shuffled(data: CropSet, recipe: Recipe) -> CropSet:
    """Twenty photos each of 16 people, half of which have the label of another person."""
    data, rng = ParametricFaces(16, 20, seed=3).crop_set(), np.random.default_rng(100)
    labels = data.labels.copy()
    for row in rng.permutation(np.arange(len(labels)))[: len(labels) // 2]:
        labels[row] = rng.choice(np.setdiff1d(np.arange(16), labels[row]))
    return replace(data, labels=labels)


Change = Callable[[CropSet, Recipe], CropSet]
RUNS: dict[str, tuple[Recipe, Change | None]] = {
    "healthy_softmax": (replace(PLAIN, epochs=20), None),
    "healthy_arcface": (replace(ARCFACE, epochs=24, margin=0.3, scale=24.0, margin_warmup=120), None),
    "healthy_triplet": (replace(PAIRS, epochs=20, lr=0.05), None),
    "healthy_center": (replace(PLAIN, loss="center", center_weight=0.003, epochs=20, neck_bias=False), None),
    "uniform": (PLAIN, gray),
    "collapse": (replace(PAIRS, mining="hard", lr=1.0, warmup=0.0), None),
    "margin_from_scratch": (replace(ARCFACE, scale=64.0, margin=0.5, lr=1.0, warmup=0.0), None),
    "no_validation": (replace(PLAIN, held_out=0.0, held_out_images=0.0), None),
    "rate_too_high": (replace(PLAIN, lr=30.0, warmup=0.0, grad_clip=0.0), None),
    "rate_too_low": (replace(PLAIN, lr=1e-5), None),
    "norm_shrinkage": (replace(PLAIN, loss="center", center_weight=30.0, neck_bias=False), None),
    "label_noise": (replace(LONG, epochs=36, lr=0.05, held_out_images=0.25), shuffled),
    "overfitting": (replace(LONG, epochs=60, batch_size=16), noisy),
    "no_active_pairs": (replace(PAIRS, pair_margin=1e-5), None),
    "decayed_too_early": (replace(PLAIN, schedule="step", milestones=(0.05, 0.08, 0.1, 0.12)), None),
    "cut_short": (replace(PLAIN, schedule="step", milestones=(0.99,), lr=0.02, epochs=6), None),
    "chance_validation": (replace(PLAIN, epochs=16, held_out_images=0.0), mismatched),
}  # fmt: skip


def record(name: str) -> dict[str, object]:
    """Train a run -> its recipe, its number of classes and the rows of its history."""
    recipe, change = RUNS[name]
    data = ParametricFaces(20, 16, seed=3).crop_set()
    data = change(data, recipe) if change else data
    history, said = None, ""
    try:
        for progress in train(recipe, data, device="cpu"):
            history = progress.run.history
    except ValueError as error:
        said = str(error)
    fields = {key: value for key, value in asdict(recipe).items() if value != getattr(Recipe(), key)}
    rows = [{key: float(f"{value:.4g}") for key, value in row.items()} for row in history.so_far()]
    return {
        "recipe": fields,
        "classes": len(split(data, recipe).training.identities),
        "error": said,
        "rows": rows,
    }


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or RUNS:
        run = record(name)
        head = json.dumps({key: value for key, value in run.items() if key != "rows"})[:-1]
        rows = ",\n".join(map(json.dumps, run["rows"]))
        (FOLDER / f"{name}.json").write_text(f'{head}, "rows": [\n{rows}\n]}}\n')
        print(
            name,
            run["error"],
            *({k: r.get(k) for k in r} for r in (run["rows"][0], run["rows"][-1])),
            sep="\n  ",
        )


if __name__ == "__main__":
    main(sys.argv[1:])
