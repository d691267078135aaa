"""`python -m facelab gallery | group`: galleries of any size, and groups of unknown faces."""

import csv
import json as jsonlib
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import arg

from facelab import settings
from facelab.cli.terminal import CACHE, JOBS, on_device, run_group, track, usable
from facelab.data.embeddings import load_embeddings, load_identities
from facelab.data.files import replacing
from facelab.data.identities import person_labels, who_is_on
from facelab.data.images import ImageFolder, printable
from facelab.evaluation.photo_pool import embed_images
from facelab.metrics.grouping import MOST, pairwise_report
from facelab.metrics.grouping import group as group_faces
from facelab.models.zoo import DEFAULT_MODEL
from facelab.recognition.embedder import MATRICES, load
from facelab.recognition.people import People
from facelab.recognition.qdrant_gallery import QdrantGallery, answered, connect
from facelab.recognition.stored_gallery import StoredGallery
from facelab.recognition.verify import DEFAULT_FAR

Name = Annotated[str, arg(metavar="GALLERY")]
Source = Annotated[str, arg(metavar="SOURCE")]
Photo = Annotated[str, arg(metavar="PHOTO")]
Photos = Annotated[str, arg(metavar="PHOTOS")]
BATCH = 1024  # photos that are embedded before they are enrolled


def opened(name: str, exact: bool = True) -> People:
    """Open a gallery that is there: a folder, or a collection where FACELAB_GALLERY_URL names a server."""
    url = settings.gallery_url()
    return StoredGallery(name) if url is None else QdrantGallery(connect(url), name, exact=exact)


def _created(name: str, model: str, kind: Literal["float32", "int8"]) -> People:
    """Open a gallery, or make it if it is not there."""
    url = settings.gallery_url()
    if url is not None:
        return QdrantGallery(connect(url), name, model)
    if not (Path(name) / "gallery.json").is_file():
        return StoredGallery.create(name, model, kind)
    gallery = StoredGallery(name)
    if gallery.model != model:
        raise ValueError(f"{name} holds embeddings of {gallery.model}, not of {model}; choose that model")
    return gallery


def build(
    gallery: Name,
    source: Source,
    /,
    model: str = DEFAULT_MODEL,
    kind: Literal["float32", "int8"] = "float32",
    aligned: bool = False,
    jobs: int = JOBS,
    device: str = "auto",
) -> None:
    """Enroll the photos of a folder or zip, or an .npz file of embeddings; a stopped run can be continued.

    Photos that the gallery has are not embedded again. With FACELAB_GALLERY_URL the gallery is a collection
    of that Qdrant server instead of a folder.

    Args:
        gallery: Folder of the gallery, made if it is not there; or the name of a collection.
        source: Folder or zip of photos by identity, or an .npz file of `embed` with identities.
        model: Model of the embeddings, by name or path.
        kind: float32 searches exactly; int8 keeps one byte a dimension only, a fifth of the size.
        aligned: The images are aligned 112x112 crops already.
        jobs: Number of parallel processes.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
    """
    if load(model).score not in MATRICES or load(model).similarity != "cosine similarity":
        raise ValueError(f"{model} compares by {load(model).similarity}; a gallery needs a model of cosines")
    people = _created(gallery, model, kind)
    before, added, failures = len(people), 0, {}
    for who, names, vectors, failed in _embedded(people, source, model, aligned, jobs, device):
        failures |= failed
        added += people.add(who, names, vectors) if len(names) else 0
    print(f"{added} photos enrolled, {before} were there, {len(failures)} failed")
    for name, why in failures.items():
        print(f"{printable(name)}  {why}")


Batch = tuple[list[str], list[str], np.ndarray, dict[str, str]]


def _embedded(
    people: People, source: str, model: str, aligned: bool, jobs: int, device: str
) -> Iterator[Batch]:
    """Yield (people, names, embeddings, failures) of what a gallery does not have, a batch at a time."""
    if Path(source).suffix == ".npz":
        names, vectors = load_embeddings(source)
        who = load_identities(source)
        if who is None or not all(who):
            raise ValueError(f"{source} does not say who is on each image; `embed` a folder by identity")
        starts = range(0, len(names), BATCH)
        for start in track(starts, len(starts), "enroll"):
            part = slice(start, start + BATCH)
            yield list(who[part]), list(names[part]), vectors[part], {}
        return
    folder = ImageFolder(source)
    found = who_is_on(folder)
    for note in found.notes:
        print(note, file=sys.stderr)
    fresh = [name for name, person in found.people.items() if not people.holds(person, name)]
    on, tell = on_device(device)
    for start in range(0, len(fresh), BATCH):
        part = fresh[start : start + BATCH]
        done, failed = embed_images(model, folder, part, aligned, usable(CACHE), jobs, tell, device=on)
        stacked = np.stack([*done.values()]) if done else np.empty((0, 1))
        yield [found.people[name] for name in done], [*done], stacked, failed


def search(
    gallery: Name,
    photo: Photo,
    /,
    far: float = DEFAULT_FAR,
    count: int = 5,
    aligned: bool = False,
    approximate: bool = False,
    json: bool = False,
) -> None:
    """Find who is on a photo: the nearest person, and whether the score reaches the threshold.

    Args:
        gallery: Folder of the gallery, or the name of a collection.
        photo: Photo of one face.
        far: False accept rate (FAR) of one comparison, which sets the threshold.
        count: Number of photos to list.
        aligned: The photo is an aligned 112x112 crop already.
        approximate: On a Qdrant server, use its HNSW graph, which is faster and misses some.
        json: Print one JSON object.
    """
    if count < 1:
        raise ValueError(f"--count is {count}; give 1 or more")
    people = opened(gallery, not approximate)
    threshold = load(people.model).calibrated().threshold_for(far)
    folder = ImageFolder(Path(photo).parent)
    name = Path(photo).name
    done, failed = embed_images(people.model, folder, [name], aligned)
    if failed:
        raise ValueError(f"{name}: {failed[name]}")
    [matches] = people.search(done[name][None], count)
    best = matches[0]
    answer = best.person if best.score >= threshold else None
    if json:
        rows = [match._asdict() for match in matches]
        print(jsonlib.dumps({"person": answer, "threshold": threshold, "far": far, "matches": rows}))
        return
    said = answer or f"unknown (nearest: {printable(best.person)})"
    print(f"{said}  {best.score:.4f}, threshold {threshold:.4f} at FAR {far:g}")
    for match in matches:
        print(f"{match.score:8.4f}  {printable(match.person)}  {printable(match.name)}")


def info(gallery: Name, /, json: bool = False) -> None:
    """Show what a gallery holds.

    Args:
        gallery: Folder of the gallery, or the name of a collection.
        json: Print one JSON object.
    """
    people = opened(gallery)
    facts = {"model": people.model, "dimensions": people.dim, "photos": len(people)}
    facts["people"] = len(people.counts())
    facts["kind"] = people.kind if isinstance(people, StoredGallery) else "Qdrant server"
    print(jsonlib.dumps(facts) if json else "\n".join(f"{k:<12}{v}" for k, v in facts.items()))


def remove(gallery: Name, person: Annotated[str, arg(metavar="PERSON")], /) -> None:
    """Remove a person from a gallery; in a folder, new files without them replace the old ones.

    Args:
        gallery: Folder of the gallery, or the name of a collection.
        person: Name as enrolled.
    """
    people = opened(gallery)
    count = people.remove(person)
    if not count:
        raise ValueError(f"{printable(person)} is not in {gallery}; names must be as enrolled")
    if isinstance(people, StoredGallery):
        people.compact()
    print(f"{count} photos of {printable(person)} removed")


GALLERY: dict[str, Callable[..., None]] = {"build": build, "search": search, "info": info, "remove": remove}


def gallery(argv: list[str]) -> None:
    """Build and search a gallery of any size, in a folder or on a Qdrant server.

    The first word is the subcommand, e.g. `gallery build people/ photos/`.
    """
    url = settings.gallery_url()
    with nullcontext() if url is None else answered(url):
        run_group("gallery", "command", GALLERY, argv)


def group(
    photos: Photos,
    /,
    model: str = DEFAULT_MODEL,
    far: float = DEFAULT_FAR,
    aligned: bool = False,
    out: Path | None = None,
    jobs: int = JOBS,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Group the faces of unknown people, cut at the threshold of a false accept rate.

    Where folders, labels.txt or file names say who is on the photos, the groups are compared with that.

    Args:
        photos: Folder or zip of photos; the main face of each is grouped.
        model: A checkpoint's name or path.
        far: False accept rate (FAR) of one comparison: groups are joined while their mean cosine reaches its
            threshold.
        aligned: The images are aligned 112x112 crops already.
        out: CSV file to write, with columns image and group.
        jobs: Number of parallel processes.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
        json: Print one JSON object.
    """
    embedder = load(model)
    if embedder.similarity != "cosine similarity":
        raise ValueError(f"{model} compares by {embedder.similarity}; grouping needs a model of cosines")
    threshold, folder = embedder.calibrated().threshold_for(far), ImageFolder(photos)
    if len(folder.names) > MOST:
        raise ValueError(f"{photos} holds {len(folder.names):,} photos; give {MOST:,} or fewer at once")
    on, tell = on_device(device)
    done, failed = embed_images(model, folder, folder.names, aligned, usable(CACHE), jobs, tell, device=on)
    if not done:
        name, why = next(iter(failed.items()))
        raise ValueError(f"no face was found; {name}: {why}")
    found = group_faces(np.stack([*done.values()]), threshold)
    report = pairwise_report(found.groups, person_labels(folder, [*done]))
    if out is not None:
        _write_groups(out, [*done], found.groups)
    _print_groups(found.groups, f"{found.reason()} That is {model}'s threshold at FAR {far:g}.", report, json)
    for name, why in failed.items():
        print(f"{printable(name)}  {why}", file=sys.stderr)


def _write_groups(path: Path, names: list[str], groups: np.ndarray) -> None:
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "group"])
        writer.writerows(sorted(zip(names, groups.tolist()), key=lambda row: (row[1], row[0])))


def _print_groups(groups: np.ndarray, reason: str, report: dict[str, float], json: bool) -> None:
    sizes, judged = np.bincount(groups), report["people"] > 1
    if json:
        values = {"faces": len(groups), "sizes": sizes.tolist(), "reason": reason}
        known = {name: None if np.isnan(value) else value for name, value in report.items()}
        print(jsonlib.dumps(values | ({"pairs": known} if judged else {})))
        return
    alone = int((sizes == 1).sum())
    print(f"{len(groups)} faces in {len(sizes)} groups, the largest of {sizes.max()}; {alone} faces alone")
    print(reason)
    if judged:
        print(
            f"pairwise precision {report['precision']:.4f}, recall {report['recall']:.4f} "
            f"({report['people']} people by name)"
        )
