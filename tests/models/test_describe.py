"""`describe` against counting by hand, against gradients, and against published receptive fields."""

from collections import Counter
from functools import partial

import pytest
import torch
from torch import nn

from facelab.models.backbones import build_backbone
from facelab.models.backbones.convnext import convnext
from facelab.models.backbones.describe import describe, receptive_field, saved_bytes
from facelab.models.backbones.nfnet import nf_network
from facelab.models.backbones.regnet import y_block
from facelab.models.backbones.resnest import resnest_block
from facelab.models.backbones.resnet import basic_block, bottleneck, imagenet_stem, network
from facelab.models.layers import ConvNormAct, SqueezeExcite, prelu
from tests.models.test_backbones import COMPACT, awake, pictures


@pytest.mark.parametrize("name", COMPACT)
def test_macs_are_counted_as_by_hand(name):
    counted = Counter()

    def count(stage, module, y):
        if isinstance(module, nn.Conv2d):
            taps = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
            counted[stage] += y.numel() * taps
        if isinstance(module, nn.Linear):
            counted[stage] += y.numel() * module.in_features

    with torch.device("meta"):
        backbone = build_backbone(name).eval()
        for stage, modules in backbone.named_children():
            for module in modules.modules():
                module.register_forward_hook(lambda m, args, y, stage=stage: count(stage, m, y))
        backbone(torch.zeros(1, 3, 112, 112))
    assert {s.name: s.macs for s in describe(name).stages} == {
        stage.name: counted[stage.name] for stage in describe(name).stages
    }
    assert describe(name).macs == counted.total()


def test_activation_memory_is_what_autograd_keeps():
    # conv keeps its input, batch norm its own, ReLU works in place on what the next conv keeps
    net = nn.Sequential(ConvNormAct(3, 8, 3), ConvNormAct(8, 4, 1, stride=2))
    inputs = [3 * 16 * 16, 8 * 16 * 16, 8 * 16 * 16, 4 * 8 * 8, 4 * 8 * 8]  # the last is what ReLU gives
    per_image = saved_bytes(net.to("meta").eval(), 16, 2) - saved_bytes(net, 16, 1)
    assert per_image == 4 * sum(inputs)


def test_the_callers_gradient_mode_does_not_matter():
    expected = describe("resnet_face")
    for mode in (torch.no_grad, torch.inference_mode):
        describe.cache_clear()
        with mode():
            assert describe("resnet_face") == expected


@pytest.mark.parametrize("name", ["resnet_face", "densenet_face", "nfnet_face", "convnext_face"])
def test_activation_memory_is_the_same_in_real_memory(name):
    """Counted by address of what autograd keeps on the CPU."""
    backbone = build_backbone(name).eval()
    totals = []
    for batch in (1, 2):
        kept = {}

        def pack(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = (
                tensor  # holding it keeps the address from being reused
            )
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            backbone(torch.zeros(batch, 3, 112, 112))
        totals.append(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))
    assert describe(name).activation_bytes == totals[1] - totals[0]


def seen_pixels(net, size):
    """Brute force: how many columns of the picture have a gradient at the middle of the last map."""
    torch.manual_seed(0)
    net = awake(net, pictures(4, 64)).double()
    for module in list(net.modules()):
        for key, child in module.named_children():
            if isinstance(child, SqueezeExcite):
                setattr(module, key, nn.Identity())  # it sees the whole map
            if isinstance(child, nn.MaxPool2d):
                setattr(module, key, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
            if key == "attention":
                child[0] = nn.AvgPool2d(1)  # places apart instead of their mean
    x = torch.rand(1, 3, size, size, dtype=torch.double, requires_grad=True)
    y = net(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    columns = x.grad.abs().amax((0, 1, 2)).nonzero().flatten()
    return int(columns[-1] - columns[0]) + 1


TWOS = (2, 2, 2, 2)
TINY = {  # the plans of real networks with few channels: (network, side of a picture that is large enough)
    "resnet_face": (lambda: network(plain_stem(), relu_free(basic_block), (4, 4, 4, 4), TWOS, TWOS, 4), 512),
    "resnet50": (
        lambda: network(narrow_stem(), relu_free(bottleneck), (4, 8, 8, 8), (3, 4, 6, 3), stem_channels=4),
        640,
    ),
    "regnet_face": (
        lambda: network(
            plain_stem(), relu_free(partial(y_block, group_width=2)), (4, 4, 4, 4), (1, 2, 4, 5), TWOS, 4
        ),
        512,
    ),
    "resnest_face": (
        lambda: network(plain_stem(2), relu_free(resnest_block), (8, 8, 8, 8), (1, 2, 3, 2), TWOS, 4),
        384,
    ),
    "nfnet_face": (lambda: nf_network(((2, 2), (2, 1), (4, 2)), (4, 4, 4, 4), (1, 2, 3, 2), 4, 1), 640),
    "convnext_face": (lambda: convnext((4, 4, 4, 4), (1, 1, 3, 1), kernel=3, scale=1.0), 736),
}


def relu_free(block):
    """With PReLU, whose gradient is never zero."""
    return partial(block, act=prelu)


def plain_stem(more=0):
    return nn.Sequential(
        ConvNormAct(3, 4, 3, 2, act=prelu), *(ConvNormAct(4, 4, 3, act=prelu) for _ in range(more))
    )


def narrow_stem():
    stem = imagenet_stem()
    stem[0] = ConvNormAct(3, 4, 7, 2, act=prelu)
    return stem


@pytest.mark.parametrize("name", TINY)
def test_receptive_field_is_where_the_gradient_is_not_zero(name):
    build, size = TINY[name]
    assert seen_pixels(build(), size) == receptive_field(build()) == describe(name).receptive_field < size


@pytest.mark.parametrize(
    ("name", "pixels"),
    [("alexnet", 195), ("vgg16_bn", 212), ("mobilenet_v1", 315)],  # Araujo et al., Distill 2019, table 1
)
def test_receptive_fields_are_the_published_ones(name, pixels):
    assert describe(name).receptive_field == pixels
