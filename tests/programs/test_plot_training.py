"""Pictures of the training: what is drawn, and inputs that leave little to draw."""

import numpy as np
import pandas as pd
import pytest

import plot_training
from pictures import history, texts, trained


def test_best_epoch_and_bands_over_seeds() -> None:
    runs = [(trained("lstm", 1, 2), history(3, 1)), (trained("lstm", 2, 3), history(4, 2))]
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
def test_training_of_next_to_nothing(value: float | None, epochs: int) -> None:
    models = {"lstm": [(trained("lstm", 1, 0), history(epochs, 1, value))]}
    plot_training.plot_loss(models, "here").canvas.draw()
    models["gru"] = [(trained("gru", 1), history(2, 1))]
    plot_training.plot_loss(models, "here").canvas.draw()
    plot_training.plot_rmse_by_epoch(models, "here").canvas.draw()


def test_close_up_shows_the_models_near_the_best() -> None:
    models = {
        name: [(trained(name, 1), history(3, 1, value))]
        for name, value in [("a", 1.0), ("b", 1.01), ("c", 9.0)]
    }
    figure = plot_training.plot_rmse_by_epoch(models, "here")
    assert [[line.get_label() for line in panel.lines] for panel in figure.axes] == [
        ["a", "b", "c"], ["a", "b", "c"], ["a", "b"], ["a", "b"],
    ]  # fmt: skip


def test_the_courses_epochs_are_marked_where_they_were_reached() -> None:
    models = {"course_lstm": [(trained("course_lstm", 1), history(60, 1))]}
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
    short = {"course_lstm": [(trained("course_lstm", 1), history(9, 1))]}
    figure = plot_training.plot_rmse_by_epoch(short, "here")
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].get_title("left") == "RMSE of the share"


def test_panels_leave_few_cells_empty() -> None:
    assert [plot_training.grid_columns(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)] == [
        1, 2, 3, 2, 3, 3, 4, 4, 3, 4,
    ]  # fmt: skip


def test_titles_of_training_say_what_the_lines_show() -> None:
    late = {"a": [(trained("a", 1, 3), history(3, 1)), (trained("a", 2, 2), history(3, 1))]}
    assert plot_training.loss_title(late) == (
        "The validation loss is lowest after the last epoch in 1 of 2 runs: more epochs might lower it"
    )
    early = {"a": [(trained("a", 1, 2), history(3, 1)), (trained("a", 2, 1), history(3, 1))]}
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
    models = {"slow": [(trained("slow", 1), slow)], "fast": [(trained("fast", 1), fast)]}
    figure = plot_training.plot_epoch_seconds(models, "here")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["fast", "slow"]
    assert figure.get_suptitle() == "An epoch of fast takes 0.5 s, one of slow 20 s in the median"
    assert {"3 epochs, 2 s", "4 epochs, 80 s"} <= set(texts(figure))
