"""A trained model as it is kept: what was asked, what was found, its network and its results.

Reading it needs no Keras; only :mod:`popularity.forecasters.network.inference` loads the network itself.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity.forecasters.evaluated import Evaluated, by_name
from popularity.offsets import Mixture
from popularity.program import Fault, reading
from popularity.results import read_csv
from popularity.settings.fields import SettingsError, as_json, parse
from popularity.settings.model import TrainingSettings

#: A network's weights, in Keras' order.
Weights = list[npt.NDArray[Any]]

#: What was asked and found, kept in the file of the network.
_MEMBER = "run.json"


@dataclass(frozen=True)
class Asked:
    """What a training was asked to do.

    Attributes
    ----------
    name
        The model's, an entry of ``models``.
    seed
        Of all that is drawn.
    settings
        All else that it depends on.
    """

    name: str
    seed: int
    settings: TrainingSettings


@dataclass(frozen=True)
class Found:
    """What a training found, and the use of its model depends on.

    Attributes
    ----------
    validated_to
        The last validation slot: later ones the model has never seen.
    offset
        The averages that the network's output is added to the log of; None for none.
    seasons
        Those that the log held often enough, in slots.
    covered_movies
        The movies that a model of all movies tells apart, by the log's own ids, in the order of its inputs
        and outputs; None for a model of one movie.
    genre_names
        Genres that the model knows, in its order; None where it sees none.
    best_epoch
        The epoch of the lowest ``val_loss``.
    parameters
        Numbers that were learned.
    correction
        The share of what was learned that is added to the offset, as the validation slots support it.
    """

    validated_to: int
    offset: Mixture | None = None
    seasons: tuple[int, ...] = ()
    covered_movies: tuple[str, ...] | None = None
    genre_names: tuple[str, ...] | None = None
    best_epoch: int = 0
    parameters: int = 0
    correction: float = 1.0


def append_run(path: Path, asked: Asked, found: Found) -> None:
    """Add to the file of a saved network what was asked and found."""
    text = json.dumps({"asked": as_json(asked), "found": as_json(found)}, sort_keys=True)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(_MEMBER), text)


def read_run(path: Path) -> tuple[Asked, Found]:
    """Read what was asked and found from the file of a saved network.

    Raises
    ------
    Fault
        If the file is none of ours.
    """
    try:
        with zipfile.ZipFile(path) as file:
            kept = json.loads(file.read(_MEMBER))
        return parse(Asked, kept["asked"]), parse(Found, kept["found"])
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, SettingsError) as error:
        raise Fault(f"{path}: no model that train_model saved ({error}); train it anew") from error


@dataclass(frozen=True)
class TrainedModel(Evaluated):
    """The folder of a trained model, with what its training and its evaluation wrote."""

    asked: Asked
    found: Found

    @classmethod
    def open(cls, folder: Path) -> "TrainedModel":
        """Open the folder of a training."""
        return cls(folder, *read_run(folder / "model.keras"))

    @property
    def name(self) -> str:
        """The model's name."""
        return self.asked.name

    @property
    def seed(self) -> int:
        """Of all that was drawn."""
        return self.asked.seed

    @property
    def network_file(self) -> Path:
        """File of the network."""
        return self.folder / "model.keras"

    def history(self) -> pd.DataFrame:
        """Read the history of its training, a row an epoch."""
        return read_csv(self.folder / "history.csv", "epoch", "loss", "val_loss", "seconds")

    def snapshots(self) -> Iterator[tuple[int, Weights]]:
        """Read the weights after each epoch of ``score_at_epochs``."""
        return read_snapshots(self.folder / "snapshots.npz")


def open_runs(folders: Iterable[Path]) -> dict[str, list[TrainedModel]]:
    """Open the folders of trainings: the runs of each model, one a seed, in the order given."""
    return by_name(map(TrainedModel.open, folders))


def save_snapshots(weights: Mapping[int, Sequence[npt.NDArray[Any]]], path: Path) -> None:
    """Write a model's weights by epoch."""
    arrays: dict[str, Any] = {
        f"{epoch}/{at}": array for epoch, kept in weights.items() for at, array in enumerate(kept)
    }
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_snapshots(path: Path) -> Iterator[tuple[int, Weights]]:
    """Read a model's weights by epoch."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        for epoch in sorted({int(name.split("/")[0]) for name in arrays.files}):
            count = sum(name.startswith(f"{epoch}/") for name in arrays.files)
            yield epoch, [arrays[f"{epoch}/{at}"] for at in range(count)]
