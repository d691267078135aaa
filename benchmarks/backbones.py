"""Backbones beside torchvision's and timm's: images per second, and ratios of times, the smaller the better.

Run with `python benchmarks/backbones.py` for five kinds, `--all` for all, or `--only resnet50 nfnet_f0`. Both
sides compute the same feature map from the same images; each round runs them in turn, and medians of CPU time
are compared, which other programs disturb less than the clock. Batch 8 of 112x112, one thread unless
`--threads` says otherwise; the exit status is 1 if a ratio is above 1.05.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import timm
import torch
import torchvision
from torch import Tensor, nn

from facelab.models.backbones import build_backbone
from facelab.models.backbones.pretrained import PACKAGED, TIMM, TORCHVISION

TARGET = 1.05
Features = Callable[[Tensor], Tensor]


def original(name: str) -> tuple[nn.Module, Features]:
    """(the public network, the part of it that ends in our feature map)."""
    if name in TIMM or name == PACKAGED:
        network = timm.create_model(TIMM.get(name, "tf_efficientnet_lite0"), num_classes=0)
        return network, network.forward_features
    network = torchvision.models.get_model(name)
    for module in network.modules():
        if isinstance(module, torchvision.ops.StochasticDepth):
            module.p = 0.0  # ours has none unless it is placed
    if not hasattr(network, "features"):
        return network, nn.Sequential(*list(network.children())[:-2])
    if name.startswith(("alexnet", "vgg")):
        return network, nn.Sequential(network.features, network.avgpool)
    return network, network.features


def forward(features: Features, x: Tensor) -> float:
    """Seconds of CPU time without gradients."""
    start = time.process_time()
    with torch.inference_mode():
        features(x)
    return time.process_time() - start


def forward_backward(features: Features, x: Tensor) -> float:
    """Seconds of CPU time of a training step without the optimizer."""
    start = time.process_time()
    features(x).sum().backward()
    return time.process_time() - start


def medians(
    run: Callable[[Features, Tensor], float], sides: list[Features], x: Tensor, rounds: int
) -> list[float]:
    """Median time of each side; whoever ran first in one round runs second in the next."""
    times = [[], []]
    for i in range(rounds + 1):
        for side in (0, 1) if i % 2 else (1, 0):
            times[side].append(run(sides[side], x))
    return [statistics.median(each[1:]) for each in times]


def compare(name: str, batch: int, size: int, rounds: int) -> bool:
    """Print one line; whether both ratios meet the target."""
    torch.manual_seed(0)
    x = torch.randn(batch, 3, size, size)
    ours = build_backbone(name)
    network, theirs = original(name)
    line, met = f"{name:20}", True
    for run, training in ((forward, False), (forward_backward, True)):
        ours.train(training)
        network.train(training)
        mine, other = medians(run, [ours, theirs], x, rounds)
        line += f"{batch / mine:10.1f}{batch / other:10.1f}{mine / other:8.2f}"
        met = met and mine <= TARGET * other
    print(f"{line}  {'met' if met else 'MISSED'}", flush=True)
    return met


SHORT = ["resnet18", "resnext50_32x4d", "mobilenet_v2", "convnext_tiny", "regnet_x_400mf"]


def main() -> int:
    """Parse the arguments, print the table."""
    names = [*TORCHVISION, *TIMM, PACKAGED]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=names, default=SHORT, metavar="NAME")
    parser.add_argument("--all", dest="only", action="store_const", const=names)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{'images/s':20}{'forward':>10}{'theirs':>10}{'ratio':>8}{'+backward':>10}{'theirs':>10}{'ratio':>8}"
    )
    met = [compare(name, arguments.batch, arguments.size, arguments.rounds) for name in arguments.only]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
