"""Train a recipe, be killed at random moments, resume; print whether the end is the same to the last bit.

Usage: killed.py LOSS KILLS FOLDER [LOSS KILLS FOLDER ...]. Children are forked from a process that computes
on one thread, which is safe, and saves a start-up for each.
"""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch._dynamo  # an optimizer does, which would cost each child a second

from facelab.data.folders import CropSet
from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.training import resume
from facelab.training.loop import train
from tests.networks import SMALL, shrink

STEPS_TO_LIVE = 4  # at most, before a kill
MOST_KILLS = 60
RECIPE = Recipe(
    backbone=SMALL, epochs=4, batch_size=8, embedding_dim=8, neck="pool", dropout=0.2, held_out=0.0,
    precision="fp32", lr=0.05,
)  # fmt: skip


def run(recipe: Recipe, data: CropSet, state: Path, pipe: int | None = None) -> None:
    """Train to the end, from `state` if it is there, saving it after every step."""
    for progress in train(recipe, data, state if state.is_file() else None):
        if pipe is not None:
            os.write(pipe, b".")
        resume.save(state, progress.run)


def forked(recipe: Recipe, data: CropSet, state: Path, fatal_step: int | None) -> bool:
    """Run in a child, and kill it some time after it has done `fatal_step` steps -> whether it got to the
    end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        run(recipe, data, state, writing)
        os._exit(0)
    os.close(writing)
    done = 0
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while fatal_step is None or done < fatal_step:
            if not pipe.read(1):
                break
            done += 1
        if done == fatal_step:
            time.sleep(random.random() * 0.15)  # anywhere in the next step, or in the saving of this one
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main(loss: str, kills: int, folder: Path) -> None:
    recipe = replace(RECIPE, loss=loss, ema_decay=0.9 if loss == "center" else 0.0)
    data = ParametricFaces(4, 6, seed=1).crop_set()
    assert forked(recipe, data, folder / "whole.safetensors", None)
    whole = checkpoint.read(folder / "whole.safetensors")[1]
    random.seed(loss)
    done, attempt = 0, 0
    while done < kills:
        state, ended, attempt = folder / f"{attempt}.safetensors", False, attempt + 1
        while not ended:
            ended = forked(recipe, data, state, random.randint(1, STEPS_TO_LIVE))
            done += not ended
            assert done < MOST_KILLS, "a resumed run goes on from where it was, or it never ends"
        pieces = checkpoint.read(state)[1]
        assert pieces.keys() == whole.keys()
        different = [key for key, value in whole.items() if not torch.equal(value, pieces[key])]
        assert not different, f"attempt {attempt}: {different[:5]}"
    leftovers = [path.name for path in folder.iterdir() if path.suffix == ".part"]
    print(f"{done} kills in {attempt} runs of {len(whole)} tensors; {len(leftovers)} torn files beside")


if __name__ == "__main__":
    torch.set_num_threads(1)
    shrink(pytest.MonkeyPatch())
    for words in zip(*[iter(sys.argv[1:])] * 3, strict=True):
        main(words[0], int(words[1]), Path(words[2]))
