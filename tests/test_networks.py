"""Networks: their losses, their shape, and what training makes of them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from small_logs import FIRST_SLOT, log_of, random_log, series_of

from popularity import baselines, networks
from popularity.features import Features
from popularity.samples import Samples, draw_windows, sample_slots
from popularity.windows import Series

SETTINGS: dict[str, Any] = {
    "cell": "gru",
    "layers": [4],
    "convolution": None,
    "dense_units": 4,
    "dropout": 0.0,
    "features": ["log_count", "ewma_3", "log_age"],
    "offset": "ewma",
    "loss": "softmax_cross_entropy",
    "optimizer": "adam",
    "learning_rate": 0.02,
    "weight_decay": None,
    "clipnorm": 1.0,
    "batch_size": 64,
    "epochs": 2,
    "patience": None,
}
WINDOW = 4
SCALE = 0.1


pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture(scope="module")
def series() -> Series:
    return series_of(random_log(50))


def features_of(series: Series, settings: dict[str, Any]) -> Features:
    half_life = 5.0 if settings["offset"] == "ewma" else None
    years = np.full(len(series.movie_ids), 2000.0)
    return Features(series, years, settings["features"], "day", WINDOW, "calendar", half_life)


def untrained(series: Series, settings: dict[str, Any]) -> tuple[keras.Model, Features]:
    features = features_of(series, settings)
    movies = series.candidates(series.last_slot)
    example = features(movies, np.full(len(movies), series.last_slot))
    return networks.build_network(settings, example, SCALE), features


def shares_of(model: keras.Model, loss: str, features: Features, slots: list[int]) -> list[np.ndarray]:
    made = networks.forecast_slots(model, loss, features, features.series, np.array(slots))
    return [shares for _, _, shares in made]


def train(
    series: Series, settings: dict[str, Any], seed: int = 1, half: int = 25
) -> tuple[keras.Model, list[dict[str, float]], Features, Samples]:
    """Train on the first ``half`` of the slots, and validate on the rest."""
    networks.prepare(seed, 1)
    generator = np.random.default_rng(seed)
    features = features_of(series, settings)
    slots = range(series.first_slot, series.first_slot + half)
    if settings["loss"] == "softmax_cross_entropy":
        training = sample_slots(series, slots, 5, generator)
    else:
        training = draw_windows(series, slots, WINDOW, "calendar", 100, generator)
    validation = sample_slots(series, range(slots.stop, series.last_slot + 1), 1000, generator)
    made = networks.train_network("test", settings, features, training, validation, generator)
    return *made, features, validation


# ---------------------------------------------------------------------------------------- losses

DRAW = np.random.default_rng(7)
GROUP = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
Z = DRAW.normal(-3, 1, 9)
LABEL = np.array([3, 0, 1, 2, 0, 0, 4, 0, 0])
REQUESTS = np.array([5, 2, 4])[GROUP]
WEIGHT = np.where(LABEL > 0, 1, DRAW.uniform(1, 20, 9))


def loss_of(name: str, padding: int = 0) -> float:
    rows = np.stack([LABEL, REQUESTS, WEIGHT, GROUP], axis=1)
    targets = np.concatenate([rows, np.zeros((padding, 4))]).astype(np.float32)
    outputs = np.concatenate([Z, np.full(padding, 3.0)]).astype(np.float32)[:, None]
    return float(networks.make_loss(name, SCALE, 5)(targets, outputs))


def softmax_by_hand() -> float:
    # Drawn movies stand for as many as they weigh, which their exponentials tell.
    sums = np.array([(WEIGHT * np.exp(Z))[group == GROUP].sum() for group in range(3)])
    return -(LABEL * np.log(np.exp(Z) / sums[GROUP])).sum() / LABEL.sum()


LOSSES = {
    "softmax_cross_entropy": softmax_by_hand,
    "poisson": lambda: (WEIGHT * REQUESTS * np.exp(Z) - LABEL * Z).sum() / LABEL.sum(),
    "mse": lambda: np.average(((Z - LABEL / REQUESTS) / SCALE) ** 2, weights=WEIGHT),
    "mae": lambda: np.average(np.abs((Z - LABEL / REQUESTS) / SCALE), weights=WEIGHT),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_its_definition(name: str) -> None:
    assert loss_of(name) == pytest.approx(LOSSES[name](), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_of_weight_0_changes_nothing(name: str) -> None:
    assert loss_of(name, padding=4) == pytest.approx(loss_of(name), rel=1e-6)


def test_a_weight_counts_like_as_many_rows() -> None:
    twice, z = np.array([[1, 4, 1, 0], [0, 4, 2, 0]]), np.array([[-1.0], [-2.0]])
    rows = [0, 1, 1]
    for name in LOSSES:
        loss = networks.make_loss(name, SCALE, 1)
        one_by_one = twice[rows].copy()
        one_by_one[1:, 2] = 1
        expected = float(loss(one_by_one.astype(np.float32), z[rows].astype(np.float32)))
        found = float(loss(twice.astype(np.float32), z.astype(np.float32)))
        assert found == pytest.approx(expected, rel=1e-5)


def test_softmax_outputs_become_weighted_shares_of_each_slot() -> None:
    shares = networks.to_shares(Z * 300, "softmax_cross_entropy", GROUP, WEIGHT)
    assert np.bincount(GROUP, shares * WEIGHT) == pytest.approx([1, 1, 1])
    odds = np.exp(Z[:3])
    shares = networks.to_shares(Z, "softmax_cross_entropy", GROUP)
    assert shares[:3] == pytest.approx(odds / odds.sum())
    assert networks.to_shares(Z, "poisson", GROUP) == pytest.approx(np.exp(Z))
    assert networks.to_shares(Z, "mae", GROUP).tolist() == Z.tolist()


# ----------------------------------------------------------------------------------------- shape

SHAPES = {
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "simple_rnn": {"cell": "simple_rnn"},
    "none": {"cell": "none"},
    "two layers": {"layers": [4, 3]},
    "convolution": {"convolution": {"filters": 3, "kernel_size": 2, "dilation": 2}},
    "convolution alone": {"cell": "none", "convolution": {"filters": 3, "kernel_size": 2, "dilation": 1}},
    "no dense layer": {"dense_units": 0, "dropout": 0.3},
    "no static features": {"features": ["label_n"]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_untrained_network_with_an_offset_is_the_average(shape: str, series: Series) -> None:
    model, features = untrained(series, {**SETTINGS, **SHAPES[shape]})
    slots = [FIRST_SLOT + 1, FIRST_SLOT + 20, series.last_slot + 1]
    average = baselines.ewma(series, 5.0)
    for loss in ("softmax_cross_entropy", "poisson"):
        for slot, shares in zip(slots, shares_of(model, loss, features, slots), strict=True):
            assert shares == pytest.approx(average(slot, series.candidates(slot)), rel=1e-5, abs=1e-6)
    assert len(model.trainable_weights) >= 2


def test_layers_have_the_units_asked_for(series: Series) -> None:
    settings = {**SETTINGS, "layers": [6, 5], "dense_units": 7, "dropout": 0.5}
    convolution = {"filters": 3, "kernel_size": 2, "dilation": 1}
    for cell, kind in networks.CELLS.items():
        model, _ = untrained(series, {**settings, "cell": cell, "convolution": convolution})
        assert [layer.units for layer in model.layers if type(layer) is kind] == [6, 5]
        assert [layer.units for layer in model.layers if type(layer) is keras.layers.Dense] == [7, 1]
        assert sum(type(layer) is keras.layers.Conv1D for layer in model.layers) == 1


def test_a_network_without_an_offset_starts_from_its_weights(series: Series) -> None:
    model, features = untrained(series, {**SETTINGS, "offset": "none", "loss": "mse"})
    (shares,) = shares_of(model, "mse", features, [series.last_slot])
    assert len(set(shares)) > 1
    assert np.abs(shares).max() < 100 * SCALE


def test_a_feature_that_never_changed_is_not_blown_up_when_it_does(series: Series) -> None:
    settings = {**SETTINGS, "offset": "none", "cell": "none"}
    features = features_of(series, settings)
    movies = series.candidates(series.last_slot)
    example = features(movies, np.full(len(movies), series.last_slot))
    example["static"][:, 0] = 3.1
    model = networks.build_network(settings, example, SCALE)
    before = networks.run_network(model, example)
    example["static"][:, 0] = 3.6
    assert np.abs(networks.run_network(model, example) - before).max() < 10


def test_runs_do_not_depend_on_chunks(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    model, features = untrained(series, {**SETTINGS, "offset": "none"})
    slots = list(range(FIRST_SLOT + 30, FIRST_SLOT + 45))
    outputs = []
    for size in (1000, 64, 7):
        monkeypatch.setattr(networks, "CHUNK", size)
        outputs.append(np.concatenate(shares_of(model, "softmax_cross_entropy", features, slots)))
    assert outputs[1] == pytest.approx(outputs[0], rel=1e-5)
    assert outputs[2] == pytest.approx(outputs[0], rel=1e-5)
    nothing = features(np.zeros(0, int), np.zeros(0, int))
    assert len(networks.run_network(model, nothing)) == 0


def test_forecasts_are_of_every_candidate_of_each_slot(series: Series) -> None:
    model, features = untrained(series, SETTINGS)
    slots = series.requested_slots(range(FIRST_SLOT, series.last_slot + 2))
    made = list(networks.forecast_slots(model, SETTINGS["loss"], features, series, slots[1:]))
    assert [slot for slot, _, _ in made] == slots[1:].tolist()
    for slot, movies, shares in made:
        assert movies.tolist() == series.candidates(slot).tolist()
        assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert not list(networks.forecast_slots(model, "mse", features, series, slots[:0]))


# -------------------------------------------------------------------------------------- training


def alternating() -> Series:
    """A log in which movie 1 is requested in every other slot alone: no average sees it coming."""
    slots = np.arange(60)
    first = pd.DataFrame({"slot": slots, "movieId": 1, "label": 30}).iloc[::2]
    rest = pd.DataFrame({"slot": slots.repeat(3), "movieId": np.tile([2, 3, 4], 60), "label": 5})
    return series_of(pd.concat([first, rest]).assign(avg_rating=3.0))


@pytest.mark.filterwarnings("error:Your input ran out")
@pytest.mark.parametrize(
    ("loss", "cell"),
    [("softmax_cross_entropy", "gru"), ("poisson", "none"), ("mse", "none"), ("mae", "lstm")],
)
def test_training_finds_what_is_predictable(loss: str, cell: str) -> None:
    offset = "ewma" if loss in ("softmax_cross_entropy", "poisson") else "none"
    changed = {"loss": loss, "cell": cell, "offset": offset, "epochs": 25, "batch_size": 16}
    settings = {**SETTINGS, **changed}
    model, history, features, _ = train(alternating(), settings, half=40)
    assert [row["epoch"] for row in history] == list(range(1, 26))
    assert set(history[0]) == {"epoch", "loss", "val_loss", "val_cross_entropy", "val_rmse", "seconds"}
    for column in ("loss", "val_loss", "val_rmse"):
        assert history[-1][column] < history[0][column]
    odd, even = shares_of(model, loss, features, [59, 60])
    assert even[0] - odd[0] > 0.2


def test_validation_scores_are_those_of_the_forecasts(series: Series) -> None:
    model, history, features, validation = train(series, {**SETTINGS, "cell": "none"})
    slots = np.unique(validation.slot).tolist()
    shares = np.concatenate(shares_of(model, SETTINGS["loss"], features, slots))
    labels = [series.labels(series.candidates(slot), slot) for slot in slots]
    counts = np.concatenate(labels)
    requests = series.requests(np.repeat(slots, [len(part) for part in labels]))
    sizes = np.repeat([len(part) for part in labels], [len(part) for part in labels])
    mixed = 0.999 * shares + 0.001 / sizes
    expected = -(counts * np.log(mixed)).sum() / counts.sum()
    assert history[-1]["val_cross_entropy"] == pytest.approx(expected, rel=1e-5)
    # Without the share that makes the score finite, it is the loss.
    expected = -(counts * np.log(shares)).sum() / counts.sum()
    assert history[-1]["val_loss"] == pytest.approx(expected, rel=1e-5)
    rmse = np.sqrt(np.mean((shares - counts / requests) ** 2))
    assert history[-1]["val_rmse"] == pytest.approx(rmse, rel=1e-5)


def test_the_same_seed_gives_the_same_weights(series: Series) -> None:
    settings = {**SETTINGS, "cell": "simple_rnn", "dropout": 0.2, "offset": "none"}
    one, again, other = (train(series, settings, seed)[0].get_weights() for seed in (1, 1, 2))
    assert all(map(np.array_equal, one, again))
    assert not all(map(np.array_equal, one, other))


def test_early_stopping_keeps_the_best_epoch(series: Series) -> None:
    settings = {**SETTINGS, "cell": "none", "learning_rate": 0.3, "epochs": 30, "patience": 2}
    model, history, features, validation = train(series, settings)
    losses = [row["val_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    outputs = networks.run_network(model, features(validation.movie, validation.slot))
    shares = networks.to_shares(outputs, settings["loss"], validation.slot, validation.weight)
    again = -(validation.label * np.log(shares)).sum() / validation.label.sum()
    assert again == pytest.approx(losses[best], rel=1e-5)


def test_training_windows_without_a_request_do_no_harm() -> None:
    # Movies 1 to 9 are requested once, before the training windows.
    rows = [(0, movie, 1) for movie in range(1, 10)]
    rows += [(slot, 100 + slot, 1) for slot in range(1, 12)] + [(slot, 5, 1) for slot in range(12, 20)]
    settings = {**SETTINGS, "cell": "none", "loss": "mae", "offset": "none"}
    _, history, _, _ = train(series_of(log_of(*rows)), settings, half=12)
    assert np.isfinite([list(row.values()) for row in history]).all()


def test_epochs_have_as_many_batches_each_and_leave_no_sample_out(series: Series) -> None:
    generator = np.random.default_rng(1)
    features = features_of(series, SETTINGS)
    taken = sample_slots(series, range(FIRST_SLOT, FIRST_SLOT + 40), 3, generator)
    made = networks._Batches(features, taken, 40, True, generator)
    length, used = len(made), np.zeros(len(taken.slot), int)
    for _ in range(30):
        assert len(made) == length
        for at in range(length):
            inputs, targets = made[at]
            assert len(targets) % 40 == 0
            assert {len(values) for values in inputs.values()} == {len(targets)}
            used[made._positions[at]] += 1
        made.on_epoch_end()
    assert used.max() - used.min() <= 1
    assert used.min() >= 28


def test_a_saved_network_predicts_the_same(series: Series, tmp_path: Path) -> None:
    model, features = untrained(series, {**SETTINGS, "offset": "none"})
    model.save(tmp_path / "model.keras")
    slots = [FIRST_SLOT + 30, FIRST_SLOT + 31]
    loaded = networks.load_network(tmp_path / "model.keras")
    for one, other in zip(
        shares_of(model, SETTINGS["loss"], features, slots),
        shares_of(loaded, SETTINGS["loss"], features, slots),
        strict=True,
    ):
        assert one.tolist() == other.tolist()
