"""Forecasts without a network, which every network has to stand beside."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity import scores
from popularity.features import DecayedShares
from popularity.windows import Ints, Series

#: Predicts the shares [candidates] of a slot from slots before it.
Forecaster = Callable[[int, Ints], npt.NDArray[np.float64]]

#: 1 as a fixed-point number, of which 64 bits hold half a million.
_FIXED_POINT = 2**44


def build_baseline(
    series: Series, spec: dict[str, Any], tuning_slots: range
) -> tuple[Forecaster, dict[str, float]]:
    """Make the forecaster that an entry of ``baselines`` in config.yaml describes.

    Returns
    -------
    The forecaster, and what was chosen by the cross entropy of ``tuning_slots``.
    """
    method = spec["method"]
    if method == "ewma":
        half_life = tuned_half_life(series, spec["half_lives"], tuning_slots)
        return ewma(series, half_life), {"half_life": half_life}
    if method == "moving_average":
        return moving_average(series, spec["slots"]), {}
    return METHODS[method](series), {}


def forecast_slots(forecaster: Forecaster, series: Series, slots: Ints) -> Iterator[scores.Forecast]:
    """Predict the shares of every candidate of each slot."""
    for slot in slots.tolist():
        movies = series.candidates(slot)
        yield slot, movies, forecaster(slot, movies)


def all_zero(series: Series) -> Forecaster:
    """No requests for any movie: what an error that counts small misses alike rewards."""
    return lambda slot, movies: np.zeros(len(movies))


def last_value(series: Series) -> Forecaster:
    """Shares of the last slot."""
    return moving_average(series, 1)


def moving_average(series: Series, slots: int) -> Forecaster:
    """Shares of the requests of the last ``slots`` slots together."""

    sums = np.concatenate([[0], np.cumsum(series.label)])

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        begins, ends = (series.elements_before(movies, at) for at in (slot - slots, slot))
        counts = sums[ends] - sums[begins]
        return counts / max(counts.sum(), 1)

    return forecast


def all_time_share(series: Series) -> Forecaster:
    """Mean of a movie's shares over all earlier slots with a request."""
    # Fixed-point numbers add up exactly, so that movies with equal shares stay equal.
    fixed = np.rint(series.label_n * _FIXED_POINT).astype(np.int64)
    sums = np.concatenate([[0], np.cumsum(fixed)])
    requested = np.concatenate([[0], np.cumsum(series.totals > 0)])

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        ends = series.elements_before(movies, slot)
        earlier = (sums[ends] - sums[series.starts[movies]]) / _FIXED_POINT
        return earlier / requested[slot - series.first_slot]

    return forecast


def all_time_count(series: Series) -> Forecaster:
    """A movie's share of all earlier requests: what a least-frequently-used cache ranks by."""
    sums = np.concatenate([[0], np.cumsum(series.label)])

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        counts = sums[series.elements_before(movies, slot)] - sums[series.starts[movies]]
        return counts / counts.sum()

    return forecast


def ewma(series: Series, half_life: float) -> Forecaster:
    """Exponentially weighted average of counts: see :class:`features.DecayedShares`."""
    shares = DecayedShares(series, [half_life])

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        size = len(movies)
        return shares(movies, np.full(size, slot), np.full(size, float(size)))[:, 0]

    return forecast


def oracle(series: Series) -> Forecaster:
    """The true shares: no competitor, but the upper edge of what a forecast can reach."""
    return lambda slot, movies: series.shares(movies, slot)


def tuned_half_life(series: Series, half_lives: Iterable[float], slots: range) -> float:
    """Choose the half-life whose average has the lowest cross entropy on these slots."""
    half_lives = list(half_lives)
    shares = DecayedShares(series, half_lives)
    losses = np.zeros(len(half_lives))
    for slot in series.requested_slots(slots):
        movies = series.candidates(slot)
        counts = series.labels(movies, slot)
        requested = counts > 0
        size = len(movies)
        predicted = shares(
            movies[requested],
            np.full(requested.sum(), slot),
            np.full(requested.sum(), float(size)),
        )
        mixed = (1 - scores.UNIFORM_SHARE) * predicted + scores.UNIFORM_SHARE / size
        losses -= counts[requested] @ np.log(mixed)
    return half_lives[int(np.argmin(losses))]


#: The methods that have nothing to set.
METHODS: dict[str, Callable[[Series], Forecaster]] = {
    "all_zero": all_zero,
    "last_value": last_value,
    "all_time_share": all_time_share,
    "all_time_count": all_time_count,
    "oracle": oracle,
}
