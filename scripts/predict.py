"""Predict with a saved model: the slots of a log after those that the model was trained on.

The model's file holds all that its use depends on. The log has to have slots of the length that it
was trained for, and may go on after the one that it was trained on; --sequences and --movies are
what build_sequences and join_ratings make of it. The last slot predicted is the one after the log.
"""

import argparse
import json
from pathlib import Path

import popularity.start

import numpy as np

from popularity import tables
from popularity.forecasters.network import inference
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import read_run
from popularity.own import add_own, load_own
from popularity.predictions import recorded
from popularity.program import Fault, atomic_write, run
from popularity.scoring.scores import score_forecasts, summarise
from popularity.series import read_series


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.keras of a training")
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    add_own(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predictions", type=Path, required=True, help="to write: slots and movies")
    parser.add_argument("--metrics", type=Path, help="scores of the slots with requests, to write")
    args = parser.parse_args()

    asked, found = read_run(args.model)
    inference.prepare(0, args.threads)
    load_own(args.own)
    series = read_series(args.sequences, asked.settings.slot)
    first = found.validated_to + 1
    if series.last_slot + 1 < first:
        raise Fault(
            f"{args.sequences}: the log ends with slot {series.last_slot}, before the model's first, "
            f"{first}; use a log that goes on (with slots of the same length: {asked.settings.slot})"
        )
    movies = tables.read(args.movies, tables.MOVIES)
    framing = Framing(series, movies, asked.settings, found)
    slots = series.requested_slots(range(first, series.last_slot + 1))
    model = inference.load_network(args.model)
    forecasts = inference.LastStep(model).forecasts(framing, np.append(slots, series.last_slot + 1))
    with atomic_write(args.predictions) as path, tables.open_writer(path, tables.PREDICTIONS) as writer:
        known = (
            forecast for forecast in recorded(forecasts, series, writer) if forecast[0] <= series.last_slot
        )
        scored = score_forecasts(series, known)
        if args.metrics is not None and len(scored):
            with atomic_write(args.metrics) as metrics:
                metrics.write_text(json.dumps(summarise(scored), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
