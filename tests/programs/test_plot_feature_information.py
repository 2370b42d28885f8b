"""The picture of how much each feature says."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.patches import Rectangle

from plot_feature_information import (
    balanced_pairs,
    candidate_features,
    feature_information,
    plot_features,
)
from popularity import tables
from popularity.features import STEP_FEATURES
from small_logs import random_log, series_of


@pytest.fixture(scope="module")
def judged() -> tuple[pd.Series, float]:
    """Information of the features of a log in which a movie's share depends on its own past alone."""
    log = random_log(slots=200, movies=60)
    series = series_of(log)
    pairs = balanced_pairs(series, range(17_050, 17_200), 2_000, np.random.default_rng(1))
    ids = sorted(set(log["movieId"]))
    texts = [""] * len(ids)
    columns = [ids, texts, texts, texts, [1] * len(ids), [1990] * len(ids), [None] * len(ids)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, tables.MOVIES, strict=True)]
    movies = pa.table(arrays, schema=tables.MOVIES)
    names = candidate_features(["ewma_60"])
    return feature_information(series, movies, pairs, names, "day", 3, 1)


def test_features_that_only_identify_the_slot_have_no_information(judged: tuple[pd.Series, float]) -> None:
    information, noise = judged
    assert {"log_total", "calendar"} <= set(information.index[information <= 2 * noise])
    assert information["ewma_60"] > 10 * noise
    assert information.is_monotonic_decreasing


def test_every_feature_is_a_bar(judged: tuple[pd.Series, float]) -> None:
    information, noise = judged
    assert set(STEP_FEATURES) < set(information.index)
    figure = plot_features(information, noise, ["ewma_60"], "day", "here")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == information.index.tolist()
    widths = [bar.get_width() for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert sorted(widths, reverse=True) == information.tolist()


def test_pairs_are_of_both_kinds_in_every_slot() -> None:
    series = series_of(random_log(slots=200, movies=60))
    pairs = balanced_pairs(series, range(17_050, 17_200), 2_000, np.random.default_rng(1))
    for slot in np.unique(pairs.slot):
        inside = pairs.slot == slot
        labels = series.labels(pairs.movie[inside], int(slot))
        assert (labels > 0).sum() == (labels == 0).sum()
        assert ((pairs.share_class[inside] > 0) == (labels > 0)).all()
    few = balanced_pairs(series, range(17_000, 17_002), 10, np.random.default_rng(1))
    information, noise = feature_information(series, pa.table({}), few, ["label_n"], "day", 3, 1)
    assert information.tolist() == [0.0] == [noise]
    plot_features(information, noise, [], "day", "here").canvas.draw()
