"""A run that is killed and resumed ends as if it had not been; a state of another run is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.training import resume
from facelab.training.loop import train
from tests.conftest import one_sentence
from tests.networks import SMALL

ROOT = Path(__file__).parents[2]
KILLS = 3  # per loss; a run of twelve steps that may die after any of four is killed about so often
LOSSES = ("center", "online_label_smoothing")  # softmax, and a state of its own
pytestmark = pytest.mark.usefixtures("small_backbone")
RECIPE = Recipe(
    backbone=SMALL, epochs=2, batch_size=8, embedding_dim=8, neck="pool", held_out=0.0,
    precision="fp32", lr=0.05,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return ParametricFaces(4, 6, seed=1).crop_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests/programs/killed.py")]
    for loss in LOSSES:
        (tmp_path / loss).mkdir()
        command += [loss, str(KILLS), str(tmp_path / loss)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = [int(line.split(" kills")[0]) for line in done.stdout.splitlines()]
    assert len(kills) == len(LOSSES) and min(kills) >= KILLS


@pytest.mark.parametrize("fields", [{"optimizer": "adamw", "lr": 0.001}, {"schedule": "one_cycle"}])
def test_any_step_can_be_resumed(data, tmp_path, fields):
    recipe = replace(RECIPE, **fields)
    whole, states = [], []
    for progress in train(recipe, data):
        states.append(tmp_path / f"{progress.step}.safetensors")
        resume.save(states[-1], progress.run)
        whole.append((progress.loss, progress.accuracy))
    for step in (2, 3, 5):
        rest = [(p.loss, p.accuracy) for p in train(recipe, data, states[step - 1])]
        assert rest == whole[step:]
    assert list(train(recipe, data, states[-1])) == []


def test_the_average_of_the_weights_goes_on_from_where_it_stood(data, tmp_path):
    recipe, state = replace(RECIPE, ema_decay=0.9), tmp_path / "r.safetensors"
    for progress in train(recipe, data):
        if progress.step == 2:
            resume.save(state, progress.run)
    *_, resumed = train(recipe, data, state)
    kept = resumed.model.state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in progress.model.state_dict().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_fused_optimizers_go_on_exactly_though_the_file_has_no_strides(
    data, tmp_path, optimizer, monkeypatch
):
    # On a GPU optimizers are fused: they walk through weight, gradient and state in the order of memory, and
    # the weights are channels_last. PyTorch has the same kernels for CPUs.
    for name in ("SGD", "AdamW"):
        original = getattr(torch.optim, name)

        def fused(*args, _original=original, **named):
            return _original(*args, **named | {"fused": True})

        monkeypatch.setattr(torch.optim, name, fused)
    recipe = replace(RECIPE, optimizer=optimizer, lr=0.01)
    state = tmp_path / "a.run.safetensors"
    for progress in train(recipe, data):
        if progress.step == 2:
            resume.save(state, progress.run)
    *_, resumed = train(recipe, data, state)
    convolutions = [p for p in progress.model.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert convolutions and not any(p.is_contiguous() for p in convolutions)
    for (name, weight), (_, again) in zip(
        progress.model.state_dict().items(), resumed.model.state_dict().items(), strict=True
    ):
        assert torch.equal(weight, again), name
    for p, values in resumed.run.optimizer.state.items():
        assert all(v.stride() == p.stride() for v in values.values() if v.ndim), tuple(p.shape)


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "one.run.safetensors"
    resume.save(path, next(train(RECIPE, data)).run)
    return path


def refusal(recipe, data, path) -> str:
    with pytest.raises(ValueError) as error:
        next(train(recipe, data, path))
    assert one_sentence(str(error.value))
    return str(error.value)


def test_a_state_of_another_run_is_refused_by_name(data, saved, tmp_path):
    assert "was begun with lr 0.05, not 0.1" in refusal(replace(RECIPE, lr=0.1), data, saved)
    assert "was begun with loss softmax, not center" in refusal(replace(RECIPE, loss="center"), data, saved)
    assert "was begun with other data" in refusal(RECIPE, ParametricFaces(4, 5, seed=1).crop_set(), saved)
    assert "there is nothing to resume" in refusal(RECIPE, data, tmp_path / "none.run.safetensors")


def test_a_damaged_state_is_refused(data, saved, tmp_path, tiny_checkpoint):
    torn = tmp_path / "torn.run.safetensors"
    torn.write_bytes(saved.read_bytes()[:-100])
    assert "not a complete .safetensors file" in refusal(RECIPE, data, torn)
    assert "is not the state of a run" in refusal(RECIPE, data, tiny_checkpoint)
    metadata, tensors = checkpoint.read(saved)
    for key in ("model.neck.3.weight", "loss.linear.bias"):
        checkpoint.write(torn, {k: v for k, v in tensors.items() if k != key}, metadata)
        assert "does not fit its own recipe" in refusal(RECIPE, data, torn)
    momentum = "optimizer.0.momentum_buffer"
    for wrong in (
        {momentum: tensors[momentum][:1].clone()},
        {"optimizer.999.momentum_buffer": torch.ones(2)},
    ):
        checkpoint.write(torn, tensors | wrong, metadata)
        assert "does not fit its own recipe" in refusal(RECIPE, data, torn)
    checkpoint.write(torn, tensors, metadata | {"run": json.dumps({"recipe": {"lerning_rate": 1}})})
    assert "damaged header" in refusal(RECIPE, data, torn)


def test_a_failed_save_leaves_the_old_state(data, saved, tmp_path, monkeypatch):
    run = next(train(RECIPE, data)).run
    path = tmp_path / "a.run.safetensors"
    resume.save(path, run)
    before = path.read_bytes()

    def full(*args: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        resume.save(path, run)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_state_is_exact_and_the_checkpoint_rounded(data, saved, tmp_path):
    progress = next(train(RECIPE, data))
    resume.save(tmp_path / "a.safetensors", progress.run)
    weight = progress.model.neck[3].weight
    assert torch.equal(checkpoint.read(tmp_path / "a.safetensors")[1]["model.neck.3.weight"], weight)
