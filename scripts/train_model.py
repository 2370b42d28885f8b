"""Train one model with one seed, and keep it with its settings and its history by epoch."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import popularity.start

import pandas as pd
import pyarrow as pa

from popularity import tables
from popularity.features import check_own_features, genre_names, usable_seasons
from popularity.forecasters.mixture import tuned_offset
from popularity.forecasters.network import inference, training
from popularity.forecasters.network.checkpoints import Checkpoint, fingerprint
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import Asked, Found, save_snapshots
from popularity.own import add_own, load_own
from popularity.program import Fault, atomic_write, run
from popularity.records import describe_run
from popularity.series import Series, read_series, split_slots
from popularity.settings.fields import as_json, json_argument
from popularity.settings.model import TrainingSettings


def fit(
    asked: Asked, sequences: Path, movies: pa.Table, checkpoint: Checkpoint | None = None
) -> tuple[training.Trained, Found]:
    """Train the model that is asked for: what training made, and what was found."""
    series = read_series(sequences, asked.settings.slot)
    slots = split_slots(series, asked.settings.split)
    if asked.settings.window >= len(slots["training"]):
        raise Fault(
            f"models.{asked.name}.window: found {asked.settings.window}; allowed: less than the "
            f"{len(slots['training'])} training slots of {sequences}"
        )
    found = find(asked.settings, series, slots, movies)
    framing = Framing(series, movies, asked.settings, found)
    rows = framing.training(slots["training"], asked.seed)
    validation = framing.validation(slots["validation"], asked.seed)
    if next(rows.batches(0), None) is None or not validation.weight.any():
        raise Fault(
            f"{sequences}: no window in the training or the validation slots; use shorter slots or "
            "a shorter window (slot and window in config.yaml)"
        )
    trained = training.train_network(asked, framing, rows, validation, checkpoint)
    trained = training.keep_certain(asked, framing, validation, trained)
    best_epoch = int(training.best_of(trained.history)["epoch"])
    parameters = trained.model.count_params()
    found = dataclasses.replace(found, best_epoch=best_epoch, parameters=parameters)
    return trained, dataclasses.replace(found, correction=trained.correction)


def find(settings: TrainingSettings, series: Series, slots: dict[str, range], movies: pa.Table) -> Found:
    """Find out what a network depends on before it is trained, by training and validation slots."""
    model = settings.model
    covered = None
    if model.of_all_movies:
        top = series.most_requested(slots["training"], model.top_movies)
        covered = tuple(tables.items_of(movies, series.movie_ids[top]))
    ends = [slots[part].stop - 1 for part in ("training", "validation")]
    check_own_features(series, movies, model.features, settings.slot, ends)
    return Found(
        validated_to=slots["validation"].stop - 1,
        offset=tuned_offset(settings.offset, series, slots["validation"]),
        seasons=tuple(usable_seasons(series, settings.seasons, model.features)),
        covered_movies=covered,
        genre_names=tuple(genre_names(movies)) if "genres" in model.features else None,
    )


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--name", required=True, help="the model's name, for the log")
    parser.add_argument(
        "--settings",
        type=json_argument(TrainingSettings),
        required=True,
        help="all that the training depends on, as JSON",
    )
    add_own(parser)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        help="folder to write: model.keras, history.csv, snapshots.npz and run.json",
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="kept after each epoch, taken up if there, removed at the end"
    )
    args = parser.parse_args()

    started = time.time()
    asked = Asked(args.name, args.seed, args.settings)
    inference.prepare(args.seed, args.threads)
    load_own(args.own)
    checkpoint = None
    if args.checkpoint is not None:
        key = fingerprint([as_json(asked), args.threads], [args.sequences, args.movies, *args.own])
        checkpoint = Checkpoint(args.checkpoint, key)
    movies = tables.read(args.movies, tables.MOVIES)
    trained, found = fit(asked, args.sequences, movies, checkpoint)
    with (
        atomic_write(args.run / "model.keras") as model_path,
        atomic_write(args.run / "history.csv") as history_path,
        atomic_write(args.run / "snapshots.npz") as snapshots_path,
        atomic_write(args.run / "run.json") as record_path,
    ):
        training.save_network(trained, asked, found, model_path)
        pd.DataFrame(trained.history).to_csv(history_path, index=False)
        save_snapshots(trained.snapshots, snapshots_path)
        record = describe_run({**as_json(asked), **as_json(found)}, [args.sequences, args.movies], started)
        record_path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if checkpoint is not None:
        checkpoint.drop()


if __name__ == "__main__":
    run(main)
