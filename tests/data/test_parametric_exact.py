"""Rendered faces have the same bits on every processor, because only exactly rounded operations draw them."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from facelab.data.parametric import camera, exact
from tests.programs import rendered

ROOT = Path(__file__).parents[2]
DIGEST = "759cf57cae704beb"
ULP = 2.0**-52

# What IEEE 754 rounds in one way, with integers, comparisons and the moving of data. No sum, mean or product
# of matrices: their order depends on the width of the processor's vectors. No square root: see `exact.sqrt`.
ROUNDED = "add|sub|rsub|mul|div|neg|abs|reciprocal|deg2rad|floor|round|clamp|minimum|maximum|pow"
INTEGER = "eq|ne|lt|le|gt|ge|where|nonzero|bitwise_and|bitwise_or|bitwise_xor|all|amin|amax|arange|eye"
SHIFTS = "__and__|__rshift__|__lshift__|_local_scalar_dense"
MOVED = "select|slice|unsqueeze|detach|full_like|zeros_like|zeros|new_empty|empty|scalar_tensor"
MOVED_TOO = "copy|view|transpose|permute|expand|repeat|index|index_select|index_copy|clone|alias|lift_fresh"
COPIED = "unbind|stack|cat|_to_copy|_unsafe_view|split|unfold|squeeze"
EXACT = re.compile("|".join((ROUNDED, INTEGER, SHIFTS, MOVED, MOVED_TOO, COPIED)))


class Operations(TorchDispatchMode):
    """The names of all operations that torch is asked for, without the mark of those in place."""

    def __init__(self) -> None:
        super().__init__()
        self.inexact: set[str] = set()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        name = name if name.startswith("__") else name.rstrip("_")
        self.count += 1
        if not EXACT.fullmatch(name) or (name == "pow" and args[1] != 2):
            self.inexact.add(str(func))
        if (kwargs or {}).get("alpha", 1) not in (1, -1):
            self.inexact.add(f"{func} with a factor")  # it may be one rounding, or two
        return func(*args, **(kwargs or {}))


def test_only_operations_that_are_rounded_in_one_way_draw_a_face():
    camera._grain.cache_clear()
    with Operations() as seen:
        rendered.pictures()
    assert seen.count > 1000 and not seen.inexact


def test_the_watch_sees_what_a_math_library_or_the_order_of_a_sum_may_change():
    for call in (torch.sqrt, torch.sin, torch.exp, torch.sum, lambda x: x**0.5, lambda x: x @ x):
        with Operations() as seen:
            call(torch.ones(3))
        assert seen.inexact
    with Operations() as seen:
        torch.add(torch.ones(3), torch.ones(3), alpha=0.1)
    assert seen.inexact


def test_the_same_bits_on_every_machine():
    assert rendered.digest() == DIGEST


@pytest.mark.parametrize(
    "setting",
    [
        {"MKL_CBWR": "COMPATIBLE"},
        {"MKL_CBWR": "AVX2"},
        {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default"},  # two libraries
    ],
    ids=str,
)
def test_the_same_bits_with_the_code_for_other_processors(setting):
    """Libraries choose their code when they are loaded, so each choice needs a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **setting}
    command = [sys.executable, str(ROOT / "tests/programs/rendered.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == DIGEST


# --- the functions themselves ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spread() -> torch.Tensor:
    """(20001,) float64 from -7 to 7, zero among them."""
    return torch.from_numpy(np.linspace(-7.0, 7.0, 20001))


def test_circle_functions_agree_with_the_library(spread):
    sine, cosine = exact.sin_cos(spread)
    assert (sine - spread.sin()).abs().max() <= 2 * ULP and (cosine - spread.cos()).abs().max() <= 2 * ULP
    far = exact.angle(cosine * 3.0, sine * 3.0)
    assert (far - torch.atan2(sine, cosine)).abs().max() <= 4 * ULP
    axes = torch.tensor([[0.0, 1.0], [0.0, -1.0], [-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    expected = [math.pi / 2, -math.pi / 2, math.pi, 0.0]
    assert exact.angle(*axes.unbind(1)).tolist() == pytest.approx(expected, abs=4 * ULP)


def test_exponentials_and_log_odds_agree_with_the_library(spread):
    power = exact.exp(spread * 90.0)
    assert ((power - (spread * 90.0).exp()) / power).abs().max() <= 4 * ULP
    assert (exact.sigmoid(spread) - spread.sigmoid()).abs().max() <= 4 * ULP
    share = spread[1:-1] / 14.0 + 0.5
    assert (exact.logit(share) - share.logit()).abs().max() <= 16 * ULP
    assert torch.allclose(exact.logit(exact.sigmoid(spread)), spread, atol=1e-12)


def test_normal_scores_agree_with_the_library_down_to_the_smallest_share():
    share = torch.cat([torch.logspace(-9.9, -0.31, 4000).double(), torch.tensor([2.0**-33, 0.5]).double()])
    for p in (share, 1.0 - share):
        expected = torch.special.ndtri(p)
        assert (exact.normal_score(p) - expected).abs().max() <= 32 * ULP * 7.0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64], ids=str)
def test_roots_are_correctly_rounded(kind):
    """Python's root is IEEE's; rounded from float64 to float32 it is the root in float32."""
    x = torch.rand(2000, generator=torch.Generator().manual_seed(1), dtype=kind) * 4.0
    assert exact.sqrt(x).tolist() == [
        float(np.float32(math.sqrt(v))) if kind == torch.float32 else math.sqrt(v) for v in x.tolist()
    ]
    strided = torch.stack([x, x], dim=1)[:, 1]
    assert torch.equal(exact.sqrt_(strided), exact.sqrt(x)) and torch.equal(strided, exact.sqrt(x))
