"""Settings of experiments: folds of a backtest, grids of models, and a search for better settings."""

from dataclasses import dataclass
from typing import Any

from popularity.settings.fields import setting


@dataclass(frozen=True)
class Backtest:
    """How often all is repeated with earlier test slots."""

    folds: int = setting(
        "Blocks of test slots, one before the other, that everything is trained and scored for.",
        1,
        minimum=1,
        maximum=100,
    )


@dataclass(frozen=True)
class Sweep:
    """Models that differ in the settings of a grid; null leaves them out."""

    grid: dict[str, tuple[Any, ...]] = setting(
        "For each setting of a model to vary, its values; null leaves one out.", length=1, null_entries=True
    )
    model: str | None = setting("The entry of models that they start from; null for the defaults.", None)


@dataclass(frozen=True)
class Range:
    """Bounds of a setting to search."""

    low: float = setting("Least value.")
    high: float = setting("Greatest value.")
    log: bool = setting("Search on a log scale.", False)


#: For each setting of a model, the values to choose from, or their range.
Space = dict[str, tuple[Any, ...] | Range]


@dataclass(frozen=True)
class Search:
    """What ``snakemake search`` tries, by the cross entropy of the validation slots."""

    model: str | None = setting("The entry of models that it starts from; null for the defaults.", None)
    trials: int = setting("How many settings it tries in all.", 20, minimum=1)
    space: Space = setting(
        "For each setting of a model to search, its values (a list) or its range; null leaves one out.",
        {
            "learning_rate": Range(0.0005, 0.01, log=True),
            "layers": ([16], [32], [64], [32, 32]),
            "dropout": Range(0.0, 0.4),
        },
        length=1,
        null_entries=True,
    )
