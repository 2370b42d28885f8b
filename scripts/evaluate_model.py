"""Score a trained model on the validation and the test slots."""

import argparse
import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import popularity.start

from popularity import tables
from popularity.forecasters.network import networks
from popularity.forecasters.network.framings import Framing
from popularity.predictions import recorded
from popularity.program import atomic_write, run
from popularity.results import read_json, write_scores
from popularity.scoring.evaluation import evaluate
from popularity.scoring.intervals import IntervalCheck
from popularity.scoring.scores import COMMON_HELP, Forecast
from popularity.series import read_series, split_slots


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--model", type=Path, required=True, help="model.keras")
    parser.add_argument("--resolved", type=Path, required=True, help="the model's settings.json")
    parser.add_argument("--snapshots", type=Path, required=True, help="the model's snapshots.npz")
    parser.add_argument(
        "--interval", type=float, default=0.8, help="probability of the intervals to check (default: 0.8)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predictions", type=Path, required=True, help="to write: test slots")
    parser.add_argument("--common", type=int, default=0, help=COMMON_HELP)
    parser.add_argument("--scores", type=Path, required=True, help="to write: a row a slot")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json, to write")
    args = parser.parse_args()

    networks.prepare(0, args.threads)
    settings = read_json(args.resolved, "name", "seed", "split")
    series = read_series(args.sequences)
    framing = Framing(series, tables.read(args.movies, tables.MOVIES), settings)
    model = networks.load_network(args.model)
    parts = split_slots(series, settings["split"])
    check = IntervalCheck(series, parts["validation"], args.interval)
    with (
        atomic_write(args.predictions) as predictions,
        atomic_write(args.scores) as scores,
        atomic_write(args.metrics) as metrics,
        tables.open_writer(predictions, tables.PREDICTIONS) as writer,
    ):
        forecast = functools.partial(framing.forecasts, functools.partial(networks.run_network, model))

        def watch(forecasts: Iterable[Forecast], part: str) -> Iterator[Forecast]:
            watched = check.watch(forecasts, part)
            return recorded(watched, series, writer) if part == "test" else watched

        score = functools.partial(evaluate, forecast, series, parts, args.common)
        identity = {"kind": "network", "seed": settings["seed"]}
        final = score(settings["name"], **identity, watch=watch)
        rows = [final.scores]
        for epoch, weights in networks.snapshots(args.snapshots):
            model.set_weights(weights)
            rows.append(score(f"{settings['name']}_{epoch}", **identity).scores)
        write_scores(scores, rows)
        summary = {**final.metrics, "intervals": check.summary()}
        metrics.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
