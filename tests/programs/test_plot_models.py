"""The leaderboard and the sweeps as pictures: what is drawn, and what their titles say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Text

import plot_models
from pictures import (
    board,
    texts,
    trained,
    write_trained,
)


def test_leaderboard_is_ordered_in_groups_and_points_out_of_the_panel() -> None:
    figure = plot_models.plot_leaderboard(board(), "here")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [
        "networks", "naive forecasts", "references",
        "lstm", "ewma", "all_time", "last_value", "oracle",
    ]  # fmt: skip
    heights = figure.axes[0].get_yticks()
    assert heights[3:].tolist() == sorted(heights[3:])
    assert heights[0] < heights[3] < heights[1] < heights[4]
    # Drawn from the ratio: lstm and ewma are inside, the others are arrows.
    low, high = figure.axes[0].get_xlim()
    assert -10 < low < -1.6 and 0 < high < 1
    lines = [bar for bar in figure.axes[0].collections if isinstance(bar, LineCollection)]
    bars = {tuple(np.asarray(line.get_segments()[0])[:, 0].round(6)) for line in lines}
    assert bars == {(-1.615152, -1.415152)}
    assert {"+900 %", "−84.8 %", "+1.52 %"} <= set(texts(figure))
    assert {text.get_text() for text in bold(figure.axes[1:])} == {"6.5000", "0.1000", "50.0 %"}
    assert figure.get_suptitle().replace("\n", " ") == (
        "lstm, the best model by the validation slots, beats ewma, the best naive forecast: its cross "
        "entropy is 1.5 % lower"
    )


def bold(panels: list[Axes]) -> list[Text]:
    return [text for panel in panels for text in panel.texts if text.get_fontweight() == "bold"]


def test_without_a_naive_forecast_the_leaderboard_draws_the_cross_entropy() -> None:
    figure = plot_models.plot_leaderboard(board(ratio=False), "here")
    low, high = figure.axes[0].get_xlim()
    assert low < 6.49 and 6.6 < high < 66
    assert {"66", "1"} <= set(texts(figure))


def test_no_symbol_of_the_leaderboard_is_cut_off() -> None:
    draw = np.random.default_rng(1)
    for spread in (0.1, 1.0, 30.0):
        table = pd.concat([board()] * 4, ignore_index=True)
        values = 1 + spread / 100 * draw.standard_exponential(len(table))
        table = table.assign(cross_entropy_ratio=values, ratio_low=values - 0.01, ratio_high=values + 0.01)
        figure = plot_models.plot_leaderboard(table, "here")
        figure.canvas.draw()
        panel = figure.axes[0]
        inside = panel.get_window_extent()
        for line in (line for line in panel.lines if line.get_marker() in {"o", "s", "D", "^"}):
            # Half of the marker, in pixels.
            half = line.get_markersize() / 72 * figure.dpi / 2
            x, _ = panel.transData.transform(np.asarray(line.get_xydata())[0])
            assert inside.x0 + half < x < inside.x1 - half


def test_forecasters_of_some_movies_are_marked_and_ordered_by_their_ratio() -> None:
    table = pd.concat([board().iloc[[0]].assign(name="few", cross_entropy=5.0), board()])
    table = table.assign(covered_share=[0.8, *[1.0] * 5])
    table["cross_entropy_ratio"] = [0.99, *table["cross_entropy_ratio"][1:]]
    table["ratio_low"], table["ratio_high"] = (table["cross_entropy_ratio"] + by for by in (-0.001, 0.001))
    figure = plot_models.plot_leaderboard(table, "here")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[3:5] == ["lstm", "few *"]
    assert "*: names some movies only" in figure.get_supxlabel().replace("\n", " ")
    assert figure.get_suptitle().startswith("lstm, the best model")
    assert "5.0000" not in {text.get_text() for text in bold(figure.axes[1:])}


def test_rows_of_a_model_after_fewer_epochs_are_folded() -> None:
    table = board()
    again = [table, table.iloc[[0]].assign(name="lstm_30"), table.iloc[[0]].assign(name="lstm_50")]
    models = {"lstm": {"score_at_epochs": [30, 50, 70]}, "gone": {"score_at_epochs": [9]}}
    folded, epochs = plot_models.fold_snapshots(pd.concat(again), models)
    assert folded.equals(table)
    assert epochs == {"lstm": [30, 50]}
    figure = plot_models.plot_leaderboard(folded, "here", epochs)
    assert "it holds lstm after 30 and 50 epochs as well" in figure.get_supxlabel().replace("\n", " ")


@pytest.mark.parametrize(
    ("low", "high", "title"),
    [
        (0.99, 1.01, "lstm, the best model by the validation slots, is level with ewma"),
        (1.01, 1.02, "lstm, the best model by the validation slots, does not beat ewma"),
    ],
)
def test_leaderboard_title_says_who_wins(low: float, high: float, title: str) -> None:
    table = board()
    table.loc[0, ["ratio_low", "ratio_high"]] = low, high
    assert plot_models.board_title(table).startswith(title)


@pytest.mark.parametrize("row", range(5))
@pytest.mark.filterwarnings("error")
def test_leaderboard_of_one_row(row: int) -> None:
    for ratio in (False, True):
        table = board(ratio).iloc[[row]]
        plot_models.plot_leaderboard(table, "here").canvas.draw()
    table = table.assign(rmse=np.nan, cross_entropy=np.nan)
    plot_models.plot_leaderboard(table, "here").canvas.draw()


def sweep_board(scores: dict[str, float]) -> pd.DataFrame:
    names = [*scores, "ewma"]
    table = pd.DataFrame({"name": names, "kind": ["network"] * len(scores) + ["naive"]})
    return table.assign(cross_entropy=[*scores.values(), 6.6], cross_entropy_std=np.nan)


def write_models(folder: Path, models: dict[str, dict[str, Any]]) -> list[Path]:
    return [write_trained(trained(name, 1, 1, own, folder / name)) for name, own in models.items()]


def test_sweeps_are_of_models_that_differ_in_one_setting(tmp_path: Path) -> None:
    common = {"cell": "lstm", "layers": [32], "window": 7}
    models = {
        "a": common,
        "b": {**common, "window": 14},
        "c": {**common, "layers": [64]},
        "d": {**common, "layers": [64], "window": 14},
        "e": {**common, "layers": [64, 64]},
        "f": {"cell": "gru", "layers": [8], "window": 3},
    }
    settings = plot_models.read_settings(write_models(tmp_path, models))
    board = sweep_board({name: 6.0 + at / 10 for at, name in enumerate(models)})
    sweeps = plot_models.find_sweeps(settings, board, ["cell", "window", "layers"])
    found = {
        key: [[(point.value, round(point.score, 1)) for point in group] for group in groups]
        for key, groups in sweeps.items()
    }
    assert found == {
        "window": [[(7, 6.0), (14, 6.1)], [(7, 6.2), (14, 6.3)]],
        "hidden layers": [[(1, 6.2), (2, 6.4)]],
        "units": [[(32, 6.0), (64, 6.2)], [(32, 6.1), (64, 6.3)]],
    }
    assert list(plot_models.find_sweeps(settings, board, ["window"])) == ["window"]
    figure = plot_models.plot_sweeps(settings, board, ["window", "layers"], "here")
    assert [axes.get_title("left") for axes in figure.axes] == ["window", "hidden layers", "units"]
    assert figure.get_suptitle().replace("\n", " ") == (
        "Swept: window, hidden layers, units. The units can change the cross entropy most: "
        "6 with 32, 6.2 with 64 (3.3 % more)"
    )


@pytest.mark.filterwarnings("error")
def test_sweeps_of_values_of_any_kind_and_of_none(tmp_path: Path) -> None:
    models: dict[str, dict[str, Any]] = {
        "a": {"convolution": None, "learning_rate": 0.001, "layers": [64, 32]},
        "b": {"convolution": {"filters": 8}, "learning_rate": 0.001, "layers": [64, 32]},
        "c": {"convolution": None, "learning_rate": 0.1, "layers": [64, 32]},
        "d": {"convolution": None, "learning_rate": 0.1, "layers": [16]},
    }
    settings = plot_models.read_settings(write_models(tmp_path, models))
    board = sweep_board({"a": 6.5, "b": 6.5001, "c": 9.0, "d": 8.0})
    swept = ["convolution", "learning_rate", "layers"]
    figure = plot_models.plot_sweeps(settings, board, swept, "here")
    figure.canvas.draw()
    assert {"none", "filters 8\nkernel_size 3\ndilation 1", "0.001", "0.1", "64 + 32", "16"} <= set(
        texts(figure)
    )
    slight = plot_models.plot_sweeps(settings, board, ["convolution"], "here")
    assert slight.get_suptitle().replace("\n", " ") == (
        "No swept setting (convolution) changes the cross entropy by 0.1 % or more"
    )
    alone = plot_models.plot_sweeps({"a": settings["a"], "d": settings["d"]}, board, swept, "here")
    alone.canvas.draw()
    assert alone.get_suptitle().replace("\n", " ") == (
        "No two models differ in one swept setting alone (convolution, learning_rate, layers)"
    )
