"""Pictures of the predictions: what is drawn, and what is computed for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import plot_predictions
from pictures import (
    class_board,
    labelled_table,
    prediction_table,
    trained,
    write_trained,
)
from popularity.scoring.classes import CLASSES


def test_most_requested_movies_are_those_of_the_slots() -> None:
    # A share of 1 in a slot of one request is not much.
    labelled = labelled_table([(1, 9, 50), (2, 4, 1), (3, 5, 7), (3, 6, 9), (4, 5, 3), (5, 6, 99)])
    assert plot_predictions.most_requested(labelled, range(2, 5), 2) == [5, 6]


def test_first_seeds_of_the_models_and_some_movies(tmp_path: Path) -> None:
    runs = [
        trained(name, seed, folder=tmp_path / f"{name}{seed}")
        for name, seed in (("b", 2), ("b", 1), ("a", 1))
    ]
    for run, slots in zip(runs, (5, 1, 5), strict=True):
        write_trained(run)
        pq.write_table(prediction_table(slots), run.predictions_file, row_group_size=8)
    models = plot_predictions.first_seeds([run.folder for run in runs], ["b"])
    assert list(models.items()) == [("b", runs[1].predictions_file), ("a", runs[2].predictions_file)]
    assert len(plot_predictions.read_movies(models["b"], [8, 7])) == 2
    assert len(plot_predictions.read_movies(models["a"], [8, 7])) == 10


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.filterwarnings("error")
def test_predicted_and_true_shares_are_drawn(slots: int) -> None:
    table = prediction_table(slots, 1).to_pandas()
    models = {f"model {n}": table for n in range(7)}
    models["model 1"] = table.assign(predicted=np.nan)
    figure = plot_predictions.plot_predicted_and_true(models, {1: "$1, $2 (1999)"}, "day", "here")
    figure.canvas.draw()
    # No model hides another: each has a panel of its own.
    assert [panel.get_title("right") for panel in figure.axes] == [f"model {n}\n" for n in range(4)]
    for panel in figure.axes:
        assert [line.get_label() for line in panel.lines] == ["true share", "predicted"]
        assert np.asarray(panel.lines[0].get_ydata()).tolist() == table["label_n"].tolist()
    assert np.asarray(figure.axes[0].lines[1].get_ydata()).tolist() == table["predicted"].tolist()
    assert "the 4 best of 7 models" in figure.get_supxlabel()


def test_predictions_come_slot_by_slot_however_they_are_stored(tmp_path: Path) -> None:
    table = prediction_table(slots=4, movies=3)
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=6)
    parts = list(plot_predictions.by_slot(tmp_path / "p.parquet"))
    assert [part.slot for part in parts] == [17_000, 17_001, 17_002, 17_003]
    assert all(part.movies.tolist() == [1, 2, 3] for part in parts)
    assert np.concatenate([part.predicted for part in parts]).tolist() == table["predicted"].to_pylist()
    assert plot_predictions.sample_groups(tmp_path / "p.parquet", 12, 1) is None
    groups = plot_predictions.sample_groups(tmp_path / "p.parquet", 6, 1)
    assert groups is not None and len(groups) == 1


def test_calibration_compares_means_of_tenths() -> None:
    predicted = np.random.default_rng(1).permutation(np.arange(1.0, 101))
    x, y = plot_predictions.calibration(predicted, 2 * predicted)
    assert x.tolist() == [5.5 + 10 * at for at in range(10)]
    assert y.tolist() == (2 * x).tolist()


@pytest.mark.parametrize("predicted", [0.0, -1.0, 0.2])
@pytest.mark.filterwarnings("error")
def test_calibration_of_next_to_nothing(predicted: float) -> None:
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
    assert np.asarray(alone.axes[0].lines[0].get_xdata()).tolist()[:2] == [4, 5]
    # Within 5 % of the baseline's cross entropy of all requests.
    assert plot_predictions.near_models(by_class, ["$a", "b"], "ewma") == ["$a"]
    assert plot_predictions.near_models(by_class, ["b"], "ewma") == ["b"]
