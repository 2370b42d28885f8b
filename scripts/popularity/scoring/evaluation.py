"""The evaluation of a forecaster: its forecasts of the validation and of the test slots, scored."""

import argparse
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from popularity.scoring.scores import Forecast, Forecasts, score_together, summarise
from popularity.series import Ints, Series, spread

#: Looks at the forecasts of a part of the slots, given by name, on their way.
Watch = Callable[[Iterable[Forecast], str], Iterable[Forecast]]

#: Parts of the log that every forecaster is scored on.
SCORED_PARTS = ("validation", "test")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation finds.

    Attributes
    ----------
    scored
        For each of :data:`SCORED_PARTS` what ``score_forecasts`` gives: a row for each slot.
    name, kind, seed
        What identifies the forecaster.
    """

    scored: dict[str, pd.DataFrame]
    name: str
    kind: str
    seed: int

    @property
    def scores(self) -> pd.DataFrame:
        """The rows of all parts, with ``name``, ``kind``, ``seed`` and ``split``."""
        parts: list[pd.DataFrame] = [
            rows.assign(name=self.name, kind=self.kind, seed=self.seed, split=part)
            for part, rows in self.scored.items()
        ]
        return pd.concat(parts)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """For each part what ``summarise`` makes of its rows."""
        return {part: summarise(rows) for part, rows in self.scored.items()}


def add_validation_slots(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--validation-slots``: see :func:`scored_slots`."""
    parser.add_argument(
        "--validation-slots",
        type=int,
        default=300,
        help="most validation slots to score; of more, so many that are evenly spread",
    )


def scored_slots(series: Series, parts: dict[str, range], validation_slots: int) -> dict[str, Ints]:
    """Select the slots of :data:`SCORED_PARTS` that are scored: those with requests.

    Parameters
    ----------
    parts
        As ``split_slots`` makes them.
    validation_slots
        Most validation slots: fewer than a long log has are enough to choose by. Of more, so many that
        are evenly spread.
    """
    slots = {part: series.requested_slots(parts[part]) for part in SCORED_PARTS}
    return {**slots, "validation": spread(slots["validation"], validation_slots)}


def evaluate(
    forecast: Callable[[Ints], Iterable[Forecasts]],
    series: Series,
    parts: dict[str, range],
    validation_slots: int,
    common: int,
    forecasters: Sequence[tuple[str, str, int]],
    watch: Watch | None = None,
) -> list[Evaluation]:
    """Score forecasters side by side on those of the :data:`SCORED_PARTS` slots that have requests.

    Parameters
    ----------
    forecast
        Forecasts slots, int [n] and rising, one by one, by each of the forecasters.
    parts
        The slots of ``training``, ``validation`` and ``test``: see ``split_slots``.
    validation_slots
        As in :func:`scored_slots`.
    common
        As in ``score_forecasts``.
    forecasters
        Name, kind and seed of each.
    watch
        Looks at the first one's forecasts of a part, given by name, on their way to the scores.
    """
    found: list[dict[str, pd.DataFrame]] = [{} for _ in forecasters]
    for part, slots in scored_slots(series, parts, validation_slots).items():
        forecasts = forecast(slots)
        if watch is not None:
            forecasts = _watched(forecasts, watch, part)
        scored = score_together(series, forecasts, len(forecasters), parts["training"], common)
        for of_one, rows in zip(found, scored, strict=True):
            of_one[part] = rows
    return [Evaluation(scored, *whose) for scored, whose in zip(found, forecasters, strict=True)]


def _watched(forecasts: Iterable[Forecasts], watch: Watch, part: str) -> Iterable[Forecasts]:
    """Let the first of several forecasters be watched on its way."""
    seen, whole = itertools.tee(forecasts)
    first = watch(((slot, movies, several[0]) for slot, movies, several in seen), part)
    return (several for _, several in zip(first, whole, strict=True))
