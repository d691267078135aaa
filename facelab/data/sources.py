"""Two classic face datasets, through scikit-learn's fetchers, as a folder of images per person.

LFW (Huang et al., University of Massachusetts Amherst, technical report 07-49, 2007) has 13,233 press photos
of 5,749 people and the lists of pairs that verification papers report on. The Olivetti faces (AT&T
Laboratories Cambridge, 1992 to 1994) are 400 gray portraits of 40 people. scikit-learn downloads, checks and
caches the originals; this module writes files that the rest of the project can read.
"""

import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facelab.data.files import Written, replacing
from facelab.data.images import Track, untracked
from facelab.settings.extras import explained

LFW_PHOTOS = 13_233
LFW_ARCHIVE = "lfw-funneled.tgz"
LFW_MOST = (
    500  # photos; one person has more, and loading only his is the least that a fetcher can be asked for
)
LFW_LISTS = ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt")
OFFLINE = "{} could not be downloaded ({}); connect to the internet, or copy scikit-learn's data to {}"


def lfw(out: str | os.PathLike, cache: Path, track: Track = untracked) -> Written:
    """Write LFW's funneled photos to `out/NAME/NAME_0001.jpg`, and its lists of pairs next to them.

    The files are byte-identical to the originals. Existing files are kept.

    Args:
        out: the folder.
        cache: scikit-learn's `data_home`; about 200 MB are downloaded and 250 MB kept.
        track: draws progress.

    Raises:
        ValueError: no connection, or scikit-learn's cache is incomplete.
    """
    with explained():  # here: it is slow to import and nothing else needs it
        from sklearn.datasets import fetch_lfw_people

    home = cache / "lfw_home"
    if (
        home / LFW_ARCHIVE
    ).exists():  # it is deleted when all is unpacked: an earlier run was stopped in between
        shutil.rmtree(home / "lfw_funneled", ignore_errors=True)
    _fetch("LFW", cache, lambda data: fetch_lfw_people(data_home=data, min_faces_per_person=LFW_MOST))
    photos = sorted((home / "lfw_funneled").glob("*/*.jpg"))
    if len(photos) != LFW_PHOTOS:
        raise ValueError(
            f"{home} holds {len(photos):,} of LFW's {LFW_PHOTOS:,} photos; "
            "delete that folder and run the command again"
        )
    targets = {photo: Path(out) / photo.parent.name / photo.name for photo in photos}
    targets |= {home / name: Path(out) / name for name in LFW_LISTS}
    todo = [photo for photo, target in targets.items() if not _is_same(photo, target)]
    for photo in track(todo, len(todo), "copy"):
        with replacing(targets[photo]) as part:
            shutil.copyfile(photo, part)
    return Written(len(todo), len(targets) - len(todo))


def olivetti(out: str | os.PathLike, cache: Path, track: Track = untracked) -> Written:
    """Write the Olivetti faces to `out/s01/01.png` ... `out/s40/10.png`, 64x64 gray.

    Args:
        out: the folder.
        cache: scikit-learn's `data_home`; about 4 MB.
        track: draws progress.

    Raises:
        ValueError: no connection.
    """
    with explained():
        from sklearn.datasets import fetch_olivetti_faces  # here, as above

    faces = _fetch("Olivetti", cache, lambda data: fetch_olivetti_faces(data_home=data))
    pixels = np.round(faces.images * 255).astype(np.uint8)
    number, count, todo = np.zeros(faces.target.max() + 1, int), len(pixels), []
    for image, person in zip(pixels, faces.target):
        number[person] += 1
        target = Path(out) / f"s{person + 1:02d}" / f"{number[person]:02d}.png"
        if not target.is_file():
            todo.append((image, target))
    for image, target in track(todo, len(todo), "write"):
        with replacing(target) as part:
            Image.fromarray(image).save(part, "PNG")
    return Written(len(todo), count - len(todo))


def _fetch(title: str, cache: Path, fetch: Callable[[str], Any]) -> Any:
    """Call one of scikit-learn's fetchers, which print to stdout and raise various errors without a
    connection.
    """
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            return fetch(str(cache))
    except Exception as error:  # URLError, HTTPError, timeouts, wrong checksums, cut archives
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise ValueError(OFFLINE.format(title, reason, cache)) from error


def _is_same(source: Path, target: Path) -> bool:
    return target.is_file() and target.stat().st_size == source.stat().st_size
