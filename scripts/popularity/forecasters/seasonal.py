"""Forecasts that repeat the same place of an earlier season."""

from dataclasses import dataclass

import numpy as np

from popularity.forecasters.base import FixedMethod, Floats, Forecaster, NoParameters, register
from popularity.series import Ints, Series
from popularity.settings.fields import setting


@register("seasonal_naive")
@dataclass(frozen=True)
class SeasonalNaive(FixedMethod):
    """Shares of the slot one season ago."""

    season: int | None = setting(
        "Slots of a season (if not given: a day of hours, a week of days, else a year).", None, minimum=1
    )

    def forecaster(self, series: Series, parameters: NoParameters) -> Forecaster:
        """Make the forecaster."""
        if self.season is None:
            raise ValueError("the season of all was not resolved")
        season = self.season

        def forecast(slot: int, movies: Ints) -> Floats:
            requests = series.requests(np.array([slot - season]))[0]
            shares: Floats = series.labels(movies, slot - season) / max(requests, 1.0)
            return shares

        return forecast
