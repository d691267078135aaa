"""The zoo: what is left follows from the files, and a zoo that was cut ends as one that was not."""

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli import train as cli_train
from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces
from facelab.evaluation import reproduce
from facelab.evaluation.reproduce import Zoo, commands, left, make, product, progress
from facelab.evaluation.rows import FIRST_TWO, Row, rows
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES
from tests import networks
from tests.conftest import TINY, one_step, refused

ROOT = Path(__file__).parents[2]
KILLS = 3
pytestmark = pytest.mark.usefixtures("small_backbone")
SMALL = {"epochs": 2, "batch_size": 8, "embedding_dim": 16, "neck": "pool", "precision": "fp32"}
SMALL |= {"backbone": networks.SMALL, "held_out": 0.0, "lr": 0.05}


@pytest.fixture(scope="module")
def small_run(small_backbone) -> tuple:
    """What `one_step` returns of the small network."""
    return one_step(replace(TINY, backbone=networks.SMALL))


@pytest.fixture
def small(tmp_path) -> Path:
    """Crops of six people in `people`, and the recipes of two rows, of which `b` goes on from `a`."""
    crops, labels = ParametricFaces(6, 4, seed=2).rows(torch.arange(24))
    for i, (crop, label) in enumerate(zip(np.asarray(crops), np.asarray(labels))):
        (tmp_path / "people" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "people" / str(label) / f"{i}.png")
    (tmp_path / "a.json").write_text(json.dumps(SMALL))
    (tmp_path / "b.json").write_text(json.dumps(SMALL | {"init_from": "a.safetensors", "seed": 1}))
    return tmp_path


def tiny_zoo(folder: Path, out: str = "zoo", **options) -> Zoo:
    return Zoo(folder / out, (folder / "people",), **options)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_and_resumed_it_ends_bit_for_bit_the_same(small):
    """Killed by SIGKILL at random steps; the rows' files, their figures and commands are compared."""
    program = [sys.executable, str(ROOT / "tests/programs/killed_zoo.py"), str(KILLS), str(small)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FACELAB_CACHE": str(small / "cache")}
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    kills, files = re.match(r"(\d+) kills in \d+ runs; the same: (.*)", done.stdout.splitlines()[-1]).groups()
    assert int(kills) >= KILLS
    assert files.split() == [
        "a.safetensors", "b.safetensors", "runs/a.safetensors", "runs/b.safetensors", "zoo.json",
    ]  # fmt: skip


@pytest.mark.usefixtures("own_cache_and_models")
def test_rows_are_made_once_and_listed(small, monkeypatch, capsys):
    """`b` goes on from `a`, so it cannot be made first; what is done is not done again."""
    files = {name: str(small / f"{name}.json") for name in "ab"}
    argv = ["zoo", str(small / "zoo"), "--data", str(small / "people"), "--jobs", "1"]
    assert main([*argv, "--only", files["b"]]) == 2
    assert "a.safetensors" in (err := capsys.readouterr().err)
    assert err.endswith("facelab: not finished: b; give the same command again to go on\n")
    with monkeypatch.context() as patch:
        patch.setattr(reproduce, "_pace", lambda backbone, precision: 100.0)  # seconds a crop
        assert main([*argv, "--only", *files.values(), "--dry-run"]) == 0
    table = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert table[:2] == [["a", "1.3 h", "missing"], ["b", "1.3 h", "missing"]]  # 2 epochs of 24 crops
    assert table[2][:2] == ["all", "2.7 h"]

    assert main([*argv, "--only", *files.values()]) == 0
    assert "$ python -m facelab train b.json --seed 0" in capsys.readouterr().err
    assert main([*argv, "--only", *files.values()]) == 0
    assert not capsys.readouterr().err
    assert main([*argv, "--only", *files.values(), "--dry-run"]) == 0
    assert re.findall(r"^(\w+) +0\.0 min +(done|of)", capsys.readouterr().out, re.MULTILINE) == [
        ("a", "done"), ("b", "done"), ("all", "of"),
    ]  # fmt: skip
    header = checkpoint.describe(small / "zoo" / "b.safetensors")
    known = json.loads((small / "zoo" / "zoo.json").read_text())["b"]
    assert known["data"] == header.data == "people: 6 identities, 24 crops"
    assert known["seed"] == header.recipe.seed == 0 and known["figures"] == header.metrics
    assert known["commands"] == [
        "python -m facelab train b.json --seed 0 --data people --out b/b.safetensors"
    ]
    (small / "a.json").write_text(json.dumps(SMALL | {"lr": 0.01}))
    assert main([*argv, "--only", files["a"]]) == 2
    assert "a.safetensors was trained by another recipe; move it away" in capsys.readouterr().err


@pytest.mark.usefixtures("own_cache_and_models")
def test_a_stopped_row_says_how_far_it_is_and_goes_on(small, monkeypatch, capsys):
    row, zoo = Row("a", str(small / "a.json")), tiny_zoo(small)
    monkeypatch.setattr(cli_train, "SAVE_SECONDS", 0)
    whole = cli_train.train_recipe

    def cut(*args):
        yield from itertools.islice(whole(*args), 4)  # the next one would be the fifth
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli_train, "train_recipe", cut)
        assert not make(row, zoo, main)
    assert progress(row, zoo) == ("stopped at step 4 of about 6", pytest.approx(1 / 3))
    assert left(row, zoo)["train"][-1] == "--resume"
    assert make(row, zoo, main) and progress(row, zoo) == ("done", 0.0)
    assert [path.name for path in zoo.runs.iterdir()] == ["a.safetensors"]


def test_a_checkpoint_of_the_first_epoch_is_not_taken_for_the_end(small, tiny_checkpoint):
    """A kill between the first epoch's checkpoint and the state beside it leaves just such a file."""
    zoo = tiny_zoo(small)
    (zoo.runs / "a").mkdir(parents=True)
    (zoo.runs / "a" / "a.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    assert left(Row("a", str(small / "a.json")), zoo)["train"][-1] == "--overwrite"


def test_commands_carry_every_setting(small):
    """Blends and the teacher's vectors come first; photos, list, people, jobs, seed and compile arrive."""
    recipe = SMALL | {"teacher": "t.npz", "unlabeled": "mixed", "embedding_dim": 128}
    (small / "c.json").write_text(json.dumps(recipe))
    (small / "more").mkdir()
    photos, pairs, people = small / "photos.zip", small / "pairs.txt", small / "people.txt"
    zoo = Zoo(small / "zoo", (small / "people", small / "more"), photos, pairs, people, jobs=3, compile=True)
    row = Row("c_seed4", str(small / "c.json"), seed=4)
    crops, given = [str(small / "people"), str(small / "more")], str(small / "c.json")
    assert commands(row, zoo) == {
        "blend": ["data", "blend", *crops, "--out", "mixed.zip", "--count", "120000", "--recipe", given],
        "teach": ["embed", "reference", crops[0], "t.npz", "--also", crops[1], "mixed.zip", "--aligned",
                  "--jobs", "3"],
        "train": ["train", given, "--seed", "4", "--compile", "--data", *crops, "mixed.zip", "--out",
                  "c_seed4/c_seed4.safetensors"],
        "calibrate": ["calibrate", "c_seed4.safetensors", "--images", str(photos), "--people", str(people),
                      "--title", "LFW view 1 test people", "--jobs", "3"],
        "evaluate": ["evaluate", "c_seed4.safetensors", "--images", str(photos), "--pairs", str(pairs),
                     "--subsets", "--save", "lfw_view2", "--jobs", "3"],
    }  # fmt: skip
    assert list(left(row, zoo)) == ["blend", "teach", "train", "calibrate", "evaluate"]
    zoo.runs.mkdir(parents=True)
    (zoo.runs / "mixed.zip").touch()
    (zoo.runs / "t.npz").touch()
    assert list(left(row, zoo)) == ["train", "calibrate", "evaluate"]
    plain = commands(row, tiny_zoo(small))
    assert list(plain) == ["blend", "teach", "train"] and "--compile" not in plain["train"]


def test_a_trained_row_lacks_what_its_header_lacks(small, small_run):
    model, loss_fn, header = small_run
    photos = {"images": small / "i", "pairs": small / "p", "people": small / "q"}
    row, zoo = Row("a", str(small / "a.json"), keeps_weights=False), tiny_zoo(small, **photos)
    points = replace(header.operating_points, source="LFW view 1 test people: 9 people, 99 photos")
    for metrics, known, todo in (
        ({}, None, ["calibrate", "evaluate"]),
        ({}, header.operating_points, ["calibrate", "evaluate"]),  # thresholds of the held-out people
        ({}, points, ["evaluate"]),
        ({"lfw_view2": {}}, None, ["calibrate"]),
        ({"lfw_view2": {}}, points, []),
    ):
        found = replace(header, metrics=metrics, operating_points=known)
        zoo.runs.mkdir(parents=True, exist_ok=True)
        checkpoint.save(zoo.runs / "a.safetensors", model, loss_fn, found)
        assert list(left(row, zoo)) == todo


def test_a_row_is_done_if_its_file_is_of_its_recipe_its_sources_and_judged(small, small_run):
    model, loss_fn, header = small_run
    row, zoo = Row("a", str(small / "a.json")), tiny_zoo(small)
    header = replace(header, recipe=Recipe(**SMALL), data="people: 6 identities, 24 crops", metrics={})
    product(row, zoo).parent.mkdir()
    checkpoint.save(product(row, zoo), model, loss_fn, header)
    assert left(row, zoo) == {} and progress(row, zoo) == ("done", 0.0)
    assert left(row, tiny_zoo(small, compile=True)) == {}  # which changes the speed alone
    assert "evaluate" in left(row, tiny_zoo(small, images=small / "i", pairs=small / "p"))
    for other, words in (
        (replace(header, recipe=Recipe(**SMALL, seed=1)), "a.safetensors was trained by another recipe"),
        (
            replace(header, data="folk: 6 identities, 24 crops"),
            "was trained on folk: 6 identities, 24 crops;",
        ),
    ):
        checkpoint.save(product(row, zoo), model, loss_fn, other)
        with pytest.raises(ValueError, match=words):
            left(row, zoo)
        assert words in progress(row, zoo)[0] and reproduce.seconds_left(row, zoo) == 0


def test_figures_alone_are_kept_of_a_row_without_weights(small, small_run):
    model, loss_fn, header = small_run
    row, zoo = Row("a", str(small / "a.json"), keeps_weights=False), tiny_zoo(small)
    zoo.runs.mkdir(parents=True)
    header = replace(header, recipe=Recipe(**SMALL), data="people: 6 identities, 24 crops")
    checkpoint.save(zoo.runs / "a.safetensors", model, loss_fn, header)
    assert make(row, zoo, lambda argv: pytest.fail(str(argv)))
    assert left(row, zoo) == {} and not (zoo.out / "a.safetensors").exists()
    kept = json.loads((zoo.out / "measured" / "a.json").read_text())
    assert kept["recipe"]["seed"] == 0 and kept["operating_points"] is None and not kept["identities"]


def test_sources_of_a_row_are_picked_or_asked_for(small):
    row = Row("a", str(small / "a.json"), sources=("people",))
    zoo = Zoo(small / "zoo", (small / "more.zip", small / "people"))
    assert commands(row, zoo)["train"].count("--data") == 1
    assert str(small / "more.zip") not in commands(row, zoo)["train"]
    with pytest.raises(ValueError, match="a learns from people; --data lacks people"):
        commands(row, Zoo(small / "zoo", (small / "more.zip",)))


def test_the_pace_is_that_of_the_network_at_hand():
    assert 0 < reproduce._pace("resnet_face", "fp32") < float("inf")


def test_bad_flags_get_one_sentence(small, capsys):
    out, data = str(small / "zoo"), ["--data", str(small / "people")]
    for argv, words in (
        ([out, *data, "--only", "sofmax"], "unknown recipe 'sofmax': did you mean softmax?"),
        ([out, "--data"], "no data was given"),
        ([out, *data, "--pairs", "pairs.txt"], "give them with --images FOLDER_OR_ZIP"),
    ):
        assert words in refused(capsys, "zoo", *argv)


def test_the_table_names_recipes_once_and_each_can_be_chosen():
    table = rows()
    assert len({row.name for row in table}) == len(table)
    assert {row.recipe for row in table} <= set(RECIPES)
    for row in table:
        assert row.name == row.recipe + (f"_seed{row.seed}" if row.seed else "")
        assert not (row.seed and row.keeps_weights)
    assert [row.name for row in rows(("softmax",))] == ["softmax", "softmax_seed1"]
    assert rows(("softmax_seed1", "softmax_seed1")) == [Row("softmax_seed1", "softmax", 1, False, FIRST_TWO)]
