"""Cross entropy of requests under predicted shares, in nats; finite for every forecast."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

#: Share of every forecast that is spread evenly over the slot's candidates before it is scored, so that
#: a requested movie predicted at 0 costs much, and not infinitely much. A part of the measure, unlike
#: ``averages.UNIFORM_SHARE``, which is a part of the averages that forecasts are made of.
SMOOTHING_SHARE = 0.001


def distribution(
    predicted: Floats, of: npt.NDArray[np.integer] | slice = slice(None)
) -> npt.NDArray[np.float64]:
    """Make predicted shares [candidates] a distribution: uniform where none is positive.

    Parameters
    ----------
    of
        Places of the candidates whose shares are returned; all of them if not given.
    """
    positive = np.maximum(predicted, 0.0, dtype=np.float64)
    total, some = positive.sum(), positive[of]
    return some / total if total > 0 else np.full(len(some), 1 / max(len(positive), 1))


def request_losses(shares: Floats, candidates: float | Floats) -> Floats:
    """Compute the cross entropy of one request for each movie.

    Parameters
    ----------
    shares
        Predicted shares, which add up to 1 over the slot's candidates; some of them are enough.
    candidates
        Number of candidates of the slot, or of each share's slot.

    Returns
    -------
    Nats, as ``shares``.
    """
    losses: Floats = -np.log((1 - SMOOTHING_SHARE) * shares + SMOOTHING_SHARE * (1 / candidates))
    return losses


def sampled_cross_entropy(
    predicted: Floats, requests: Floats, weight: Floats, slot: npt.NDArray[np.integer]
) -> float:
    """Estimate the cross entropy of several slots from some of their candidates.

    Parameters
    ----------
    predicted, requests
        [n] predicted shares, up to a factor that each slot has of its own, and true requests.
    weight
        [n] how many candidates of its slot each one stands for.
    slot
        int [n], numbers of the slots from 0.

    Returns
    -------
    Nats per request.
    """
    return float(slot_losses(predicted, requests, weight, slot).sum() / requests.sum())


def slot_losses(
    predicted: Floats, requests: Floats, weight: Floats, slot: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Estimate the cross entropy of each slot, over its requests, as :func:`sampled_cross_entropy` does.

    Returns
    -------
    float64 [slots], nats.
    """
    positive = np.maximum(predicted, 0.0)
    total = np.bincount(slot, weights=positive * weight)[slot]
    candidates = np.bincount(slot, weights=weight)[slot]
    shares = np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1 / candidates)
    return np.bincount(slot, requests * request_losses(shares, candidates)).astype(np.float64)
