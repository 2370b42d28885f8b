"""How good a forecast of one slot is, how slots add up to a score, and how sure a difference is."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity.program import Fault
from popularity.windows import Ints, Series

#: A slot, its candidates (int [candidates]) and their predicted shares (float64 [candidates]).
Forecast = tuple[int, Ints, npt.NDArray[np.float64]]

Floats = npt.NDArray[np.floating]

#: Share of a forecast that is spread evenly before the cross entropy, so that it is finite.
UNIFORM_SHARE = 0.001
#: Length of the lists that ``ndcg_20`` and ``top_20_accuracy`` judge.
TOP = 20
#: Sizes of the cache of the hit ratios, in percent of the candidates.
CACHE_PERCENTS = (1, 5, 10)

#: The scores, and whether more is better.
SCORES = {
    "cross_entropy": False,
    "rmse": False,
    "mae": False,
    "ndcg_20": True,
    "top_20_accuracy": True,
    **{f"hit_ratio_{percent}": True for percent in CACHE_PERCENTS},
}


def score_slot(predicted: Floats, counts: Floats, requests: float) -> dict[str, float]:
    """Score the forecast of one slot over its candidates.

    Parameters
    ----------
    predicted
        [candidates] predicted shares of the slot's requests. They need not add up to 1, and where
        none is positive the forecast counts as uniform in the cross entropy.
    counts
        [candidates] true requests.
    requests
        All of the slot's requests, those for other movies included (> 0).

    Returns
    -------
    Sums that :func:`summarise` adds up over slots. Movies predicted alike are in no order, so what
    depends on order is its mean over all orders of such ties (McSherry and Najork 2008, "Computing
    information retrieval performance measures efficiently in the presence of tied scores").
    """
    size = len(counts)
    errors = predicted - counts / requests
    by_rank = _mean_over_ties(predicted, counts)
    top = min(TOP, size)
    discounts = 1 / np.log2(np.arange(top) + 2)
    best = -np.sort(-counts)[:top]
    frequent = (counts >= best[-1]).astype(np.float64) if size else np.zeros(0)
    ideal = float(best @ discounts)
    scores = {
        "requests": float(requests),
        "covered": float(counts.sum()),
        "candidates": float(size),
        "log_loss": _log_loss(predicted, counts),
        "squared_error": float(errors @ errors),
        "absolute_error": float(np.abs(errors).sum()),
        # Where no candidate is requested no order is better than another.
        "ndcg_20": float(by_rank[:top] @ discounts) / ideal if ideal > 0 else np.nan,
        "top_20_accuracy": (float(_mean_over_ties(predicted, frequent)[:top].mean()) if size else np.nan),
    }
    for percent in CACHE_PERCENTS:
        scores[f"hits_{percent}"] = float(by_rank[: -(-size * percent // 100)].sum())
    return scores


def _log_loss(predicted: Floats, counts: Floats) -> float:
    """Negative log likelihood (nats) of the counts under the forecast made into a distribution."""
    if not counts.any():
        return 0.0
    shares = np.maximum(predicted, 0.0)
    total = shares.sum()
    uniform = 1 / len(counts)
    shares = shares / total if total > 0 else np.full(len(counts), uniform)
    requested = counts > 0
    mixed = (1 - UNIFORM_SHARE) * shares[requested] + UNIFORM_SHARE * uniform
    return float(-(counts[requested] @ np.log(mixed)))


def _mean_over_ties(predicted: Floats, values: Floats) -> Floats:
    """Order values by falling prediction, those of equal prediction replaced by their mean."""
    if not len(predicted):
        return np.zeros(0)
    order = np.argsort(-predicted, kind="stable")
    ranked = predicted[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    sizes = np.diff(starts, append=len(ranked))
    return np.repeat(np.add.reduceat(values[order].astype(np.float64), starts) / sizes, sizes)


def score_forecasts(series: Series, forecasts: Iterable[Forecast]) -> pd.DataFrame:
    """Score forecasts of slots with requests: a row a slot, ``slot`` and what :func:`score_slot` gives."""
    rows = []
    for slot, movies, shares in forecasts:
        requests = series.requests(np.array([slot]))[0]
        rows.append({"slot": slot, **score_slot(shares, series.labels(movies, slot), requests)})
    return pd.DataFrame(rows)


def summarise(slots: pd.DataFrame) -> dict[str, float]:
    """Add up the rows of :func:`score_slot` to the scores, ``requests`` and ``unseen_share``.

    Raises a Fault if no request is of a candidate, which leaves nothing to score.
    """
    # A forecast that is no number has no score; a slot without an order to judge has no ndcg_20.
    sums, means = slots.sum(numeric_only=True, skipna=False), slots.mean(numeric_only=True)
    if sums["covered"] == 0:
        raise Fault(
            f"no movie that was requested before is requested in the {len(slots)} slots with requests"
            " that the forecasts are to be scored on; use longer slots or another split (slot and"
            " split in config.yaml)"
        )
    summary = {
        "slots": len(slots),
        "requests": sums["requests"],
        "unseen_share": 1 - sums["covered"] / sums["requests"],
        "cross_entropy": sums["log_loss"] / sums["covered"],
        "rmse": np.sqrt(sums["squared_error"] / sums["candidates"]),
        "mae": sums["absolute_error"] / sums["candidates"],
        "ndcg_20": means["ndcg_20"],
        "top_20_accuracy": means["top_20_accuracy"],
        **{f"hit_ratio_{p}": sums[f"hits_{p}"] / sums["requests"] for p in CACHE_PERCENTS},
    }
    return {name: float(value) for name, value in summary.items()}


def cross_entropy_ratio(
    slots: Iterable[pd.DataFrame], reference: pd.DataFrame, draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Ratio of a forecast's cross entropy to a reference's, with its 95 % paired bootstrap interval.

    Parameters
    ----------
    slots
        Rows of :func:`score_slot` of each seed of a forecast, over the same slots.
    reference
        Rows of the forecast to compare with, over the same slots.
    draws
        How often slots are drawn with replacement, the same for both (Efron and Tibshirani 1993).

    Returns
    -------
    The ratio and the 2.5 % and 97.5 % points.
    """
    loss = np.mean([table["log_loss"].to_numpy() for table in slots], axis=0)
    other = reference["log_loss"].to_numpy()
    count = len(other)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    if not other.any() and not loss.any():
        # One candidate in each slot, which no forecaster can miss.
        return 1.0, 1.0, 1.0
    low, high = np.quantile((drawn @ loss) / np.maximum(drawn @ other, 1e-300), [0.025, 0.975])
    return float(loss.sum() / max(other.sum(), 1e-300)), float(low), float(high)
