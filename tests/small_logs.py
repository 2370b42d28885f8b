"""Small request logs, and the series and tables of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from build_sequences import build_sequences
from popularity import tables
from popularity.series import Series

FIRST_SLOT = 17_000
#: From where on :func:`other_futures` differ.
NOW = FIRST_SLOT + 25


def random_log(slots: int = 40, movies: int = 12, seed: int = 1) -> pd.DataFrame:
    """Draw requests by slot and movie: movies arrive over time, some slots are empty."""
    draw = np.random.default_rng(seed)
    arrival = np.append(np.zeros(movies // 2, int), draw.integers(1, slots, movies - movies // 2))
    counts = draw.poisson(draw.gamma(0.5, 3, movies), (slots, movies))
    counts *= np.arange(slots)[:, None] >= arrival
    counts[draw.random(slots) < 0.1] = 0
    counts[0, 0] = counts[-1, 0] = 1
    slot, movie = counts.nonzero()
    rating = draw.integers(1, 11, len(slot)) / 2
    return pd.DataFrame(
        {
            "slot": slot + FIRST_SLOT,
            "movieId": 10 * movie + 7,
            "label": counts[slot, movie],
            "avg_rating": np.where(draw.random(len(slot)) < 0.2, np.nan, rating),
        }
    )


def log_of(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Make a log without ratings of rows of slot, movie and requests."""
    return pd.DataFrame(rows, columns=["slot", "movieId", "label"]).assign(avg_rating=np.nan)


def other_futures(log: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Logs that differ from slot NOW on: in what is requested, how much, and until when."""
    future = log["slot"] >= NOW
    new = pd.DataFrame({"slot": [NOW, NOW + 400], "movieId": [12, 3], "label": 50, "avg_rating": 1.0})
    return {
        "none": log[~future],
        "more": pd.concat([log, new]),
        "less": log[~future | (log.index % 3 == 0)],
        "multiplied": log.assign(label=log["label"].where(~future, log["label"] * 100)),
        "rated anew": log.assign(avg_rating=log["avg_rating"].where(~future, 0.5)),
    }


def counts_of(log: pd.DataFrame) -> dict[tuple[int, int], int]:
    """Look up the requests of each slot and movie that has some."""
    slot, movie, label = (log[name].tolist() for name in ("slot", "movieId", "label"))
    return dict(zip(zip(slot, movie, strict=True), label, strict=True))


def series_of(log: pd.DataFrame, slot_name: str = "day") -> Series:
    log = log.sort_values(["movieId", "slot"])
    ids, starts = np.unique(log["movieId"].to_numpy(np.int32), return_index=True)
    slot, label = (log[name].to_numpy(np.int32) for name in ("slot", "label"))
    rating = log["avg_rating"].to_numpy(np.float32)
    return Series(ids, np.append(starts, len(log)), slot, label, rating, slot_name)


def sequences_of(by_time: pa.Table, window: int, gaps: str) -> pa.Table:
    """Build the sequences of a whole table."""
    parts = build_sequences(lambda: [by_time], len(by_time), window, gaps)
    return pa.Table.from_batches(parts, tables.SEQUENCES)


def write_sequences(path: Path, log: pd.DataFrame, window: int, gaps: str = "calendar") -> None:
    log = log.sort_values(["slot", "movieId"])
    shares = log["label"] / log.groupby("slot")["label"].transform("sum")
    columns = log.assign(label_n=shares, genres=1, releaseDate=2000)
    table = pa.Table.from_pandas(columns[tables.LABELLED.names], tables.LABELLED, preserve_index=False)
    tables.write(path, sequences_of(table, window, gaps))


def catalogue_of(log: pd.DataFrame) -> pa.Table:
    """Make a catalogue of the log's movies; the first one's year is unknown."""
    ids = sorted(set(log["movieId"]))
    years = [None, *(1990 + movie % 20 for movie in ids[1:])]
    texts = [f"Movie {movie}" for movie in ids]
    columns = [ids, [str(movie) for movie in ids], texts, ["Drama"] * len(ids), [1] * len(ids), years]
    columns.append([None] * len(ids))
    arrays = [pa.array(values, field.type) for values, field in zip(columns, tables.MOVIES, strict=True)]
    return pa.table(arrays, schema=tables.MOVIES)
