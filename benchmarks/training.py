"""The problem of `bench_training.py`, in NumPy alone: the rows to learn from, and the judge of shares.

Run as a program, it writes what neuralforecast needs, as that has an environment of its own.
"""

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from popularity import tables
from popularity.features import Features, usable_seasons
from popularity.forecasters.mixture import tuned_offset
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import Found
from popularity.offsets import Mixture
from popularity.samples import Training, Windows
from popularity.scoring.cross_entropy import sampled_cross_entropy
from popularity.series import Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.model import TrainingSettings


@dataclass
class Problem:
    """A model's settings, completed, and what it is trained and judged on."""

    settings: TrainingSettings
    offset: Mixture | None
    seasons: tuple[int, ...]
    series: Series
    movies: pa.Table
    slots: dict[str, range]
    framing: Framing
    training: Training
    validation: Windows


def read_problem(sequences: Path, movies: Path, settings: TrainingSettings, seed: int) -> Problem:
    """Read the tables and frame them as `train_model.py` does, with targets at the last step alone."""
    series, catalogue = read_series(sequences, settings.slot), tables.read(movies, tables.MOVIES)
    slots = split_slots(series, settings.split)
    offset = tuned_offset(settings.offset, series, slots["validation"])
    last_step = dataclasses.replace(settings.model, output="last_step")
    settings = dataclasses.replace(settings, model=last_step)
    seasons = usable_seasons(series, settings.seasons, settings.model.features)
    found = Found(slots["validation"].stop - 1, offset, tuple(seasons))
    framing = Framing(series, catalogue, settings, found)
    training = framing.training(slots["training"], seed)
    validation = framing.validation(slots["validation"], seed)
    return Problem(settings, offset, found.seasons, series, catalogue, slots, framing, training, validation)


class Judge:
    """Cross entropy of forecasts for validation rows, as ``val_cross_entropy`` of history.csv is."""

    def __init__(
        self, slot: npt.NDArray[np.integer], label: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
    ) -> None:
        self._group = np.unique(slot, return_inverse=True)[1]
        self._label, self._weight = label, weight

    def __call__(self, shares: npt.NDArray[np.float64]) -> float:
        """Nats per request of shares [n], known up to a factor of their slot."""
        return sampled_cross_entropy(shares, self._label, self._weight, self._group)


def judge_of(validation: Windows) -> Judge:
    """Make the judge of rows whose last step is the target."""
    return Judge(validation.slot[:, -1], validation.label[:, -1, 0], validation.weight[:, -1, 0])


def write_long(problem: Problem, table: Path, rows: Path) -> None:
    """Write each movie's series, a row a slot with the log of the offset's share, and the judge's rows."""
    end = problem.slots["validation"].stop
    movies = np.flatnonzero(problem.series.first_request < end - 1)
    first = problem.series.first_request[movies] + 1
    settings = problem.settings
    names, gaps = settings.model.features, settings.gaps
    features = Features.of_catalogue(
        problem.series, problem.movies, names, settings.slot, 1, gaps, problem.offset, problem.seasons
    )
    schema = pa.schema(
        [("unique_id", pa.int32()), ("ds", pa.int32()), ("y", pa.float32()), ("log_average", pa.float32())]
    )
    with pq.ParquetWriter(table, schema) as writer:
        for part in np.array_split(np.arange(len(movies)), max(len(movies) // 500, 1)):
            lengths = end - first[part]
            movie = np.repeat(movies[part], lengths)
            slot = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - end, lengths)
            columns = [
                movie.astype(np.int32),
                slot.astype(np.int32),
                problem.series.labels(movie, slot).astype(np.float32),
                features(movie, slot)["offset"][:, 0],
            ]
            writer.write_table(pa.table(columns, schema=schema))
    windows = problem.validation
    np.savez(
        rows,
        movie=windows.movie[:, 0],
        slot=windows.slot[:, -1],
        label=windows.label[:, -1, 0],
        weight=windows.weight[:, -1, 0],
        first=problem.slots["validation"].start,
    )


def main() -> None:
    """Read the command line, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True)
    parser.add_argument("--movies", type=Path, required=True)
    parser.add_argument("--settings", type=json_argument(TrainingSettings), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    args = parser.parse_args()
    problem = read_problem(args.sequences, args.movies, args.settings, args.seed)
    write_long(problem, args.table, args.rows)


if __name__ == "__main__":
    main()
