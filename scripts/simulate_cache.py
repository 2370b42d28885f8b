"""Replay the test slots' requests against caches filled from forecasts, beside reactive ones.

A filled cache holds, during each slot, the movies that a forecast ranks highest: a share of the
catalogue known by then, rounded up. A reactive cache changes with each request (``replay_policies``); it
has seen every request before the test slots, and is as large as the filled caches of its share are on the
average request. A mixture fills one part of its room from a forecast, and the requests that this part
does not serve go to a reactive part. Every request counts, those for movies never seen before too.

Where the log tells how many bytes its movies have, a cache is a share of the catalogue's bytes, filled
with the movies of the most expected requests per byte; elsewhere each movie takes as much as another.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity import caches, tables
from popularity.forecasters.base import forecast_slots
from popularity.forecasters.competitors import Forecasters, add_forecasters
from popularity.forecasters.evaluated import Evaluated
from popularity.forecasters.references import oracle
from popularity.program import Fault, atomic_write, run
from popularity.replays import Replay, Sizes, add_requests, read_requests, sizes_of
from popularity.scoring import bootstrap
from popularity.scoring.scores import Forecast
from popularity.scoring.seeds import mean_over_seeds
from popularity.scoring.verdict import best_on_validation
from popularity.series import Series
from popularity.settings.fields import json_argument
from popularity.settings.results import Cache

Floats = npt.NDArray[np.float64]


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


def filled_caches(forecasts: Iterator[Forecast], replay: Replay, sizes: Sizes) -> Floats:
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
    forecasts: Iterator[Forecast], replay: Replay, filled: npt.NDArray[np.int64]
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


def mixture_hits(served: npt.NDArray[np.bool_], run: caches.Run, replay: Replay) -> Floats:
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
    replay: Replay,
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


def simulate(
    series: Series,
    replay: Replay,
    reactive: Mapping[tuple[str, float], npt.NDArray[np.int64]],
    forecasts: dict[str, tuple[str, Callable[[], Iterator[Forecast]]]],
    best: str,
    compared: str,
    settings: Cache,
    folder: Path,
    threads: int,
) -> pd.DataFrame:
    """Fill caches from forecasts and mix them with reactive ones, beside the caches that react alone.

    Parameters
    ----------
    reactive
        By policy and share of the catalogue what ``replay_policies`` gives: hits of each test slot, and
        their sizes, [test slots, 2].
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
    found: dict[tuple[str, str, int], Floats] = {}
    for (policy, share), hits in reactive.items():
        kind = "reference" if caches.REACTIVE[policy].knows_future else "reactive"
        found[policy, kind, settings.sizes.index(share)] = hits.astype(np.float64)
    mixture = settings.mixture
    mixed = best if mixture.forecast == "best" else mixture.forecast
    pool = caches.Pool(threads)
    # What a piece of work gives is hits and their sizes: [test slots, sizes, 2], or of one size.
    meanings: dict[str, tuple[str, str, list[int]]] = {}
    places = list(range(len(sizes.shares)))
    parts = [
        (share, at, part)
        for share in mixture.reactive_shares
        for at in places
        if replay.mean_size * caches.REACTIVE[mixture.policy].fewest
        <= (part := round(share * sizes.reactive[at]))
        < sizes.filled[:, at].min()
    ]
    trace = folder / "requests.bin"
    if parts:
        # Before the forecasts begin: both take much memory.
        caches.write_trace(trace, replay.movie, replay.sizes)
    chosen = settings.forecasts
    for name, (kind, walk) in forecasts.items():
        if chosen is not None and name not in (*chosen, "oracle"):
            continue
        meanings[name] = (name, kind, places)
        pool.submit(name, lambda walk=walk: filled_caches(walk(), replay, sizes))
    if parts:
        filled = np.stack([sizes.filled[:, at] - part for _, at, part in parts], axis=1)
        served = served_by_filled(forecasts[mixed][1](), replay, filled)
        for (share, at, part), own in zip(parts, served, strict=True):
            policy = f"{mixed} + {mixture.policy} {100 * share:.3g} %"
            name = f"{policy}, {sizes.shares[at]:.4g}"
            meanings[name] = (policy, "mixture", [at])
            pool.submit(name, mixture_hits, own, caches.Run.of(mixture.policy, part, trace, replay), replay)
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


def read_reactive(path: Path, replay: Replay) -> dict[tuple[str, float], npt.NDArray[np.int64]]:
    """Read what ``replay_policies`` wrote: by policy and share of the catalogue hits, and their sizes."""
    if not tables.count(path, tables.HITS):
        return {}
    table = tables.read(path, tables.HITS).to_pandas()
    found = {}
    for (policy, share), rows in table.groupby(["policy", "size"], sort=False):
        if not np.array_equal(rows["slot"], replay.slots):
            raise Fault(f"{path}: not of the test slots that are replayed: replay the policies again")
        found[policy, share] = rows[["hits", "volume"]].to_numpy()
    return found


def possible(settings: Cache) -> Cache:
    """Leave out of the settings what needs libcachesim, where that is not installed."""
    if caches.can_react():
        return settings
    return replace(settings, mixture=replace(settings.mixture, reactive_shares=()))


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_requests(parser)
    add_forecasters(parser)
    parser.add_argument("--policies", type=Path, required=True, help="table of replay_policies")
    parser.add_argument(
        "--cache", type=json_argument(Cache), required=True, help="cache of config.yaml, as JSON"
    )
    parser.add_argument("--hit-ratios", type=Path, required=True, help="cache.csv, to write")
    args = parser.parse_args()

    settings = possible(args.cache)
    given = Forecasters.given(args)
    scored = given.scores()
    kinds = dict(zip(scored["name"], scored["kind"], strict=True))
    series, replay = read_requests(args)
    # Ordered by slot once, for the walks of all forecasts.
    series.elements_in(range(0))

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
        reactive = read_reactive(args.policies, replay)
        best = best_on_validation(scored, forecasts)
        board = simulate(
            series, replay, reactive, forecasts, best, compared, settings, Path(folder), args.threads
        )
    with atomic_write(args.hit_ratios) as path:
        board.to_csv(path, index=False)


if __name__ == "__main__":
    run(main)
