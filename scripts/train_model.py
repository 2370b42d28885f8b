"""Train one model with one seed, and keep it with its settings and its history by epoch."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from popularity import networks, tables
from popularity.baselines import tuned_half_life
from popularity.checkpoints import Checkpoint, fingerprint
from popularity.features import Features
from popularity.program import Fault, run, whole
from popularity.samples import draw_windows, sample_slots
from popularity.windows import read_series, split_slots


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
    parser.add_argument(
        "--checkpoint", type=Path, help="kept after each epoch, taken up if there, removed at the end"
    )
    args = parser.parse_args()

    settings = {**args.settings, "name": args.name, "seed": args.seed}
    networks.prepare(args.seed, args.threads)
    generator = np.random.default_rng(args.seed)
    series = read_series(args.sequences)
    slots = split_slots(series, settings["split"])
    if settings["window"] >= len(slots["training"]):
        raise Fault(
            f"models.{args.name}.window: found {settings['window']}; allowed: less than the "
            f"{len(slots['training'])} training slots of {args.sequences}"
        )
    settings["offset_half_life"] = None
    if settings["offset"] == "ewma":
        settings["offset_half_life"] = tuned_half_life(series, settings["half_lives"], slots["validation"])
    features = Features.of_settings(series, tables.read(args.movies, tables.MOVIES), settings)
    if settings["loss"] == "softmax_cross_entropy":
        training = sample_slots(series, slots["training"], settings["sampled_movies"], generator)
    else:
        training = draw_windows(
            series,
            slots["training"],
            settings["window"],
            settings["gaps"],
            settings["training_windows"],
            generator,
        )
    validation = sample_slots(series, slots["validation"], networks.VALIDATION_OTHERS, generator)
    for part, taken in (("training", training), ("validation", validation)):
        if not len(taken.slot):
            raise Fault(
                f"{args.sequences}: no window in the {part} slots; use shorter slots or a "
                "shorter window (slot and window in config.yaml)"
            )

    checkpoint = None
    if args.checkpoint is not None:
        key = fingerprint([settings, args.threads], [args.sequences, args.movies])
        checkpoint = Checkpoint(args.checkpoint, key)
    model, history = networks.train_network(
        args.name, settings, features, training, validation, generator, checkpoint
    )
    if not np.isfinite(history[-1]["val_loss"]):
        raise Fault(
            f"models.{args.name}: the training of seed {args.seed} diverged (val_loss "
            f"{history[-1]['val_loss']}); lower its learning_rate or set clipnorm (config.yaml)"
        )
    best = min(history, key=lambda row: row["val_loss"])
    settings["best_epoch"] = best["epoch"]
    settings["parameters"] = model.count_params()
    with (
        whole(args.model) as model_path,
        whole(args.history) as history_path,
        whole(args.resolved) as settings_path,
    ):
        model.save(model_path)
        pd.DataFrame(history).to_csv(history_path, index=False)
        settings_path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    if checkpoint is not None:
        checkpoint.drop()


if __name__ == "__main__":
    run(main)
