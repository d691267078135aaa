"""Make a zoo of two rows, be killed at random steps, give the same command again; print whether the end is
the same.

Usage: killed_zoo.py KILLS FOLDER, with the crops in FOLDER/people and the recipes in FOLDER/*.json. Children
are forked from a process that computes on one thread.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from facelab.cli import train as cli_train
from facelab.cli.main import main as facelab
from facelab.models import checkpoint
from tests.networks import shrink

STEPS_TO_LIVE = 3  # at most, before a kill
MOST_KILLS = 60
save = cli_train.resume.save


def command(folder: Path, out: str) -> list[str]:
    only = sorted(str(path) for path in folder.glob("*.json"))
    return ["zoo", str(folder / out), "--data", str(folder / "people"), "--only", *only, "--jobs", "1"]


def forked(folder: Path, out: str, fatal_step: int | None) -> bool:
    """Give the command in a child, and kill it a moment after its `fatal_step`-th step -> whether it got to
    the end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        cli_train.SAVE_SECONDS = 0
        cli_train.resume.save = lambda *args: (os.write(writing, b"."), save(*args))
        os._exit(facelab(command(folder, out)))
    os.close(writing)
    done = 0
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while fatal_step is None or done < fatal_step:
            if not pipe.read(1):
                break
            done += 1
        if done == fatal_step:
            time.sleep(random.random() * 0.1)  # anywhere in the next step, or in a saving
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main(kills: int, folder: Path) -> None:
    assert forked(folder, "whole", None)
    random.seed(0)
    done, attempt = 0, 0
    while done < kills:
        attempt += 1
        while not forked(folder, f"pieces{attempt}", random.randint(1, STEPS_TO_LIVE)):
            done += 1
            assert done < MOST_KILLS, "a resumed row goes on from where it was, or it never ends"
        files = compare(folder / "whole", folder / f"pieces{attempt}")
    print(f"{done} kills in {attempt} runs; the same: {' '.join(files)}")


def compare(whole: Path, pieces: Path) -> list[str]:
    """Assert that two zoos hold the same files -> their names."""
    files = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    parted = sorted(str(path.relative_to(pieces)) for path in pieces.rglob("*") if path.is_file())
    assert files == parted, (files, parted)
    for name in files:
        if name.endswith(".safetensors"):
            (said, one), (says, other) = checkpoint.read(whole / name), checkpoint.read(pieces / name)
            assert said == says and one.keys() == other.keys(), name
            assert all(torch.equal(value, other[key]) for key, value in one.items()), name
        else:
            assert (whole / name).read_text() == (pieces / name).read_text(), name
    return files


if __name__ == "__main__":
    torch.set_num_threads(1)
    shrink(pytest.MonkeyPatch())
    main(int(sys.argv[1]), Path(sys.argv[2]))
