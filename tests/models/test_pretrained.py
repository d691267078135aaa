"""The map from torchvision's and timm's weights to ours, with random weights, and the input it expects."""

import importlib.util
import urllib.error

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from facelab.models.backbones import BACKBONES, build_backbone
from facelab.models.backbones import pretrained as module
from facelab.models.backbones.pretrained import (
    PACKAGED,
    PRETRAINED,
    TIMM,
    matched,
    pretrained,
    take_signed_input,
)
from tests.conftest import one_sentence

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAME = {"efficientnet_lite0", "nfnet_f0"}  # these pad the input of the first convolution themselves
SIZE = 72  # AlexNet without the stem's padding takes no less


def randomize(network: nn.Module) -> nn.Module:
    """Give every tensor random values of a usual size, so that no wrong pairing can hide."""
    torch.manual_seed(0)
    for key, value in network.state_dict().items():
        scale = key.endswith("running_var") or "gain" in key or "layer_scale" in key
        if scale or (key.endswith("weight") and value.ndim == 1):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            value.uniform_(-0.2, 0.2)
    return network.eval()


def original(name: str) -> nn.Module:
    """The public network of that name with random weights; its classifier, not compared, stays empty."""
    if name in TIMM or name == PACKAGED:
        return randomize(timm.create_model(TIMM.get(name, "tf_efficientnet_lite0"), num_classes=0))
    return randomize(torchvision.models.get_model(name))


def original_features(name: str, network: nn.Module, x: Tensor) -> Tensor:
    """The map that its backbone gives."""
    if hasattr(network, "forward_features"):
        return network.forward_features(x)
    if not hasattr(network, "features"):
        return nn.Sequential(*list(network.children())[:-2])(x)
    x = network.features(x)
    if name.startswith("densenet"):
        return x.relu()  # torchvision has it in forward
    return network.avgpool(x) if name.startswith(("alexnet", "vgg")) else x


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def both(name: str) -> tuple[nn.Sequential, nn.Module]:
    """(ours, theirs) with the same random weights."""
    theirs = original(name)
    ours = build_backbone(name)
    ours.load_state_dict(matched(name, theirs.state_dict(), ours))
    return ours.eval(), theirs


def first_convolution(network: nn.Module) -> nn.Conv2d:
    return next(m for m in network.modules() if isinstance(m, nn.Conv2d))


def normalized(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """What the originals are fed, of an image in [-1, 1]."""
    return ((x + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_map_gives_the_originals_features_for_images_in_minus_one_to_one(name: str) -> None:
    ours, theirs = both(name)
    x = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        assert relative_error(ours(x), original_features(name, theirs, x)) < 1e-5
    take_signed_input(ours, MEAN, (0.25,) * 3 if name == "nfnet_f0" else STD)
    y = normalized(x, MEAN, (0.25,) * 3 if name == "nfnet_f0" else STD)
    first = first_convolution(ours), first_convolution(theirs)
    with torch.inference_mode():
        if name in SAME:
            inside = (..., slice(1, -1), slice(1, -1))
            if name == PACKAGED:  # its batch norm holds the shift
                assert relative_error(ours.stem(x)[inside], theirs.bn1(theirs.conv_stem(y))[inside]) < 1e-5
            else:
                assert relative_error(first[0](x)[inside], first[1](y)[inside]) < 1e-5
            return
        for conv in first:
            conv.padding = (0, 0)  # zeros around x and around y mean different colors
        assert relative_error(ours(x), original_features(name, theirs, y)) < 1e-5


def test_only_the_border_differs_with_padding() -> None:
    ours, theirs = both("resnet18")
    take_signed_input(ours, MEAN, STD)
    x = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        mine = ours.stem[0](x)
        other = theirs.relu(theirs.bn1(theirs.conv1(normalized(x, MEAN, STD))))
    assert relative_error(mine[..., 2:-1, 2:-1], other[..., 2:-1, 2:-1]) < 1e-5  # a 7x7 kernel at stride 2
    assert relative_error(mine, other) > 1e-3


def test_nfnet_is_nearly_exact_where_the_channels_have_their_own_std() -> None:
    ours, theirs = both("nfnet_f0")
    take_signed_input(ours, MEAN, STD)
    x = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        mine, other = first_convolution(ours)(x), first_convolution(theirs)(normalized(x, MEAN, STD))
    assert 1e-4 < relative_error(mine[..., 1:-1, 1:-1], other[..., 1:-1, 1:-1]) < 0.02


@pytest.mark.parametrize("name", ["mobilenet_v2", "se_resnet50"])
def test_pretrained_applies_map_and_input_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = original(name)
    monkeypatch.setattr(timm, "create_model", lambda model, pretrained: theirs)
    monkeypatch.setattr(torchvision.models, "get_model", lambda model, weights: theirs)
    ours = pretrained(name).eval()
    for network in (ours, theirs):
        first_convolution(network).padding = (0, 0)
    x = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        expected = original_features(name, theirs, normalized(x, MEAN, STD))
        assert relative_error(ours(x), expected) < 1e-5


def test_a_wrong_order_is_refused() -> None:
    ours, theirs = both("mobilenet_v2")
    state = theirs.state_dict()
    key = "features.3.conv.0.0.weight"
    with pytest.raises(ValueError, match=r"mobilenet_v2: .* have shapes .*; install torchvision"):
        matched("mobilenet_v2", {key: state.pop(key), **state}, ours)


def test_every_paper_size_backbone_has_weights() -> None:
    assert set(PRETRAINED) == {name for name in BACKBONES if not name.endswith("_face")}


@pytest.fixture(scope="module")
def packaged() -> dict[str, Tensor]:
    """The weights in the package, by its own names."""
    if importlib.util.find_spec(module.PACKAGE) is None:
        pytest.skip(f"{module.PACKAGE} is not installed")
    return module._packaged()[0]


def test_the_packaged_weights_are_timms_network(packaged: dict[str, Tensor]) -> None:
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), packaged.values(), strict=True)))
    x = torch.rand(1, 3, 112, 112) * 2 - 1
    with torch.inference_mode():
        assert relative_error(pretrained(PACKAGED).eval()(x), theirs.forward_features(x)) < 1e-5


@pytest.mark.parametrize(("picture", "label"), [(0, 698), (1, 985)], ids=["palace", "daisy"])
def test_the_packaged_weights_know_what_they_see(
    packaged: dict[str, Tensor], picture: int, label: int
) -> None:
    """scikit-learn's two sample photographs, China's Summer Palace and a flower."""
    from sklearn.datasets import load_sample_images

    pixels = torch.from_numpy(load_sample_images().images[picture].copy()).permute(2, 0, 1)
    crop = F.interpolate(pixels[None, :, :, 100:527].float(), (224, 224), mode="bilinear", antialias=True)
    with torch.inference_mode():
        features = pretrained(PACKAGED).eval()(crop / 127.5 - 1).mean((2, 3))
    assert (features @ packaged["_fc.weight"].T + packaged["_fc.bias"]).argmax().item() == label


def refusal(name: str) -> str:
    with pytest.raises(ValueError) as caught:
        pretrained(name)
    assert one_sentence(str(caught.value))
    return str(caught.value)


def test_names_without_weights_are_refused() -> None:
    assert refusal("mobilenet_face").startswith(
        "no ImageNet weights for 'mobilenet_face': did you mean mobilenet"
    )
    assert refusal("resnet81").endswith("Legal: " + ", ".join(PRETRAINED))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install timm" in refusal("resnest50")
    assert 'pip install "facelab[imagenet]"' in refusal(PACKAGED)


def test_no_network_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **options: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    monkeypatch.setattr(timm, "create_model", offline)
    for name in ("resnet18", "mobilenet_v1"):
        said = refusal(name)
        assert said.startswith(f"the ImageNet weights of {name} could not be downloaded (URLError)")
