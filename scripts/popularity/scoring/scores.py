"""Scores of forecasts: of one slot, of all slots together, and as ratios with their intervals."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity.program import Fault
from popularity.scoring import bootstrap
from popularity.scoring.classes import CLASSES, MovieClasses
from popularity.scoring.cross_entropy import distribution, request_losses
from popularity.series import Ints, Series

#: A slot, its candidates (int [candidates]) and their predicted shares (float64 [candidates]).
Forecast = tuple[int, Ints, npt.NDArray[np.float64]]
#: The same of several forecasters, which predict the same movies.
Forecasts = tuple[int, Ints, Sequence[npt.NDArray[np.float64]]]

Floats = npt.NDArray[np.floating]

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
#: Scores of all slots together: score = (sum of numerators / sum of denominators) ** power. The others
#: are means over slots.
SUMMED_SCORES = {
    "cross_entropy": ("log_loss", "covered", 1.0),
    "rmse": ("squared_error", "candidates", 0.5),
    "mae": ("absolute_error", "candidates", 1.0),
    **{f"hit_ratio_{percent}": (f"hits_{percent}", "requests", 1.0) for percent in CACHE_PERCENTS},
}
#: What :func:`score_slot` gives of each slot that the scores are made of.
SUMS = (
    *dict.fromkeys(part for over, under, _ in SUMMED_SCORES.values() for part in (over, under)),
    *(score for score in SCORES if score not in SUMMED_SCORES),
)
#: The scores by which forecasts are compared: as ratios, and over the movies that all of them cover.
COMPARED_SCORES = ("cross_entropy", "rmse", "hit_ratio_5")
#: Size of the cache whose hits are counted by class of movies, in percent of the candidates.
CLASS_CACHE_PERCENT = 5


def score_slot(
    predicted: Floats, counts: Floats, requests: float, classes: Ints | None = None
) -> dict[str, float]:
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
    classes
        [candidates] class of each, a number of :data:`CLASSES`. With them the sums of each class are
        returned as well.

    Returns
    -------
    Sums that :func:`summarise` adds up over slots. Candidates with equal predictions are in no order:
    what depends on the order is the mean over all orders of such ties (McSherry and Najork 2008,
    "Computing information retrieval performance measures efficiently in the presence of tied scores").
    """
    size = len(counts)
    predicted = predicted.astype(np.float64)
    # Few candidates of a long log are requested in a slot: what is of these alone is computed of them.
    requested = np.flatnonzero(counts > 0)
    labels = counts[requested]
    errors = predicted.copy()
    errors[requested] -= labels / requests
    losses = labels * request_losses(distribution(predicted, requested), max(size, 1))
    top = min(TOP, size)
    order = _leading(predicted, max(top, *(_cache_size(size, percent) for percent in CACHE_PERCENTS)))
    ties = _Ties(predicted[order])
    by_rank = ties.means(counts[order].astype(np.float64))
    discounts = 1 / np.log2(np.arange(top) + 2)
    best = np.zeros(top)
    most = np.sort(labels)[::-1][:top]
    best[: len(most)] = most
    frequent = (counts[order] >= best[-1]).astype(np.float64) if size else np.zeros(0)
    ideal = float(best @ discounts)
    scores = {
        "requests": float(requests),
        "covered": float(labels.sum()),
        "candidates": float(size),
        "log_loss": float(losses.sum()),
        "squared_error": float(errors @ errors),
        "absolute_error": float(np.abs(errors).sum()),
        # If no candidate is requested, no order is better than another.
        "ndcg_20": float(by_rank[:top] @ discounts) / ideal if ideal > 0 else np.nan,
        "top_20_accuracy": float(ties.means(frequent)[:top].mean()) if size else np.nan,
    }
    for percent in CACHE_PERCENTS:
        scores[f"hits_{percent}"] = float(by_rank[: _cache_size(size, percent)].sum())
    if classes is not None:
        # Probability of each candidate to be in the cache, over the orders of ties.
        inside = (np.arange(len(order)) < _cache_size(size, CLASS_CACHE_PERCENT)).astype(np.float64)
        parts = {
            "requests": (classes[requested], labels),
            "candidates": (classes, None),
            "log_loss": (classes[requested], losses),
            "squared_error": (classes, errors**2),
            "hits": (classes[order], counts[order] * ties.means(inside)),
        }
        for part, (of, values) in parts.items():
            sums = np.bincount(of, values, len(CLASSES))
            scores |= {f"{part}_{name}": float(sums[at]) for at, name in enumerate(CLASSES)}
    return scores


def _cache_size(candidates: int, percent: int) -> int:
    """Find how many movies a cache of this percentage of the candidates holds, rounded up."""
    return -(-candidates * percent // 100)


def _leading(values: Floats, count: int) -> Ints:
    """Find the places of the ``count`` highest values, highest first, and of all that equal the last one.

    It sorts these alone: a cache holds few of the candidates. Equal values keep their order; NaN is
    lowest.
    """
    places = np.arange(len(values))
    if count < len(values):
        # Few movies have most requests, so that few are above the mean: mostly those sought are among them.
        above = values[values > values.mean()]
        if len(above) >= count:
            last = -np.partition(-above, count - 1)[count - 1]
        else:
            # Many are equal, or few are known: then a partition is many times slower than sorting.
            last = -np.sort(-values)[count - 1]
        if not np.isnan(last):
            places = np.flatnonzero(values >= last)
    order: Ints = places[np.argsort(-values[places], kind="stable")]
    return order


class _Ties:
    """Candidates with the same prediction (``ranked``, [n] sorted predictions)."""

    def __init__(self, ranked: Floats) -> None:
        new = np.concatenate([np.ones(min(len(ranked), 1), bool), ranked[1:] != ranked[:-1]])
        self._starts = np.flatnonzero(new)
        self._sizes = np.diff(self._starts, append=len(ranked))

    def means(self, values: Floats) -> Floats:
        """Replace each value [n] by the mean over the candidates with its prediction."""
        if not len(values):
            return np.zeros(0)
        return np.repeat(np.add.reduceat(values, self._starts) / self._sizes, self._sizes)


#: Help of the option ``--common``: see :func:`score_forecasts`.
COMMON_HELP = "score these many most requested movies of the training slots on their own, too"


def score_forecasts(
    series: Series, forecasts: Iterable[Forecast], training: range | None = None, common: int = 0
) -> pd.DataFrame:
    """Score forecasts of slots with requests: a row a slot, ``slot`` and what :func:`score_slot` gives.

    With the ``training`` slots, there are sums for each class of movies. With ``common`` there are also
    the sums of :data:`COMPARED_SCORES` over the ``common`` most requested movies of the training slots
    alone, as ``common_…``: they compare forecasts that cover no other movies.
    """
    (rows,) = score_together(
        series, ((slot, movies, [shares]) for slot, movies, shares in forecasts), 1, training, common
    )
    return rows


def score_together(
    series: Series,
    forecasts: Iterable[Forecasts],
    count: int,
    training: range | None = None,
    common: int = 0,
) -> list[pd.DataFrame]:
    """Score so many forecasters of the same movies side by side: each as :func:`score_forecasts` does."""
    rows: list[list[dict[str, float]]] = [[] for _ in range(count)]
    top = np.zeros(len(series.movie_ids), dtype=bool)
    if training is not None and common:
        top[series.most_requested(training, common)] = True
    compared = sorted({part for score in COMPARED_SCORES for part in SUMMED_SCORES[score][:2]})
    by_movie = None if training is None else MovieClasses.of_series(series, training)
    for slot, movies, several in forecasts:
        requests = series.requests(np.array([slot]))[0]
        classes = None if by_movie is None else by_movie.candidates(movies, slot)
        labels = series.labels(movies, slot)
        inside = top[movies]
        for of_one, shares in zip(rows, several, strict=True):
            scores = score_slot(shares, labels, requests, classes)
            if common:
                alone = score_slot(shares[inside], labels[inside], requests)
                scores |= {f"common_{part}": alone[part] for part in compared}
            of_one.append({"slot": slot, **scores})
    return [pd.DataFrame(of_one) for of_one in rows]


def summarise(slots: pd.DataFrame) -> dict[str, float]:
    """Add up the rows of :func:`score_slot` to the scores.

    Returns
    -------
    ``slots``, ``requests``, the shares of the requests for candidates (``covered_share``) and for other
    movies (``unseen_share``), and the scores of all slots together.

    Raises
    ------
    Fault
        If no request is for a candidate, so that there is nothing to score.
    """
    # Predictions that are not numbers have no score. Slots without a requested candidate have no ndcg_20.
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
        "covered_share": sums["covered"] / sums["requests"],
        "cross_entropy": sums["log_loss"] / sums["covered"],
        "rmse": np.sqrt(sums["squared_error"] / sums["candidates"]),
        "mae": sums["absolute_error"] / sums["candidates"],
        "ndcg_20": means["ndcg_20"],
        "top_20_accuracy": means["top_20_accuracy"],
        **{f"hit_ratio_{p}": sums[f"hits_{p}"] / sums["requests"] for p in CACHE_PERCENTS},
    }
    return {name: float(value) for name, value in summary.items()}


def summarise_common(slots: pd.DataFrame) -> dict[str, float]:
    """Add up the sums over common movies of :func:`score_forecasts` to ``common_<score>``."""
    sums = slots.sum(numeric_only=True, skipna=False)
    summary = {}
    for score in COMPARED_SCORES:
        over, under, power = SUMMED_SCORES[score]
        summary[f"common_{score}"] = float((sums[f"common_{over}"] / sums[f"common_{under}"]) ** power)
    return summary


def summarise_classes(slots: pd.DataFrame) -> pd.DataFrame:
    """Add up the rows of :func:`score_slot` by class of movie.

    Returns
    -------
    A row for each of :data:`CLASSES` and ``never``: ``class``, ``request_share`` (of all requests),
    ``candidate_share`` (of all candidates); for the class alone ``cross_entropy`` (nats per request),
    ``rmse`` and ``hit_ratio_5`` (of the cache for all movies); and the class's contributions to the
    scores of all movies, ``cross_entropy_part`` and ``hit_ratio_5_part``.
    """
    sums = slots.sum(numeric_only=True, skipna=False)
    rows = []
    for name in CLASSES:
        requests, candidates = sums[f"requests_{name}"], sums[f"candidates_{name}"]
        loss, hits = sums[f"log_loss_{name}"], sums[f"hits_{name}"]
        rows.append(
            {
                "class": name,
                "request_share": requests / sums["requests"],
                "candidate_share": candidates / sums["candidates"],
                "cross_entropy": loss / requests if requests else np.nan,
                "cross_entropy_part": loss / sums["covered"],
                "rmse": np.sqrt(sums[f"squared_error_{name}"] / candidates) if candidates else np.nan,
                "hit_ratio_5": hits / requests if requests else np.nan,
                "hit_ratio_5_part": hits / sums["requests"],
            }
        )
    never = {"class": "never", "request_share": 1 - sums["covered"] / sums["requests"]}
    return pd.DataFrame([*rows, {**never, "candidate_share": 0.0, "hit_ratio_5_part": 0.0}])


def score_ratio(
    slots: Sequence[pd.DataFrame],
    reference: pd.DataFrame,
    score: str = "cross_entropy",
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
    common: bool = False,
) -> tuple[float, float, float]:
    """Ratio of a forecast's score to a reference's, with its 95 % paired bootstrap interval.

    Parameters
    ----------
    slots
        Rows of :func:`score_slot` for each seed of a forecast, over the same slots. The scores of the
        seeds are averaged.
    reference
        Rows of the forecast to compare with, over the same slots.
    score
        A name of :data:`SUMMED_SCORES`; with ``common`` of :data:`COMPARED_SCORES`.
    draws
        How often slots are drawn with replacement, the same ones for both forecasts (Efron and
        Tibshirani 1993).
    common
        Compare over the common movies of :func:`score_forecasts` alone.

    Returns
    -------
    The ratio and the 2.5 % and 97.5 % points.
    """
    over, under, power = SUMMED_SCORES[score]
    if common:
        over, under = f"common_{over}", f"common_{under}"
    return _ratio(
        slots, [reference], (over, under, power), bootstrap.drawn_slots(len(reference), draws, seed)
    )


def class_ratio(
    slots: Sequence[pd.DataFrame], references: Sequence[pd.DataFrame], movies: str
) -> tuple[float, float, float]:
    """Ratio of two forecasts' cross entropies over some movies, as :func:`score_ratio` has it.

    Parameters
    ----------
    slots, references
        Rows of :func:`score_slot` for each seed of the two forecasts, over the same slots.
    movies
        ``all`` candidates, the ``common`` ones of :func:`score_forecasts`, or a class of :data:`CLASSES`.
    """
    over, under, power = SUMMED_SCORES["cross_entropy"]
    if movies == "common":
        over, under = f"common_{over}", f"common_{under}"
    elif movies != "all":
        over, under = f"log_loss_{movies}", f"requests_{movies}"
    return _ratio(slots, references, (over, under, power), bootstrap.drawn_slots(len(slots[0])))


def _ratio(
    slots: Sequence[pd.DataFrame],
    references: Sequence[pd.DataFrame],
    score: tuple[str, str, float],
    drawn: Floats,
) -> tuple[float, float, float]:
    """Ratio of the means over seeds of a score, by its sums and power, with its interval over draws."""
    over, under, power = score

    def mean(tables: Sequence[pd.DataFrame]) -> Floats:
        sums = [drawn @ table[[over, under]].to_numpy(dtype=np.float64) for table in tables]
        means: Floats = np.mean(
            [(one[:, 0] / np.maximum(one[:, 1], 1e-300)) ** power for one in sums], axis=0
        )
        return means

    means, rival = mean(slots), mean(references)
    # Both are 0 where each slot has a single candidate: then neither is better.
    ratios = np.where((means == 0) & (rival == 0), 1.0, means / np.maximum(rival, 1e-300))
    return float(ratios[0]), *bootstrap.interval(ratios[1:])
