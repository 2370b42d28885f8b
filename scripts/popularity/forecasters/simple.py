"""Forecasts that repeat the past as it was: nothing is fitted, nothing is chosen."""

from dataclasses import dataclass

import numpy as np

from popularity.forecasters.base import FixedMethod, Floats, Forecaster, NoParameters, register
from popularity.series import Ints, Series
from popularity.settings.fields import setting

#: 1 as a fixed-point number, of which 64 bits hold half a million.
_FIXED_POINT = 2**44


@register("all_zero")
@dataclass(frozen=True)
class AllZero(FixedMethod):
    """No requests for any movie: what an error that counts small misses alike rewards."""

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        return lambda slot, movies: np.zeros(len(movies))


@register("last_value")
@dataclass(frozen=True)
class LastValue(FixedMethod):
    """Shares of the last slot."""

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        return moving_average(series, 1)


@register("moving_average")
@dataclass(frozen=True)
class MovingAverage(FixedMethod):
    """Shares of the requests of the last slots together."""

    slots: int = setting("How many slots it averages.", minimum=1, maximum=1_000_000)

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        return moving_average(series, self.slots)


def moving_average(series: Series, slots: int) -> Forecaster:
    """Shares of the requests of the last ``slots`` slots together."""
    sums = np.concatenate([[0], np.cumsum(series.label)])

    def forecast(slot: int, movies: Ints) -> Floats:
        begins, ends = (series.elements_before(movies, at) for at in (slot - slots, slot))
        counts = sums[ends] - sums[begins]
        shares: Floats = counts / max(counts.sum(), 1)
        return shares

    return forecast


@register("all_time_share")
@dataclass(frozen=True)
class AllTimeShare(FixedMethod):
    """Mean of a movie's shares over all earlier slots with a request."""

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        # Fixed-point numbers add up exactly, so that movies with equal shares stay equal.
        fixed = np.rint(series.label_n * _FIXED_POINT).astype(np.int64)
        sums = np.concatenate([[0], np.cumsum(fixed)])
        requested = np.concatenate([[0], np.cumsum(series.totals > 0)])

        def forecast(slot: int, movies: Ints) -> Floats:
            ends = series.elements_before(movies, slot)
            earlier = (sums[ends] - sums[series.starts[movies]]) / _FIXED_POINT
            shares: Floats = earlier / requested[slot - series.first_slot]
            return shares

        return forecast


@register("all_time_count")
@dataclass(frozen=True)
class AllTimeCount(FixedMethod):
    """A movie's share of all earlier requests: what a least-frequently-used cache ranks by."""

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        sums = np.concatenate([[0], np.cumsum(series.label)])

        def forecast(slot: int, movies: Ints) -> Floats:
            counts = sums[series.elements_before(movies, slot)] - sums[series.starts[movies]]
            shares: Floats = counts / counts.sum()
            return shares

        return forecast
