"""Forecasts that are fitted without a network: ridge, Poisson regression, gradient-boosted trees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from popularity.features import Features
from popularity.forecasters.baselines import Forecaster
from popularity.series import Ints, Series

Floats = npt.NDArray[np.float64]

#: Maps the columns [n, columns] to a raw score [n].
Score = Callable[[Floats], Floats]

#: Settings of the trees, after those that were found to help on such logs; the seed and threads come
#: on top. The same seed gives the same trees (deterministic), whatever else the machine does.
TREES = {
    "objective": "poisson",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 400,
    "lambda_l2": 10.0,
    "feature_fraction": 0.6,
    "poisson_max_delta_step": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MOST_ROUNDS = 400
#: Rounds without a better fit to the validation rows before the trees stop growing.
PATIENCE = 25


@dataclass(frozen=True)
class Rows:
    """Pairs of a slot and a candidate to fit on, [n] each; ``weight`` says for how many a row stands."""

    slot: Ints
    movie: Ints
    label: Floats
    weight: Floats


@dataclass(frozen=True)
class Table:
    """What is fitted on: see :func:`tabulate`."""

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


def tabulate(features: Features, rows: Rows) -> Table:
    """Compute the columns of rows, and what a forecast starts from.

    Returns
    -------
    ``columns`` [n, steps x step features + static features (+ 1 with an offset)], and ``base`` [n]: the
    log of the offset's share, without offset that of an even share. The expected count of a row is
    requests x exp(base + score).
    """
    columns, base = _columns_and_base(features, rows.movie, rows.slot)
    return Table(columns, base, features.series.requests(rows.slot), rows.label, rows.weight)


def _columns_and_base(features: Features, movies: Ints, slots: Ints) -> tuple[Floats, Floats]:
    inputs = features(movies, slots)
    size = np.log(features.candidates(slots))
    base = inputs["offset"][:, 0].astype(np.float64)
    parts: list[npt.NDArray] = [inputs["steps"].reshape(len(movies), -1), inputs["static"]]
    if features.has_offset:
        parts.append((base + size)[:, None])
    else:
        base = -size
    return np.hstack(parts).astype(np.float64), base


def build_learned(
    features: Features,
    spec: dict[str, Any],
    slots: dict[str, range],
    seed: int,
    threads: int,
) -> tuple[Forecaster, dict[str, Any]]:
    """Fit what an entry of ``baselines`` with a learned method describes.

    Parameters
    ----------
    features
        Those of the entry: see :func:`feature_settings`.
    slots
        ``training`` to fit on, and ``validation`` to choose a penalty or a number of trees by.
    seed, threads
        Of the rows that are drawn, and of the trees.

    Returns
    -------
    The forecaster, and what was chosen.
    """
    generator = np.random.default_rng(seed)
    training, validation = (
        tabulate(features, draw_rows(features.series, slots[part], spec["training_rows"], generator))
        for part in ("training", "validation")
    )
    fit = {"ridge": _fit_ridge, "poisson_glm": _fit_poisson, "lightgbm": _fit_trees}[spec["method"]]
    # Sums in another order have other last digits.
    with threadpool_limits(threads):
        score, chosen = fit(training, validation, spec, seed, threads)

    def forecast(slot: int, movies: Ints) -> Floats:
        columns, base = _columns_and_base(features, movies, np.full(len(movies), slot))
        if spec["method"] == "ridge":
            return np.maximum(score(columns), 0) * np.exp(base)
        logits = base + score(columns)
        shares = np.exp(logits - logits.max(initial=-np.inf))
        return shares / shares.sum()

    return forecast, chosen


def feature_settings(spec: dict[str, Any], offset_weights: dict[str, Any] | None) -> dict[str, Any]:
    """Settings of :meth:`Features.of_settings` for an entry of ``baselines``."""
    lags = spec["method"] == "ridge"
    return {
        "features": ["label_n"] if lags else spec["features"],
        "window": spec["lags"] if lags else 1,
        "gaps": "calendar",
        "slot": spec["slot"],
        "offset_weights": offset_weights,
    }


def _fit_ridge(
    training: Table, validation: Table, spec: dict[str, Any], seed: int, threads: int
) -> tuple[Score, dict[str, Any]]:
    """Least squares of shares on the shares before, busy slots counting more, by their requests."""
    # Shares in units of an even one, so that a penalty means the same whatever the catalogue.
    scale = [1 / np.exp(table.base) for table in (training, validation)]
    shares = [
        table.label / table.requests * s for table, s in zip((training, validation), scale, strict=True)
    ]
    weights = [table.weight * table.requests for table in (training, validation)]

    def fit(penalty: float) -> tuple[Score, float]:
        model = Ridge(penalty, solver="cholesky")
        model.fit(training.columns, shares[0], weights[0] / weights[0].mean())
        error = model.predict(validation.columns) - shares[1]
        return model.predict, float(weights[1] @ error**2)

    return _least(fit, spec["penalties"])


def _fit_poisson(
    training: Table, validation: Table, spec: dict[str, Any], seed: int, threads: int
) -> tuple[Score, dict[str, Any]]:
    """Poisson regression of counts on the features, with the base's count as the exposure."""
    scaler = StandardScaler().fit(training.columns, sample_weight=training.weight)
    columns = [scaler.transform(table.columns) for table in (training, validation)]
    # A count of an exposure is a rate that weighs as much as the exposure.
    exposure = training.requests * np.exp(training.base)

    def fit(penalty: float) -> tuple[Score, float]:
        model = PoissonRegressor(alpha=penalty, solver="newton-cholesky", max_iter=100)
        model.fit(columns[0], training.label / exposure, training.weight * exposure)

        def score(raw: Floats) -> Floats:
            return scaler.transform(raw) @ model.coef_ + model.intercept_

        return score, poisson_loss(validation, columns[1] @ model.coef_ + model.intercept_)

    return _least(fit, spec["penalties"])


def poisson_loss(table: Table, score: Floats) -> float:
    """Negative log likelihood of the counts, but for a constant, weighted."""
    logs = np.log(table.requests) + table.base + score
    return float(table.weight @ (np.exp(logs) - table.label * logs))


def _least(
    fit: Callable[[float], tuple[Score, float]], penalties: list[float]
) -> tuple[Score, dict[str, Any]]:
    """Fit with each penalty and keep the one of the least loss."""
    fits = {penalty: fit(penalty) for penalty in penalties}
    best = min(fits, key=lambda penalty: fits[penalty][1])
    return fits[best][0], {"penalty": best}


def _fit_trees(
    training: Table, validation: Table, spec: dict[str, Any], seed: int, threads: int
) -> tuple[Score, dict[str, Any]]:
    """Gradient-boosted trees with a Poisson loss, grown from the log of the base's count."""
    parameters = {**TREES, "seed": seed, "num_threads": threads}
    data = [
        lightgbm.Dataset(
            table.columns, table.label, weight=table.weight, init_score=table.base + np.log(table.requests)
        )
        for table in (training, validation)
    ]
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(parameters, data[0], MOST_ROUNDS, valid_sets=[data[1]], callbacks=[stop])

    def score(columns: Floats) -> Floats:
        raw = booster.predict(
            columns, raw_score=True, num_iteration=booster.best_iteration, num_threads=threads
        )
        return np.asarray(raw, dtype=np.float64)

    return score, {"rounds": booster.best_iteration}
