"""Whether two folders hold the same tables: ours (or Snakemake's), and a peer's."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WINDOW = 3
JOINED = [
    "userId",
    "movieId",
    "rating",
    "timestamp",
    "tstamp_hour",
    "tstamp_day",
    "tstamp_year",
    "genres",
    "releaseDate",
]
LABELLED = ["slot", "movieId", "label", "label_n", "avg_rating", "genres", "releaseDate"]


def numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """View a column as NumPy; null becomes 0, which is no genre's code and no year."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.from_dlpack(pc.fill_null(column, 0) if column.null_count else column)


def checksum(path: Path, columns: list[str]) -> tuple[int, int]:
    """Count the rows, and add up a hash of each, which no order of rows changes."""
    rows = total = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1 << 20, columns=columns):
            hashed = np.zeros(len(batch), np.uint64)
            for name in columns:
                # Numbers of all types here are exact in a float64; its bits are mixed as MurmurHash3 ends.
                hashed ^= numbers(batch[name]).astype(np.float64).view(np.uint64)
                for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
                    hashed ^= hashed >> np.uint64(33)
                    hashed *= np.uint64(factor)
                hashed ^= hashed >> np.uint64(33)
            rows += len(batch)
            total += int(hashed.sum())
    return rows, total % 2**64


def series(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give movieId, slot and label_n by movie and time, and the places where a window's target is."""
    if (folder / "series.parquet").exists():
        table = pq.read_table(folder / "series.parquet")
        movie, slot, share = (numbers(table[name]) for name in ("movieId", "slot", "label_n"))
        return movie, slot, share, np.flatnonzero(movie[WINDOW:] == movie[:-WINDOW]) + WINDOW
    table = pq.read_table(folder / "sequences" / f"observed-{WINDOW}.parquet")
    lists = table["slot"].combine_chunks()
    lengths = numbers(pc.list_value_length(lists))
    slot = numbers(lists.flatten())
    share = numbers(table["label_n"].combine_chunks().flatten())
    place = np.arange(len(slot)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.repeat(numbers(table["first_target"]), lengths)
    windows = np.repeat(numbers(table["windows"]), lengths)
    targets = np.flatnonzero((place >= first) & (place < first + windows))
    return np.repeat(numbers(table["movieId"]), lengths), slot, share, targets


def differences(ours: Path, peer: Path) -> list[str]:
    """Say what differs: nothing, if all agrees."""
    found = []
    if checksum(ours / "joined.parquet", JOINED) != checksum(peer / "joined.parquet", JOINED):
        found.append("joined: rows differ")
    if (ours / "labelled.parquet").exists():
        checksums = [checksum(ours / f"{name}.parquet", LABELLED) for name in ("labelled", "sorted")]
        if checksums[0] != checksums[1]:
            found.append("labelled: is not what is sorted")

    pair = [pq.read_table(folder / "sorted.parquet", columns=LABELLED) for folder in (ours, peer)]
    if len(pair[0]) != len(pair[1]):
        return [*found, f"sorted: {len(pair[0])} and {len(pair[1])} rows"]
    key = numbers(pair[0]["slot"]).astype(np.int64) << 32 | numbers(pair[0]["movieId"])
    if not (key[1:] > key[:-1]).all():
        found.append("sorted: is not sorted by slot and movie")
    for name in LABELLED:
        tolerance = {"label_n": 1e-12, "avg_rating": 1e-6}.get(name, 0)
        left, right = (numbers(table[name]) for table in pair)
        if not np.allclose(left, right, rtol=0, atol=tolerance):
            found.append(f"sorted: {name} differs")
    if not all(pair[0][name].null_count == pair[1][name].null_count for name in LABELLED):
        found.append("sorted: nulls differ")
    del pair, key

    (movie, slot, share, place), (movie2, slot2, share2, place2) = series(ours), series(peer)
    if len(place) != len(place2):
        return [*found, f"windows: {len(place)} and {len(place2)}"]
    if (movie[place] != movie2[place2]).any() or (slot[place] != slot2[place2]).any():
        found.append("windows: targets differ")
    for back in range(WINDOW + 1):
        if not np.allclose(share[place - back], share2[place2 - back], rtol=0, atol=1e-12):
            found.append(f"windows: values {back} before the target differ")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(differences(*map(Path, sys.argv[1:]))) or None)
