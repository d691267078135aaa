"""DropBlock and stochastic depth in every backbone: where they go, what they drop, and what stays."""

import pytest
import torch
from torch import nn

from facelab.models.backbones import BACKBONES, build_backbone
from facelab.models.regularizers import DropBlock2d, StochasticDepth, insert_regularizers, set_progress

PLAIN = {"AlexNet", "VGG", "DenseNet"}  # families without a shortcut to skip along
PLAIN_NAMES = {"mobilenet_v1"} | {name for name, row in BACKBONES.items() if row.family in PLAIN}
COMPACT = [name for name in BACKBONES if name.endswith("_face")]


def placed(name: str, drop_block: float, stochastic_depth: float) -> nn.Sequential:
    torch.manual_seed(0)
    backbone = build_backbone(name)
    insert_regularizers(backbone, drop_block, 3, stochastic_depth)
    return backbone


def found(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, kind)]


@pytest.mark.parametrize("name", BACKBONES)
def test_only_the_places_change(name: str) -> None:
    depth = 0.0 if name in PLAIN_NAMES else 0.2
    with torch.device("meta"):  # structure needs no numbers
        plain = build_backbone(name)
        backbone = build_backbone(name)
    insert_regularizers(backbone, 0.1, 5, depth)
    assert list(backbone.state_dict()) == list(plain.state_dict())
    assert [key for key, _ in backbone.named_children()] == [key for key, _ in plain.named_children()]
    stages = [key for key, _ in plain.named_children() if key.startswith("stage")]
    for key, stage in plain.named_children():
        after = list(getattr(backbone, key)) if key.startswith("stage") else []
        if key in stages[-2:]:
            assert all(isinstance(block, DropBlock2d) for block in after[1::2])
            assert not any(isinstance(block, DropBlock2d) for block in after[::2])
            assert len(after) == 2 * len(stage)
        else:
            assert not found(getattr(backbone, key), DropBlock2d)
    shortcuts = sum(isinstance(getattr(m, "shortcut", None), nn.Module) for m in plain.modules())
    rates = [drop.rate for drop in found(backbone, StochasticDepth)]
    assert len(rates) == (shortcuts if depth else 0)
    assert rates == pytest.approx([depth * (i + 1) / shortcuts for i in range(len(rates))])
    for module in backbone.modules():
        if isinstance(getattr(module, "shortcut", None), nn.Module) and depth:
            assert isinstance(module.residual[-1], StochasticDepth), "last in the branch, before the sum"


@pytest.mark.parametrize("name", BACKBONES)
def test_evaluation_is_untouched(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name).eval()
    x = torch.randn(1, 3, BACKBONES[name].min_size, BACKBONES[name].min_size)
    with torch.inference_mode():
        before = backbone(x)
        insert_regularizers(backbone, 0.1, 3, 0.0 if name in PLAIN_NAMES else 0.2)
        assert torch.equal(backbone(x), before)


@pytest.mark.parametrize("name", COMPACT)
def test_dropblock_drops_its_share_of_every_map_in_training(name: str) -> None:
    backbone = placed(name, 0.2, 0.0)
    rates: list[float] = []
    for drop in found(backbone, DropBlock2d):
        # ones in: what is zero then was dropped, whatever the network had there
        drop.register_forward_pre_hook(lambda _, args: (torch.ones_like(args[0]),))
        drop.register_forward_hook(lambda _, args, out: rates.append((out == 0).float().mean().item()))
    set_progress(backbone, 1.0)
    with torch.no_grad():
        backbone(torch.randn(8, 3, 112, 112))
        assert rates and all(0.15 < rate < 0.25 for rate in rates), rates
        rates.clear()
        set_progress(backbone, 0.0)
        backbone(torch.randn(8, 3, 112, 112))
    assert rates and not any(rates), "the schedule starts at 0"


@pytest.mark.parametrize("name", [name for name in COMPACT if name not in PLAIN_NAMES])
def test_a_dropped_branch_leaves_the_shortcut_alone(name: str) -> None:
    """In the last residual block, where half of the samples lose their branch."""
    backbone = placed(name, 0.0, 0.5)
    last = [m for m in backbone.modules() if isinstance(getattr(m, "shortcut", None), nn.Module)][-1]
    drop = last.residual[-1]
    kept: list[torch.Tensor] = []
    drop.register_forward_pre_hook(lambda _, args: (torch.ones_like(args[0]),))
    drop.register_forward_hook(
        lambda _, args, out: kept.append(out.flatten(1).clone())
    )  # the sum is in place
    with torch.no_grad():
        backbone(torch.randn(64, 3, 32, 32))
    values = kept[0]
    assert (values == values[:, :1]).all(), "whole samples"
    assert set(values[:, 0].tolist()) == {0.0, 2.0}, "survivors are scaled by 1/(1 - rate)"
    assert 16 < (values[:, 0] == 0).sum() < 48


@pytest.mark.parametrize("name", COMPACT)
def test_gradients_pass_what_was_placed(name: str) -> None:
    backbone = placed(name, 0.1, 0.0 if name in PLAIN_NAMES else 0.1)
    backbone(torch.randn(4, 3, 64, 64)).square().sum().backward()  # autograd refuses overwritten values
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


def test_zero_rates_place_nothing() -> None:
    assert str(placed("resnet_face", 0.0, 0.0)) == str(build_backbone("resnet_face"))


def test_small_maps_keep_their_shape() -> None:
    backbone = placed("resnet_face", 0.3, 0.3)
    assert backbone(torch.randn(2, 3, 32, 32)).shape == (2, 256, 1, 1)


def test_new_modules_follow_the_mode_of_the_backbone() -> None:
    backbone = build_backbone("resnet_face").eval()
    insert_regularizers(backbone, 0.1, 3, 0.1)
    assert not any(m.training for m in backbone.modules())


@pytest.mark.parametrize("name", sorted(PLAIN_NAMES))
def test_a_family_without_residual_blocks_refuses_stochastic_depth(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name)
    with pytest.raises(
        ValueError, match=r"stochastic_depth is 0\.1, but this backbone has no residual blocks"
    ):
        insert_regularizers(backbone, 0.1, 3, 0.1)
    assert not found(backbone, DropBlock2d), "refused before anything changed"


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((1.0, 3, 0.0), "rate is 1.0"),
        ((0.1, 0, 0.0), "block_size is 0"),
        ((0.0, 3, 1.5), "rate is 1.5"),
        ((0.0, 3, -0.1), "rate is -0.1"),
    ],
)
def test_bad_rates_change_nothing(rates: tuple[float, int, float], said: str) -> None:
    backbone = build_backbone("resnet_face")
    before = str(backbone)
    with pytest.raises(ValueError, match=said):
        insert_regularizers(backbone, *rates)
    assert str(backbone) == before
