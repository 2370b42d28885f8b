"""Forecast the first slot after the log with the model that scored best on the validation slots."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from popularity import networks, tables
from popularity.features import Features
from popularity.program import Fault, reading, run, whole
from popularity.slots import slot_start
from popularity.windows import read_series


def best_model(scored: pd.DataFrame) -> str:
    """Name the model with the lowest cross entropy on the validation slots, mean over its seeds."""
    validation = scored[scored["split"] == "validation"]
    sums = validation.groupby("name")[["log_loss", "covered"]].sum()
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
    name = best_model(scored) if args.model == "best" else args.model
    networks.prepare(0, args.threads)
    movies = tables.read(args.movies, tables.MOVIES)
    logs = []
    for sequences, model_path, resolved in zip(args.sequences, args.models, args.resolved, strict=True):
        settings = json.loads(resolved.read_text())
        if settings["name"] != name:
            continue
        series = read_series(sequences)
        features = Features.of_settings(series, movies, settings)
        with reading(model_path):
            model = networks.load_network(model_path)
        slot = series.last_slot + 1
        forecasts = networks.forecast_slots(model, settings["loss"], features, series, np.array([slot]))
        _, candidates, shares = next(forecasts)
        logs.append(np.log(np.maximum(shares, 1e-12)))
    if not logs:
        raise Fault(f"forecast.model in config.yaml: no model is named {name}")
    # Seeds are averaged as logs, so that no single one can make a share large alone.
    shares = np.exp(np.mean(logs, axis=0))
    last = series.labels(candidates, series.last_slot)
    table = pd.DataFrame(
        {
            "slot": slot,
            "slot_start": str(slot_start(np.array([slot]), settings["slot"])[0]),
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
