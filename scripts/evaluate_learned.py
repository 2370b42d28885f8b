"""Fit a learned baseline on the training slots and score it on the validation and the test slots."""

import argparse
import functools
import json
from pathlib import Path

import popularity.start

from popularity import tables
from popularity.features import Features
from popularity.forecasters.baselines import forecast_slots, tuned_average
from popularity.forecasters.learned import build_learned, feature_settings
from popularity.program import atomic_write, run
from popularity.results import write_scores
from popularity.scoring.evaluation import evaluate
from popularity.scoring.scores import COMMON_HELP
from popularity.series import read_series, split_slots


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--name", required=True, help="the baseline's name")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="the baseline's resolved settings, as JSON"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    settings = args.settings
    series = read_series(args.sequences)
    parts = split_slots(series, settings["split"])
    offset = tuned_average(series, settings["offset_grid"], parts["validation"])
    movies = tables.read(args.movies, tables.MOVIES)
    features = Features.of_settings(series, movies, feature_settings(settings, offset))
    forecaster, chosen = build_learned(features, settings, parts, args.seed, args.threads)
    identity = {"name": args.name, "kind": "learned", "seed": args.seed}
    forecast = functools.partial(forecast_slots, forecaster, series)
    found = evaluate(forecast, series, parts, args.common, **identity)
    metrics = {**identity, "offset_weights": offset, **chosen, **found.metrics}
    with atomic_write(args.scores) as scores_path, atomic_write(args.metrics) as metrics_path:
        write_scores(scores_path, [found.scores])
        metrics_path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
