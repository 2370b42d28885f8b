"""Replay the test slots' requests against caches: filled from forecasts, reactive, and a mixture.

A filled cache holds, during each slot, the movies that a forecast ranks highest: a share of the
catalogue known by then, rounded up. A reactive cache changes with each request; it has seen every
request before the test slots, and as many movies as the filled caches of its share hold on the average
request. A mixture fills one part of its movies from a forecast, and the requests that this part does not
serve go to a reactive part. Every request counts, those for movies never seen before too.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity import caches, tables
from popularity.forecasters.base import (
    METHODS_HELP,
    SimpleMethod,
    forecast_slots,
    load_methods,
    method_of,
)
from popularity.forecasters.network.saved import TrainedModel, open_runs
from popularity.forecasters.references import oracle
from popularity.program import Fault, atomic_write, run
from popularity.results import read_json, read_scores
from popularity.scoring import bootstrap
from popularity.scoring.scores import Forecast
from popularity.scoring.seeds import mean_over_seeds
from popularity.scoring.verdict import CHOSEN_BY, best_on_validation
from popularity.series import Series, read_series, split_slots
from popularity.settings.baselines import Baseline
from popularity.settings.fields import json_argument
from popularity.settings.results import Cache
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot, slot_of

Floats = npt.NDArray[np.float64]

#: Rank of a movie that no filled part holds.
UNRANKED = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Sizes:
    """Sizes of the caches.

    Attributes
    ----------
    shares
        Of the catalogue known at a slot's start.
    filled
        int [test slots, shares], movies of a filled cache.
    reactive
        For each share, the movies of a reactive cache: the mean of the filled ones over the requests.
    """

    shares: Sequence[float]
    filled: npt.NDArray[np.int64]
    reactive: list[int]


def sizes_of(series: Series, replay: caches.Replay, shares: Sequence[float]) -> Sizes:
    """Find the sizes of the caches of these shares of the catalogue."""
    known = [len(series.candidates(slot)) for slot in replay.slots.tolist()]
    filled = np.array([caches.cache_sizes(count, shares) for count in known], np.int64)
    mean = np.average(filled, axis=0, weights=replay.requests)
    return Sizes(shares, filled, [max(1, round(size)) for size in mean])


def read_predictions(paths: Sequence[Path], series: Series, slots: Sequence[int]) -> Iterator[Forecast]:
    """Read what the seeds of a model predicted, slot by slot, and average it as the forecast does.

    The slots have to be those asked for and the movies their candidates, or :class:`Fault` is raised.
    """
    for slot, *seeds in zip(slots, *map(slots_of, paths), strict=True):
        movies = series.candidates(slot)
        ids = series.movie_ids[movies]
        for path, (found, movie_ids, _) in zip(paths, seeds, strict=True):
            if found != slot or not np.array_equal(movie_ids, ids):
                raise Fault(
                    f"{path}: the rows after slot {found} are not the candidates of slot {slot}; "
                    "evaluate the model again"
                )
        yield slot, movies, mean_over_seeds([predicted for _, _, predicted in seeds])


def slots_of(path: Path) -> Iterator[tuple[int, npt.NDArray[np.int32], Floats]]:
    """Read predictions slot by slot: the slot, the movies' ids and the predicted shares."""
    waiting: list[tuple[npt.NDArray[Any], ...]] = []
    names = ["slot", "movieId", "predicted"]
    for part in tables.batches(path, tables.PREDICTIONS, names):
        columns = tuple(tables.numbers(part[name]) for name in names)
        if not len(columns[0]):
            continue
        bounds = np.flatnonzero(np.diff(columns[0])) + 1
        first, *others = zip(*(np.split(column, bounds) for column in columns), strict=True)
        if waiting and waiting[0][0][0] != first[0][0]:
            yield joined(waiting)
            waiting = []
        waiting.append(first)
        for piece in others:
            yield joined(waiting)
            waiting = [piece]
    if waiting:
        yield joined(waiting)


def joined(pieces: list[tuple[npt.NDArray[Any], ...]]) -> tuple[int, npt.NDArray[np.int32], Floats]:
    """Put the pieces of one slot together."""
    slots, ids, predicted = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    return int(slots[0]), ids, predicted


def filled_caches(forecasts: Iterator[Forecast], replay: caches.Replay, sizes: Sizes) -> Floats:
    """Hits of caches filled from a forecast of each slot, [test slots, shares]."""
    hits = np.zeros(sizes.filled.shape)
    for at, (_, movies, shares) in enumerate(forecasts):
        counts = replay.counts(at, int(movies[-1]) + 1 if len(movies) else 0)[movies]
        hits[at] = caches.filled_hits(shares, counts, sizes.filled[at].tolist())
    return hits


def request_ranks(
    forecasts: Iterator[Forecast], replay: caches.Replay, movies: int, most: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Rank of each test request's movie in its slot's forecast (from 0, ties in a drawn order).

    ``most`` is how many ranks of each slot matter; the other movies are :data:`UNRANKED`.
    """
    generator = np.random.default_rng(0)
    ranks = np.empty(int(replay.requests.sum()), np.int32)
    for at, (_, candidates, shares) in enumerate(forecasts):
        rank = np.full(movies, UNRANKED, np.int32)
        top = caches.filled_movies(shares, int(most[at]), generator)
        rank[candidates[top]] = np.arange(len(top))
        start, end = replay.bounds[at : at + 2]
        ranks[start - replay.bounds[0] : end - replay.bounds[0]] = rank[replay.movie[start:end]]
    return ranks


def reactive_hits(policy: str, movies: int, trace: Path, replay: caches.Replay) -> Floats:
    """Hits in each test slot of a reactive cache of so many movies, [test slots]."""
    cache = caches.warmed_cache(policy, movies, trace, replay)
    return caches.run_trace(cache, trace, replay.bounds).astype(np.float64)


def mixture_hits(
    policy: str,
    reactive: int,
    filled: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.int32],
    trace: Path,
    replay: caches.Replay,
) -> Floats:
    """Hits in each test slot of a cache with a filled and a reactive part, [test slots].

    Parameters
    ----------
    reactive, filled
        Movies of the reactive part, and [test slots] of the filled one.
    ranks
        From :func:`request_ranks`.
    trace
        All requests, of which those before the test slots warm the reactive part.
    """
    served = ranks < np.repeat(filled, replay.requests)
    begins = (replay.bounds - replay.bounds[0])[:-1]
    hits = np.add.reduceat(served.astype(np.int64), begins)
    cache = caches.warmed_cache(policy, reactive, trace, replay)
    with tempfile.NamedTemporaryFile(dir=trace.parent, suffix=".bin") as file:
        rest = Path(file.name)
        caches.write_trace(rest, replay.movie[replay.bounds[0] :][~served])
        bounds = np.append(0, np.cumsum(replay.requests - hits))
        return (hits + caches.run_trace(cache, rest, bounds)).astype(np.float64)


def row_of(
    policy: str,
    kind: str,
    share: float,
    movies: int,
    hits: Floats,
    requests: npt.NDArray[np.int64],
    compared_hits: Floats | None,
) -> dict[str, Any]:
    """Make a row of ``cache.csv``.

    ``hits`` and ``requests`` are those of each test slot; ``compared_hits`` are the hits of the cache
    of this size that others are compared with, None if there is none.
    """
    drawn = bootstrap.drawn_slots(len(requests))[1:]
    low, high = bootstrap.interval((drawn @ hits) / (drawn @ requests))
    gained = np.full(len(hits), np.nan) if compared_hits is None else hits - compared_hits
    gain_low, gain_high = bootstrap.interval((drawn @ gained) / (drawn @ requests))
    return {
        "policy": policy,
        "kind": kind,
        "size": share,
        "movies": movies,
        "requests": int(requests.sum()),
        "hit_ratio": hits.sum() / requests.sum(),
        "hit_ratio_low": low,
        "hit_ratio_high": high,
        "gain": gained.sum() / requests.sum(),
        "gain_low": gain_low,
        "gain_high": gain_high,
    }


class Pool:
    """Threads that do named pieces of work, and tell of each with what remains."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)
        self._begun = time.monotonic()
        self._works: list[tuple[str, Future[Any]]] = []

    def submit(self, name: str, work: Callable[..., Any], *arguments: Any) -> None:
        """Have this work done: its result is what :meth:`results` gives beside the name."""
        self._works.append((name, self._threads.submit(work, *arguments)))

    def results(self) -> Iterator[tuple[str, Any]]:
        """Wait for the work in its order."""
        try:
            for done, (name, future) in enumerate(self._works, 1):
                yield name, future.result()
                passed = time.monotonic() - self._begun
                left = passed / done * (len(self._works) - done)
                logging.info("%s: %d of %d, some %.0f s left", name, done, len(self._works), left)
        finally:
            self._threads.shutdown(cancel_futures=True)


def simulate(
    series: Series,
    replay: caches.Replay,
    forecasts: dict[str, tuple[str, Callable[[], Iterator[Forecast]]]],
    best: str,
    compared: str,
    settings: Cache,
    folder: Path,
    threads: int,
) -> pd.DataFrame:
    """Replay the requests against every cache.

    Parameters
    ----------
    forecasts
        By name the kind, and what starts a walk over the forecasts of the test slots.
    best
        The forecast that ``best`` stands for.
    compared
        The forecast or policy that the caches are compared with; there may be no cache of it.
    settings
        ``cache`` of config.yaml.
    folder
        For temporary files: 24 bytes a request.

    Returns
    -------
    ``policy``, ``kind`` (of the forecast, or reactive or mixture; a reference knows the future),
    ``size`` (share of the catalogue), ``movies``, ``requests``, ``hit_ratio``, and its 95 % interval
    ``hit_ratio_low`` to ``hit_ratio_high`` (bootstrap over slots). ``gain`` is the difference to the
    hit ratio of ``compared`` (named in ``gain_over``) in a cache of the same size, ``gain_low`` to
    ``gain_high`` its 95 % interval (both caches meet the same drawn slots). A reactive policy that
    libcachesim can't run with so few movies has no row.
    """
    sizes = sizes_of(series, replay, settings.sizes)
    mixture = settings.mixture
    mixed = best if mixture.forecast == "best" else mixture.forecast
    trace = folder / "requests.bin"
    caches.write_trace(trace, replay.movie)
    logging.info(
        "%d requests in %d test slots, after %d to warm reactive caches",
        *(replay.requests.sum(), len(replay.slots), replay.bounds[0]),
    )
    pool = Pool(threads)
    # What a piece of work gives is rows' hits: [test slots, sizes], or [test slots] of one size.
    meanings: dict[str, tuple[str, str, list[int]]] = {}
    places = list(range(len(sizes.shares)))

    def submit(policy: str, kind: str, which: list[int], work: Callable[..., Any], *arguments: Any) -> None:
        name = f"{policy}, {sizes.shares[which[0]]:.4g}" if len(which) == 1 else policy
        meanings[name] = (policy, kind, which)
        pool.submit(name, work, *arguments)

    for policy in settings.policies:
        kind = "reference" if caches.REACTIVE[policy].knows_future else "reactive"
        for at in places:
            if sizes.reactive[at] >= caches.REACTIVE[policy].fewest:
                arguments = (policy, sizes.reactive[at], trace, replay)
                submit(policy, kind, [at], reactive_hits, *arguments)
    chosen = settings.forecasts
    for name, (kind, walk) in forecasts.items():
        if chosen is not None and name not in (*chosen, "oracle"):
            continue
        submit(name, kind, places, lambda walk=walk: filled_caches(walk(), replay, sizes))
    if mixture.reactive_shares:
        most = sizes.filled.max(axis=1)
        ranks = request_ranks(forecasts[mixed][1](), replay, len(series.movie_ids), most)
        policy = mixture.policy
        for share in mixture.reactive_shares:
            for at in places:
                part = round(share * sizes.reactive[at])
                if caches.REACTIVE[policy].fewest <= part < sizes.filled[:, at].min():
                    filled = sizes.filled[:, at] - part
                    name = f"{mixed} + {policy} {100 * share:.3g} %"
                    submit(name, "mixture", [at], mixture_hits, policy, part, filled, ranks, trace, replay)
    found: dict[tuple[str, str, int], Floats] = {}
    for name, hits in pool.results():
        policy, kind, which = meanings[name]
        for at, column in zip(which, hits.reshape(len(hits), -1).T, strict=True):
            found[policy, kind, at] = column
    compared_hits = {at: hits for (policy, _, at), hits in found.items() if policy == compared}
    rows = [
        row_of(
            *(policy, kind, sizes.shares[at], sizes.reactive[at]),
            *(hits, replay.requests, compared_hits.get(at)),
        )
        for (policy, kind, at), hits in found.items()
    ]
    return pd.DataFrame(rows).assign(gain_over=compared if compared_hits else None)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet: the requests")
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument(
        "--runs", type=Path, nargs="*", default=[], help="folders of trained and evaluated models"
    )
    parser.add_argument("--methods", type=Path, nargs="+", required=True, help=METHODS_HELP)
    parser.add_argument(
        "--baselines",
        type=json_argument(dict[str, Baseline]),
        required=True,
        help="baselines of config.yaml, as JSON",
    )
    parser.add_argument("--scores", type=Path, required=True, help="scores.parquet of the baselines")
    parser.add_argument(
        "--metrics", type=Path, required=True, help="metrics.json of evaluate_baselines: what was chosen"
    )
    parser.add_argument(
        "--cache", type=json_argument(Cache), required=True, help="cache of config.yaml, as JSON"
    )
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="split of config.yaml, as JSON"
    )
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hit-ratios", type=Path, required=True, help="cache.csv, to write")
    args = parser.parse_args()

    series = read_series(args.sequences, args.slot)
    parts = split_slots(series, args.split)
    models = open_runs(args.runs)
    scores = [run.scores_file for runs in models.values() for run in runs]
    scored = read_scores([*scores, args.scores], CHOSEN_BY)
    kinds = dict(zip(scored["name"], scored["kind"], strict=True))

    table = tables.read(args.joined, tables.JOINED, ["movieId", "timestamp"])
    timestamps = tables.numbers(table["timestamp"])
    movie = np.searchsorted(series.movie_ids, tables.numbers(table["movieId"]))
    del table
    replay = caches.replay_of(timestamps, movie, slot_of(timestamps, args.slot), parts["test"])
    del timestamps, movie

    def of_model(runs: list[TrainedModel]) -> Callable[[], Iterator[Forecast]]:
        paths = [run.predictions_file for run in runs]
        return lambda: read_predictions(paths, series, replay.slots.tolist())

    load_methods(args.methods)
    chosen = read_json(args.metrics)

    def of_baseline(name: str, entry: Baseline) -> Callable[[], Iterator[Forecast]]:
        method = method_of(entry, SimpleMethod)
        parameters = method.parameters_of(chosen[name])
        return lambda: forecast_slots(method.forecaster(series, parameters), series, replay.slots)

    forecasts = {name: (kinds[name], of_model(runs)) for name, runs in models.items()}
    for name, entry in sorted(args.baselines.items()):
        if entry.method != "oracle":
            forecasts[name] = (kinds[name], of_baseline(name, entry))
    forecasts["oracle"] = ("reference", lambda: forecast_slots(oracle(series), series, replay.slots))
    filling = args.cache.forecasts
    naive = [
        name
        for name, (kind, _) in forecasts.items()
        if kind == "naive" and (filling is None or name in filling)
    ]
    compared = best_on_validation(scored, naive) if naive else "LRU"
    with tempfile.TemporaryDirectory() as folder:
        board = simulate(
            *(series, replay, forecasts, best_on_validation(scored, forecasts), compared, args.cache),
            Path(folder),
            args.threads,
        )
    with atomic_write(args.hit_ratios) as path:
        board.to_csv(path, index=False)


if __name__ == "__main__":
    run(main)
