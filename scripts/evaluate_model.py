"""Score a trained model on the validation and the test slots."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from popularity import networks, tables
from popularity.features import Features
from popularity.intervals import IntervalCheck
from popularity.program import run, whole
from popularity.scores import Forecast, score_forecasts, summarise
from popularity.windows import Series, read_series, split_slots


def recorded(forecasts: Iterable[Forecast], series: Series, writer: pq.ParquetWriter) -> Iterator[Forecast]:
    """Write each forecast as rows of :data:`tables.PREDICTIONS` on its way."""
    for slot, movies, shares in forecasts:
        columns = [
            pa.array(np.full(len(movies), slot, dtype=np.int32)),
            pa.array(series.movie_ids[movies]),
            pa.array(shares),
            pa.array(series.shares(movies, slot)),
        ]
        writer.write_table(pa.table(columns, schema=tables.PREDICTIONS))
        yield slot, movies, shares


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--model", type=Path, required=True, help="model.keras")
    parser.add_argument("--resolved", type=Path, required=True, help="the model's settings.json")
    parser.add_argument(
        "--interval", type=float, default=0.8, help="probability of the intervals to check (default: 0.8)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predictions", type=Path, required=True, help="to write: test slots")
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    networks.prepare(0, args.threads)
    settings = json.loads(args.resolved.read_text())
    series = read_series(args.sequences)
    features = Features.of_settings(series, tables.read(args.movies, tables.MOVIES), settings)
    model = networks.load_network(args.model)
    parts = split_slots(series, settings["split"])
    check = IntervalCheck(series, parts["validation"], args.interval)
    with (
        whole(args.predictions) as predictions,
        whole(args.scores) as scores,
        whole(args.metrics) as metrics,
        tables.open_writer(predictions, tables.PREDICTIONS) as writer,
    ):
        rows, summary = [], {}
        for part in ("validation", "test"):
            slots = series.requested_slots(parts[part])
            forecasts = networks.forecast_slots(model, settings["loss"], features, series, slots)
            forecasts = check.watch(forecasts, part)
            if part == "test":
                forecasts = recorded(forecasts, series, writer)
            scored = score_forecasts(series, forecasts)
            identity = {"name": settings["name"], "kind": "network", "seed": settings["seed"]}
            rows.append(scored.assign(**identity, split=part))
            summary[part] = summarise(scored)
        pd.concat(rows).to_parquet(scores, index=False)
        summary["intervals"] = check.summary()
        metrics.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
