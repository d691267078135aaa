"""The collapse lab: it collapses, the fix fixes it, and the rule of its flag is the stated one."""

import functools

import pytest
import torch

from facelab.lessons import triplet_collapse
from facelab.lessons.triplet_collapse import IN_A_ROW, PEOPLE, PHOTOS, CollapseConfig, clouds, learn, network
from facelab.models.losses.mining import l2_normalize, squared_distances
from facelab.models.losses.pairs import Triplet
from facelab.ui.losses.collapse import rule

SEEDS = range(8)
MOST = 6  # of 8: a run is chaotic, and where it ends depends on how a processor rounds
SOON = 60  # steps: the hard runs of 24 seeds had collapsed by step 28
LONG = 120  # steps: after them, all triplets had separated the people of 24 seeds


@functools.cache
def course(mining, seed, steps):
    """All moments of a run."""
    return list(learn(CollapseConfig(mining, seed=seed), steps))


def most(truths) -> bool:
    """Whether a statement holds for at least MOST of the seeds."""
    return sum(truths) >= MOST


def test_hard_mining_collapses_and_all_triplets_from_the_same_start_do_not():
    bad = [course("hard", seed, SOON)[-1] for seed in SEEDS]
    good = [course("all", seed, LONG)[-1] for seed in SEEDS]
    assert most(m.collapsed and abs(m.losses[-1] - 0.2) < 0.02 and m.spreads[-1] < 0.05 for m in bad)
    assert most(not any(moment.collapsed for moment in course("all", seed, LONG)) for seed in SEEDS)
    assert most(m.losses[-1] < 0.05 and m.spreads[-1] > 0.5 and m.ordered > 0.9 for m in good)
    assert most(b.ordered < g.ordered for b, g in zip(bad, good))
    assert [b.spreads[0] for b in bad] == pytest.approx([g.spreads[0] for g in good])  # one start
    assert most(g.spreads[0] > 0.3 for g in good)  # and it was spread out


def test_the_shipped_counts_are_those_on_the_page_and_favor_all_triplets():
    seeds, counts = triplet_collapse.collapses()
    assert counts.keys() == {"hard", "semi_hard", "all"} and all(0 <= n <= seeds for n in counts.values())
    assert counts["hard"] > seeds / 2 > counts["all"]
    words = f"Of {seeds} seeds (warm-up 50, learning rate 0.1), hard mining collapsed in {counts['hard']}, "
    words += f"semi-hard mining in {counts['semi_hard']}, all triplets in {counts['all']}."
    assert rule().endswith(words)


def test_counts_are_those_of_the_runs(tmp_path):
    path = tmp_path / "collapse.json"
    counts = triplet_collapse.count_collapses(1, path)
    assert triplet_collapse.collapses(path) == (1, counts)
    assert counts["hard"] == course("hard", 0, triplet_collapse.STEPS)[-1].collapsed
    assert triplet_collapse.collapses(tmp_path / "none.json") == (0, {})


def test_a_collapsed_run_does_not_come_back():
    """Of the same weights every further step leaves the flag up."""
    flags = [[moment.collapsed for moment in course("hard", seed, SOON)] for seed in SEEDS]
    assert most(True in run and all(run[run.index(True) :]) for run in flags)
    assert not any(any(run[: IN_A_ROW - 1]) for run in flags)


def test_the_flag_needs_ten_steps_in_a_row(monkeypatch):
    """Nine steps that look collapsed, one that does not, then ten: the flag goes up at the last."""
    looks = iter([True] * 9 + [False] + [True] * 10)
    monkeypatch.setattr(triplet_collapse, "has_collapsed", lambda *_: next(looks))
    flags = [moment.collapsed for moment in learn(CollapseConfig("all"), 20)]
    assert flags == [False] * 19 + [True]


def test_each_step_is_sgd_on_the_training_loss():
    """Two steps by hand: Triplet on the same network, momentum 0.9, and a learning rate that warms up."""
    setting = CollapseConfig("all", lr=0.1, warmup=4, seed=3)
    points, labels = clouds(3)
    model, loss_fn = network(3), Triplet(2, PEOPLE, 0.2, "all")
    speed, losses = [torch.zeros_like(p) for p in model.parameters()], []
    for step in range(3):
        loss = loss_fn(model(points), labels)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, velocity, gradient in zip(model.parameters(), speed, gradients):
                velocity.mul_(0.9).add_(gradient)
                parameter.sub_(0.1 * (step + 1) / 4 * velocity)
    assert [*learn(setting, 3)][-1].losses == pytest.approx(losses, rel=1e-5)


def test_what_a_moment_says_is_what_its_embeddings_are():
    moment = course("all", 0, LONG)[-1]
    distances = squared_distances(moment.embeddings)
    torch.testing.assert_close(moment.embeddings, l2_normalize(moment.embeddings))
    assert moment.spreads[-1] == pytest.approx(distances.mean().item())
    upper = torch.ones(48, 48, dtype=torch.bool).triu(1)
    same = moment.labels[:, None] == moment.labels
    genuine, impostor = distances[same & upper], distances[~same & upper]
    assert moment.ordered == pytest.approx((genuine[:, None] < impostor).double().mean().item())
    assert len(genuine) == PEOPLE * PHOTOS * (PHOTOS - 1) // 2


def test_a_seed_is_a_run_and_the_rest_of_the_program_draws_on():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = [*learn(CollapseConfig(seed=1), 5)][-1].losses
    assert torch.equal(torch.rand(3), expected)
    assert (
        first
        == [*learn(CollapseConfig(seed=1), 5)][-1].losses
        != [*learn(CollapseConfig(seed=2), 5)][-1].losses
    )


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        (CollapseConfig("hardest"), "mining is 'hardest'; legal: all, semi_hard, hard"),
        (CollapseConfig(lr=0.0), "lr is 0.0; legal: above 0"),
        (CollapseConfig(warmup=-1), "warmup is -1"),
        (CollapseConfig(margin=-1.0), "pair_margin is -1.0"),
    ],
)
def test_a_setting_out_of_range_is_named(setting, word):
    with pytest.raises(ValueError, match=word):
        next(learn(setting))
