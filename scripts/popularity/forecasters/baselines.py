"""Forecasts without a network, which every network has to stand beside."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.features import (
    UNIFORM_SHARE,
    DecayedShares,
    decayed_totals,
    requested_with_decayed_sums,
)
from popularity.scoring import scores
from popularity.scoring.cross_entropy import request_losses
from popularity.series import Ints, Series

#: Predicts the shares [candidates] of a slot from slots before it.
Forecaster = Callable[[int, Ints], npt.NDArray[np.float64]]

#: Methods that see the slot or later ones, so that they are no competitors.
REFERENCES = ("oracle", "two_sided_ewma")

#: What is chosen for ``croston`` and ``tsb``.
SMOOTHING = ("smoothing", "rate_smoothing")

#: 1 as a fixed-point number, of which 64 bits hold half a million.
_FIXED_POINT = 2**44


def tune_baseline(series: Series, spec: dict[str, Any], slots: range) -> dict[str, Any]:
    """Choose what an entry of ``baselines`` in config.yaml leaves open, by cross entropy on these slots.

    Returns
    -------
    By name what was chosen, as JSON can hold it; nothing where there is nothing to choose.
    """
    method = spec["method"]
    if method in ("croston", "tsb"):
        return dict(zip(SMOOTHING, tuned_smoothing(series, spec, slots), strict=True))
    if method not in ("ewma", "ewma_mix", "two_sided_ewma"):
        return {}
    average = tuned_average(series, spec, slots)
    assert average is not None
    return average if method == "ewma_mix" else {"half_life": average["half_lives"][0]}


def build_baseline(series: Series, spec: dict[str, Any], chosen: Mapping[str, Any]) -> Forecaster:
    """Make the forecaster of an entry of ``baselines`` in config.yaml, with what was chosen for it."""
    method = spec["method"]
    uniform_share = spec.get("uniform_share", UNIFORM_SHARE)
    if method == "ewma":
        return ewma(series, chosen["half_life"], uniform_share)
    if method == "ewma_mix":
        return ewma_mix(series, chosen, uniform_share)
    if method == "two_sided_ewma":
        return two_sided_ewma(series, chosen["half_life"])
    if method in ("croston", "tsb"):
        return intermittent(series, method, *(chosen[name] for name in SMOOTHING))
    if method == "moving_average":
        return moving_average(series, spec["slots"])
    if method == "seasonal_naive":
        return seasonal_naive(series, spec["season"])
    return METHODS[method](series)


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


def seasonal_naive(series: Series, season: int) -> Forecaster:
    """Shares of the slot one season (a number of slots) ago."""

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        requests = series.requests(np.array([slot - season]))[0]
        return series.labels(movies, slot - season) / max(requests, 1.0)

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


def ewma(series: Series, half_life: float, uniform_share: float = UNIFORM_SHARE) -> Forecaster:
    """Exponentially weighted average of counts: see :class:`features.DecayedShares`."""
    return ewma_mix(series, {"half_lives": [half_life], "weights": [1.0]}, uniform_share)


def ewma_mix(
    series: Series, average: Mapping[str, Sequence[float]], uniform_share: float = UNIFORM_SHARE
) -> Forecaster:
    """Weighted sum of exponentially weighted averages, given by ``half_lives`` and ``weights``."""
    shares = DecayedShares(series, average["half_lives"])
    weights = np.asarray(average["weights"], dtype=np.float64)

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        size = len(movies)
        return shares(movies, np.full(size, slot), np.full(size, float(size)), uniform_share) @ weights

    return forecast


def two_sided_ewma(series: Series, half_life: float) -> Forecaster:
    """Exponentially weighted average of the counts of the slots before and after, but not of the slot.

    It sees the future, so it is no competitor: it shows how much better a rate could be known.
    """
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

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        at = np.full(len(movies), slot)
        counts = before.sums(movies, at)[:, 0]
        known = after_series.elements_before(movies, turned - at) > series.starts[movies]
        counts[known] += after.sums(movies[known], turned - at[known])[:, 0]
        shares = counts / max(counts.sum(), 1e-300)
        return (1 - UNIFORM_SHARE) * shares + UNIFORM_SHARE / max(len(movies), 1)

    return forecast


def intermittent(series: Series, method: str, size: float, rate: float) -> Forecaster:
    """Size of a movie's requests times how often it has some, as shares: see :func:`_walk_demand`."""
    states = np.zeros((len(series.slot), 2))
    elements: Ints = np.zeros(0, dtype=np.int64)
    for _, coming, sizes, rates in _walk_demand(series, method, [size], [rate]):
        movies = series.movie[elements]
        states[elements] = np.hstack([sizes[movies], rates[movies]])
        elements = coming

    def forecast(slot: int, movies: Ints) -> npt.NDArray[np.float64]:
        last = series.elements_before(movies, slot) - 1
        sizes, rates = states[last].T
        if method == "tsb":
            # As of the movie requested last: after a long silence all would vanish.
            idle = series.slot[last].max(initial=0) - series.slot[last]
            rates = rates * (1 - rate) ** idle
        return sizes * rates / max((sizes * rates).sum(), 1e-300)

    return forecast


def _walk_demand(
    series: Series, method: str, size_smoothing: Sequence[float], rate_smoothing: Sequence[float]
) -> Iterator[tuple[int, Ints, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Walk the slots that have requests, smoothing each movie's demand as for intermittent series.

    The size of a movie's requests is smoothed over the slots in which it has some. With ``croston`` so
    are the slots from one of them to the next, whose inverse is the rate (Croston 1972, "Forecasting and
    stock control for intermittent demands"); with ``tsb`` the rate is the smoothed share of slots with a
    request, so that it falls while there is none (Teunter, Syntetos and Babai 2011, "Intermittent
    demand: linking forecasting to inventory obsolescence"). A movie's series begins with the log, and
    what is smoothed with its first value.

    Yields
    ------
    A slot, its elements, and before it the sizes [M, size constants] and rates [M, rate constants], 0
    for movies without a request so far, which are not to be changed; at last without elements.
    """
    first, alpha, beta = series.first_slot, np.array(size_smoothing), np.array(rate_smoothing)
    sizes = np.zeros((len(series.movie_ids), len(alpha)))
    rates = np.zeros((len(series.movie_ids), len(beta)))
    intervals = np.zeros_like(rates)
    latest = np.full(len(series.movie_ids), first - 1)
    previous = first
    for elements in series.elements_by_slot():
        slot, movies = int(series.slot[elements[0]]), series.movie[elements]
        yield slot, elements, sizes, rates
        counts = series.label[elements, None]
        new = sizes[movies, :1] == 0
        sizes[movies] = np.where(new, counts, sizes[movies] + alpha * (counts - sizes[movies]))
        if method == "croston":
            interval = (slot - latest[movies])[:, None]
            smoothed = intervals[movies] + beta * (interval - intervals[movies])
            intervals[movies] = np.where(new, interval, smoothed)
            rates[movies] = 1 / intervals[movies]
        else:
            rates *= (1 - beta) ** (slot - previous)
            rates[movies] += 1.0 if slot == first else beta
        latest[movies] = previous = slot
    yield series.last_slot + 1, np.zeros(0, dtype=np.int64), sizes, rates


def oracle(series: Series) -> Forecaster:
    """The true shares: no competitor, but the upper edge of what a forecast can reach."""
    return lambda slot, movies: series.shares(movies, slot)


def tuned_average(
    series: Series, spec: dict[str, Any] | None, slots: range
) -> dict[str, list[float]] | None:
    """Choose the average that an entry of ``baselines`` describes, by cross entropy on these slots.

    Parameters
    ----------
    spec
        With the method ``ewma`` its ``half_lives``, with ``ewma_mix`` its ``short`` and ``long`` ones and
        the ``weights`` of the short one, each pair of which with the short one below the long is tried.
        None: there is nothing to choose.

    Returns
    -------
    ``half_lives`` and their ``weights`` that add up to 1: what :class:`features.Features` takes as the
    offset, and :func:`ewma_mix`.
    """
    if spec is None:
        return None
    options = [([half_life], [1.0]) for half_life in spec.get("half_lives", [])]
    if spec["method"] == "ewma_mix":
        pairs = [pair for pair in itertools.product(spec["short"], spec["long"]) if pair[0] < pair[1]]
        options = [(list(pair), [w, round(1 - w, 12)]) for pair in pairs for w in spec["weights"]]
    half_lives = sorted({half_life for used, _ in options for half_life in used})
    # One column of weights for each option.
    weights = np.zeros((len(half_lives), len(options)))
    for at, (used, shares) in enumerate(options):
        weights[[half_lives.index(half_life) for half_life in used], at] = shares
    uniform_share = spec.get("uniform_share", UNIFORM_SHARE)
    losses = np.zeros(len(options))
    for counts, averages, size in requested_averages(series, half_lives, slots):
        predicted = (1 - uniform_share) * averages @ weights + uniform_share / size
        losses += counts @ request_losses(predicted, size)
    best, chosen = options[int(np.argmin(losses))]
    return {"half_lives": best, "weights": chosen}


def tuned_smoothing(series: Series, spec: dict[str, Any], slots: range) -> tuple[float, float]:
    """Choose the constants of :func:`intermittent` that have the lowest cross entropy on these slots.

    With ``croston`` sizes and intervals have one constant, of ``smoothing``; with ``tsb`` the sizes have
    one of ``smoothing`` and the rates one of ``rate_smoothing``.
    """
    sizes, rates = spec["smoothing"], spec.get("rate_smoothing", spec["smoothing"])
    options = list(itertools.product(range(len(sizes)), range(len(rates))))
    if spec["method"] == "croston":
        options = [(at, at) for at in range(len(sizes))]
    by_size, by_rate = np.array(options).T
    losses = np.zeros(len(options))
    for slot, elements, size, rate in _walk_demand(series, spec["method"], sizes, rates):
        known = elements[size[series.movie[elements], 0] > 0]
        if slot not in slots or not len(known):
            continue
        # The rates as of the last slot with a request: shares are the same.
        candidates = int((size[:, 0] > 0).sum())
        sums = (size.T @ rate)[by_size, by_rate]
        movies = series.movie[known]
        shares = size[movies][:, by_size] * rate[movies][:, by_rate] / sums
        losses += series.label[known] @ request_losses(shares, candidates)
    best = options[int(np.argmin(losses))]
    return sizes[best[0]], rates[best[1]]


def requested_averages(
    series: Series, half_lives: Sequence[float], slots: range
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], int]]:
    """Walk the requested candidates of each of the slots, holding no more than a number a movie.

    Yields
    ------
    Their counts [n], their average shares [n, half-lives] before the slot and without any part spread
    evenly, and the number of all candidates of the slot.
    """
    requested = series.requested_slots(range(series.first_slot, slots.stop))
    totals = decayed_totals(series.requests(requested), requested, half_lives)
    decay = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
    first_request = np.sort(series.first_request)
    for slot, elements, sums, since in requested_with_decayed_sums(series, series.label, half_lives):
        if slot >= slots.stop:
            return
        if slot not in slots:
            continue
        known = series.slot[series.starts[series.movie[elements]]] < slot
        if known.any():
            # As of the latest slot with requests: after a long silence both sums would vanish.
            latest = np.searchsorted(requested, slot) - 1
            averages = sums[known] * decay ** (requested[latest] - since[known])[:, None] / totals[latest]
            size = int(np.searchsorted(first_request, slot))
            yield series.label[elements[known]].astype(np.float64), averages, size


#: The methods that have nothing to set.
METHODS: dict[str, Callable[[Series], Forecaster]] = {
    "all_zero": all_zero,
    "last_value": last_value,
    "all_time_share": all_time_share,
    "all_time_count": all_time_count,
    "oracle": oracle,
}
