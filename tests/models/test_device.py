"""Devices by name, and what goes wrong on them in one sentence."""

import re

import pytest
import torch

from facelab.models import device
from facelab.models.device import choose, described, explained
from facelab.models.losses import build_loss
from tests.conftest import one_sentence


def test_names():
    assert choose("cpu").type == "cpu" and described(choose("cpu")).startswith("cpu (")
    for name, words in (("gpu", "auto, cpu, cuda"), ("mps", "not supported"), ("cuda:x", "must be one of")):
        with pytest.raises(ValueError, match=words):
            choose(name)


def test_without_a_gpu_its_name_is_refused_and_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto").type == "cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(ValueError, match="give --device cpu") as error:
            choose(name)
        assert one_sentence(str(error.value))


@pytest.mark.parametrize(
    ("version", "words"),
    [(12080, r"supports CUDA 12\.8 and PyTorch needs 13\.0"), (13000, "cannot reach it")],
)
def test_a_driver_that_is_too_old_is_named(monkeypatch, tmp_path, version, words):
    (tmp_path / "version").touch()
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch._C, "_cuda_getDriverVersion", lambda: version, raising=False)
    assert re.search(words, described(choose("auto")))
    with pytest.raises(ValueError, match=words):
        choose("cuda")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "lower --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "lower --batch-size"),
        (torch.distributed.DistBackendError("NCCL error in: x.cpp:1"), "--resume"),
        (RuntimeError("CUDA error: no kernel image is available for execution\nmore"), "--device cpu"),
        (RuntimeError("CUDA error: an illegal access\nCompile with TORCH_USE_CUDA_DSA"), "an illegal access"),
    ],
)
def test_what_a_device_reports_is_one_sentence_that_says_what_to_do(error, words):
    assert words in explained(error) and one_sentence(explained(error))


def test_other_errors_are_not_explained_away():
    assert explained(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize("name", ["arcface", "cosface", "a_softmax"])
def test_a_schedule_is_counted_on_the_host_wherever_the_loss_goes(name):
    loss_fn = build_loss(name, 4, 3, {})
    loss_fn.train()(torch.randn(2, 4), torch.tensor([0, 2]))
    loss_fn.to("meta")
    assert loss_fn.prototypes.device.type == "meta"
    assert loss_fn.step.device.type == "cpu" and loss_fn.state_dict()["step"].item() == 1
