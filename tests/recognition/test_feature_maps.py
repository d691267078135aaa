"""Feature maps against what hooks see, and how alike neighbors are against a loop."""

import numpy as np
import pytest

from facelab.models.backbones import build_backbone
from facelab.models.backbones.describe import receptive_field
from facelab.models.checkpoint import load
from facelab.photos.faces import to_tensor
from facelab.recognition.feature_maps import correlation_with_neighbors, feature_maps, maps_of, strongest

CROP = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)


@pytest.mark.parametrize("name", ["resnet_face", "densenet_face", "nfnet_face", "vgg_face", "mobilenet_face"])
def test_the_maps_are_what_the_stages_give(name):
    backbone, seen = build_backbone(name), {}
    for key, stage in backbone.named_children():
        stage.register_forward_hook(lambda m, args, y, key=key: seen.__setitem__(key, y[0].clone().numpy()))
    found = feature_maps(backbone, CROP)
    assert not backbone.training
    assert [stage.name for stage in found] == [key for key, _ in backbone.named_children()]
    for stage in found:
        assert np.array_equal(stage.maps, seen[stage.name]) and stage.maps.dtype == np.float32
    fields = [stage.receptive_field for stage in found]
    assert fields == sorted(fields) and fields[-1] == receptive_field(backbone)


def test_a_checkpoints_maps_are_its_own_networks(tiny_checkpoint):
    model = load(tiny_checkpoint)[0]
    found = maps_of(str(tiny_checkpoint), CROP)
    assert np.allclose(found[-1].maps, model.backbone(to_tensor(CROP[None]))[0].detach().numpy(), atol=1e-6)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(96, 112, 3\); it must be \(112, 112, 3\)"):
        feature_maps(build_backbone("alexnet_face"), CROP[:96])


def test_the_strongest_differ_most():
    maps = np.array([3, 0, 7, 1], np.float32)[:, None, None] * np.arange(9).reshape(3, 3) + 5
    assert strongest(maps, 3).tolist() == [2, 0, 3] and strongest(maps, 9).tolist() == [2, 0, 3, 1]


def test_neighbors_are_compared_as_by_hand():
    maps = np.random.default_rng(1).normal(size=(3, 4, 5))
    expected = []
    for m in maps - maps.mean((1, 2), keepdims=True):
        pairs = [(m[i, j], m[i + 1, j]) for i in range(3) for j in range(5)]
        pairs += [(m[i, j], m[i, j + 1]) for i in range(4) for j in range(4)]
        a, b = np.array(pairs).T
        expected.append((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    constant = np.full((1, 4, 5), 2.0)  # says nothing of its neighbors
    assert correlation_with_neighbors(np.concatenate([maps, constant])) == pytest.approx(np.mean(expected))


def test_smooth_maps_correlate_and_noise_does_not():
    ramp = np.add.outer(np.arange(16.0), np.arange(16.0))[None]
    assert correlation_with_neighbors(ramp) > 0.9
    assert abs(correlation_with_neighbors(np.random.default_rng(0).normal(size=(64, 16, 16)))) < 0.03
    assert np.isnan(correlation_with_neighbors(np.ones((2, 4, 4))))
