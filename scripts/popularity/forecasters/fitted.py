"""A fitted baseline as it is kept: all that it forecasts a log with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from popularity.forecasters.base import Fitted, FittingData, Forecaster, LearnedMethod, method_of
from popularity.forecasters.evaluated import Evaluated
from popularity.offsets import Mixture
from popularity.program import ANEW, Fault
from popularity.results import read_json
from popularity.series import Series, split_slots
from popularity.settings.baselines import FittingSettings
from popularity.settings.fields import SettingsError, as_json, parse

#: The file in a baseline's folder that keeps it.
FITTED_FILE = "fitted.json"


def fitting_data(
    settings: FittingSettings,
    series: Series,
    movies: pa.Table,
    offset: Mixture | None,
    seasons: Sequence[int],
    seed: int,
    threads: int,
) -> FittingData:
    """Make what a baseline with these settings is fitted on, of a log and its catalogue."""
    parts = split_slots(series, settings.split)
    training, validation = parts["training"], parts["validation"]
    return FittingData(series, movies, settings.slot, training, validation, offset, seasons, seed, threads)


@dataclass(frozen=True)
class KeptFit:
    """What a fitting was asked, and what it found.

    Attributes
    ----------
    name, seed
        The entry of ``baselines``, and of all that was drawn.
    settings
        All else that it depends on.
    offset
        The averages that it corrects; None for none.
    seasons
        Those that the log held often enough, in slots.
    fitted
        The model.
    """

    name: str
    seed: int
    settings: FittingSettings
    offset: Mixture | None
    seasons: tuple[int, ...]
    fitted: Fitted

    def forecaster(self, series: Series, movies: pa.Table, threads: int) -> Forecaster:
        """Make the forecaster of a log and its catalogue; its method's module has to be loaded."""
        asked = self.settings, series, movies, self.offset, self.seasons, self.seed, threads
        return method_of(self.settings.baseline, LearnedMethod).forecaster(
            fitting_data(*asked), self.fitted
        )

    def write(self, path: Path) -> None:
        """Write it to a path of `atomic_write`."""
        path.write_text(json.dumps(as_json(self), sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class FittedBaseline(Evaluated):
    """The folder of a fitted baseline."""

    kept: KeptFit

    @classmethod
    def open(cls, folder: Path) -> "FittedBaseline":
        """Open the folder of a fitting.

        Raises
        ------
        Fault
            If what it keeps is none of ours.
        """
        path = folder / FITTED_FILE
        try:
            return cls(folder, parse(KeptFit, read_json(path)))
        except SettingsError as error:
            raise Fault(f"{path}: no baseline that evaluate_learned fitted ({error}); {ANEW}") from error

    @property
    def name(self) -> str:
        """Its name in config.yaml."""
        return self.kept.name

    @property
    def seed(self) -> int:
        """Of all that was drawn."""
        return self.kept.seed
