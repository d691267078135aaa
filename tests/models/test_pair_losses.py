"""Pair losses against loops in float64, torch and pytorch-metric-learning."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from facelab.models.losses import build_loss
from facelab.models.losses.mining import hard_triplets, l2_normalize, pair_masks, squared_distances
from facelab.models.losses.pairs import (
    contrastive_loss,
    masked_pairwise_loss,
    masked_triplet_loss,
    pairwise_loss,
    triplet_loss,
)


def batch(size: int = 14, people: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(size, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    return embeddings, torch.randint(people, (size,), generator=generator)


def build(name: str, **options: object) -> torch.nn.Module:
    return build_loss(name, 5, 4, options)


def assert_same(first: Tensor, second: Tensor, embeddings: Tensor) -> None:
    """Values within 1e-6, and gradients."""
    assert first.item() == pytest.approx(second.item(), abs=1e-6)
    gradients = [torch.autograd.grad(loss, embeddings)[0] for loss in (first, second)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_contrastive_equals_hadsells_equation_by_loops(normalize: bool) -> None:
    embeddings, labels = batch()
    points = F.normalize(embeddings) if normalize else embeddings
    kinds: dict[bool, list[Tensor]] = {True: [], False: []}
    for i, j in itertools.combinations(range(len(labels)), 2):
        d = (points[i] - points[j]).norm()
        same = bool(labels[i] == labels[j])
        kinds[same].append(0.5 * d**2 if same else 0.5 * (1.2 - d).clamp(min=0) ** 2)
    by_loops = sum(torch.stack(kind).mean() for kind in kinds.values())
    assert_same(
        build("contrastive", pair_margin=1.2, normalize=normalize)(embeddings, labels), by_loops, embeddings
    )


def test_contrastive_genuine_part_equals_pytorch_metric_learning() -> None:
    embeddings, labels = batch()
    distance = LpDistance(normalize_embeddings=True, power=2)
    theirs = ContrastiveLoss(0, 0, distance=distance, reducer=MeanReducer())(embeddings, labels)
    tiny = build("contrastive", pair_margin=1e-9)(embeddings, labels)  # no impostor pair is that near
    assert_same(tiny, theirs / 2, embeddings)


def test_contrastive_impostor_part_is_the_square_of_pytorch_metric_learnings_hinge() -> None:
    embeddings, _ = batch(2)
    labels = torch.tensor([0, 1])
    theirs = ContrastiveLoss(0, 2.0, reducer=MeanReducer())(embeddings, labels)
    assert_same(build("contrastive", pair_margin=2.0)(embeddings, labels), theirs**2 / 2, embeddings)


def test_contrastive_at_distance_zero_is_half_the_squared_margin() -> None:
    distances = torch.zeros(2, 2, requires_grad=True)
    loss = contrastive_loss(distances, torch.tensor([0, 1]), 1.5)
    assert loss.item() == 0.5 * 1.5**2
    assert torch.autograd.grad(loss, distances)[0].isfinite().all()


def pairwise_by_table(genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    return (margin - (genuine[:, None] - impostor[None, :])).clamp(min=0).mean()


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_pairwise_equals_the_table_with_ties(genuine: list[int], impostor: list[int], margin: int) -> None:
    g, i = torch.tensor(genuine, dtype=torch.float64), torch.tensor(impostor, dtype=torch.float64)
    expected = pairwise_by_table(g, i, margin)
    assert pairwise_loss(g, i, margin).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("margin", [0.0, 0.5, 3.0])
def test_pairwise_value_and_gradient_equal_the_table(margin: float) -> None:
    torch.manual_seed(0)
    g, i = (torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (70, 90))
    sorted_one, table = pairwise_loss(g, i, margin), pairwise_by_table(g, i, margin)
    assert sorted_one.item() == pytest.approx(table.item(), abs=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(sorted_one, (g, i)), torch.autograd.grad(table, (g, i)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_pairwise_takes_every_pair_of_pairs_of_the_batch() -> None:
    embeddings, labels = batch()
    cosine = F.cosine_similarity(embeddings[:, None], embeddings[None, :], dim=2)
    genuine, impostor = [], []
    for i, j in itertools.combinations(range(len(labels)), 2):
        (genuine if labels[i] == labels[j] else impostor).append(cosine[i, j])
    expected = pairwise_by_table(torch.stack(genuine), torch.stack(impostor), 0.5)
    assert_same(build("pairwise")(embeddings, labels), expected, embeddings)


def test_pairwise_is_zero_once_the_distributions_are_a_margin_apart() -> None:
    g, i = torch.tensor([0.9, 0.8]), torch.tensor([0.2, 0.3])
    assert pairwise_loss(g, i, 0.5).item() == pytest.approx(0, abs=1e-7)
    assert pairwise_loss(g, i, 0.6).item() == pytest.approx(0.1 / 4, abs=1e-6)


def test_pairwise_of_half_a_million_scores_needs_no_table_and_stays_exact_in_float32() -> None:
    torch.manual_seed(0)
    g, i = torch.randn(2**18) * 0.1 + 0.6, torch.randn(2**18) * 0.1  # a table would hold 2^36 numbers
    exact = pairwise_loss(g.double(), i.double(), 0.5)
    assert pairwise_loss(g, i, 0.5).item() == pytest.approx(exact.item(), rel=1e-4)


def triplets_by_loops(labels: Tensor) -> list[tuple[int, int, int]]:
    y = labels.tolist()
    triples = itertools.product(range(len(y)), repeat=3)
    return [(a, p, n) for a, p, n in triples if a != p and y[a] == y[p] and y[a] != y[n]]


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_all_triplets_equal_loops_and_pytorch_metric_learning(margin: float) -> None:
    embeddings, labels = batch()
    points = F.normalize(embeddings)
    d = (points[:, None] - points[None, :]).square().sum(2)
    by_loops = torch.stack(
        [(d[a, p] - d[a, n] + margin).clamp(min=0) for a, p, n in triplets_by_loops(labels)]
    )
    ours = build("triplet", mining="all", pair_margin=margin)
    assert_same(ours(embeddings, labels), by_loops.mean(), embeddings)
    distance = LpDistance(normalize_embeddings=True, power=2)
    theirs = TripletMarginLoss(margin, distance=distance, reducer=MeanReducer())
    assert_same(ours(embeddings, labels), theirs(embeddings, labels), embeddings)


def test_all_triplets_are_exact_with_ties() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        d = torch.randint(4, (6, 6), generator=generator).double()
        hinges = [max(0.0, (d[a, p] - d[a, n] + 1).item()) for a, p, n in triplets_by_loops(labels)]
        ours = triplet_loss(d, labels, "all", 1.0)
        assert ours.item() == pytest.approx(sum(hinges) / len(hinges), abs=1e-12)


def test_batch_hard_equals_pytorch_metric_learning() -> None:
    embeddings, labels = batch()
    distance = LpDistance(normalize_embeddings=True, power=2)
    theirs = TripletMarginLoss(0.2, distance=distance, reducer=MeanReducer())
    mined = BatchHardMiner(distance=distance)(embeddings, labels)
    ours = build("triplet", mining="hard")
    assert_same(ours(embeddings, labels), theirs(embeddings, labels, mined), embeddings)


def test_a_mined_triplet_equals_torchs_triplet_losses() -> None:
    embeddings, labels = batch()
    points = l2_normalize(embeddings)
    anchor, positive, negative = (points[index] for index in hard_triplets(squared_distances(points), labels))
    squared = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x, y: (x - y).square().sum(1), margin=0.2
    )
    ours = build("triplet", mining="hard")(embeddings, labels)
    assert_same(ours, squared(anchor, positive, negative), embeddings)
    plain = triplet_loss(torch.cdist(points, points), labels, "hard", 1.0)
    torchs = torch.nn.TripletMarginLoss(margin=1.0, eps=0)(anchor, positive, negative)
    assert plain.item() == pytest.approx(torchs.item(), abs=1e-6)


def test_semi_hard_equals_loops() -> None:
    embeddings, labels = batch(20, 3)
    points = F.normalize(embeddings)
    d = (points[:, None] - points[None, :]).square().sum(2)
    hinges = []
    for a, p in itertools.permutations(range(20), 2):
        if labels[a] == labels[p]:
            inside = [
                d[a, n] for n in range(20) if labels[n] != labels[a] and d[a, p] < d[a, n] < d[a, p] + 0.2
            ]
            if inside:
                hinges.append(d[a, p] - min(inside) + 0.2)
    assert len(hinges) > 10
    assert_same(build("triplet")(embeddings, labels), torch.stack(hinges).mean(), embeddings)


def test_collapsed_triplets_lose_exactly_the_margin() -> None:
    _, labels = batch()
    embeddings = torch.full((14, 5), 123.456)
    for mining in ("all", "hard"):
        assert build("triplet", mining=mining)(embeddings, labels).item() == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 3, 4, 5, 6], [0] * 7])
def test_masked_forms_for_gpus_equal_the_listed_ones(labels):
    # A GPU cannot list pairs without making the host wait for their number.
    labels = torch.tensor(labels)
    x = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    genuine, impostor = pair_masks(labels)
    cosine, distances = l2_normalize(x) @ l2_normalize(x).T, squared_distances(l2_normalize(x))
    listed = pairwise_loss(cosine[genuine.triu()], cosine[impostor.triu()], 0.5)
    cases = [(listed, masked_pairwise_loss(cosine, labels, 0.5))]
    for mining in ("hard", "semi_hard"):
        listed = triplet_loss(distances, labels, mining, 0.5)
        cases.append((listed, masked_triplet_loss(distances, labels, mining, 0.5)))
    for listed, masked in cases:
        assert masked.item() == pytest.approx(listed.item(), abs=1e-14)
        (a,), (b,) = (torch.autograd.grad(value, x, retain_graph=True) for value in (listed, masked))
        assert torch.allclose(a, b, atol=1e-14)
