"""Distances, masks, counts and mined triplets, against loops and pytorch-metric-learning."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor

from facelab.models.losses import build_loss
from facelab.models.losses.mining import (
    MINING,
    all_triplets,
    count_inversions,
    hard_triplets,
    has_collapsed,
    l2_normalize,
    mine,
    pair_masks,
    semi_hard_triplets,
    squared_distances,
)

NUMBERS = st.lists(st.integers(-3, 3), min_size=0, max_size=10)


def batch(size: int = 16, people: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    return embeddings, torch.randint(people, (size,), generator=generator)


def test_unit_is_normalize_with_gradients_and_a_finite_one_at_zero() -> None:
    embeddings = batch()[0].requires_grad_()
    torch.testing.assert_close(l2_normalize(embeddings), F.normalize(embeddings))
    assert torch.autograd.gradcheck(l2_normalize, embeddings)
    zero = torch.zeros(2, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(l2_normalize(zero).sum(), zero)
    assert (l2_normalize(zero) == 0).all() and (gradient == 1).all()


def test_squared_distances_equal_torchs_with_gradients() -> None:
    embeddings = batch()[0].requires_grad_()
    torch.testing.assert_close(squared_distances(embeddings), torch.cdist(embeddings, embeddings).square())
    assert torch.autograd.gradcheck(squared_distances, embeddings)


def test_squared_distances_of_equal_points_far_away_are_zero() -> None:
    assert squared_distances(torch.full((6, 64), 1e4)).max() == 0
    near = torch.full((2, 64), 1e4, dtype=torch.float64)
    near[1, 0] += 1e-3
    assert squared_distances(near)[0, 1].item() == pytest.approx(1e-6, rel=1e-5)


def test_masks_part_all_pairs_but_those_with_oneself() -> None:
    labels = torch.tensor([3, 1, 3])
    genuine, impostor = pair_masks(labels)
    assert genuine.tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    assert torch.equal(genuine | impostor, ~torch.eye(3, dtype=torch.bool))
    assert not (genuine & impostor).any()


@settings(deadline=None)  # a busy machine is no failure
@given(NUMBERS, NUMBERS)
def test_crossings_count_like_a_table(high: list[int], low: list[int]) -> None:
    at_high, at_low = count_inversions(torch.tensor(high).float(), torch.tensor(low).float())
    assert at_high.tolist() == [sum(h > value for value in low) for h in high]
    assert at_low.tolist() == [sum(value > h for value in high) for h in low]


def test_crossings_work_row_by_row_and_leave_infinities_out() -> None:
    high, low = torch.tensor([[1.0, -math.inf], [3.0, 2.0]]), torch.tensor([[0.0, math.inf], [2.0, 1.0]])
    at_high, at_low = count_inversions(high, low)
    assert at_high.tolist() == [[1, 0], [2, 1]] and at_low.tolist() == [[1, 0], [1, 2]]


def test_hard_triplets_equal_pytorch_metric_learnings() -> None:
    embeddings, labels = batch()
    mined = BatchHardMiner(distance=LpDistance(normalize_embeddings=False, power=2))(embeddings, labels)
    ours = hard_triplets(squared_distances(embeddings), labels)
    assert [index.tolist() for index in ours] == [index.tolist() for index in mined]


def test_hard_triplets_leave_out_anchors_without_a_partner() -> None:
    labels = torch.tensor([0, 0, 1])
    found = hard_triplets(squared_distances(batch(3)[0]), labels)
    assert (
        found.anchor.tolist() == [0, 1]
        and found.positive.tolist() == [1, 0]
        and found.negative.tolist() == [2, 2]
    )
    for labels in (torch.zeros(3).long(), torch.arange(3)):
        assert len(hard_triplets(squared_distances(batch(3)[0]), labels).anchor) == 0


def test_semi_hard_triplets_are_in_order_but_within_the_margin() -> None:
    embeddings, labels = batch(30)
    d = squared_distances(l2_normalize(embeddings))
    found = semi_hard_triplets(d, labels, 0.3)
    near, far = d[found.anchor, found.positive], d[found.anchor, found.negative]
    assert len(near) > 10 and (far > near).all() and (far < near + 0.3).all()
    assert (labels[found.anchor] == labels[found.positive]).all() and (found.anchor != found.positive).all()
    assert (labels[found.anchor] != labels[found.negative]).all()
    for a, p, distance in zip(found.anchor, found.positive, far, strict=True):  # the nearest such negative
        others = d[a][(labels != labels[a]) & (d[a] > d[a, p])]
        assert distance == others.min()


def report_by_loops(embeddings: Tensor, labels: Tensor, mining: str, margin: float) -> tuple[float, ...]:
    """(triplets, share above zero, mean positive, mean negative) of listed triplets."""
    d = squared_distances(F.normalize(embeddings))
    if mining == "all":
        triples = itertools.product(range(len(labels)), repeat=3)
        listed = [
            t
            for t in triples
            if t[0] != t[1] and labels[t[0]] == labels[t[1]] and labels[t[0]] != labels[t[2]]
        ]
    else:
        found = hard_triplets(d, labels) if mining == "hard" else semi_hard_triplets(d, labels, margin)
        listed = list(zip(*(index.tolist() for index in found), strict=True))
    positive = torch.stack([d[a, p] for a, p, _ in listed])
    negative = torch.stack([d[a, n] for a, _, n in listed])
    nonzero = (positive - negative + margin > 0).double().mean()
    return len(listed), nonzero.item(), positive.mean().item(), negative.mean().item()


@pytest.mark.parametrize("mining", MINING)
def test_the_report_counts_what_the_loss_used(mining: str) -> None:
    embeddings, labels = batch()
    report = mine(embeddings, labels, mining, 0.2)
    triplets, nonzero, positive, negative = report_by_loops(embeddings, labels, mining, 0.2)
    assert report.triplets == triplets > 0
    assert (report.nonzero, report.positive, report.negative) == pytest.approx(
        (nonzero, positive, negative), abs=1e-5
    )
    if mining == "semi_hard":
        assert report.nonzero == 1
        loss = build_loss("triplet", 5, 4, {})(embeddings, labels).item()
        assert loss == pytest.approx(report.positive - report.negative + 0.2, abs=1e-5)


@pytest.mark.parametrize("mining", MINING)
def test_a_report_of_nothing(mining: str) -> None:
    report = mine(batch(3)[0], torch.arange(3), mining, 0.2)
    assert (report.triplets, report.nonzero) == (0, 0.0) and math.isnan(report.positive)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="mining is 'hardest'; legal: all, semi_hard, hard"):
        mine(*batch(), "hardest", 0.2)


def test_a_negative_as_far_as_the_positive_is_not_semi_hard() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    d = torch.tensor([[0.0, 1, 1, 2], [1, 0, 3, 3], [1, 3, 0, 3], [2, 3, 3, 0]])
    found = semi_hard_triplets(d, labels, 1.5)
    assert [index.tolist() for index in found] == [[0], [1], [3]]


@pytest.mark.parametrize("mining", MINING)
def test_collapse_is_seen_and_only_then(mining: str) -> None:
    embeddings, labels = batch()
    loss_fn = build_loss("triplet", 5, 4, {"mining": mining})
    collapsed = torch.ones(16, 5) + (mining != "semi_hard") * 1e-4 * embeddings.float()
    assert has_collapsed(collapsed, loss_fn(collapsed, labels).item(), 0.2)
    assert not has_collapsed(embeddings, loss_fn(embeddings, labels).item(), 0.2)
    assert not has_collapsed(embeddings, 0.2, 0.2)  # the loss at the margin alone proves nothing
    perfect = torch.eye(5)[labels]
    assert not has_collapsed(perfect, loss_fn(perfect, labels).item(), 0.2)


def test_a_collapsed_batch_has_no_gradient_to_leave_by() -> None:
    embeddings = torch.full((16, 5), 2.0, requires_grad=True)
    build_loss("triplet", 5, 4, {"mining": "hard"})(embeddings, batch()[1]).backward()
    assert embeddings.grad.abs().max() < 1e-6


def test_all_triplets_of_a_batch_of_1024_are_counted_without_a_billion_entries() -> None:
    labels = torch.arange(1024) // 4
    d = torch.zeros(1024, 1024)
    as_positive, as_negative, count = all_triplets(d, labels, 0.2)
    assert count == 1024 * 3 * 1020 and as_positive.sum() == count == as_negative.sum()
