"""`python -m facelab data | embed | cache`: get images, store embeddings.

`data` has subcommands; each shows progress, continues an interrupted run, and ends with a list of failures
and their reasons.
"""

import json as jsonlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import arg

from facelab import settings
from facelab.cli.crops import told
from facelab.cli.terminal import CACHE, JOBS, on_device, run_group, track, usable
from facelab.data import cache as kept
from facelab.data.embeddings import save_embeddings
from facelab.data.files import Written
from facelab.data.folders import load_crops, source_titles
from facelab.data.formats.inspect import inspect
from facelab.data.formats.labeled import LabeledPairs
from facelab.data.formats.opened import open_labeled
from facelab.data.formats.write import convert as convert_images
from facelab.data.identities import who_is_on
from facelab.data.images import ImageFolder, printable
from facelab.data.sources import lfw as write_lfw
from facelab.data.sources import olivetti as write_olivetti
from facelab.data.unpack import unpack as unpack_archive
from facelab.evaluation.photo_pool import embed_images
from facelab.evaluation.photo_pool import prepare as prepare_photos
from facelab.evaluation.shards import parse_shard
from facelab.models.recipes import find_recipe
from facelab.training.blends import write_blends

Model = Annotated[str, arg(metavar="MODEL")]
Source = Annotated[str, arg(metavar="SOURCE")]
Sources = Annotated[tuple[str, ...], arg(metavar="SOURCE...")]
Archive = Annotated[str, arg(metavar="ARCHIVE")]
Out = Annotated[str, arg(metavar="OUT")]
Npz = Annotated[str, arg(metavar="OUT.npz")]


def lfw(out: Out, /, cache: Path = CACHE / "sklearn") -> None:
    """Fetch Labeled Faces in the Wild: 13,233 photos, one folder per person, and its lists of pairs.

    The first run downloads about 200 MB through scikit-learn. Then `evaluate MODEL --images OUT --pairs
    OUT/pairs.txt` evaluates a model by LFW's protocol, and `data prepare OUT crops/` cuts crops.

    Args:
        out: Folder for the photos and lists.
        cache: Folder of scikit-learn's downloads.
    """
    print("fetching LFW through scikit-learn; the first time takes minutes", file=sys.stderr)
    _report(write_lfw(out, cache, track), "files")


def olivetti(out: Out, /, cache: Path = CACHE / "sklearn") -> None:
    """Fetch the Olivetti faces: 40 people, 10 gray portraits each, one folder per person.

    The first run downloads about 4 MB through scikit-learn. The portraits are 64x64; `data prepare`
    enlarges them to crops.

    Args:
        out: Folder for the images.
        cache: Folder of scikit-learn's downloads.
    """
    _report(write_olivetti(out, cache, track), "images")


def unpack(archive: Archive, out: Out, /) -> None:
    """Unpack the images and lists of a zip or tar, after checking all of its entries.

    An archive that would write outside OUT, contains links or has an implausible unpacked size is rejected.

    Args:
        archive: A .zip, .tar, .tar.gz, .tar.xz or .tar.bz2 file.
        out: Folder for the files; the folder structure is kept.
    """
    _report(unpack_archive(archive, out, track), "files")


def prepare(source: Source, out: Out, /, jobs: int = JOBS, shard: str = "1/1") -> None:
    """Cut aligned 112x112 crops from a folder or zip of photos; an interrupted run can be continued.

    Args:
        source: Folder or zip of photos.
        out: Folder for the crops; the folder structure is kept.
        jobs: Number of parallel processes.
        shard: Part i/n of the photos, e.g. 2/8 for the second of eight runs; all write to the same OUT.
    """
    _report(prepare_photos(source, out, jobs, track, parse_shard(shard)), "crops")


def info(path: Path, /, json: bool = False) -> None:
    """Show the content of a data set of any format, and anything unusual about it.

    Reads folders, zips, MXNet RecordIO (.rec), verification sets (.bin), Parquet, tar shards (WebDataset),
    CSV with paths and crop files (.npy); every image is read once and none is written.

    Args:
        path: Folder or file.
        json: Print one JSON object.
    """
    found = inspect(open_labeled(path), track)
    if json:
        print(jsonlib.dumps(asdict(found)))
        return
    people = "" if found.identities is None else f" of {found.identities:,} identities"
    print(f"{found.kind}: {found.images:,} images{people}, {found.bytes / 1e6:,.1f} MB")
    for size, count in found.sizes.items():
        print(f"{size:<14}{count} of {sum(found.sizes.values())} sampled images (at most 20 are decoded)")
    for note in found.notes:
        print(note)


def convert(source: Source, out: Out, /) -> None:
    """Write a data set in another format, with unchanged image files.

    Args:
        source: Folder, zip, .rec, .parquet, .tar, .csv with paths, or .npy.
        out: New folder, or a file whose suffix gives the format: .zip, .rec (with .idx and .lst), .parquet,
            or .npy (crop file of 112x112 crops, which `train` reads).
    """
    found = open_labeled(source)
    if isinstance(found, LabeledPairs):
        raise ValueError(f"{source} holds pairs without identities; `evaluate MODEL --bin {source}` uses it")
    _report(convert_images(found, out, track), "images")


def blend(
    sources: Sources, /, out: Path, count: int = 30_000, seed: int = 0, recipe: str = "resnet_softmax"
) -> None:
    """Blend aligned crops of different people into synthetic faces, for distillation from a teacher.

    Identities that the recipe holds out are not used. Then `embed reference` the sources and the blends, and
    `train ... --teacher FILE.npz --unlabeled blends`.

    Args:
        sources: Folders or zips of aligned crops, as for `train --data`.
        out: Zip to write, e.g. blends.zip.
        count: Number of blends.
        seed: Random seed.
        recipe: Recipe to be trained on the blends, by name or file.
    """
    if out.suffix != ".zip":
        raise ValueError(f"--out is {out}; it must end in .zip")
    of = replace(find_recipe(recipe), seed=seed)
    write_blends(told(load_crops(sources, usable(CACHE), track)), of, out, count, track)
    print(f"wrote {count} blends to {out}")


DATA: dict[str, Callable[..., None]] = {
    "lfw": lfw,
    "olivetti": olivetti,
    "unpack": unpack,
    "prepare": prepare,
    "blend": blend,
    "info": info,
    "convert": convert,
}


def data(argv: list[str]) -> None:
    """Get images: fetch LFW or Olivetti, unpack, inspect or convert a data set, cut aligned crops.

    The first word is the subcommand, e.g. `data prepare photos/ crops/`.
    """
    run_group("data", "command", DATA, argv)


def embed(
    model: Model,
    source: Source,
    out: Npz,
    /,
    also: tuple[str, ...] = (),
    aligned: bool = False,
    jobs: int = JOBS,
    device: str = "auto",
) -> None:
    """Write the embedding of every image of folders or zips to an .npz file, which `evaluate` reads.

    Args:
        model: A checkpoint's name or path, or `reference`.
        source: Folder or zip of photos.
        out: File for `names` (N), `embeddings` (N, D) and, if known, `identities` (N).
        also: More folders or zips; image names must differ between them.
        aligned: The images are aligned 112x112 crops already.
        jobs: Number of parallel processes.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
    """
    if Path(out).suffix != ".npz":
        raise ValueError(f"OUT is {out}; it must end in .npz")
    folders = [ImageFolder(path) for path in (source, *also)]
    name, count = Counter(name for folder in folders for name in folder.names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{name} is in {count} of the sources; embed those apart")
    names, vectors, failures, people = [], [], [], {}
    on, tell = on_device(device)
    for folder, title in zip(folders, source_titles(folders)):
        options = (aligned, usable(CACHE), jobs, tell)
        found, failed = embed_images(model, folder, folder.names, *options, device=on)
        names += found
        vectors += found.values()
        failures += failed.items()
        prefix = f"{title}/" if also else ""
        people |= {name: prefix + person for name, person in _people(folder).items()}
    if not vectors:
        name, reason = failures[0]
        raise ValueError(f"no image could be embedded; {name}: {reason}")
    identities = [people.get(name, "") for name in names]
    save_embeddings(out, names, np.stack(vectors), identities if any(identities) else None)
    print(f"{len(vectors)} embeddings written to {out}, {len(failures)} images failed")
    _list_failures(tuple(failures))


def _people(folder: ImageFolder) -> dict[str, str]:
    """Return {image: identity}, as far as it is known; images of a list of pairs need none."""
    try:
        found = who_is_on(folder)
    except ValueError as error:
        print(f"no identities are kept: {error}", file=sys.stderr)
        return {}
    for note in found.notes:
        print(note, file=sys.stderr)
    return found.people


def cache(clear: bool = False) -> None:
    """Show the cache of the commands on this machine, or delete it.

    It holds decoded crops, faces detected in photos, and downloads. FACELAB_CACHE sets the folder; beyond
    FACELAB_CACHE_GB (20), the least recently used files are deleted.

    Args:
        clear: Delete all of it.
    """
    found = kept.clear(CACHE) if clear else kept.entries(CACHE)
    for entry in found:
        day = time.strftime("%Y-%m-%d", time.localtime(entry.used))
        size = f"{entry.size / 1e6:,.1f} MB"
        print(f"{kept.WORDS[entry.kind]:<16}{size:>13}   last used {day}   {entry.paths[0].name}")
    total = f"{sum(entry.size for entry in found) / 1e9:,.2f} GB"
    print(
        f"{total} deleted from {CACHE}"
        if clear
        else f"{total} of {settings.cache_bytes() / 1e9:g} GB in {CACHE}"
    )


def _report(done: Written, things: str) -> None:
    print(f"{done.written} {things} written, {done.kept} already there, {len(done.failures)} failed")
    for note in done.notes:
        print(note, file=sys.stderr)
    _list_failures(done.failures)


def _list_failures(failures: Sequence[tuple[str, str]]) -> None:
    width = max((len(printable(name)) for name, _ in failures), default=0)
    for name, reason in failures:
        print(f"{printable(name):<{width}}  {reason}")
