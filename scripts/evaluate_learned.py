"""Fit a learned baseline on the training slots and score it on the validation and the test slots."""

import argparse
import functools
import json
from pathlib import Path

import popularity.start

from popularity import tables
from popularity.features import usable_seasons
from popularity.forecasters.base import (
    METHODS_HELP,
    FittingData,
    LearnedMethod,
    forecast_slots,
    load_methods,
    method_of,
)
from popularity.forecasters.mixture import tuned_offset
from popularity.program import atomic_write, run
from popularity.results import write_scores
from popularity.scoring.evaluation import evaluate
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
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    load_methods(args.methods)
    settings: FittingSettings = args.settings
    series = read_series(args.sequences, settings.slot)
    parts = split_slots(series, settings.split)
    data = FittingData(
        series,
        tables.read(args.movies, tables.MOVIES),
        settings.slot,
        parts["training"],
        parts["validation"],
        tuned_offset(settings.offset, series, parts["validation"]),
        usable_seasons(series, settings.seasons, settings.baseline.options.get("features", ())),
        args.seed,
        args.threads,
    )
    forecaster, chosen = method_of(settings.baseline, LearnedMethod).fit(data)
    identity = {"name": args.name, "kind": LearnedMethod.kind, "seed": args.seed}
    forecast = functools.partial(forecast_slots, forecaster, series)
    found = evaluate(forecast, series, parts, args.common, **identity)
    offset = {"offset_weights": as_json(data.offset)}
    metrics = {**identity, **offset, **as_json(chosen), **found.metrics}
    with atomic_write(args.scores) as scores_path, atomic_write(args.metrics) as metrics_path:
        write_scores(scores_path, [found.scores])
        metrics_path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
