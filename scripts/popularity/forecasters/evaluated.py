"""The folder of a forecaster that was trained or fitted, with what its evaluation wrote."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from popularity.results import read_json


@dataclass(frozen=True)
class Evaluated(ABC):
    """One seed of a forecaster, and its folder."""

    folder: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in config.yaml."""

    @property
    @abstractmethod
    def seed(self) -> int:
        """Of all that was drawn."""

    @property
    def predictions_file(self) -> Path:
        """Table of the predictions for the test slots."""
        return self.folder / "predictions.parquet"

    @property
    def scores_file(self) -> Path:
        """Table of its scores, a row a slot."""
        return self.folder / "scores.parquet"

    def intervals(self) -> dict[str, Any]:
        """Read what the check of its intervals found: see ``scoring.intervals``."""
        found: dict[str, Any] = read_json(self.folder / "metrics.json", "intervals")["intervals"]
        return found


E = TypeVar("E", bound=Evaluated)


def by_name(opened: Iterable[E]) -> dict[str, list[E]]:
    """Group the seeds of each forecaster, in the order given."""
    found: dict[str, list[E]] = {}
    for one in opened:
        found.setdefault(one.name, []).append(one)
    return found
