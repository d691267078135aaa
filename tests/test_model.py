"""Backbones and FaceModel: published sizes, equality with torchvision, and the contract of named stages."""

import pytest
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from facelab.backbones import BACKBONES, build_backbone
from facelab.model import FaceModel, build_model, embed, feature_shape
from facelab.recipe import Recipe


def million_macs(module, size=112):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e6


def torchvision_keys(name):
    """Our resnet18 key -> torchvision's."""
    stage, _, rest = name.partition(".")
    if stage == "stem":
        return rest.replace("0.0.", "conv1.").replace("0.1.", "bn1.")
    block, _, rest = rest.partition(".")
    for ours, theirs in (
        ("residual.0.0.", "conv1."),
        ("residual.0.1.", "bn1."),
        ("residual.1.0.", "conv2."),
        ("residual.1.1.", "bn2."),
        ("shortcut.", "downsample."),
    ):
        rest = rest.replace(ours, theirs)
    return f"layer{stage[-1]}.{block}.{rest}"


@pytest.mark.parametrize("size", [112, 224])
def test_resnet18_equals_torchvision(size):
    ours, theirs = build_backbone("resnet18").eval(), torchvision.models.resnet18(weights=None).eval()
    state = theirs.state_dict()
    for key in list(state):
        if "running_var" in key:
            state[key].uniform_(0.5, 2)
        elif key.endswith("running_mean") or "bn" in key:
            state[key].normal_() if state[key].is_floating_point() else None
    theirs.load_state_dict(state)
    ours.load_state_dict({key: state[torchvision_keys(key)] for key in ours.state_dict()})
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        got = ours(x).mean((2, 3))
        wanted = torch.nn.Sequential(*list(theirs.children())[:-1])(x).flatten(1)
    assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())


def test_resnet18_has_the_published_parameters():
    # 11,689,512 in torchvision's table, less the 1000-class layer of 513,000
    assert sum(p.numel() for p in build_backbone("resnet18").parameters()) == 11_689_512 - 513_000


def test_compact_resnet_keeps_its_budget():
    model = build_model(Recipe())
    assert million_macs(model) <= 120
    assert sum(p.numel() for p in model.parameters()) <= 4_500_000


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_are_named_and_give_a_feature_map(name):
    backbone = build_backbone(name)
    assert next(iter(backbone.named_children()))[0] == "stem"
    channels, size = feature_shape(backbone)
    assert backbone.training  # probing the shape must not leave eval mode behind
    assert backbone.eval()(torch.zeros(2, 3, 112, 112)).shape == (2, channels, size, size)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("neck", ["flatten", "pool"])
def test_every_parameter_learns(name, neck):
    torch.manual_seed(0)
    model = FaceModel(name, neck, 32)
    for module in model.modules():  # residual branches start at zero, which hides what is behind them
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    (model(torch.randn(4, 3, 112, 112)) * torch.randn(4, 32)).sum().backward()
    for key, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().sum() > 0, key


def test_flip_averaged_embedding_is_blind_to_mirroring():
    torch.manual_seed(0)
    model = build_model(Recipe(embedding_dim=16))
    crops = torch.randint(0, 256, (3, 112, 112, 3), dtype=torch.uint8).numpy()
    straight, mirrored = embed(model, crops), embed(model, crops[:, :, ::-1].copy())
    assert abs(straight - mirrored).max() < 1e-4
    assert (
        abs(embed(model, crops, flip=False) - embed(model, crops[:, :, ::-1].copy(), flip=False)).max() > 1e-3
    )


def test_batching_does_not_change_embeddings():
    model = build_model(Recipe(embedding_dim=16))
    crops = torch.randint(0, 256, (5, 112, 112, 3), dtype=torch.uint8).numpy()
    assert abs(embed(model, crops, batch_size=2) - embed(model, crops)).max() < 1e-4


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean resnet18"):
        build_backbone("resnet81")
    with pytest.raises(ValueError, match="flatten, pool"):
        FaceModel("resnet_face", "max", 8)
