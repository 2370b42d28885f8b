"""neuralforecast's LSTM on the same log: counts with a Poisson loss, and the log of the offset's share.

Trained in stages, after each of which the validation windows are forecast.
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import DistributionLoss
from neuralforecast.models import LSTM

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import Judge


def main() -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--stages", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True, help="training steps of a stage")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    table = pd.read_parquet(args.table)
    rows = np.load(args.rows)
    first = int(rows["first"])
    judge = Judge(rows["slot"], rows["label"], rows["weight"])
    # Only the movies that are judged are forecast, and of a movie's past no more than a window.
    window = args.settings["model"]["window"]
    judged = table[table["unique_id"].isin(rows["movie"]) & (table["ds"] >= first - window)]
    wanted = pd.DataFrame({"unique_id": rows["movie"], "ds": rows["slot"]})

    model = LSTM(
        h=1,
        input_size=window,
        inference_input_size=window,
        encoder_n_layers=len(args.settings["model"]["layers"]),
        encoder_hidden_size=args.settings["model"]["layers"][0],
        decoder_layers=1,
        decoder_hidden_size=max(args.settings["model"]["dense_units"], 1),
        futr_exog_list=["log_average"],
        loss=DistributionLoss("Poisson", num_samples=2, return_params=True),
        learning_rate=args.settings["model"]["learning_rate"],
        max_steps=args.steps,
        batch_size=256,
        windows_batch_size=args.settings["model"]["batch_size"],
        inference_windows_batch_size=8192,
        scaler_type="identity",
        start_padding_enabled=True,
        random_seed=args.seed,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    forecaster = NeuralForecast([model], freq=1)
    history: list[dict[str, float]] = []
    seconds = 0.0
    while len(history) < args.stages and not (history and history[-1]["cross_entropy"] <= args.target):
        began = time.perf_counter()
        forecaster.fit(table[table["ds"] < first])
        seconds += time.perf_counter() - began
        made = forecaster.cross_validation(
            judged, n_windows=None, test_size=int(judged["ds"].max()) + 1 - first, use_fitted=True
        )
        rate = next(name for name in made if name.endswith(("-rate", "-lambda", "-loc")))
        found = wanted.merge(made, how="left", on=["unique_id", "ds"])[rate]
        shares = np.maximum(found.fillna(0).to_numpy(np.float64), 1e-9)
        history.append({"seconds": seconds, "cross_entropy": judge(shares)})
    args.output.write_text(json.dumps({"history": history}))


if __name__ == "__main__":
    main()
