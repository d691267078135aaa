"""The run with which the Train tab opens: made in advance, exactly as a visitor's run.

Only drawn data are stored: the loss per step, the figures of every epoch and the last map, in a small JSON
file next to the other lessons.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facelab.data.files import replacing
from facelab.lessons.live.course import Map, Snapshot
from facelab.lessons.live.data import rendered
from facelab.lessons.live.queue import TrainingQueue
from facelab.lessons.live.session import Training
from facelab.lessons.live.settings import HERE, Choice, compose
from facelab.models.zoo import CHECKPOINTS

FILE = CHECKPOINTS / "lessons" / "train.json"
PEOPLE, FACES = 60, 8


@dataclass(frozen=True, eq=False)
class Shown:
    """Hold a finished run: its settings, the numbers of people and of faces each, and its last snapshot."""

    choice: Choice
    people: int
    faces: int
    last: Snapshot


def measure(choice: Choice = Choice(), people: int = PEOPLE, faces: int = FACES) -> Shown:  # noqa: B008  frozen
    """Train on rendered people and return what is drawn.

    Raises:
        ValueError: the run failed; the message is the run's.
    """
    run = Training(
        compose(choice, HERE), rendered(people, faces, choice.seed), HERE.seconds, line=TrainingQueue()
    )
    *_, last = run.follow()
    if last.state != "finished":
        raise ValueError(last.message)
    return Shown(choice, people, faces, last)


def save(shown: Shown, path: Path = FILE) -> None:
    """Write a run as JSON, with NaN as null."""
    last = shown.last
    values = {
        "choice": asdict(shown.choice),
        "people": shown.people,
        "faces": shown.faces,
        "epochs": last.epochs,
        "seconds": round(last.seconds, 1),
        "losses": [round(loss, 4) for loss in last.losses],
        "accuracies": [None if math.isnan(a) else round(a, 4) for a in last.accuracies],
        "figures": last.figures,
        "map": last.map and [last.map.coordinates.round(4).tolist(), last.map.labels.tolist()],
    }
    with replacing(path) as part:
        part.write_text(json.dumps(values) + "\n", encoding="utf-8")


def load(path: Path = FILE) -> Shown | None:
    """Return the stored run, or None if there is none."""
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    steps, flat = len(values["losses"]), values["map"]
    last = Snapshot(
        "finished",
        step=steps,
        steps=steps,
        epoch=values["epochs"],
        epochs=values["epochs"],
        losses=tuple(values["losses"]),
        accuracies=tuple(math.nan if a is None else a for a in values["accuracies"]),
        figures=tuple((step, found) for step, found in values["figures"]),
        map=Map(np.array(flat[0], np.float32), np.array(flat[1])) if flat else None,
        seconds_left=0.0,
        seconds=values["seconds"],
    )
    return Shown(Choice(**values["choice"]), values["people"], values["faces"], last)
