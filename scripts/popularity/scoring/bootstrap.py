"""The bootstrap over slots: intervals of scores that are sums over slots."""

import functools

import numpy as np
import numpy.typing as npt

#: Number of draws, and the share of them that lies in the interval.
DRAWS = 1000
LEVEL = 0.95


@functools.lru_cache(maxsize=1)
def drawn_slots(slots: int, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float64]:
    """Count how often each slot is drawn when all slots are resampled with replacement.

    Efron and Tibshirani (1993), "An Introduction to the Bootstrap". Forecasts over the same slots are
    compared in pairs by giving them the same draws.

    Returns
    -------
    float64 [1 + draws, slots], read-only; the first row counts each slot once.
    """
    drawn = np.ones((1 + draws, slots))
    drawn[1:] = np.random.default_rng(seed).multinomial(slots, np.full(slots, 1 / slots), size=draws)
    drawn.setflags(write=False)
    return drawn


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Find the interval of the middle :data:`LEVEL` of the draws' values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
