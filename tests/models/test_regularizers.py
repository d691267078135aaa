"""Masks: exact rates, whole blocks, equality with torchvision, and layers that keep the mean."""

import itertools

import pytest
import torch
import torchvision
from torch import nn

from facelab.models.regularizers import (
    DropBlock2d,
    Dropout,
    SpatialDropout,
    StochasticDepth,
    dropblock_mask,
    dropout_mask,
    grow_blocks,
    linear_schedule,
    seed_rate,
    set_progress,
    spatial_dropout_mask,
    stochastic_depth_mask,
)

LAYERS = [DropBlock2d(0.1, 7), DropBlock2d(0.3, 4), Dropout(0.3), SpatialDropout(0.3), StochasticDepth(0.3)]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("size", [56, 14, 7, 4])
@pytest.mark.parametrize("block", [7, 4, 3, 2, 1])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropblock_drops_the_share_it_is_asked_for(size: int, block: int, rate: float) -> None:
    maps = max(400, 400_000 // size**2)
    dropped = 1 - dropblock_mask((1, maps, size, size), rate, block, generator()).float().mean((2, 3))
    error = dropped.std().item() / maps**0.5  # of the mean over independent maps
    assert dropped.mean().item() == pytest.approx(rate, abs=4 * error)


@pytest.mark.parametrize(
    ("size", "block"), [((4, 4), (3, 3)), ((4, 4), (2, 3)), ((3, 5), (2, 4)), ((4, 4), (4, 4))]
)
def test_the_seed_rate_is_exact_by_listing_all_seeds(size: tuple[int, int], block: tuple[int, int]) -> None:
    gamma = seed_rate(0.3, block, size)
    places = size[0] - block[0] + 1, size[1] - block[1] + 1
    expected = 0.0
    for seeds in itertools.product([False, True], repeat=places[0] * places[1]):
        mask = grow_blocks(torch.tensor(seeds).reshape(1, 1, *places), block)
        chance = gamma ** sum(seeds) * (1 - gamma) ** (len(seeds) - sum(seeds))
        expected += chance * (1 - mask.double().mean().item())
    assert expected == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5, 0.9, 0.99])
def test_the_seed_rate_starts_at_the_papers_equation_1(rate: float) -> None:
    paper = rate * 56 * 56 / (7 * 7 * 50 * 50)
    gamma = seed_rate(rate, (7, 7), (56, 56))
    assert paper <= gamma < 1
    if rate == 0.01:
        assert gamma == pytest.approx(paper, rel=0.01)


@pytest.mark.parametrize("block", [7, 4, 3, 2])
def test_every_dropped_value_lies_in_a_whole_dropped_block(block: int) -> None:
    dropped = ~dropblock_mask((4, 8, 14, 14), 0.2, block, generator())
    whole = dropped.float().unfold(2, block, 1).unfold(3, block, 1).amin((4, 5)) == 1
    assert torch.equal(~grow_blocks(whole, (block, block)), dropped)
    assert dropped.any() and not dropped.all()


def test_channels_have_their_own_masks() -> None:
    mask = dropblock_mask((1, 16, 14, 14), 0.2, 5, generator())[0]
    assert len({tuple(channel.flatten().tolist()) for channel in mask}) > 12


def test_masks_are_reproducible_and_draw_only_from_their_generator() -> None:
    before = torch.random.get_rng_state()
    first, second = (dropblock_mask((2, 3, 8, 8), 0.3, 3, generator()) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("block", [3, 5, 7])
def test_blocks_and_scale_equal_torchvisions(block: int) -> None:
    x = torch.randn(2, 6, 14, 14)
    rate, places = 0.15, (2, 6, 15 - block, 15 - block)
    torch.manual_seed(3)
    theirs = torchvision.ops.drop_block2d(x, rate, block)
    torch.manual_seed(3)
    seeds = torch.empty(places).bernoulli_(rate * 14 * 14 / (block**2 * (15 - block) ** 2)).bool()
    mask = grow_blocks(seeds, (block, block))
    torch.testing.assert_close(x * mask * (mask.numel() / mask.sum()), theirs)


def test_a_block_larger_than_the_map_drops_whole_maps() -> None:
    dropped = ~dropblock_mask((1, 4000, 4, 4), 0.25, 7, generator())
    share = dropped.float().mean((2, 3))
    assert set(share.unique().tolist()) == {0.0, 1.0}
    assert share.mean().item() == pytest.approx(0.25, abs=0.03)


def test_spatial_dropout_and_stochastic_depth_drop_wholes() -> None:
    assert spatial_dropout_mask((5, 7, 3, 3), 0.5, generator()).shape == (5, 7, 1, 1)
    assert stochastic_depth_mask((5, 7, 3, 3), 0.5, generator()).shape == (5, 1, 1, 1)
    assert stochastic_depth_mask((5, 7), 0.5, generator()).shape == (5, 1)
    for mask in (dropout_mask, spatial_dropout_mask, stochastic_depth_mask):
        shape = {dropout_mask: (40_000,), spatial_dropout_mask: (200, 200, 1, 1)}.get(mask, (40_000, 1))
        assert mask(shape, 0.3, generator()).float().mean().item() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layers_keep_the_mean_and_do_nothing_in_evaluation(layer: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 8, 8, 8) + torch.rand(1)
    out = layer.train()(x)
    assert (out == 0).any() and out.mean().item() == pytest.approx(x.mean().item(), rel=0.05)
    kept = out[out != 0]
    assert kept.min() == kept.max() > x.max()
    assert layer.eval()(x) is x


@pytest.mark.parametrize("ours", [Dropout(0.3), SpatialDropout(0.3), StochasticDepth(0.3)], ids=str)
def test_scale_and_gradient_are_torchs(ours: nn.Module) -> None:
    x = torch.rand(64, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    out = ours.train()(x)
    out.sum().backward()
    assert torch.equal(x.grad == 0, out == 0)
    assert x.grad.max().item() == pytest.approx(1 / 0.7)
    theirs = {Dropout: nn.Dropout(0.3), SpatialDropout: nn.Dropout2d(0.3)}.get(
        type(ours), torchvision.ops.StochasticDepth(0.3, "row")
    )
    assert (theirs(x) / x).max().item() == pytest.approx((out / x).max().item())


def test_everything_dropped_is_zero_and_finite() -> None:
    layer = DropBlock2d(0.99, 4).train()
    outs = [layer(torch.ones(1, 1, 4, 4)) for _ in range(20)]
    assert all(out.isfinite().all() for out in outs) and any((out == 0).all() for out in outs)


def test_half_precision_keeps_its_type() -> None:
    assert all(layer.train()(torch.ones(2, 3, 8, 8).bfloat16()).dtype == torch.bfloat16 for layer in LAYERS)


def test_the_schedule_is_linear_and_set_from_outside() -> None:
    assert [linear_schedule(0.2, share) for share in (-1, 0, 0.25, 1, 2)] == pytest.approx(
        [0, 0, 0.05, 0.2, 0.2]
    )
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(DropBlock2d(0.5, 3))).train()
    x = torch.ones(8, 3, 32, 32)
    layer, shares = model[1][0], []
    for progress in (0.0, 0.5, 1.0):
        set_progress(model, progress)
        shares.append((layer(x) == 0).float().mean().item())
    assert shares == pytest.approx([0, 0.25, 0.5], abs=0.04)
    assert list(model.state_dict()) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("make", [DropBlock2d, Dropout, SpatialDropout, StochasticDepth])
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_refused(make: type[nn.Module], rate: float) -> None:
    with pytest.raises(ValueError, match=rf"rate is {rate}; legal: 0 to 1, 1 excluded"):
        make(rate)


def test_a_bad_block_or_map_is_refused() -> None:
    with pytest.raises(ValueError, match="block_size is 0; legal: 1, 2, 3"):
        DropBlock2d(0.1, 0)
    for layer in (DropBlock2d(0.1), SpatialDropout(0.1)):
        with pytest.raises(ValueError, match=r"shape \(2, 3\); legal: \(B, C, H, W\)"):
            layer.train()(torch.ones(2, 3))


def test_a_compiled_network_drops_the_same_blocks():
    net = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), DropBlock2d(0.3, 3)).train()
    compiled = torch.compile(net, backend="eager")  # traced, but no C++ compiler is needed
    for side in (8, 6, 5):
        for progress in (0.2, 0.7, 1.0):
            net[1].progress = progress
            x = torch.randn(2, 3, side, side)
            torch.manual_seed(side)
            ours = net(x)
            torch.manual_seed(side)
            assert torch.equal(compiled(x), ours) and (ours == 0).any()
