"""The pictures: files, bytes, what is drawn, and inputs that leave little to draw."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

import plot_eda
import plot_log
import plot_models
import plot_predictions
from pictures import (
    SPLIT,
    benchmark,
    board,
    class_board,
    history,
    joined_table,
    labelled_table,
    prediction_table,
    some_table,
    texts,
    trained,
    write_trained,
)
from popularity import style, tables
from popularity.offsets import Component, Mixture
from popularity.settings.datasets import Words
from popularity.settings.fields import as_json
from small_logs import sequences_of

SCRIPTS = Path(plot_eda.__file__).parent
EDA = [f"eda_{name}" for name in ("histograms", "densities", "correlations", "box_plots", "scatter_matrix")]
MADE = {
    "plot_eda": EDA,
    "plot_feature_information": ["feature_information"],
    "plot_log": [
        "requests_per_slot",
        "rank_frequency",
        "life_of_a_movie",
        "slots_without_requests",
        "hours_of_week",
    ],
    "plot_training": ["loss", "rmse_by_epoch", "epoch_seconds"],
    "plot_models": ["leaderboard", "sweeps"],
    "plot_mixture": ["mixture"],
    "plot_predictions": ["predicted_and_true", "calibration", "error_by_class"],
    "plot_runtimes": ["runtimes"],
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Small inputs of every script, and the arguments to draw them with, but for --folder."""
    inputs = tmp_path_factory.mktemp("inputs")
    tables.write(inputs / "labelled.parquet", some_table())
    catalogue = pd.DataFrame(
        {
            "movieId": np.arange(1, 41),
            "item": [str(n) for n in range(1, 41)],
            "title": [f"${n} & <More> (19{n + 10})" for n in range(1, 41)],
            "genre_names": ["Comedy|Drama"] * 40,
            "genres": np.arange(1, 41),
            "releaseDate": 1990,
            "size": 9,
        }
    )
    movies = pa.Table.from_pandas(catalogue, tables.MOVIES, preserve_index=False)
    tables.write(inputs / "movies.parquet", movies)
    board().to_csv(inputs / "leaderboard.csv", index=False)
    folders = []
    for at, (name, seed) in enumerate([("lstm", 2), ("lstm", 1), ("gru", 1)]):
        run = trained(name, seed, 3, folder=inputs / name / str(seed))
        folders.append(str(write_trained(run)))
        history(4 + at, seed).to_csv(run.folder / "history.csv", index=False)
        tables.write(run.predictions_file, prediction_table())
    by_time = tables.read(inputs / "labelled.parquet", tables.LABELLED)
    tables.write(inputs / "sequences.parquet", sequences_of(by_time, 3, "calendar"))
    times = np.random.default_rng(1).integers(1_400_000_000, 1_500_000_000, 500)
    tables.write(inputs / "joined.parquet", joined_table(times.tolist()))
    mixture = {
        "mixture": as_json(Mixture((Component("season", 2.0, 7, 0.6), Component("even", weight=0.4))))
    }
    (inputs / "metrics.json").write_text(json.dumps(mixture))
    benchmark(inputs / "benchmarks/train_model/lstm/seed-1.tsv", 3.0, 200)
    data, slot = ["--dataset", "made up"], ["--slot", "day"]
    labelled = ["--labelled", str(inputs / "labelled.parquet")]
    joined = ["--joined", str(inputs / "joined.parquet")]
    named = ["--movies", str(inputs / "movies.parquet")]
    split = ["--split", json.dumps(as_json(SPLIT))]
    sequences = ["--sequences", str(inputs / "sequences.parquet"), "--window", "3"]
    runs = ["--runs", *folders, *data]
    leaderboard = ["--leaderboard", str(inputs / "leaderboard.csv")]
    losses = {name: [4.0, 5.0, 6.0, 7.0] for name in ("lstm", "gru", "ewma")}
    by_class = class_board(losses, {"lstm": "network", "gru": "network", "ewma": "naive"})
    by_class.to_csv(inputs / "by_class.csv", index=False)
    classes = ["--by-class", str(inputs / "by_class.csv")]
    return {
        "plot_eda": [*labelled, *named, *data, *slot],
        "plot_feature_information": [
            *[*named, *sequences, *data, *slot, *split, "--features", "log_count"],
        ],
        "plot_log": [*joined, *labelled, *data, *slot, *split],
        "plot_training": runs,
        "plot_mixture": ["--metrics", str(inputs / "metrics.json"), "--name", "mixture", *data, *slot],
        "plot_models": [*leaderboard, *runs, "--swept", "loss"],
        "plot_predictions": [
            *[*leaderboard, *classes, *runs, *named, *labelled, *slot, *split],
        ],
        "plot_runtimes": [
            *["--benchmarks", str(inputs / "benchmarks"), "--trained", "lstm", *data],
            *["--seeds", "1", "--folds", "1"],
            *["--table", str(inputs / "runtimes.csv")],
        ],
    }


@pytest.mark.parametrize("script", MADE)
def test_command_writes_all_its_pictures_twice_alike(
    script: str, commands: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.parametrize("script", [script for script in MADE if script != "plot_runtimes"])
def test_a_shop_s_pictures_speak_of_its_products_and_orders(
    script: str, commands: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(SCRIPTS / f"{script}.py")
    words = ["--words", json.dumps({"item": "product", "request": "order"}), "--dataset", "movie requests"]
    monkeypatch.setattr(sys, "argv", [path, *commands[script], *words, "--folder", str(tmp_path)])
    said: list[str] = []

    def listen(figure: Figure, file: Path, **_: object) -> None:
        figure.draw_without_rendering()
        said.extend(texts(figure))
        file.touch()

    monkeypatch.setattr(Figure, "savefig", listen)
    runpy.run_path(path, run_name="__main__")
    style.speak(Words())
    assert len(said) > 20
    spoken = " ".join(" ".join(said).split())
    # The dataset's own name stays.
    assert re.search("(of|on|for) movie requests", spoken)
    spoken = spoken.replace("movie requests", "")
    # Names of features and columns are no words.
    assert not re.search(r"(?<![_a-z])(movie|request(?!ed))", spoken, re.IGNORECASE), spoken
    assert "\0" not in spoken


def test_equal_titles_stay_apart() -> None:
    columns = {"movieId": [1, 2, 3], "item": ["a", "b", "c"], "title": ["Bag", "Bag", "Cup"]}
    named = plot_predictions.names_of(pa.table(columns), [2, 1, 3, 9])
    assert named == {2: "Bag (b)", 1: "Bag (a)", 3: "Cup", 9: "movie 9"}


def eda(table: pa.Table, slot: str = "day") -> plot_eda.LabelledTable:
    return plot_eda.make_table(table, slot, "here")


def test_correlations_are_those_of_ranks() -> None:
    table = some_table()
    figure = plot_eda.plot_correlations(eda(table), seed=1)
    panel = figure.axes[0]
    drawn: np.ma.MaskedArray = np.ma.asarray(panel.images[0].get_array())
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


def draw_eda(table: plot_eda.LabelledTable) -> list[Figure]:
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
def test_eda_and_log_of_next_to_nothing(
    rows: list[tuple[int, int, int]], slot: str, tmp_path: Path
) -> None:
    table = labelled_table(rows)
    figures = [
        *draw_eda(eda(table, slot)),
        plot_log.plot_requests_per_slot(table, slot, "here", SPLIT),
        plot_log.plot_rank_frequency(table, "here"),
        plot_log.plot_life(plot_log.by_movie(table), slot, "here"),
        plot_log.plot_idle_slots(plot_log.by_movie(table), slot, "here"),
        plot_log.plot_hours_of_week(plot_log.hours_of_week([joined_table([1])], "day"), "UTC", "here"),
    ]
    for figure in figures:
        figure.canvas.draw()
    assert not [text for f in figures for text in texts(f) if "rating" in text or "release" in text]


def test_genres_of_like_names_stay_apart() -> None:
    names = {1: "Action|Adventure|Animation|A", 2: "Action|Adventure|Animation|B"}
    labelled = labelled_table([(5, 7, 1), (5, 8, 2)], genres=[1, 2])
    figure = plot_eda.plot_box_plots(plot_eda.make_table(labelled, "day", "here", names))
    assert len(figure.axes[1].get_xticklabels()) == 2


def test_without_a_sweep_there_is_no_picture_of_one(
    commands: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = commands["plot_models"][: commands["plot_models"].index("--swept")]
    monkeypatch.setattr(sys, "argv", ["plot_models", *arguments, "--folder", str(tmp_path)])
    plot_models.main()
    assert {path.name for path in tmp_path.iterdir()} == {"leaderboard.png", "leaderboard.svg"}
