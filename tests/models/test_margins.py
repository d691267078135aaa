"""Margins against their definitions, pytorch-metric-learning, and the edges where public code breaks."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, SphereFaceLoss
from torch import Tensor

from facelab.models.losses import build_loss
from facelab.models.losses.cosine import prototype_scores
from facelab.models.losses.margins import (
    a_softmax_logits,
    a_softmax_psi,
    annealed_lambda,
    arcface_logits,
    arcface_psi,
    cosface_logits,
    cosface_psi,
)

HALF_PI = math.nextafter(math.pi / 2, 0)
DEGREES = 28.6
GRID = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, 6, generator=generator, dtype=torch.float64).to(dtype)
    return embeddings.requires_grad_(), torch.randint(5, (40,), generator=generator)


def slope(psi: object, cosine: float, margin: float, dtype: torch.dtype = torch.float64) -> float:
    point = torch.tensor([cosine], dtype=dtype, requires_grad=True)
    return torch.autograd.grad(psi(point, margin).sum(), point)[0].item()


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.0, 1.5])
def test_arcface_psi_is_its_definition_on_both_sides_of_the_joint(margin: float) -> None:
    joint = math.pi - margin
    for theta in (0, 0.5, 2.5, joint - 1e-4, joint + 1e-4, math.pi):
        past = theta > joint
        expected = math.cos(theta) - margin * math.sin(margin) if past else math.cos(theta + margin)
        psi = arcface_psi(torch.tensor([math.cos(theta)], dtype=torch.float64), margin)
        assert psi.item() == pytest.approx(expected, abs=1e-7)


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0, HALF_PI))
def test_arcface_target_never_rises_with_the_angle(margin: float) -> None:
    joint = math.pi - margin
    near = torch.tensor(
        [joint + sign * eps for eps in (1e-12, 1e-8, 1e-4) for sign in (-1, 1)], dtype=torch.float64
    )
    theta = torch.cat([GRID, near.clamp(0, math.pi)]).sort().values
    psi = arcface_psi(theta.cos(), margin)
    assert psi.diff().max() <= 1e-15
    assert (psi <= theta.cos() + 1e-15).all()  # a margin never helps
    single = arcface_psi(theta.cos().float(), margin)
    assert single.diff().max() <= 1.8e-7  # three roundings just below 1 in size, next to the step


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 12))
def test_a_softmax_target_never_rises_with_the_angle(margin: int) -> None:
    joints = torch.tensor([math.pi * k / margin for k in range(margin + 1)], dtype=torch.float64)
    theta = torch.cat([GRID, joints, (joints - 1e-9).clamp(min=0)]).sort().values
    psi = a_softmax_psi(theta.cos(), margin)
    assert psi.diff().max() <= 1e-11
    assert psi[0].item() == pytest.approx(1) and psi[-1].item() == pytest.approx(1 - 2 * margin)
    k = (theta * margin / math.pi).floor().clamp(max=margin - 1)
    by_definition = (-1) ** k * (margin * theta).cos() - 2 * k
    torch.testing.assert_close(psi, by_definition, atol=1e-9, rtol=0)


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0, 1))
def test_cosface_target_never_rises_with_the_angle(margin: float) -> None:
    assert cosface_psi(GRID.cos(), margin).diff().max() <= 0


@pytest.mark.parametrize("psi", [arcface_psi, cosface_psi])
def test_margin_0_is_the_plain_cosine_exactly(psi: object) -> None:
    cosine = torch.cat([GRID.cos(), torch.tensor([1 + 1e-7, -1 - 1e-7])])
    assert torch.equal(psi(cosine, 0.0), cosine)


def test_a_softmax_margin_1_is_the_plain_cosine_exactly() -> None:
    assert torch.equal(a_softmax_psi(GRID.cos(), 1), GRID.cos())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 1.5])
def test_arcface_slopes_are_finite_at_the_poles_and_alive_for_the_hardest(
    margin: float, dtype: torch.dtype
) -> None:
    ulp = torch.finfo(dtype).eps
    for cosine in (1 + ulp, 1, 1 - ulp, 0, -1 + ulp, -1, -1 - ulp):
        assert math.isfinite(slope(arcface_psi, cosine, margin, dtype))
    for theta in (min(math.pi - margin + 1e-3, math.pi), math.pi):
        assert slope(arcface_psi, math.cos(theta), margin, dtype) == pytest.approx(1)
    assert slope(arcface_psi, 1, margin, dtype) == pytest.approx(math.cos(margin))


@pytest.mark.parametrize("margin", [1, 2, 3, 4, 7])
def test_a_softmax_slopes_at_the_poles_are_m_squared(margin: int) -> None:
    for cosine in (1.0, -1.0):
        assert slope(a_softmax_psi, cosine, margin) == pytest.approx(margin**2)


def test_psi_matches_finite_differences() -> None:
    cosine = torch.tensor([-0.99, -0.95, -0.5, 0.1, 0.7, 0.99], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: arcface_psi(c, 0.5), cosine)
    assert torch.autograd.gradcheck(lambda c: a_softmax_psi(c, 4), cosine)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["norm_softmax", "a_softmax", "arcface", "cosface"])
def test_self_match_and_antipode_train(name: str, sign: int) -> None:
    loss_fn = build_loss(name, 6, 5, {})
    labels = torch.arange(5)
    embeddings = (sign * 3 * loss_fn.prototypes.detach().clone()).requires_grad_()
    loss_fn(embeddings, labels).backward()
    for gradient in (embeddings.grad, loss_fn.prototypes.grad):
        assert gradient.isfinite().all() and gradient.norm() > 0


@pytest.mark.parametrize("logits", [arcface_logits, cosface_logits])
def test_only_the_true_class_changes(logits: object) -> None:
    cosine = torch.rand(7, 5, dtype=torch.float64) * 2 - 1
    labels = torch.arange(7) % 5
    kept = cosine.clone()
    changed = logits(cosine, labels, 0.4, 10.0) != 10 * cosine
    assert torch.equal(cosine, kept)
    assert torch.equal(changed, F.one_hot(labels, 5).bool())


def assert_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Equal values within 1e-6 and gradients, with their W transposed, over all angles."""
    embeddings, labels = batch()
    theirs.W.data = ours.prototypes.data.T.clone()
    embeddings.data[:5] = ours.prototypes.data[labels[:5]] * -2 + 0.01  # the hardest, past π - m
    loss, other = ours(embeddings, labels), theirs(embeddings, labels)
    assert loss.item() == pytest.approx(other.item(), abs=1e-6)
    gradients = torch.autograd.grad(loss, [embeddings, ours.prototypes])
    others = torch.autograd.grad(other, [embeddings, theirs.W])
    torch.testing.assert_close(gradients[0], others[0], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradients[1], others[1].T, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("degrees", "scale"), [(DEGREES, 64.0), (10.0, 20.0), (80.0, 8.0)])
def test_arcface_equals_pytorch_metric_learning(degrees: float, scale: float) -> None:
    options = {"margin": math.radians(degrees), "scale": scale}
    assert_same(build_loss("arcface", 6, 5, options).double(), ArcFaceLoss(5, 6, degrees, scale).double())


def test_cosface_equals_pytorch_metric_learning() -> None:
    assert_same(build_loss("cosface", 6, 5, {}).double(), CosFaceLoss(5, 6, margin=0.35, scale=64).double())


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_a_softmax_without_annealing_equals_pytorch_metric_learning(margin: int) -> None:
    embeddings, labels = batch()
    theirs = SphereFaceLoss(5, 6, margin=margin, scale=1).double()
    scores = prototype_scores(embeddings, theirs.W.detach().T.contiguous())
    logits = a_softmax_logits(
        scores, labels, torch.linalg.vector_norm(embeddings, dim=1), margin, annealing=0.0
    )
    loss, other = F.cross_entropy(logits, labels), theirs(embeddings, labels)
    assert loss.item() == pytest.approx(other.item(), abs=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(loss, embeddings)[0],
        torch.autograd.grad(other, embeddings)[0],
        atol=1e-6,
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["arcface", "cosface"])
def test_margin_0_is_norm_softmax(name: str) -> None:
    embeddings, labels = batch()
    ours, plain = build_loss(name, 6, 5, {"margin": 0.0, "scale": 20.0}), build_loss("norm_softmax", 6, 5, {})
    plain.prototypes = ours.prototypes
    assert torch.equal(ours.double()(embeddings, labels), plain.double()(embeddings, labels))
    assert torch.equal(ours.logits(embeddings), plain.logits(embeddings))


def test_margin_warmup_grows_linearly_and_stops_in_eval() -> None:
    loss_fn = build_loss("arcface", 6, 5, {"margin_warmup": 4})
    margins = []
    for _ in range(6):
        margins.append(loss_fn.current_margin())
        loss_fn(*batch(torch.float32))
    assert margins == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5])
    fresh = build_loss("arcface", 6, 5, {"margin_warmup": 4}).eval()
    fresh(*batch(torch.float32))
    assert fresh.current_margin() == 0
    assert build_loss("arcface", 6, 5, {}).current_margin() == 0.5


def test_a_softmax_annealing_follows_the_schedule() -> None:
    assert [annealed_lambda(t) for t in (0, 10, 2990, 10**6)] == pytest.approx([1500, 750, 5, 5])
    embeddings, labels = batch()
    loss_fn = build_loss("a_softmax", 6, 5, {}).double()
    norms = torch.linalg.vector_norm(embeddings, dim=1)
    for step in range(3):
        logits = a_softmax_logits(loss_fn.logits(embeddings), labels, norms, 4, 1500 / (1 + 0.1 * step))
        assert torch.equal(loss_fn(embeddings, labels), F.cross_entropy(logits, labels))
    assert loss_fn.step == 3


def test_prototype_scores_equal_normalized_products_with_gradients() -> None:
    embeddings = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    prototypes = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(
        prototype_scores(embeddings, prototypes), embeddings @ F.normalize(prototypes).T
    )
    assert torch.autograd.gradcheck(prototype_scores, (embeddings, prototypes))
    scores = prototype_scores(embeddings, torch.zeros(2, 3, dtype=torch.float64, requires_grad=True))
    assert (scores == 0).all()
    scores.sum().backward()
    assert embeddings.grad.isfinite().all()
