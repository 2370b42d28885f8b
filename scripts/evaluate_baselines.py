"""Tune every baseline on the validation slots and score it on the validation and the test slots."""

import argparse
import functools
import json
from pathlib import Path

import popularity.start

from popularity.forecasters.baselines import REFERENCES, build_baseline, forecast_slots, tune_baseline
from popularity.program import atomic_write, run
from popularity.results import write_scores
from popularity.scoring.evaluation import evaluate
from popularity.scoring.scores import COMMON_HELP
from popularity.series import read_series, split_slots


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument(
        "--baselines", type=json.loads, required=True, help="baselines of config.yaml, as JSON"
    )
    parser.add_argument("--split", type=json.loads, required=True, help="split, as JSON")
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    series = read_series(args.sequences)
    parts = split_slots(series, args.split)
    rows, metrics = [], {}
    for name, spec in sorted(args.baselines.items()):
        chosen = tune_baseline(series, spec, parts["validation"])
        forecaster = build_baseline(series, spec, chosen)
        kind = "reference" if spec["method"] in REFERENCES else "naive"
        forecast = functools.partial(forecast_slots, forecaster, series)
        found = evaluate(forecast, series, parts, args.common, name, kind, seed=0)
        rows.append(found.scores)
        metrics[name] = {"kind": kind, **chosen, **found.metrics}
    with atomic_write(args.scores) as scores_path, atomic_write(args.metrics) as metrics_path:
        write_scores(scores_path, rows)
        metrics_path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
