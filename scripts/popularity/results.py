"""Results that later rules read: scores, and CSV and JSON files; a damaged one is a fault that names it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from popularity import tables
from popularity.program import ANEW, Fault, reading, unreadable

#: What says of which forecast and slot a row of scores is; its other columns are float64.
SCORED = pa.schema(
    [
        ("slot", pa.int64()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("seed", pa.int64()),
        ("split", pa.string()),
    ]
)

#: Key of metrics.json of a part of an evaluation: its validation slots' sums for the intervals.
VALIDATION_SUMS = "validation_sums"


def write_scores(path: Path, rows: Sequence[pd.DataFrame]) -> None:
    """Write scores of slots, with the columns of :data:`SCORED`, to a path of `atomic_write`."""
    scored = pd.concat(rows)
    if not len(scored):
        tables.write_partial(path, SCORED.empty_table())
        return
    sums = [(name, pa.float64()) for name in scored if name not in SCORED.names]
    table = pa.Table.from_pandas(scored, pa.schema([*SCORED, *sums]), preserve_index=False)
    tables.write_partial(path, table.replace_schema_metadata(None))


def read_scores(paths: Sequence[Path], sums: Sequence[str]) -> pd.DataFrame:
    """Read scores.parquet of several forecasts, which have to have these sums; one below the other."""
    schema = pa.schema([*SCORED, *((name, pa.float64()) for name in sums)])
    parts: list[pd.DataFrame] = [tables.read(path, schema, others=True).to_pandas() for path in paths]
    return pd.concat(parts)


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON file of an object that has these keys."""
    with reading(path):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    missing = [key for key in keys if key not in found] if isinstance(found, dict) else ["an object"]
    if missing:
        raise Fault(f"{path}: {missing[0]} is missing; {ANEW}")
    return found


def read_csv(path: Path, *columns: str) -> pd.DataFrame:
    """Read a CSV file of ours that has these columns.

    It has to end with the end of a line, as one that was cut off mostly does not.
    """
    with reading(path):
        table = pd.read_csv(path)
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            whole = file.read() == b"\n"
    if not whole:
        raise unreadable(path, "it ends within a line")
    if missing := [name for name in columns if name not in table]:
        raise Fault(f"{path}: column {missing[0]} is missing (found: {', '.join(map(str, table))}); {ANEW}")
    return table
