"""ResNet and its descendants: equality with torchvision and timm, and the arithmetic that each paper claims.

Deliberate differences from the papers are those of the oracles: bottlenecks halve the map in their 3x3
convolution (torchvision's and timm's ResNets), and weight standardization adds ε to the variance (timm).
"""

import math

import pytest
import timm
import torch
import torchvision
from timm.layers.std_conv import ScaledStdConv2dSame
from torch import nn

from facelab.models.backbones import BACKBONES, build_backbone
from facelab.models.backbones.convnext import convnext_block
from facelab.models.backbones.nfnet import ALPHA, GATE_GAIN, NFBlock, ScaledGELU, SkipInit
from facelab.models.backbones.pretrained import matched
from facelab.models.backbones.regnet import regnet_plan
from facelab.models.backbones.resnest import SplitAttention
from facelab.models.backbones.resnet import Residual, bottleneck, bottleneck_branch
from facelab.models.backbones.senet import se_bottleneck
from facelab.models.layers import ConvNormAct, LayerNorm2d, ScaledStdConv2d, SqueezeExcite, pad_same

ORACLES = {  # ours: (theirs, parameters in the papers, in millions)
    "resnet18": (torchvision.models.resnet18, 11.7),
    "resnet34": (torchvision.models.resnet34, 21.8),
    "resnet50": (torchvision.models.resnet50, 25.6),
    "resnext50_32x4d": (torchvision.models.resnext50_32x4d, 25.0),
    "se_resnet50": ("seresnet50", 28.1),
    "regnet_x_400mf": ("regnetx_004", 5.2),
    "regnet_y_400mf": ("regnety_004", 4.3),
    "resnest50": ("resnest50d", 27.5),
    "nfnet_f0": ("dm_nfnet_f0", 71.5),
    "convnext_tiny": (torchvision.models.convnext_tiny, 28.6),
}


FAMILIES = ("resnet", "resnext", "senet", "regnet", "resnest", "nfnet", "convnext")


def randomize(network):
    """Every vector of weights, statistics and gains random, none of them zero."""
    for key, value in network.state_dict().items():
        if (value.ndim <= 1 and value.is_floating_point()) or key.endswith(("gain", "layer_scale")):
            positive = key.endswith(("running_var", "weight", "gain", "layer_scale"))
            value.uniform_(0.5, 1.5) if positive else value.uniform_(-0.2, 0.2)
    return network.eval()


def feature_map(network, x):
    """What the oracle computes before its pooling."""
    if hasattr(network, "forward_features"):
        return network.forward_features(x)
    return (
        network.features(x)
        if hasattr(network, "features")
        else nn.Sequential(*list(network.children())[:-2])(x)
    )


@pytest.mark.parametrize("name", ORACLES)
def test_feature_maps_and_parameters_are_the_public_ones(name):
    torch.manual_seed(0)
    build, millions = ORACLES[name]
    theirs = randomize(timm.create_model(build) if isinstance(build, str) else build())
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    assert parameters == BACKBONES[name].published_parameters and round(parameters / 1e6, 1) == millions
    ours = build_backbone(name).eval()
    ours.load_state_dict(matched(name, theirs.state_dict(), ours))
    for size in (112, 224):
        x = torch.randn(1, 3, size, size)
        with torch.inference_mode():
            got, wanted = ours(x), feature_map(theirs, x)
        assert got.shape == wanted.shape and torch.isfinite(wanted).all() and wanted.std() > 0
        assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        assert wanted.amax((2, 3)).unique().numel() > 0.3 * wanted.shape[1]  # not a constant


@pytest.mark.parametrize("name", [*ORACLES, *(f"{family}_face" for family in FAMILIES)])
def test_residual_blocks_start_as_the_identity(name):
    """Whatever the weights are: the last norm's weight or the gain is 0, or ConvNeXt's small."""
    small = {"convnext_tiny": 1e-5, "convnext_face": 1.0}.get(name, 0.0)
    blocks = [m for m in build_backbone(name).eval().modules() if isinstance(m, Residual | NFBlock)]
    blocks = [block for block in blocks if isinstance(block.shortcut, nn.Identity)]
    assert blocks
    for block in blocks:
        channels = next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels
        x = torch.randn(1, channels, 2, 2)
        with torch.no_grad():
            wanted = x if isinstance(block, NFBlock) else block.act(x.clone())
            assert (block(x.clone()) - wanted).abs().max() <= small


def test_a_bottleneck_costs_what_the_paper_says():
    # figure 5: 256 channels through 64, 70 thousand weights, as many as a basic block of 64 channels
    block = bottleneck(256, 256, 1)
    assert sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d)) == 69_632


def test_resnext_trades_groups_for_width():
    # section 3.3: width 128 in 32 groups (256 in, 256 out) weighs as much as width 64 in one, 70k each
    def weights(width, groups):
        residual = bottleneck_branch(256, width, 256, 1, groups)
        return sum(m.weight.numel() for m in residual.modules() if isinstance(m, nn.Conv2d))

    assert weights(64, 1) == 69_632 and weights(128, 32) == 70_144


def test_a_grouped_convolution_is_narrow_ones_side_by_side():
    conv = bottleneck_branch(8, 8, 8, 1, groups=4).eval()[1]
    x = torch.randn(1, 8, 5, 5)
    parts = [
        nn.functional.conv2d(x[:, 2 * g : 2 * g + 2], conv[0].weight[2 * g : 2 * g + 2], padding=1)
        for g in range(4)
    ]
    assert torch.allclose(conv(x), conv[2](conv[1](torch.cat(parts, 1))), atol=1e-6)


def test_squeeze_excite_is_a_gate_of_the_means():
    x = torch.randn(2, 6, 3, 4)
    module = SqueezeExcite(6, 2)
    _, squeeze, _, excite, _ = module.gate
    for b in range(2):
        means = [x[b, c].mean() for c in range(6)]
        hidden = [
            max(sum(squeeze.weight[h, c, 0, 0] * means[c] for c in range(6)) + squeeze.bias[h], 0)
            for h in range(2)
        ]
        for c in range(6):
            gate = torch.sigmoid(
                sum(excite.weight[c, h, 0, 0] * hidden[h] for h in range(2)) + excite.bias[c]
            )
            assert torch.allclose(module(x)[b, c], x[b, c] * gate, atol=1e-6)


def test_senet_adds_the_weights_of_its_paper():
    # eq. 5: 2 C²/r for each block, plus biases
    def extra(channels):
        return sum(
            sum(p.numel() for p in block(channels, channels, 1).parameters()) * sign
            for block, sign in ((se_bottleneck, 1), (bottleneck, -1))
        )

    assert extra(256) == 2 * 256**2 // 16 + 16 + 256


@pytest.mark.parametrize(
    ("numbers", "channels", "depths"),  # the paper's appendix
    [
        ((13, 24, 36.44, 2.49, 8), (24, 56, 152, 368), (1, 1, 4, 7)),  # X-200MF
        ((22, 24, 24.48, 2.54, 16), (32, 64, 160, 384), (1, 2, 7, 12)),  # X-400MF
        ((25, 88, 26.31, 2.25, 48), (96, 192, 432, 1008), (2, 6, 15, 2)),  # X-3.2GF
        ((16, 48, 27.89, 2.09, 8), (48, 104, 208, 440), (1, 3, 6, 6)),  # Y-400MF
        ((14, 56, 38.84, 2.4, 16), (64, 128, 320, 768), (1, 3, 8, 2)),  # Y-800MF
    ],
)
def test_regnet_plans_are_the_published_ones(numbers, channels, depths):
    assert regnet_plan(*numbers) == (channels, depths)


def test_split_attention_mixes_by_a_softmax_over_the_splits():
    torch.manual_seed(0)
    module = SplitAttention(4).eval()
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        first, second = module.splits(x)[:, :4], module.splits(x)[:, 4:]
        scores = module.attention(first + second)
        weight = 1 / (1 + torch.exp(scores[:, 4:] - scores[:, :4]))
        assert torch.allclose(module(x), weight * first + (1 - weight) * second, atol=1e-6)
        assert (weight - 0.5).abs().max() > 1e-3


def test_standardized_filters_have_mean_zero_and_the_variance_of_the_paper():
    torch.manual_seed(0)
    conv = ScaledStdConv2d(16, 8, 3, groups=2)
    nn.init.uniform_(conv.weight, 3, 5)
    nn.init.uniform_(conv.gain, 0.5, 2)
    filters = conv.standardized().flatten(1)
    assert filters.mean(1).abs().max() < 1e-6
    assert torch.allclose(filters.square().sum(1), conv.gain.flatten() ** 2, rtol=1e-4)  # fan-in x variance
    x = torch.randn(4, 16, 64, 64)
    variance = conv(x)[:, :, 1:-1, 1:-1].var((0, 2, 3))
    assert torch.allclose(variance, conv.gain.flatten() ** 2, rtol=0.1)


@pytest.mark.parametrize("size", [7, 8, 9, 14])
@pytest.mark.parametrize("stride", [1, 2])
def test_scaled_convolution_equals_timm_at_odd_and_even_sizes(size, stride):
    ours, theirs = (
        ScaledStdConv2d(8, 8, 3, stride, groups=2),
        ScaledStdConv2dSame(8, 8, 3, stride, groups=2, eps=1e-5),
    )
    nn.init.uniform_(theirs.gain)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 8, size, size)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_a_window_for_every_stride(kernel, stride):
    for size in range(1, 12):
        padded = pad_same(torch.ones(1, 1, size, size + 1), kernel, stride)
        assert padded.sum() == size * (size + 1)
        for side, before in zip(padded.shape[2:], (size, size + 1), strict=True):
            assert (side - kernel) // stride + 1 == math.ceil(before / stride)
        rows = padded[0, 0].sum(1).nonzero().flatten()
        above, below = int(rows[0]), padded.shape[2] - 1 - int(rows[-1])
        assert above <= below <= above + 1


def test_scaled_gelu_keeps_unit_variance():
    x = torch.linspace(-12, 12, 200_001, dtype=torch.double)
    density = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    y = ScaledGELU()(x)
    mean = torch.trapezoid(y * density, x)
    assert abs(torch.trapezoid((y - mean) ** 2 * density, x) - 1) < 1e-3  # the authors' constant is sampled
    assert torch.allclose(ScaledGELU(beta=2.0)(x), y / 2)


def test_nfnet_divides_by_the_standard_deviation_that_it_expects():
    # each block adds α² to the variance, and the first of a stage starts again from 1
    network = build_backbone("nfnet_f0")
    variance, wanted = 1.0, []
    for depth in (1, 2, 6, 3):
        for j in range(depth):
            wanted.append(math.sqrt(variance))
            variance = (1.0 if j == 0 else variance) + ALPHA**2
    blocks = [module for module in network.modules() if isinstance(module, NFBlock)]
    assert [ScaledGELU().scale / block.act.scale for block in blocks] == pytest.approx(wanted)
    assert wanted[:4] == pytest.approx([1, math.sqrt(1.04), math.sqrt(1.04), math.sqrt(1.08)])


def test_nfnet_blocks_add_alpha_squared_to_the_variance():
    torch.manual_seed(0)
    block = NFBlock(64, 64, 1, beta=1.0, group_width=32)
    gate, skip = block.residual[-2:]
    nn.init.zeros_(gate.gate[3].weight)  # a gate of exactly 1/2
    nn.init.zeros_(gate.gate[3].bias)
    nn.init.ones_(skip.gain)
    assert isinstance(skip, SkipInit) and skip.scale == GATE_GAIN * ALPHA
    x = torch.randn(16, 64, 16, 16)
    with torch.no_grad():
        variance = block(x)[..., 2:-2, 2:-2].var((0, 2, 3)).mean()
    assert abs(variance - (1 + ALPHA**2)) < 0.02


def test_a_projecting_block_feeds_its_shortcut_the_activated_signal():
    block, x = NFBlock(8, 16, 2, beta=1.5, group_width=8), torch.randn(1, 8, 6, 6)
    assert torch.allclose(block(x), block.shortcut(block.act(x)))  # the gain is 0 at first


def test_layer_norm_is_over_channels():
    x = torch.randn(2, 5, 3, 4)
    y = LayerNorm2d(5, eps=0.0)(x)
    for place in torch.cartesian_prod(torch.arange(3), torch.arange(4)):
        values = x[1, :, *place]
        assert torch.allclose(y[1, :, *place], (values - values.mean()) / values.std(correction=0), atol=1e-5)


def test_convnext_block_is_x_plus_a_scaled_perceptron_of_each_place():
    torch.manual_seed(0)
    block, x = convnext_block(4, scale=0.5), torch.randn(1, 4, 9, 9)
    conv, _, norm, widen, gelu, shrink, _, _ = block.residual
    around = (x[0, :, 1:8, 1:8] * conv.weight[:, 0]).sum((1, 2)) + conv.bias  # all that a 7x7 kernel sees
    wanted = x[0, :, 4, 4] + 0.5 * shrink(gelu(widen(norm(around))))
    assert torch.allclose(block(x)[0, :, 4, 4], wanted, atol=1e-6)


def test_compact_resnet_keeps_the_keys_of_shipped_checkpoints():
    keys = list(build_backbone("resnet_face").state_dict())
    assert len(keys) == 143 and isinstance(build_backbone("resnet_face").stem, ConvNormAct)
    assert keys[:2] == ["stem.0.weight", "stem.1.weight"] and keys[6] == "stem.2.weight"
    assert {"stage1.0.residual.0.0.weight", "stage2.0.shortcut.0.weight", "stage4.1.act.weight"} < set(keys)
