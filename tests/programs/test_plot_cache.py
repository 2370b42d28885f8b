"""The picture of the caches: every policy is drawn, and the title tells what the table says."""

from pathlib import Path

import pandas as pd
import pytest

import plot_cache
from popularity.program import Fault

SIZES = [0.01, 0.05, 0.2]


def board_of(levels: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Hit ratios that rise with the size, each policy's from its own level on."""
    rows = [
        (policy, kind, size, round(1000 * size), 5000, level * size**0.25)
        for (policy, kind), level in levels.items()
        for size in SIZES
    ]
    board = pd.DataFrame(rows, columns=["policy", "kind", "size", "movies", "requests", "hit_ratio"])
    return board.assign(hit_ratio_low=board["hit_ratio"] - 0.01, hit_ratio_high=board["hit_ratio"] + 0.01)


BOARD = board_of(
    {
        ("net", "network"): 0.8,
        ("mean_$x_1$", "naive"): 0.7,
        ("LRU", "reactive"): 0.5,
        ("S3-FIFO", "reactive"): 0.6,
        ("net + LRU 50 %", "mixture"): 0.65,
        ("Belady", "reference"): 0.9,
        ("oracle", "reference"): 1.0,
    }
)


def test_each_panel_has_its_policies_the_best_first_and_the_references() -> None:
    figure = plot_cache.plot_cache(BOARD, "here")
    drawn = [
        [line.get_label() for line in panel.get_lines() if not line.get_label().startswith("_")]
        for panel in figure.axes
    ]
    references = ["oracle (knows the slot)", "Belady (knows all)"]
    assert drawn == [[*references, "net"], ["mean_$x_1$"], ["S3-FIFO", "LRU"], ["net + LRU 50 %"]]
    assert [len(panel.get_lines()) for panel in figure.axes] == [3, 3, 4, 3]
    oracle = BOARD[BOARD["policy"] == "oracle"]
    for panel in figure.axes:
        assert panel.get_lines()[0].get_ydata().tolist() == oracle["hit_ratio"].tolist()
    assert figure.get_suptitle().replace("\n", " ") == (
        "A cache of 5 % of the movies serves at best 38 % filled from a forecast (net), "
        "28 % reacting (S3-FIFO)"
    )


def test_a_panel_shows_no_more_than_can_be_told_apart() -> None:
    many = {(f"average_{i}", "naive"): 0.1 + 0.05 * i for i in range(10)}
    figure = plot_cache.plot_cache(board_of({**many, ("LRU", "reactive"): 0.4}), "here")
    lines = [line.get_label() for line in figure.axes[0].get_lines()]
    assert lines == [f"average_{i}" for i in range(9, 9 - plot_cache.LINES, -1)]
    assert "filled from a naive forecast: the best 7 of 10" in figure.get_supxlabel().replace("\n", " ")


def test_policies_without_small_caches_are_ranked_by_the_sizes_that_all_have() -> None:
    board = BOARD[~((BOARD["policy"] == "S3-FIFO") & (BOARD["size"] == SIZES[0]))]
    ranked = [policy for policy, _ in plot_cache.ranking(board)]
    assert ranked == ["oracle", "Belady", "net", "mean_$x_1$", "net + LRU 50 %", "S3-FIFO", "LRU"]
    assert len(plot_cache.plot_cache(board, "here").axes) == 4


def test_the_program_writes_both_files_and_tells_of_another_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BOARD.to_csv(tmp_path / "cache.csv", index=False)
    options = ["--hit-ratios", tmp_path / "cache.csv", "--dataset", "demo", "--slot", "day"]
    monkeypatch.setattr("sys.argv", ["plot_cache", *map(str, options), "--folder", str(tmp_path)])
    plot_cache.main()
    made = (tmp_path / "cache.png").read_bytes(), (tmp_path / "cache.svg").read_bytes()
    plot_cache.main()
    assert ((tmp_path / "cache.png").read_bytes(), (tmp_path / "cache.svg").read_bytes()) == made
    with pytest.raises(Fault, match=r"cache\.csv has no column kind"):
        plot_cache.plot_cache(BOARD.drop(columns="kind"), "here")
