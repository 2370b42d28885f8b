"""Exponential decay: how much less what lies some slots back counts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from popularity.series import Ints

Floats = npt.NDArray[np.float64]


class Decay:
    """What values still count after gaps, for several half-lives.

    It looks powers up, which takes a tenth of what it takes to compute one for each movie and slot.

    Parameters
    ----------
    half_lives
        After so many slots a value counts half as much.
    slots
        Gaps up to this are looked up; larger ones are computed.
    """

    def __init__(self, half_lives: Sequence[float], slots: int) -> None:
        self.factors: Floats = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
        self._powers: Floats = self.factors ** np.arange(slots + 1)[:, None]

    def __call__(self, gaps: Ints) -> Floats:
        """Compute the factors after gaps [n] of 0 or more slots, [n, half-lives]."""
        if len(gaps) and gaps.max() >= len(self._powers):
            computed: Floats = self.factors ** gaps[:, None]
            return computed
        return self._powers.take(gaps, axis=0)
