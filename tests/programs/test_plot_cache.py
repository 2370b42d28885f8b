"""The picture of the caches: the best policies are drawn, and the title says what the table says."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import plot_cache
from popularity import style
from popularity.program import Fault

SIZES = [0.01, 0.05, 0.2]
#: The policy that the others are compared with.
COMPARED = "mean_$x_1$"


def board_of(levels: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Hit ratios that rise with the size, each policy's from its own level on."""
    rows = [
        (policy, kind, size, round(1000 * size), 5000, level * size**0.25)
        for (policy, kind), level in levels.items()
        for size in SIZES
    ]
    board = pd.DataFrame(rows, columns=["policy", "kind", "size", "movies", "requests", "hit_ratio"])
    compared = board[board["policy"] == COMPARED].set_index("size")["hit_ratio"]
    gain = board["hit_ratio"] - board["size"].map(compared)
    return board.assign(
        hit_ratio_low=board["hit_ratio"] - 0.01,
        hit_ratio_high=board["hit_ratio"] + 0.01,
        bytes=np.nan,
        byte_hit_ratio=np.nan,
        gain=gain,
        gain_low=gain - 0.001,
        gain_high=gain + 0.001,
        gain_over=COMPARED,
    )


BOARD = board_of(
    {
        ("net", "network"): 0.8,
        (COMPARED, "naive"): 0.7,
        ("LRU", "reactive"): 0.5,
        ("S3-FIFO", "reactive"): 0.6,
        ("net + LRU 50 %", "mixture"): 0.65,
        ("Belady", "reference"): 0.9,
        ("oracle", "reference"): 1.0,
    }
)


def names(panel: Axes) -> list[str]:
    return [str(line.get_label()) for line in panel.lines if not str(line.get_label()).startswith("_")]


def test_the_first_panel_has_the_best_of_each_way_and_those_that_know_the_future() -> None:
    figure = plot_cache.plot_cache(BOARD, "here")
    panel = figure.axes[0]
    assert names(panel) == [
        "oracle", "Belady", "filled: net", "net + LRU 50 %", "reacting: S3-FIFO", "LRU",
    ]  # fmt: skip
    oracle = BOARD[BOARD["policy"] == "oracle"]
    assert np.asarray(panel.lines[0].get_ydata()).tolist() == oracle["hit_ratio"].tolist()
    assert figure.get_suptitle().replace("\n", " ") == (
        "A cache of 5 % of the movies serves 38 % of the requests if filled by net, "
        "28 % of the requests if it reacts by S3-FIFO"
    )


def test_caches_of_bytes_show_the_bytes_that_they_serve_too() -> None:
    board = BOARD.assign(movies=np.nan, bytes=1e9 * BOARD["size"], byte_hit_ratio=BOARD["hit_ratio"] / 2)
    figure = plot_cache.plot_cache(board, "here")
    requests, served = figure.axes[:2]
    assert [panel.get_ylabel() for panel in (requests, served)] == ["hit ratio", "byte hit ratio"]
    assert names(served) == names(requests)
    oracle = board[board["policy"] == "oracle"]
    assert np.asarray(served.lines[0].get_ydata()).tolist() == oracle["byte_hit_ratio"].tolist()
    assert {panel.get_xlabel() for panel in figure.axes} == {"bytes in the cache, % of the catalogue"}
    assert figure.get_suptitle().startswith("A cache of 5 % of all bytes serves 38 % of the")


def test_the_other_panels_have_the_differences_of_each_policy_named_at_its_end() -> None:
    figure = plot_cache.plot_cache(BOARD, "here")
    assert [names(panel) for panel in figure.axes[1:]] == [
        ["net"],
        [COMPARED],
        ["net + LRU 50 %", "S3-FIFO", "LRU"],
    ]
    net = figure.axes[1].lines[1]
    assert (
        np.asarray(net.get_ydata()).tolist() == (100 * BOARD.loc[BOARD["policy"] == "net", "gain"]).tolist()
    )
    for panel in figure.axes:
        assert [text.get_text() for text in panel.texts] == names(panel)
        assert len({line.get_color() for line in panel.lines}) == len(panel.lines)


def test_a_panel_leaves_out_what_lies_far_below_and_says_so() -> None:
    many = {(f"average_{i}", "naive"): 0.65 + 0.005 * i for i in range(10)}
    far = {(COMPARED, "naive"): 0.7, ("nothing", "naive"): 0.01, ("LRU", "reactive"): 0.4}
    figure = plot_cache.plot_cache(board_of({**many, **far}), "here")
    assert names(figure.axes[1]) == [COMPARED, *(f"average_{i}" for i in range(9, 4, -1))]
    assert "filled from a naive forecast: the best 6 of 12" in figure.get_supxlabel().replace("\n", " ")
    board = board_of({(COMPARED, "naive"): 0.7, ("near", "naive"): 0.69, ("nothing", "naive"): 0.01})
    ranked = plot_cache.ranking(board)
    assert plot_cache.near_the_best(board, ranked) == [(COMPARED, "naive"), ("near", "naive")]


def test_caches_of_one_content_are_one_line() -> None:
    board = board_of({(COMPARED, "naive"): 0.7, ("a", "naive"): 0.69, ("b", "naive"): 0.69})
    assert names(plot_cache.plot_cache(board, "here").axes[1]) == [COMPARED, "a, b"]


@pytest.mark.filterwarnings("error")
def test_without_a_cache_to_compare_with_the_hit_ratios_alone_are_drawn() -> None:
    board = BOARD[BOARD["kind"] == "reactive"].assign(gain=float("nan"), gain_over=None)
    figure = plot_cache.plot_cache(board, "here")
    figure.canvas.draw()
    assert len(figure.axes) == 1
    assert names(figure.axes[0]) == ["reacting: S3-FIFO", "LRU"]


@pytest.mark.parametrize("places", [[0.5], [0.5, 0.5, 0.5], [0.0, 0.01, 0.9, 1.0], [1.0, 0.99, 0.98, 0.2]])
def test_names_of_lines_are_spread_in_their_order(places: list[float]) -> None:
    moved = style.spread(places, 0.1)
    order = sorted(range(len(places)), key=lambda at: places[at])
    steps = [moved[after] - moved[before] for before, after in itertools.pairwise(order)]
    assert all(step >= 0.1 - 1e-12 for step in steps)
    assert all(0 <= place <= 1 for place in moved)
    assert style.spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert style.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


def test_policies_without_small_caches_are_ranked_by_the_sizes_that_all_have() -> None:
    board = BOARD[~((BOARD["policy"] == "S3-FIFO") & (BOARD["size"] == SIZES[0]))]
    ranked = [policy for policy, _ in plot_cache.ranking(board)]
    assert ranked == ["oracle", "Belady", "net", COMPARED, "net + LRU 50 %", "S3-FIFO", "LRU"]
    assert len(plot_cache.plot_cache(board, "here").axes) == 4


def test_the_program_writes_both_files_and_refuses_another_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BOARD.to_csv(tmp_path / "cache.csv", index=False)
    options = ["--hit-ratios", tmp_path / "cache.csv", "--dataset", "demo", "--slot", "day"]
    monkeypatch.setattr("sys.argv", ["plot_cache", *map(str, options), "--folder", str(tmp_path)])
    plot_cache.main()
    made = (tmp_path / "cache.png").read_bytes(), (tmp_path / "cache.svg").read_bytes()
    plot_cache.main()
    assert ((tmp_path / "cache.png").read_bytes(), (tmp_path / "cache.svg").read_bytes()) == made
    BOARD.drop(columns="kind").to_csv(tmp_path / "cache.csv", index=False)
    with pytest.raises(Fault, match=r"cache\.csv: .*column kind is missing \(found: .*; delete it"):
        plot_cache.main()
