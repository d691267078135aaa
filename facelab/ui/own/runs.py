"""Take in embeddings and photos: a run is a visitor's embeddings with a title, A or B.

Files are deleted as soon as they are read; what is kept is a value of the session, and overwritten with it.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facelab.data.formats.vectors import Vectors, read_vectors
from facelab.lessons.live.data import TrainingData
from facelab.metrics.operating import measure_operating_points
from facelab.metrics.verification import all_pairs
from facelab.recognition.embedder import embed_crops, load
from facelab.recognition.visit import Models
from facelab.settings import hosted

MOST_HOSTED, MOST_HERE = 20_000, 200_000  # embeddings in a file
JUDGED_HOSTED, JUDGED_HERE = 5_000, 20_000  # of them without a list of pairs
PHOTOS_HOSTED, PHOTOS_HERE = 400, 2_000
KINDS = (".npz", ".npy", ".csv", ".parquet")
FORMS = "bring one .npz, one .parquet, or an .npy with its .csv"
NO_PARQUET = "this page is hosted and opens no Parquet; save the same arrays with numpy.savez instead"


@dataclass(frozen=True, eq=False)
class Run:
    """A visitor's embeddings and the title by which the dashboards name them."""

    title: str
    vectors: Vectors


Runs = dict[str, Run]  # by slot, A or B


def most_photos() -> int:
    """Return how many photos a run may have here."""
    return PHOTOS_HOSTED if hosted() else PHOTOS_HERE


def most_judged() -> int:
    """Return how many embeddings are judged here on all their pairs."""
    return JUDGED_HOSTED if hosted() else JUDGED_HERE


def from_files(paths: Sequence[str]) -> Run:
    """Read a run from its files.

    Raises:
        ValueError: another number or kind of files, or what `read_vectors` says.
    """
    by_suffix = {Path(path).suffix.lower(): path for path in paths}
    known = {".npz"}, {".parquet"}, {".npy"}, {".npy", ".csv"}
    if len(by_suffix) != len(paths) or set(by_suffix) not in known:
        raise ValueError(f"these files are not embeddings; {FORMS}")
    if ".parquet" in by_suffix and hosted():
        raise ValueError(NO_PARQUET)
    most = MOST_HOSTED if hosted() else MOST_HERE
    main = next(path for suffix, path in by_suffix.items() if suffix != ".csv")
    if ".csv" not in by_suffix:
        return Run(Path(main).stem, read_vectors(main, most))
    with tempfile.TemporaryDirectory(prefix="facelab-") as folder:  # where both stand side by side
        place = Path(folder) / Path(main).name
        for suffix, path in by_suffix.items():
            shutil.copyfile(path, place.with_suffix(suffix))
        return Run(place.stem, read_vectors(place.with_suffix(".npy"), most))


def from_photos(pool: TrainingData, model: str, progress: Any) -> Run:
    """Embed photos by person with a model.

    Args:
        pool: crops and identities.
        model: name of an embedder, shipped or of this visit.
        progress: gradio's progress bar.

    Raises:
        ValueError: what the model says.
    """
    embedder, crops = load(model), pool.data.crops[np.arange(len(pool.data))]
    vectors = embed_crops(embedder, crops, partial(progress.tqdm, desc="embedding", unit="batches"))
    people = tuple(pool.data.identities[label].rpartition("/")[2] for label in pool.data.labels)
    return Run(model, Vectors(pool.data.names, vectors, people))


def with_thresholds(models: Models, run: Run) -> tuple[Models, str]:
    """Set the thresholds of a visit's model that has none, from the photos that it embedded -> (models, a
    sentence about it).
    """
    model = models.get(run.title)
    if model is None or model.embedder.points:
        return models, ""
    vectors = run.vectors
    source = f"{len(vectors.names)} photos of {len(set(vectors.identities))} people that you brought"
    try:
        points = measure_operating_points(
            *all_pairs(vectors.embeddings, np.array(vectors.identities)), source
        )
    except ValueError as error:
        return models, f"{run.title} keeps having no thresholds: {error}."
    known = replace(model, embedder=replace(model.embedder, points=points))
    return {**models, run.title: known}, f"The thresholds of {run.title} come from these photos now."


def forget(runs: Runs) -> None:
    """Overwrite the embeddings of a visit that is over."""
    for run in runs.values():
        for array in (run.vectors.embeddings, run.vectors.logits):
            if array is not None and array.flags.writeable:
                array.fill(0)
