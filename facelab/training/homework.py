"""Evaluation on the course's list of pairs: figures, and thresholds from them.

A homework run holds out no identity, because every class is needed; the course provides labeled pairs of
people outside its classes, which replace held-out identities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from facelab.data.folders import decoded
from facelab.data.hw2p2 import Homework
from facelab.data.images import ImageFolder, Track, untracked
from facelab.data.matching import resolve
from facelab.data.pairs import Pairs, read_pairs
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.verification import FARS, cosine, roc, supported_fars
from facelab.models.model import FaceModel, embed_batches

BATCH = 128


@dataclass(frozen=True, eq=False)
class CoursePairs:
    """Labeled pairs of the course, and the crops that they name.

    Attributes:
        title: their name in explanations of thresholds.
        folder: folder of the crops.
        pairs: P pairs.
        names: 2P crops, all first images, then all second images.
    """

    title: str
    folder: ImageFolder
    pairs: Pairs
    names: list[str]

    def scores(self, network: FaceModel, track: Track = untracked) -> tuple[np.ndarray, np.ndarray]:
        """Return the cosines of genuine and of impostor pairs, without pairs that have an unreadable crop.

        Raises:
            ValueError: no crop could be read.
        """
        vectors = embed_crops(network, self.folder, sorted(set(self.names)), {}, track)
        first, second = self.names[: len(self.pairs)], self.names[len(self.pairs) :]
        kept = [i for i, pair in enumerate(zip(first, second)) if all(name in vectors for name in pair)]
        sides = (np.stack([vectors[names[i]] for i in kept]) for names in (first, second))
        scores, same = cosine(*sides), self.pairs.same[kept]
        return scores[same], scores[~same]


def course_pairs(homework: Homework) -> CoursePairs | None:
    """Return the homework's labeled pairs, or None if it has none.

    Raises:
        ValueError: a malformed list, pairs of one kind only, or missing crops.
    """
    if homework.val_pairs is None:
        return None
    pairs, folder = read_pairs(homework.val_pairs), ImageFolder(homework.faces)
    if pairs.same.all() or not pairs.same.any():
        kind = "one person" if pairs.same.all() else "two people"
        raise ValueError(f"{homework.val_pairs.name} holds pairs of {kind} only; thresholds need both kinds")
    title = f"the course's {homework.val_pairs.name}: {len(pairs):,} pairs"
    return CoursePairs(title, folder, pairs, resolve(pairs.first + pairs.second, folder.names))


def judge_course(
    network: FaceModel, course: CoursePairs, track: Track = untracked
) -> tuple[dict[str, object], OperatingPoints | str]:
    """Return figures on the course's pairs, and operating points or why there are none.

    Returns:
        ({"eer", "auc", "tar_at_far" (at rates that the pairs support)}, operating points or a sentence).

    Raises:
        ValueError: no crop could be read, or there is no genuine or no impostor pair.
    """
    genuine, impostor = course.scores(network, track)
    figures = roc(genuine, impostor).figures(supported_fars(FARS, len(impostor)))
    try:
        return figures, measure_operating_points(genuine, impostor, course.title)
    except ValueError as error:
        return figures, str(error)


def embed_crops(
    network: FaceModel, folder: ImageFolder, names: Sequence[str], failures: dict[str, str], track: Track
) -> dict[str, np.ndarray]:
    """Return {image: (D,) mean embedding of crop and mirrored crop} of every readable one; write the reasons
    of others into `failures`.

    Raises:
        ValueError: none could be read.
    """
    good = []

    def crops() -> Iterator[np.ndarray]:
        results = track(decoded((folder, name) for name in names), len(names), "embed")
        for name, result in zip(names, results):
            if isinstance(result, str):
                failures[name] = result
            else:
                good.append(name)
                yield result

    stream = crops()
    batches = (np.stack(batch) for batch in iter(lambda: list(islice(stream, BATCH)), []))
    vectors = list(embed_batches(network, batches))
    if not vectors:
        raise ValueError(f"no image could be read; {names[0]}: {failures[names[0]]}")
    return dict(zip(good, np.concatenate(vectors) / 2))
