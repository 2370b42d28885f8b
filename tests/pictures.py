"""Small tables to draw, and what is read off a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.text import Text

from popularity import tables
from popularity.forecasters.network.saved import Found, TrainedModel, append_run
from popularity.scoring.classes import CLASSES
from popularity.settings.slots import FoldSplit
from small_networks import asked_of

SPLIT = FoldSplit(validation=0.15, test=0.15)


def labelled_table(
    rows: list[tuple[int, int, int]],
    rating: list[float | None] | None = None,
    release: Sequence[int | None] | None = None,
    genres: list[int | None] | None = None,
) -> pa.Table:
    """Label rows of slot, movie and requests; other columns are null unless given."""
    slot, movie, label = np.array(rows).T
    totals = np.bincount(slot, weights=label)
    nothing = [None] * len(rows)
    columns = {
        "slot": slot,
        "movieId": movie,
        "label": label,
        "label_n": label / totals[slot],
        "avg_rating": rating or nothing,
        "genres": genres or nothing,
        "releaseDate": release or nothing,
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in tables.LABELLED],
        schema=tables.LABELLED,
    )


def some_table(size: int = 400, seed: int = 1) -> pa.Table:
    draw = np.random.default_rng(seed)
    keys = draw.choice(60 * 40, size, replace=False)
    rows = sorted(
        (int(k // 40) + 17_000, int(k % 40) + 1, int(n))
        for k, n in zip(keys, draw.geometric(0.5, size), strict=True)
    )
    missing = draw.random(size) < 0.1
    return labelled_table(
        rows,
        [
            None if gone else float(r) / 2
            for gone, r in zip(missing, draw.integers(1, 11, size), strict=True)
        ],
        [
            None if gone else int(y)
            for gone, y in zip(missing, draw.integers(1950, 2018, size), strict=True)
        ],
        draw.integers(1, 12, size).tolist(),
    )


def history(epochs: int, seed: int, value: float | None = None) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    falling = 6 + 1 / np.arange(1, epochs + 1) + 0.01 * draw.random(epochs)
    table = pd.DataFrame({"epoch": np.arange(1, epochs + 1)})
    for column in ("loss", "val_loss", "val_cross_entropy", "val_rmse", "seconds"):
        table[column] = falling if value is None else value
    return table


def trained(
    name: str, seed: int, best: int = 1, changes: dict[str, Any] | None = None, folder: Path = Path()
) -> TrainedModel:
    """Stand for a trained model, whose files are yet to be written."""
    return TrainedModel(folder, asked_of(changes, name, seed), Found(validated_to=0, best_epoch=best))


def write_trained(run: TrainedModel) -> Path:
    """Write what was asked and found to the folder of a trained model, and give the folder."""
    run.folder.mkdir(parents=True)
    append_run(run.network_file, run.asked, run.found)
    return run.folder


def board(ratio: bool = True) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "name": ["lstm", "ewma", "last_value", "all_time", "oracle"],
            "kind": ["network", "naive", "naive", "naive", "reference"],
            "seeds": [2, 1, 1, 1, 1],
            "cross_entropy": [6.5, 6.6, 66.0, 6.7, 1.0],
            "validation_cross_entropy": [6.4, 6.5, 66.0, 6.8, 1.0],
            "rmse": [0.1, 0.2, 0.3, 0.2, 0.0],
            "hit_ratio_5": [0.5, 0.4, 0.3, 0.3, 0.6],
            "cross_entropy_std": [0.01, np.nan, np.nan, np.nan, np.nan],
        }
    )
    if ratio:
        table["cross_entropy_ratio"] = table["cross_entropy"] / 6.6
        table["ratio_low"] = table["cross_entropy_ratio"] - [0.001, 0, 0.001, 0.001, 0.001]
        table["ratio_high"] = table["cross_entropy_ratio"] + [0.001, 0, 0.001, 0.001, 0.001]
    return table


def prediction_table(slots: int = 5, movies: int = 8) -> pa.Table:
    slot, movie = (part.ravel() for part in np.mgrid[17_000 : 17_000 + slots, 1 : movies + 1])
    share = movie / movie.sum() * slots
    columns = (slot, movie, share * 0.9, share)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, tables.PREDICTIONS, strict=True)],
        schema=tables.PREDICTIONS,
    )


def joined_table(timestamps: list[int]) -> pa.Table:
    """Requests at these times (Unix seconds)."""
    columns = {field.name: np.zeros(len(timestamps)) for field in tables.JOINED}
    columns["timestamp"] = np.array(timestamps)
    return pa.table(
        [pa.array(columns[field.name].astype(field.type.to_pandas_dtype())) for field in tables.JOINED],
        schema=tables.JOINED,
    )


def benchmark(path: Path, seconds: float, memory: float | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t{memory}\t{seconds / 2}\n")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def class_board(losses: dict[str, list[float]], kinds: dict[str, str]) -> pd.DataFrame:
    """Cross entropies of head, middle, tail and new movies by name; the tail has no requests."""
    rows = [
        (name, place, kinds[name], share, value, share * value, 0.1 * at)
        for name, values in losses.items()
        for at, (place, share, value) in enumerate(zip(CLASSES, (0.5, 0.3, 0.0, 0.2), values, strict=True))
    ]
    columns = [
        "name",
        "class",
        "kind",
        "request_share",
        "cross_entropy",
        "cross_entropy_part",
        "hit_ratio_5",
    ]
    return pd.DataFrame(rows, columns=columns)
