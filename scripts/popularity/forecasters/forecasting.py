"""Any forecaster, made ready to forecast: a network, a fitted baseline or a naive forecast."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.forecasters.base import forecast_slots
from popularity.forecasters.competitors import Forecasters
from popularity.forecasters.evaluated import Evaluated
from popularity.forecasters.fitted import FittedBaseline
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import TrainedModel
from popularity.scoring.cross_entropy import distribution
from popularity.scoring.evaluation import scored_slots
from popularity.scoring.intervals import IntervalCheck, pooled
from popularity.scoring.seeds import mean_over_seeds
from popularity.series import Series

Floats = npt.NDArray[np.float64]

#: Predicts the shares of a slot's candidates, [candidates], from a log.
Predict = Callable[[Series, int], Floats]


@dataclass(frozen=True)
class Ready:
    """What a forecast is made with.

    Attributes
    ----------
    predict
        Predicts the shares, which add up to 1, but for a model that tells fewer movies apart: the others
        have a share of 0.
    check
        What the validation slots say of the expected total and of the dispersion of a movie's requests, and
        how often such intervals held on the test slots: ``scoring.intervals.IntervalCheck.summary``.
    """

    predict: Predict
    check: dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What a forecast's intervals are checked on: see ``scored_slots``; and their ``level``."""

    parts: dict[str, range]
    validation_slots: int
    level: float


def make_ready(
    forecasters: Forecasters,
    name: str,
    series: Series,
    checked: Checked,
    movies: pa.Table,
    threads: int,
) -> Ready:
    """Make one of the forecasters ready; the shares of its seeds are averaged (:func:`mean_over_seeds`).

    How far a naive forecast is off is ``checked`` here; the evaluation of others has found it.
    """
    if name in forecasters.naive:
        return _naive(forecasters, name, series, checked)
    seeds = forecasters.evaluated[name]
    predictions = [_prediction(seed, movies, threads) for seed in seeds]
    partial = any(
        isinstance(seed, TrainedModel) and seed.asked.settings.model.of_all_movies for seed in seeds
    )

    def predict(series: Series, slot: int) -> Floats:
        mean = mean_over_seeds([prediction(series, slot) for prediction in predictions])
        return mean if partial else distribution(mean)

    return Ready(predict, pooled([seed.intervals() for seed in seeds]))


def _naive(forecasters: Forecasters, name: str, log: Series, checked: Checked) -> Ready:
    method, found = forecasters.simple(name)
    parameters = method.parameters_of(found)

    def predict(series: Series, slot: int) -> Floats:
        return distribution(method.forecaster(series, parameters)(slot, series.candidates(slot)))

    check = IntervalCheck(log, checked.parts["validation"], checked.level)
    for part, some in scored_slots(log, checked.parts, checked.validation_slots).items():
        for _ in check.watch(forecast_slots(method.forecaster(log, parameters), log, some), part):
            pass
    return Ready(predict, check.summary())


def _prediction(seed: Evaluated, movies: pa.Table, threads: int) -> Predict:
    if isinstance(seed, TrainedModel):
        return _of_network(seed, movies, threads)
    assert isinstance(seed, FittedBaseline)
    kept = seed.kept
    return lambda series, slot: kept.forecaster(series, movies, threads)(slot, series.candidates(slot))


def _of_network(trained: TrainedModel, movies: pa.Table, threads: int) -> Predict:
    # A forecast without a network needs no backend.
    from popularity.forecasters.network import inference

    inference.prepare(0, threads)
    network = inference.LastStep(inference.load_network(trained.network_file))

    def predict(series: Series, slot: int) -> Floats:
        framing = Framing(series, movies, trained.asked.settings, trained.found)
        _, covered, values = next(network.forecasts(framing, np.array([slot])))
        candidates = series.candidates(slot)
        shares = np.zeros(len(candidates))
        shares[np.searchsorted(candidates, covered)] = values
        return shares

    return predict
