"""AlexNet, VGG, DenseNet, MobileNet, EfficientNet against torchvision and timm, and what their papers say."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from facelab.models.backbones import BACKBONES, build_backbone
from facelab.models.backbones.densenet import DenseLayer
from facelab.models.backbones.efficientnet import SameConv2d, mbconv
from facelab.models.backbones.mobilenet import DepthwiseSeparable, InvertedResidual
from facelab.models.layers import SqueezeExcite
from tests.models.test_pretrained import both, original_features, relative_error

FULLY_CONNECTED = 4097 * 4096 + 4097 * 1000  # AlexNet's and VGG's last two layers
PUBLISHED = {  # name: (parameters of the whole network, of its classifier, biases before batch norms)
    "alexnet": (61_100_840, (256 * 6 * 6 + 1) * 4096 + FULLY_CONNECTED, 0),
    "vgg11_bn": (132_868_840, (512 * 7 * 7 + 1) * 4096 + FULLY_CONNECTED, 2_752),
    "vgg16_bn": (138_365_992, (512 * 7 * 7 + 1) * 4096 + FULLY_CONNECTED, 4_224),
    "densenet121": (7_978_856, 1025 * 1000, 0),
    "mobilenet_v1": (4_231_976, 1025 * 1000, 0),
    "mobilenet_v2": (3_504_872, 1281 * 1000, 0),
    "efficientnet_b0": (5_288_548, 1281 * 1000, 0),
    "efficientnet_lite0": (4_652_008, 1281 * 1000, 0),
}
TIMM = {"mobilenet_v1": "mobilenetv1_100", "efficientnet_lite0": "tf_efficientnet_lite0"}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_equal_the_public_network(name: str) -> None:
    ours, theirs = both(name)
    for size in (224, 112):
        x = torch.randn(1, 3, size, size)
        with torch.inference_mode():
            assert relative_error(ours(x), original_features(name, theirs, x)) < 1e-5


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_equal_the_published_count(name: str) -> None:
    """A deliberate difference: VGG's convolutions have no bias, as the batch norm after them has one."""
    published, classifier, biases = PUBLISHED[name]
    with torch.device("meta"):
        theirs = timm.create_model(TIMM[name]) if name in TIMM else torchvision.models.get_model(name)
        assert count(build_backbone(name)) + classifier + biases == published == count(theirs)
    assert BACKBONES[name].published_parameters == published


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "densenet121"])
def test_a_stage_is_one_resolution(name: str) -> None:
    sides, x = [], torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        for stage_name, stage in build_backbone(name).named_children():
            x = stage(x)
            sides += [x.shape[2]] * stage_name.startswith("stage")
    assert sides == ([16, 8, 4, 2] if name == "densenet121" else [32, 16, 8, 4, 2])


def test_depthwise_separable_costs_what_the_paper_says() -> None:
    """1/N + 1/k² of a convolution's weights, and hence of its multiplications (arXiv:1704.04861, 3.1)."""
    block = DepthwiseSeparable(64, 128)
    weights = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
    assert weights / (64 * 128 * 9) == pytest.approx(1 / 128 + 1 / 9)


def test_inverted_residual_is_the_sum_where_shapes_agree_and_only_there() -> None:
    x = torch.randn(2, 16, 8, 8)
    block = InvertedResidual(16, 16).eval()
    assert torch.equal(block(x), x + block.residual(x))
    assert (block(x) < 0).any(), "linear ends"
    for block in (InvertedResidual(16, 16, stride=2), InvertedResidual(16, 24)):
        assert block.shortcut is None
        assert torch.equal(block.eval()(x), block.residual(x))
    assert len(InvertedResidual(16, 16, expand=1).residual) == 2, "nothing to widen"


def test_mbconv_is_the_inverted_residual_with_a_gate_before_it_narrows() -> None:
    block = mbconv(24, 24, 1, 6, 5)
    gate = block.residual[-2]
    assert isinstance(gate, SqueezeExcite) and isinstance(block, InvertedResidual)
    assert sum(isinstance(m, SqueezeExcite) for m in block.modules()) == 1
    widths = [m.out_channels for m in gate.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [6, 144], "a quarter of the block's input, not of the widened map"


def test_a_dense_layer_keeps_what_it_was_given() -> None:
    x = torch.randn(2, 10, 4, 4)
    y = DenseLayer(10, growth=3)(x)
    assert y.shape == (2, 13, 4, 4)
    assert torch.equal(y[:, :10], x)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_by_hand(size: int, kernel: int) -> None:
    """Output i covers inputs 2i - p ... 2i - p + k - 1, where p, above, is half the padding rounded down."""
    conv = SameConv2d(1, 1, kernel, stride=2, bias=False)
    x = torch.randn(1, 1, size, size)
    rows = -(-size // 2)
    above = max((rows - 1) * 2 + kernel - size, 0) // 2
    expected = torch.zeros(rows, rows)
    for i in range(rows):
        for j in range(rows):
            for a in range(kernel):
                for b in range(kernel):
                    row, column = 2 * i - above + a, 2 * j - above + b
                    if 0 <= row < size and 0 <= column < size:
                        expected[i, j] += conv.weight[0, 0, a, b].item() * x[0, 0, row, column]
    assert torch.allclose(conv(x)[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("name", "side"), [("alexnet", 6), ("vgg11_bn", 7)])
def test_adaptive_pooling_fixes_the_map_for_every_size(name: str, side: int) -> None:
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        for size in (BACKBONES[name].min_size, 112, 224):
            assert backbone(torch.zeros(1, 3, size, size)).shape[2:] == (side, side)
        map_ = backbone[:-1](torch.randn(1, 3, 224, 224))
        assert torch.equal(backbone.head(map_), map_), "nothing to pool at 224"
