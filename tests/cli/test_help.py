"""The command line as a whole: help that teaches, unknown names, and what a shell sees of it."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facelab.cli import compare as cli_compare
from facelab.cli import terminal
from facelab.cli.data import DATA
from facelab.cli.lessons import LESSONS
from facelab.cli.main import COMMANDS, find_command, main
from tests.conftest import refused

ROOT = Path(__file__).parents[2]


def test_without_arguments_every_command_is_explained_in_a_line(capsys):
    for argv in ([], ["--help"], ["-h"]):
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert out.startswith("usage: python -m facelab COMMAND") and not err
        for name in COMMANDS:
            assert re.search(rf"^  {name} +\S.*\.|\?$", out, re.MULTILINE)
            assert find_command(name).__doc__.splitlines()[0] in out, (
                "COMMANDS repeats the docstring's first line"
            )


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in ("train", "data", "lessons", "gallery")]
)
def test_help_explains_every_argument_of_a_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert not err and out.startswith(f"usage: python -m facelab {name}")
    words = re.sub(r"[│─\s]+", " ", out)
    assert find_command(name).__doc__.splitlines()[0] in words
    parameters = inspect.signature(find_command(name)).parameters.values()
    described = dict(re.findall(r"^ {8}(\w+): (.+?)$", find_command(name).__doc__, re.MULTILINE))
    assert set(described) == {p.name for p in parameters}
    for parameter in parameters:
        assert " ".join(described[parameter.name].split()[:4]) in words
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            assert f" --{parameter.name.replace('_', '-')} " in words
    assert "STR STR" not in words  # positional arguments are called by what they are


def test_help_of_train_shows_recipes_and_then_every_field(capsys):
    assert main(["train"]) == main(["train", "--help"]) == 0
    assert "resnet_softmax" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["train", "resnet_softmax", "--help"])
    assert not stop.value.code
    out = capsys.readouterr().out
    for field in ("--epochs", "--lr", "--label-smoothing", "--held-out", "--data", "--out"):
        assert field in out


HELPS = [
    *([name] for name in COMMANDS if name not in ("train", "data", "lessons", "gallery")),
    *(["data", name] for name in DATA),
    *(["lessons", name] for name in LESSONS),
    *(["train", name] for name in ("resnet_softmax", "arcface", "unaugmented")),
]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_the_help_of_a_flag_describes_it_as_it_is_typed(words, capsys):
    """`--no-flip` alone beside "Mirror half of the crops" says the opposite of what it does."""
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    flat = re.sub(r"[│─╭╮╰╯\s]+", " ", capsys.readouterr().out)
    described = re.findall(r"(--[a-z-]+(?:, --[a-z-]+)*)(?: [A-Z{][^ ]*)* ([A-Z][^-]{12})", flat)
    for flags, text in described:
        negative = [flag for flag in flags.split(", ") if flag.startswith("--no-")]
        positive = {f"--{flag.removeprefix('--no-')}" for flag in negative} & set(flags.split(", "))
        assert positive or not negative or text.startswith(("Do not", "Without")), (flags, text)
    if words[0] == "train":
        assert any("--flip, --no-flip" in flags for flags, _ in described)
    if words[0] == "evaluate":
        assert any(flags == "--no-flip" and text.startswith("Do not add") for flags, text in described)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["compair"], "unknown command 'compair': did you mean compare?"),
        (["--json"], "unknown command '--json'"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(argv, words, capsys):
    assert words in refused(capsys, *argv)


def test_errors_of_the_system_become_sentences():
    assert (
        terminal.one_sentence(OSError(28, "No space left on device", "a.npy"))
        == "No space left on device: a.npy"
    )
    assert terminal.one_sentence(OSError("disk on\n  fire")) == "disk on fire"
    assert terminal.one_sentence(ValueError("two\nlines")) == "two lines"


def test_an_interrupt_ends_quietly(capsys, photos, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_compare, "compare_photos", interrupt)
    assert main(["compare", *photos]) == 130
    assert capsys.readouterr().err == "facelab: stopped\n"


# As a process


def run(*argv: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "facelab", *argv], cwd=ROOT, capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_missing_photo_is_one_sentence_whatever_the_terminal_can_draw(encoding):
    done = run("compare", "a.jpg", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "facelab: Missing from python -m facelab compare: PHOTO Second photo; "
        "`python -m facelab compare --help` explains\n"
    )


def test_python_m_facelab_without_arguments_teaches(tmp_path):
    done = run()
    assert (done.returncode, done.stderr) == (0, "") and "compare" in done.stdout


def test_a_png_is_read_by_a_fresh_process_too(album, tmp_path, tiny_checkpoint):
    """Pillow knows WebP only after its plug-ins are loaded, which other libraries may have done."""
    with Image.open(album / "p1" / "p1_0001.jpg") as image:
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "b.webp")
    done = run(
        "compare",
        str(tmp_path / "a.png"),
        str(tmp_path / "b.webp"),
        "--model",
        str(tiny_checkpoint),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] > 0.9


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m facelab train | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "0" and done.stderr == ""
