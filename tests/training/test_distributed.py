"""Two processes train as one: the same losses, figures and weights, with mining over the global batch."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState

from facelab.training import distributed
from facelab.training.distributed import SharedBatchNorm, autocast_dtype, share_of
from tests.programs import shared_batch

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "programs" / "shared_batch.py"


FIELDS = shlex.split(
    "--backbone alexnet_face --identities 6 --per-identity 4 --held-out 0.34 --epochs 2 --batch-size 8"
    " --embedding-dim 8 --precision fp32 --json"
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def launched(*words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Where the command of two processes writes."""
    return tmp_path_factory.mktemp("two") / "mine.safetensors"


@pytest.fixture(scope="module")
def two(out) -> subprocess.CompletedProcess:
    """Two processes that train with each loss, and then run a command; they are started once for both."""
    done = launched(*TWO, str(PROGRAM), "train", "resnet_softmax", *FIELDS, "--out", str(out))
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def runs(two) -> tuple[dict, dict]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("build_model", "build_loss"):
            patch.setattr(shared_batch.engine, name, getattr(shared_batch.engine, name))
        one = shared_batch.measured()
    return json.loads(json.dumps(one)), json.loads(two.stdout.splitlines()[0])


@pytest.mark.parametrize("loss", ["softmax", "arcface", "triplet", "center", "online_label_smoothing"])
def test_two_processes_give_the_curve_of_one(runs, loss):
    one, two = (run[loss] for run in runs)
    assert len(one["losses"]) == 20 and len(set(one["losses"])) == 20
    assert two["losses"] == pytest.approx(one["losses"], rel=0, abs=1e-5)
    assert two["figures"] == pytest.approx(one["figures"], rel=0, abs=1e-9) and one["figures"]
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-9)


def test_the_command_trains_as_one_and_speaks_once(two, out):
    assert [json.loads(line)["epoch"] for line in two.stdout.splitlines()[1:]] == [1, 2]
    assert two.stderr.count(f"wrote {out}") == 1
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert "with 2 processes it must be a multiple of 2" in two.stderr


class Processes:
    """What `share_of` asks an accelerator."""

    def __init__(self, index: int, count: int) -> None:
        self.process_index, self.num_processes = index, count


def test_shares_cover_the_batch_in_order():
    shares = [share_of(12, Processes(i, 3)) for i in range(3)]
    assert [(share.start, share.stop) for share in shares] == [(0, 4), (4, 8), (8, 12)]
    with pytest.raises(ValueError, match="batch_size is 10; with 4 processes it must be a multiple of 4"):
        share_of(10, Processes(0, 4))


def test_shared_batch_norm_of_one_process_is_batch_norm(monkeypatch):
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(distributed, "all_reduce", lambda x: x)
    for shape in ((6, 5), (4, 5, 3, 2)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
        plain = torch.nn.BatchNorm1d(5) if len(shape) == 2 else torch.nn.BatchNorm2d(5)
        torch.nn.init.normal_(plain.weight), torch.nn.init.normal_(plain.bias)
        shared = torch.nn.Sequential(plain)
        distributed._synchronise_norms(shared)
        assert type(shared[0]) is SharedBatchNorm and shared[0].weight is plain.weight
        ours = shared(x)
        shared[0].running_mean.data, mean = torch.zeros(5), shared[0].running_mean.clone()
        shared[0].running_var.data, variance = torch.ones(5), shared[0].running_var.clone()
        assert torch.allclose(ours, plain(x), atol=1e-6)
        assert torch.allclose(mean, plain.running_mean) and torch.allclose(variance, plain.running_var)


def test_one_process_may_change_its_precision():
    assert distributed.start("bf16").mixed_precision == "bf16"
    accelerator = distributed.start("fp32")
    assert accelerator.mixed_precision == "no" and accelerator.num_processes == 1
    model = torch.nn.Linear(2, 2)
    assert distributed.distribute(model, accelerator) is model
    x = torch.ones(3, 2)
    assert distributed.gather(x, accelerator) is x
    assert AcceleratorState().device == PartialState().device


@pytest.mark.parametrize(
    ("capability", "native", "emulated", "expected"),
    [
        ((6, 1), False, False, None),
        ((7, 0), False, True, torch.float16),
        ((7, 5), False, True, torch.float16),
        ((8, 0), True, True, torch.bfloat16),
    ],
)
def test_bf16_that_a_gpu_only_emulates_is_not_chosen(monkeypatch, capability, native, emulated, expected):
    # PyTorch calls bf16 supported on a T4 or V100, where every product is converted there and back.
    def supported(including_emulation: bool = True) -> bool:
        return emulated if including_emulation else native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert autocast_dtype("auto", torch.device("cuda")) == expected
    assert autocast_dtype("bf16", torch.device("cuda")) == torch.bfloat16
    assert autocast_dtype("fp16", torch.device("cuda")) == torch.float16


def test_a_cpu_never_computes_in_float16():
    for precision in ("auto", "fp32", "bf16"):
        assert autocast_dtype(precision, torch.device("cpu")) in (None, torch.bfloat16)
    with pytest.raises(ValueError, match="precision fp16 needs a GPU; give --precision auto"):
        distributed.start("fp16", "cpu")
