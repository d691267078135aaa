"""How far a rate may be off that was counted: 95 % intervals of k errors in n trials.

Wilson's interval (1927), which keeps its level where rates are small (Brown, Cai and DasGupta, 2001); where
no trial or every trial is an error, the exact one of Clopper and Pearson (1934), whose bound is closed there:
no error in n trials still allows a rate of 3.7/n.
"""

import math

Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
TAIL = 0.025


def rate_interval(errors: int, trials: int) -> tuple[float, float]:
    """Return a 95 % interval of a rate, in [0, 1].

    Args:
        errors: k.
        trials: n, independent of each other; where pairs share photos the true interval is wider.

    Raises:
        ValueError: no trial, or k outside 0..n.
    """
    if not 0 <= errors <= trials or not trials:
        raise ValueError(f"{errors} errors in {trials} trials do not give a rate; count at least one trial")
    if errors in (0, trials):
        bound = 1 - TAIL ** (1 / trials)
        return (0.0, bound) if not errors else (1 - bound, 1.0)
    rate, square = errors / trials, Z * Z
    center = (rate + square / (2 * trials)) / (1 + square / trials)
    half = math.sqrt(rate * (1 - rate) / trials + square / (4 * trials**2)) * Z / (1 + square / trials)
    return max(0.0, center - half), min(1.0, center + half)
