"""A block as the Architectures tab draws it, against the module that it is read from."""

import pytest
import torch
from torch import nn

from facelab.lessons.block_diagram import block_of
from facelab.models.backbones import BACKBONES


@pytest.mark.parametrize("name", BACKBONES)
def test_the_layers_are_those_of_the_module(name):
    block = block_of(name)
    with torch.device("meta"):
        module = BACKBONES[name].build().get_submodule(block.place)
    assert block.parameters == sum(p.numel() for p in module.parameters())
    drawn = sum(layer.parameters for layer in (*block.layers, *(block.shortcut or ())))
    joined = block.layers[-1].after if block.last == "PReLU" else 0  # a slope per channel behind the sum
    assert drawn + joined == block.parameters
    for one, following in zip(block.layers, block.layers[1:]):
        assert one.after == following.before
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    gates = sum(layer.squeezed > 0 for layer in block.layers)
    pools = sum("pooling" in layer.name for layer in block.layers)
    assert len(block.layers) == len(convs) - 2 * gates + gates + pools


@pytest.mark.parametrize(
    ("name", "kind", "widths"),
    [
        ("resnet18", "residual block", [128, 128, 128]),
        ("resnet50", "bottleneck", [1024, 256, 256, 1024]),
        ("mobilenet_v2", "inverted bottleneck", [64, 384, 384, 64]),
        ("convnext_tiny", "inverted bottleneck", [384, 384, 1536, 384]),
        ("densenet121", "dense layer", [608, 128, 32]),
        ("resnest50", "bottleneck", [1024, 256, 512, 256, 1024]),
    ],
)
def test_channels_are_the_papers(name, kind, widths):
    block = block_of(name)
    assert block.kind == kind
    assert [block.layers[0].before, *(layer.after for layer in block.layers)] == widths


def test_a_gate_says_how_far_it_squeezes_and_a_dense_layer_what_it_appends():
    gate = block_of("se_resnet50").layers[-1]
    assert (gate.before, gate.squeezed, gate.after) == (1024, 64, 1024)
    assert block_of("densenet121").join == "concatenation" and block_of("alexnet").join == ""
    assert block_of("densenet121").layers[0].first == ("batch norm", "ReLU")
