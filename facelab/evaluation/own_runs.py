"""Everything that one run's embeddings show, with or without a list of pairs: for the page's dashboards.

A run is a file of embeddings, or a model's embeddings of photos. Without a list, all pairs of its images are
judged; what is too large for a page is sampled by whole identities, and the notes say so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facelab.data.formats.vectors import Vectors
from facelab.data.matching import resolve
from facelab.data.pairs import Pairs, read_pairs
from facelab.evaluation.groups import judge_groups, read_groups
from facelab.evaluation.own_vectors import (
    BINS,
    as_embedded,
    class_columns,
    compare_vectors,
    judge_vectors,
    nearest_identities,
    sample,
)
from facelab.evaluation.protocols import Embedded, judge_all_pairs, judge_difference, judge_pairs, score_pairs
from facelab.metrics.geometry import inter_class_angle, intra_class_angle
from facelab.metrics.verification import Roc, all_pairs, cosine, roc

MOST_DRAWN = 400  # images behind an interval of all pairs
MOST_GROUPED = 400  # images whose pairs are judged by group, eighty thousand pairs


@dataclass(frozen=True, eq=False)
class Judged:
    """A run's figures.

    Attributes:
        vectors: what was judged.
        report: "eer", "tar_at_far", "interval", and with identities "intra_class_angle", "inter_class_angle".
        curve: error rates at every threshold.
        edges, genuine, impostor: histogram of the scores, shares of the pairs of a kind in each bin.
        nearest: pairs of identities with the nearest centers and their angle in degrees; empty without.
        columns: labels as columns of the logits; None without logits.
        notes: what was judged, and what was sampled.
    """

    vectors: Vectors
    report: Mapping[str, object]
    curve: Roc
    edges: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray
    nearest: Sequence[tuple[str, str, float]]
    columns: np.ndarray | None
    notes: tuple[str, ...]


def judge_run(vectors: Vectors, pairs: str | os.PathLike | None = None, most: int | None = None) -> Judged:
    """Evaluate one run.

    Args:
        vectors: of the run; without a list of pairs they need identities.
        pairs: path of a list of pairs over their names.
        most: images to judge without a list; None judges all.

    Raises:
        ValueError: no identities and no list, images that the list names are missing, or too few pairs.
    """
    known = vectors.identities is not None
    if pairs is None:
        vectors, notes = _reduced(vectors, most)
        report, genuine, impostor, more = _by_all_pairs(vectors)
    else:
        report, genuine, impostor, more = _by_list(vectors, pairs)
        notes = ()
    people, nearest = np.array(vectors.identities or (), np.str_), ()
    if known and len(set(vectors.identities) - {""}) > 1:
        inside = people != ""
        embeddings, labels = vectors.embeddings[inside], people[inside]
        nearest = nearest_identities(vectors.embeddings, people)
        report = {"inter_class_angle": inter_class_angle(embeddings, labels), **report}
        if np.unique(labels, return_counts=True)[1].max() > 1:
            report = {"intra_class_angle": intra_class_angle(embeddings, labels), **report}
    edges = np.linspace(min(-0.2, genuine.min(), impostor.min()), 1, BINS + 1)
    shares = (np.histogram(scores, edges)[0] / len(scores) for scores in (genuine, impostor))
    columns = class_columns(vectors) if known else None
    curve = roc(genuine, impostor)
    return Judged(vectors, report, curve, edges, *shares, nearest, columns, (*more, *notes))


def _reduced(vectors: Vectors, most: int | None) -> tuple[Vectors, tuple[str, ...]]:
    """Return at most so many of the vectors, and a note if they are fewer."""
    as_embedded(vectors)  # which says what is missing
    if most is None or len(vectors.names) <= most:
        return vectors, ()
    note = f"{most:,} of {len(vectors.names):,} photos were judged here, sampled by whole identities."
    return taken(vectors, sample(vectors, most)), (note,)


def taken(vectors: Vectors, rows: np.ndarray) -> Vectors:
    """Return some rows."""
    return Vectors(
        tuple(vectors.names[i] for i in rows),
        vectors.embeddings[rows],
        None if vectors.identities is None else tuple(vectors.identities[i] for i in rows),
        None if vectors.logits is None else vectors.logits[rows],
    )


Part = tuple[dict[str, object], np.ndarray, np.ndarray, tuple[str, ...]]


def _by_all_pairs(vectors: Vectors) -> Part:
    """Return (report, genuine scores, impostor scores, notes) of all pairs of the images."""
    report = judge_vectors(vectors)
    rows, few = report["sample"], sample(vectors, MOST_DRAWN)
    people = np.array(vectors.identities)
    genuine, impostor = all_pairs(vectors.embeddings[rows], people[rows])
    notes = [
        f"All {report['genuine_pairs']:,} genuine and {report['impostor_pairs']:,} impostor pairs of "
        f"{report['images']:,} photos of {report['identities']:,} identities."
    ]
    small = as_embedded(taken(vectors, few))
    report["interval"] = judge_all_pairs(small, intervals=True)["interval"]
    drawn = "" if len(few) == report["images"] else f" of {len(few)} sampled photos"
    notes.append(f"In parentheses: 95% bootstrap intervals, for which whole identities{drawn} are drawn.")
    return report, genuine, impostor, tuple(notes)


def _by_list(vectors: Vectors, path: str | os.PathLike) -> Part:
    """Return the same for the pairs of a list."""
    embedded, pairs, names = listed(vectors, path)
    report = judge_pairs(embedded, pairs, names, intervals=True)
    kept, scores = score_pairs(embedded, names)
    same = pairs.same[kept]
    notes = (
        f"The {int(same.sum()):,} genuine and {int((~same).sum()):,} impostor pairs of your list.",
        "In parentheses: 95% bootstrap intervals, for which pairs are drawn.",
    )
    return report, scores[same], scores[~same], notes


def listed(vectors: Vectors, path: str | os.PathLike) -> tuple[Embedded, Pairs, list[str]]:
    """Return (vectors as the protocols take them, the list, the images that it names).

    Raises:
        ValueError: no list, or it names images that are not there.
    """
    pairs = read_pairs(path)
    people = dict(zip(vectors.names, vectors.identities)) if vectors.identities else None
    embedded = Embedded(dict(zip(vectors.names, vectors.embeddings)), {}, cosine, people)
    return embedded, pairs, resolve(pairs.first + pairs.second, sorted(embedded.vectors))


def groups_of(
    vectors: Vectors, groups: str | os.PathLike, pairs: str | os.PathLike | None = None
) -> dict[str, object]:
    """Return `judge_groups` of a run, on a list's pairs, or on all pairs of up to 400 of its images.

    Raises:
        ValueError: a table that does not fit, or too few pairs.
    """
    if pairs is not None:
        embedded, known, names = listed(vectors, pairs)
    else:
        some = taken(vectors, sample(vectors, MOST_GROUPED))
        embedded, known = as_embedded(some), every_pair(some)
        names = [*known.first, *known.second]
    people = dict(zip(vectors.names, vectors.identities)) if vectors.identities else None
    table = read_groups(groups, sorted(vectors.names), people)
    return judge_groups(embedded, known, names, table)


def every_pair(vectors: Vectors) -> Pairs:
    """Return all pairs of labeled vectors as a list of one fold."""
    first, second = np.triu_indices(len(vectors.names), 1)
    people, names = np.array(vectors.identities), vectors.names
    return Pairs(
        tuple(names[i] for i in first),
        tuple(names[i] for i in second),
        people[first] == people[second],
        np.zeros(len(first), np.int64),
    )


def compare_runs(
    first: Vectors, second: Vectors, pairs: str | os.PathLike | None = None
) -> dict[str, object]:
    """Return whether one of two runs is better on the same pairs, by a paired bootstrap.

    Returns:
        {"eer", "auc", "tar_at_far"}: (first minus second, low, high); "pairs"; "decided": whether the EER's
        interval leaves 0 out.

    Raises:
        ValueError: nothing in common, or too few pairs.
    """
    if pairs is None:
        return compare_vectors(first, second)
    (embedded, known, names), (other, _, _) = listed(first, pairs), listed(second, pairs)
    found = judge_difference(embedded, other, known, names)
    _, low, high = found["eer"]
    return found | {"decided": not low <= 0 <= high}
