"""Regressions of a slot's requests: ridge on the shares before, and Poisson on features."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from popularity.forecasters.base import (
    Fitted,
    FittingData,
    Floats,
    Forecaster,
    LearnedMethod,
    register,
)
from popularity.forecasters.rows import (
    FittingTable,
    columns_and_base,
    exponential_forecaster,
    features_of,
    fitting_tables,
)
from popularity.series import Ints
from popularity.settings.fields import Limits, as_json, parse, setting
from popularity.settings.model import Feature

Penalties = tuple[Annotated[float, Limits(above=0)], ...]


@dataclass(frozen=True)
class Line:
    """A linear function of columns.

    Attributes
    ----------
    coefficients, intercept
        One of each column, and the value where all columns are 0.
    """

    coefficients: tuple[float, ...]
    intercept: float

    def __call__(self, columns: Floats) -> Floats:
        """Compute the values of rows, [n]."""
        values: Floats = columns @ np.array(self.coefficients) + self.intercept
        return values

    def fitted(self, penalty: float) -> Fitted:
        """Tell it and the weight of the squared coefficients that was chosen."""
        return Fitted({"penalty": penalty}, json.dumps(as_json(self)))

    @classmethod
    def of(cls, fitted: Fitted) -> "Line":
        """Read what :meth:`fitted` tells."""
        line: Line = parse(cls, json.loads(fitted.model))
        return line


@register("ridge")
@dataclass(frozen=True)
class RidgeRegression(LearnedMethod):
    """Least squares of shares on the shares before, busy slots counting more, by their requests."""

    lags: int = setting("How many slots before it looks at.", minimum=1, maximum=1000)
    penalties: Penalties = setting(
        "Weights of the squared coefficients to choose from.", length=1, unique=True
    )
    training_rows: int = setting("Pairs of a slot and a movie drawn to learn from.", minimum=100)

    def fit(self, data: FittingData) -> Fitted:
        """Fit it, and choose the penalty on the validation slots."""
        features = features_of(data, ["label_n"], self.lags)
        tables = fitting_tables(features, data, self.training_rows)
        # Shares in units of an even one, so that a penalty means the same whatever the catalogue.
        shares = [table.label / table.requests * (1 / np.exp(table.base)) for table in tables]
        weights = [table.weight * table.requests for table in tables]

        def fit(penalty: float) -> tuple[Line, float]:
            model = Ridge(penalty, solver="cholesky")
            model.fit(tables[0].columns, shares[0], weights[0] / weights[0].mean())
            line = Line(tuple(model.coef_.tolist()), float(model.intercept_))
            return line, float(weights[1] @ (line(tables[1].columns) - shares[1]) ** 2)

        # Sums in another order have other last digits.
        with threadpool_limits(data.threads):
            return _least(fit, self.penalties)

    def forecaster(self, data: FittingData, fitted: Fitted) -> Forecaster:
        """Make the forecaster."""
        features, score = features_of(data, ["label_n"], self.lags), Line.of(fitted)

        def forecast(slot: int, movies: Ints) -> Floats:
            columns, base = columns_and_base(features, movies, np.full(len(movies), slot))
            predicted: Floats = np.maximum(score(columns), 0) * np.exp(base)
            return predicted

        return forecast


@register("poisson_glm")
@dataclass(frozen=True)
class PoissonRegression(LearnedMethod):
    """Poisson regression of counts on features, with the base's count as the exposure."""

    features: tuple[Feature, ...] = setting("Names of what it sees.", length=1, unique=True)
    offset: str = setting("What is learned to be corrected, and seen, too.", words="offset")
    penalties: Penalties = setting(
        "Weights of the squared coefficients to choose from.", length=1, unique=True
    )
    training_rows: int = setting("Pairs of a slot and a movie drawn to learn from.", minimum=100)

    def fit(self, data: FittingData) -> Fitted:
        """Fit it, and choose the penalty on the validation slots."""
        features = features_of(data, self.features)
        training, validation = fitting_tables(features, data, self.training_rows)
        with threadpool_limits(data.threads):
            return _fit_poisson(training, validation, self.penalties)

    def forecaster(self, data: FittingData, fitted: Fitted) -> Forecaster:
        """Make the forecaster."""
        return exponential_forecaster(features_of(data, self.features), Line.of(fitted))


def _fit_poisson(training: FittingTable, validation: FittingTable, penalties: Sequence[float]) -> Fitted:
    scaler = StandardScaler().fit(training.columns, sample_weight=training.weight)
    columns = scaler.transform(training.columns)
    # A count of an exposure is a rate that weighs as much as the exposure.
    exposure = training.requests * np.exp(training.base)

    def fit(penalty: float) -> tuple[Line, float]:
        model = PoissonRegressor(alpha=penalty, solver="newton-cholesky", max_iter=100)
        model.fit(columns, training.label / exposure, training.weight * exposure)
        # Of columns as they are.
        slopes = model.coef_ / scaler.scale_
        line = Line(tuple(slopes.tolist()), float(model.intercept_ - scaler.mean_ @ slopes))
        return line, poisson_loss(validation, line(validation.columns))

    return _least(fit, penalties)


def poisson_loss(table: FittingTable, score: Floats) -> float:
    """Negative log likelihood of the counts, but for a constant, weighted."""
    logs = np.log(table.requests) + table.base + score
    return float(table.weight @ (np.exp(logs) - table.label * logs))


def _least(fit: Callable[[float], tuple[Line, float]], penalties: Sequence[float]) -> Fitted:
    """Fit with each penalty and keep the one of the least loss."""
    fits = {penalty: fit(penalty) for penalty in penalties}
    best = min(fits, key=lambda penalty: fits[penalty][1])
    return fits[best][0].fitted(best)
