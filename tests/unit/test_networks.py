"""Networks: their losses, their shape, and what training makes of them."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from popularity.forecasters.averages import average_forecaster
from popularity.forecasters.network import framings, inference, saved
from popularity.forecasters.network import training as trainer
from popularity.forecasters.network.architecture import CELLS, build_network, last_step, scale_output
from popularity.forecasters.network.checkpoints import Checkpoint
from popularity.forecasters.network.framings import REST, Framing
from popularity.forecasters.network.losses import LOSSES
from popularity.offsets import Average
from popularity.program import Fault
from popularity.samples import RowBatches, Windows, draw_windows
from popularity.series import Series
from small_logs import FIRST_SLOT, catalogue_of, log_of, random_log, series_of
from small_networks import asked_of, found_of

WINDOW = 4
SCALE = 0.1
NO_OFFSET = {"offset": "none"}
FRAMES = [(one, out) for one in ("movie", "all_movies") for out in ("last_step", "every_step")]
ALL_FRAMES = pytest.mark.parametrize(("one", "out"), FRAMES)
LOG = random_log(50)

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture(scope="module")
def series() -> Series:
    return series_of(LOG)


def slots_of(series: Series, half: int = 25) -> tuple[range, range]:
    """The first slots, to train on, and the rest, to validate on."""
    end = series.first_slot + half
    return range(series.first_slot, end), range(end, series.last_slot + 1)


def framing_of(series: Series, changes: dict[str, Any]) -> Framing:
    asked = asked_of(changes)
    catalogue = catalogue_of(pd.DataFrame({"movieId": series.movie_ids}))
    found = found_of(asked, series, slots_of(series)[0])
    return Framing(series, catalogue, asked.settings, found)


def untrained(series: Series, changes: dict[str, Any]) -> tuple[keras.Model, Framing]:
    framing = framing_of(series, changes)
    example = framing.inputs(framing.validation(slots_of(series)[0], 1))
    return build_network(asked_of(changes).settings.model, example, SCALE), framing


def shares_of(model: keras.Model, framing: Framing, slots: list[int]) -> list[np.ndarray]:
    return [shares for _, _, shares in inference.LastStep(model).forecasts(framing, np.array(slots))]


def train(
    series: Series, changes: dict[str, Any], half: int = 25, name: str = "test", seed: int = 1
) -> tuple[trainer.Trained, Framing, Windows]:
    """Train on the first ``half`` of the slots, and validate on the rest."""
    inference.prepare(seed, 1)
    framing = framing_of(series, changes)
    first, rest = slots_of(series, half)
    windows = framing.validation(rest, seed)
    asked = asked_of(changes, name, seed)
    made = trainer.train_network(asked, framing, framing.training(first, seed), windows)
    return made, framing, windows


# ---------------------------------------------------------------------------------------- losses

DRAW = np.random.default_rng(7)
GROUP = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
Z = DRAW.normal(-3, 1, 9)
LABEL = np.array([3, 0, 1, 2, 0, 0, 4, 0, 0])
REQUESTS = np.array([5, 2, 4])[GROUP]
SHARE = LABEL / REQUESTS
# Of movies with requests, too, some may be drawn.
WEIGHT = np.where(LABEL > 1, 1, DRAW.uniform(1, 20, 9))
ERROR = (Z - SHARE) / SCALE


def loss_of(name: str, padding: int = 0) -> float:
    rows = np.stack([LABEL, REQUESTS, WEIGHT, GROUP], axis=1)
    targets = np.concatenate([rows, np.zeros((padding, 4))]).astype(np.float32)
    outputs = np.concatenate([Z, np.full(padding, 3.0)]).astype(np.float32)[:, None, None]
    return float(trainer.loss_function(LOSSES[name], SCALE, 5)(targets[:, None, None], outputs))


def softmax_by_hand(amount: np.ndarray) -> float:
    # Drawn movies stand for as many as they weigh, which their exponentials tell.
    sums = np.array([(WEIGHT * np.exp(Z))[group == GROUP].sum() for group in range(3)])
    amount = WEIGHT * amount
    return float(-(amount * np.log(np.exp(Z) / sums[GROUP])).sum() / amount.sum())


def binary_by_hand() -> float:
    chance = 1 / (1 + np.exp(-Z))
    return float(np.average(-SHARE * np.log(chance) - (1 - SHARE) * np.log(1 - chance), weights=WEIGHT))


def huber_by_hand() -> float:
    size = np.abs(ERROR)
    return float(np.average(np.where(size <= 1, ERROR**2 / 2, size - 0.5), weights=WEIGHT))


BY_HAND = {
    "softmax_cross_entropy": lambda: softmax_by_hand(LABEL),
    "categorical_cross_entropy": lambda: softmax_by_hand(SHARE),
    "binary_cross_entropy": binary_by_hand,
    "poisson": lambda: (WEIGHT * REQUESTS * np.exp(Z) - LABEL * Z).sum() / LABEL.sum(),
    "mse": lambda: np.average(ERROR**2, weights=WEIGHT),
    "rmse": lambda: np.sqrt(np.average(ERROR**2, weights=WEIGHT)),
    "mae": lambda: np.average(np.abs(ERROR), weights=WEIGHT),
    "huber": huber_by_hand,
}
EACH_LOSS = pytest.mark.parametrize("name", LOSSES)


def test_the_losses_of_the_schema_are_those_tested() -> None:
    assert set(LOSSES) == set(BY_HAND)
    # Small errors and large ones are in the example.
    assert (np.abs(ERROR) > 1).any()


@EACH_LOSS
def test_loss_is_its_definition(name: str) -> None:
    assert loss_of(name) == pytest.approx(BY_HAND[name](), rel=1e-5)


def test_huber_is_quadratic_near_0_and_linear_beyond() -> None:
    loss = trainer.loss_function(LOSSES["huber"], SCALE, 1)
    for error, expected in ((0.5, 0.125), (-1, 0.5), (3, 2.5)):
        targets = np.array([[[[1, 4, 1, 0]]]], np.float32)
        outputs = np.array([[[0.25 + error * SCALE]]], np.float32)
        assert float(loss(targets, outputs)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("label", "expected"), [(0, 4 / np.e), (1, 4 / np.e + 1), (2, 2 / np.e + 1)])
def test_the_poisson_loss_is_per_request_and_whole_without_one(label: int, expected: float) -> None:
    loss = trainer.loss_function(LOSSES["poisson"], SCALE, 1)
    found = loss(np.array([[[[label, 4, 1, 0]]]], np.float32), np.array([[[-1]]], np.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@EACH_LOSS
def test_padding_of_weight_0_changes_nothing(name: str) -> None:
    assert loss_of(name, padding=4) == pytest.approx(loss_of(name), rel=1e-6)


@EACH_LOSS
def test_a_weight_counts_like_as_many_rows(name: str) -> None:
    twice, z = np.array([[1, 4, 1, 0], [0, 4, 2, 0]]), np.array([-1.0, -2.0])
    rows = [0, 1, 1]
    one_by_one = twice[rows].copy()
    one_by_one[1:, 2] = 1
    loss = trainer.loss_function(LOSSES[name], SCALE, 1)

    def value(targets: np.ndarray, outputs: np.ndarray) -> float:
        return float(
            loss(targets.astype(np.float32)[:, None, None], outputs.astype(np.float32)[:, None, None])
        )

    assert value(twice, z) == pytest.approx(value(one_by_one, z[rows]), rel=1e-5)


@EACH_LOSS
def test_the_loss_does_not_ask_how_rows_are_laid_out(name: str) -> None:
    rows = np.stack([LABEL, REQUESTS, WEIGHT, GROUP], axis=1).astype(np.float32)
    loss = trainer.loss_function(LOSSES[name], SCALE, 5)
    found = float(loss(rows.reshape(1, 3, 3, 4), Z.astype(np.float32).reshape(1, 3, 3)))
    assert found == pytest.approx(BY_HAND[name](), rel=1e-5)


@ALL_FRAMES
def test_targets_tell_labels_requests_weights_and_slots(one: str, out: str, series: Series) -> None:
    framing = framing_of(series, {"input": one, "output": out})
    windows = next(framing.training(slots_of(series)[0], 1).batches(0))[1]
    targets = trainer.targets_of(framing, windows)
    assert np.array_equal(targets[..., 0], windows.label)
    assert np.array_equal(targets[..., 2], windows.weight.astype(np.float32))
    requests = LOG.groupby("slot")["label"].sum()
    slots = np.broadcast_to(windows.slot[:, :, None], windows.label.shape)
    expected = requests.reindex(slots.reshape(-1), fill_value=0).to_numpy().reshape(slots.shape)
    assert np.array_equal(targets[..., 1], expected)
    assert len(set(zip(slots.reshape(-1), targets[..., 3].reshape(-1), strict=True))) == len(
        np.unique(slots)
    )
    assert targets[..., 3].max() < asked_of().settings.model.batch_size * windows.slot.shape[1]


# ----------------------------------------------------------------------------------------- shape

SHAPES: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm"},
    "simple_rnn": {"cell": "simple_rnn"},
    "none": {"cell": "none"},
    "two layers": {"layers": [4, 3], "layer_normalization": True},
    "both directions": {"bidirectional": True},
    "convolution": {"convolution": {"filters": 3, "kernel_size": 2, "dilation": 2}},
    "convolution alone": {"cell": "none", "convolution": {"filters": 3, "kernel_size": 2, "dilation": 1}},
    "no dense layer": {"dense_units": 0, "dropout": 0.3},
    "no static features": {"features": ["label_n"]},
}


def average_of(framing: Framing, slot: int, series: Series) -> np.ndarray:
    """The average that the untrained network is, of the movies that it covers."""
    known = framing.series.candidates(slot)
    average = average_forecaster(framing.series, Average((5.0,), (1.0,)))(slot, known)
    return average.compress(framing.series.movie_ids[known] != REST)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_untrained_network_with_an_offset_is_the_average(shape: str, series: Series) -> None:
    model, framing = untrained(series, SHAPES[shape])
    slots = [FIRST_SLOT + 1, FIRST_SLOT + 20, series.last_slot + 1]
    for slot, shares in zip(slots, shares_of(model, framing, slots), strict=True):
        assert shares == pytest.approx(average_of(framing, slot, series), rel=1e-5, abs=1e-6)
    assert len(model.trainable_weights) >= 2


@ALL_FRAMES
@EACH_LOSS
def test_so_it_is_for_every_loss_and_framing(name: str, one: str, out: str, series: Series) -> None:
    model, framing = untrained(series, {"input": one, "output": out, "loss": name, "cell": "none"})
    slots = [FIRST_SLOT + 20, series.last_slot + 1]
    for slot, shares in zip(slots, shares_of(model, framing, slots), strict=True):
        assert shares == pytest.approx(average_of(framing, slot, series), rel=1e-5, abs=1e-6)


def test_layers_have_the_units_asked_for(series: Series) -> None:
    settings = {"layers": [6, 5], "dense_units": 7, "dropout": 0.5, "layer_normalization": True}
    convolution = {"filters": 3, "kernel_size": 2, "dilation": 1}
    for cell, kind in CELLS.items():
        for one, movies in (("movie", 1), ("all_movies", 7)):
            changes = {**settings, "input": one, "cell": cell, "convolution": convolution}
            model, _ = untrained(series, changes)
            assert [layer.units for layer in model.layers if type(layer) is kind] == [6, 5]
            dense = [layer.units for layer in model.layers if type(layer) is keras.layers.Dense]
            assert dense == [7, movies]
            assert sum(type(layer) is keras.layers.Conv1D for layer in model.layers) == 1
            assert sum(type(layer) is keras.layers.LayerNormalization for layer in model.layers) == 2
    model, _ = untrained(series, {**settings, "bidirectional": True})
    both = [layer for layer in model.layers if type(layer) is keras.layers.Bidirectional]
    assert [layer.forward_layer.units for layer in both] == [6, 5]


CAUSAL: dict[str, dict[str, Any]] = {
    "gru": {"layers": [4, 3], "layer_normalization": True},
    "convolution": {"convolution": {"filters": 3, "kernel_size": 2, "dilation": 2}},
    "convolution alone": {"cell": "none", "convolution": {"filters": 3, "kernel_size": 3, "dilation": 1}},
    "none": {"cell": "none"},
}


@pytest.mark.parametrize("one", ["movie", "all_movies"])
@pytest.mark.parametrize("shape", CAUSAL)
def test_no_step_depends_on_later_ones(shape: str, one: str, series: Series) -> None:
    changes = {**CAUSAL[shape], **NO_OFFSET, "input": one, "output": "every_step", "loss": "mse"}
    model, framing = untrained(series, changes)
    inputs = framing.inputs(framing.validation(slots_of(series)[1], 1))
    before = inference.run_network(model, inputs)
    for step in range(1, WINDOW):
        later = {name: values.copy() for name, values in inputs.items()}
        for values in later.values():
            values[:, step:] += 3.0
        after = inference.run_network(model, later)
        assert after[:, :step] == pytest.approx(before[:, :step], rel=1e-5, abs=1e-7)
        assert (after[:, step:] != before[:, step:]).any(axis=(0, 2)).all()


@pytest.mark.parametrize("out", ["last_step", "every_step"])
@pytest.mark.parametrize("one", ["movie", "all_movies"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_network_of_the_last_step_is_the_last_step_of_the_network(
    shape: str, one: str, out: str, series: Series
) -> None:
    changes = {**SHAPES[shape], **NO_OFFSET, "input": one, "output": out, "loss": "mse"}
    model, framing = untrained(series, changes)
    inputs = framing.inputs(framing.validation(slots_of(series)[1], 1))
    reader, decider = last_step(model)
    for scale in (1.0, 3.0):
        scale_output(model, scale)
        every = inference.run_network(model, inputs)
        last = {name: values[:, -1:] for name, values in inputs.items() if name != "steps"}
        last["window"] = inference.run_network(reader, {"steps": inputs["steps"]}).astype(np.float32)
        found = inference.run_network(decider, last)
        assert found.shape == (len(every), 1, every.shape[2])
        assert found == pytest.approx(every[:, -1:], rel=1e-5, abs=1e-7)
        assert len(np.unique(found)) > 1


def test_a_compiled_network_forecasts_the_same(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    model, framing = untrained(series, {**NO_OFFSET, "output": "every_step"})
    slots = [FIRST_SLOT + 5, series.last_slot]
    expected = shares_of(model, framing, slots)
    monkeypatch.setattr(inference, "WORTH_COMPILING", 1)
    monkeypatch.setattr(keras.Model, "predict_on_batch", None)
    for found, wanted in zip(shares_of(model, framing, slots), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)


def test_a_network_without_an_offset_starts_from_its_weights(series: Series) -> None:
    model, framing = untrained(series, {**NO_OFFSET, "loss": "mse"})
    (shares,) = shares_of(model, framing, [series.last_slot])
    assert len(set(shares)) > 1
    assert np.abs(shares).max() < 100 * SCALE


def test_a_feature_that_never_changed_is_not_blown_up_when_it_does(series: Series) -> None:
    settings = {**NO_OFFSET, "cell": "none"}
    framing = framing_of(series, settings)
    example = framing.inputs(framing.validation(slots_of(series)[0], 1))
    example["static"][..., 0] = 3.1
    model = build_network(asked_of(settings).settings.model, example, SCALE)
    before = inference.run_network(model, example)
    example["static"][..., 0] = 3.6
    assert np.abs(inference.run_network(model, example) - before).max() < 10


@pytest.mark.parametrize("rows", [1, 1000, 10_000, 70_000])
@pytest.mark.parametrize("value", [0.0, 3.1, -1e-9, 7e8])
def test_a_feature_is_constant_however_many_rows_say_so(rows: int, value: float) -> None:
    example = {
        "steps": np.full((rows, 1, 2), value, np.float32),
        "static": np.zeros((rows, 1, 0), np.float32),
        "offset": np.zeros((rows, 1, 1), np.float32),
    }
    # Beside it one that varies: the sums go down strided columns.
    example["steps"][::2, :, 1] = 1
    model = build_network(asked_of({**NO_OFFSET, "cell": "none"}).settings.model, example, SCALE)
    (layer,) = (layer for layer in model.layers if type(layer).__name__ == "Normalization")
    constant, varied = np.ravel(keras.ops.convert_to_numpy(layer.variance))
    assert constant == 1
    if rows > 1:
        assert varied != 1


@ALL_FRAMES
def test_runs_do_not_depend_on_chunks(
    one: str, out: str, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, framing = untrained(series, {**NO_OFFSET, "input": one, "output": out})
    slots = list(range(FIRST_SLOT + 30, FIRST_SLOT + 45))
    outputs = []
    for size in (1000, 64, 7):
        monkeypatch.setattr(inference, "CHUNK", size)
        outputs.append(np.concatenate(shares_of(model, framing, slots)))
    assert outputs[1] == pytest.approx(outputs[0], rel=1e-5)
    assert outputs[2] == pytest.approx(outputs[0], rel=1e-5)
    inputs = framing.inputs(framing.validation(slots_of(series)[1], 1).take(slice(0)))
    assert len(inference.run_network(model, inputs)) == 0


# -------------------------------------------------------------------------------------- training


def alternating() -> Series:
    """A log in which movie 1 is requested in every other slot alone: no average sees it coming."""
    slots = np.arange(60)
    first = pd.DataFrame({"slot": slots, "movieId": 1, "label": 30}).iloc[::2]
    rest = pd.DataFrame({"slot": slots.repeat(3), "movieId": np.tile([2, 3, 4], 60), "label": 5})
    return series_of(pd.concat([first, rest]).assign(avg_rating=3.0))


LEARNED = [
    ("softmax_cross_entropy", "gru", "movie", "last_step"),
    ("softmax_cross_entropy", "none", "movie", "every_step"),
    ("categorical_cross_entropy", "none", "all_movies", "last_step"),
    ("binary_cross_entropy", "none", "movie", "last_step"),
    ("poisson", "none", "movie", "last_step"),
    ("mse", "none", "movie", "last_step"),
    ("rmse", "simple_rnn", "all_movies", "every_step"),
    ("mae", "none", "movie", "last_step"),
    ("huber", "none", "movie", "every_step"),
]


@pytest.mark.parametrize(("loss", "cell", "one", "out"), LEARNED)
def test_training_finds_what_is_predictable(loss: str, cell: str, one: str, out: str) -> None:
    changes: dict[str, Any] = {"loss": loss, "cell": cell, "input": one, "output": out, "epochs": 20}
    if LOSSES[loss].of_shares:
        changes |= NO_OFFSET
    # All movies are a row a slot, or a window.
    changes["batch_size"] = {"movie": 16, "all_movies": 4 if out == "last_step" else 1}[one]
    made, framing, _ = train(alternating(), changes, half=40)
    history = made.history
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert set(history[0]) == {"epoch", "loss", "val_loss", "val_cross_entropy", "val_rmse", "seconds"}
    for column in ("loss", "val_loss", "val_rmse"):
        assert history[-1][column] < history[0][column]
    odd, even = shares_of(made.model, framing, [59, 60])
    assert even[0] - odd[0] > 0.2


@pytest.mark.parametrize("out", ["last_step", "every_step"])
def test_validation_scores_are_those_of_the_forecasts(out: str, series: Series) -> None:
    made, framing, _ = train(series, {"cell": "none", "output": out})
    history = made.history
    slots = series.requested_slots(slots_of(series)[1]).tolist()
    shares = np.concatenate(shares_of(made.model, framing, slots))
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


@pytest.mark.parametrize(("one", "out"), [FRAMES[0], FRAMES[-1]])
def test_the_same_seed_gives_the_same_weights(one: str, out: str, series: Series) -> None:
    changes = {**NO_OFFSET, "cell": "simple_rnn", "dropout": 0.2, "input": one, "output": out, "epochs": 1}
    first, again, other = (train(series, changes, seed=seed)[0].model.get_weights() for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def val_loss(model: keras.Model, framing: Framing, windows: Windows) -> float:
    """The softmax cross entropy of the validation windows."""
    outputs = inference.run_network(model, framing.inputs(windows)).reshape(-1)
    slots, weight = windows.slot.reshape(-1), windows.weight.reshape(-1)
    shares = LOSSES["softmax_cross_entropy"].to_shares(outputs, slots, weight)
    return float(-(windows.label.reshape(-1) * np.log(shares)).sum() / windows.label.sum())


def test_early_stopping_keeps_the_best_epoch(series: Series) -> None:
    changes = {"cell": "none", "learning_rate": 0.3, "epochs": 30, "patience": 2}
    made, framing, windows = train(series, changes)
    model, history = made.model, made.history
    losses = [row["val_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    assert trainer.best_of(history) == history[best]
    assert val_loss(model, framing, windows) == pytest.approx(losses[best], rel=1e-5)


def test_without_patience_the_last_epoch_is_kept(series: Series) -> None:
    changes = {"cell": "none", "learning_rate": 0.3, "epochs": 6}
    made, framing, windows = train(series, changes)
    model, history = made.model, made.history
    losses = [row["val_loss"] for row in history]
    assert len(losses) == 6
    assert np.argmin(losses) < 5
    assert val_loss(model, framing, windows) == pytest.approx(losses[-1], rel=1e-5)


@pytest.mark.parametrize(
    ("rate", "patience", "told"), [(1e-4, 2, True), (0.3, 2, False), (1e-4, None, False)]
)
def test_a_loss_that_still_falls_at_the_end_is_told(
    rate: float, patience: int | None, told: bool, series: Series, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"cell": "none", "learning_rate": rate, "epochs": 4, "patience": patience}
    made, *_ = train(series, changes, name="slow")
    losses = [row["val_loss"] for row in made.history]
    assert (np.argmin(losses) == 3) == (rate == 1e-4)
    assert ("slow: val_loss still fell in the last of 4 epochs" in caplog.text) == told


def test_the_log_tells_the_loss_and_how_long_the_rest_takes_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    row = {"epoch": 1, "loss": 0.5, "val_loss": 0.25}
    trainer._log_epoch("lstm", 5, [{**row, "seconds": 10.0}, {**row, "seconds": 20.0}])
    assert "lstm: epoch 2 of 5, loss 0.5, val_loss 0.25, 20.0 s; at most 45 s left" in caplog.text


@ALL_FRAMES
def test_the_unit_of_a_loss_is_the_size_of_the_shares_to_learn(one: str, out: str, series: Series) -> None:
    changes = {"input": one, "output": out}
    inference.prepare(1, 1)
    framing = framing_of(series, changes)
    rows = framing.training(slots_of(series)[0], 1)
    _, scale = trainer._untrained(asked_of(changes).settings.model, framing, rows)
    squares, seen = [], 0
    for _, windows in rows.batches(0):
        label, requests, weight, _ = np.moveaxis(trainer.targets_of(framing, windows), -1, 0)
        squares += ((label / np.maximum(requests, 1))[weight > 0] ** 2).tolist()
        seen += len(windows)
        if seen >= trainer.EXAMPLE_ROWS:
            break
    assert scale == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)


class Kept(Checkpoint):
    """A checkpoint in memory: what was kept after each epoch; the last of it is taken up."""

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    def load(self) -> Any:
        return self.kept[-1] if self.kept else None

    def save(self, lists: Any, history: Any) -> None:
        self.kept.append((lists, list(history)))


def test_a_training_that_goes_on_has_the_weights_that_were_saved_before(series: Series) -> None:
    changes = {"cell": "none", "epochs": 3, "score_at_epochs": [1, 2]}
    inference.prepare(1, 1)
    framing = framing_of(series, changes)
    first, rest = slots_of(series)

    def run(kept: list[Any]) -> trainer.Trained:
        training, validation = framing.training(first, 1), framing.validation(rest, 1)
        return trainer.train_network(asked_of(changes), framing, training, validation, Kept(kept))

    kept: list[Any] = []
    whole = run(kept)
    assert len(kept) == 3
    for after in (1, 2, 3):
        resumed = run(kept[:after])
        assert sorted(resumed.snapshots) == [1, 2]
        for epoch, weights in resumed.snapshots.items():
            assert all(map(np.array_equal, weights, whole.snapshots[epoch]))
        assert all(map(np.array_equal, resumed.model.get_weights(), whole.model.get_weights()))


@pytest.mark.parametrize("momentum", [None, 0.0, 0.8])
def test_the_model_is_the_moving_average_of_its_weights(
    momentum: float | None, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_step: list[list[np.ndarray]] = []
    step = keras.Model.train_on_batch

    def watched(model: keras.Model, *batch: Any) -> float:
        loss: float = step(model, *batch)
        by_step.append(model.get_weights())
        return loss

    monkeypatch.setattr(keras.Model, "train_on_batch", watched)
    changes = {"cell": "none", "ema_momentum": momentum, "epochs": 3}
    made, framing, windows = train(series, changes)
    model, history = made.model, made.history
    # The first two steps are undone: they only compile it.
    del by_step[:2]
    # The weights before the first step are no part of it.
    kept = (momentum or 0.0) ** np.arange(len(by_step) - 1, -1, -1)
    expected = [np.average(parts, axis=0, weights=kept) for parts in zip(*by_step, strict=True)]
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert val_loss(model, framing, windows) == pytest.approx(history[-1]["val_loss"], rel=1e-5)
    moved = zip(model.get_weights(), by_step[-1], strict=True)
    assert all(map(np.array_equal, *zip(*moved, strict=True))) == (not momentum)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_network_ends_at_its_offset_where_it_learned_nothing(loss: str, series: Series) -> None:
    changes: dict[str, Any] = {"loss": loss, "cell": "none", "epochs": 2}
    made, framing, windows = train(series, changes)
    asked = asked_of(changes)
    layer = made.model.get_layer("output")
    # Noise in the place of what was learned: no validation slot supports it.
    noise = np.random.default_rng(1).normal(0, 9, layer.get_weights()[0].shape)
    layer.set_weights([noise, layer.get_weights()[1]])
    certain = trainer.keep_certain(asked, framing, windows, made)
    assert certain.correction < 0.3
    left = np.abs(certain.model.get_layer("output").get_weights()[0])
    assert left == pytest.approx(certain.correction * np.abs(noise), rel=1e-5)


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("rows", [framings.VALIDATION_ROWS, 3000])
def test_a_correction_is_kept_as_far_as_the_validation_slots_support_it(
    factor: float, rows: int, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of many slots some are taken: those between them are no slots without a gain.
    monkeypatch.setattr(framings, "VALIDATION_ROWS", rows)
    settings = {"cell": "none", "output": "every_step"}
    made, framing, windows = train(series, {**settings, "epochs": 1})
    slots, label = windows.slot[:, -1], windows.label[:, -1, 0]
    offset = framing.inputs(windows)["offset"][:, -1, 0].astype(np.float64)
    # Towards the truth, as far as it or beyond.
    wanted = np.log(np.maximum(label / series.requests(slots), 1e-4))
    outputs = offset + factor * (wanted - offset)
    monkeypatch.setattr(inference.LastStep, "outputs", lambda network, rows: outputs[:, None, None])
    kept = trainer.keep_certain(asked_of(settings), framing, windows, made).correction

    frame = pd.DataFrame({"slot": slots, "label": label, "before": offset, "after": wanted})
    frame["weight"] = windows.weight[:, -1, 0]

    def loss(column: str) -> np.ndarray:
        odds = np.exp(frame[column])
        shares = odds / (odds * frame["weight"]).groupby(frame["slot"]).transform("sum")
        # Every slot has as many candidates as its weights say: a thousandth is theirs alike.
        even = frame["weight"].groupby(frame["slot"]).transform("sum")
        losses = -frame["label"] * np.log(0.999 * shares + 0.001 / even)
        return np.asarray(losses.groupby(frame["slot"]).sum())

    gains = loss("before") - loss("after")
    certain = 1 - (gains.std() * np.sqrt(len(gains)) / gains.sum()) ** 2
    assert 0.8 < certain < 1
    assert kept == pytest.approx(certain / factor, rel=1e-3)


def test_weights_that_are_read_are_those_of_a_run_of_so_many_epochs(series: Series, tmp_path: Path) -> None:
    changes = {"dropout": 0.2, "cell": "none", "epochs": 3}
    long, *_ = train(series, {**changes, "score_at_epochs": [1, 3]})
    saved.save_snapshots(long.snapshots, tmp_path / "snapshots.npz")
    kept = dict(saved.read_snapshots(tmp_path / "snapshots.npz"))
    assert list(kept) == [1, 3]
    short, *_ = train(series, {**changes, "epochs": 1})
    assert all(map(np.array_equal, kept[1], short.model.get_weights()))
    assert all(map(np.array_equal, kept[3], long.model.get_weights()))
    assert not all(map(np.array_equal, kept[1], kept[3]))
    saved.save_snapshots({}, tmp_path / "none.npz")
    assert list(saved.read_snapshots(tmp_path / "none.npz")) == []


def test_snapshots_come_back_as_many_and_in_order(tmp_path: Path) -> None:
    weights = {epoch: [np.full(1, 100 * epoch + at) for at in range(12)] for epoch in (10, 2)}
    saved.save_snapshots(weights, tmp_path / "snapshots.npz")
    read = list(saved.read_snapshots(tmp_path / "snapshots.npz"))
    assert [epoch for epoch, _ in read] == [2, 10]
    for epoch, kept in read:
        assert [int(array[0]) for array in kept] == [100 * epoch + at for at in range(12)]


def test_a_loss_that_is_no_number_is_told_with_model_and_epoch(series: Series) -> None:
    changes = {"loss": "mse", "cell": "none", "optimizer": "sgd", "clipnorm": None}
    with pytest.raises(Fault, match=r"^models\.wild: the training of seed 1 diverged in epoch [1-9]\d* "):
        train(series, {**changes, **NO_OFFSET, "learning_rate": 10, "epochs": 20}, name="wild")


def test_training_windows_without_a_request_do_no_harm() -> None:
    # Movies 1 to 9 are requested once, before the training windows.
    rows = [(0, movie, 1) for movie in range(1, 10)]
    rows += [(slot, 100 + slot, 1) for slot in range(1, 12)] + [(slot, 5, 1) for slot in range(12, 20)]
    changes = {**NO_OFFSET, "cell": "none", "loss": "mae"}
    made, *_ = train(series_of(log_of(*rows)), changes, half=12)
    assert np.isfinite([list(row.values()) for row in made.history]).all()


@pytest.mark.parametrize("one", ["movie", "all_movies"])
def test_batches_are_padded_to_few_lengths(one: str, series: Series) -> None:
    framing = framing_of(series, {"input": one})
    rows = framing.training(slots_of(series, 40)[0], 1)
    expected = list(rows.batches(2))
    made = list(trainer._batches(framing, rows, 2))
    assert [done for done, _, _ in made] == [done for done, _ in expected]
    for (_, inputs, targets), (_, windows) in zip(made, expected, strict=True):
        assert len(targets) == trainer._length(len(windows))
        assert {len(values) for values in inputs.values()} == {len(targets)}
        assert np.array_equal(targets[: len(windows)], trainer.targets_of(framing, windows))
        assert not targets[len(windows) :].any()
        for name, values in framing.inputs(windows).items():
            assert np.array_equal(inputs[name][: len(windows)], values)


def test_a_batch_is_padded_by_less_than_an_eighth() -> None:
    lengths = {rows: trainer._length(rows) for rows in range(1, 5000)}
    assert all(rows <= length < rows * 9 / 8 for rows, length in lengths.items())
    assert {length for rows, length in lengths.items() if rows <= 8} == set(range(1, 9))
    assert len({length for rows, length in lengths.items() if 1024 < rows <= 2048}) == 8


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mse"])
def test_padding_a_batch_changes_no_step(
    loss: str, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Steps of plain gradients: Adam blows up the rounding of those that are 0, as of a softmax's constant.
    changes: dict[str, Any] = {"cell": "none", "loss": loss, "epochs": 3, "optimizer": "sgd"}
    weights = []
    for more in (0, 13):
        monkeypatch.setattr(trainer, "_length", lambda rows, more=more: rows + more)
        weights.append(train(series, {**changes, "batch_size": 2000})[0].model.get_weights())
    for one, other in zip(*weights, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


# ----------------------------------------------------------------------------------- optimisation


@pytest.mark.parametrize("name", trainer.OPTIMIZERS)
def test_every_optimizer_trains(name: str, series: Series) -> None:
    changes = {"optimizer": name, "cell": "none", "epochs": 1, "weight_decay": 0.01, "learning_rate": 0.01}
    settings = {**changes, "batch_size": 1000}
    inference.prepare(1, 1)
    framing = framing_of(series, settings)
    windows = draw_windows(
        framing.series, slots_of(series)[0], WINDOW, "calendar", 1, 30, np.random.default_rng(1)
    )
    made = trainer.train_network(asked_of(settings), framing, RowBatches(windows, 1000, 1), windows)
    weights = [weight.numpy() for weight in made.model.trainable_weights]
    example = framing.inputs(windows)
    inference.prepare(1, 1)
    fresh = build_network(asked_of(settings).settings.model, example, SCALE).trainable_weights
    assert any(not np.array_equal(one, other.numpy()) for one, other in zip(weights, fresh, strict=True))
    assert all(np.isfinite(weight).all() for weight in weights)
    assert np.isfinite(made.history[0]["val_loss"])


SCHEDULES = {
    "constant": (1, 1, 1),
    "cosine": (1, 0.5, 0),
    "linear": (1, 0.5, 0),
    "exponential": (1, 0.1, 0.01),
    "inverse_time": (1, 1 / 5.5, 0.1),
}


@pytest.mark.parametrize("shape", SCHEDULES)
def test_the_learning_rate_falls_as_the_schedule_says(shape: str) -> None:
    assert set(SCHEDULES) == set(trainer.SCHEDULES)
    rate = trainer._schedule(shape, 0.02)
    for done, expected in zip((0, 0.5, 1), SCHEDULES[shape], strict=True):
        assert rate(done) == pytest.approx(0.02 * expected, rel=1e-4, abs=1e-7)


def test_the_schedule_goes_by_the_share_of_all_epochs(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def rate(done: float) -> float:
        asked.append(done)
        return 0.01

    monkeypatch.setattr(trainer, "_schedule", lambda name, first: rate)
    changes = {"cell": "none", "loss": "mse", "epochs": 2, "training_windows": 100, "batch_size": 50}
    train(series, changes)
    assert asked == pytest.approx([0, 0.25, 0.5, 0.75])


# ------------------------------------------------------------------------------------------ files


@ALL_FRAMES
def test_a_saved_network_predicts_the_same(one: str, out: str, series: Series, tmp_path: Path) -> None:
    changes = {**NO_OFFSET, "input": one, "output": out, "layers": [3, 2], "layer_normalization": True}
    model, framing = untrained(series, changes)
    asked, found = asked_of(changes), saved.Found(FIRST_SLOT, covered_movies=("3", "4"))
    path = tmp_path / "model.keras"
    trainer.save_network(trainer.Trained(model, [], {}), asked, found, path)
    assert saved.read_run(path) == (asked, found)
    slots = [FIRST_SLOT + 30, FIRST_SLOT + 31]
    loaded = inference.load_network(path)
    made = zip(shares_of(model, framing, slots), shares_of(loaded, framing, slots), strict=True)
    assert all(first.tolist() == other.tolist() for first, other in made)


def test_a_foreign_file_is_none_of_our_models(series: Series, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    untrained(series, {"cell": "none"})[0].save(path)
    with pytest.raises(Fault, match=r"model\.keras: no model that train_model saved \(.*; train it anew"):
        saved.read_run(path)
    path.write_text("no archive")
    with pytest.raises(Fault, match="no model that train_model saved"):
        saved.read_run(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("run.json", "{")
    with pytest.raises(Fault, match="no model that train_model saved"):
        saved.read_run(path)
