"""Parametric faces on trial: speed, memory, a real detector, a real embedder that never saw them.

Run with `python benchmarks/parametric.py`; all trials (`--all`) take about half an hour on two cores, so that
only drawing is measured by default; `--only detector` runs one. Detector and embedder run as they do on
photographs; the exit status is 1 if a figure misses its target. None of this says anything about accuracy on
people.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time

import numpy as np
import torch

from facelab.data.folders import CropSet
from facelab.data.parametric import (
    NUISANCE,
    ParametricFaces,
    crops,
    landmarks,
    relative,
    render,
    sample_identities,
    sample_nuisances,
    with_values,
)
from facelab.metrics.verification import all_pairs, auc, equal_error_rate
from facelab.models.model import embed
from facelab.models.recipe import Recipe
from facelab.photos.faces import Face, find_faces, main_face
from facelab.photos.read import Photo
from facelab.recognition.reference import embed_faces, score
from facelab.training.loop import train

SEED, SIZE = 7, 256
LEARN = Recipe(neck="pool", epochs=10, batch_size=64, lr=0.1, held_out=0.0, random_erasing=0.2)


def drawn_in(seconds: float, seed: int) -> tuple[int, float]:
    """Faces drawn at 112 px on one thread in so many seconds, and the processor time that they took."""
    torch.set_num_threads(1)
    people, conditions = sample_identities(48, seed), sample_nuisances(48, seed)
    crops(people[:12], conditions[:12])
    start, busy, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        crops(people, conditions)
        count += len(people)
    return count, time.process_time() - busy


def speed(seconds: float) -> bool:
    """Faces per second of two processes, and processor time per face, which a busy machine blurs less."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        runs = pool.starmap(drawn_in, [(1.0, 0), (1.0, 1)])  # start-up and warm-up
        start = time.perf_counter()
        runs = pool.starmap(drawn_in, [(seconds, 0), (seconds, 1)])
        wall = time.perf_counter() - start
    count, busy = sum(run[0] for run in runs), sum(run[1] for run in runs)
    print(
        f"speed       {count / wall:.0f} faces/s in two processes, {1000 * busy / count:.2f} core-ms a face"
    )
    return count / wall >= 400.0


def memory() -> bool:
    """Growth of the peak of memory while a data set of any length is drawn."""
    data, peaks = ParametricFaces(1_000_000, 50, SEED), []
    for number, _ in enumerate(data.batches(48)):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
        if number == 40:
            break
    print(f"memory      {peaks[5]:.0f} MB after {6 * 48} faces, {peaks[-1]:.0f} MB after {len(peaks) * 48}")
    return peaks[-1] - peaks[5] < 20.0


def detector(count: int) -> bool:
    """Share of faces with |yaw| <= 20° that the detector finds, and how far off its landmarks are."""
    found, errors, sides = 0, [], []
    for seed in range(SEED, SEED + 4):
        people, conditions = sample_identities(count, seed), sample_nuisances(count, seed)
        yaw = conditions[:, list(NUISANCE).index("yaw")].clamp(-20.0, 20.0)
        conditions = with_values(conditions, NUISANCE, {"yaw": yaw})
        truth = landmarks(people, conditions, SIZE).numpy()
        shots = [seen(person, condition) for person, condition in zip(people, conditions)]
        met = [(photo, face, t) for (photo, face), t in zip(shots, truth) if face is not None]
        shift = np.stack([face.landmarks - t for _, face, t in met])
        span = np.array([np.linalg.norm(t[1] - t[0]) for _, _, t in met])[:, None]
        errors.append(np.linalg.norm(shift, axis=2) / span)
        sides.append(sidestep([(photo, face) for photo, face, _ in met[:50]]))
        found += len(met) / (4 * count)
        print(
            f"detector    seed {seed}: {len(met) / count:.1%} found, median error {np.median(errors[-1]):.2%}"
        )
    errors = np.concatenate(errors)
    print(f"detector    all: {found:.1%} found, median error {np.median(errors):.2%} of the eye distance")
    print("            by point " + " ".join(f"{value:.2%}" for value in np.median(errors, axis=0)))
    print(f"            its own offset to the right, from mirror images: {np.mean(sides):+.2f} px")
    return found >= 0.95 and bool(np.median(errors) <= 0.04)


def sidestep(met: list[tuple[Photo, Face]]) -> float:
    """The detector's own horizontal offset in pixels: half its disagreement with itself on a mirror image."""
    offsets = []
    for photo, face in met:
        mirrored = find_faces(Photo(np.ascontiguousarray(photo.pixels[:, ::-1]), 1.0))
        if mirrored:
            other = mirrored[0].landmarks[[1, 0, 2, 4, 3], 0]
            offsets.append((face.landmarks[:, 0] + other - (photo.pixels.shape[1] - 1)) / 2.0)
    return float(np.median(offsets))


def seen(person: torch.Tensor, condition: torch.Tensor) -> tuple[Photo, Face | None]:
    """The portrait of one face as a photograph, and the face that the detector finds in it."""
    picture = (render(person[None], condition[None], SIZE)[0] * 255.0).byte().permute(1, 2, 0).numpy()
    photo = Photo(np.ascontiguousarray(picture), 1.0)
    faces = find_faces(photo)
    return photo, main_face(faces, photo) if faces else None


def embedded(people: torch.Tensor, conditions: torch.Tensor) -> np.ndarray:
    """(N, 128) embeddings; rows of NaN where no face was found."""
    rows = np.full((len(people), 128), np.nan, np.float32)
    for i, (person, condition) in enumerate(zip(people, conditions)):
        photo, face = seen(person, condition)
        if face is not None:
            rows[i] = embed_faces(photo, [face])[0]
    return rows


def separation(difficulty: float, identities: int, each: int) -> float:
    """AUC of the embedder on up to 2,000 genuine and 2,000 impostor pairs."""
    people = sample_identities(identities, SEED).repeat_interleave(each, 0)
    rows = embedded(people, sample_nuisances(len(people), SEED + 1, difficulty))
    label = np.arange(len(rows)) // each
    first, second = np.triu_indices(len(rows), 1)
    scores = score(rows[first], rows[second])
    same, valid = label[first] == label[second], np.isfinite(scores)
    rng = np.random.default_rng(SEED)
    genuine, impostor = (rng.permutation(scores[valid & side])[:2000] for side in (same, ~same))
    missed = np.isnan(rows[:, 0]).mean()
    area = auc(genuine, impostor)
    print(
        f"embedder    difficulty {difficulty:.2f}: AUC {area:.4f} on {len(genuine)} + {len(impostor)} pairs, "
        f"genuine {genuine.mean():.3f}, impostor {impostor.mean():.3f}, {missed:.1%} not found",
        flush=True,
    )
    return area


def embedder(identities: int) -> bool:
    """AUC at default difficulty, and that it falls as difficulty rises."""
    areas = [separation(difficulty, identities, 9) for difficulty in (0.1, 0.3, 0.5, 0.75, 1.0)]
    return areas[2] >= 0.95 and areas == sorted(areas, reverse=True)


def relatives(count: int) -> bool:
    """Mean score of people beside relatives at growing distance, under mild conditions."""
    people, means = sample_identities(count, SEED), []
    gallery = embedded(people, sample_nuisances(count, SEED, 0.2))
    for distance in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        probe = embedded(relative(people, distance, SEED + 1), sample_nuisances(count, SEED + 2, 0.2))
        means.append(float(np.nanmean(score(gallery, probe))))
    print("relatives   mean score at distance 0 .. 1: " + " ".join(f"{mean:.3f}" for mean in means))
    return means == sorted(means, reverse=True)


def learn() -> bool:
    """EER on 50 people nobody trained on, after training on 200 others: rendered, split by identity."""
    started = time.perf_counter()
    torch.set_num_threads(os.cpu_count() or 1)
    for progress in train(LEARN, rendered(200, 30, 0)):
        if progress.step % (progress.steps // progress.epochs) == 0:
            spent = time.perf_counter() - started
            print(
                f"learn       epoch {progress.epoch}: loss {progress.loss:.3f}, accuracy "
                f"{progress.accuracy:.1%}, {progress.images_per_second:.0f} crops/s, {spent:.0f} s",
                flush=True,
            )
    unseen = rendered(50, 20, 200)
    genuine, impostor = all_pairs(embed(progress.model, unseen.crops), unseen.labels)
    rate, spent = equal_error_rate(genuine, impostor)[0], time.perf_counter() - started
    print(f"learn       EER {rate:.2%} on {len(genuine)} + {len(impostor)} pairs of unseen, {spent:.0f} s")
    torch.set_num_threads(1)
    return rate <= 0.05 and spent < 600.0


def rendered(identities: int, each: int, first: int) -> CropSet:
    """Rendered people from number `first` on, as crops to train on."""
    data = ParametricFaces(identities, each, SEED, first=first)
    crops = np.concatenate([batch.numpy() for batch, _ in data.batches(48)])
    people = tuple(f"rendered {first + i}" for i in range(identities))
    names = tuple(f"{people[label]}/{i % each}" for i, label in enumerate(data.targets.tolist()))
    return CropSet(crops, data.targets.numpy(), people, names)


TRIALS = {
    "speed": lambda: speed(5.0),
    "memory": memory,
    "detector": lambda: detector(200),
    "embedder": lambda: embedder(60),
    "relatives": lambda: relatives(40),
    "learn": learn,
}


SHORT = ["speed", "memory"]


def main() -> int:
    """Run the chosen trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=SHORT, help="trials to run")
    parser.add_argument("--all", dest="only", action="store_const", const=list(TRIALS))
    chosen = parser.parse_args().only
    torch.set_num_threads(1)
    passed = [TRIALS[name]() for name in chosen]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
