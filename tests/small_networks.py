"""Small networks' settings, in a test's own words: what differs from a few that train in no time."""

import dataclasses
from typing import Any

from popularity.forecasters.network.saved import Asked, Found
from popularity.offsets import Average
from popularity.series import Series
from popularity.settings.fields import parse
from popularity.settings.model import ModelSettings, TrainingSettings
from popularity.settings.slots import FoldSplit

#: A network that is trained in a second.
SMALL_MODEL: dict[str, Any] = {
    "window": 4,
    "gaps": "calendar",
    "output": "last_step",
    "cell": "gru",
    "layers": [4],
    "dense_units": 4,
    "dropout": 0.0,
    "features": ["log_count", "ewma_3", "log_age"],
    "offset": "ewma",
    "loss": "softmax_cross_entropy",
    "optimizer": "adam",
    "learning_rate": 0.02,
    "weight_decay": None,
    "ema_momentum": 0.9,
    "batch_size": 64,
    "epochs": 2,
    "patience": None,
    "sampled_movies": 5,
    "epoch_steps": None,
    "training_windows": 100,
}


def asked_of(changes: dict[str, Any] | None = None, name: str = "test", seed: int = 1) -> Asked:
    """Ask for a model whose settings differ in these from the small one's."""
    model: ModelSettings = parse(ModelSettings, {**SMALL_MODEL, **(changes or {})})
    return Asked(name, seed, TrainingSettings(model, "day", FoldSplit(), None))


def found_of(asked: Asked, series: Series, training: range, top: int = 6) -> Found:
    """Find an average for a model with an offset, and the most requested movies for one of all movies."""
    model = asked.settings.model
    found = Found(validated_to=training.stop - 1)
    if model.offset != "none":
        found = dataclasses.replace(found, offset=Average((5.0,), (1.0,)).mixture(0.02))
    if model.of_all_movies:
        covered = series.movie_ids[series.most_requested(training, top)]
        found = dataclasses.replace(found, covered_movies=tuple(map(str, covered.tolist())))
    return found
