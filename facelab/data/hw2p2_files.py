"""Files that are handed in: answers by id, in the form of each semester, and the model's metadata.

Everything is answered before anything is written, and a file is complete or absent.
"""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.files import replacing
from facelab.data.images import printable
from facelab.data.lists import read_rows

HEADERS = {  # layout: titles of the verification answers
    "names": ("Id", "Category"),
    "csv": ("id", "match"),
    "open_set": ("id", "label"),
    "pairs": ("ID", "Label"),
}
CLASSES = ("id", "label")
MOST_GAPS = 0.1  # of a numbering; one with more gaps is not consecutive
Answers = dict[str, str]  # {id: answer}, in the order of the file


def pair_answers(layout: str, first: Sequence[str], second: Sequence[str], scores: np.ndarray) -> Answers:
    """Return the answers on pairs.

    Args:
        layout: `names` calls a pair `image1 image2`; others count from 0.
        first, second: P images each.
        scores: (P,), higher means more similar; AUC and EER depend on their order only.
    """
    named = [f"{a} {b}" for a, b in zip(first, second)]
    ids = named if layout == "names" else map(str, range(len(scores)))
    return dict(zip(ids, (f"{score:.9g}" for score in scores)))


def write_scores(
    path: Path, first: Sequence[str], second: Sequence[str], scores: np.ndarray, layout: str = "pairs"
) -> None:
    """Write the verification submission of pairs; arguments as of `pair_answers`."""
    write_answers(path, HEADERS[layout], pair_answers(layout, first, second, scores).items())


def write_classes(path: Path, images: Sequence[str], labels: Sequence[str]) -> None:
    """Write the classification submission `id,label`."""
    write_answers(path, CLASSES, zip(images, labels))


def write_answers(path: Path, header: tuple[str, str], answers: Iterable[tuple[str, str]]) -> None:
    """Write a CSV of ids and answers, atomically."""
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(answers)


def write_metadata(path: Path, parameters: int, architecture: str) -> None:
    """Write the metadata that is asked for since 2026, atomically."""
    values = {"parameter_count": parameters, "model_architecture": architecture}
    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


def require_consecutive(names: Sequence[str], title: str) -> None:
    """Raise a ValueError if numbered images lack a number, whose id would then be missing or shifted.

    Args:
        names: image files; names that are no numbers, or not consecutive ones, pass.
        title: the folder's name.
    """
    stems = [PurePosixPath(name).stem for name in names]
    if not stems or not all(re.fullmatch(r"[0-9]{1,12}", stem) for stem in stems):
        return
    numbers = sorted(map(int, stems))
    span = numbers[-1] - min(numbers[0], 1) + 1  # a numbering begins at 0 or at 1
    missing = span - len(numbers)
    if 0 < missing <= MOST_GAPS * span:
        present = set(numbers)
        lost = next(n for n in range(min(numbers[0], 1), numbers[-1]) if n not in present)
        gap = f"{lost:0{len(stems[0])}d}{PurePosixPath(names[0]).suffix}"
        raise ValueError(
            f"{title} lacks {missing} of {span} numbered images (first: {gap}), so ids would be missing; "
            "unpack "
            "the homework again, or add --partial to submit as it is"
        )


def as_sample(sample: Path, parts: Sequence[Answers]) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    """Return header and rows of one combined file, with the ids of the course's sample in its order.

    Args:
        sample: a CSV with a line of two titles and a row for each id.
        parts: answers of each part of the homework; an image is also known without its suffix.

    Raises:
        ValueError: the sample has other columns, an id that has no answer or two, or lacks one of ours.
    """
    rows = [row for _, row in read_rows(sample, "id")]
    if any(len(row) < 2 for row in rows) or len(rows[0]) != 2:
        raise ValueError(f"{sample.name} needs two columns, an id and its answer, under a line of titles")
    header, ids = rows[0], [row[0] for row in rows[1:]]
    own = [key for part in parts for key in part]
    answers = {key: value for part in parts for key, value in part.items()}
    short = {str(PurePosixPath(key).with_suffix("")): key for key in own if PurePosixPath(key).suffix}
    if len(answers) < len(own) or set(short) & set(answers):
        raise ValueError(f"{sample.name} cannot be followed: classes and pairs have ids in common")
    given = [short.get(key, key) for key in ids]
    missing = [key for key, full in zip(ids, given) if full not in answers]
    if missing or len(set(given)) < len(given):
        which = f"first: {printable(missing[0])}" if missing else "some stand twice"
        raise ValueError(f"{len(missing)} of {len(ids)} ids in {sample.name} have no answer ({which})")
    if len(given) < len(answers):
        left = next(key for key in answers if key not in set(given))
        raise ValueError(f"{sample.name} lacks {len(answers) - len(given)} ids (first: {printable(left)})")
    return (header[0], header[1]), [(key, answers[full]) for key, full in zip(ids, given)]
