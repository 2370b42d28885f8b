"""Expected requests of each movie and their intervals, from a forecast of shares.

A movie's requests have a negative binomial distribution. Its mean is the predicted share times the
expected requests of the slot for all movies known by then. The dispersion is the same for all movies and
estimated on the validation slots, so that it covers the uncertainty of the slot's total as well.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from scipy.stats import nbinom

from popularity.scoring.cross_entropy import distribution
from popularity.scoring.scores import Forecast
from popularity.series import Series

Floats = npt.NDArray[np.float64]

#: Half-lives, in slots, to choose from for the expected total of a slot.
TOTAL_HALF_LIVES = (1, 2, 3, 5, 7, 10, 14, 20, 28, 42, 60, 90, 130, 200, 400)
#: What programs say of their option of the level.
LEVEL_HELP = "probability of the intervals to check (default: 0.8)"
#: Smallest dispersion: practically a Poisson distribution.
LEAST_DISPERSION = 1e-6
#: Quantiles below so many requests are looked up, where many movies have one dispersion.
LOOKED_UP = 1024


def known_totals(series: Series) -> Floats:
    """Count each slot's requests for movies that were requested in an earlier slot: its candidates."""
    first = series.starts[:-1]
    at, size = series.slot[first] - series.first_slot, len(series.totals)
    new = np.bincount(at, weights=series.label[first], minlength=size).astype(np.float64)
    return series.totals - new


def expected_totals(totals: Floats, half_life: float) -> Floats:
    """Expect each slot's requests: the exponentially weighted average of the slots before it.

    Parameters
    ----------
    totals
        [n] requests of each slot.

    Returns
    -------
    float64 [n + 1], the last one for the slot after them; 0 for the first slot.
    """
    decay = 0.5 ** (1 / half_life)
    expected = np.zeros(len(totals) + 1)
    requests = weight = 0.0
    for at, total in enumerate(totals, 1):
        requests = decay * requests + total
        weight = decay * weight + 1
        expected[at] = requests / weight
    return expected


def tuned_half_life(totals: Floats, validation: slice) -> float:
    """Choose the half-life of :func:`expected_totals` with the lowest Poisson deviance on these slots."""
    losses = []
    for half_life in TOTAL_HALF_LIVES:
        expected = np.maximum(expected_totals(totals, half_life)[:-1][validation], 1e-12)
        losses.append(float((expected - totals[validation] * np.log(expected)).sum()))
    return float(TOTAL_HALF_LIVES[int(np.argmin(losses))])


def expected_requests(shares: Floats, total: float) -> Floats:
    """Distribute a slot's expected requests over its candidates by their predicted shares."""
    return total * distribution(shares)


def bounds(expected: Floats, dispersion: float | Floats, level: float) -> tuple[Floats, Floats]:
    """Find the central interval of negative binomial requests.

    Parameters
    ----------
    expected
        [n] expected requests, their mean.
    dispersion
        The variance is ``expected + dispersion * expected ** 2``; a number, or [n].
    level
        Least probability of the interval; at most half of the rest lies on each side of it.

    Returns
    -------
    Lowest and highest number of requests, [n] each.
    """
    size = 1 / np.maximum(dispersion, LEAST_DISPERSION)
    chance = size / (size + expected)
    low, high = np.zeros((2, len(expected)))
    # A shortcut for most movies: 0 requests alone have that probability.
    some = size * np.log(chance) < np.log((1 + level) / 2)
    of_some = expected[some], size if np.ndim(size) == 0 else size[some], chance[some]
    low[some] = _quantiles((1 - level) / 2, *of_some)
    high[some] = _quantiles((1 + level) / 2, *of_some)
    return low, high


def _quantiles(probability: float, expected: Floats, size: float | Floats, chance: Floats) -> Floats:
    """Find the quantiles of distributions with these means, sizes and chances, [n]."""
    if isinstance(size, np.ndarray):
        return np.asarray(nbinom.ppf(probability, size, chance))
    quantiles = np.searchsorted(_largest_means(probability, float(size)), expected).astype(np.float64)
    large = quantiles == LOOKED_UP
    quantiles[large] = nbinom.ppf(probability, size, chance[large])
    return quantiles


@functools.lru_cache
def _largest_means(probability: float, size: float) -> Floats:
    """Find up to which mean the quantile is 0, 1, … requests, [:data:`LOOKED_UP`].

    That a negative binomial number is at most k has the probability I_p(size, k + 1), the regularised
    incomplete beta function, where p = size / (size + mean).
    """
    chance = betaincinv(size, np.arange(LOOKED_UP) + 1.0, probability)
    with np.errstate(divide="ignore"):
        means: Floats = size * (1 - chance) / chance
    return means


#: What marks the part of a check that is of pairs with at least one expected request.
LARGE = "_expected_1"


class IntervalCheck:
    """Estimates the dispersion on the validation slots and checks the intervals on the test slots.

    Parameters
    ----------
    series
        The log.
    validation
        The validation slots, which also choose the half-life of the totals.
    level
        As in :func:`bounds`.
    """

    def __init__(self, series: Series, validation: range, level: float = 0.8) -> None:
        self._series = series
        self._level = level
        totals = known_totals(series)
        slots = slice(validation.start - series.first_slot, validation.stop - series.first_slot)
        self.total_half_life = tuned_half_life(totals, slots)
        self._totals = expected_totals(totals, self.total_half_life)
        #: For each validation slot the sums of :meth:`add`.
        self.sums: list[tuple[float, float]] = []
        # Sums over pairs of a slot and a candidate.
        self._excess = self._squares = 0.0
        self._counted = {False: np.zeros(3), True: np.zeros(3)}

    def watch(self, forecasts: Iterable[Forecast], part: str) -> Iterator[Forecast]:
        """Pass on the forecasts of the ``validation`` slots or, later, the ``test`` slots, and use each."""
        for slot, movies, shares in forecasts:
            if len(movies) and np.isfinite(shares).all():
                expected = expected_requests(shares, self._totals[slot - self._series.first_slot])
                counts = self._series.labels(movies, slot)
                if part == "validation":
                    excess = float(((counts - expected) ** 2 - expected).sum())
                    self.add(excess, float(expected @ expected))
                else:
                    self._count(expected, counts)
            yield slot, movies, shares

    def add(self, excess: float, squares: float) -> None:
        """Add a validation slot's sums of the squared errors beyond Poisson's, and of the squared means."""
        self.sums.append((excess, squares))
        self._excess += excess
        self._squares += squares

    @property
    def dispersion(self) -> float:
        """The estimate by the method of moments: squared errors beyond Poisson's / squared means."""
        return max(self._excess / self._squares, LEAST_DISPERSION) if self._squares else LEAST_DISPERSION

    def _count(self, expected: Floats, counts: Floats) -> None:
        low, high = bounds(expected, self.dispersion, self._level)
        inside = (counts >= low) & (counts <= high)
        size = 1 / self.dispersion
        chance = size / (size + expected)
        probability = np.exp(size * np.log(chance))
        some = high > 0
        probability[some] = nbinom.cdf(high[some], size, chance[some])
        probability[some] -= nbinom.cdf(low[some] - 1, size, chance[some])
        for large, which in ((False, slice(None)), (True, expected >= 1)):
            found = inside[which]
            self._counted[large] += [len(found), found.sum(), probability[which].sum()]

    def summary(self) -> dict[str, Any]:
        """Summarise the check.

        Returns
        -------
        ``interval`` (the level), ``total_half_life``, ``dispersion``. For all pairs of a test slot and a
        candidate: ``pairs``, ``coverage`` (share of pairs whose requests lie in the interval) and
        ``expected_coverage`` (the coverage if the distribution were true; above the level, since
        requests are whole numbers). With the suffix ``_expected_1`` the same for pairs with at least
        one expected request: the zeros of the others are easy to cover. None where there is no pair.
        """
        summary: dict[str, Any] = {
            "interval": self._level,
            "total_half_life": self.total_half_life,
            "dispersion": self.dispersion,
        }
        for large, (pairs, inside, probability) in self._counted.items():
            suffix = LARGE if large else ""
            summary[f"pairs{suffix}"] = int(pairs)
            summary[f"coverage{suffix}"] = float(inside / pairs) if pairs else None
            summary[f"expected_coverage{suffix}"] = float(probability / pairs) if pairs else None
        return summary


def pooled(checks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the checks of a forecaster's seeds together, as :meth:`IntervalCheck.summary` gives them.

    The dispersion is the mean of theirs, a coverage that of the pairs of all.
    """
    summary = {**checks[0], "dispersion": float(np.mean([check["dispersion"] for check in checks]))}
    for suffix in ("", LARGE):
        counts = [check[f"pairs{suffix}"] for check in checks]
        summary[f"pairs{suffix}"] = sum(counts)
        for name in (f"coverage{suffix}", f"expected_coverage{suffix}"):
            inside = sum(count * check[name] for count, check in zip(counts, checks, strict=True) if count)
            summary[name] = inside / sum(counts) if sum(counts) else None
    return summary
