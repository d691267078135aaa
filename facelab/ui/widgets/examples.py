"""Render the example photos of the tabs: synthetic identities, no download."""

import functools

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facelab.data.parametric import (
    NUISANCE,
    relative,
    render,
    sample_identities,
    sample_nuisances,
    typical,
    with_values,
)
from facelab.ui.widgets.finish import finished

SIZE = 384
SEEDS = (6, 5)  # two identities that both models tell apart
PEOPLE = {"Ada": 1, "Ben": 36, "Cleo": 43, "Dan": 5, "Eve": 52, "Finn": 53}  # all apart at a FAR of 0.001
STRANGER = 31  # in nobody's gallery, and apart from all of these
SHEET_SEEDS, SHEET_SIDE = (32, 2, 14, 22, 11, 29, 42, 38, 8, 44, 47, 41), 160
SHEET_DIFFICULTY, SHEET_CONDITIONS = 0.35, 3  # light, clothes, glasses and backgrounds vary
TWICE = 4  # the first so many have a second photo
POSES = ({"yaw": 12.0, "smile": 0.5}, {"yaw": 3.0, "smile": 0.2}, {"yaw": -10.0, "smile": 0.0})


@functools.cache
def example_pairs() -> dict[str, tuple[Image.Image, Image.Image]]:
    """Return pairs by description; a tab opens with the first, whose decision the slider changes."""
    first, second = (sample_identities(1, seed) for seed in SEEDS)
    alike = relative(first, 0.3, SEEDS[0])
    start = portrait(first, {"yaw": -10.0, "smile": 0.0})
    cousin = relative(first, 0.75, 2)
    return {
        "Relatives (two people)": (start, portrait(cousin, {"yaw": 6.0, "smile": 0.2})),
        "One person, twice": (start, portrait(first, {"yaw": 14.0, "smile": 0.6})),
        "Look-alikes (two people)": (start, portrait(alike, {"yaw": 6.0, "smile": 0.2})),
        "Two people": (start, portrait(second, {"yaw": 8.0, "smile": 0.3})),
    }


@functools.cache
def example_people() -> tuple[tuple[str, Image.Image], ...]:
    """Return (name, photo) of a small gallery: four people twice, two people and the sister of one once."""
    photos = []
    for i, (name, seed) in enumerate(PEOPLE.items()):
        poses = POSES[: 2 if i < TWICE else 1]
        photos += [(name, portrait(sample_identities(1, seed), pose)) for pose in poses]
    sister = relative(sample_identities(1, PEOPLE["Ada"]), 0.3, 1)
    return (*photos, ("Ada’s sister", portrait(sister, POSES[1])))


@functools.cache
def example_probes() -> dict[str, Image.Image]:
    """Return probes for that gallery, by description; a tab opens with the first."""
    dan, cleo = (sample_identities(1, PEOPLE[name]) for name in ("Dan", "Cleo"))
    return {
        "Unenrolled person": portrait(sample_identities(1, STRANGER), POSES[1]),
        "Enrolled person": portrait(dan, POSES[2]),
        "Look-alike (unenrolled)": portrait(relative(cleo, 0.3, 1), POSES[1]),
    }


@functools.cache
def sheet_of_people() -> Image.Image:
    """Return a contact sheet of twelve varied people, 6 by 2, shown when the page opens."""
    people = torch.cat([sample_identities(1, seed) for seed in SHEET_SEEDS])
    conditions = sample_nuisances(1 + max(SHEET_SEEDS), SHEET_CONDITIONS, SHEET_DIFFICULTY)
    sheet = Image.new("RGB", (6 * SHEET_SIDE, 2 * SHEET_SIDE))
    for i, face in enumerate(finished(people, conditions[list(SHEET_SEEDS)], SHEET_SIDE * 3 // 2)):
        sheet.paste(face.resize((SHEET_SIDE, SHEET_SIDE)), (i % 6 * SHEET_SIDE, i // 6 * SHEET_SIDE))
    return sheet


def portrait(identity: Tensor, conditions: dict[str, float], size: int = SIZE) -> Image.Image:
    """Draw a photo of one identity (1, K) under neutral conditions, except for the named ones."""
    nuisance = with_values(typical(NUISANCE, 1), NUISANCE, conditions)
    pixels = render(identity, nuisance, size)[0].permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
