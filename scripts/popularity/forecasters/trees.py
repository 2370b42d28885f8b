"""Gradient-boosted trees of a slot's requests."""

from dataclasses import dataclass

import lightgbm
import numpy as np
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
    exponential_forecaster,
    features_of,
    fitting_tables,
)
from popularity.settings.fields import setting
from popularity.settings.model import Feature

#: Settings of the trees, after those that were found to help on such logs; the seed and threads come
#: on top. Smaller steps of smaller trees (a learning rate of 0.03, 400 rounds, 15 leaves) forecast as
#: well, and take five times as long. The same seed gives the same trees (deterministic), whatever else
#: the machine does.
TREES = {
    "objective": "poisson",
    "learning_rate": 0.2,
    "num_leaves": 31,
    "min_data_in_leaf": 400,
    "lambda_l2": 10.0,
    "feature_fraction": 0.6,
    "poisson_max_delta_step": 0.7,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
MOST_ROUNDS = 65
#: Rounds without a better fit to the validation rows before the trees stop growing.
PATIENCE = 10


@register("lightgbm")
@dataclass(frozen=True)
class Trees(LearnedMethod):
    """Gradient-boosted trees with a Poisson loss, grown from the log of the base's count."""

    features: tuple[Feature, ...] = setting("Names of what it sees.", length=1, unique=True)
    offset: str = setting("What is learned to be corrected, and seen, too.", words="offset")
    training_rows: int = setting("Pairs of a slot and a movie drawn to learn from.", minimum=100)

    def fit(self, data: FittingData) -> Fitted:
        """Fit them, and choose their number on the validation slots."""
        features = features_of(data, self.features)
        training, validation = fitting_tables(features, data, self.training_rows)
        # Sums in another order have other last digits.
        with threadpool_limits(data.threads):
            booster = _fit_trees(training, validation, data.seed, data.threads)
        rounds = booster.best_iteration
        return Fitted({"rounds": rounds}, booster.model_to_string(num_iteration=rounds))

    def forecaster(self, data: FittingData, fitted: Fitted) -> Forecaster:
        """Make the forecaster, of LightGBM's own text of the trees."""
        booster = lightgbm.Booster(model_str=fitted.model)

        def score(columns: Floats) -> Floats:
            raw = booster.predict(columns, raw_score=True, num_threads=data.threads)
            return np.asarray(raw, dtype=np.float64)

        return exponential_forecaster(features_of(data, self.features), score)


def _fit_trees(
    training: FittingTable, validation: FittingTable, seed: int, threads: int
) -> lightgbm.Booster:
    parameters = {**TREES, "seed": seed, "num_threads": threads}
    data = [
        lightgbm.Dataset(
            table.columns, table.label, weight=table.weight, init_score=table.base + np.log(table.requests)
        )
        for table in (training, validation)
    ]
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(parameters, data[0], MOST_ROUNDS, valid_sets=[data[1]], callbacks=[stop])
