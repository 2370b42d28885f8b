"""How a network is trained, epoch by epoch, and watched on the validation slots."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.forecasters.network.architecture import build_network, scale_output
from popularity.forecasters.network.backend import keras, ops
from popularity.forecasters.network.checkpoints import Checkpoint
from popularity.forecasters.network.framings import Arrays, Framing
from popularity.forecasters.network.inference import LastStep, padded
from popularity.forecasters.network.losses import LOSSES, Batch, Loss
from popularity.forecasters.network.saved import Asked, Found, Weights, append_run
from popularity.program import Fault
from popularity.samples import Training, Windows
from popularity.scoring.cross_entropy import sampled_cross_entropy, slot_losses
from popularity.settings.model import ModelSettings
from popularity.tables import prefetch

logger = logging.getLogger(__name__)

#: Training rows by which inputs are scaled.
EXAMPLE_ROWS = 50_000
#: Shares of a network's correction of its offset that are tried.
CORRECTIONS = tuple(step / 20 for step in range(1, 21))
#: Steps that a learning-rate schedule divides a whole training into.
SCHEDULE_STEPS = 10_000

#: What is no optimizer of its own but stands for one or holds others.
_HOLDERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
#: Optimizers by the name that config.yaml has for them.
OPTIMIZERS = {
    name.lower(): kind
    for name, kind in vars(keras.optimizers).items()
    if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer) and name not in _HOLDERS
}

#: A row of the history by epoch.
Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Attributes
    ----------
    model
        The network, with the weights of its best epoch where it stops early.
    history
        A row an epoch: ``epoch``, ``loss``, ``val_loss``, ``val_cross_entropy``, ``val_rmse``, ``seconds``.
    snapshots
        Its weights after each epoch of ``score_at_epochs``.
    correction
        The share of what the network learned that it adds to its offset.
    """

    model: keras.Model
    history: list[Row]
    snapshots: dict[int, Weights]
    correction: float = 1.0


def loss_function(loss: Loss, scale: float, groups: int) -> Callable[[Any, Any], Any]:
    """Make the function of targets [n, T, K, 4] (:func:`targets_of`) and outputs [n, T, K] to a scalar.

    ``scale`` is the size of the shares to predict, ``groups`` more than the highest group of a batch.
    """

    def value(targets: Any, outputs: Any) -> Any:
        targets = ops.reshape(targets, (-1, 4))
        label, requests, weight = targets[:, 0], targets[:, 1], targets[:, 2]
        group = ops.cast(targets[:, 3], "int32")
        output = ops.reshape(outputs, (-1,))
        return loss.value(ops, Batch(output, label, requests, weight, group, groups, scale))

    return value


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


Batches = Iterator[tuple[float, Arrays, npt.NDArray[np.float32]]]


def _batches(framing: Framing, training: Training, epoch: int) -> Batches:
    """Yield the inputs and targets of an epoch's batches, padded so that few shapes are compiled."""
    for done, windows in training.batches(epoch):
        rows = _length(len(windows))
        targets = np.zeros((rows, *windows.label.shape[1:], 4), dtype=np.float32)
        targets[: len(windows)] = targets_of(framing, windows)
        yield done, padded(framing.inputs(windows), rows), targets


class _Validation:
    """Scores a network, with the weights that it has then, on the last steps of the same windows."""

    def __init__(
        self, model: keras.Model, framing: Framing, windows: Windows, loss: Loss, scale: float
    ) -> None:
        self._network = LastStep(model)
        self._rows = framing.last_rows(windows)
        slot, label, weight = windows.slot[:, -1:], windows.label[:, -1:], windows.weight[:, -1:]
        self._targets = targets_of(framing, Windows(windows.movie, slot, label, weight))
        self._loss = loss
        groups = int(self._targets[..., 3].max()) + 1
        self._value = loss_function(loss, scale, groups)
        judged = weight[:, 0] > 0
        self._weight = weight[:, 0][judged]
        self._label = label[:, 0][judged]
        self._group = self._targets[:, 0, :, 3][judged].astype(np.int64)
        self._label_n = self._label / self._targets[:, 0, :, 1][judged]
        self._judged = judged

    def __call__(self) -> Row:
        """Loss, cross entropy (as :func:`scores.score_slot` defines it) and RMSE."""
        outputs = self._network.outputs(self._rows)
        loss = float(ops.convert_to_numpy(self._value(self._targets, outputs.astype(np.float32))))
        shares = self._shares(outputs[:, 0][self._judged])
        return {
            "val_loss": loss,
            "val_cross_entropy": sampled_cross_entropy(shares, self._label, self._weight, self._group),
            "val_rmse": math.sqrt(np.average((shares - self._label_n) ** 2, weights=self._weight)),
        }

    def _shares(self, outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self._loss.to_shares(outputs, self._group, self._weight)

    def certain_share(self) -> float:
        """Choose the share of a network's correction of its offset that the validation slots support.

        It is the share of the lowest cross entropy, made smaller the less certain its gain is: with the
        gain g and its standard error s over slots by the factor ``1 - (s / g) ** 2``, down to 0 (James
        and Stein 1961, "Estimation with quadratic loss").
        """
        offset = self._rows.offset[:, 0][self._judged].astype(np.float64)
        correction = self._network.outputs(self._rows)[:, 0][self._judged] - offset

        def losses(share: float) -> npt.NDArray[np.float64]:
            predicted = self._shares(offset + share * correction)
            return slot_losses(predicted, self._label, self._weight, self._group)

        alone = losses(0.0)
        gains = {share: alone - losses(share) for share in CORRECTIONS}
        best = max(gains, key=lambda share: gains[share].sum())
        gain = gains[best].sum()
        if gain <= 0:
            return 0.0
        uncertain = len(alone) * gains[best].var() / gain**2
        return round(best * max(1 - float(uncertain), 0.0), 6)


def train_network(
    asked: Asked,
    framing: Framing,
    training: Training,
    validation: Windows,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train a network, stopping early on the validation windows if the settings say so.

    Parameters
    ----------
    asked
        The model's name, seed and settings.
    framing
        What makes the network's inputs.
    training, validation
        What it learns from, and the rows that it is watched on.
    checkpoint
        Where the state is kept after each epoch. What is kept there is taken up: the training goes on
        after that epoch, and ends as if it had never been interrupted.

    Raises
    ------
    Fault
        If a loss is no number, with the model's name and the epoch.
    """
    settings = asked.settings.model
    loss = LOSSES[settings.loss]
    model, scale = _untrained(settings, framing, training)
    optimizer = _optimizer(settings)
    # More rows than the batch size are those of a single block.
    groups = settings.batch_size * framing.steps
    model.compile(optimizer=optimizer, loss=loss_function(loss, scale, groups))
    if keras.backend.backend() == "tensorflow":
        _compile_for_any_length(model, _batches(framing, training, 0))
    validate = _Validation(model, framing, validation, loss, scale)
    schedule = _schedule(settings.schedule, settings.learning_rate)
    history: list[Row] = []
    snapshots: dict[int, Weights] = {}
    best = model.get_weights()
    average = WeightAverage(settings.ema_momentum)
    if checkpoint is not None and (kept := checkpoint.load()) is not None:
        arrays, history = kept
        _assign(_state(model), arrays["state"])
        best = arrays["best"]
        average.restore(arrays["average"])
        snapshots = {
            epoch: arrays[f"epoch {epoch}"] for epoch in settings.score_at_epochs if epoch <= len(history)
        }
        logger.info("%s: going on after epoch %d", asked.name, len(history))
    while len(history) < settings.epochs and not _is_over(history, settings.patience):
        epoch = len(history)
        start = time.perf_counter()
        losses = []
        for done, inputs, targets in prefetch(_batches(framing, training, epoch), 1):
            optimizer.learning_rate = schedule((epoch + done) / settings.epochs)
            losses.append(model.train_on_batch(inputs, targets))
            average.add(_values(model.trainable_variables))
        seconds = time.perf_counter() - start
        trained = _values(model.trainable_variables)
        _assign(model.trainable_variables, average.value())
        row = {"epoch": epoch + 1, "loss": float(np.mean(losses)), **validate()}
        row["seconds"] = round(seconds, 3)
        history.append(row)
        _log_epoch(asked.name, settings.epochs, history)
        if not np.isfinite([row["loss"], row["val_loss"]]).all():
            raise Fault(
                f"models.{asked.name}: the training of seed {asked.seed} diverged in epoch "
                f"{epoch + 1} (loss {row['loss']}, val_loss {row['val_loss']}); lower its learning_rate "
                "or set clipnorm (config.yaml)"
            )
        if epoch + 1 in settings.score_at_epochs:
            snapshots[epoch + 1] = model.get_weights()
        if best_of(history)["epoch"] == epoch + 1:
            best = model.get_weights()
        _assign(model.trainable_variables, trained)
        if checkpoint is not None:
            arrays = {f"epoch {number}": weights for number, weights in snapshots.items()}
            arrays |= {"best": best, "state": _values(_state(model))}
            checkpoint.save({**arrays, "average": average.kept()}, history)
    if settings.patience is not None:
        model.set_weights(best)
        if best_of(history)["epoch"] == settings.epochs:
            logger.warning(
                "%s: val_loss still fell in the last of %d epochs: more epochs (config.yaml) may make the "
                "model better",
                asked.name,
                settings.epochs,
            )
    else:
        _assign(model.trainable_variables, average.value())
    return Trained(model, history, snapshots)


def keep_certain(asked: Asked, framing: Framing, validation: Windows, trained: Trained) -> Trained:
    """Keep as much of a network's correction of its offset as the validation slots support.

    So a network ends at its offset where there is nothing to learn: see
    :meth:`_Validation.certain_share`. The same is done to the weights of each snapshot. A network without
    an offset stays as it is.
    """
    settings, model = asked.settings.model, trained.model
    if settings.offset == "none":
        return trained
    validate = _Validation(model, framing, validation, LOSSES[settings.loss], 1.0)
    final = model.get_weights()
    snapshots = {}
    for epoch, weights in trained.snapshots.items():
        model.set_weights(weights)
        scale_output(model, validate.certain_share())
        snapshots[epoch] = model.get_weights()
    model.set_weights(final)
    correction = validate.certain_share()
    scale_output(model, correction)
    logger.info("%s: keeps %.3g of its correction of the offset", asked.name, correction)
    return Trained(model, trained.history, snapshots, correction)


def _compile_for_any_length(model: keras.Model, batches: Batches) -> None:
    """Run a step of two rows and one of three, and undo them.

    TensorFlow compiles a step for the length of the first batch, and for any length when it sees another.
    Without this a training that goes on after an interruption would use the two in another way than one
    that was never interrupted, and would round differently.
    """
    _, inputs, targets = next(batches)
    before = _values(_state(model))
    for rows in (2, 3):
        some = padded({name: values[:1] for name, values in inputs.items()}, rows)
        model.train_on_batch(some, np.repeat(targets[:1], rows, axis=0))
    _assign(_state(model), before)


class WeightAverage:
    """Exponential moving average of weights without its start: the mean of those added, the latest most.

    After n of them the weight of the k-th is proportional to ``momentum ** (n - k)``, as Adam's corrected
    moments are (Kingma and Ba 2015, "Adam: a method for stochastic optimization"). So the untrained
    weights are no part of it, however short the training.

    Parameters
    ----------
    momentum
        None for the weights added last.
    """

    def __init__(self, momentum: float | None) -> None:
        self._momentum = momentum or 0.0
        self._sums: Weights = []
        self._total = 0.0

    def add(self, weights: Weights) -> None:
        """Add the weights after a step."""
        kept, new = self._momentum, 1 - self._momentum
        if not self._sums:
            self._sums = [np.zeros_like(part) for part in weights]
        self._sums = [kept * old + new * part for old, part in zip(self._sums, weights, strict=True)]
        self._total = kept * self._total + new

    def value(self) -> Weights:
        """Compute the average of what was added."""
        return [part / self._total for part in self._sums]

    def kept(self) -> Weights:
        """Give what :meth:`restore` needs."""
        return [np.array(self._total), *self._sums]

    def restore(self, kept: Weights) -> None:
        """Go on from what was kept."""
        self._total, self._sums = float(kept[0]), list(kept[1:])


def _values(variables: Sequence[Any]) -> Weights:
    # Copies: JAX frees what a network was run with.
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Sequence[Any], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _state(model: keras.Model) -> list[Any]:
    """All variables that a further epoch depends on; those of the dropout's seeds are among the model's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _is_over(history: list[Row], patience: int | None) -> bool:
    """Whether so many epochs have passed since the best one."""
    return bool(history) and patience is not None and len(history) >= best_of(history)["epoch"] + patience


def best_of(history: list[Row]) -> Row:
    """Find the row of the epoch with the lowest ``val_loss``."""
    return min(history, key=lambda row: row["val_loss"])


def _untrained(settings: ModelSettings, framing: Framing, training: Training) -> tuple[keras.Model, float]:
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


def _log_epoch(name: str, epochs: int, history: list[Row]) -> None:
    epoch = len(history)
    left = (epochs - epoch) * np.mean([row["seconds"] for row in history])
    logger.info(
        "%s: epoch %d of %d, loss %.5g, val_loss %.5g, %.1f s; at most %.0f s left",
        name,
        epoch,
        epochs,
        history[-1]["loss"],
        history[-1]["val_loss"],
        history[-1]["seconds"],
        left,
    )


def _optimizer(settings: ModelSettings) -> keras.optimizers.Optimizer:
    return OPTIMIZERS[settings.optimizer](
        # Keras takes no whole number for a rate.
        learning_rate=float(settings.learning_rate),
        weight_decay=settings.weight_decay,
        clipnorm=settings.clipnorm,
    )


#: How a learning rate falls over all epochs, by the name that config.yaml has for it; None: it does not.
SCHEDULES: dict[str, Callable[[float], Any]] = {
    "constant": lambda first: None,
    "cosine": lambda first: keras.optimizers.schedules.CosineDecay(first, SCHEDULE_STEPS),
    "linear": lambda first: keras.optimizers.schedules.PolynomialDecay(first, SCHEDULE_STEPS, 0.0),
    "exponential": lambda first: keras.optimizers.schedules.ExponentialDecay(first, SCHEDULE_STEPS, 0.01),
    "inverse_time": lambda first: keras.optimizers.schedules.InverseTimeDecay(first, SCHEDULE_STEPS, 9.0),
}


def _schedule(name: str, first: float) -> Callable[[float], float]:
    """Make the function from the share of the training that is done to the learning rate."""
    schedule = SCHEDULES[name](first)
    if schedule is None:
        return lambda done: first
    return lambda done: float(ops.convert_to_numpy(schedule(done * SCHEDULE_STEPS)))


def save_network(trained: Trained, asked: Asked, found: Found, path: Path) -> None:
    """Save a network and, in the same file, what its use depends on."""
    trained.model.save(path)
    append_run(path, asked, found)
