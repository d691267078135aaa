"""The arrays of the Losses tab against the losses that train, autograd, closed forms and brute force."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from facelab.lessons import loss_curves
from facelab.lessons.loss_curves import COMPARED, GENUINE, IMPOSTOR, KINDS, NO_CLASS, Margins
from facelab.metrics.verification import auc
from facelab.models.losses import LOSSES, build_loss
from facelab.models.losses.margins import annealed_lambda
from facelab.models.losses.mining import hard_triplets, semi_hard_triplets, squared_distances
from facelab.models.losses.pairs import Contrastive, triplet_loss

DEGREES = np.arange(181.0)
FINE = np.arange(0, 360, 0.25)


def module(name, margins, classes, dim=3):
    """The loss of the table as it trains, with prototype 0 along the first axis and the others along the
    second."""
    options = {
        "norm_softmax": {"scale": margins.scale},
        "a_softmax": {"margin": margins.a_softmax},
        "cosface": {"margin": margins.cosface, "scale": margins.scale},
        "arcface": {"margin": margins.arcface, "scale": margins.scale},
    }[name]
    loss_fn = build_loss(name, dim, classes, options).double()
    with torch.no_grad():
        loss_fn.prototypes.zero_()
        loss_fn.prototypes[0, 0] = 1
        loss_fn.prototypes[1:, 1] = 1
    return loss_fn


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize(("step", "classes"), [(100_000, 10), (4000, 2), (300, 500)])
def test_page_arrays_are_the_training_modules_own(name, step, classes):
    """Loss and gradient of real modules on real embeddings, at every degree; A-Softmax at a real step's λ."""
    margins = Margins(3, 0.3, 0.6, 12.0, annealed_lambda(step))
    drawn = loss_curves.margin_curves(margins, classes, DEGREES)[name]
    loss_fn = module(name, margins, classes).train()
    length = margins.scale if name == "a_softmax" else 1.0
    for i in range(0, 181, 7):
        if name == "a_softmax":
            loss_fn.step.fill_(step)
        angle = math.radians(DEGREES[i])
        x = length * torch.tensor([[math.cos(angle), 0, math.sin(angle)]], dtype=torch.float64)
        x.requires_grad_()
        loss = loss_fn(x, torch.tensor([0]))
        (slope,) = torch.autograd.grad(loss, x)
        turn = length * torch.tensor([-math.sin(angle), 0, math.cos(angle)], dtype=torch.float64)  # dx/dθ
        assert drawn.loss[i] == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)
        if 0 < angle < math.pi:  # at the ends the modules' sine counts as 0
            assert drawn.gradient[i] == pytest.approx(abs((slope @ turn).item()), rel=1e-6, abs=1e-9)


def test_without_margins_all_curves_coincide():
    drawn = loss_curves.margin_curves(Margins(1, 0.0, 0.0, 30.0, 0.0), 100, DEGREES)
    for name in COMPARED:
        np.testing.assert_allclose(drawn[name].target, 30 * np.cos(np.deg2rad(DEGREES)), atol=1e-9)
        np.testing.assert_allclose(
            drawn[name].gradient[1:-1], drawn["norm_softmax"].gradient[1:-1], rtol=1e-6
        )


@given(arcface=st.floats(0.01, 1.5), a_softmax=st.integers(1, 6), annealing=st.floats(0, 20))
def test_target_logits_fall_with_the_angle_and_never_exceed_the_plain_cosine(arcface, a_softmax, annealing):
    """ArcFace past π - m included, where cos(θ + m) alone would rise again."""
    drawn = loss_curves.margin_curves(
        Margins(a_softmax, 0.2, arcface, 1.0, annealing), 10, np.arange(0, 180.1, 0.5)
    )
    for name in COMPARED:
        assert (np.diff(drawn[name].target) < 1e-9).all()
        assert (drawn[name].target <= drawn["norm_softmax"].target + 1e-9).all()


def test_gradient_is_the_slope_of_the_loss():
    degrees = np.arange(1, 179, 0.01)
    for name, drawn in loss_curves.margin_curves(Margins(2, 0.2, 0.4, 8.0), 50, degrees).items():
        slope = np.gradient(drawn.loss, np.deg2rad(degrees))
        step = np.abs(np.diff(drawn.target, prepend=drawn.target[0])) > 0.1  # ArcFace's joint at π - m
        quiet = ~(step | np.roll(step, -1))
        np.testing.assert_allclose(
            drawn.gradient[quiet], np.abs(slope[quiet]), rtol=0.02, atol=0.02, err_msg=name
        )


def gap_between(owner, low, high):
    """Degrees within (low, high) that no class satisfies."""
    return 0.25 * (owner[(low < FINE) & (high > FINE)] == NO_CLASS).sum()


@pytest.mark.parametrize("between", [40, 90, 120])
def test_gaps_on_the_circle_are_the_papers(between):
    """ArcFace: exactly m; A-Softmax: Δ(m-1)/(m+1); CosFace: 2·asin(m / (2·sin(Δ/2))); softmax: none."""
    ends = 100.0, 100.0 + between
    margins = Margins(3, 0.2, 0.5, 16.0, annealing=0.0)
    owners = loss_curves.decision_regions(margins, np.array(ends), FINE)
    half = math.radians(between) / 2
    wanted = {
        "norm_softmax": 0.0,
        "a_softmax": between * 2 / 4,
        "cosface": 2 * math.degrees(math.asin(0.2 / (2 * math.sin(half)))),
        "arcface": math.degrees(0.5),
    }
    for name in COMPARED:
        assert gap_between(owners[name], *ends) == pytest.approx(wanted[name], abs=0.51), name
    at = [np.flatnonzero(end == FINE)[0] for end in ends]
    assert all(list(owner[at]) == [0, 1] for owner in owners.values())  # a prototype is its own class's


def test_every_direction_of_a_region_is_one_where_the_training_loss_has_the_class_first():
    """Brute force: the module's cross-entropy for label c is below ln 2 wherever two classes are judged."""
    margins = Margins(2, 0.25, 0.4, 10.0, annealing=5.0)
    owners = loss_curves.decision_regions(margins, np.array([0.0, 90.0]), FINE)
    points = torch.tensor(np.stack([np.cos(np.deg2rad(FINE)), np.sin(np.deg2rad(FINE))], 1))
    for name in COMPARED:
        loss_fn = module(name, margins, 2, dim=2).eval()
        if name == "a_softmax":
            loss_fn.step.fill_(10**6)
        x = points * (margins.scale if name == "a_softmax" else 1)
        for label in (0, 1):
            loss = (
                torch.stack([loss_fn(row[None], torch.tensor([label])) for row in x[::40]]).detach().numpy()
            )
            clear = np.abs(loss - math.log(2)) > 1e-6
            assert ((owners[name][::40] == label) == (loss < math.log(2)))[clear].all(), name


@pytest.mark.parametrize(("classes", "scale"), [(2, 1.0), (4, 5.0), (50, 10.0)])
def test_best_probability_is_reached_by_the_real_loss_on_a_simplex_and_by_nothing_else(classes, scale):
    loss_fn = build_loss("norm_softmax", classes, classes, {"scale": scale}).double()
    simplex = F.normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes)
    with torch.no_grad():
        loss_fn.prototypes.copy_(simplex)
    labels = torch.arange(classes)
    best = loss_curves.best_probability(scale, classes)
    assert loss_fn(simplex, labels).neg().exp().item() == pytest.approx(best, rel=1e-9)
    for seed in range(5):
        other = torch.randn(classes, classes, generator=torch.Generator().manual_seed(seed)).double()
        with torch.no_grad():
            loss_fn.prototypes.copy_(other)
        assert loss_fn(other, labels).neg().exp().item() < best


def test_best_probability_of_ten_thousand_classes():
    """Unscaled cosines cannot say more than 1 in 3,679; s = 64 can be certain."""
    assert 1 / loss_curves.best_probability(1.0, 10_000) == pytest.approx(9999 / math.e, rel=1e-3)
    assert loss_curves.best_probability(64.0, 10_000) > 0.999999


def random_batch(seed, classes=3, each=4):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(classes * each, 2, generator=generator, dtype=torch.float64)
    return F.normalize(points), torch.arange(classes).repeat_interleave(each)


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_triplet_kinds_by_brute_force_and_by_what_mining_takes(margin):
    points, labels = random_batch(3)
    distances = (points[:, None] - points).square().sum(2)
    found = {kind: set() for kind in KINDS}
    for a in range(12):
        for p in np.flatnonzero((labels == labels[a]) & (torch.arange(12) != a)):
            kinds = loss_curves.triplet_kinds(points, labels, a, int(p), margin)
            for n in range(12):
                if labels[n] == labels[a]:
                    assert kinds[n] == NO_CLASS
                    continue
                near, far = distances[a, p], distances[a, n]
                wanted = "easy" if far >= near + margin else "semi-hard" if far > near else "hard"
                assert KINDS[kinds[n]] == wanted
                found[wanted].add((a, int(p), n))
    semi = set(zip(*(i.tolist() for i in semi_hard_triplets(distances, labels, margin))))
    assert semi <= found["semi-hard"] and {t[:2] for t in semi} == {t[:2] for t in found["semi-hard"]}
    for a, p, n in zip(*(i.tolist() for i in hard_triplets(distances, labels))):
        assert ((a, p, n) in found["hard"]) == bool(distances[a, n] <= distances[a, p])


def test_one_triplet_is_the_training_losses_hinge():
    """The loss over the three photos is the mean of this triplet and the one with anchor and positive
    swapped; the gradients add up likewise."""
    points = loss_curves.on_circle([10.0, 60.0, 85.0])
    leaf = points.clone().requires_grad_()
    loss = triplet_loss(squared_distances(leaf), torch.tensor([0, 0, 1]), "all", 1.0)
    there, back = loss_curves.one_triplet(points, 1.0), loss_curves.one_triplet(points[[1, 0, 2]], 1.0)
    assert there.loss > 0 and back.loss > 0
    assert loss.item() == pytest.approx((there.loss + back.loss) / 2)
    assert there.positive == pytest.approx(2 - 2 * math.cos(math.radians(50)))
    assert there.negative == pytest.approx(2 - 2 * math.cos(math.radians(75)))
    (raw,) = torch.autograd.grad(loss, leaf)
    across = raw - (raw * points).sum(1, keepdim=True) * points  # what is left after normalizing
    np.testing.assert_allclose((there.gradient + back.gradient[[1, 0, 2]]) / 2, across.numpy(), atol=1e-9)


def test_an_easy_triplet_pushes_nothing_and_a_hard_one_turns_each_photo_the_right_way():
    easy = loss_curves.one_triplet(loss_curves.on_circle([0.0, 10.0, 120.0]), 0.2)
    assert easy.kind == "easy" and easy.loss == 0 and not easy.gradient.any()
    hard = loss_curves.one_triplet(loss_curves.on_circle([0.0, 60.0, 30.0]), 0.2)
    turn = loss_curves.on_circle([90.0, 150.0, 120.0]).numpy()  # counter-clockwise at each of the three
    anchor, positive, negative = -(hard.gradient * turn).sum(1)
    assert hard.kind == "hard" and positive < 0 < negative  # the positive comes, the negative goes
    assert anchor == pytest.approx(-(positive + negative))  # nothing turns the whole


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
def test_mined_for_lists_the_anchors_rows_of_what_mining_takes(mining):
    points, labels = random_batch(5)
    distances = squared_distances(points)
    taken = (
        hard_triplets(distances, labels) if mining == "hard" else semi_hard_triplets(distances, labels, 0.5)
    )
    rows = list(zip(*(i.tolist() for i in taken)))
    for anchor in range(12):
        assert loss_curves.mined_for(points, labels, anchor, mining, 0.5) == [
            r[1:] for r in rows if r[0] == anchor
        ]
    assert rows


def test_contrastive_weights_by_hand_and_against_the_module():
    genuine, impostor = (loss_curves.normal_scores(*a) for a in ((0.6, 0.2, GENUINE), (0.0, 0.3, IMPOSTOR)))
    weighed = loss_curves.weigh_contrastive(genuine, impostor, 1.2)
    distance = np.sqrt(2 - 2 * impostor)
    short = np.maximum(0, 1.2 - distance)
    assert weighed.loss == pytest.approx(0.5 * ((2 - 2 * genuine).mean() + (short**2).mean()))
    np.testing.assert_allclose(weighed.genuine, 1.0)
    np.testing.assert_allclose(weighed.impostor, -short / distance, atol=1e-12)
    points, _ = random_batch(7, 8, 8)
    labels = torch.arange(8).repeat_interleave(8)
    cosine = points @ points.T
    upper = torch.ones(64, 64, dtype=torch.bool).triu(1)
    same = labels[:, None] == labels
    scores = cosine[same & upper].numpy(), cosine[~same & upper].numpy()
    assert loss_curves.weigh_contrastive(*scores, 0.7).loss == pytest.approx(
        Contrastive(2, 8, 0.7)(points, labels).item()
    )


def test_pairwise_weights_count_the_couples_by_brute_force():
    genuine, impostor = loss_curves.normal_scores(0.5, 0.3, 40), loss_curves.normal_scores(0.1, 0.3, 60)
    weighed = loss_curves.weigh_pairwise(genuine, impostor, 0.25)
    hinge = np.maximum(0, 0.25 - (genuine[:, None] - impostor))
    assert weighed.loss == pytest.approx(hinge.mean())
    np.testing.assert_allclose(weighed.genuine, (hinge > 0).mean(1), atol=1e-9)
    np.testing.assert_allclose(weighed.impostor, -(hinge > 0).mean(0), atol=1e-9)


def test_scores_follow_their_distribution():
    scores = loss_curves.normal_scores(0.2, 0.1, 2001)
    assert scores.mean() == pytest.approx(0.2) and scores.std() == pytest.approx(0.1, rel=0.01)
    assert np.abs(loss_curves.normal_scores(0.9, 0.5, 101)).max() < 1
    edges, shares = (-0.2, 0.0, 0.4, 0.8), (0.5, 0.0, 0.5)
    counts, _ = np.histogram(loss_curves.histogram_scores(edges, shares, 1000), edges)
    assert counts.tolist() == [500, 0, 500]


def test_separation_of_two_equal_normals_shifted():
    """EER = Φ(-Δ/2σ) and 1 - AUC = Φ(-Δ/σ√2) of two normals Δ apart."""
    genuine, impostor = loss_curves.normal_scores(0.4, 0.1, 4000), loss_curves.normal_scores(0.2, 0.1, 4000)
    eer, threshold, swapped = loss_curves.separation(genuine, impostor)
    assert eer == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=1e-3)
    assert threshold == pytest.approx(0.3, abs=1e-3)
    assert swapped == pytest.approx(0.5 * math.erfc(1.0), abs=1e-3) == 1 - auc(genuine, impostor)


@pytest.mark.parametrize(
    ("margins", "word"),
    [
        (Margins(scale=0.0), "scale is 0"),
        (Margins(arcface=2.0), "margin is 2"),
        (Margins(cosface=-0.1), "margin is -0.1"),
        (Margins(a_softmax=0), "margin is 0"),
    ],
)
def test_a_value_out_of_range_is_named(margins, word):
    with pytest.raises(ValueError, match=word):
        loss_curves.margin_curves(margins, 10, DEGREES)


def test_papers_are_the_tables():
    assert loss_curves.papers("arcface", "triplet") == {name: LOSSES[name] for name in ("arcface", "triplet")}
    with pytest.raises(ValueError, match="legal: norm_softmax"):
        Margins().logits("softmax", torch.zeros(1, 2), torch.tensor([0]))
