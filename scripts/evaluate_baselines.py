"""Tune every baseline on the validation slots and score it on the validation and the test slots."""

import argparse
import functools
import json
from pathlib import Path

import popularity.start

from popularity.forecasters.base import (
    METHODS_HELP,
    SimpleMethod,
    forecast_together,
    load_methods,
    method_of,
)
from popularity.program import atomic_write, run
from popularity.results import write_scores
from popularity.scoring.evaluation import add_validation_slots, evaluate
from popularity.scoring.scores import COMMON_HELP
from popularity.series import read_series, split_slots
from popularity.settings.baselines import Baseline
from popularity.settings.fields import as_json, json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--methods", type=Path, nargs="+", required=True, help=METHODS_HELP)
    parser.add_argument(
        "--baselines",
        type=json_argument(dict[str, Baseline]),
        required=True,
        help="baselines of config.yaml, as JSON",
    )
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="split of config.yaml, as JSON"
    )
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    add_validation_slots(parser)
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    series = read_series(args.sequences, args.slot)
    parts = split_slots(series, args.split)
    load_methods(args.methods)
    methods = {name: method_of(entry, SimpleMethod) for name, entry in sorted(args.baselines.items())}
    chosen = {name: method.tune(series, parts["validation"]) for name, method in methods.items()}
    forecasters = [method.forecaster(series, chosen[name]) for name, method in methods.items()]
    forecast = functools.partial(forecast_together, forecasters, series)
    identities = [(name, method.kind, 0) for name, method in methods.items()]
    found = evaluate(forecast, series, parts, args.validation_slots, args.common, identities)
    metrics = {one.name: {"kind": one.kind, **as_json(chosen[one.name]), **one.metrics} for one in found}
    with atomic_write(args.scores) as scores_path, atomic_write(args.metrics) as metrics_path:
        write_scores(scores_path, [one.scores for one in found])
        metrics_path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
