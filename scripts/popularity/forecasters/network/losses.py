"""Losses: what training lowers, and how outputs under a loss and shares become each other.

Values are computed by ``keras.ops``, which is given to them, so that this module needs no backend.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from popularity.series import Ints

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """Outputs of a network, and what they are judged by; tensors [n] of pairs of a slot and a movie.

    Attributes
    ----------
    output
        What the network says.
    label, requests
        Requests of the movie and of all movies in the slot.
    weight
        Importance weight: for how many pairs of its slot a pair stands; 0 for no target.
    group
        Number of the slot.
    groups
        More than the highest of these numbers.
    scale
        Size of the shares to predict.
    """

    output: Any
    label: Any
    requests: Any
    weight: Any
    group: Any
    groups: int
    scale: float


class Loss(ABC):
    """What training lowers.

    Attributes
    ----------
    whole_slots
        Whether it needs all movies of a slot at once, as outputs are logs of shares up to a constant of
        their slot.
    of_shares
        Whether outputs are shares themselves, which the network gives in multiples of their size.
    """

    whole_slots: ClassVar[bool] = False
    of_shares: ClassVar[bool] = False

    @abstractmethod
    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute the loss of a batch, a scalar tensor, by ``keras.ops``."""

    @abstractmethod
    def to_shares(self, outputs: Floats, slots: Ints, weight: Floats | float = 1.0) -> Floats:
        """Turn outputs for pairs [n] into shares of the requests of their slots [n].

        ``weight`` is each pair's importance weight.
        """

    def from_log_shares(self, logs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn logs of shares into outputs."""
        return logs


class _Softmax(Loss):
    """Cross entropy of a distribution over a slot's movies (nats)."""

    whole_slots: ClassVar[bool] = True

    @abstractmethod
    def amount(self, ops: Any, batch: Batch) -> Any:
        """Give what of each pair the loss is the cross entropy of."""

    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute it: a mean over the amounts."""
        z, weight, group = batch.output, batch.weight, batch.group
        logits = z + ops.where(weight > 0, ops.log(ops.maximum(weight, 1e-30)), -1e9)
        top = ops.stop_gradient(ops.segment_max(logits, group, num_segments=batch.groups))
        sums = ops.segment_sum(ops.exp(logits - ops.take(top, group)), group, num_segments=batch.groups)
        normaliser = ops.take(ops.log(ops.maximum(sums, 1e-30)) + top, group)
        amount = weight * self.amount(ops, batch)
        return ops.sum(amount * (normaliser - z)) / ops.maximum(ops.sum(amount), 1e-9)

    def to_shares(self, outputs: Floats, slots: Ints, weight: Floats | float = 1.0) -> Floats:
        """Normalise the exponentials in each slot."""
        slot, group = np.unique(slots, return_inverse=True)
        top = np.full(len(slot), -np.inf)
        np.maximum.at(top, group, outputs)
        odds = np.exp(outputs - top[group])
        shares: Floats = odds / np.bincount(group, weights=odds * weight)[group]
        return shares


class SoftmaxCrossEntropy(_Softmax):
    """Cross entropy of the requests over their slot's movies."""

    def amount(self, ops: Any, batch: Batch) -> Any:
        """Give the requests."""
        return batch.label


class CategoricalCrossEntropy(_Softmax):
    """The same of the shares, so that each slot counts alike."""

    def amount(self, ops: Any, batch: Batch) -> Any:
        """Give the shares."""
        return _share(ops, batch)


class Poisson(Loss):
    """Negative log likelihood of the counts, the slot's requests being the exposure."""

    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute it: nats per request, but for a constant."""
        losses = batch.weight * batch.requests * ops.exp(batch.output) - batch.label * batch.output
        return ops.sum(losses) / ops.maximum(ops.sum(batch.label), 1.0)

    def to_shares(self, outputs: Floats, slots: Ints, weight: Floats | float = 1.0) -> Floats:
        """Turn logs of shares into shares."""
        return np.exp(outputs)


class BinaryCrossEntropy(Loss):
    """Cross entropy of a share as the chance that a request is for the movie."""

    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute it: a weighted mean."""
        share, total = _share(ops, batch), ops.maximum(ops.sum(batch.weight), 1e-9)
        return ops.sum(batch.weight * (ops.softplus(batch.output) - share * batch.output)) / total

    def to_shares(self, outputs: Floats, slots: Ints, weight: Floats | float = 1.0) -> Floats:
        """Turn log odds into shares."""
        shares: Floats = 1 / (1 + np.exp(-outputs))
        return shares

    def from_log_shares(self, logs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn logs of shares into log odds."""
        odds: npt.NDArray[np.float32] = logs - np.log1p(-np.exp(np.minimum(logs, -1e-6)))
        return odds


class _ErrorLoss(Loss):
    """Mean of a function of the errors of shares, in units of their size."""

    of_shares: ClassVar[bool] = True

    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute it: a weighted mean."""
        total = ops.maximum(ops.sum(batch.weight), 1e-9)
        errors = (batch.output - _share(ops, batch)) / batch.scale
        return ops.sum(batch.weight * self.of_errors(ops, errors)) / total

    @abstractmethod
    def of_errors(self, ops: Any, errors: Any) -> Any:
        """Turn errors into losses."""

    def to_shares(self, outputs: Floats, slots: Ints, weight: Floats | float = 1.0) -> Floats:
        """Take the outputs, which are shares, as they are."""
        return outputs

    def from_log_shares(self, logs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn logs of shares into shares."""
        return np.exp(logs)


class MeanSquaredError(_ErrorLoss):
    """Mean of the squared errors."""

    def of_errors(self, ops: Any, errors: Any) -> Any:
        """Square them."""
        return ops.square(errors)


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of the squared errors."""

    def value(self, ops: Any, batch: Batch) -> Any:
        """Compute it; never so small that its slope is none."""
        return ops.sqrt(super().value(ops, batch) + 1e-12)


class MeanAbsoluteError(_ErrorLoss):
    """Mean of the errors' sizes."""

    def of_errors(self, ops: Any, errors: Any) -> Any:
        """Take their sizes."""
        return ops.abs(errors)


class Huber(_ErrorLoss):
    """Squares of small errors, sizes of large ones (Huber 1964)."""

    def of_errors(self, ops: Any, errors: Any) -> Any:
        """Square those below 1."""
        size = ops.abs(errors)
        near = ops.minimum(size, 1.0)
        return 0.5 * ops.square(near) + size - near


def _share(ops: Any, batch: Batch) -> Any:
    return batch.label / ops.maximum(batch.requests, 1.0)


#: Losses by the name that config.yaml has for them.
LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "categorical_cross_entropy": CategoricalCrossEntropy(),
    "binary_cross_entropy": BinaryCrossEntropy(),
    "poisson": Poisson(),
    "mse": MeanSquaredError(),
    "rmse": RootMeanSquaredError(),
    "mae": MeanAbsoluteError(),
    "huber": Huber(),
}
