"""The pictures: files, bytes, what is drawn, and inputs that leave little to draw."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import plot_eda
import plot_log
import plot_models
import plot_predictions
import plot_runtimes
import plot_training
from popularity import style, tables
from popularity.scoring.classes import CLASSES
from small_logs import random_log, sequences_of, series_of

SCRIPTS = Path(plot_eda.__file__).parent
EDA = [f"eda_{name}" for name in ("histograms", "densities", "correlations", "box_plots", "scatter_matrix")]
MADE = {
    "plot_eda": [*EDA, "feature_information"],
    "plot_log": [
        "requests_per_slot",
        "rank_frequency",
        "life_of_a_movie",
        "slots_without_requests",
        "hours_of_week",
    ],
    "plot_training": ["loss", "rmse_by_epoch", "epoch_seconds"],
    "plot_models": ["leaderboard", "sweeps"],
    "plot_predictions": ["predicted_and_true", "calibration", "error_by_class"],
    "plot_runtimes": ["runtimes"],
}
SPLIT = {"validation": 0.15, "test": 0.15}


def labelled_table(
    rows: list[tuple[int, int, int]],
    rating: list[float | None] | None = None,
    release: list[int | None] | None = None,
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


def settings(name: str, seed: int, best: int | None = 1) -> dict:
    return {"name": name, "seed": seed, "loss": "softmax_cross_entropy", "best_epoch": best}


def board(ratio: bool = True) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "name": ["lstm", "ewma", "last_value", "all_time", "oracle"],
            "kind": ["network", "naive", "naive", "naive", "reference"],
            "seeds": [2, 1, 1, 1, 1],
            "cross_entropy": [6.5, 6.6, 66.0, 6.7, 1.0],
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
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Small inputs of every script, and the arguments to draw them with, but for --folder."""
    inputs = tmp_path_factory.mktemp("inputs")
    tables.write(inputs / "labelled.parquet", some_table())
    catalogue = pd.DataFrame(
        {
            "movieId": np.arange(1, 41),
            "title": [f"${n} & <More> (19{n + 10})" for n in range(1, 41)],
            "genre_names": ["Comedy|Drama"] * 40,
            "genres": np.arange(1, 41),
            "releaseDate": 1990,
        }
    )
    movies = pa.Table.from_pandas(catalogue, tables.MOVIES, preserve_index=False)
    tables.write(inputs / "movies.parquet", movies)
    tables.write(inputs / "predictions.parquet", prediction_table())
    board().to_csv(inputs / "leaderboard.csv", index=False)
    histories, resolved = [], []
    for at, (name, seed) in enumerate([("lstm", 2), ("lstm", 1), ("gru", 1)]):
        histories.append(str(inputs / f"history{at}.csv"))
        resolved.append(str(inputs / f"settings{at}.json"))
        history(4 + at, seed).to_csv(histories[-1], index=False)
        Path(resolved[-1]).write_text(json.dumps(settings(name, seed, 3)))
    by_time = tables.read(inputs / "labelled.parquet", tables.LABELLED)
    tables.write(inputs / "sequences.parquet", sequences_of(by_time, 3, "calendar"))
    times = np.random.default_rng(1).integers(1_400_000_000, 1_500_000_000, 500)
    tables.write(inputs / "joined.parquet", joined_table(times.tolist()))
    benchmark(inputs / "benchmarks/train_model/lstm/seed-1.tsv", 3.0, 200)
    data, slot = ["--dataset", "made up"], ["--slot", "day"]
    labelled = ["--labelled", str(inputs / "labelled.parquet")]
    joined = ["--joined", str(inputs / "joined.parquet")]
    named = ["--movies", str(inputs / "movies.parquet")]
    split = ["--split", json.dumps(SPLIT)]
    sequences = ["--sequences", str(inputs / "sequences.parquet"), "--window", "3"]
    runs = ["--resolved", *resolved, *data]
    predictions = ["--predictions", *[str(inputs / "predictions.parquet")] * 3]
    leaderboard = ["--leaderboard", str(inputs / "leaderboard.csv")]
    losses = {name: [4.0, 5.0, 6.0, 7.0] for name in ("lstm", "gru", "ewma")}
    by_class = class_board(losses, {"lstm": "network", "gru": "network", "ewma": "naive"})
    by_class.to_csv(inputs / "by_class.csv", index=False)
    classes = ["--by-class", str(inputs / "by_class.csv")]
    return {
        "plot_eda": [*labelled, *named, *sequences, *data, *slot, *split, "--features", "log_count"],
        "plot_log": [*joined, *labelled, *data, *slot, *split],
        "plot_training": ["--histories", *histories, *runs],
        "plot_models": [*leaderboard, *runs, "--swept", "loss"],
        "plot_predictions": [
            *[*leaderboard, *classes, *predictions, *runs],
            *[*named, *labelled, *slot, *split],
        ],
        "plot_runtimes": [
            *["--benchmarks", str(inputs / "benchmarks"), "--trained", "lstm", *data],
            *["--seeds", "1", "--folds", "1"],
            *["--table", str(inputs / "runtimes.csv")],
        ],
    }


@pytest.mark.parametrize("script", MADE)
def test_command_writes_all_its_pictures_twice_alike(script, commands, tmp_path, monkeypatch) -> None:
    path = str(SCRIPTS / f"{script}.py")
    arguments = [path, *commands[script], "--folder"]
    command = [sys.executable, "-W", "error", *arguments, str(tmp_path / "one")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        monkeypatch.setattr(sys, "argv", [*arguments, str(tmp_path / "two")])
        runpy.run_path(path, run_name="__main__")
        _, errors = process.communicate()
    assert process.returncode == 0, errors

    expected = {f"{name}.{suffix}" for name in MADE[script] for suffix in ("png", "svg")}
    assert {file.name for file in (tmp_path / "one").iterdir()} == expected
    for name in expected:
        first, second = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert first == second, name
        if name.endswith(".png"):
            assert first.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = np.frombuffer(first[16:24], ">u4")
            assert width == 8 * 150 and height > 300
        else:
            assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
            assert b"source: " in first


def test_svg_holds_the_title_and_no_date(tmp_path) -> None:
    figure, (panel,) = style.new_figure("What is $een & <said>", "here, 3 rows, 2 $ each")
    panel.plot([1, 2])
    style.save(figure, tmp_path, "one")
    text = (tmp_path / "one.svg").read_text()
    assert "What is $een &amp; &lt;said&gt;" in text
    assert "<dc:date>" not in text


def test_titles_break_into_even_lines() -> None:
    assert style.fill("one two three four", 14) == "one two\nthree four"
    assert style.fill("short", 80) == "short"


def test_more_models_than_colours_differ_in_their_dashes() -> None:
    looks = style.looks(f"model {n}" for n in range(28))
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 28


@pytest.mark.parametrize("most", [3, 5, 8])
@pytest.mark.filterwarnings("error")
def test_every_range_of_dates_has_ticks(most) -> None:
    for hours in (1, 24, 34, 43, 100, 2_000, 13_622, 15_216, 500_000):
        _, (panel,) = style.new_figure("one", "here")
        panel.plot(np.array([0, hours], "datetime64[h]"), [0, 1])
        style.label_values(panel.xaxis, "date", most=most)
        low, high = panel.get_xlim()
        assert 2 <= sum(low <= tick <= high for tick in panel.get_xticks()) <= 9


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.25, "25 %"), (0.025, "2.5 %"), (1, "100 %"), (0, "0 %"), (0.001, "0.1 %")],
)
def test_percent(share, text) -> None:
    assert style.percent(share) == text


def eda(table: pa.Table, slot: str = "day") -> plot_eda.Table:
    return plot_eda.make_table(table, slot, "here")


def test_correlations_are_those_of_ranks() -> None:
    table = some_table()
    figure = plot_eda.plot_correlations(eda(table), seed=1)
    panel = figure.axes[0]
    drawn = np.ma.asarray(panel.images[0].get_array())
    keys = [label.get_text().split("(")[1][:-1] for label in panel.get_xticklabels()]
    left = [label.get_text().split("(")[1][:-1] for label in panel.get_yticklabels()]
    rows = table.to_pandas()
    for i, j in zip(*np.tril_indices(len(keys)), strict=True):
        pair = rows[[keys[j], left[i]]].dropna().rank().to_numpy()
        assert drawn[i, j] == pytest.approx(np.corrcoef(pair.T)[0, 1])
        assert f"{round(drawn[i, j], 2) + 0:+.2f}".replace("-", "−") in texts(figure)
    # One side of the diagonal says it all.
    assert np.ma.getmaskarray(drawn)[np.triu_indices(len(keys), k=1)].all()


def test_columns_that_correlate_with_none_are_named_and_not_drawn() -> None:
    matrix = pd.DataFrame(np.eye(4), list("abcd"), list("abcd"))
    assert plot_eda.correlated(matrix) == (["a", "b", "c", "d"], [])
    matrix.loc["a", "c"] = matrix.loc["c", "a"] = -0.2
    assert plot_eda.correlated(matrix) == (["a", "c"], ["b", "d"])
    numbers = pd.DataFrame(np.nan, list("ab"), list("ab"))
    assert plot_eda.correlated(numbers) == (["a", "b"], [])


def test_counts_and_half_stars_have_steps_that_add_up() -> None:
    figure = plot_eda.plot_densities(eda(some_table()))
    for panel in figure.axes:
        steps = [patch for patch in panel.patches if hasattr(patch, "get_data")]
        assert bool(steps) == (panel.get_ylabel() == "share of the rows") == (not panel.lines)
        for step in steps:
            assert step.get_data().values.sum() == pytest.approx(1)


def test_scales_of_the_scatter_matrix_are_on_its_left_and_bottom() -> None:
    figure = plot_eda.plot_scatter_matrix(eda(some_table()), 1)
    count = len(eda(some_table()).columns())
    # The other side of the diagonal would say the same again.
    assert len(figure.axes) == count * (count + 1) // 2
    for panel in figure.axes:
        assert not panel.yaxis.get_tick_params()["labelright"]
    assert next(panel.get_ylabel() for panel in figure.axes if panel.get_ylabel()) == "rows"


def test_density_is_that_of_the_kernels() -> None:
    values = np.random.default_rng(1).normal(3, 2, 5_000)
    x, y = plot_eda.density(values)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)
    normal = np.exp(-0.5 * ((x - 3) / 2) ** 2) / (2 * np.sqrt(2 * np.pi))
    assert np.abs(y - normal).max() < 0.015


def test_density_of_one_value_is_one_kernel() -> None:
    x, y = plot_eda.density(np.array([7.0, 7.0]))
    assert len(x) == len(y)
    assert x[y.argmax()] == pytest.approx(7, abs=0.02)


def test_histograms_count_every_row_once() -> None:
    table = eda(some_table())
    for key in table.columns():
        values = style.finite(table.rows[key])
        assert np.histogram(values, plot_eda.bin_edges(values, key))[0].sum() == len(values)


def test_sample_is_seeded_and_said_on_the_picture() -> None:
    table = eda(some_table())
    rows, source = table.sample(50, seed=1)
    assert len(rows) == 50
    assert rows.equals(table.sample(50, seed=1)[0])
    assert not rows.equals(table.sample(50, seed=2)[0])
    assert source == "here; 50 of them drawn at random (seed 1)"
    assert table.sample(400, seed=1)[1] == "here"


def test_box_plots_are_quantiles_of_their_classes() -> None:
    table = labelled_table([(1, movie, movie) for movie in range(1, 21)], release=[1985] * 10 + [1990] * 10)
    classes = plot_eda.box_classes(eda(table, "year"))
    assert list(classes) == ["release decade"]
    boxes = plot_eda.share_quantiles(pd.Series(table["label_n"].to_pandas()), classes["release decade"])
    assert boxes.index.tolist() == [1980, 1990]
    assert boxes[0.5].tolist() == pytest.approx([5.5 / 210, 15.5 / 210])


def draw_eda(table: plot_eda.Table) -> list[Figure]:
    return [
        plot_eda.plot_histograms(table),
        plot_eda.plot_densities(table),
        plot_eda.plot_correlations(table, 1),
        plot_eda.plot_box_plots(table),
        plot_eda.plot_scatter_matrix(table, 1),
    ]


@pytest.mark.parametrize("slot", ["day", "year"])
@pytest.mark.parametrize("rows", [[(5, 7, 1)], [(5, 7, 3), (5, 8, 1)], [(5, 7, 1), (6, 7, 4), (9, 7, 2)]])
@pytest.mark.filterwarnings("error")
def test_eda_and_log_of_next_to_nothing(rows, slot, tmp_path) -> None:
    table = labelled_table(rows)
    figures = [
        *draw_eda(eda(table, slot)),
        plot_log.plot_requests_per_slot(table, slot, "here", SPLIT),
        plot_log.plot_rank_frequency(table, "here"),
        plot_log.plot_life(plot_log.by_movie(table), slot, "here"),
        plot_log.plot_idle_slots(plot_log.by_movie(table), slot, "here"),
        plot_log.plot_hours_of_week(plot_log.hours_of_week([joined_table([1])]), "here"),
    ]
    for figure in figures:
        figure.canvas.draw()
    assert not [text for f in figures for text in texts(f) if "rating" in text or "release" in text]


def test_genres_of_like_names_stay_apart() -> None:
    names = {1: "Action|Adventure|Animation|A", 2: "Action|Adventure|Animation|B"}
    labelled = labelled_table([(5, 7, 1), (5, 8, 2)], genres=[1, 2])
    figure = plot_eda.plot_box_plots(plot_eda.make_table(labelled, "day", "here", names))
    assert len(figure.axes[1].get_xticklabels()) == 2


def test_slots_without_requests_are_drawn_as_zero() -> None:
    table = labelled_table([(10, 1, 2), (10, 2, 3), (13, 1, 4)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here")
    line = figure.axes[0].lines[0]
    assert np.asarray(line.get_ydata()).tolist() == [5, 0, 0, 4]
    days = np.array(line.get_xdata(), "datetime64[D]")
    assert days.tolist() == np.arange("1970-01-10", "1970-01-14", dtype="datetime64[D]").tolist()
    assert "2 of 4 days without any" in figure.get_suptitle().replace("\n", " ")


def test_validation_and_test_slots_are_marked_where_they_begin() -> None:
    table = labelled_table([(slot, 1, 1) for slot in range(1, 21)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here", {"validation": 0.2, "test": 0.1})
    marks = [np.datetime64(line.get_xdata()[0], "D") for line in figure.axes[0].lines[2:]]
    assert marks == [np.datetime64("1970-01-15"), np.datetime64("1970-01-19")]
    assert {"training", "validation", "test"} <= set(texts(figure))


def test_running_mean_at_the_ends_is_of_what_there_is() -> None:
    assert plot_log.running_mean(np.array([1.0, 2, 3, 4]), 3).tolist() == [1.5, 2, 3, 3.5]
    assert plot_log.running_mean(np.array([4.0]), 1).tolist() == [4]


@pytest.mark.parametrize("power", [-0.6, -1.0, -1.7])
def test_slopes_of_a_power_law_are_its_power(power: float) -> None:
    found = plot_log.slopes(1e6 * np.arange(1.0, 5_001) ** power)
    assert [(slope.begin, slope.end) for slope in found] == [(1, 10), (10, 100), (100, 1000), (1000, 5000)]
    assert [slope.power for slope in found] == pytest.approx([power] * 4)
    # A step of less than a factor of 3 is none.
    assert [slope.end for slope in plot_log.slopes(np.ones(29))] == [10]
    assert plot_log.slopes(np.ones(2)) == []


@pytest.mark.parametrize(
    ("requests", "title"),
    [
        ([6000 // rank for rank in range(1, 31)], "1 of 30 movies get 25 % of the requests; requests fall "
         "as the rank to the power of −1.0"),
        ([100 - 3 * rank for rank in range(30)], "1 of 30 movies get 5.9 % of the requests; requests fall "
         "more and more steeply with the rank"),
    ],
)  # fmt: skip
def test_title_of_ranks_says_whether_the_power_is_one(requests: list[int], title: str) -> None:
    table = labelled_table([(1, movie, count) for movie, count in enumerate(requests, 1)])
    assert plot_log.plot_rank_frequency(table, "here").get_suptitle().replace("\n", " ") == title


def test_best_epoch_and_bands_over_seeds() -> None:
    runs = [(settings("lstm", 1, 2), history(3, 1)), (settings("lstm", 2, 3), history(4, 2))]
    table = plot_training.by_epoch(runs, "loss")
    assert table.index.tolist() == [1, 2, 3, 4]
    assert table["min"][1] < table["mean"][1] < table["max"][1]
    assert table["min"][4] == table["max"][4] == runs[1][1]["loss"][3]
    figure = plot_training.plot_loss({"lstm": runs}, "here")
    stars = figure.axes[0].lines[-1]
    assert np.asarray(stars.get_xdata()).tolist() == [2, 3]
    assert figure.get_suptitle() == "The validation loss is lowest before the last epoch, at epoch 2 to 3"


@pytest.mark.parametrize("value", [None, np.nan, np.inf, 0.0])
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.filterwarnings("error")
def test_training_of_next_to_nothing(value, epochs) -> None:
    models = {"lstm": [(settings("lstm", 1, None), history(epochs, 1, value))]}
    plot_training.plot_loss(models, "here").canvas.draw()
    models["gru"] = [(settings("gru", 1), history(2, 1))]
    plot_training.plot_loss(models, "here").canvas.draw()
    plot_training.plot_rmse_by_epoch(models, "here").canvas.draw()


def test_close_up_shows_the_models_near_the_best() -> None:
    models = {
        name: [(settings(name, 1), history(3, 1, value))]
        for name, value in [("a", 1.0), ("b", 1.01), ("c", 9.0)]
    }
    figure = plot_training.plot_rmse_by_epoch(models, "here")
    assert [[line.get_label() for line in panel.lines] for panel in figure.axes] == [
        ["a", "b", "c"], ["a", "b", "c"], ["a", "b"], ["a", "b"],
    ]  # fmt: skip


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
    bars = {tuple(bar.get_segments()[0][:, 0].round(6)) for bar in figure.axes[0].collections}
    assert bars == {(-1.615152, -1.415152)}
    assert {"+900 %", "−84.8 %", "+1.52 %"} <= set(texts(figure))
    assert {text.get_text() for text in bold(figure.axes[1:])} == {"6.5000", "0.1000", "50.0 %"}
    assert figure.get_suptitle().replace("\n", " ") == (
        "lstm beats ewma, the best naive forecast: its cross entropy is 1.5 % lower"
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
            x, _ = panel.transData.transform(line.get_xydata()[0])
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
    assert figure.get_suptitle().startswith("lstm beats ewma")
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
        (0.99, 1.01, "No model is clearly better than ewma"),
        (1.01, 1.02, "No model beats ewma"),
    ],
)
def test_leaderboard_title_says_who_wins(low, high, title) -> None:
    table = board()
    table.loc[0, ["ratio_low", "ratio_high"]] = low, high
    assert plot_models.board_title(table).startswith(title)


@pytest.mark.parametrize("row", range(5))
@pytest.mark.filterwarnings("error")
def test_leaderboard_of_one_row(row) -> None:
    for ratio in (False, True):
        table = board(ratio).iloc[[row]]
        plot_models.plot_leaderboard(table, "here").canvas.draw()
    table = table.assign(rmse=np.nan, cross_entropy=np.nan)
    plot_models.plot_leaderboard(table, "here").canvas.draw()


def test_most_requested_movies_are_those_of_the_slots() -> None:
    # A share of 1 in a slot of one request is not much.
    labelled = labelled_table([(1, 9, 50), (2, 4, 1), (3, 5, 7), (3, 6, 9), (4, 5, 3), (5, 6, 99)])
    assert plot_predictions.most_requested(labelled, range(2, 5), 2) == [5, 6]


def test_first_seeds_of_the_models_and_some_movies(tmp_path) -> None:
    pq.write_table(prediction_table(), tmp_path / "p.parquet", row_group_size=8)
    other = prediction_table(slots=1)
    pq.write_table(other, tmp_path / "q.parquet")
    paths = []
    for at, (name, seed) in enumerate([("b", 2), ("b", 1), ("a", 1)]):
        paths.append(tmp_path / f"{at}.json")
        paths[-1].write_text(json.dumps(settings(name, seed)))
    predictions = [tmp_path / "p.parquet", tmp_path / "q.parquet", tmp_path / "p.parquet"]
    models = plot_predictions.first_seeds(predictions, paths, ["b"])
    assert list(models.items()) == [("b", tmp_path / "q.parquet"), ("a", tmp_path / "p.parquet")]
    assert len(plot_predictions.read_movies(models["b"], [8, 7])) == 2
    assert len(plot_predictions.read_movies(models["a"], [8, 7])) == 10
    with pytest.raises(plot_predictions.Fault, match="give as many"):
        plot_predictions.first_seeds(predictions[:1], paths, [])


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.filterwarnings("error")
def test_predicted_and_true_shares_are_drawn(slots) -> None:
    table = prediction_table(slots, 1).to_pandas()
    models = {f"model {n}": table for n in range(7)}
    models["model 1"] = table.assign(predicted=np.nan)
    figure = plot_predictions.plot_predicted_and_true(models, {1: "$1, $2 (1999)"}, "day", "here")
    figure.canvas.draw()
    # No model hides another: each has a panel of its own.
    assert [panel.get_title("right") for panel in figure.axes] == [f"model {n}\n" for n in range(4)]
    for panel in figure.axes:
        assert [line.get_label() for line in panel.lines] == ["true share", "predicted"]
        assert panel.lines[0].get_ydata().tolist() == table["label_n"].tolist()
    assert figure.axes[0].lines[1].get_ydata().tolist() == table["predicted"].tolist()
    assert "the 4 best of 7 models" in figure.get_supxlabel()


def test_predictions_come_slot_by_slot_however_they_are_stored(tmp_path) -> None:
    table = prediction_table(slots=4, movies=3)
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=6)
    parts = list(plot_predictions.by_slot(tmp_path / "p.parquet"))
    assert [part.slot for part in parts] == [17_000, 17_001, 17_002, 17_003]
    assert all(part.movies.tolist() == [1, 2, 3] for part in parts)
    assert np.concatenate([part.predicted for part in parts]).tolist() == table["predicted"].to_pylist()
    assert plot_predictions.sample_groups(tmp_path / "p.parquet", 12, 1) is None
    assert len(plot_predictions.sample_groups(tmp_path / "p.parquet", 6, 1)) == 1


def test_calibration_compares_means_of_tenths() -> None:
    predicted = np.random.default_rng(1).permutation(np.arange(1.0, 101))
    x, y = plot_predictions.calibration(predicted, 2 * predicted)
    assert x.tolist() == [5.5 + 10 * at for at in range(10)]
    assert y.tolist() == (2 * x).tolist()


@pytest.mark.parametrize("predicted", [0.0, -1.0, 0.2])
@pytest.mark.filterwarnings("error")
def test_calibration_of_next_to_nothing(predicted) -> None:
    for label_n in (np.zeros(3), np.array([0, 0.5, 0.5])):
        models = {"a": (np.full(3, predicted), label_n), "b": (label_n, label_n)}
        plot_predictions.plot_calibration(models, "here").canvas.draw()


def test_classes_of_movies_divide_the_training_requests() -> None:
    # Training: 50 % to movie 1, 30 % to 2 and 3, 20 % to 4; movie 5 comes later.
    rows = [(slot, movie, n) for slot in (1, 2) for movie, n in ((1, 50), (2, 20), (3, 10), (4, 20))]
    labelled = labelled_table([*rows, (35, 5, 900), (40, 1, 1)])
    classes = plot_predictions.classify(labelled, range(1, 3))
    names = np.array(CLASSES)
    # Movies 2 and 4 get as many; of such, those of lower ids come first.
    everyone = np.arange(1, 6)
    assert names[classes.candidates(everyone, 40)].tolist() == ["head", "middle", "tail", "middle", "new"]
    assert names[classes.candidates(everyone[:4], 28)].tolist() == ["new"] * 4
    assert names[classes.candidates(everyone, 35 + 28)].tolist() == [
        "head",
        "middle",
        "tail",
        "middle",
        "tail",
    ]


def test_expected_requests_of_a_class_are_those_of_its_movies() -> None:
    labelled = labelled_table([(1, 1, 6), (1, 2, 4), (50, 1, 1), (50, 2, 3)])
    classes = plot_predictions.classify(labelled, range(1, 2))
    shares = np.array([0.2, 0.6])
    one = plot_predictions.SlotPredictions(50, np.array([1, 2]), shares, np.array([0.25, 0.75]))
    expected = plot_predictions.expected_by_class(iter([one]), classes, np.append(np.zeros(50), 4.0))
    assert expected.index.tolist() == list(CLASSES)
    assert expected.tolist()[:2] == pytest.approx([1, 1])
    assert expected[["tail", "new"]].isna().all()


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


@pytest.mark.filterwarnings("error")
def test_errors_by_class_are_drawn_against_the_named_baseline() -> None:
    losses = {"$a": [4.0, 5.0, np.nan, 6.0], "b": [4.4, 4.0, np.nan, 9.0], "ewma": [4.0, 4.0, np.nan, 8.0]}
    by_class = class_board(losses, {"$a": "network", "b": "network", "ewma": "naive"})
    expected = {name: pd.Series([1.0, 2.0, np.nan, 0.5], list(CLASSES)) for name in ("$a", "b")}
    figure = plot_predictions.plot_classes(by_class, expected, "ewma", "day", "here")
    figure.canvas.draw()
    first = {line.get_label(): line.get_xdata() for line in figure.axes[0].lines}
    assert first["$a"] == pytest.approx([0, 25, np.nan, -25], nan_ok=True)
    assert first["b"] == pytest.approx([10, 0, np.nan, 12.5], nan_ok=True)
    assert figure.legends[0].get_texts()[-1].get_text() == "ewma,\nthe best naive"
    assert "ewma, difference in %" in figure.axes[0].get_title("left")
    assert figure.get_suptitle().replace("\n", " ") == (
        "$a gains most over ewma for new movies, with 20 % of the requests: its cross entropy is 25 % lower"
    )
    worse = plot_predictions.plot_classes(by_class, {"b": expected["b"]}, "ewma", "day", "here")
    assert worse.get_suptitle() == "b is no better than ewma for any class of movies"
    alone = plot_predictions.plot_classes(by_class, expected, None, "day", "here")
    alone.canvas.draw()
    assert alone.axes[0].lines[0].get_xdata().tolist()[:2] == [4, 5]
    # Within 5 % of the baseline's cross entropy of all requests.
    assert plot_predictions.near_models(by_class, ["$a", "b"], "ewma") == ["$a"]
    assert plot_predictions.near_models(by_class, ["b"], "ewma") == ["b"]


def test_hours_of_the_week_are_those_of_the_calendar() -> None:
    week = 7 * 86_400
    thursday, monday = 3600 * 5 + 7, 4 * 86_400
    counts = plot_log.hours_of_week([joined_table([thursday, thursday]), joined_table([monday])])
    assert counts.shape == (plot_log.PARTS, 7, 24)
    assert counts.sum() == 3
    assert counts[0, 3, 5] == 2
    assert counts[1, 0, 0] == 1
    # After as many weeks as there are parts comes the first one again.
    later = plot_log.hours_of_week([joined_table([thursday + plot_log.PARTS * week])])
    assert later[0, 3, 5] == 1


def test_a_rhythm_is_one_that_the_weeks_agree_on() -> None:
    draw = np.random.default_rng(1)
    weeks = draw.poisson(20.0, (plot_log.PARTS, 7, 24)).astype(np.float64)
    none = "Requests have no clear rhythm by hour of the day or day of the week"
    assert plot_log.rhythm_title(weeks) == none
    # One busy day is chance, however busy.
    once = weeks.copy()
    once[4, 2] += 500
    assert plot_log.rhythm_title(once) == none
    always = weeks.copy()
    always[:, 5] += 20
    assert plot_log.rhythm_title(always).startswith("Saturday has 2 times as many as")
    night = weeks.copy()
    night[:, :, [22, 23, 0, 1, 2, 3]] += 20
    assert plot_log.rhythm_title(night) == (
        "From 22 to 4 o'clock (UTC) an hour has 1.6 times the requests of an average hour"
    )
    # So few weeks can agree by chance.
    assert plot_log.rhythm_title(night[:4]) == none


def test_the_life_of_a_movie_is_drawn_from_0_after_its_first_slot() -> None:
    rows = [(slot, movie, 3) for slot in range(1, 40) for movie in (1, 2, 3)]
    figure = plot_log.plot_life(plot_log.by_movie(labelled_table(rows)), "day", "here")
    panel = figure.axes[0]
    assert panel.get_yscale() == "linear"
    low, high = panel.get_ylim()
    assert -0.05 * high < low < 0
    assert np.asarray(panel.lines[0].get_xdata()).min() == 1
    assert "not drawn: the day of the first request" in figure.get_supxlabel().replace("\n", " ")


def test_shares_by_age_count_slots_without_the_movie_and_not_those_without_any() -> None:
    rows = [(1, 1, 4), (2, 1, 1), (2, 2, 1), (4, 2, 2), (5, 1, 1), (5, 2, 3)]
    movies = plot_log.by_movie(labelled_table(rows))
    # Nobody requests anything in slot 3.
    shares = plot_log.shares_by_age(movies, np.array([0, 1, 3, 5]))
    assert shares[0].tolist() == [1.0, 0.5, (0 + 0.25) / 2]
    assert shares[1].tolist()[:2] == [0.5, 1.0]
    # The log ends before movie 2 is 5 slots old.
    assert np.isnan(shares[1, 2])
    assert plot_log.idle_shares(movies).tolist() == [0.25, 0.0]


def test_popularity_groups_are_even_and_by_rank() -> None:
    assert plot_log.popularity_groups(np.array([5, 1, 9, 1, 7, 3]), 3).tolist() == [1, 2, 0, 2, 0, 1]
    assert plot_log.popularity_groups(np.array([5, 1])).tolist() == [0, 1]


@pytest.fixture(scope="module")
def judged() -> tuple[pd.Series, float]:
    """What features tell of a log in which only a movie's past tells of its share."""
    log = random_log(slots=200, movies=60)
    series = series_of(log)
    pairs = plot_eda.balanced_pairs(series, range(17_050, 17_200), 2_000, np.random.default_rng(1))
    ids = sorted(set(log["movieId"]))
    columns = [ids, [""] * len(ids), [""] * len(ids), [1] * len(ids), [1990] * len(ids)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, tables.MOVIES, strict=True)]
    movies = pa.table(arrays, schema=tables.MOVIES)
    names = plot_eda.candidate_features(["ewma_60"])
    given = {"slot": "day", "window": 3, "gaps": "calendar"}
    return plot_eda.feature_information(series, movies, pairs, names, given, 1)


def test_features_that_tell_slots_apart_but_no_movies_tell_nothing(judged) -> None:
    information, noise = judged
    assert {"log_total", "calendar"} <= set(information.index[information <= 2 * noise])
    assert information["ewma_60"] > 10 * noise
    assert information.is_monotonic_decreasing


def test_every_feature_is_a_bar(judged) -> None:
    information, noise = judged
    assert set(plot_eda.STEP_FEATURES) < set(information.index)
    figure = plot_eda.plot_features(information, noise, ["ewma_60"], "day", "here")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == information.index.tolist()
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert sorted(widths, reverse=True) == information.tolist()


def test_pairs_are_of_both_kinds_in_every_slot() -> None:
    series = series_of(random_log(slots=200, movies=60))
    pairs = plot_eda.balanced_pairs(series, range(17_050, 17_200), 2_000, np.random.default_rng(1))
    for slot in np.unique(pairs.slot):
        inside = pairs.slot == slot
        labels = series.labels(pairs.movie[inside], int(slot))
        assert (labels > 0).sum() == (labels == 0).sum()
        assert ((pairs.share_class[inside] > 0) == (labels > 0)).all()
    few = plot_eda.balanced_pairs(series, range(17_000, 17_002), 10, np.random.default_rng(1))
    information, noise = plot_eda.feature_information(series, pa.table({}), few, ["label_n"], {}, 1)
    assert information.tolist() == [0.0] == [noise]
    plot_eda.plot_features(information, noise, [], "day", "here").canvas.draw()


def test_the_courses_epochs_are_marked_where_they_were_reached() -> None:
    models = {"course_lstm": [(settings("course_lstm", 1), history(60, 1))]}
    rows = history(60, 1)["val_rmse"] / 1000
    models["course_lstm"][0][1]["val_rmse"] = rows
    figure = plot_training.plot_rmse_by_epoch(models, "here")
    assert not figure.axes[0].texts
    marked = figure.axes[0].lines[1]
    assert np.asarray(marked.get_xdata()).tolist() == [30, 50]
    # Of some 0.006, in thousandths.
    assert np.asarray(marked.get_ydata()).tolist() == pytest.approx((1000 * rows.iloc[[29, 49]]).tolist())
    assert figure.axes[0].get_title("left") == "RMSE of the share × 1,000"
    assert "(30, 50)" in figure.get_supxlabel()
    short = {"course_lstm": [(settings("course_lstm", 1), history(9, 1))]}
    figure = plot_training.plot_rmse_by_epoch(short, "here")
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].get_title("left") == "RMSE of the share"


def test_panels_leave_few_cells_empty() -> None:
    assert [plot_training.grid_columns(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)] == [
        1, 2, 3, 2, 3, 3, 4, 4, 3, 4,
    ]  # fmt: skip


def test_titles_of_training_say_what_the_lines_show() -> None:
    late = {"a": [(settings("a", 1, 3), history(3, 1)), (settings("a", 2, 2), history(3, 1))]}
    assert plot_training.loss_title(late) == (
        "The validation loss is lowest after the last epoch in 1 of 2 runs: more epochs might lower it"
    )
    early = {"a": [(settings("a", 1, 2), history(3, 1)), (settings("a", 2, 1), history(3, 1))]}
    assert plot_training.loss_title(early) == (
        "The validation loss is lowest before the last epoch, at epoch 1 to 2"
    )
    lowest = pd.Series({"a": 0.2, "b": 0.2001, "c": 0.5})
    assert plot_training.rmse_title(lowest) == (
        "2 of 3 models come within 1 % of the lowest RMSE in validation, 0.2 (a)"
    )
    assert plot_training.rmse_title(lowest[["a", "b"]]).startswith("All 2 models come within 1 %")
    assert plot_training.rmse_title(lowest[["a", "c"]]) == "a comes to the lowest RMSE in validation: 0.2"


def test_seconds_of_epochs_are_drawn_from_the_fastest() -> None:
    fast, slow = history(3, 1, 0.5), history(4, 1, 20.0)
    models = {"slow": [(settings("slow", 1), slow)], "fast": [(settings("fast", 1), fast)]}
    figure = plot_training.plot_epoch_seconds(models, "here")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["fast", "slow"]
    assert figure.get_suptitle() == "An epoch of fast takes 0.5 s, one of slow 20 s in the median"
    assert {"3 epochs, 2 s", "4 epochs, 80 s"} <= set(texts(figure))


def sweep_board(scores: dict[str, float]) -> pd.DataFrame:
    names = [*scores, "ewma"]
    table = pd.DataFrame({"name": names, "kind": ["network"] * len(scores) + ["naive"]})
    return table.assign(cross_entropy=[*scores.values(), 6.6], cross_entropy_std=np.nan)


def write_settings(folder: Path, models: dict[str, dict]) -> list[Path]:
    paths = [folder / f"{name}.json" for name in models]
    for path, (name, own) in zip(paths, models.items(), strict=True):
        path.write_text(json.dumps({"name": name, "seed": 1, "best_epoch": len(name), **own}))
    return paths


def test_sweeps_are_of_models_that_differ_in_one_setting(tmp_path) -> None:
    common = {"cell": "lstm", "layers": [32], "window": 7}
    models = {
        "a": common,
        "b": {**common, "window": 14},
        "c": {**common, "layers": [64]},
        "d": {**common, "layers": [64], "window": 14},
        "e": {**common, "layers": [64, 64]},
        "f": {"cell": "gru", "layers": [8], "window": 3},
    }
    settings = plot_models.read_settings(write_settings(tmp_path, models))
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
def test_sweeps_of_values_of_any_kind_and_of_none(tmp_path) -> None:
    models = {
        "a": {"convolution": None, "learning_rate": 0.001, "layers": [64, 32]},
        "b": {"convolution": {"filters": 8}, "learning_rate": 0.001, "layers": [64, 32]},
        "c": {"convolution": None, "learning_rate": 0.1, "layers": [64, 32]},
        "d": {"convolution": None, "learning_rate": 0.1, "layers": [16]},
    }
    settings = plot_models.read_settings(write_settings(tmp_path, models))
    board = sweep_board({"a": 6.5, "b": 6.5001, "c": 9.0, "d": 8.0})
    swept = ["convolution", "learning_rate", "layers"]
    figure = plot_models.plot_sweeps(settings, board, swept, "here")
    figure.canvas.draw()
    assert {"none", "filters 8", "0.001", "0.1", "64 + 32", "16"} <= set(texts(figure))
    slight = plot_models.plot_sweeps(settings, board, ["convolution"], "here")
    assert slight.get_suptitle().replace("\n", " ") == (
        "No swept setting (convolution) changes the cross entropy by 0.1 % or more"
    )
    alone = plot_models.plot_sweeps({"a": settings["a"], "d": settings["d"]}, board, swept, "here")
    alone.canvas.draw()
    assert alone.get_suptitle().replace("\n", " ") == (
        "No two models differ in one swept setting alone (convolution, learning_rate, layers)"
    )


def test_without_a_sweep_there_is_no_picture_of_one(commands, tmp_path, monkeypatch) -> None:
    arguments = commands["plot_models"][: commands["plot_models"].index("--swept")]
    monkeypatch.setattr(sys, "argv", ["plot_models", *arguments, "--folder", str(tmp_path)])
    plot_models.main()
    assert {path.name for path in tmp_path.iterdir()} == {"leaderboard.png", "leaderboard.svg"}


def test_runtimes_add_up_by_rule_without_jobs_of_other_runs(tmp_path) -> None:
    benchmark(tmp_path / "train_model/lstm/seed-1.tsv", 60.0, 500)
    benchmark(tmp_path / "train_model/lstm/seed-2.tsv", 90.0, 400)
    for gone in ("gone/seed-1", "lstm/seed-3"):
        benchmark(tmp_path / f"train_model/{gone}.tsv", 1000.0, 9000)
    benchmark(tmp_path / "backtest/2/train_model/lstm/seed-1.tsv", 1000.0, 9000)
    benchmark(tmp_path / "backtest/2/evaluate_baselines.tsv", 1000.0, 9000)
    benchmark(tmp_path / "join_ratings.tsv", 0.5, 3)
    benchmark(tmp_path / "sort_by_time.tsv", 0.1, "-")
    table = plot_runtimes.by_rule(plot_runtimes.read_benchmarks(tmp_path, ["lstm"], [1, 2], 2))
    assert table["rule"].tolist() == ["train_model", "join_ratings", "sort_by_time"]
    assert table["jobs"].tolist() == [2, 1, 1]
    assert table["wall_s"].tolist() == [150, 0.5, 0.1]
    assert table["longest_s"].tolist() == [90, 0.5, 0.1]
    assert table["memory_mb"].iloc[0] == 500
    # So little memory is that of the shell before the script.
    assert table["memory_mb"].iloc[1:].isna().all()
    figure = plot_runtimes.plot_runtimes(table, "here")
    assert figure.get_suptitle().startswith("All jobs together took 2 min 30 s")
    assert {" 150 (2 jobs)", " 0.5", " 500"} <= set(texts(figure))


def test_runtimes_hold_learned_baselines_and_every_fold(tmp_path) -> None:
    for fold in ("", "backtest/1/", "backtest/2/"):
        benchmark(tmp_path / f"{fold}train_model/lstm/seed-1.tsv", 60.0, 500)
        benchmark(tmp_path / f"{fold}evaluate_learned/lightgbm/seed-1.tsv", 10.0, 300)
        benchmark(tmp_path / f"{fold}evaluate_baselines.tsv", 1.0, 200)
    table = plot_runtimes.by_rule(plot_runtimes.read_benchmarks(tmp_path, ["lightgbm", "lstm"], [1], 3))
    assert table["rule"].tolist() == ["train_model", "evaluate_learned", "evaluate_baselines"]
    assert table["jobs"].tolist() == [3, 3, 3]
    assert table["wall_s"].tolist() == [180, 30, 3]


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.54, "8.5 s"), (125, "2 min 5 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds, text) -> None:
    assert style.duration(seconds) == text
