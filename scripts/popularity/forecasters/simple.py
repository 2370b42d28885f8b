"""Forecasts that repeat the past as it was: nothing is fitted, nothing is chosen."""

from dataclasses import dataclass

import numpy as np

from popularity.forecasters.base import FixedMethod, Floats, Forecaster, NoParameters, register
from popularity.series import Ints, Series
from popularity.settings.fields import setting
from popularity.states import CarriedSums

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

    def forecast(slot: int, movies: Ints) -> Floats:
        counts = series.requests_of_movies(range(slot - slots, slot))[movies]
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
        sums = CarriedSums(series, fixed)
        requested = np.concatenate([[0], np.cumsum(series.totals > 0)])

        def forecast(slot: int, movies: Ints) -> Floats:
            earlier = sums(slot)[movies] / _FIXED_POINT
            shares: Floats = earlier / requested[slot - series.first_slot]
            return shares

        return forecast


@register("all_time_count")
@dataclass(frozen=True)
class AllTimeCount(FixedMethod):
    """A movie's share of all earlier requests: what a least-frequently-used cache ranks by."""

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        sums = CarriedSums(series, series.label)

        def forecast(slot: int, movies: Ints) -> Floats:
            counts = sums(slot)[movies]
            shares: Floats = counts / counts.sum()
            return shares

        return forecast
