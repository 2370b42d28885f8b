"""Forecast the first slots after the log with the forecaster that scored best on the validation slots.

The first slot is forecast from the log. For each further one the forecaster is fed with requests drawn from
what it expected of the slots before, several times over: a slot's expected shares and requests are means
over these futures, and its intervals are as much wider as the futures differ.
"""

import argparse
import json
from pathlib import Path

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity import tables
from popularity.forecasters.competitors import Forecasters, add_forecasters
from popularity.forecasters.forecasting import Checked, Predict, make_ready
from popularity.own import add_own, load_own
from popularity.program import Fault, atomic_write, run
from popularity.scoring import intervals
from popularity.scoring.evaluation import add_validation_slots
from popularity.scoring.verdict import best_on_validation
from popularity.series import Ints, Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot, slot_start

Floats = npt.NDArray[np.float64]

#: Last slots of the log whose true shares stand beside the forecast.
LAST_SLOTS = 3


def forecast_slots(
    series: Series,
    predict: Predict,
    slots: int,
    futures: int,
    half_life: float,
    dispersion: float,
    generator: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Forecast the slots after the log.

    Parameters
    ----------
    predict
        What predicts the shares.
    slots, futures
        How many slots, and how often the requests of those before the last are drawn.
    half_life, dispersion
        Of the expected total, and of a movie's requests: see :mod:`popularity.scoring.intervals`.

    Returns
    -------
    Shares, expected requests and their dispersion, each [slots, candidates].
    """
    first = series.last_slot + 1
    candidates = series.candidates(first)
    # A slot's sums over futures of the shares, and of the requests and their squares.
    shares, requests, squares = np.zeros((3, slots, len(candidates)))
    now = predict(series, first)
    for _ in range(futures if slots > 1 else 1):
        future, totals, share = series, intervals.known_totals(series), now
        for at in range(slots):
            share = predict(future, first + at) if at else now
            expected = intervals.expected_requests(share, intervals.expected_totals(totals, half_life)[-1])
            shares[at] += share
            requests[at] += expected
            squares[at] += expected**2
            if at + 1 < slots:
                size = 1 / max(dispersion, intervals.LEAST_DISPERSION)
                drawn = generator.negative_binomial(size, size / (size + expected))
                future = future.extended(first + at, candidates, drawn)
                totals = np.append(totals, drawn.sum())
    count = futures if slots > 1 else 1
    mean = requests / count
    between = np.maximum(squares / count - mean**2, 0.0)
    return shares / count, mean, dispersion + between / np.maximum(mean, 1e-300) ** 2


def last_shares(series: Series, movies: Ints) -> dict[str, Floats]:
    """Give the true shares of the log's last slots: not a number where a slot has no request."""
    shares = {}
    for back in range(LAST_SLOTS):
        slot = series.last_slot - back
        total = series.requests(np.array([slot]))[0]
        name = "last_share" if not back else f"last_share_{back + 1}"
        shares[name] = series.labels(movies, slot) / (total or np.nan)
    return shares


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="split of config.yaml, as JSON"
    )
    add_validation_slots(parser)
    add_forecasters(parser)
    parser.add_argument("--model", default="best", help="a forecaster's name, or best")
    parser.add_argument("--slots", type=int, default=1, help="slots to forecast (default: 1)")
    parser.add_argument(
        "--futures", type=int, default=20, help="drawn futures, with more than one slot (default: 20)"
    )
    parser.add_argument(
        "--interval", type=float, default=0.8, help="probability of the intervals (default: 0.8)"
    )
    add_own(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--forecast", type=Path, required=True, help="forecast.csv, to write")
    parser.add_argument(
        "--check", type=Path, required=True, help="JSON, to write: how its intervals held on the test slots"
    )
    args = parser.parse_args()

    forecasters = Forecasters.given(args)
    name = args.model
    if name == "best":
        name = best_on_validation(forecasters.scores(), forecasters.names)
    if name not in forecasters.names:
        raise Fault(f"forecast.model in config.yaml: no model or baseline is named {name}")
    load_own(args.own)
    movies = tables.read(args.movies, tables.MOVIES)
    series = read_series(args.sequences, args.slot)
    parts = split_slots(series, args.split)
    checked = Checked(parts, args.validation_slots, args.interval)
    ready = make_ready(forecasters, name, series, checked, movies, args.threads)
    shares, expected, dispersion = forecast_slots(
        series,
        ready.predict,
        args.slots,
        args.futures,
        float(ready.check["total_half_life"]),
        float(ready.check["dispersion"]),
        np.random.default_rng(0),
    )
    candidates = series.candidates(series.last_slot + 1)
    rows = []
    for at in range(args.slots):
        slot = series.last_slot + 1 + at
        low, high = intervals.bounds(expected[at], dispersion[at], args.interval)
        table = pd.DataFrame(
            {
                "slot": slot,
                "slot_start": str(slot_start(np.array([slot]), args.slot)[0]),
                "movieId": series.movie_ids[candidates],
                "predicted_share": shares[at],
                "expected_requests": expected[at],
                "requests_low": low.astype(np.int64),
                "requests_high": high.astype(np.int64),
                **last_shares(series, candidates),
                "model": name,
            }
        )
        table = table.sort_values(["predicted_share", "movieId"], ascending=[False, True])
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        rows.append(table)
    titles = movies.select(["movieId", "item", "title", "genre_names"]).to_pandas()
    titled = pd.concat(rows).merge(titles.rename(columns={"genre_names": "genres"}), "left", "movieId")
    titled["item"] = titled["item"].fillna(titled["movieId"].astype(str))
    columns = ["rank", "movieId", "item", "title", "genres", "predicted_share", "expected_requests"]
    columns += ["requests_low", "requests_high", *last_shares(series, candidates[:0])]
    with atomic_write(args.forecast) as path, atomic_write(args.check) as check_path:
        titled[[*columns, "slot", "slot_start", "model"]].to_csv(path, index=False)
        check_path.write_text(json.dumps({"model": name, **ready.check}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
