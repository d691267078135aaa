"""Score a million pairs of templates with as little memory as ten: `python benchmarks/templates.py [PAIRS]`.

Another process writes 60,000 embeddings of 512 numbers and lists in IJB's form; this one reads them, pools
and scores. Prints seconds, and the peak of this whole process: before, with the embeddings read, and after.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from facelab.data.templates import read_templates
from facelab.evaluation.template_scores import judge_templates

IMAGES, TEMPLATES, PEOPLE, DIMENSION = 60_000, 20_000, 3000, 512


def make(folder: Path, pairs: int) -> None:
    """Write embeddings around random centers, and the protocol's lists."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, PEOPLE, TEMPLATES)
    owner = rng.integers(0, TEMPLATES, IMAGES)
    owner[:TEMPLATES] = np.arange(TEMPLATES)  # no template is empty
    centers = rng.standard_normal((PEOPLE, DIMENSION), np.float32)
    np.save(
        folder / "e.npy", centers[people[owner]] + 2 * rng.standard_normal((IMAGES, DIMENSION), np.float32)
    )
    couples = rng.integers(0, TEMPLATES, (pairs, 2))
    genuine = np.flatnonzero(rng.random(pairs) < 0.01)
    order, place = np.argsort(people, kind="stable"), rng.integers(0, TEMPLATES - 1, len(genuine))
    couples[genuine] = np.stack([order[place], order[place + 1]], 1)
    same = people[couples[:, 0]] == people[couples[:, 1]]
    (folder / "x_face_tid_mid.txt").write_text("".join(f"{i}.jpg {t} {i % 3}\n" for i, t in enumerate(owner)))
    with open(folder / "x_template_pair_label.txt", "w") as file:
        file.writelines(f"{a} {b} {int(label)}\n" for (a, b), label in zip(couples, same))


def peak() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(pairs: int = 1_000_000) -> None:
    """Run once and print a line."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "make", folder, str(pairs)], check=True)
        vectors = np.load(Path(folder) / "e.npy", mmap_mode="r")
        before, began = peak(), time.perf_counter()
        report = judge_templates(vectors, read_templates(folder))
        seconds = time.perf_counter() - began
    tar = ", ".join(f"{far} {value:.3f}" for far, value in report["tar_at_far"].items())
    memory = f"peak {before:,.0f} MB before, {peak():,.0f} MB after"
    print(f"{pairs:,} pairs in {seconds:.1f} s; {memory}; TAR at FAR {tar}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
