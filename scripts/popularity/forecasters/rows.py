"""What learned baselines are fitted on: drawn pairs of a slot and a candidate, with their features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from popularity.features import Features
from popularity.forecasters.base import FittingData, Floats, Forecaster
from popularity.series import Ints, Series, distinct

#: Maps the columns [n, columns] to a raw score [n].
Score = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Rows:
    """Pairs of a slot and a candidate to fit on, [n] each; ``weight`` says for how many a row stands."""

    slot: Ints
    movie: Ints
    label: Floats
    weight: Floats


@dataclass(frozen=True)
class FittingTable:
    """Columns and targets of drawn pairs: see :func:`tabulate`."""

    columns: Floats
    base: Floats
    requests: Floats
    label: Floats
    weight: Floats


def draw_rows(series: Series, slots: range, count: int, generator: np.random.Generator) -> Rows:
    """Draw about ``count`` pairs of these slots: half with a request (at most all), the rest without.

    Weighted, sums over them are unbiased for sums over all pairs. Only what is drawn is ever held.
    """
    requested = series.requested_slots(slots)
    first_request = series.first_request
    by_first_request = np.argsort(first_request, kind="stable")
    # The candidates of a slot are the first so many of those.
    candidates = np.searchsorted(first_request[by_first_request], requested)
    ends = np.cumsum(candidates)
    pairs = int(ends[-1]) if len(ends) else 0

    later = np.ones(len(series.slot), dtype=bool)
    later[series.starts[:-1]] = False
    later &= (series.slot >= slots.start) & (series.slot < slots.stop)
    positives = np.flatnonzero(later)
    total = len(positives)
    if total > count // 2:
        positives = np.sort(generator.choice(positives, count // 2, replace=False, shuffle=False))
    drawn = np.unique(generator.integers(0, max(pairs, 1), min(count - len(positives), pairs)))
    at = np.searchsorted(ends, drawn, side="right")
    slot = requested[at]
    movie = by_first_request[drawn - (ends - candidates)[at]]
    idle = series.labels(movie, slot) == 0
    slot, movie = slot[idle], movie[idle]

    def weights(drawn: int, of: int) -> Floats:
        return np.full(drawn, of / max(drawn, 1))

    return Rows(
        np.concatenate([series.slot[positives], slot]).astype(np.int64),
        np.concatenate([series.movie[positives], movie]),
        np.concatenate([series.label[positives], np.zeros(len(slot))]).astype(np.float64),
        np.concatenate([weights(len(positives), total), weights(len(slot), pairs - total)]),
    )


def tabulate(features: Features, rows: Rows) -> FittingTable:
    """Compute the columns of rows, and what a forecast starts from.

    Returns
    -------
    ``columns`` [n, steps x step features + static features (+ 1 with an offset)], and ``base`` [n]: the
    log of the offset's share, without offset that of an even share. The expected count of a row is
    requests x exp(base + score).
    """
    columns, base = columns_and_base(features, rows.movie, rows.slot)
    return FittingTable(columns, base, features.series.requests(rows.slot), rows.label, rows.weight)


def columns_and_base(features: Features, movies: Ints, slots: Ints) -> tuple[Floats, Floats]:
    """Compute ``columns`` and ``base`` of :func:`tabulate` for pairs of a movie and a slot."""
    inputs = features(movies, slots)
    size = np.log(features.candidates(distinct(slots)))
    base = inputs["offset"][:, 0].astype(np.float64)
    parts: list[npt.NDArray[np.floating]] = [inputs["steps"].reshape(len(movies), -1), inputs["static"]]
    if features.has_offset:
        parts.append((base + size)[:, None])
    else:
        base = np.broadcast_to(-size, len(slots))
    return np.concatenate(parts, axis=1, dtype=np.float64), base


def features_of(data: FittingData, names: Sequence[str], window: int = 1) -> Features:
    """Make the features of a learned baseline."""
    return Features.of_catalogue(
        data.series, data.movies, names, data.slot, window, "calendar", data.offset, data.seasons
    )


def fitting_tables(features: Features, data: FittingData, count: int) -> tuple[FittingTable, FittingTable]:
    """Draw rows of the training and of the validation slots, ``count`` each at most."""
    generator = np.random.default_rng(data.seed)
    training, validation = (
        tabulate(features, draw_rows(features.series, slots, count, generator))
        for slots in (data.training, data.validation)
    )
    return training, validation


def exponential_forecaster(features: Features, score: Score) -> Forecaster:
    """Forecast shares that are proportional to the base's share times the exponential of a score."""

    def forecast(slot: int, movies: Ints) -> Floats:
        columns, base = columns_and_base(features, movies, np.full(len(movies), slot))
        logits = base + score(columns)
        odds = np.exp(logits - logits.max(initial=-np.inf))
        shares: Floats = odds / odds.sum()
        return shares

    return forecast
