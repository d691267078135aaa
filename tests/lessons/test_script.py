"""A run written down says all of it: read back it is the same recipe, executed it gives the same losses."""

import ast
import os
import re
import runpy
import shlex
import subprocess
from dataclasses import replace

import pytest
import torch

from facelab.cli import train as cli_train
from facelab.cli.main import main
from facelab.cli.terminal import parse
from facelab.cli.train import Train
from facelab.data import folders
from facelab.data.folders import load_crops
from facelab.evaluation import photo_pool as bulk
from facelab.lessons.live import session as live
from facelab.lessons.live.data import from_photos, rendered
from facelab.lessons.live.script import Data, as_command, as_python
from facelab.lessons.live.settings import HERE, Choice, compose, losses
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES
from facelab.training.loop import train
from tests.conftest import as_zip

TINY = compose(
    Choice("alexnet_face", epochs=4, batch_size=4, lr=0.02, dropout=0.1, label_smoothing=0.1), HERE
)
TINY = replace(TINY, neck="pool", embedding_dim=8, precision="fp32", held_out=0.2)
FACES = Data(5, 4)


def arguments(command):
    """What a shell makes of the last line of a command, from `train` on."""
    words = shlex.split(command.splitlines()[-1])
    assert words[:4] == ["OMP_NUM_THREADS=1", "python", "-m", "facelab"]
    return words[4:]


def read_back(recipe):
    """The recipe that the command line understands."""
    _, base, *flags = arguments(as_command(recipe, FACES))
    default = Train(out="", recipe=RECIPES[base])
    command = parse(Train, flags, "train", default)()
    assert (command.identities, command.per_identity, command.data) == (5, 4, ())
    return command.recipe


@pytest.mark.parametrize("name", [*losses()])
def test_every_loss_on_the_page_becomes_a_command_and_a_script_that_say_the_same(name):
    recipe = compose(Choice(loss=name, seed=3, augment=False), HERE)
    assert read_back(recipe) == recipe
    assert spoken(recipe) == recipe
    words = arguments(as_command(recipe, FACES))
    assert ("--loss" in words) == (name.replace("+", "_") not in RECIPES)  # `train triplet`, not softmax


def spoken(recipe):
    """The recipe that a script spells out."""
    code = re.search(r"^recipe = (Recipe\(.*?^\))", as_python(recipe, FACES), re.S | re.M).group(1)
    return eval(code, {"Recipe": Recipe})


@pytest.mark.parametrize(
    "changes",
    [
        {"flip": False, "compile": True, "bias": False},
        {"milestones": (0.1, 0.25, 0.9), "schedule": "step"},
        {"init_from": "my file.safetensors", "freeze": "neck"},
        {"optimizer": "adamw", "weight_decay": 1e-7, "grad_clip": 0.0, "lr": 1e-05},
        {"held_out_images": 0.0, "label_smoothing": 0.0},
    ],
)
def test_flags_survive_a_shell(changes):
    recipe = replace(Recipe(), **changes)
    assert read_back(recipe) == recipe == spoken(recipe)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the server has, and as script and command ask for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pages_own():
    """(losses, result) of the run as the page makes it."""
    run = live.Training(TINY, rendered(5, 4, TINY.seed), 600, line=live.TrainingQueue())
    *_, last = run.follow()
    assert last.state == "finished" and last.result
    return last.losses, last.result


def test_the_script_repeats_the_losses_exactly(pages_own, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.py").write_text(as_python(TINY, FACES))
    runpy.run_path("run.py")
    lines = capsys.readouterr().out.splitlines()
    printed = [float(line.split()[1]) for line in lines[:-1]]
    assert len(printed) >= 10 and printed == list(pages_own[0])
    header = checkpoint.describe("live.safetensors")
    assert header.metrics == pages_own[1].header.metrics and header.recipe == TINY
    assert header.history == pages_own[1].header.history and header.history[-1]["step"] == len(printed)


def test_the_command_repeats_the_losses_and_writes_the_same_file(pages_own, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen = []

    def listening(*given):
        for progress in train(*given):
            seen.append(progress.loss)
            yield progress

    monkeypatch.setattr(cli_train, "train_recipe", listening)
    assert main(arguments(as_command(TINY, FACES))) == 0, capsys.readouterr().err
    losses, result = pages_own
    assert len(seen) >= 10 and seen == list(losses)
    header = checkpoint.describe("live.safetensors")
    assert header.to_json() == result.header.to_json()
    (tmp_path / "page.safetensors").write_bytes(result.content())
    ours, theirs = checkpoint.read(tmp_path / "page.safetensors"), checkpoint.read("live.safetensors")
    assert ours[1].keys() == theirs[1].keys()
    assert all(torch.equal(ours[1][key], theirs[1][key]) for key in ours[1])


def test_a_zip_of_crops_is_named_and_read_alike(crop_folder, tmp_path):
    archive = as_zip(crop_folder, tmp_path / "my people.zip")
    pool = from_photos(archive, 100)
    assert "--data 'my people.zip'" in as_command(TINY, Data(photos=archive.name, aligned=pool.aligned))
    assert "load_crops(['my people.zip'])" in as_python(TINY, Data(photos=archive.name))
    read, other = pool.data, load_crops([archive])
    assert (read.crops == other.crops).all() and (read.labels == other.labels).all()
    assert (read.identities, read.names) == (other.identities, other.names)


def test_photos_are_prepared_first():
    data = Data(photos="us.zip", aligned=False)
    first, second = as_command(TINY, data).splitlines()
    assert first.endswith("facelab data prepare us.zip us-crops") and "--data us-crops " in second
    for folder in ("album/", "album\\"):
        assert Data(photos=folder, aligned=False).path == "album-crops"  # not within it


class Recorded:
    """Stands in for what a script imports, and notes what it is called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args):
        self.calls.append(args)
        return iter(())


ODD = [
    r"C:\Users\new\x.zip", "my 'own' photos", 'a """quoted""" album', "Åsa/李/ф", "{name}", "$HOME `id` \\",
    "two\nlines; import os", "-rf", "tab\tend\\", "caf\udce9.zip", "#no comment", " ", "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("aligned", [True, False])
def test_any_path_survives_script_and_command(path, aligned, monkeypatch):
    data = Data(photos=path, aligned=aligned)
    script = as_python(TINY, data)
    prepare, load = Recorded(), Recorded()
    monkeypatch.setattr(bulk, "prepare", prepare)
    monkeypatch.setattr(folders, "load_crops", load)
    until_trained = script[: script.index("\nfor progress in")]
    exec(compile(until_trained, "script", "exec"), {})
    assert load.calls == [([data.path],)] and prepare.calls == ([] if aligned else [(path, data.path)])
    constants = [node.value for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Constant)]
    assert constants.count(data.path) == (2 if aligned else 3)  # to prepare, to read, and in the header

    shown = "OMP_NUM_THREADS=1 python -m facelab", "printf '%s\\0'"
    lines = as_command(TINY, data).replace(*shown).splitlines()
    assert len(lines) == (1 if aligned else 2)
    said = [
        subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.split(b"\0")[:-1]
        for line in lines
    ]
    given = said[-1][said[-1].index(b"--data") + 1]
    assert given.removeprefix(b"./") == os.fsencode(data.path) and not given.startswith(b"-")
    if not aligned:
        paths = [word.removeprefix(b"./") for word in said[0][2:]]
        assert paths == [os.fsencode(path), os.fsencode(data.path)]
