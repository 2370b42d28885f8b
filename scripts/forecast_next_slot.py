"""Forecast the first slot after the log with the model that scored best on the validation slots."""

import argparse
import functools
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from popularity import networks, tables
from popularity.framings import Framing
from popularity.program import Fault, run, whole
from popularity.slots import slot_start
from popularity.windows import read_series


def best_model(scored: pd.DataFrame, models: Collection[str]) -> str:
    """Name the model with the lowest cross entropy on the validation slots, mean over its seeds.

    Of these models alone, as there are scores of earlier epochs, too, which are no longer there. Fewer
    movies are easier to tell apart, so that models that cover fewer than others are left out.
    """
    validation = scored[(scored["split"] == "validation") & scored["name"].isin(models)]
    sums = validation.groupby("name")[["log_loss", "covered", "requests"]].sum()
    covered = sums["covered"] / sums["requests"]
    sums = sums[covered > covered.max() - 1e-9]
    return str((sums["log_loss"] / sums["covered"]).idxmin())


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, nargs="+", required=True, help="of each model")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="model.keras of each")
    parser.add_argument("--resolved", type=Path, nargs="+", required=True, help="settings.json")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="scores.parquet")
    parser.add_argument("--model", default="best", help="a model's name, or best")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--forecast", type=Path, required=True, help="forecast.csv, to write")
    args = parser.parse_args()

    scored = pd.concat([pd.read_parquet(path) for path in args.scores])
    trained = [json.loads(path.read_text()) for path in args.resolved]
    names = {settings["name"] for settings in trained}
    name = best_model(scored, names) if args.model == "best" else args.model
    networks.prepare(0, args.threads)
    movies = tables.read(args.movies, tables.MOVIES)
    logs = []
    for sequences, model_path, settings in zip(args.sequences, args.models, trained, strict=True):
        if settings["name"] != name:
            continue
        series = read_series(sequences)
        framing = Framing(series, movies, settings)
        model = networks.load_network(model_path)
        slot = series.last_slot + 1
        run_model = functools.partial(networks.run_network, model)
        _, candidates, shares = next(framing.forecasts(run_model, np.array([slot])))
        unit = settings["slot"]
        logs.append(np.log(np.maximum(shares, 1e-12)))
    if not logs:
        raise Fault(f"forecast.model in config.yaml: no model is named {name}")
    # Seeds are averaged as logs, so that no single one can make a share large alone.
    shares = np.exp(np.mean(logs, axis=0))
    last = series.labels(candidates, series.last_slot)
    table = pd.DataFrame(
        {
            "slot": slot,
            "slot_start": str(slot_start(np.array([slot]), unit)[0]),
            "movieId": series.movie_ids[candidates],
            "predicted_share": shares / shares.sum(),
            "last_share": last / series.totals[-1],
            "model": name,
        }
    )
    titles = movies.select(["movieId", "title", "genre_names"]).to_pandas()
    table = table.merge(titles.rename(columns={"genre_names": "genres"}), "left", "movieId")
    table = table.sort_values(["predicted_share", "movieId"], ascending=[False, True])
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    columns = ["rank", "movieId", "title", "predicted_share", "last_share", "genres", "slot"]
    with whole(args.forecast) as path:
        table[[*columns, "slot_start", "model"]].to_csv(path, index=False)


if __name__ == "__main__":
    run(main)
