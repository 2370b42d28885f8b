"""The benchmark's programs make the same tables as our scripts, and its check sees what differs."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import agreement
import bench_data
from workdir import ROOT


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "small.zip"
    size = ["--ratings", "20000", "--users", "400", "--movies", "300"]
    bench_data.measure([sys.executable, ROOT / "scripts/simulate_archive.py", *size, "--output", path])
    return path


@pytest.fixture(scope="module")
def ours(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    usage = bench_data.measure(*bench_data.our_commands(archive, "day", folder).values())
    assert usage.wall > 0
    assert usage.cpu > 0
    assert 30 < usage.peak < 2_000
    return folder


@pytest.fixture(scope="module")
def pandas_tables(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pandas")
    bench_data.measure(bench_data.peer_command("pandas", archive, "day", folder))
    return folder


@pytest.mark.parametrize("peer", bench_data.PEERS)
def test_a_peer_makes_the_same_tables(peer: str, archive: Path, ours: Path, tmp_path: Path) -> None:
    pytest.importorskip(peer, reason=f"{peer} is installed by `make bench-data`")
    bench_data.measure(bench_data.peer_command(peer, archive, "day", tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.parquet" for name in ("joined", "sorted", "series")
    }
    assert agreement.differences(ours, tmp_path) == []


def test_a_log_in_each_form_makes_the_same_table(archive: Path, ours: Path, tmp_path: Path) -> None:
    made = {}
    for form, path in bench_data.packed_forms(archive, tmp_path).items():
        assert bench_data.join_form(path, tmp_path).peak > 30
        made[form] = (tmp_path / "joined.parquet").read_bytes()
    assert set(made) == set(bench_data.FORMS)
    assert len(set(made.values())) == 1
    found = pd.read_parquet(tmp_path / "joined.parquet")
    expected = pd.read_parquet(ours / "joined.parquet")
    assert found["timestamp"].tolist() == expected["timestamp"].tolist()
    assert found["rating"].tolist() == expected["rating"].tolist()


def change(column: str, row: int, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return changed


@pytest.mark.parametrize(
    ("name", "edit", "told"),
    [
        ("joined", change("rating", 7, 9.5), "joined: rows differ"),
        ("joined", lambda table: table.iloc[1:], "joined: rows differ"),
        ("sorted", change("label", 5, 77), "sorted: label differs"),
        ("sorted", change("label_n", 5, 0.5), "sorted: label_n differs"),
        ("sorted", lambda table: table.iloc[::-1], "sorted: slot differs"),
        ("sorted", lambda table: table.iloc[1:], "sorted: .* rows"),
        ("series", change("label_n", 3, 0.9), "windows: values . before the target differ"),
        ("series", lambda table: table.iloc[::-1], "windows: targets differ"),
        ("series", lambda table: table.sort_values("slot"), "windows: .* and .*"),
    ],
)
def test_the_check_sees_a_difference(
    name: str,
    edit: Callable[[pd.DataFrame], pd.DataFrame],
    told: str,
    ours: Path,
    pandas_tables: Path,
    tmp_path: Path,
) -> None:
    for made in pandas_tables.iterdir():
        shutil.copy2(made, tmp_path)
    path = tmp_path / f"{name}.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)
    found = agreement.differences(ours, tmp_path)
    assert any(re.fullmatch(told, line) for line in found), found


def without(column: str, row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Make a value null that was 0, which the numbers alone do not tell from a null."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype("Int64")
        table.loc[row, column] = 0
        return table

    return changed


def added(column: str, row: int, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].where(table.index != row, table[column] + value)
        return table

    return changed


def test_the_check_sees_a_difference_in_each_column(
    ours: Path, pandas_tables: Path, tmp_path: Path
) -> None:
    """Of a row in the middle, by as little as may not be."""
    cases: list[tuple[str, str, float, str]] = [
        *(("joined", column, 1, "joined: rows differ") for column in agreement.JOINED),
        *(("sorted", column, 1, f"sorted: {column} differs") for column in agreement.LABELLED),
        ("sorted", "label_n", 1e-11, "sorted: label_n differs"),
        ("sorted", "avg_rating", 1e-4, "sorted: avg_rating differs"),
        ("series", "slot", 1, "windows: targets differ"),
        ("series", "label_n", 1e-11, "windows: values 0 before the target differ"),
        ("series", "label_n", 1e-11, "windows: values 3 before the target differ"),
    ]
    for name, column, value, told in cases:
        for made in pandas_tables.iterdir():
            shutil.copy2(made, tmp_path)
        table = pd.read_parquet(pandas_tables / f"{name}.parquet")
        # The fifth value of the longest series is a target, and is in the windows of three others.
        row = 100
        if name == "series":
            row = int(table.index[table["movieId"] == table["movieId"].mode()[0]][5])
        elif table[column].isna().any():
            row = int(table.index[table[column].notna()][100])
        added(column, row, value)(table).to_parquet(tmp_path / f"{name}.parquet", index=False)
        assert told in agreement.differences(ours, tmp_path), (name, column)


def test_the_check_tells_null_from_0_and_what_is_labelled_from_what_is_sorted(
    ours: Path, pandas_tables: Path, tmp_path: Path
) -> None:
    for folder, source in (("peer", pandas_tables), ("ours", ours)):
        shutil.copytree(source, tmp_path / folder)
    path = tmp_path / "peer" / "sorted.parquet"
    table = pd.read_parquet(path)
    unknown = int(table.index[table["releaseDate"].isna()][0])
    without("releaseDate", unknown)(table).to_parquet(path, index=False)
    assert agreement.differences(tmp_path / "ours", tmp_path / "peer") == ["sorted: nulls differ"]
    shutil.copy2(pandas_tables / "sorted.parquet", path)
    path = tmp_path / "ours" / "labelled.parquet"
    change("label", 5, 77)(pd.read_parquet(path)).to_parquet(path, index=False)
    assert agreement.differences(tmp_path / "ours", tmp_path / "peer") == [
        "labelled: is not what is sorted"
    ]


def test_two_tables_that_agree_and_are_not_sorted_are_told(
    ours: Path, pandas_tables: Path, tmp_path: Path
) -> None:
    for folder, source in (("peer", pandas_tables), ("ours", ours)):
        shutil.copytree(source, tmp_path / folder)
        path = tmp_path / folder / "sorted.parquet"
        table = pd.read_parquet(path)
        # Two movies of one slot have changed places.
        at = int(np.flatnonzero(table["slot"].to_numpy()[1:] == table["slot"].to_numpy()[:-1])[0])
        order = np.arange(len(table))
        order[[at, at + 1]] = at + 1, at
        table.iloc[order].to_parquet(path, index=False)
    found = agreement.differences(tmp_path / "ours", tmp_path / "peer")
    assert found == ["sorted: is not sorted by slot and movie"]


def test_the_last_digits_are_free(ours: Path, pandas_tables: Path, tmp_path: Path) -> None:
    for made in pandas_tables.iterdir():
        shutil.copy2(made, tmp_path)
    for name, column, value in (("sorted", "label_n", 1e-14), ("series", "label_n", 1e-14)):
        path = tmp_path / f"{name}.parquet"
        added(column, 9, value)(pd.read_parquet(path)).to_parquet(path, index=False)
    assert agreement.differences(ours, tmp_path) == []


def test_the_order_of_joined_rows_is_free(ours: Path, pandas_tables: Path, tmp_path: Path) -> None:
    for made in pandas_tables.iterdir():
        shutil.copy2(made, tmp_path)
    path = tmp_path / "joined.parquet"
    pd.read_parquet(path).sample(frac=1, random_state=1).to_parquet(path, index=False)
    assert agreement.differences(ours, tmp_path) == []
