"""Differences between rows of the model card on LFW view 2, with 95% intervals of the paired bootstrap.

    python benchmarks/differences.py lfw250.zip pairs.txt --out docs/differences.json

Two models are compared on the same 6,000 pairs, so that what is difficult for both cancels. Rows without
weights cannot be compared. Prints a Markdown table, and writes what it prints to a JSON file.
"""

import argparse
import json
import sys
from pathlib import Path

from facelab import settings
from facelab.data.images import ImageFolder
from facelab.data.matching import resolve
from facelab.data.pairs import read_pairs
from facelab.evaluation.photo_pool import embed_images
from facelab.evaluation.protocols import Embedded, judge_difference
from facelab.metrics.confidence import RESAMPLES
from facelab.recognition.embedder import load

PAIRS = (  # a row, and the row that it is held against
    *(("softmax", row) for row in ("center", "a_softmax", "cosface", "arcface")),
    *(("softmax", row) for row in ("label_smoothing", "softmax_triplet")),
    *(("arcface", row) for row in ("a_softmax", "cosface")),
    ("resnet_softmax", "strong"),
    *(("resnet", row) for row in ("alexnet", "vgg", "densenet", "resnext", "mobilenet", "senet")),
    *(("resnet", row) for row in ("efficientnet", "regnet", "resnest", "nfnet", "convnext")),
)
COLUMNS = {
    "LFW EER": lambda found: found["eer"],
    "TAR@FAR=0.01": lambda found: found["tar_at_far"]["0.01"],
}


def written(difference: tuple[float, float, float]) -> str:
    """A difference and its interval, in points."""
    value, low, high = (100 * x for x in difference)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    """Embed the photos of the pairs once with every model, and compare."""
    if len(sys.argv) == 1:  # `make bench` goes on
        print("LFW's photos and pairs are needed: lfw250.zip pairs.txt")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("pairs")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    pairs, folder = read_pairs(asked.pairs), ImageFolder(asked.images)
    names = resolve(pairs.first + pairs.second, folder.names)
    embedded = {}
    for model in dict.fromkeys(model for both in PAIRS for model in both):
        vectors, failures = embed_images(model, folder, sorted(set(names)), cache=settings.cache())
        embedded[model] = Embedded(vectors, failures, load(model).score)
        print(f"embedded with {model}", file=sys.stderr, flush=True)
    found = {}
    print(f"| row | against | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for base, row in PAIRS:
        difference = judge_difference(embedded[row], embedded[base], pairs, names)
        found[f"{row} - {base}"] = figures = {name: of(difference) for name, of in COLUMNS.items()}
        print(f"| `{row}` | `{base}` | {' | '.join(map(written, figures.values()))} |", flush=True)
    if asked.out:
        content = {"pairs": len(pairs.same), "resamples": RESAMPLES, "differences": found}
        asked.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
