"""Training on the GPU that a ZeroGPU Space lends for a minute; everything else stays on the CPU.

The Space's library forks a process for a marked function and gives that process the GPU. What goes in and
comes out is pickled, so a finished network comes back as the bytes of its checkpoint with the arrays of what
it held out, and a file that appears is how a visitor's wish to stop gets in. Where no GPU is to be had, the
run takes the CPU.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np

from facelab.lessons.live.course import Course, Result, Snapshot, course, failed
from facelab.lessons.live.data import TrainingData
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.recognition import visit
from facelab.recognition.visit import HeldOut
from facelab.settings import zero_gpu

SECONDS = 60  # for which a GPU is asked


def portable(pool: TrainingData) -> TrainingData:
    """Return the same crops as one array, with synthetic ones drawn."""
    crops = pool.data.crops[np.arange(len(pool.data))]
    return replace(pool, data=replace(pool.data, crops=crops))


Packed = tuple[bytes, HeldOut | None] | None  # a checkpoint, and what its run held out


def packed(
    recipe: Recipe, pool: TrainingData, seconds: float, stop: str
) -> Iterator[tuple[Snapshot, Packed]]:
    """Run `course` in a form that can leave the process: yield (a snapshot without result, the result at the
    end).

    Args:
        stop: a path; the run stops when the file exists.
    """
    now = Snapshot("starting")
    try:
        for now in course(recipe, pool, seconds, Path(stop).exists):
            result = now.result and (now.result.content(), now.result.held_out)
            yield replace(now, result=None), result
    except Exception as error:  # a sentence of ours would not survive the way back
        yield failed(replace(now, result=None), error), None


def unpacked(now: Snapshot, content: Packed) -> Snapshot:
    """Convert the output of `packed` back to snapshots."""
    if not content:
        return now
    with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
        path = Path(folder) / "live.safetensors"
        path.write_bytes(content[0])
        return replace(now, result=Result(*checkpoint.load(path), content[1]))


def borrowing(lent: Callable[..., Iterator[tuple[Snapshot, Packed]]]) -> Course:
    """Run `course` on a lent GPU, or here on the CPU if none is available.

    Args:
        lent: `packed`, marked as a function that receives a GPU.
    """

    def train(
        recipe: Recipe, pool: TrainingData, seconds: float, stop: Callable[[], bool]
    ) -> Iterator[Snapshot]:
        if recipe.init_from in visit.models():  # which are in reach of this process only
            yield from course(recipe, pool, seconds, stop)
            return
        begun = False
        with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
            flag = Path(folder) / "stop"
            try:
                with contextlib.closing(lent(recipe, portable(pool), seconds, str(flag))) as told:
                    for now, content in told:
                        begun = True
                        yield unpacked(now, content)
                        if stop():
                            flag.touch()
                return
            except gr.Error:  # how the Space's library says anything: no GPU, a quota, a limit of time
                if begun:
                    raise
        yield from course(recipe, pool, seconds, stop)

    return train


def _marked() -> Course | None:
    """Return `borrowing` where GPUs are lent, else None."""
    if not zero_gpu():
        return None
    import spaces

    return borrowing(spaces.GPU(duration=SECONDS)(packed))


BORROW = _marked()
