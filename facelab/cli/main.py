"""The command line: `python -m facelab compare | evaluate | calibrate | train | data | embed | submit | ...`.

Each command is a function whose signature and docstring are its flags and its help (tyro); its module is
imported when the command is called, because PyTorch alone takes a second. Results go to stdout, progress and
errors to stderr; the exit status is 0 for a result and 2 for bad input, with an error of one sentence.
"""

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module

from facelab import settings
from facelab.cli.terminal import CACHE, one_sentence, parse
from facelab.data import cache as kept
from facelab.models.names import nearest
from facelab.settings.extras import MissingExtraError, explained

STARTED = time.time()  # what this process has used since stays in the cache
COMMANDS = {  # name: its module in this room, and the first line of its docstring
    "compare": ("compare", "Verify whether two photos show the same person."),
    "evaluate": (
        "evaluate",
        "Evaluate a model: verification on a list of pairs or all pairs, identification, or classification.",
    ),
    "calibrate": (
        "evaluate",
        "Calibrate a model's thresholds on unseen identities, and store them with the model.",
    ),
    "train": ("train", "Train a recipe on folders or zips of aligned crops, or on rendered faces."),
    "doctor": ("doctor", "Find what is wrong with a training: the numbers that show it, and the remedy."),
    "data": (
        "data",
        "Get images: fetch LFW or Olivetti, unpack, inspect or convert a data set, cut aligned crops.",
    ),
    "lessons": ("lessons", "Measure the data of the page's lessons, and write it next to the checkpoints."),
    "embed": (
        "data",
        "Write the embedding of every image of folders or zips to an .npz file, which `evaluate` reads.",
    ),
    "gallery": ("gallery", "Build and search a gallery of any size, in a folder or on a Qdrant server."),
    "group": (
        "gallery",
        "Group the faces of unknown people, cut at the threshold of a false accept rate.",
    ),
    "submit": (
        "submit",
        "Write the homework's submissions (CMU 11-785, HW2P2): verification.csv and classification.csv.",
    ),
    "models": ("models", "List the models with their figures; * marks runs without weights."),
    "export": ("export", "Write an embedder as one ONNX file, for runtimes without PyTorch."),
    "push": (
        "hub",
        "Upload a checkpoint with a generated model card to the Hugging Face Hub; HF_TOKEN holds the token.",
    ),
    "zoo": ("zoo", "Train and evaluate the missing rows of the model zoo, the most important first."),
    "app": ("app", "Serve the page at http://127.0.0.1:7860."),
    "cache": ("data", "Show the cache of the commands on this machine, or delete it."),
}


def find_command(name: str) -> Callable[..., None]:
    """Return the function of a command.

    Raises:
        ValueError: there is no such command; the message lists them.
    """
    if name not in COMMANDS:
        raise ValueError(f"unknown command {name!r}: {nearest(name, COMMANDS)}")
    return getattr(import_module(f"facelab.cli.{COMMANDS[name][0]}"), name)


def main(argv: list[str]) -> int:
    """Run one command -> exit status: 0 for a result, 2 for bad input."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m facelab COMMAND ...   (COMMAND --help explains each)\n")
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<12}{summary}")
        return 0
    name, rest = argv[0], argv[1:]
    for stream in (sys.stdout, sys.stderr):  # a name that is not UTF-8 must not end a run
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        most = settings.cache_bytes()
        with explained():
            command = find_command(name)
            if name in ("train", "data", "lessons", "gallery"):  # what follows depends on their first word
                command(rest)
            else:
                parse(command, rest, f"python -m facelab {name}")()
        kept.trim(CACHE, most, STARTED)
    except BrokenPipeError:  # the reader of our output has left, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, MissingExtraError) as error:
        print(f"facelab: {one_sentence(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        from facelab.models.device import explained as reported  # PyTorch alone takes a second

        why = reported(error)
        if why is None:
            raise
        print(f"facelab: {why}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("facelab: stopped", file=sys.stderr)
        return 130
    return 0
