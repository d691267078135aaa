"""Softmax and its soft targets, against torch, pytorch-metric-learning and loops."""

import doctest
import math

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss

from facelab.models.losses import build_loss, classification
from facelab.models.losses.classification import smooth_targets


def batch(size: int = 12, dim: int = 6, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(size, dim, generator=generator, dtype=torch.float64, requires_grad=True)
    return embeddings, torch.randint(classes, (size,), generator=generator)


def test_the_course_example() -> None:
    target = smooth_targets(torch.tensor([0]), num_classes=3, label_smoothing=0.1)[0]
    assert [round(p, 4) for p in target.tolist()] == [0.9333, 0.0333, 0.0333]
    best = target.log() - target[2].log()
    assert best.tolist() == pytest.approx([math.log(0.9333333 / 0.0333333), 0, 0], abs=1e-5)
    assert best[0].item() == pytest.approx(3.332, abs=1e-3)
    assert doctest.testmod(classification) == (0, 3)


def test_log_ratios_are_the_optimum_of_the_smoothed_loss() -> None:
    loss_fn = build_loss("softmax", 3, 3, {"label_smoothing": 0.1, "bias": False}).double()
    loss_fn.linear.weight.data = torch.eye(3, dtype=torch.float64)
    best = smooth_targets(torch.tensor([0]), 3, 0.1).double().log().requires_grad_()
    loss = loss_fn(best, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, best)
    assert gradient.abs().max() < 1e-7
    for _ in range(20):
        assert loss_fn(best + torch.randn(1, 3) * 0.3, torch.tensor([0])) >= loss
    certain = torch.tensor([[10.0, 0, 0]], dtype=torch.float64)  # a one-hot target would prefer this
    assert loss_fn(certain, torch.tensor([0])) > loss


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.7, 1.0])
@pytest.mark.parametrize("bias", [True, False])
def test_softmax_is_cross_entropy_with_the_smoothed_target(alpha: float, bias: bool) -> None:
    embeddings, labels = batch()
    loss_fn = build_loss("softmax", 6, 5, {"label_smoothing": alpha, "bias": bias}).double()
    logits = embeddings @ loss_fn.linear.weight.T + (loss_fn.linear.bias if bias else 0)
    loss = loss_fn(embeddings, labels)
    target = smooth_targets(labels, 5, alpha).double()
    by_definition = -(target * logits.log_softmax(1)).sum(1).mean()
    assert loss.item() == pytest.approx(by_definition.item(), abs=1e-7)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=alpha))
    assert (loss_fn.linear.bias is not None) == bias


def test_smoothing_0_is_one_hot_and_1_is_uniform() -> None:
    labels = torch.tensor([0, 2, 1])
    assert torch.equal(smooth_targets(labels, 4, 0.0), F.one_hot(labels, 4).float())
    assert torch.equal(smooth_targets(labels, 4, 1.0), torch.full((3, 4), 0.25))
    embeddings, labels = batch()
    loss_fn = build_loss("softmax", 6, 5, {"label_smoothing": 1.0}).double()
    assert torch.allclose(loss_fn(embeddings, labels), loss_fn(embeddings, (labels + 1) % 5))


def test_the_first_loss_is_the_logarithm_of_the_class_count() -> None:
    embeddings, labels = batch(classes=50)
    assert build_loss("softmax", 6, 50, {}).double()(embeddings, labels).item() == pytest.approx(
        math.log(50), rel=0.02
    )


@pytest.mark.parametrize("scale", [1.0, 20.0, 64.0])
def test_norm_softmax_equals_pytorch_metric_learning(scale: float) -> None:
    embeddings, labels = batch()
    ours = build_loss("norm_softmax", 6, 5, {"scale": scale}).double()
    theirs = NormalizedSoftmaxLoss(5, 6, temperature=1 / scale).double()
    theirs.W.data = ours.prototypes.data.T.clone()
    loss, other = ours(embeddings, labels), theirs(embeddings, labels)
    torch.testing.assert_close(loss, other, atol=1e-6, rtol=1e-9)
    gradients = torch.autograd.grad(loss, [embeddings, ours.prototypes])
    others = torch.autograd.grad(other, [embeddings, theirs.W])
    torch.testing.assert_close(gradients[0], others[0])
    torch.testing.assert_close(gradients[1], others[1].T)


def test_norm_softmax_ignores_lengths() -> None:
    embeddings, labels = batch()
    loss_fn = build_loss("norm_softmax", 6, 5, {}).double()
    before = loss_fn(embeddings, labels)
    loss_fn.prototypes.data *= torch.rand(5, 1) + 0.1
    torch.testing.assert_close(loss_fn(embeddings * 1e-3, labels), before)


def online_label_smoothing_by_loops(
    epochs: list[list[tuple[torch.Tensor, torch.Tensor]]], logits: object, classes: int, alpha: float
) -> tuple[list[float], torch.Tensor]:
    """arXiv:2011.12562, algorithm 1, one number at a time; column k is the soft label of class k."""
    soft = torch.full((classes, classes), 1 / classes, dtype=torch.float64)
    losses = []
    for batches in epochs:
        sums, counts = torch.zeros_like(soft), [0] * classes
        for embeddings, labels in batches:
            total = 0.0
            for row, label in zip(logits(embeddings).detach(), labels.tolist(), strict=True):
                p = row.softmax(0)
                hard, mild = -p[label].log(), -(soft[:, label] * p.log()).sum()
                total += alpha * hard.item() + (1 - alpha) * mild.item()
                if p.argmax() == label:
                    sums[:, label] += p
                    counts[label] += 1
            losses.append(total / len(labels))
        for label, count in enumerate(counts):
            if count:
                soft[:, label] = sums[:, label] / count
    return losses, soft


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_online_label_smoothing_equals_loops(alpha: float) -> None:
    torch.manual_seed(1)
    loss_fn = build_loss("online_label_smoothing", 6, 5, {"hard_label_weight": alpha}).double()
    loss_fn.linear.weight.data.normal_()
    loss_fn.soft.fill_(0.2)  # 1/5 in float64
    epochs = [
        [(torch.randn(16, 6, dtype=torch.float64), torch.randint(4, (16,))) for _ in range(2)]
        for _ in range(3)
    ]
    losses = []
    for batches in epochs:
        losses += [loss_fn(*one).item() for one in batches]
        loss_fn.end_epoch()
    expected, soft = online_label_smoothing_by_loops(epochs, loss_fn.logits, 5, alpha)
    assert losses == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(loss_fn.soft.T, soft)
    torch.testing.assert_close(loss_fn.soft.sum(1), torch.ones(5, dtype=torch.float64))
    assert (loss_fn.soft[4] == 0.2).all()  # never seen: keeps its label


def test_online_label_smoothing_starts_halfway_to_uniform_smoothing() -> None:
    embeddings, labels = batch()
    loss_fn = build_loss("online_label_smoothing", 6, 5, {"hard_label_weight": 0.9}).double()
    plain = F.cross_entropy(loss_fn.logits(embeddings), labels, label_smoothing=0.1)
    torch.testing.assert_close(loss_fn(embeddings, labels), plain, atol=1e-7, rtol=0)


def test_an_epoch_without_a_correct_sample_keeps_the_soft_labels() -> None:
    embeddings, _ = batch()
    loss_fn = build_loss("online_label_smoothing", 6, 5, {}).double()
    loss_fn.soft.copy_(torch.rand(5, 5).softmax(1))
    before = loss_fn.soft.clone()
    loss_fn(embeddings, (loss_fn.logits(embeddings).argmax(1) + 1) % 5)
    loss_fn.end_epoch()
    assert torch.equal(loss_fn.soft, before)
