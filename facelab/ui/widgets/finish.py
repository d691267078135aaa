"""Rendered people where nothing is measured on them: with a finish on skin, hair and eyes.

Scores, thresholds and lessons rest on the bytes of the renderer, so it stays as it is. Here its picture gets
what it leaves out: eyes whose white lies in shade, unevenly colored skin, single strands of hair.
"""

import numpy as np
from PIL import Image
from torch import Tensor

from facelab.data.parametric import IDENTITY, landmarks, render, with_values

BALD = {"hair_length": 0.0, "beard": 0.0, "moustache": 0.0}
SCLERA, BLUSH = np.array([0.86, 0.82, 0.80]), np.array([0.0, 0.05, 0.045])  # per channel
SEED = 0
Pair = tuple[float, float]


def finished(identity: Tensor, nuisance: Tensor, size: int) -> list[Image.Image]:
    """Draw (B, K) identities under (B, M) conditions, as `render` does, each with the finish."""
    drawn, bald = (
        render(who, nuisance, size).permute(0, 2, 3, 1).numpy()
        for who in (identity, with_values(identity, IDENTITY, BALD))
    )
    hair = _rise(np.abs(drawn - bald).max(-1), 0.1, 0.25)
    points = landmarks(identity, nuisance, size).numpy()
    pictures = map(finish, drawn, hair, points)
    return [Image.fromarray((pixels * 255).round().astype(np.uint8)) for pixels in pictures]


def finish(pixels: np.ndarray, hair: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return a finished picture, (S, S, 3) RGB in [0, 1].

    Args:
        pixels: (S, S, 3) RGB in [0, 1].
        hair: (S, S) in [0, 1], how much of a pixel is hair or beard.
        points: (5, 2) landmarks x, y: eyes, nose, corners of the mouth.
    """
    noise, shape = np.random.default_rng(SEED), pixels.shape[:2]
    eyes = float(np.hypot(*(points[1] - points[0])))  # their distance, in pixels
    out, hair = _shade_eyes(pixels, points[:2], eyes), hair[..., None]
    skin = _rise(out[..., 0] - out[..., 2], 0.04, 0.14)[..., None] * (1 - hair)  # warm, and no hair
    tone = 0.015 * (_mottled(noise, shape, (0.2 * eyes, 0.2 * eyes)) + _mottled(noise, shape, (4, 4)))
    red = 0.015 * _mottled(noise, shape, (0.5 * eyes, 0.5 * eyes))
    out = out * (1 + skin * np.stack([tone + red, tone, tone - red], -1))
    cheeks = (points[:2] + points[3:]) / 2 + [(-0.08 * eyes, 0), (0.08 * eyes, 0)]
    for place, reach in ((points[2], 0.22), (cheeks[0], 0.3), (cheeks[1], 0.3)):
        out = out * (1 - _spot(shape, place, (reach * eyes, reach * eyes))[..., None] * skin * BLUSH)
    out = out * (1 + 0.1 * hair * _mottled(noise, shape, (0.025 * eyes, 0.35 * eyes))[..., None])
    return (out + 0.008 * noise.standard_normal((*shape, 1))).clip(0, 1)


def _shade_eyes(pixels: np.ndarray, eyes: np.ndarray, distance: float) -> np.ndarray:
    """Return the picture with bright gray pixels around both eyes darkened."""
    gray = 1 - _rise(pixels.max(-1) - pixels.min(-1), 0.12, 0.22)
    white = gray * _rise(pixels.mean(-1), 0.5, 0.7)
    for eye in eyes:
        near = _spot(pixels.shape[:2], eye, (0.3 * distance, 0.2 * distance))
        pixels = pixels * (1 - (white * near)[..., None] * (1 - SCLERA))
    return pixels


def _rise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((values - low) / (high - low)).clip(0, 1)


def _spot(shape: tuple[int, ...], center: np.ndarray, reach: Pair) -> np.ndarray:
    """Return a bell of height 1 around (x, y)."""
    y, x = np.indices(shape)
    return np.exp(-(((x - center[0]) / reach[0]) ** 2) - ((y - center[1]) / reach[1]) ** 2)


def _mottled(noise: np.random.Generator, shape: tuple[int, ...], grain: Pair) -> np.ndarray:
    """Return smooth noise of standard deviation 1, whose spots are `grain` pixels wide and high."""
    height, width = shape
    few = (2 + int(height / grain[1]), 2 + int(width / grain[0]))
    small = Image.fromarray(noise.standard_normal(few).astype(np.float32))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return smooth / smooth.std()
