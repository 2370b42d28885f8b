"""Recurrent networks: built, trained and run. The only module that imports Keras.

The backend is the one that the environment variable ``KERAS_BACKEND`` names.
"""

import json
import logging
import math
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import keras
    from keras import ops
except ModuleNotFoundError as error:
    # Keras imports its backend; a script that has none can do nothing else.
    sys.exit(f"error: {error}: install the package of the backend, or choose another one (config.yaml)")

from popularity.forecasters.network.checkpoints import Checkpoint
from popularity.forecasters.network.framings import SHARE_LOSSES, SOFTMAX_LOSSES, Arrays, Framing, to_shares
from popularity.program import Fault, reading
from popularity.samples import Training, Windows
from popularity.scoring.cross_entropy import sampled_cross_entropy
from popularity.tables import prefetch

logger = logging.getLogger(__name__)

#: Outputs that a network is run for at a time, about.
CHUNK = 8192
#: Training rows by which inputs are scaled.
EXAMPLE_ROWS = 50_000
#: Steps that a learning-rate schedule divides a whole training into.
SCHEDULE_STEPS = 10_000

Model = keras.Model

CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple_rnn": keras.layers.SimpleRNN,
}
OPTIMIZERS = {
    kind.__name__.lower(): kind
    for kind in vars(keras.optimizers).values()
    if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
}

#: The settings, kept in the file of a saved model.
_SETTINGS_MEMBER = "settings.json"


def prepare(seed: int, threads: int) -> None:
    """Make runs repeatable: seed every generator, fix the threads, forbid undetermined operations."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_num_threads(threads)


def build_network(settings: dict[str, Any], example: Arrays, scale: float) -> keras.Model:
    """Build the network of these settings.

    Parameters
    ----------
    settings
        A model's resolved settings: see ``models`` in config.yaml.
    example
        Inputs of training rows as :meth:`Framing.inputs` makes them, which give the sizes and, for
        the networks' first layers, means and variances.
    scale
        Size of the shares to predict; the outputs of a network that predicts them directly are
        multiples of it.

    Returns
    -------
    A model from ``steps`` [n, window, …], ``static`` [n, T, …] and ``offset`` [n, T, K] to [n, T, K]:
    the log of a share, up to a constant of the slot (softmax), the log of a share (poisson), its log
    odds (binary cross entropy) or a share.
    """
    steps = keras.Input(example["steps"].shape[1:], name="steps")
    static = keras.Input(example["static"].shape[1:], name="static")
    offset = keras.Input(example["offset"].shape[1:], name="offset")
    targets, movies = example["offset"].shape[1:]
    every_step = settings["output"] == "every_step"

    hidden = _normalised(steps, example["steps"])
    if settings["convolution"] is not None:
        hidden = keras.layers.Conv1D(
            settings["convolution"]["filters"],
            settings["convolution"]["kernel_size"],
            dilation_rate=settings["convolution"]["dilation"],
            padding="causal",
            activation="relu",
        )(hidden)
    if settings["cell"] != "none":
        for layer, units in enumerate(settings["layers"], 1):
            cell = CELLS[settings["cell"]](
                units, return_sequences=every_step or layer < len(settings["layers"])
            )
            hidden = (keras.layers.Bidirectional(cell) if settings["bidirectional"] else cell)(hidden)
            if settings["layer_normalization"]:
                hidden = keras.layers.LayerNormalization()(hidden)
    if not every_step:
        hidden = keras.layers.Reshape((targets, -1))(hidden)
    if example["static"].shape[2]:
        hidden = keras.layers.Concatenate()([hidden, _normalised(static, example["static"])])
    if settings["dense_units"]:
        hidden = keras.layers.Dense(settings["dense_units"], activation="gelu")(hidden)
    if settings["dropout"]:
        hidden = keras.layers.Dropout(settings["dropout"])(hidden)
    # With an offset the untrained network is the offset itself.
    zeros = settings["offset"] != "none"
    output = keras.layers.Dense(movies, kernel_initializer="zeros" if zeros else "glorot_uniform")(hidden)
    if settings["loss"] in SHARE_LOSSES:
        output = keras.layers.Rescaling(scale)(output)
    return keras.Model([steps, static, offset], keras.layers.Add()([output, offset]))


def _normalised(inputs: Any, example: npt.NDArray[np.float32]) -> Any:
    axes = tuple(range(example.ndim - 1))
    # In float32 the mean of many equal numbers is off by so much that they seem to vary.
    mean = example.mean(axis=axes, dtype=np.float64)
    variance = example.var(axis=axes, dtype=np.float64)
    # What is the same in all examples but for rounding is not blown up where it differs later.
    varies = variance > 1e-12 * np.square(mean)
    return keras.layers.Normalization(mean=mean, variance=np.where(varies, variance, 1.0))(inputs)


def make_loss(name: str, scale: float, groups: int) -> Any:
    """Make the loss of outputs [n, T, K] against targets [n, T, K, 4] (:func:`targets_of`).

    Parameters
    ----------
    name
        ``softmax_cross_entropy`` (of the requests over their slot's movies),
        ``categorical_cross_entropy`` (the same of the shares, so that each slot counts alike),
        ``binary_cross_entropy`` (of a share as the chance that a request is for the movie),
        ``poisson`` (of the counts, the slot's requests as the exposure), or ``mse``, ``rmse``,
        ``mae``, ``huber`` (of the shares, in ``scale``).
    groups
        More than the highest group of a batch.

    Returns
    -------
    A function to a scalar: nats per request or per slot for cross entropies over movies and poisson,
    a weighted mean for the others.
    """

    def softmax(z: Any, amount: Any, weight: Any, group: Any) -> Any:
        logits = z + ops.where(weight > 0, ops.log(ops.maximum(weight, 1e-30)), -1e9)
        top = ops.stop_gradient(ops.segment_max(logits, group, num_segments=groups))
        sums = ops.segment_sum(ops.exp(logits - ops.take(top, group)), group, num_segments=groups)
        normaliser = ops.take(ops.log(ops.maximum(sums, 1e-30)) + top, group)
        return ops.sum(amount * (normaliser - z)) / ops.maximum(ops.sum(amount), 1e-9)

    def loss(targets: Any, outputs: Any) -> Any:
        targets = ops.reshape(targets, (-1, 4))
        label, requests, weight = targets[:, 0], targets[:, 1], targets[:, 2]
        share = label / ops.maximum(requests, 1.0)
        z = ops.reshape(outputs, (-1,))
        if name in SOFTMAX_LOSSES:
            amount = label if name == "softmax_cross_entropy" else share
            return softmax(z, amount, weight, ops.cast(targets[:, 3], "int32"))
        if name == "poisson":
            losses = weight * requests * ops.exp(z) - label * z
            return ops.sum(losses) / ops.maximum(ops.sum(label), 1.0)
        total = ops.maximum(ops.sum(weight), 1e-9)
        if name == "binary_cross_entropy":
            return ops.sum(weight * (ops.softplus(z) - share * z)) / total
        errors = (z - share) / scale
        size = ops.abs(errors)
        if name == "mae":
            return ops.sum(weight * size) / total
        if name == "huber":
            near = ops.minimum(size, 1.0)
            return ops.sum(weight * (0.5 * ops.square(near) + size - near)) / total
        mean = ops.sum(weight * ops.square(errors)) / total
        return ops.sqrt(mean + 1e-12) if name == "rmse" else mean

    return loss


def targets_of(framing: Framing, windows: Windows) -> npt.NDArray[np.float32]:
    """Label, requests, weight and group of each output, float32 [n, T, K, 4].

    The group numbers the batch's slots. What is no target has the weight 0.
    """
    targets = np.zeros((*windows.label.shape, 4), dtype=np.float32)
    targets[..., 0] = windows.label
    targets[..., 1] = framing.series.requests(windows.slot)[:, :, None]
    targets[..., 2] = windows.weight
    slots = np.unique(windows.slot, return_inverse=True)[1].reshape(windows.slot.shape)
    targets[..., 3] = slots[:, :, None]
    return targets


def _length(rows: int) -> int:
    """Pad a batch of so many rows to one of eight lengths from a power of 2 to the next."""
    return rows + -rows % (1 << max(rows.bit_length() - 4, 0))


def _padded(arrays: Arrays, rows: int) -> Arrays:
    """Repeat the first row until there are ``rows``."""
    return {
        name: np.concatenate([values, np.repeat(values[:1], rows - len(values), axis=0)])
        for name, values in arrays.items()
    }


Batch = tuple[float, Arrays, npt.NDArray[np.float32]]


def _batches(framing: Framing, training: Training, epoch: int) -> Iterator[Batch]:
    """Inputs and targets of an epoch's batches, padded so that few shapes are compiled."""
    for done, windows in training.batches(epoch):
        rows = _length(len(windows))
        targets = np.zeros((rows, *windows.label.shape[1:], 4), dtype=np.float32)
        targets[: len(windows)] = targets_of(framing, windows)
        yield done, _padded(framing.inputs(windows), rows), targets


def _inputs_in_parts(framing: Framing, windows: Windows) -> Arrays:
    """Inputs of many rows, of which only a few at a time are held in full precision."""
    some = framing.inputs(windows.take(slice(0, 1)))
    inputs = {
        name: np.empty((len(windows), *values.shape[1:]), np.float32) for name, values in some.items()
    }
    for start in range(0, len(windows), CHUNK):
        rows = slice(start, start + CHUNK)
        for name, values in framing.inputs(windows.take(rows)).items():
            inputs[name][rows] = values
    return inputs


class _Validation:
    """Scores a network on the same windows after each epoch."""

    def __init__(self, framing: Framing, windows: Windows, settings: dict[str, Any], scale: float) -> None:
        self._inputs = _inputs_in_parts(framing, windows)
        self._targets = targets_of(framing, windows)
        self._settings = settings
        groups = int(self._targets[..., 3].max()) + 1
        self._loss = make_loss(settings["loss"], scale, groups)
        judged = windows.weight[:, -1] > 0
        self._weight = windows.weight[:, -1][judged]
        self._label = windows.label[:, -1][judged]
        self._group = self._targets[:, -1, :, 3][judged].astype(np.int64)
        self._label_n = self._label / self._targets[:, -1, :, 1][judged]
        self._judged = judged

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """Loss, cross entropy (as :func:`scores.score_slot` defines it) and RMSE."""
        outputs = run_network(model, self._inputs)
        loss = float(ops.convert_to_numpy(self._loss(self._targets, outputs.astype(np.float32))))
        last = outputs[:, -1][self._judged]
        shares = to_shares(last, self._settings["loss"], self._group, self._weight)
        return {
            "val_loss": loss,
            "val_cross_entropy": sampled_cross_entropy(shares, self._label, self._weight, self._group),
            "val_rmse": math.sqrt(np.average((shares - self._label_n) ** 2, weights=self._weight)),
        }


def train_network(
    settings: dict[str, Any],
    framing: Framing,
    training: Training,
    validation: Windows,
    checkpoint: Checkpoint | None = None,
) -> tuple[keras.Model, list[dict[str, float]], dict[int, list[npt.NDArray]]]:
    """Train a network, stopping early on the validation windows if the settings say so.

    Parameters
    ----------
    settings
        A model's resolved settings, with its ``name`` and ``seed``.
    checkpoint
        Where the state is kept after each epoch. What is kept there is taken up: the training goes on
        after that epoch, and ends as if it had never been interrupted.

    Returns
    -------
    The model (with the weights of its best epoch where it stops early), its history, a row an
    epoch: ``epoch``, ``loss``, ``val_loss``, ``val_cross_entropy``, ``val_rmse``, ``seconds``; and
    its weights after each epoch of ``score_at_epochs``.

    Raises
    ------
    Fault
        If a loss is no number, with the model's name and the epoch.
    """
    model, scale = _untrained(settings, framing, training)
    optimizer = _optimizer(settings)
    # More rows than the batch size are those of a single block.
    groups = settings["batch_size"] * framing.steps
    model.compile(optimizer=optimizer, loss=make_loss(settings["loss"], scale, groups))
    validate = _Validation(framing, validation, settings, scale)
    schedule = _schedule(settings)
    history: list[dict[str, float]] = []
    read: dict[int, list[npt.NDArray]] = {}
    best = model.get_weights()
    if checkpoint is not None and (kept := checkpoint.load()) is not None:
        arrays, history = kept
        for variable, value in zip(_state(model), arrays["state"], strict=True):
            variable.assign(value)
        best = arrays["best"]
        read = {
            epoch: arrays[f"epoch {epoch}"]
            for epoch in settings["score_at_epochs"]
            if epoch <= len(history)
        }
        logger.info("%s: going on after epoch %d", settings["name"], len(history))
    while len(history) < settings["epochs"] and not _is_over(history, settings["patience"]):
        epoch = len(history)
        start = time.perf_counter()
        losses = []
        for done, inputs, targets in prefetch(_batches(framing, training, epoch), 1):
            optimizer.learning_rate = schedule((epoch + done) / settings["epochs"])
            losses.append(model.train_on_batch(inputs, targets))
        seconds = time.perf_counter() - start
        trained = _take_average(model)
        row = {"epoch": epoch + 1, "loss": float(np.mean(losses)), **validate(model)}
        row["seconds"] = round(seconds, 3)
        history.append(row)
        _log_epoch(settings, history)
        if not np.isfinite([row["loss"], row["val_loss"]]).all():
            raise Fault(
                f"models.{settings['name']}: the training of seed {settings['seed']} diverged in epoch "
                f"{epoch + 1} (loss {row['loss']}, val_loss {row['val_loss']}); lower its learning_rate "
                "or set clipnorm (config.yaml)"
            )
        if epoch + 1 in settings["score_at_epochs"]:
            read[epoch + 1] = model.get_weights()
        if best_of(history)["epoch"] == epoch + 1:
            best = model.get_weights()
        model.set_weights(trained)
        if checkpoint is not None:
            arrays = {f"epoch {number}": weights for number, weights in read.items()}
            arrays |= {"best": best, "state": [ops.convert_to_numpy(part) for part in _state(model)]}
            checkpoint.save(arrays, history)
    if settings["patience"] is not None:
        model.set_weights(best)
    else:
        _take_average(model)
    return model, history, read


def _take_average(model: keras.Model) -> list[npt.NDArray]:
    """Give a model the average of its weights, where its optimizer keeps one; return those it had."""
    trained = [weights.copy() for weights in model.get_weights()]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # Copies: JAX frees what a network was run with, and the averages are still the optimizer's.
    model.set_weights([weights.copy() for weights in model.get_weights()])
    return trained


def _state(model: keras.Model) -> list[Any]:
    """All variables that a further epoch depends on; those of the dropout's seeds are among the model's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _is_over(history: list[dict[str, float]], patience: int | None) -> bool:
    """Whether so many epochs have passed since the best one."""
    return bool(history) and patience is not None and len(history) >= best_of(history)["epoch"] + patience


def best_of(history: list[dict[str, float]]) -> dict[str, float]:
    """The row of the epoch with the lowest ``val_loss``."""
    return min(history, key=lambda row: row["val_loss"])


def _untrained(settings: dict[str, Any], framing: Framing, training: Training) -> tuple[keras.Model, float]:
    """Build the network by some training rows; and the size of their shares."""
    parts: list[Arrays] = []
    squares, count = 0.0, 0.0
    rows = 0
    for _, windows in training.batches(0):
        some = windows.take(slice(max(EXAMPLE_ROWS - rows, 0)))
        parts.append(framing.inputs(some))
        targets = targets_of(framing, some)
        share = targets[..., 0] / np.maximum(targets[..., 1], 1.0)
        squares += float((share**2).sum())
        count += float((targets[..., 2] > 0).sum())
        rows += len(some)
        if rows >= EXAMPLE_ROWS:
            break
    example = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # Drawn windows may all have the label 0; then the mean share of a movie is the scale.
    scale = max(math.sqrt(squares / max(count, 1.0)), 1 / len(framing.series.movie_ids))
    return build_network(settings, example, scale), scale


def _log_epoch(settings: dict[str, Any], history: list[dict[str, float]]) -> None:
    epoch, epochs = len(history), settings["epochs"]
    left = (epochs - epoch) * np.mean([row["seconds"] for row in history])
    logger.info(
        "%s: epoch %d of %d, loss %.5g, val_loss %.5g, %.1f s; at most %.0f s left",
        settings["name"],
        epoch,
        epochs,
        history[-1]["loss"],
        history[-1]["val_loss"],
        history[-1]["seconds"],
        left,
    )


def _optimizer(settings: dict[str, Any]) -> keras.optimizers.Optimizer:
    return OPTIMIZERS[settings["optimizer"]](
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        clipnorm=settings["clipnorm"],
        use_ema=settings["ema_momentum"] is not None,
        ema_momentum=settings["ema_momentum"] or 0.0,
    )


def _schedule(settings: dict[str, Any]) -> Any:
    """The learning rate by the share of the training that is done."""
    first, shape = settings["learning_rate"], settings["schedule"]
    kinds = {
        "constant": lambda: None,
        "cosine": lambda: keras.optimizers.schedules.CosineDecay(first, SCHEDULE_STEPS),
        "linear": lambda: keras.optimizers.schedules.PolynomialDecay(first, SCHEDULE_STEPS, 0.0),
        "exponential": lambda: keras.optimizers.schedules.ExponentialDecay(first, SCHEDULE_STEPS, 0.01),
        "inverse_time": lambda: keras.optimizers.schedules.InverseTimeDecay(first, SCHEDULE_STEPS, 9.0),
    }
    schedule = kinds[shape]()
    if schedule is None:
        return lambda done: first
    return lambda done: float(ops.convert_to_numpy(schedule(done * SCHEDULE_STEPS)))


def save_network(model: keras.Model, settings: dict[str, Any], path: Path) -> None:
    """Save a network and, in the same file, the settings that its use depends on."""
    model.save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(zipfile.ZipInfo(_SETTINGS_MEMBER), json.dumps(settings, sort_keys=True))


def load_network(path: Path) -> keras.Model:
    """Load a saved network; a file that would run code of its own is refused by Keras."""
    with reading(path):
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def load_settings(path: Path) -> dict[str, Any]:
    """Read the settings of a saved network.

    Raises
    ------
    Fault
        If the file is none of ours.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read(_SETTINGS_MEMBER))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise Fault(f"{path}: no model that train_model saved ({error}); train it anew") from error


def save_snapshots(weights: dict[int, list[npt.NDArray]], path: Path) -> None:
    """Write a model's weights by epoch."""
    arrays: dict[str, Any] = {
        f"{epoch}/{at}": array for epoch, kept in weights.items() for at, array in enumerate(kept)
    }
    with path.open("wb") as file:
        np.savez(file, **arrays)


def snapshots(path: Path) -> Iterator[tuple[int, list[npt.NDArray]]]:
    """Read the weights by epoch that train_model wrote."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        for epoch in sorted({int(name.split("/")[0]) for name in arrays.files}):
            count = sum(name.startswith(f"{epoch}/") for name in arrays.files)
            yield epoch, [arrays[f"{epoch}/{at}"] for at in range(count)]


def run_network(model: keras.Model, inputs: Arrays) -> npt.NDArray[np.float64]:
    """Run a network on rows, in chunks of one size; its outputs, float64 [n, T, K]."""
    size, *shape = inputs["offset"].shape
    rows = max(1, CHUNK // int(np.prod(shape)))
    outputs = np.empty((size, *shape))
    for start in range(0, size, rows):
        chunk = {name: values[start : start + rows] for name, values in inputs.items()}
        count = len(chunk["offset"])
        made = ops.convert_to_numpy(model.predict_on_batch(_padded(chunk, rows)))
        outputs[start : start + count] = made[:count]
    return outputs
