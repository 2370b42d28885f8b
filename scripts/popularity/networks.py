"""Recurrent networks: built, trained and run. The only module that imports Keras."""

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from popularity import samples
from popularity.checkpoints import Checkpoint
from popularity.features import Features
from popularity.samples import Samples
from popularity.scores import UNIFORM_SHARE, Forecast
from popularity.windows import Ints, Series

logger = logging.getLogger(__name__)

#: Pairs that a network is run on at a time.
CHUNK = 8192
#: Movies not requested that each validation slot draws while a network trains.
VALIDATION_OTHERS = 500

CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple_rnn": keras.layers.SimpleRNN,
}

Arrays = dict[str, npt.NDArray[np.float32]]


def prepare(seed: int, threads: int) -> None:
    """Make runs repeatable: seed every generator, fix the threads, forbid undetermined operations."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def build_network(settings: dict[str, Any], example: Arrays, scale: float) -> keras.Model:
    """Build the network of these settings.

    Parameters
    ----------
    settings
        A model's resolved settings: see ``models`` in config.yaml.
    example
        Inputs of training pairs as :class:`Features` makes them, which give the sizes and, for the
        networks' first layers, means and variances.
    scale
        Size of the shares to predict; the outputs of a network that predicts them directly are
        multiples of it.

    Returns
    -------
    A model from ``steps``, ``static`` and ``offset`` to one number a pair: the log of a share, up to
    a constant of the slot (softmax), the log of a share (poisson) or a share (mse, mae).
    """
    steps = keras.Input(example["steps"].shape[1:], name="steps")
    static = keras.Input(example["static"].shape[1:], name="static")
    offset = keras.Input((1,), name="offset")

    hidden = _normalised(steps, example["steps"])
    if settings["convolution"] is not None:
        hidden = keras.layers.Conv1D(
            settings["convolution"]["filters"],
            settings["convolution"]["kernel_size"],
            dilation_rate=settings["convolution"]["dilation"],
            padding="causal",
            activation="relu",
        )(hidden)
    if settings["cell"] == "none":
        hidden = keras.layers.Flatten()(hidden)
    else:
        for layer, units in enumerate(settings["layers"], 1):
            hidden = CELLS[settings["cell"]](units, return_sequences=layer < len(settings["layers"]))(
                hidden
            )
    if example["static"].shape[1]:
        hidden = keras.layers.Concatenate()([hidden, _normalised(static, example["static"])])
    if settings["dense_units"]:
        hidden = keras.layers.Dense(settings["dense_units"], activation="gelu")(hidden)
    if settings["dropout"]:
        hidden = keras.layers.Dropout(settings["dropout"])(hidden)
    # With an offset the untrained network is the offset itself.
    zeros = settings["offset"] != "none"
    output = keras.layers.Dense(1, kernel_initializer="zeros" if zeros else "glorot_uniform")(hidden)
    if settings["loss"] in ("mse", "mae"):
        output = keras.layers.Rescaling(scale)(output)
    return keras.Model([steps, static, offset], keras.layers.Add()([output, offset]))


def _normalised(inputs: Any, example: npt.NDArray[np.float32]) -> Any:
    axes = tuple(range(example.ndim - 1))
    mean, variance = example.mean(axis=axes), example.var(axis=axes)
    # What is the same in all examples but for rounding is not blown up where it differs later.
    varies = variance > 1e-12 * np.square(mean)
    return keras.layers.Normalization(mean=mean, variance=np.where(varies, variance, 1.0))(inputs)


def make_loss(name: str, scale: float, groups: int) -> Any:
    """Make the loss of predictions ``z`` [n, 1] against targets [n, 4] (:func:`_targets`).

    Parameters
    ----------
    name
        ``softmax_cross_entropy`` (of the requests over their slot's movies), ``poisson`` (of the
        counts, the slot's requests as the exposure), ``mse`` or ``mae`` (of the shares, in ``scale``).
    groups
        More than the highest group of a batch.

    Returns
    -------
    A function to a scalar: nats per request for the first two, a weighted mean for the others.
    """

    def loss(targets: Any, outputs: Any) -> Any:
        label, requests, weight = targets[:, 0], targets[:, 1], targets[:, 2]
        z = outputs[:, 0]
        if name == "softmax_cross_entropy":
            group = ops.cast(targets[:, 3], "int32")
            logits = z + ops.where(weight > 0, ops.log(ops.maximum(weight, 1e-30)), -1e9)
            top = ops.stop_gradient(ops.segment_max(logits, group, num_segments=groups))
            sums = ops.segment_sum(ops.exp(logits - ops.take(top, group)), group, num_segments=groups)
            normaliser = ops.take(ops.log(ops.maximum(sums, 1e-30)) + top, group)
            return ops.sum(label * (normaliser - z)) / ops.maximum(ops.sum(label), 1.0)
        if name == "poisson":
            losses = weight * requests * ops.exp(z) - label * z
            return ops.sum(losses) / ops.maximum(ops.sum(label), 1.0)
        errors = (z - label / ops.maximum(requests, 1.0)) / scale
        losses = ops.square(errors) if name == "mse" else ops.abs(errors)
        return ops.sum(weight * losses) / ops.sum(weight)

    return loss


def _targets(taken: Samples, positions: Ints, padding: int) -> npt.NDArray[np.float32]:
    """Label, requests, weight and group of the batch of each sample; padding has the weight 0."""
    columns = np.zeros((len(positions) + padding, 4), dtype=np.float32)
    rows = columns[: len(positions)]
    rows[:, 0] = taken.label[positions]
    rows[:, 1] = taken.requests[positions]
    rows[:, 2] = taken.weight[positions]
    rows[:, 3] = np.unique(taken.slot[positions], return_inverse=True)[1]
    return columns


class _Batches(keras.utils.PyDataset):
    """Training batches of one size, of whole slots for the softmax, in a new order each pass.

    Keras takes the same number of batches in every epoch. Whole slots fill now more, now fewer, so
    an epoch goes on where the last one ended rather than with the next pass's first batch.
    """

    def __init__(
        self,
        features: Features,
        taken: Samples,
        batch_size: int,
        whole_slots: bool,
        generator: np.random.Generator,
    ) -> None:
        super().__init__()
        self._features = features
        self._samples = taken
        self._batch_size = batch_size
        self._generator = generator
        self._groups = np.arange(len(taken.slot))
        if whole_slots:
            self._groups = np.unique(taken.slot, return_inverse=True)[1]
        self._positions: list[Ints] = []
        self._draw_pass()
        self._length = len(self._positions)

    def _draw_pass(self) -> None:
        order = self._generator.permutation(self._groups[-1] + 1)
        self._positions += samples.batches(self._groups, self._batch_size, order)

    def on_epoch_end(self) -> None:
        """Leave the epoch's batches behind."""
        del self._positions[: self._length]
        while len(self._positions) < self._length:
            self._draw_pass()

    def __len__(self) -> int:
        """Batches of each epoch."""
        return self._length

    def __getitem__(self, index: int) -> tuple[Arrays, npt.NDArray[np.float32]]:
        """One batch, padded to a multiple of the batch size so that few shapes are compiled."""
        positions = self._positions[index]
        padding = -len(positions) % self._batch_size
        padded = np.concatenate([positions, np.repeat(positions[:1], padding)])
        inputs = self._features(self._samples.movie[padded], self._samples.slot[padded])
        return inputs, _targets(self._samples, positions, padding)


class _Progress(keras.callbacks.Callback):
    """After each epoch score the validation samples, record a row of history and log a line."""

    def __init__(self, name: str, inputs: Arrays, taken: Samples, loss: Any, settings: dict) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []
        self._name = name
        self._inputs = inputs
        self._samples = taken
        self._targets = _targets(taken, np.arange(len(taken.slot)), 0)
        self._loss = loss
        self._settings = settings

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score and record; ``val_loss`` is also what early stopping reads."""
        assert logs is not None
        seconds = time.perf_counter() - self._start
        outputs = run_network(self.model, self._inputs)
        logs["val_loss"] = float(self._loss(self._targets, outputs[:, None].astype(np.float32)))
        shares = to_shares(outputs, self._settings["loss"], self._samples.slot, self._samples.weight)
        row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "val_loss": logs["val_loss"],
            "val_cross_entropy": _cross_entropy(shares, self._samples),
            "val_rmse": math.sqrt(
                np.average((shares - self._samples.label_n) ** 2, weights=self._samples.weight)
            ),
            "seconds": round(seconds, 3),
        }
        self.history.append(row)
        epochs = self._settings["epochs"]
        left = (epochs - epoch - 1) * np.mean([past["seconds"] for past in self.history])
        logger.info(
            "%s: epoch %d of %d, loss %.5g, val_loss %.5g, %.1f s; at most %.0f s left",
            self._name,
            epoch + 1,
            epochs,
            row["loss"],
            row["val_loss"],
            seconds,
            left,
        )


class _Resume(keras.callbacks.Callback):
    """Keep the training's state after each epoch, and begin with what was kept; the last callback."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        batches: _Batches,
        progress: _Progress,
        stopping: keras.callbacks.EarlyStopping | None,
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._batches = batches
        self._progress = progress
        self._stopping = stopping
        self._kept = checkpoint.load()

    def first_epoch(self, epochs: int) -> int:
        """The epoch to go on with, from 0; ``epochs`` if none is left."""
        if self._kept is None:
            return 0
        state = self._kept[1]
        return epochs if state["stopped"] else len(state["history"])

    def _variables(self) -> list[Any]:
        # Those of the dropout's seeds are among the model's.
        self.model.optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *self.model.optimizer.variables]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Go on where the checkpoint was made, after the other callbacks have begun anew."""
        if self._kept is None:
            return
        arrays, state = self._kept
        for variable, value in zip(self._variables(), arrays["variables"], strict=True):
            variable.assign(value)
        self._progress.history += state["history"]
        if self._stopping is not None:
            vars(self._stopping).update(state["stopping"])
            self._stopping.best_weights = arrays["best"]
        for _ in state["history"]:
            self._batches.on_epoch_end()
        logger.info("going on after epoch %d", len(state["history"]))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep what the next epoch depends on."""
        arrays = {"variables": [ops.convert_to_numpy(variable) for variable in self._variables()]}
        state = {"history": self._progress.history, "stopped": self.model.stop_training}
        if self._stopping is not None:
            arrays["best"] = self._stopping.best_weights
            names = ("wait", "best", "best_epoch", "stopped_epoch")
            state["stopping"] = {name: getattr(self._stopping, name) for name in names}
        self._checkpoint.save(arrays, state)


def _cross_entropy(shares: npt.NDArray[np.float64], taken: Samples) -> float:
    """Cross entropy of weighted samples, defined as in :func:`scores.score_slot`."""
    group = np.unique(taken.slot, return_inverse=True)[1]
    positive = np.maximum(shares, 0.0)
    total = np.bincount(group, weights=positive * taken.weight)[group]
    size = np.bincount(group, weights=taken.weight)[group]
    q = np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1 / size)
    mixed = (1 - UNIFORM_SHARE) * q + UNIFORM_SHARE / size
    return float(-(taken.label @ np.log(mixed)) / taken.label.sum())


def train_network(
    name: str,
    settings: dict[str, Any],
    features: Features,
    training: Samples,
    validation: Samples,
    generator: np.random.Generator,
    checkpoint: Checkpoint | None = None,
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Train a network on its samples, stopping early on the validation samples if the settings say so.

    With a ``checkpoint`` it goes on after the last epoch that is kept there, and ends as if it had
    never been interrupted.

    Returns
    -------
    The model (with the weights of its best epoch where it stops early) and its history, a row an
    epoch: ``epoch``, ``loss``, ``val_loss``, ``val_cross_entropy``, ``val_rmse``, ``seconds``.
    """
    some = generator.permutation(len(training.slot))[:50_000]
    example = features(training.movie[some], training.slot[some])
    # Drawn windows may all have the label 0; then the mean share of a movie is the scale.
    scale = max(float(np.sqrt(np.mean(training.label_n**2))), 1 / len(features.series.movie_ids))
    model = build_network(settings, example, scale)
    batch_size = settings["batch_size"]
    whole_slots = settings["loss"] == "softmax_cross_entropy"
    train_loss = make_loss(settings["loss"], scale, batch_size)
    validation_loss = make_loss(settings["loss"], scale, len(np.unique(validation.slot)))
    model.compile(optimizer=_optimizer(settings), loss=train_loss)

    inputs = features(validation.movie, validation.slot)
    progress = _Progress(name, inputs, validation, validation_loss, settings)
    callbacks: list[keras.callbacks.Callback] = [progress]
    stopping = None
    if settings["patience"] is not None:
        stopping = keras.callbacks.EarlyStopping(
            "val_loss", patience=settings["patience"], restore_best_weights=True
        )
        callbacks.append(stopping)
    batches = _Batches(features, training, batch_size, whole_slots, generator)
    first_epoch = 0
    if checkpoint is not None:
        resume = _Resume(checkpoint, batches, progress, stopping)
        first_epoch = resume.first_epoch(settings["epochs"])
        callbacks.append(resume)
    model.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=settings["epochs"],
        callbacks=callbacks,
        verbose=0,
        shuffle=False,
    )
    return model, progress.history


def _optimizer(settings: dict[str, Any]) -> keras.optimizers.Optimizer:
    return keras.optimizers.get(
        {
            "class_name": settings["optimizer"],
            "config": {
                "learning_rate": settings["learning_rate"],
                "weight_decay": settings["weight_decay"],
                "clipnorm": settings["clipnorm"],
            },
        }
    )


def load_network(path: Path) -> keras.Model:
    """Load a saved network; a file that would run code of its own is refused by Keras."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def run_network(model: keras.Model, inputs: Arrays) -> npt.NDArray[np.float64]:
    """Run a network on pairs, in chunks of one size; its outputs, float64 [n]."""
    size = len(inputs["offset"])
    outputs = np.empty(-(-size // CHUNK) * CHUNK)
    for start in range(0, size, CHUNK):
        chunk = {name: values[start : start + CHUNK] for name, values in inputs.items()}
        missing = CHUNK - len(chunk["offset"])
        if missing:
            chunk = {
                name: np.concatenate([values, np.repeat(values[:1], missing, axis=0)])
                for name, values in chunk.items()
            }
        outputs[start : start + CHUNK] = np.asarray(model.predict_on_batch(chunk))[:, 0]
    return outputs[:size]


def to_shares(
    outputs: npt.NDArray[np.float64],
    loss: str,
    slots: Ints,
    weight: npt.NDArray[np.float64] | float = 1.0,
) -> npt.NDArray[np.float64]:
    """Turn a network's outputs for pairs, by slot, into shares of their slots' requests."""
    if loss in ("mse", "mae"):
        return outputs
    if loss == "poisson":
        return np.exp(outputs)
    slot, group = np.unique(slots, return_inverse=True)
    top = np.full(len(slot), -np.inf)
    np.maximum.at(top, group, outputs)
    odds = np.exp(outputs - top[group])
    return odds / np.bincount(group, weights=odds * weight)[group]


def forecast_slots(
    model: keras.Model, loss: str, features: Features, series: Series, slots: Ints
) -> Iterator[Forecast]:
    """Predict the shares of every candidate of each slot."""
    for slots_at_once in np.array_split(slots, max(1, len(slots) // 8)):
        movies = [series.candidates(slot) for slot in slots_at_once]
        sizes = [len(candidates) for candidates in movies]
        if not sum(sizes):
            continue
        pair_slots = np.repeat(slots_at_once, sizes)
        outputs = run_network(model, features(np.concatenate(movies), pair_slots))
        shares = to_shares(outputs, loss, pair_slots)
        yield from zip(slots_at_once.tolist(), movies, np.split(shares, np.cumsum(sizes)[:-1]), strict=True)
