"""Score a trained model on the validation and the test slots, or on a part of them."""

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import popularity.start

from popularity import tables
from popularity.forecasters.network import inference
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import TrainedModel
from popularity.own import add_own, load_own
from popularity.predictions import watching
from popularity.program import SHARD_HELP, atomic_write, parse_shard, run
from popularity.results import VALIDATION_SUMS, write_scores
from popularity.scoring.evaluation import add_validation_slots, evaluate
from popularity.scoring.intervals import LEVEL_HELP, IntervalCheck
from popularity.scoring.scores import COMMON_HELP
from popularity.series import read_series, split_slots


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--run", type=Path, required=True, help="folder of train_model")
    parser.add_argument("--interval", type=float, default=0.8, help=LEVEL_HELP)
    add_own(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predictions", type=Path, required=True, help="to write: test slots")
    add_validation_slots(parser)
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    parser.add_argument("--shard", type=parse_shard, default=(0, 1), help=SHARD_HELP)
    args = parser.parse_args()

    inference.prepare(0, args.threads)
    load_own(args.own)
    trained = TrainedModel.open(args.run)
    series = read_series(args.sequences, trained.asked.settings.slot)
    movies = tables.read(args.movies, tables.MOVIES)
    framing = Framing(series, movies, trained.asked.settings, trained.found)
    model = inference.load_network(trained.network_file)
    parts = split_slots(series, trained.asked.settings.split)
    check = IntervalCheck(series, parts["validation"], args.interval)
    with (
        atomic_write(args.predictions) as predictions,
        atomic_write(args.scores) as scores,
        atomic_write(args.metrics) as metrics,
        tables.open_writer(predictions, tables.PREDICTIONS) as writer,
    ):
        whole = args.shard == (0, 1)
        snapshots = dict(trained.snapshots())
        names = [trained.name, *(f"{trained.name}_{epoch}" for epoch in snapshots)]
        forecast = functools.partial(
            inference.LastStep(model).forecasts_with,
            [model.get_weights(), *snapshots.values()],
            framing,
            shard=args.shard,
        )
        found = evaluate(
            *(forecast, series, parts, args.validation_slots, args.common),
            [(name, "network", trained.seed) for name in names],
            watching(check, series, writer, whole),
        )
        write_scores(scores, [one.scores for one in found])
        # What gather_evaluation makes the summary of a whole of.
        summary: dict[str, Any] = {VALIDATION_SUMS: check.sums}
        if whole:
            summary = {**found[0].metrics, "intervals": check.summary()}
        metrics.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
