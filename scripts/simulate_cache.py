"""Replay the test slots' requests against caches: filled from forecasts, reactive, and a mixture.

A filled cache holds, during each slot, the movies that a forecast ranks highest: a share of the
catalogue known by then, rounded up. A reactive cache changes with each request; it has seen every
request before the test slots, and is as large as the filled caches of its share are on the average
request. A mixture fills one part of its room from a forecast, and the requests that this part does not
serve go to a reactive part. Every request counts, those for movies never seen before too.

Where the log tells how many bytes its movies have, a cache is a share of the catalogue's bytes, filled
with the movies of the most expected requests per byte; elsewhere each movie takes as much as another.
"""

import argparse
import copy
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from popularity import caches, tables
from popularity.forecasters.base import forecast_slots
from popularity.forecasters.competitors import Forecasters, add_forecasters
from popularity.forecasters.evaluated import Evaluated
from popularity.forecasters.references import oracle
from popularity.program import Fault, atomic_write, run
from popularity.scoring import bootstrap
from popularity.scoring.scores import Forecast
from popularity.scoring.seeds import mean_over_seeds
from popularity.scoring.verdict import best_on_validation
from popularity.series import Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.results import Cache
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot, slot_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the caches: movies, or where these have sizes, units of :class:`caches.Replay`.

    Attributes
    ----------
    shares
        Of the catalogue known at a slot's start.
    filled
        int [test slots, shares], of a filled cache.
    reactive
        For each share, of a reactive cache: the mean of the filled ones over the requests.
    """

    shares: Sequence[float]
    filled: npt.NDArray[np.int64]
    reactive: list[int]


def sizes_of(series: Series, replay: caches.Replay, shares: Sequence[float]) -> Sizes:
    """Find the sizes of the caches of these shares of the catalogue."""
    known = [int(replay.sizes[series.candidates(slot)].sum()) for slot in replay.slots.tolist()]
    filled = np.array([caches.cache_sizes(whole, shares) for whole in known], np.int64)
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
    """Hits of caches filled from a forecast of each slot, and their sizes, [test slots, shares, 2]."""
    generator = np.random.default_rng(0)
    hits = np.zeros((*sizes.filled.shape, 2))
    for at, (_, movies, shares) in enumerate(forecasts):
        counts = replay.counts(at, int(movies[-1]) + 1 if len(movies) else 0)[movies]
        capacities = sizes.filled[at].tolist()
        if replay.unit is None:
            hits[at] = caches.filled_hits(shares, counts, capacities)[:, None]
        elif not np.isfinite(shares).all():
            hits[at] = np.nan
        else:
            own = replay.sizes[movies]
            for place, held in enumerate(caches.filled_movies(shares, own, capacities, generator)):
                hits[at, place] = counts[held].sum(), (counts[held] * own[held]).sum()
    return hits


def served_by_filled(
    forecasts: Iterator[Forecast], replay: caches.Replay, filled: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Find which test requests caches of these sizes, [test slots, caches], serve: [caches, requests]."""
    generator = np.random.default_rng(0)
    served = np.zeros((filled.shape[1], int(replay.requests.sum())), bool)
    begins = replay.bounds - replay.bounds[0]
    for at, (_, movies, shares) in enumerate(forecasts):
        requested = replay.movie[replay.bounds[at] : replay.bounds[at + 1]]
        own = None if replay.unit is None else replay.sizes[movies]
        for place, held in enumerate(caches.filled_movies(shares, own, filled[at].tolist(), generator)):
            in_cache = np.zeros(len(replay.sizes), bool)
            in_cache[movies[held]] = True
            served[place, begins[at] : begins[at + 1]] = in_cache[requested]
    return served


def mixture_hits(served: npt.NDArray[np.bool_], run: caches.Run, replay: caches.Replay) -> Floats:
    """Hits in each test slot of a filled part and a reactive one, and their sizes, [test slots, 2].

    Parameters
    ----------
    served
        Which test requests the filled part serves.
    run
        Of the reactive part, as it would meet all requests: it meets the others.
    """
    begins = (replay.bounds - replay.bounds[0])[:-1]
    requested = replay.movie[replay.bounds[0] : replay.bounds[-1]]
    own = replay.sizes[requested] * served
    hits = np.stack([np.add.reduceat(one.astype(np.int64), begins) for one in (served, own)], axis=1)
    with tempfile.NamedTemporaryFile(dir=run.trace.parent, suffix=".bin") as file:
        rest = Path(file.name)
        caches.write_trace(rest, requested[~served], replay.sizes)
        bounds = np.append(0, np.cumsum(replay.requests - hits[:, 0]))
        return (hits + replace(run, trace=rest, bounds=bounds).hits()).astype(np.float64)


def row_of(
    policy: str,
    kind: str,
    share: float,
    size: int,
    hits: Floats,
    replay: caches.Replay,
    compared_hits: Floats | None,
) -> dict[str, Any]:
    """Make a row of ``cache.csv``.

    ``hits`` are those of each test slot and their sizes, [test slots, 2]; ``compared_hits`` are the hits of
    the cache of this size that others are compared with, [test slots], None if there is none.
    """
    requests = replay.requests
    drawn = bootstrap.drawn_slots(len(requests))[1:]
    met = [("hit_ratio", hits[:, 0], requests)]
    row: dict[str, Any] = {"policy": policy, "kind": kind, "size": share}
    if replay.unit is None:
        row |= {"movies": size, "bytes": None}
    else:
        row |= {"movies": None, "bytes": size * replay.unit}
        met.append(("byte_hit_ratio", hits[:, 1], replay.volumes))
    row["requests"] = int(requests.sum())
    for name, got, whole in met:
        low, high = bootstrap.interval((drawn @ got) / (drawn @ whole))
        row |= {name: got.sum() / whole.sum(), f"{name}_low": low, f"{name}_high": high}
    gained = np.full(len(hits), np.nan) if compared_hits is None else hits[:, 0] - compared_hits
    low, high = bootstrap.interval((drawn @ gained) / (drawn @ requests))
    return row | {"gain": gained.sum() / requests.sum(), "gain_low": low, "gain_high": high}


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
    ``size`` (share of the catalogue), ``movies`` or, where sizes are known, ``bytes`` of the cache,
    ``requests``, ``hit_ratio``, and its 95 % interval ``hit_ratio_low`` to ``hit_ratio_high`` (bootstrap
    over slots), and where sizes are known the same of ``byte_hit_ratio``, the share of the requested bytes
    that the cache serves. ``gain`` is the difference to the hit ratio of ``compared`` (named in
    ``gain_over``) in a cache of the same size, ``gain_low`` to ``gain_high`` its 95 % interval (both caches
    meet the same drawn slots). A reactive policy that libcachesim can't run with so few movies has no row.
    """
    sizes = sizes_of(series, replay, settings.sizes)
    mixture = settings.mixture
    mixed = best if mixture.forecast == "best" else mixture.forecast
    trace = folder / "requests.bin"
    caches.write_trace(trace, replay.movie, replay.sizes)
    item = replay.mean_size
    logging.info(
        "%d requests in %d test slots, after %d to warm reactive caches",
        *(replay.requests.sum(), len(replay.slots), replay.bounds[0]),
    )
    pool = Pool(threads)
    # What a piece of work gives is rows' hits: [test slots, sizes, 2], or [test slots, 2] of one size.
    meanings: dict[str, tuple[str, str, list[int]]] = {}
    places = list(range(len(sizes.shares)))

    def submit(policy: str, kind: str, which: list[int], work: Callable[..., Any], *arguments: Any) -> None:
        name = f"{policy}, {sizes.shares[which[0]]:.4g}" if len(which) == 1 else policy
        meanings[name] = (policy, kind, which)
        pool.submit(name, work, *arguments)

    def reactive(policy: str, size: int) -> caches.Run:
        return caches.Run(policy, size, item, trace, int(replay.bounds[0]), trace, replay.bounds)

    for policy in settings.policies:
        kind = "reference" if caches.REACTIVE[policy].knows_future else "reactive"
        for at in places:
            if sizes.reactive[at] >= item * caches.REACTIVE[policy].fewest:
                submit(policy, kind, [at], reactive(policy, sizes.reactive[at]).hits)
    chosen = settings.forecasts
    for name, (kind, walk) in forecasts.items():
        if chosen is not None and name not in (*chosen, "oracle"):
            continue
        submit(name, kind, places, lambda walk=walk: filled_caches(walk(), replay, sizes))
    parts = [
        (share, at, part)
        for share in mixture.reactive_shares
        for at in places
        if item * caches.REACTIVE[mixture.policy].fewest
        <= (part := round(share * sizes.reactive[at]))
        < sizes.filled[:, at].min()
    ]
    if parts:
        filled = np.stack([sizes.filled[:, at] - part for _, at, part in parts], axis=1)
        served = served_by_filled(forecasts[mixed][1](), replay, filled)
        for (share, at, part), own in zip(parts, served, strict=True):
            name = f"{mixed} + {mixture.policy} {100 * share:.3g} %"
            submit(name, "mixture", [at], mixture_hits, own, reactive(mixture.policy, part), replay)
    found: dict[tuple[str, str, int], Floats] = {}
    for name, hits in pool.results():
        policy, kind, which = meanings[name]
        for place, at in enumerate(which):
            found[policy, kind, at] = hits.reshape(len(hits), -1, 2)[:, place].astype(np.float64)
    compared_hits = {at: hits[:, 0] for (policy, _, at), hits in found.items() if policy == compared}
    rows = [
        row_of(policy, kind, sizes.shares[at], sizes.reactive[at], hits, replay, compared_hits.get(at))
        for (policy, kind, at), hits in found.items()
    ]
    return pd.DataFrame(rows).assign(gain_over=compared if compared_hits else None)


def sizes_of_movies(movies: pa.Table, ids: npt.NDArray[np.integer]) -> Floats:
    """Bytes of these movies, of a table of :data:`tables.MOVIES`; not a number where they are unknown."""
    known = dict(zip(movies["movieId"].to_pylist(), movies["size"].to_pylist(), strict=True))
    return np.array([np.nan if (size := known.get(one)) is None else size for one in ids.tolist()])


def possible(settings: Cache) -> Cache:
    """Leave out of the settings what needs libcachesim, where that is not installed."""
    if caches.can_react():
        return settings
    logging.warning("libcachesim is not installed: no cache that reacts to requests is replayed")
    mixture = replace(settings.mixture, reactive_shares=())
    return replace(settings, policies=(), mixture=mixture)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet: the requests")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet: their sizes, if any")
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    add_forecasters(parser)
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

    settings = possible(args.cache)
    series = read_series(args.sequences, args.slot)
    parts = split_slots(series, args.split)
    given = Forecasters.given(args)
    scored = given.scores()
    kinds = dict(zip(scored["name"], scored["kind"], strict=True))

    schema = tables.joined_schema(args.joined)
    counted = "count" in schema.names
    table = tables.read(args.joined, schema, ["movieId", "timestamp", *(["count"] if counted else [])])
    timestamps = tables.numbers(table["timestamp"])
    movie = np.searchsorted(series.movie_ids, tables.numbers(table["movieId"]))
    counts = tables.numbers(table["count"]) if counted else None
    del table
    sizes = sizes_of_movies(tables.read(args.movies, tables.MOVIES), series.movie_ids)
    replay = caches.replay_of(
        *(timestamps, movie, slot_of(timestamps, args.slot), parts["test"]),
        *(*caches.sizes_in_units(sizes), counts),
    )
    del timestamps, movie, counts

    def of_seeds(seeds: Sequence[Evaluated]) -> Callable[[], Iterator[Forecast]]:
        paths = [seed.predictions_file for seed in seeds]
        return lambda: read_predictions(paths, series, replay.slots.tolist())

    def of_naive(name: str) -> Callable[[], Iterator[Forecast]]:
        method, found = given.simple(name)
        parameters = method.parameters_of(found)

        def walk() -> Iterator[Forecast]:
            # A series remembers where the last walk over it is, so that walks side by side have one each.
            own = copy.copy(series)
            return forecast_slots(method.forecaster(own, parameters), own, replay.slots)

        return walk

    forecasts = {name: (kinds[name], of_seeds(seeds)) for name, seeds in given.evaluated.items()}
    for name, entry in sorted(given.naive.items()):
        if entry.method != "oracle":
            forecasts[name] = (kinds[name], of_naive(name))
    forecasts["oracle"] = ("reference", lambda: forecast_slots(oracle(series), series, replay.slots))
    filling = settings.forecasts
    naive = [
        name
        for name, (kind, _) in forecasts.items()
        if kind == "naive" and (filling is None or name in filling)
    ]
    compared = best_on_validation(scored, naive) if naive else "LRU"
    with tempfile.TemporaryDirectory() as folder:
        board = simulate(
            *(series, replay, forecasts, best_on_validation(scored, forecasts), compared, settings),
            Path(folder),
            args.threads,
        )
    with atomic_write(args.hit_ratios) as path:
        board.to_csv(path, index=False)


if __name__ == "__main__":
    run(main)
