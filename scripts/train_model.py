"""Train one model with one seed, and keep it with its settings and its history by epoch."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import popularity.start

import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from popularity import tables
from popularity.features import genre_names
from popularity.forecasters.baselines import tuned_average
from popularity.forecasters.network import networks
from popularity.forecasters.network.checkpoints import Checkpoint, fingerprint
from popularity.forecasters.network.framings import Framing
from popularity.program import Fault, atomic_write, run
from popularity.records import describe_run
from popularity.series import read_series, split_slots


def fit(
    settings: dict[str, Any], sequences: Path, movies: pa.Table, checkpoint: Checkpoint | None = None
) -> tuple[networks.Model, list[dict[str, float]], dict[int, list[npt.NDArray]]]:
    """Train the model of these settings, to which what is found out on the way is added.

    Returns what :func:`networks.train_network` does.
    """
    series = read_series(sequences)
    slots = split_slots(series, settings["split"])
    if settings["window"] >= len(slots["training"]):
        raise Fault(
            f"models.{settings['name']}.window: found {settings['window']}; allowed: less than the "
            f"{len(slots['training'])} training slots of {sequences}"
        )
    settings["validated_to"] = slots["validation"].stop - 1
    settings["offset_weights"] = tuned_average(series, settings["offset_grid"], slots["validation"])
    if settings["input"] == "all_movies":
        covered = series.most_requested(slots["training"], settings["top_movies"])
        settings["covered_movies"] = series.movie_ids[covered].tolist()
    if "genres" in settings["features"]:
        settings["genre_names"] = genre_names(movies)
    framing = Framing(series, movies, settings)
    training = framing.training(slots["training"], settings["seed"])
    validation = framing.validation(slots["validation"], settings["seed"])
    if next(training.batches(0), None) is None or not validation.weight.any():
        raise Fault(
            f"{sequences}: no window in the training or the validation slots; use shorter slots or "
            "a shorter window (slot and window in config.yaml)"
        )
    return networks.train_network(settings, framing, training, validation, checkpoint)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--name", required=True, help="the model's name, for the log")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="the model's resolved settings, as JSON"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path, required=True, help="model.keras, to write")
    parser.add_argument("--history", type=Path, required=True, help="history.csv, to write")
    parser.add_argument("--resolved", type=Path, required=True, help="settings.json, to write")
    parser.add_argument("--record", type=Path, required=True, help="run.json, to write")
    parser.add_argument("--snapshots", type=Path, required=True, help="weights by epoch, to write")
    parser.add_argument(
        "--checkpoint", type=Path, help="kept after each epoch, taken up if there, removed at the end"
    )
    args = parser.parse_args()

    started = time.time()
    settings = {**args.settings, "name": args.name, "seed": args.seed}
    networks.prepare(args.seed, args.threads)
    checkpoint = None
    if args.checkpoint is not None:
        key = fingerprint([settings, args.threads], [args.sequences, args.movies])
        checkpoint = Checkpoint(args.checkpoint, key)
    movies = tables.read(args.movies, tables.MOVIES)
    model, history, read = fit(settings, args.sequences, movies, checkpoint)
    settings["best_epoch"] = networks.best_of(history)["epoch"]
    settings["parameters"] = model.count_params()
    with (
        atomic_write(args.model) as model_path,
        atomic_write(args.history) as history_path,
        atomic_write(args.resolved) as settings_path,
        atomic_write(args.snapshots) as snapshots_path,
        atomic_write(args.record) as record_path,
    ):
        networks.save_network(model, settings, model_path)
        pd.DataFrame(history).to_csv(history_path, index=False)
        settings_path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        networks.save_snapshots(read, snapshots_path)
        record = describe_run(settings, [args.sequences, args.movies], started)
        record_path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if checkpoint is not None:
        checkpoint.drop()


if __name__ == "__main__":
    run(main)
