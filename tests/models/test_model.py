"""Backbones and FaceModel: published sizes, equality with torchvision, and the contract of named stages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from facelab.models.backbones import build_backbone
from facelab.models.layers import fold_norms
from facelab.models.model import FaceModel, build_model, class_logits, embed, feature_shape
from facelab.models.recipe import Recipe
from facelab.models.regularizers import DropBlock2d, Dropout, StochasticDepth


def million_macs(module, size=112):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e6


def test_compact_resnet_keeps_its_budget():
    model = build_model(Recipe())
    assert million_macs(model) <= 120
    assert sum(p.numel() for p in model.parameters()) <= 4_500_000


@pytest.mark.parametrize("name", ["resnet_face", "vgg_face"])
def test_stages_are_named_and_give_a_feature_map(name):
    backbone = build_backbone(name)
    assert next(iter(backbone.named_children()))[0] == "stem"
    channels, size = feature_shape(backbone)
    assert backbone.training  # probing the shape must not leave eval mode behind
    assert backbone.eval()(torch.zeros(2, 3, 112, 112)).shape == (2, channels, size, size)


def test_regularizers_get_their_own_fields_of_the_recipe():
    recipe = Recipe(dropout=0.3, drop_block=0.2, drop_block_size=5, stochastic_depth=0.1, neck_bias=False)
    model = build_model(recipe)
    assert [m.rate for m in model.modules() if isinstance(m, Dropout)] == [0.3]
    blocks = [m for m in model.modules() if isinstance(m, DropBlock2d)]
    assert {(m.rate, m.block_size) for m in blocks} == {(0.2, 5)}
    assert max(m.rate for m in model.modules() if isinstance(m, StochasticDepth)) == pytest.approx(0.1)
    assert not model.neck[-1].bias.requires_grad
    assert build_model(replace(recipe, neck_bias=True)).neck[-1].bias.requires_grad


def test_a_new_network_has_seen_no_batch():
    state = build_model(Recipe()).state_dict()
    counts = [value.item() for key, value in state.items() if key.endswith("num_batches_tracked")]
    assert counts and not any(counts)


@pytest.mark.parametrize("name", ["resnet_face", "vgg_face"])
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


@pytest.mark.parametrize("name", ["resnet_face", "mobilenet_face"])
def test_folded_batch_norms_leave_embeddings_as_they_are(name):
    torch.manual_seed(0)
    model = FaceModel(name, "pool", 16)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    model(torch.randn(4, 3, 112, 112))  # running statistics become those of a batch
    model.eval()
    crops = torch.randint(0, 256, (2, 112, 112, 3), dtype=torch.uint8).numpy()
    before = embed(model, crops)
    count = sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    fold_norms(model)
    after = embed(model, crops)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()) < count / 4
    assert abs(after - before).max() < 1e-4 * abs(before).max()
    assert abs(before[0] - before[1]).max() > 1e-2 * abs(before).max()


def test_batching_does_not_change_embeddings():
    model = build_model(Recipe(embedding_dim=16))
    crops = torch.randint(0, 256, (5, 112, 112, 3), dtype=torch.uint8).numpy()
    assert abs(embed(model, crops, batch_size=2) - embed(model, crops)).max() < 1e-4


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean resnet18"):
        build_backbone("resnet81")
    with pytest.raises(ValueError, match="flatten, pool"):
        FaceModel("resnet_face", "max", 8)


class OnAnotherDevice(torch.nn.Module):
    """A loss whose weights lie on a device without memory; its scores come back as a GPU's would."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3, device="meta", dtype=torch.float32)

    def logits(self, embeddings):
        assert embeddings.device.type == "meta" and not self.training
        return torch.eye(3)[: len(embeddings)].bfloat16()


def test_class_scores_are_computed_where_the_loss_lies_in_eval_mode():
    scores = class_logits(OnAnotherDevice().train(), np.zeros((2, 2), np.float32))
    assert scores.dtype == np.float32 and (scores == np.eye(3)[:2]).all()
