"""Files of results are read as they were written, or refused in one line that names them."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from popularity import results
from popularity.program import Fault

SCRIPTS = Path(results.__file__).parents[1]
DELETE = "; delete it, and the next run writes it anew"
SCORES = pd.DataFrame(
    {
        "slot": [1, 2, 1, 2],
        "log_loss": [0.1, np.nan, 0.3, 0.4],
        "name": ["ä", "b", "ä", "b"],
        "kind": "naive",
        "seed": 1,
        "split": ["test", "test", "validation", "validation"],
    }
)


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    results.write_scores(path, [SCORES[:2], SCORES[2:].assign(covered=1.0)])
    found = results.read_scores([path, path], ["log_loss"])
    assert len(found) == 8
    first = found[:4].reset_index(drop=True)
    pd.testing.assert_frame_equal(first[SCORES.columns], SCORES)
    assert first["covered"].isna().tolist() == [True, True, False, False]


def test_any_bit_of_scores_that_is_not_as_written_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    results.write_scores(path, [SCORES])
    sound, expected = path.read_bytes(), results.read_scores([path], ["log_loss"])
    refused = 0
    for place in range(0, len(sound), 2):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << place // 2 % 8]) + sound[place + 1 :])
        try:
            pd.testing.assert_frame_equal(results.read_scores([path], ["log_loss"]), expected)
        except Fault as fault:
            assert str(fault).startswith(f"{path}: ")
            assert str(fault).endswith(DELETE)
            refused += 1
    assert refused > len(sound) / 4


def test_scores_without_a_sum_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    results.write_scores(path, [SCORES])
    with pytest.raises(
        Fault, match=r"scores\.parquet: .*column covered is missing \(found: slot, .*; delete it"
    ):
        results.read_scores([path], ["covered"])


def test_json_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"test": {"rmse": 0.5}, "ä": 1}', encoding="utf-8")
    assert results.read_json(path, "test") == {"test": {"rmse": 0.5}, "ä": 1}
    sound = path.read_bytes()
    for damaged in (*(sound[:kept] for kept in range(len(sound))), b"[1]", b"1", b"\xff"):
        path.write_bytes(damaged)
        with pytest.raises(Fault, match=rf"^{path}: .*{DELETE}$"):
            results.read_json(path)
    path.write_bytes(sound)
    with pytest.raises(Fault, match=rf"^{path}: intervals is missing{DELETE}$"):
        results.read_json(path, "test", "intervals")


def test_a_csv_file_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    table = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.25]})
    table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(results.read_csv(path, "epoch", "loss"), table)
    sound = path.read_bytes()
    for kept in range(len(sound)):
        path.write_bytes(sound[:kept])
        if sound[:kept].endswith(b"\n"):
            # Nothing in a CSV file says how many rows there are.
            assert len(results.read_csv(path)) < 2
            continue
        with pytest.raises(Fault, match=rf"^{path}: refused, or not readable \(.*{DELETE}$"):
            results.read_csv(path)
    path.write_bytes(sound)
    with pytest.raises(
        Fault, match=r"history\.csv: .*column seconds is missing \(found: epoch, loss\); delete it"
    ):
        results.read_csv(path, "epoch", "seconds")
    path.unlink()
    with pytest.raises(Fault, match=r"history\.csv: there is no such file"):
        results.read_csv(path)


#: Calls that read a file, outside of popularity/results.py and popularity/tables.py.
READERS = {"read_parquet", "read_table", "ParquetFile", "read_csv", "load_model", "read_text"}
#: Scripts and modules in which they may stand outside of `reading`, and why.
OTHERWISE = {
    # Its sidecar: a damaged one starts anew.
    "download_archive.py",
    # Files of the repository, or given by the user: deleting them would write nothing anew.
    "list_software.py",
    # Settings, which the user mends.
    "values.py",
    "write_captions.py",
    "write_front_page.py",
    # What is within the archive, which has faults of its own.
    "csv.py",
    "parquet.py",
    "pieces.py",
}


def unguarded(tree: ast.AST) -> list[str]:
    """Calls of READERS that stand in no `with reading(…)`."""
    found: list[str] = []

    def visit(node: ast.AST, guarded: bool) -> None:
        if isinstance(node, ast.With):
            calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
            guarded |= any(isinstance(call.func, ast.Name) and call.func.id == "reading" for call in calls)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not guarded:
            found.extend({node.func.attr} & READERS)
        for child in ast.iter_child_nodes(node):
            visit(child, guarded)

    visit(tree, False)
    return found


def test_every_file_is_read_so_that_damage_names_it() -> None:
    told = {path.name: unguarded(ast.parse(path.read_text())) for path in SCRIPTS.rglob("*.py")}
    assert {name for name, calls in told.items() if calls} == OTHERWISE
