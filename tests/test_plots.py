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
from matplotlib.figure import Figure

import plot_eda
import plot_log
import plot_models
import plot_training
from popularity import style, tables

SCRIPTS = Path(plot_eda.__file__).parent
EDA = [f"eda_{name}" for name in ("histograms", "densities", "correlations", "box_plots", "scatter_matrix")]
MADE = {
    "plot_eda": EDA,
    "plot_log": ["requests_per_slot", "rank_frequency"],
    "plot_training": ["loss", "rmse_by_epoch"],
    "plot_models": ["leaderboard", "predicted_and_true"],
}


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
    data, slot = ["--dataset", "made up"], ["--slot", "day"]
    labelled = ["--labelled", str(inputs / "labelled.parquet")]
    named = ["--movies", str(inputs / "movies.parquet")]
    split = ["--split", '{"validation": 0.15, "test": 0.15}']
    runs = ["--resolved", *resolved, *data]
    predictions = ["--predictions", *[str(inputs / "predictions.parquet")] * 3]
    leaderboard = ["--leaderboard", str(inputs / "leaderboard.csv")]
    return {
        "plot_eda": [*labelled, *named, *data, *slot],
        "plot_log": [*labelled, *data, *slot, *split],
        "plot_training": ["--histories", *histories, *runs],
        "plot_models": [*leaderboard, *predictions, *runs, *named, *slot],
    }


@pytest.mark.parametrize("script", MADE)
def test_command_writes_all_its_pictures_twice_alike(script, commands, tmp_path, monkeypatch):
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


def test_svg_holds_the_title_and_no_date(tmp_path):
    figure, (panel,) = style.new_figure("What is $een & <said>", "here, 3 rows, 2 $ each")
    panel.plot([1, 2])
    style.save(figure, tmp_path, "one")
    text = (tmp_path / "one.svg").read_text()
    assert "What is $een &amp; &lt;said&gt;" in text
    assert "<dc:date>" not in text


def test_titles_break_into_even_lines():
    assert style.fill("one two three four", 14) == "one two\nthree four"
    assert style.fill("short", 80) == "short"


def test_more_models_than_colours_differ_in_their_dashes():
    looks = style.looks(f"model {n}" for n in range(28))
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 28


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.25, "25 %"), (0.025, "2.5 %"), (1, "100 %"), (0, "0 %"), (0.001, "0.1 %")],
)
def test_percent(share, text):
    assert style.percent(share) == text


def eda(table: pa.Table, slot: str = "day") -> plot_eda.Table:
    return plot_eda.make_table(table, slot, "here")


def test_correlations_are_those_of_ranks():
    table = some_table()
    figure = plot_eda.plot_correlations(eda(table), seed=1)
    drawn = figure.axes[0].images[0].get_array()
    rows = table.select(list(plot_eda.COLUMNS)).to_pandas()
    for (i, j), value in np.ndenumerate(drawn):
        pair = rows.iloc[:, [i, j]].dropna().rank().to_numpy()
        assert value == pytest.approx(np.corrcoef(pair.T)[0, 1])
    assert f"{drawn[0, 1]:+.2f}".replace("-", "−") in texts(figure)


def test_density_is_that_of_the_kernels():
    values = np.random.default_rng(1).normal(3, 2, 5_000)
    x, y = plot_eda.density(values)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)
    normal = np.exp(-0.5 * ((x - 3) / 2) ** 2) / (2 * np.sqrt(2 * np.pi))
    assert np.abs(y - normal).max() < 0.015


def test_density_of_one_value_is_one_kernel():
    x, y = plot_eda.density(np.array([7.0, 7.0]))
    assert len(x) == len(y)
    assert x[y.argmax()] == pytest.approx(7, abs=0.02)


def test_histograms_count_every_row_once():
    table = eda(some_table())
    for key in table.columns():
        values = style.finite(table.rows[key])
        assert np.histogram(values, plot_eda.bin_edges(values, key))[0].sum() == len(values)


def test_sample_is_seeded_and_said_on_the_picture():
    table = eda(some_table())
    rows, source = table.sample(50, seed=1)
    assert len(rows) == 50
    assert rows.equals(table.sample(50, seed=1)[0])
    assert not rows.equals(table.sample(50, seed=2)[0])
    assert source == "here; 50 of them drawn at random (seed 1)"
    assert table.sample(400, seed=1)[1] == "here"


def test_box_plots_are_quantiles_of_their_classes():
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
def test_eda_and_log_of_next_to_nothing(rows, slot, tmp_path):
    table = labelled_table(rows)
    figures = [
        *draw_eda(eda(table, slot)),
        plot_log.plot_requests_per_slot(table, slot, "here", {"validation": 0.15, "test": 0.15}),
        plot_log.plot_rank_frequency(table, "here"),
    ]
    for figure in figures:
        figure.canvas.draw()
    assert not [text for f in figures for text in texts(f) if "rating" in text or "release" in text]


def test_genres_of_like_names_stay_apart():
    names = {1: "Action|Adventure|Animation|A", 2: "Action|Adventure|Animation|B"}
    labelled = labelled_table([(5, 7, 1), (5, 8, 2)], genres=[1, 2])
    figure = plot_eda.plot_box_plots(plot_eda.make_table(labelled, "day", "here", names))
    assert len(figure.axes[1].get_xticklabels()) == 2


def test_slots_without_requests_are_drawn_as_zero():
    table = labelled_table([(10, 1, 2), (10, 2, 3), (13, 1, 4)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here")
    line = figure.axes[0].lines[0]
    assert line.get_ydata().tolist() == [5, 0, 0, 4]
    days = np.array(line.get_xdata(), "datetime64[D]")
    assert days.tolist() == np.arange("1970-01-10", "1970-01-14", dtype="datetime64[D]").tolist()
    assert "2 of 4 days without any" in figure.get_suptitle().replace("\n", " ")


def test_validation_and_test_slots_are_marked_where_they_begin():
    table = labelled_table([(slot, 1, 1) for slot in range(1, 21)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here", {"validation": 0.2, "test": 0.1})
    marks = [np.datetime64(line.get_xdata()[0], "D") for line in figure.axes[0].lines[2:]]
    assert marks == [np.datetime64("1970-01-15"), np.datetime64("1970-01-19")]
    assert {"training", "validation", "test"} <= set(texts(figure))


def test_running_mean_at_the_ends_is_of_what_there_is():
    assert plot_log.running_mean(np.array([1.0, 2, 3, 4]), 3).tolist() == [1.5, 2, 3, 3.5]
    assert plot_log.running_mean(np.array([4.0]), 1).tolist() == [4]


@pytest.mark.parametrize("slope", [-0.6, -1.0, -1.7])
def test_zipf_slope_of_a_power_law(slope):
    fitted = plot_log.fit_zipf(1e6 * np.arange(1.0, 5_001) ** slope)
    assert fitted.slope == pytest.approx(slope)
    assert fitted.scale == pytest.approx(1e6)


def test_best_epoch_and_bands_over_seeds():
    runs = [(settings("lstm", 1, 2), history(3, 1)), (settings("lstm", 2, 3), history(4, 2))]
    table = plot_training.by_epoch(runs, "loss")
    assert table.index.tolist() == [1, 2, 3, 4]
    assert table["min"][1] < table["mean"][1] < table["max"][1]
    assert table["min"][4] == table["max"][4] == runs[1][1]["loss"][3]
    figure = plot_training.plot_loss({"lstm": runs}, "here")
    stars = figure.axes[0].lines[-1]
    assert stars.get_xdata().tolist() == [2, 3]
    assert "lowest at epoch 2 to 3" in figure.get_suptitle()


@pytest.mark.parametrize("value", [None, np.nan, np.inf, 0.0])
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.filterwarnings("error")
def test_training_of_next_to_nothing(value, epochs):
    models = {"lstm": [(settings("lstm", 1, None), history(epochs, 1, value))]}
    plot_training.plot_loss(models, "here").canvas.draw()
    models["gru"] = [(settings("gru", 1), history(2, 1))]
    plot_training.plot_loss(models, "here").canvas.draw()
    plot_training.plot_rmse_by_epoch(models, "here").canvas.draw()


def test_close_up_shows_the_models_near_the_best():
    models = {
        name: [(settings(name, 1), history(3, 1, value))]
        for name, value in [("a", 1.0), ("b", 1.01), ("c", 9.0)]
    }
    figure = plot_training.plot_rmse_by_epoch(models, "here")
    assert [[line.get_label() for line in panel.lines] for panel in figure.axes] == [
        ["a", "b", "c"], ["a", "b", "c"], ["a", "b"], ["a", "b"],
    ]  # fmt: skip


def test_leaderboard_is_ordered_in_groups_and_points_out_of_the_panel():
    figure = plot_models.plot_leaderboard(board(), "here")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [
        "networks", "naive forecasts", "references",
        "lstm", "ewma", "all_time", "last_value", "oracle",
    ]  # fmt: skip
    heights = figure.axes[0].get_yticks()
    assert heights[3:].tolist() == sorted(heights[3:])
    assert heights[0] < heights[3] < heights[1] < heights[4]
    low, high = figure.axes[0].get_xlim()
    assert low < 6.5 and 6.7 < high < 66
    assert {"66", "1", "the best naive", "−1.52 (−1.62 to −1.42)"} <= set(texts(figure))
    assert figure.get_suptitle() == "lstm beats ewma, the best naive forecast, by 1.5 % of cross entropy"


@pytest.mark.parametrize(
    ("low", "high", "title"),
    [
        (0.99, 1.01, "No model is clearly better than ewma"),
        (1.01, 1.02, "No model beats ewma"),
    ],
)
def test_leaderboard_title_says_who_wins(low, high, title):
    table = board()
    table.loc[0, ["ratio_low", "ratio_high"]] = low, high
    assert plot_models.board_title(table).startswith(title)


@pytest.mark.parametrize("row", range(5))
@pytest.mark.filterwarnings("error")
def test_leaderboard_of_one_row(row):
    for ratio in (False, True):
        table = board(ratio).iloc[[row]]
        plot_models.plot_leaderboard(table, "here").canvas.draw()
    table = table.assign(rmse=np.nan, cross_entropy=np.nan)
    plot_models.plot_leaderboard(table, "here").canvas.draw()


def test_most_popular_movies_and_first_seeds(tmp_path):
    pq.write_table(prediction_table(), tmp_path / "p.parquet", row_group_size=8)
    assert plot_models.most_popular(tmp_path / "p.parquet", 3) == [8, 7, 6]
    other = prediction_table(slots=1)
    pq.write_table(other, tmp_path / "q.parquet")
    paths = []
    for at, (name, seed) in enumerate([("b", 2), ("b", 1), ("a", 1)]):
        paths.append(tmp_path / f"{at}.json")
        paths[-1].write_text(json.dumps(settings(name, seed)))
    predictions = [tmp_path / "p.parquet", tmp_path / "q.parquet", tmp_path / "p.parquet"]
    models = plot_models.read_predictions(predictions, paths, [8, 7], ["b"])
    assert list(models) == ["b", "a"]
    assert len(models["b"]) == 2 and len(models["a"]) == 10
    with pytest.raises(plot_models.Fault, match="give as many"):
        plot_models.read_predictions(predictions[:1], paths, [8], [])


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.filterwarnings("error")
def test_predicted_and_true_shares_are_drawn(slots):
    table = prediction_table(slots, 1).to_pandas()
    models = {f"model {n}": table for n in range(7)}
    models["model 1"] = table.assign(predicted=np.nan)
    figure = plot_models.plot_predicted_and_true(models, {1: "$1, $2 (1999)"}, "day", "here")
    figure.canvas.draw()
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines[:3]] == ["true share", "model 0", "model 1"]
    assert lines[0].get_ydata().tolist() == table["label_n"].tolist()
    assert lines[1].get_ydata().tolist() == table["predicted"].tolist()
    assert len(lines) == 1 + plot_models.MODELS
    assert "the 5 best of 7 models" in figure.get_supxlabel()
