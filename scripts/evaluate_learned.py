"""Fit a learned baseline on the training slots, and score it on the validation and the test slots."""

import argparse
import functools
import json
from pathlib import Path

import popularity.start

from popularity import tables
from popularity.features import usable_seasons
from popularity.forecasters.base import (
    METHODS_HELP,
    LearnedMethod,
    forecast_together,
    load_methods,
    method_of,
)
from popularity.forecasters.fitted import KeptFit, fitting_data
from popularity.forecasters.mixture import tuned_offset
from popularity.predictions import watching
from popularity.program import atomic_write, run
from popularity.results import write_scores
from popularity.scoring.evaluation import add_validation_slots, evaluate
from popularity.scoring.intervals import LEVEL_HELP, IntervalCheck
from popularity.scoring.scores import COMMON_HELP
from popularity.series import read_series, split_slots
from popularity.settings.baselines import FittingSettings
from popularity.settings.fields import as_json, json_argument


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--name", required=True, help="the baseline's name")
    parser.add_argument("--methods", type=Path, nargs="+", required=True, help=METHODS_HELP)
    parser.add_argument(
        "--settings",
        type=json_argument(FittingSettings),
        required=True,
        help="all that the fitting depends on, as JSON",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    add_validation_slots(parser)
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--interval", type=float, default=0.8, help=LEVEL_HELP)
    parser.add_argument("--fitted", type=Path, required=True, help="fitted.json, to write: the model")
    parser.add_argument("--predictions", type=Path, required=True, help="to write: test slots")
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    load_methods(args.methods)
    settings: FittingSettings = args.settings
    series = read_series(args.sequences, settings.slot)
    parts = split_slots(series, settings.split)
    offset = tuned_offset(settings.offset, series, parts["validation"])
    seasons = usable_seasons(series, settings.seasons, settings.baseline.options.get("features", ()))
    movies = tables.read(args.movies, tables.MOVIES)
    data = fitting_data(settings, series, movies, offset, seasons, args.seed, args.threads)
    fitted = method_of(settings.baseline, LearnedMethod).fit(data)
    kept = KeptFit(args.name, args.seed, settings, offset, tuple(seasons), fitted)
    forecaster = kept.forecaster(series, movies, args.threads)
    forecast = functools.partial(forecast_together, [forecaster], series)
    check = IntervalCheck(series, parts["validation"], args.interval)
    with (
        atomic_write(args.fitted) as model,
        atomic_write(args.predictions) as predictions,
        atomic_write(args.scores) as scores,
        atomic_write(args.metrics) as metrics,
        tables.open_writer(predictions, tables.PREDICTIONS) as writer,
    ):
        watch = watching(check, series, writer)
        scored = (parts, args.validation_slots, args.common)
        identity = (args.name, LearnedMethod.kind, args.seed)
        (found,) = evaluate(forecast, series, *scored, [identity], watch)
        kept.write(model)
        write_scores(scores, [found.scores])
        summary = {
            "name": found.name,
            "kind": found.kind,
            "seed": found.seed,
            "offset_weights": as_json(offset),
            **fitted.chosen,
            **found.metrics,
            "intervals": check.summary(),
        }
        metrics.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
