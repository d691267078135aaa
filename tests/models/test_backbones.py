"""The contract of every row of the table: stages, gradients, precision, export, budgets, sizes, history."""

import inspect
import itertools
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from facelab.models.backbones import BACKBONES, build_backbone, check_size
from facelab.models.backbones.describe import describe
from facelab.models.backbones.nfnet import SkipInit
from facelab.models.layers import DepthwiseConv, LayerScale

COMPACT = [name for name in BACKBONES if name.endswith("_face")]
EXPORTED = {row.block: name for name, row in BACKBONES.items()}.values()  # each block, in its last network
FULLY_CONNECTED = {"AlexNet": (256 * 6 * 6, 4096, 4096, 1000), "VGG": (512 * 7 * 7, 4096, 4096, 1000)}


def pictures(batch, size):
    """Smooth random images, which deep random networks tell apart better than noise."""
    return nn.functional.interpolate(torch.randn(batch, 3, 4, 4), (size, size), mode="bilinear")


def awake(backbone, x):
    """In eval mode, as if trained: norms know the statistics of x, and nothing is zero any more.

    What starts at zero would hide the weights behind it from gradients and comparisons, and without
    statistics the signal dies out in deep networks.
    """
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in norms:
        module.momentum = 1.0
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d | LayerScale) and (module.weight < 0.2).all():
            nn.init.constant_(module.weight, 0.2)
        if isinstance(module, SkipInit):
            nn.init.ones_(module.gain)
    if norms:
        with torch.no_grad():
            backbone.train()(x)
    return backbone.eval()


def relative(got, wanted):
    """Largest difference as a share of the largest value; large where all values are equal."""
    return ((got - wanted).abs().max() / (wanted.max() - wanted.min())).item()


@pytest.fixture(scope="module", params=BACKBONES)
def case(request):
    """(name, backbone, two images of the smallest size, their feature maps in eval mode)."""
    torch.manual_seed(0)
    size = BACKBONES[request.param].min_size
    x = pictures(16, size)
    backbone, x = awake(build_backbone(request.param), x), x[:2]
    with torch.no_grad():
        return request.param, backbone, x, backbone(x)


def test_stages_are_named_sequences_of_blocks(case):
    _, backbone, _, _ = case
    stages = [key for key, _ in backbone.named_children()]
    assert type(backbone) is nn.Sequential
    numbered = [f"stage{i}" for i in range(1, len(stages))]
    assert stages[0] == "stem" and stages[1:] in (numbered, [*numbered[:-1], "head"])
    assert all(isinstance(backbone.get_submodule(name), nn.Sequential) for name in stages if name != "head")
    for module in backbone.modules():
        if getattr(module, "shortcut", None) is not None:
            assert isinstance(module.residual, nn.Sequential)


def test_a_module_at_the_end_of_a_residual_acts_before_the_sum(case):
    _, backbone, x, wanted = case
    blocks = [module for module in backbone.modules() if getattr(module, "shortcut", None) is not None]
    keys = list(backbone.state_dict())
    for block in blocks:
        block.residual.append(nn.Threshold(float("inf"), 0.0))  # gives 0 everywhere
    seen = []
    hooks = [b.register_forward_hook(lambda b, args, y: seen.append((b, args[0], y))) for b in blocks]
    with torch.no_grad():
        silenced = backbone(x)
        for block, before, after in seen:
            if isinstance(block.shortcut, nn.Identity):
                assert torch.equal(after, getattr(block, "act", nn.Identity())(before)) or torch.equal(
                    after, before
                )
    for hook, block in zip(hooks, blocks, strict=True):
        hook.remove()
        del block.residual[-1]
    assert list(backbone.state_dict()) == keys
    assert len(seen) == len(blocks) and torch.equal(silenced, wanted) == (not blocks)


def test_eval_gives_the_same_map_twice(case):
    _, backbone, x, wanted = case
    assert torch.isfinite(wanted).all() and relative(wanted[:1], wanted[1:]) > 1e-3  # and two for two images
    with torch.no_grad():
        assert torch.equal(backbone(x), wanted)


def test_channels_last_gives_the_same_map(case):
    _, backbone, x, wanted = case
    with torch.no_grad():
        backbone.to(memory_format=torch.channels_last)
        got = backbone(x.contiguous(memory_format=torch.channels_last))
        backbone.to(memory_format=torch.contiguous_format)
    assert relative(got, wanted) < 5e-5


def test_bfloat16_autocast_gives_nearly_the_same_map(case):
    _, backbone, x, wanted = case
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = backbone(x).float()
    assert torch.isfinite(got).all()
    # random weights: 0.99 and more where there are shortcuts, 0.82 in the 28 plain layers of MobileNetV1
    assert nn.functional.cosine_similarity(got.flatten(), wanted.flatten(), dim=0) > 0.75


def test_export_gives_the_same_map(case):
    """Of one network for each kind of block: tracing takes as long as all else that is asked of it."""
    name, backbone, x, wanted = case
    if name not in EXPORTED:
        return
    with torch.no_grad():
        assert relative(torch.export.export(backbone, (x,)).module()(x), wanted) < 1e-5


def test_every_parameter_gets_a_gradient(case):
    name, backbone, _, _ = case
    size = max(64, BACKBONES[name].min_size)
    y = backbone(pictures(2, size))
    (y * torch.randn_like(y)).sum().backward()
    for key, parameter in backbone.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().sum() > 0, key
    backbone.zero_grad()


def test_training_mode_works_on_two_images(case):
    _, backbone, x, wanted = case
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [int(module.num_batches_tracked) for module in norms]
    y = backbone.train()(x)
    y.square().mean().backward()
    backbone.eval().zero_grad()
    assert y.shape == wanted.shape and torch.isfinite(y).all()
    assert [int(module.num_batches_tracked) - 1 for module in norms] == before


def test_described_shapes_are_the_real_ones_at_112(case):
    name, backbone, _, _ = case
    x = pictures(1, 112)
    with torch.no_grad():
        for stage in describe(name).stages:
            x = backbone.get_submodule(stage.name)(x)
            assert x.shape[1:] == stage.shape and x.shape[2] == x.shape[3]


def test_published_parameters(case):
    name, backbone, _, y = case
    row = BACKBONES[name]
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert parameters == describe(name).parameters
    if name in COMPACT:
        assert row.published_parameters is None
        return
    widths = FULLY_CONNECTED.get(row.family, (y.shape[1], 1000))
    classifier = sum(before * after + after for before, after in itertools.pairwise(widths))
    if row.family == "ConvNeXt":
        classifier += 2 * y.shape[1]  # a layer norm after the average pooling
    if row.family == "VGG":  # biases, which the batch norms after them would subtract
        classifier += sum(
            module.out_channels for module in backbone.modules() if isinstance(module, nn.Conv2d)
        )
    assert parameters + classifier == row.published_parameters


def test_the_smallest_size_works_and_one_less_is_refused(case):
    name, _, x, _ = case
    smallest = BACKBONES[name].min_size
    check_size(name, smallest)
    assert describe(name, smallest).size == x.shape[-1]
    sentence = f"image side {smallest - 1} is too small for {name}; legal: {smallest} pixels or more"
    for refuse in (check_size, describe):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            refuse(name, smallest - 1)


def test_unknown_names_are_answered_with_the_nearest():
    for refuse in (build_backbone, describe, lambda name: check_size(name, 112)):
        with pytest.raises(ValueError, match="unknown backbone 'resnet81': did you mean resnet18"):
            refuse("resnet81")


def test_compact_members_compare_fairly():
    costs = [describe(name).macs / 1e6 for name in COMPACT]  # measured: 99 to 135 MMACs, spread 1.36
    assert max(costs) <= 150 and max(costs) <= 1.4 * min(costs)
    for name in COMPACT:
        channels, height, width = describe(name).stages[-1].shape
        assert describe(name).parameters <= 4_500_000
        assert describe(name).parameters + 256 * channels * height * width < 4_900_000, name  # flatten neck


def test_the_table_is_in_order_of_history():
    rows = list(BACKBONES.values())
    families = [family for family, _ in itertools.groupby(row.family for row in rows)]
    assert len(set(families)) == len(families)  # each in one piece
    first = [next(row.year for row in rows if row.family == family) for family in families]
    assert first == sorted(first)
    for family in families:
        names = [name for name, row in BACKBONES.items() if row.family == family]
        assert [name in COMPACT for name in names] == [False] * (len(names) - 1) + [True]


def test_every_row_but_the_first_says_what_it_changed():
    orphans = [name for name, row in BACKBONES.items() if row.parent is None]
    assert orphans == [next(iter(BACKBONES))]
    for name, row in BACKBONES.items():
        assert row.idea.endswith(".") and row.paper.startswith("https://")
        if row.parent:
            parent = BACKBONES[row.parent]
            assert row.change.endswith(".") and parent.year <= row.year
            assert list(BACKBONES).index(row.parent) < list(BACKBONES).index(name)
            assert describe(name).parent_source == describe(row.parent).source
        assert row.block.__name__ in describe(name).source.split("\n", 1)[0]


def test_a_family_is_a_short_file():
    for path in {inspect.getsourcefile(row.build) for row in BACKBONES.values()}:
        assert len(Path(path).read_text("utf-8").splitlines()) <= 150, path


@pytest.mark.parametrize(
    "kernel, stride, kept", [(3, 1, torch.bfloat16), (3, 2, torch.float32), (5, 1, torch.float32)]
)
def test_depthwise_convolutions_that_a_cpu_is_slow_at_stay_in_float32(kernel, stride, kept):
    conv = DepthwiseConv(8, 8, kernel, stride, kernel // 2, groups=8, bias=False)
    x = torch.randn(2, 8, 14, 14, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x.to(torch.bfloat16))
    assert y.dtype == kept
    y.float().square().sum().backward()
    got, conv.weight.grad = conv.weight.grad.clone(), None
    conv(x).square().sum().backward()
    torch.testing.assert_close(got, conv.weight.grad, rtol=0.05, atol=0.5)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_network_takes_the_convolution_that_crashes_on_avx_512(name):
    """1x1 with stride over fewer than 16 channels, trained in channels_last (oneDNN of PyTorch 2.11)."""
    with torch.device("meta"):
        modules = build_backbone(name).modules()
        thin = [
            each
            for each in modules
            if isinstance(each, nn.Conv2d)
            and each.kernel_size == (1, 1)
            and each.stride != (1, 1)
            and each.in_channels // each.groups < 16
        ]
    assert not thin
