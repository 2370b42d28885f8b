"""Put the parts of a trained model's evaluation together to what a single job would have written."""

import argparse
import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import popularity.start

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from popularity import tables
from popularity.forecasters.network.saved import TrainedModel
from popularity.program import atomic_write, run
from popularity.results import SCORED, VALIDATION_SUMS, read_json, read_scores, write_scores
from popularity.scoring.evaluation import SCORED_PARTS, Evaluation
from popularity.scoring.intervals import LEVEL_HELP, IntervalCheck
from popularity.scoring.scores import Forecast
from popularity.series import Series, read_series, split_slots


def copied(paths: Sequence[Path], writer: pq.ParquetWriter, series: Series) -> Iterator[Forecast]:
    """Copy predictions slot by slot, and pass each slot's on as a forecast."""
    for path in paths:
        for part in tables.batches(path, tables.PREDICTIONS, tables.PREDICTIONS.names):
            writer.write_table(part)
            slots, ids, shares = (tables.numbers(part[name]) for name in ("slot", "movieId", "predicted"))
            if len(slots):
                yield int(slots[0]), np.searchsorted(series.movie_ids, ids), shares


def gathered_scores(paths: Sequence[Path]) -> list[Evaluation]:
    """Read the scores of all parts: the evaluation of each forecaster, in the order they were made."""
    rows = read_scores([path for path in paths if tables.count(path, SCORED)], ())
    sums = [name for name in rows if name not in SCORED.names]
    found = []
    for name in rows["name"].unique().tolist():
        of_one = rows[rows["name"] == name]
        # Made row by row as they first were: the sums over columns depend on how these lie in memory.
        scored = {
            part: pd.DataFrame(of_one.loc[of_one["split"] == part, ["slot", *sums]].to_dict("records"))
            for part in SCORED_PARTS
        }
        kind, seed = of_one["kind"].iloc[0], int(of_one["seed"].iloc[0])
        found.append(Evaluation(scored, name, kind, seed))
    return found


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--run", type=Path, required=True, help="folder of train_model")
    parser.add_argument(
        "--shards", type=Path, nargs="+", required=True, help="folders of evaluate_model, in their order"
    )
    parser.add_argument("--interval", type=float, default=0.8, help=LEVEL_HELP)
    parser.add_argument("--predictions", type=Path, required=True, help="to write: test slots")
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    trained = TrainedModel.open(args.run)
    series = read_series(args.sequences, trained.asked.settings.slot)
    parts = split_slots(series, trained.asked.settings.split)
    check = IntervalCheck(series, parts["validation"], args.interval)
    for folder in args.shards:
        for excess, squares in read_json(folder / "metrics.json", VALIDATION_SUMS)[VALIDATION_SUMS]:
            check.add(excess, squares)
    evaluations = gathered_scores([folder / "scores.parquet" for folder in args.shards])
    with (
        atomic_write(args.predictions) as predictions,
        atomic_write(args.scores) as scores,
        atomic_write(args.metrics) as metrics,
        tables.open_writer(predictions, tables.PREDICTIONS) as writer,
    ):
        paths = [folder / "predictions.parquet" for folder in args.shards]
        deque(check.watch(copied(paths, writer, series), "test"), maxlen=0)
        write_scores(scores, [one.scores for one in evaluations])
        summary = {**evaluations[0].metrics, "intervals": check.summary()}
        metrics.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
