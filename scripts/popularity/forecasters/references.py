"""Forecasts that see the slot or later ones: no competitors, but what a forecast is measured against."""

import math
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

#: Smaller sums count as none.
_LEAST = 1e-200


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
    before, after = DecayedShares(series, [half_life]), _LaterSums(series, half_life)

    def forecast(slot: int, movies: Ints) -> Floats:
        counts = before.sums(movies, np.full(len(movies), slot))[:, 0] + after(slot)[movies]
        shares = counts / max(counts.sum(), 1e-300)
        mixed: Floats = (1 - UNIFORM_SHARE) * shares + UNIFORM_SHARE / max(len(movies), 1)
        return mixed

    return forecast


class _LaterSums:
    """Decayed requests of every movie in the slots after one.

    They are made from the log's end towards its beginning, but asked for in the other direction. So the
    slots with requests go in blocks: the sums after each block are kept, those within one are made anew
    when they are asked for.
    """

    def __init__(self, series: Series, half_life: float) -> None:
        self._series = series
        self._factor = 0.5 ** (1 / half_life)
        self._slots = series.requested_slots(range(series.first_slot, series.last_slot + 1))
        self._size = math.isqrt(len(self._slots)) + 1
        # Sums from the slot after a block on, as of that slot, by block.
        self._kept = {len(self._slots) // self._size: np.zeros(len(series.movie_ids))}
        self._last: tuple[int, list[Floats]] | None = None

    def __call__(self, slot: int) -> Floats:
        """Compute them for every movie, float64 [M], as of the slot after this one."""
        at = int(np.searchsorted(self._slots, slot, side="right"))
        if at == len(self._slots):
            return np.zeros(len(self._series.movie_ids))
        block, place = divmod(at, self._size)
        sums: Floats = self._of_block(block)[place] * self._factor ** (self._slots[at] - slot - 1)
        return sums

    def _of_block(self, block: int) -> list[Floats]:
        """Compute the sums from each slot of a block on, as of that slot."""
        if self._last is not None and self._last[0] == block:
            return self._last[1]
        first = min(known for known in self._kept if known >= block)
        sums = self._kept[first]
        for one in range(first, block - 1, -1):
            self._kept[one] = sums
            made = []
            for at in reversed(range(one * self._size, min((one + 1) * self._size, len(self._slots)))):
                slot = int(self._slots[at])
                later = self._slots[at + 1] - slot if at + 1 < len(self._slots) else 0
                sums = sums * self._factor**later
                # Numbers just above 0 are slow.
                sums[sums < _LEAST] = 0
                elements = self._series.elements_in(range(slot, slot + 1))
                sums[self._series.movie[elements]] += self._series.label[elements]
                made.append(sums)
        # Replaced as one and never changed, so that threads may share it.
        self._last = block, made[::-1]
        return self._last[1]
