"""Center loss against the paper's equations, written as loops, and against the popular implementation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facelab.models.losses import build_loss
from facelab.models.losses.center import center_loss, update_centers


def batch(size: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, labels of classes 0 to 3, centers of classes 0 to 4."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(size, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    centers = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(4, (size,), generator=generator), centers


def popular_center_loss(embeddings: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """The computation of the popular repository: a (B, C) table of distances, masked, clamped, no ½."""
    table = embeddings.square().sum(1, keepdim=True) + centers.square().sum(1) - 2 * embeddings @ centers.T
    own = labels[:, None] == torch.arange(len(centers))
    return (table * own).clamp(1e-12, 1e12).sum() / len(embeddings)


def test_value_is_half_the_popular_one() -> None:
    embeddings, labels, centers = batch()
    ours = center_loss(embeddings - centers[labels])
    popular = popular_center_loss(embeddings, labels, centers)
    assert 2 * ours.item() == pytest.approx(popular.item(), abs=1e-6)
    gradient = torch.autograd.grad(ours, embeddings)[0]
    torch.testing.assert_close(2 * gradient, torch.autograd.grad(popular, embeddings)[0])
    torch.testing.assert_close(
        gradient, (embeddings - centers[labels]).detach() / len(labels)
    )  # eq. 3, over B


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_update_is_the_papers_equation_4(rate: float) -> None:
    embeddings, labels, centers = batch()
    expected = centers.clone()
    for j in range(5):
        own = [x for x, y in zip(embeddings.detach(), labels.tolist(), strict=True) if y == j]
        delta = sum((centers[j] - x for x in own), torch.zeros(3)) / (1 + len(own))
        expected[j] = centers[j] - rate * delta
    absent = centers[4].clone()
    update_centers(centers, embeddings - centers[labels], labels, rate)
    torch.testing.assert_close(centers, expected)
    assert torch.equal(centers[4], absent)


def test_centers_converge_to_the_class_means() -> None:
    embeddings, labels, centers = batch()
    for _ in range(200):
        update_centers(centers, embeddings.detach() - centers[labels], labels, 0.5)
    for j in labels.unique():
        torch.testing.assert_close(centers[j], embeddings.detach()[labels == j].mean(0))


@pytest.mark.parametrize("bias", [True, False])
def test_loss_is_softmax_plus_weight_times_center_loss(bias: bool) -> None:
    embeddings, labels, centers = batch()
    loss_fn = build_loss("center", 3, 5, {"center_weight": 0.1, "bias": bias}).double()
    loss_fn.centers.copy_(centers)
    expected = F.cross_entropy(loss_fn.logits(embeddings), labels)
    expected = expected + 0.1 * 0.5 * (embeddings - centers[labels]).square().sum(1).mean()
    torch.testing.assert_close(loss_fn(embeddings, labels), expected)
    assert (loss_fn.linear.bias is not None) == bias


def test_the_loss_of_a_step_uses_the_centers_before_it() -> None:
    embeddings, labels, _ = batch()
    loss_fn = build_loss("center", 3, 5, {}).double()
    first = loss_fn(embeddings, labels)
    moved = loss_fn.centers.clone()
    expected = torch.zeros_like(moved)
    update_centers(expected, embeddings.detach(), labels, 0.5)
    assert torch.equal(moved, expected) and moved.norm() > 0
    first.backward()  # the update in place must not disturb it
    torch.testing.assert_close(
        embeddings.grad,
        torch.autograd.grad(loss_fn.eval()(embeddings, labels), embeddings)[0] + 0.003 * moved[labels] / 12,
    )


def test_centers_are_state_and_no_parameters() -> None:
    loss_fn = build_loss("center", 3, 5, {})
    assert "centers" in loss_fn.state_dict()
    assert [name for name, _ in loss_fn.named_parameters()] == ["linear.weight", "linear.bias"]


def test_centers_make_classes_compact() -> None:
    """Trained on free embeddings, the spread within classes is smaller with center loss than without."""
    spreads = []
    for weight in (0.0, 0.5):
        embeddings, labels, _ = batch()
        points = embeddings.detach().clone().requires_grad_()
        loss_fn = build_loss("center", 3, 5, {"center_weight": weight}).double()
        optimizer = torch.optim.SGD([points, *loss_fn.parameters()], lr=0.5)
        for _ in range(300):
            optimizer.zero_grad()
            loss_fn(points, labels).backward()
            optimizer.step()
        means = torch.stack([points[labels == j].mean(0) for j in labels.tolist()])
        spreads.append(((points - means).norm() / points.norm()).item())
    assert spreads[1] < 0.25 * spreads[0]
