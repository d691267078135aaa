"""Square roots, circle functions, exponentials and normal scores that have the same bits on every processor.

torch calls a math library that selects different code for different processors, so results differ in the last
bits. IEEE 754 defines the result of + - * / and of the square root, so a function written as one sequence of
these has the same result everywhere (tables and reductions after Muller, "Elementary Functions"). Arguments
are float64; results are within two units of the last place over the ranges stated below. These are a few
numbers per face, not per pixel, and numpy starts a short operation faster than torch.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 32 zero bits
_DOUBLINGS = 1.4426950408889634  # 1 / ln 2
_QUARTER_HIGH, _QUARTER_LOW = 1.57079632673412561417e00, 6.07710050650619224932e-11  # π / 2, likewise

# Taylor coefficients, highest power first.
_EXP = [1.0 / math.factorial(n) for n in range(14, -1, -1)]
_SIN = [(-1.0) ** n / math.factorial(2 * n + 1) for n in range(9, -1, -1)]  # in x²; times x
_COS = [(-1.0) ** n / math.factorial(2 * n) for n in range(9, -1, -1)]  # in x²
_ATANH = [1.0 / (2 * n + 1) for n in range(11, -1, -1)]  # in x²; times x
_ATAN = [(-1.0) ** n / (2 * n + 1) for n in range(12, -1, -1)]  # in x²; times x

# Wichura 1988, algorithm AS 241: normal scores as ratios of polynomials, near the middle and in the tails.
_MIDDLE = (
    (
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665,
    ),
    (
        5226.495278852854,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1.0,
    ),
)
_TAIL = (
    (
        0.0007745450142783414,
        0.022723844989269184,
        0.2417807251774506,
        1.2704582524523684,
        3.6478483247632045,
        5.769497221460691,
        4.630337846156546,
        1.4234371107496835,
    ),
    (
        1.0507500716444169e-09,
        0.0005475938084995345,
        0.015198666563616457,
        0.14810397642748008,
        0.6897673349851,
        1.6763848301838038,
        2.053191626637759,
        1.0,
    ),
)


def sqrt(x: Tensor) -> Tensor:
    """Compute the square root of float32 or float64, correctly rounded, in a new tensor."""
    return sqrt_(x.clone())


def sqrt_(x: Tensor) -> Tensor:
    """Compute the square root in place, correctly rounded: by numpy, which uses the processor's
    instruction.
    """
    if x.device.type != "cpu":
        return x.sqrt_()
    np.sqrt(x.numpy(), out=x.numpy())
    return x


def sin_cos(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute sine and cosine of float64 radians, up to some thousand turns."""
    angle = x.cpu().numpy()
    quarters = np.rint(angle * (2.0 / math.pi))
    rest = angle - quarters * _QUARTER_HIGH - quarters * _QUARTER_LOW
    square = rest * rest
    sine, cosine = _polynomial(square, _SIN) * rest, _polynomial(square, _COS)
    quadrant = quarters.astype(np.int64) & 3
    odd = (quadrant & 1) == 1
    sine, cosine = np.where(odd, cosine, sine), np.where(odd, sine, cosine)
    sine = np.where(quadrant >= 2, -sine, sine)
    return _tensor(sine, x), _tensor(np.where(odd != (quadrant >= 2), -cosine, cosine), x)


def angle(x: Tensor, y: Tensor) -> Tensor:
    """Compute the angle in radians, in [-π, π], of float64 points (x, y) other than the origin: atan2(y,
    x).
    """
    right, up = x.cpu().numpy(), y.cpu().numpy()
    wide, high = np.abs(right), np.abs(up)
    tangent = np.minimum(wide, high) / np.maximum(wide, high)
    for _ in range(2):  # the tangent of half the angle, twice
        tangent = tangent / (1.0 + np.sqrt(1.0 + tangent * tangent))
    turn = _polynomial(tangent * tangent, _ATAN) * tangent * 4.0
    turn = np.where(high > wide, 0.5 * math.pi - turn, turn)
    turn = np.where(right < 0.0, math.pi - turn, turn)
    return _tensor(np.where(up < 0.0, -turn, turn), x)


def exp(x: Tensor) -> Tensor:
    """Compute e to the x for float64 x, clamped to between -700 and 700."""
    return _tensor(_exp(x.cpu().numpy()), x)


def sigmoid(x: Tensor) -> Tensor:
    """Compute 1 / (1 + exp(-x)), for float64 x."""
    return _tensor(1.0 / (1.0 + _exp(-x.cpu().numpy())), x)


def logit(p: Tensor) -> Tensor:
    """Compute the log-odds of float64 p in (0, 1)."""
    share = p.cpu().numpy()
    return _tensor(_log(share / (1.0 - share)), p)


def normal_score(p: Tensor) -> Tensor:
    """Compute the normal deviate below which a share p lies, for float64 p at least 2⁻³³ from 0 and 1."""
    share = p.cpu().numpy()
    q = share - 0.5
    r = 0.180625 - q * q
    middle = _polynomial(r, _MIDDLE[0]) * q / _polynomial(r, _MIDDLE[1])
    r = np.sqrt(-_log(np.minimum(share, 1.0 - share))) - 1.6
    tail = _polynomial(r, _TAIL[0]) / _polynomial(r, _TAIL[1])
    return _tensor(np.where(np.abs(q) <= 0.425, middle, np.where(q < 0.0, -tail, tail)), p)


def _exp(x: NDArray) -> NDArray:
    x = np.clip(x, -700.0, 700.0)
    doublings = np.rint(x * (_DOUBLINGS))
    rest = x - doublings * _LN2_HIGH - doublings * _LN2_LOW
    return np.ldexp(_polynomial(rest, _EXP), doublings.astype(np.int32))


def _log(x: NDArray) -> NDArray:
    fraction, doublings = np.frexp(x)  # fraction in [1/2, 1)
    small = fraction < 0.7071067811865476
    fraction, doublings = np.where(small, fraction * 2.0, fraction), doublings - small
    ratio = (fraction - 1.0) / (fraction + 1.0)
    rest = _polynomial(ratio * ratio, _ATANH) * ratio * 2.0
    return doublings * _LN2_HIGH + (doublings * _LN2_LOW + rest)


def _polynomial(x: NDArray, coefficients: list[float] | tuple[float, ...]) -> NDArray:
    """Evaluate a polynomial by Horner's scheme, highest power first; product and sum are rounded one by one,
    never fused.
    """
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def _tensor(numbers: NDArray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(numbers)).to(like.device)
