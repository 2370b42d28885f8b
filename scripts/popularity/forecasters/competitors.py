"""All forecasters that were evaluated: networks, fitted baselines and naive forecasts."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from popularity.forecasters.base import METHODS_HELP, SimpleMethod, load_methods, method_of
from popularity.forecasters.evaluated import Evaluated, by_name
from popularity.forecasters.fitted import FITTED_FILE, FittedBaseline
from popularity.forecasters.network.saved import TrainedModel
from popularity.program import Fault
from popularity.results import read_json, read_scores
from popularity.scoring.verdict import CHOSEN_BY
from popularity.settings.baselines import Baseline
from popularity.settings.fields import json_argument

#: What programs say of their option of folders.
RUNS_HELP = "folders of evaluated networks and fitted baselines"


@dataclass(frozen=True)
class Forecasters:
    """Networks, fitted baselines and naive forecasts that were evaluated.

    Attributes
    ----------
    evaluated
        The seeds of each network and fitted baseline, by name.
    naive
        Entries of ``baselines``, by name.
    scores_file, metrics_file
        What evaluate_baselines found of these; None where there is none.
    """

    evaluated: Mapping[str, Sequence[Evaluated]]
    naive: Mapping[str, Baseline]
    scores_file: Path | None
    metrics_file: Path | None

    @classmethod
    def given(cls, options: argparse.Namespace) -> "Forecasters":
        """Open those that the options of :func:`add_forecasters` name, and load their methods."""
        load_methods(options.methods)
        evaluated = open_evaluated(options.runs)
        return cls(evaluated, options.baselines, options.scores, options.metrics)

    @property
    def names(self) -> list[str]:
        """The names of all."""
        return sorted([*self.evaluated, *self.naive])

    def scores(self) -> pd.DataFrame:
        """Read what the best of them is chosen by: see ``verdict.best_on_validation``."""
        files = [seed.scores_file for seeds in self.evaluated.values() for seed in seeds]
        naive = [self.scores_file] if self.scores_file is not None else []
        return read_scores([*files, *naive], CHOSEN_BY)

    def simple(self, name: str) -> tuple[SimpleMethod[Any], dict[str, Any]]:
        """Give the settings of a naive forecast, and what its evaluation found."""
        if self.metrics_file is None:
            raise Fault(f"{name}: give the metrics.json of evaluate_baselines (--metrics)")
        method: SimpleMethod[Any] = method_of(self.naive[name], SimpleMethod)
        return method, read_json(self.metrics_file, name)[name]


def open_evaluated(folders: Iterable[Path]) -> dict[str, list[Evaluated]]:
    """Open the folders of networks and fitted baselines, one a seed: by name, in the order given."""
    return by_name(
        FittedBaseline.open(folder) if (folder / FITTED_FILE).exists() else TrainedModel.open(folder)
        for folder in folders
    )


def add_forecasters(parser: argparse.ArgumentParser) -> None:
    """Add the options that name forecasters: networks, fitted baselines and naive forecasts."""
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="*",
        default=[],
        help=RUNS_HELP,
    )
    parser.add_argument("--methods", type=Path, nargs="*", default=[], help=METHODS_HELP)
    parser.add_argument(
        "--baselines",
        type=json_argument(dict[str, Baseline]),
        default={},
        help="naive entries of baselines in config.yaml, as JSON",
    )
    parser.add_argument("--scores", type=Path, help="scores.parquet of evaluate_baselines")
    parser.add_argument("--metrics", type=Path, help="metrics.json of evaluate_baselines: what was chosen")
