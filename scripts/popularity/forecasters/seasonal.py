"""Forecasts that repeat the same place of an earlier season."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from popularity.averages import UNIFORM_SHARE
from popularity.forecasters.base import (
    FixedMethod,
    Floats,
    Forecaster,
    NoParameters,
    SimpleMethod,
    register,
)
from popularity.forecasters.mixture import (
    SEASON_HALF_LIVES,
    Seasons,
    mixture_forecaster,
    requested_shares,
)
from popularity.offsets import Component, Mixture
from popularity.seasons import covered_seasons, season_clock
from popularity.series import Ints, Series
from popularity.settings.fields import setting


@register("seasonal_naive")
@dataclass(frozen=True)
class SeasonalNaive(FixedMethod):
    """Shares of the slot one season ago, on the clock."""

    season: int | None = setting(
        "Slots of a season (if not given: the shortest of the settings).", None, minimum=1
    )

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        if self.season is None:
            raise ValueError("the season of all was not resolved")
        season = self.season
        clock = season_clock(series, season)

        def forecast(slot: int, movies: Ints) -> Floats:
            shown = clock(np.array([slot - season, slot]))
            # Fewer or more slots have passed where clocks changed in between.
            ago = slot - season + int(shown[1] - season - shown[0])
            shares: Floats = series.labels(movies, ago) / max(series.requests(np.array([ago]))[0], 1.0)
            return shares

        return forecast


@dataclass(frozen=True)
class SeasonalHalfLife:
    """What a seasonal average is of.

    Attributes
    ----------
    season
        In slots; 0 where the log holds no season often enough, and the average is of all slots.
    half_life
        In seasons, or slots where there is none.
    """

    season: int
    half_life: float

    def mixture(self) -> Mixture:
        """Mix it with the even share."""
        of = "season" if self.season else "counts"
        average = Component(of, self.half_life, self.season, 1 - UNIFORM_SHARE)
        return Mixture((average, Component("even", weight=UNIFORM_SHARE)))


@register("seasonal_average")
@dataclass(frozen=True)
class SeasonalAverage(SimpleMethod[SeasonalHalfLife]):
    """Exponentially weighted average of the counts at the same place of earlier seasons."""

    parameters: ClassVar[type[SeasonalHalfLife]] = SeasonalHalfLife

    seasons: Seasons | None = setting(
        "Lengths in slots of the seasons to choose from (if not given: those of the settings).",
        None,
        unique=True,
    )

    def tune(self, series: Series, slots: range) -> SeasonalHalfLife:
        """Choose the season and the half-life."""
        seasons = covered_seasons(series, self.seasons or ()) or [0]
        options = [
            SeasonalHalfLife(season, half_life) for season in seasons for half_life in SEASON_HALF_LIVES
        ]
        parts = [part for option in options for part in option.mixture().components]
        (requested,) = requested_shares(series, list(dict.fromkeys(parts)), slots)
        weights = [
            [part.weight if part in option.mixture().components else 0.0 for part in dict.fromkeys(parts)]
            for option in options
        ]
        losses = [requested.loss(np.array(row)) for row in weights]
        return options[int(np.argmin(losses))]

    def forecaster(self, series: Series, parameters: SeasonalHalfLife) -> Forecaster:
        """Make the forecaster."""
        return mixture_forecaster(series, parameters.mixture())
