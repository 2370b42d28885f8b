"""Forecasts that see the slot or later ones: no competitors, but what a forecast is measured against."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from popularity.averages import UNIFORM_SHARE, DecayedShares
from popularity.forecasters.averages import Ewma, HalfLife, HalfLives
from popularity.forecasters.base import (
    FixedMethod,
    Floats,
    Forecaster,
    NoParameters,
    SimpleMethod,
    register,
)
from popularity.series import Ints, Series
from popularity.settings.fields import setting


@register("oracle")
@dataclass(frozen=True)
class Oracle(FixedMethod):
    """The true shares: the upper edge of what a forecast can reach."""

    kind: ClassVar[str] = "reference"

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        return oracle(series)


def oracle(series: Series) -> Forecaster:
    """Forecast the true shares."""
    return lambda slot, movies: series.shares(movies, slot)


@register("two_sided_ewma")
@dataclass(frozen=True)
class TwoSidedEwma(SimpleMethod[HalfLife]):
    """Exponentially weighted average of the slots before and after, but not of the slot.

    It shows how much better a rate could be known.
    """

    kind: ClassVar[str] = "reference"
    parameters: ClassVar[type[HalfLife]] = HalfLife

    half_lives: HalfLives = setting("Half-lives in slots to choose from.", length=1, unique=True)

    def tune(self, series: Series, slots: range) -> HalfLife:
        """Choose the half-life, as that of an average of the slots before."""
        return Ewma(self.half_lives).tune(series, slots)

    def forecaster(self, series: Series, parameters: HalfLife) -> Forecaster:
        """Make the forecaster."""
        return two_sided_ewma(series, parameters.half_life)


def two_sided_ewma(series: Series, half_life: float) -> Forecaster:
    """Exponentially weighted average of the counts of the slots before and after, but not of the slot."""
    before = DecayedShares(series, [half_life])
    # The same log with its time turned back.
    backwards = np.lexsort((-series.slot, series.movie))
    turned = series.first_slot + series.last_slot
    after_series = Series(
        series.movie_ids,
        series.starts,
        turned - series.slot[backwards],
        series.label[backwards],
        series.avg_rating[backwards],
    )
    after = DecayedShares(after_series, [half_life])

    def forecast(slot: int, movies: Ints) -> Floats:
        at = np.full(len(movies), slot)
        counts = before.sums(movies, at)[:, 0]
        known = after_series.elements_before(movies, turned - at) > series.starts[movies]
        counts[known] += after.sums(movies[known], turned - at[known])[:, 0]
        shares = counts / max(counts.sum(), 1e-300)
        mixed: Floats = (1 - UNIFORM_SHARE) * shares + UNIFORM_SHARE / max(len(movies), 1)
        return mixed

    return forecast
