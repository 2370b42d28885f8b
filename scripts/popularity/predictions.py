"""The table of predictions: written on the way from a forecaster to its scores."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from popularity import tables
from popularity.scoring.evaluation import Watch
from popularity.scoring.intervals import IntervalCheck
from popularity.scoring.scores import Forecast
from popularity.series import Series


def recorded(forecasts: Iterable[Forecast], series: Series, writer: pq.ParquetWriter) -> Iterator[Forecast]:
    """Write each forecast as rows of :data:`tables.PREDICTIONS` on its way.

    In a slot without requests, as one after the log, the true shares are null.
    """
    for slot, movies, shares in forecasts:
        known = series.requests(np.array([slot]))[0] > 0
        true = pa.array(series.shares(movies, slot)) if known else pa.nulls(len(movies), pa.float64())
        columns = [
            pa.array(np.full(len(movies), slot, dtype=np.int32)),
            pa.array(series.movie_ids[movies]),
            pa.array(shares),
            true,
        ]
        writer.write_table(pa.table(columns, schema=tables.PREDICTIONS))
        yield slot, movies, shares


def watching(check: IntervalCheck, series: Series, writer: pq.ParquetWriter, whole: bool = True) -> Watch:
    """Check the intervals of an evaluation's forecasts, and record those of the test slots.

    Where the evaluation is not the ``whole`` one, the test slots' intervals are left to who has all of it.
    """

    def watch(forecasts: Iterable[Forecast], part: str) -> Iterable[Forecast]:
        watched = check.watch(forecasts, part) if whole or part == "validation" else forecasts
        return recorded(watched, series, writer) if part == "test" else watched

    return watch
