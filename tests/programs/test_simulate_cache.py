"""Caches against plain replays of the same requests, and the table that they are told in."""

import itertools
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import replay_policies
import simulate_cache
from popularity import caches, replays, tables
from popularity.forecasters.base import forecast_slots
from popularity.forecasters.network.saved import Found, append_run
from popularity.program import Fault
from popularity.results import write_scores
from popularity.scoring import bootstrap
from popularity.scoring.scores import Forecast, score_forecasts, summarise
from popularity.scoring.seeds import mean_over_seeds
from popularity.settings.fields import parse
from popularity.settings.results import Cache
from popularity.slots import slot_of, slot_start
from small_forecasters import ewma, fixed
from small_logs import FIRST_SLOT, catalogue_of, random_log, series_of, write_sequences
from small_models import modules
from small_networks import asked_of

LOG = random_log(40, movies=60, seed=4)
SERIES = series_of(LOG)
TEST = range(FIRST_SLOT + 30, int(LOG["slot"].max()) + 1)
SHARES = [0.02, 0.05, 0.1, 0.3]
SETTINGS = {
    "sizes": SHARES,
    "forecasts": None,
    "policies": list(caches.REACTIVE),
    "mixture": {"forecast": "best", "policy": "LRU", "reactive_shares": [0.5]},
}


CACHE: Cache = parse(Cache, SETTINGS)


def request_log() -> pd.DataFrame:
    """The requests of the log one by one, by user rather than time, as archives have them."""
    draw = np.random.default_rng(2)
    rows = LOG.loc[LOG.index.repeat(LOG["label"]), ["slot", "movieId"]].reset_index(drop=True)
    begin = slot_start(rows["slot"].to_numpy(), "day").astype(np.int64)
    # Few different seconds, so that many requests have the same.
    rows["timestamp"] = begin + 1 + 3600 * draw.integers(0, 5, len(rows))
    return rows.sample(frac=1, random_state=3).reset_index(drop=True)


REQUESTS = request_log()


def in_parts(*columns: np.ndarray) -> Callable[[], list[replays.Rows]]:
    """Give rows as a log does, which is read part by part."""
    cuts = [0, 1, len(columns[0]) // 3, len(columns[0])]
    return lambda: [
        replays.Rows(*(column[begin:end] for column in columns)) for begin, end in itertools.pairwise(cuts)
    ]


@pytest.fixture(scope="module")
def replay() -> replays.Replay:
    timestamps = REQUESTS["timestamp"].to_numpy(np.int64)
    movie = np.searchsorted(SERIES.movie_ids, REQUESTS["movieId"].to_numpy())
    ones = np.ones(len(SERIES.movie_ids), np.int64)
    return replays.replay_of(
        in_parts(timestamps, movie, slot_of(timestamps, "day")), FIRST_SLOT, TEST, ones
    )


@pytest.fixture(scope="module")
def trace(replay: replays.Replay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "requests.bin"
    caches.write_trace(path, replay.movie, replay.sizes)
    return path


def walk(name: str) -> Callable[[], Iterator[Forecast]]:
    forecasters = {
        "count": fixed(SERIES, "all_time_count"),
        "average": ewma(SERIES, 5),
        "oracle": fixed(SERIES, "oracle"),
    }
    slots = SERIES.requested_slots(TEST)
    return lambda: forecast_slots(forecasters[name], SERIES, slots)


@pytest.fixture(scope="module")
def board(replay: replays.Replay, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    forecasts = {
        "count": ("naive", walk("count")),
        "average": ("network", walk("average")),
        "oracle": ("reference", walk("oracle")),
    }
    folder = tmp_path_factory.mktemp("caches")
    made, again = (
        simulate(replay, forecasts, "average", "count", CACHE, folder, threads) for threads in (2, 1)
    )
    pd.testing.assert_frame_equal(made, again)
    return made


def simulate(
    replay: replays.Replay,
    forecasts: dict[str, tuple[str, Callable[[], Iterator[Forecast]]]],
    best: str,
    compared: str,
    settings: Cache,
    folder: Path,
    threads: int = 1,
) -> pd.DataFrame:
    """Replay the policies, keep what they served in a table, and fill caches beside them."""
    sizes = replays.sizes_of(SERIES, replay, settings.sizes)
    served = replay_policies.replay_policies(replay, sizes, settings.policies, folder, threads)
    tables.write(folder / "policies.parquet", replay_policies.table_of(served, replay.slots))
    reactive = simulate_cache.read_reactive(folder / "policies.parquet", replay)
    return simulate_cache.simulate(
        SERIES, replay, reactive, forecasts, best, compared, settings, folder, threads
    )


def lru_hits(movies: np.ndarray, size: int, sizes: np.ndarray | None = None) -> list[bool]:
    """Replay requests against a least recently used cache; one that is larger than it never enters."""
    cache: OrderedDict[int, int] = OrderedDict()
    hits = []
    for movie in movies.tolist():
        own = 1 if sizes is None else int(sizes[movie])
        hits.append(movie in cache)
        if own > size:
            continue
        cache[movie] = own
        cache.move_to_end(movie)
        while sum(cache.values()) > size:
            cache.popitem(last=False)
    return hits


def test_requests_come_by_time_and_those_of_a_second_in_the_logs_order(replay: replays.Replay) -> None:
    by_time = sorted(zip(REQUESTS["timestamp"], REQUESTS.index, REQUESTS["movieId"], strict=True))
    assert SERIES.movie_ids[replay.movie].tolist() == [movie for _, _, movie in by_time]
    assert replay.slots.tolist() == SERIES.requested_slots(TEST).tolist()
    assert replay.requests.tolist() == SERIES.requests(replay.slots).tolist()
    assert replay.bounds[-1] == len(REQUESTS)
    for at, slot in enumerate(replay.slots.tolist()):
        everyone = np.arange(len(SERIES.movie_ids))
        assert replay.counts(at, len(everyone)).tolist() == SERIES.labels(everyone, slot).tolist()


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_lru_hits_as_a_plain_one_does_after_all_earlier_requests(
    size: int, replay: replays.Replay, trace: Path
) -> None:
    plain = np.add.reduceat(lru_hits(replay.movie, size), replay.bounds[:-1])
    assert caches.Run.of("LRU", size, trace, replay).hits().tolist() == [
        [hits, hits] for hits in plain.tolist()
    ]


@pytest.mark.parametrize("policy", caches.REACTIVE)
def test_every_policy_holds_as_many_movies_as_it_may_from_its_smallest_size_on(
    policy: str, replay: replays.Replay, trace: Path
) -> None:
    smallest = caches.REACTIVE[policy].fewest
    for size in (smallest, smallest + 1, 7, 19, 25):
        cache = caches.reactive_cache(policy, size)
        caches.run_trace(cache, trace, np.array([0, replay.bounds[0]]))
        assert size - 1 <= cache.get_n_obj() <= size
        assert 0 < caches.run_trace(cache, trace, replay.bounds)[:, 0].sum() < replay.requests.sum()


def test_no_policy_hits_more_than_beladys(trace: Path, replay: replays.Replay) -> None:
    everything = np.array([0, replay.bounds[-1]])
    for size in (1, 7, 20):
        hits = {
            policy: int(caches.run_trace(caches.reactive_cache(policy, size), trace, everything)[0, 0])
            for policy, kind in caches.REACTIVE.items()
            if size >= kind.fewest
        }
        assert max(hits, key=lambda policy: (hits[policy], policy == "Belady")) == "Belady"


def test_beladys_hits_are_the_most_that_any_evictions_give(tmp_path: Path) -> None:
    movies = np.random.default_rng(5).integers(0, 5, 14)
    caches.write_trace(tmp_path / "trace.bin", movies.astype(np.int64), np.ones(5, np.int64))
    # All sets of at most two movies that evictions can lead to, each with its most hits.
    best: dict[frozenset[int], int] = {frozenset(): 0}
    for movie in movies.tolist():
        after: dict[frozenset[int], int] = {}
        for held, hits in best.items():
            kept = [held] if movie in held or len(held) < 2 else [held - {other} for other in held]
            for rest in kept:
                state = rest | {movie}
                after[state] = max(after.get(state, 0), hits + (movie in held))
        best = after
    cache = caches.reactive_cache("Belady", 2)
    found = caches.run_trace(cache, tmp_path / "trace.bin", np.array([0, 4, 4, 14]))[:, 0]
    assert found.sum() == max(best.values()) > 0
    assert found[1] == 0


def test_ties_count_by_the_mean_over_their_orders() -> None:
    predicted = np.array([0.5, 0.2, 0.2, 0.2, 0.0, 0.0])
    counts = np.array([1, 7, 0, 3, 2, 9])
    orders = [
        order
        for order in itertools.permutations(range(6))
        if all(predicted[a] >= predicted[b] for a, b in itertools.pairwise(order))
    ]
    sizes = [0, 1, 2, 3, 4, 5, 6]
    means = [np.mean([counts[list(order[:size])].sum() for order in orders]) for size in sizes]
    assert caches.filled_hits(predicted, counts, sizes) == pytest.approx(means)
    assert np.isnan(caches.filled_hits(np.array([np.nan, 1.0]), np.array([1, 1]), [1])).all()


def test_filled_movies_are_the_highest_and_ties_are_drawn() -> None:
    predicted = np.array([0.1, 0.9, 0.1, 0.1, 0.5])
    generator = np.random.default_rng(0)
    drawn = [tuple(caches.filled_movies(predicted, None, [3], generator)[0]) for _ in range(60)]
    assert {order[:2] for order in drawn} == {(1, 4)}
    assert {order[2] for order in drawn} == {0, 2, 3}


def test_a_share_of_the_catalogue_is_rounded_up() -> None:
    assert replays.cache_sizes(100, [0.005, 0.07, 0.1, 1]) == [1, 7, 10, 100]
    assert replays.cache_sizes(101, [0.1]) == [11]


@pytest.mark.parametrize("name", ["count", "average", "oracle"])
def test_a_filled_cache_hits_what_the_scores_say(name: str, board: pd.DataFrame) -> None:
    summary = summarise(score_forecasts(SERIES, walk(name)()))
    found = board[board["policy"] == name].set_index("size")["hit_ratio"]
    assert found[0.05] == pytest.approx(summary["hit_ratio_5"], rel=1e-12)
    assert found[0.1] == pytest.approx(summary["hit_ratio_10"], rel=1e-12)


def test_a_mixture_serves_the_rest_by_its_reactive_part(
    board: pd.DataFrame, replay: replays.Replay
) -> None:
    mixed = board[board["kind"] == "mixture"].set_index("size")
    assert set(mixed["policy"]) == {"average + LRU 50 %"}
    share = 0.3
    movies = int(mixed["movies"][share])
    part = round(0.5 * movies)
    hits, rest = 0, list(replay.movie[: replay.bounds[0]])
    waiting: list[bool] = [False] * len(rest)
    for at, (_, candidates, shares) in enumerate(walk("average")()):
        size = replays.cache_sizes(len(candidates), [share])[0] - part
        order = np.argsort(-shares)
        assert shares[order[size - 1]] > shares[order[size]], "a tie would have no one order to test"
        held = set(candidates[order[:size]])
        for movie in replay.movie[replay.bounds[at] : replay.bounds[at + 1]].tolist():
            hits += movie in held
            if movie not in held:
                rest.append(movie)
                waiting.append(True)
    hits += sum(hit and tested for hit, tested in zip(lru_hits(np.array(rest), part), waiting, strict=True))
    assert mixed["hit_ratio"][share] == pytest.approx(hits / replay.requests.sum(), rel=1e-12)


#: Bytes of each movie; those of one in five are unknown.
BYTES = np.where(np.arange(60) % 5 == 4, np.nan, 1 + np.arange(60) ** 3 % 997 * 5_000_000.0)


@pytest.fixture(scope="module")
def sized() -> replays.Replay:
    timestamps = REQUESTS["timestamp"].to_numpy(np.int64)
    movie = np.searchsorted(SERIES.movie_ids, REQUESTS["movieId"].to_numpy())
    sizes, unit = replays.sizes_in_units(BYTES[: len(SERIES.movie_ids)])
    parts = in_parts(timestamps, movie, slot_of(timestamps, "day"))
    return replays.replay_of(parts, FIRST_SLOT, TEST, sizes, unit)


def test_sizes_are_in_units_of_which_the_largest_has_32_bits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sizes, unit = replays.sizes_in_units(np.array([0.0, 1, np.nan, 2**34, 7]))
    assert unit == 5
    assert sizes.tolist() == [1, 1, 1, -(-(2**34) // 5), 2]
    assert "1 of 5 sizes are unknown" in caplog.text
    assert replays.sizes_in_units(np.array([3.0, 5]))[1] == 1
    sizes, unit = replays.sizes_in_units(np.full(3, np.nan))
    assert (sizes.tolist(), unit) == ([1, 1, 1], None)


def test_caches_of_bytes_serve_requests_and_bytes_as_plain_ones_do(
    sized: replays.Replay, tmp_path: Path
) -> None:
    forecasts = {"average": ("network", walk("average")), "oracle": ("reference", walk("oracle"))}
    mixed = {"forecast": "average", "policy": "LRU", "reactive_shares": [0.5]}
    settings: Cache = parse(Cache, {"sizes": [0.3], "policies": ["LRU"], "mixture": mixed})
    board = simulate(sized, forecasts, "average", "LRU", settings, tmp_path)
    assert board["movies"].isna().all()
    rows = {row["policy"]: row for row in board.to_dict("records")}
    assert sized.unit == 2
    size = int(rows["LRU"]["bytes"]) // sized.unit
    own = sized.sizes[sized.movie]
    bounds = sized.bounds
    tested = slice(bounds[0], bounds[-1])
    hits = np.array(lru_hits(sized.movie, size, sized.sizes))
    assert rows["LRU"]["hit_ratio"] == pytest.approx(hits[tested].mean(), rel=1e-12)
    volume = own[tested].sum()
    assert rows["LRU"]["byte_hit_ratio"] == pytest.approx(own[tested][hits[tested]].sum() / volume)
    # Filled by expected requests per byte, in order, with what there is still room for.
    for name, part in (("average", 0), ("average + LRU 50 %", round(0.5 * size))):
        served = hits & False
        for at, (_, movies, shares) in enumerate(walk("average")()):
            room = replays.cache_sizes(int(sized.sizes[movies].sum()), [0.3])[0] - part
            worth = shares / sized.sizes[movies]
            # Ties stand at the end, as what nobody asked for has no share.
            assert len(set(worth[shares > 1e-9])) == np.count_nonzero(shares > 1e-9)
            held = set()
            for movie in movies[np.argsort(-worth, kind="stable")].tolist():
                if sized.sizes[movie] <= room:
                    room -= sized.sizes[movie]
                    held.add(movie)
            inside = slice(bounds[at], bounds[at + 1])
            served[inside] = [movie in held for movie in sized.movie[inside].tolist()]
        if part:
            rest = lru_hits(sized.movie[~served], part, sized.sizes)
            served[np.flatnonzero(~served)[rest]] = True
        assert rows[name]["hit_ratio"] == pytest.approx(served[tested].mean(), rel=1e-12)
        assert rows[name]["byte_hit_ratio"] == pytest.approx(own[tested][served[tested]].sum() / volume)
    assert (board["byte_hit_ratio_low"] <= board["byte_hit_ratio"]).all()
    assert (board["byte_hit_ratio"] <= board["byte_hit_ratio_high"]).all()
    assert rows["average"]["gain"] == pytest.approx(rows["average"]["hit_ratio"] - rows["LRU"]["hit_ratio"])


@pytest.mark.parametrize("policy", caches.REACTIVE)
def test_every_policy_keeps_within_its_bytes(policy: str, sized: replays.Replay, tmp_path: Path) -> None:
    trace = tmp_path / "trace.bin"
    caches.write_trace(trace, sized.movie, sized.sizes)
    item, whole = sized.mean_size, int(sized.sizes.sum())
    for share in (0.05, 0.3):
        size = round(share * whole)
        if size < item * caches.REACTIVE[policy].fewest:
            continue
        cache = caches.reactive_cache(policy, size, item)
        hits, volume = caches.run_trace(cache, trace, np.array([0, len(sized.movie)]))[0]
        assert cache.get_occupied_byte() <= size
        assert 0 < hits < len(sized.movie)
        assert 0 < volume < sized.sizes[sized.movie].sum()


def test_a_policy_that_draws_does_so_alike_each_time(replay: replays.Replay, trace: Path) -> None:
    drawing = [policy for policy, kind in caches.REACTIVE.items() if kind.draws]
    assert drawing == ["Cacheus"]
    run = caches.Run.of("Cacheus", 7, trace, replay)
    assert run.hits().tolist() == run.hits().tolist()


def test_without_libcachesim_filled_caches_alone_are_replayed(
    replay: replays.Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings: Cache = parse(Cache, {"sizes": [0.3]})
    assert simulate_cache.possible(settings) is settings
    monkeypatch.setattr(caches, "libcachesim", None)
    left = simulate_cache.possible(settings)
    assert "libcachesim is not installed" in caplog.text
    forecasts = {"average": ("network", walk("average")), "oracle": ("reference", walk("oracle"))}
    board = simulate(replay, forecasts, "average", "average", left, tmp_path)
    assert set(board["policy"]) == {"average", "oracle"}
    assert board["hit_ratio"].between(0, 1).all()


@pytest.mark.parametrize("policy", ["LRU", "ARC", "W-TinyLFU", "Belady"])
def test_a_trace_gives_the_same_hits_however_much_of_it_is_mapped(
    policy: str, replay: replays.Replay, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = caches.Run.of(policy, 8, trace, replay).hits()
    assert 0 < whole[:, 0].sum() < replay.requests.sum()
    monkeypatch.setattr(caches, "_REQUESTS_MAPPED", 7)
    assert caches.Run.of(policy, 8, trace, replay).hits().tolist() == whole.tolist()


def test_a_policy_that_this_libcachesim_lacks_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("LRB is not installed")

    monkeypatch.setitem(caches.REACTIVE, "LRB", caches.Policy(missing))
    with pytest.raises(Fault, match=r"cache\.policies: this libcachesim has no LRB .*: leave it out"):
        caches.reactive_cache("LRB", 10)


def test_a_row_of_several_requests_counts_as_so_many_in_a_drawn_order(
    replay: replays.Replay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = LOG[["slot", "movieId", "label"]]
    timestamps = slot_start(rows["slot"].to_numpy(), "day").astype(np.int64)
    movie = np.searchsorted(SERIES.movie_ids, rows["movieId"].to_numpy())
    parts = in_parts(timestamps, movie, rows["slot"].to_numpy(), rows["label"].to_numpy(np.int64))
    counted = replays.replay_of(parts, FIRST_SLOT, TEST, replay.sizes)
    assert counted.slots.tolist() == replay.slots.tolist()
    assert counted.requests.tolist() == replay.requests.tolist()
    everyone = len(replay.sizes)
    for at in range(len(counted.slots)):
        assert counted.counts(at, everyone).tolist() == replay.counts(at, everyone).tolist()
    # Side by side, they would be hits of any cache.
    requested = counted.movie[counted.bounds[0] :]
    assert (requested[1:] == requested[:-1]).mean() < 0.5
    caplog.set_level("INFO")
    monkeypatch.setattr(replays, "MOST_REQUESTS", len(counted.movie) // 4)
    drawn = replays.replay_of(parts, FIRST_SLOT, TEST, replay.sizes)
    assert f"of {len(counted.movie)} requests some {len(counted.movie) // 4} are drawn" in caplog.text
    assert len(drawn.movie) == pytest.approx(len(counted.movie) / 4, rel=0.1)
    assert drawn.requests == pytest.approx(counted.requests / 4, abs=4 * np.sqrt(counted.requests.max()))


def test_gains_are_differences_in_pairs(board: pd.DataFrame) -> None:
    assert set(board["gain_over"]) == {"count"}
    compared = board[board["policy"] == "count"].set_index("size")["hit_ratio"]
    differences = board["hit_ratio"] - compared.loc[board["size"]].to_numpy()
    assert np.allclose(board["gain"], differences, rtol=0, atol=1e-12)
    own = board[board["policy"] == "count"]
    assert (own[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    assert (board["gain_low"] <= board["gain"]).all() and (board["gain"] <= board["gain_high"]).all()
    # A cache much like the other differs from it more surely than each hit ratio is known.
    like = board[board["policy"] == "average"]
    assert (like["gain_high"] - like["gain_low"] < like["hit_ratio_high"] - like["hit_ratio_low"]).all()


def test_the_table_has_a_row_for_each_policy_and_size(board: pd.DataFrame, replay: replays.Replay) -> None:
    kinds = board.groupby("policy")["kind"].unique().map(list).to_dict()
    reactive = set(caches.REACTIVE) - {"Belady"}
    assert kinds == {
        **{policy: ["reactive"] for policy in reactive},
        "count": ["naive"],
        "average": ["network"],
        "average + LRU 50 %": ["mixture"],
        "Belady": ["reference"],
        "oracle": ["reference"],
    }
    assert set(board["requests"]) == {replay.requests.sum()}
    assert (board["hit_ratio_low"] <= board["hit_ratio"]).all()
    assert (board["hit_ratio"] <= board["hit_ratio_high"]).all()
    sizes = np.array([replays.cache_sizes(len(SERIES.candidates(slot)), SHARES) for slot in replay.slots])
    mean = (sizes * replay.requests[:, None]).sum(axis=0) / replay.requests.sum()
    for share, movies in zip(SHARES, mean, strict=True):
        rows = board[board["size"] == share]
        assert set(rows["movies"]) == {round(movies)}
        small = {policy for policy, kind in caches.REACTIVE.items() if kind.fewest > round(movies)}
        assert set(rows["policy"]) & set(caches.REACTIVE) == set(caches.REACTIVE) - small
        oracle_hits = rows.set_index("policy").loc["oracle", "hit_ratio"]
        assert (rows.loc[rows["kind"].isin(["naive", "network"]), "hit_ratio"] <= oracle_hits).all()


def test_the_interval_is_that_of_drawing_slots() -> None:
    drawn = bootstrap.drawn_slots(4, draws=20_000, seed=1)
    assert drawn.shape == (20_001, 4)
    assert drawn[0].tolist() == [1, 1, 1, 1]
    drawn = drawn[1:]
    assert (drawn.sum(axis=1) == 4).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(4), abs=0.03)
    assert bootstrap.interval(np.arange(1001.0)) == pytest.approx((25, 975))


def write_predictions(path: Path, shift: float, groups: int) -> None:
    """Write a seed's predictions in row groups that end anywhere."""
    rows = [(slot, SERIES.movie_ids[movies], shares**shift) for slot, movies, shares in walk("average")()]
    columns = [
        np.concatenate([np.full(len(ids), slot, np.int32) for slot, ids, _ in rows]),
        np.concatenate([ids for _, ids, _ in rows]),
        np.concatenate([shares for *_, shares in rows]),
    ]
    columns.append(np.zeros(len(columns[0])))
    table = pa.table([pa.array(column) for column in columns], schema=tables.PREDICTIONS)
    tables.write_batches(path, tables.PREDICTIONS, table.to_batches(), group=groups)


def test_seeds_are_averaged_as_logs(tmp_path: Path) -> None:
    slots = SERIES.requested_slots(TEST).tolist()
    for seed, shift in ((1, 1.0), (2, 3.0)):
        write_predictions(tmp_path / f"{seed}.parquet", shift, groups=37 * seed)
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for found, true in zip(
        simulate_cache.read_predictions(paths, SERIES, slots), walk("average")(), strict=True
    ):
        assert found[0] == true[0]
        assert found[1].tolist() == true[1].tolist()
        assert found[2] == pytest.approx(np.maximum(true[2], 1e-12) ** 2)
    alone = next(simulate_cache.read_predictions(paths[:1], SERIES, slots))
    assert alone[2].tolist() == mean_over_seeds([next(walk("average")())[2]]).tolist()


def test_policies_of_other_slots_are_told_in_one_line(replay: replays.Replay, tmp_path: Path) -> None:
    hits = {("LRU", 0.1): np.zeros((len(replay.slots), 2), np.int64)}
    tables.write(tmp_path / "policies.parquet", replay_policies.table_of(hits, replay.slots + 1))
    with pytest.raises(
        Fault, match=r"policies\.parquet: not of the test slots .*: replay the policies again"
    ):
        simulate_cache.read_reactive(tmp_path / "policies.parquet", replay)


def test_predictions_of_other_slots_are_told_in_one_line(tmp_path: Path) -> None:
    write_predictions(tmp_path / "1.parquet", 1.0, groups=100)
    slots = [slot + 1 for slot in SERIES.requested_slots(TEST).tolist()]
    with pytest.raises(Fault, match=r"1\.parquet: the rows after slot \d+ are not the candidates of slot"):
        list(simulate_cache.read_predictions([tmp_path / "1.parquet"], SERIES, slots))


def test_the_program_writes_the_table(
    board: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sequences(tmp_path / "sequences.parquet", LOG, 3)
    columns = {name: np.zeros(len(REQUESTS)) for name in tables.JOINED.names}
    columns |= {name: REQUESTS[name].to_numpy() for name in ("movieId", "timestamp")}
    joined = pa.table(
        [pa.array(columns[field.name]).cast(field.type) for field in tables.JOINED], tables.JOINED
    )
    tables.write(tmp_path / "joined.parquet", joined)
    tables.write(tmp_path / "movies.parquet", catalogue_of(LOG))
    run = tmp_path / "net"
    run.mkdir()
    write_predictions(run / "predictions.parquet", 1.0, groups=500)
    append_run(run / "model.keras", asked_of(name="net"), Found(FIRST_SLOT))
    names, kinds = ["net", "count", "average"], ["network", "naive", "naive"]
    scored = pd.DataFrame({"name": names, "kind": kinds, "log_loss": [1.0, 2.0, 3.0]})
    scored = scored.assign(split="validation", covered=1.0, requests=1.0, slot=1, seed=0)
    write_scores(run / "scores.parquet", [scored[:1]])
    write_scores(tmp_path / "scores.parquet", [scored[1:]])
    specs = {
        "count": {"method": "all_time_count"},
        "oracle": {"method": "oracle"},
        "average": {"method": "ewma", "half_lives": [1, 100]},
    }
    # What was chosen before is not chosen again.
    (tmp_path / "metrics.json").write_text(json.dumps({"average": {"half_life": 5}, "count": {}}))
    requests = {
        "--joined": "joined.parquet",
        "--movies": "movies.parquet",
        "--sequences": "sequences.parquet",
        "--split": json.dumps({"validation": 0.25, "test": 0.25}),
        "--slot": "day",
    }
    arguments = {
        "--runs": "net",
        "--scores": "scores.parquet",
        "--baselines": json.dumps(specs),
        "--metrics": "metrics.json",
        "--cache": json.dumps(SETTINGS | {"policies": ["LRU"], "forecasts": ["count", "average"]}),
        "--policies": "policies.parquet",
        "--hit-ratios": "cache.csv",
    }
    monkeypatch.chdir(tmp_path)
    of_log = [word for pair in requests.items() for word in pair]
    sizes = ["--sizes", *map(str, SHARES)]
    policies = ["replay_policies", *of_log, *sizes, "--policies", "LRU", "--hits", "policies.parquet"]
    monkeypatch.setattr("sys.argv", policies)
    replay_policies.main()
    methods = map(str, modules("averages", "references", "simple"))
    filled = ["simulate_cache", *of_log, *(word for pair in arguments.items() for word in pair)]
    monkeypatch.setattr("sys.argv", [*filled, "--methods", *methods])
    simulate_cache.main()
    found = pd.read_csv("cache.csv")
    assert set(found["policy"]) == {"LRU", "count", "average", "oracle", "net + LRU 50 %"}
    assert found["hit_ratio"].between(0, 1).all()
    average, expected = (table[table["policy"] == "average"]["hit_ratio"] for table in (found, board))
    assert average.tolist() == pytest.approx(expected.tolist())
    assert not list(tmp_path.glob(".*partial*"))


def test_a_killed_replay_leaves_no_process_behind() -> None:
    program = (
        "import os, time; from popularity import caches; "
        "process = caches.own_process(); "
        "print(process.submit(os.getpid).result(), flush=True); time.sleep(600)"
    )
    scripts = str(Path(simulate_cache.__file__).parent)
    killed = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": scripts},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    assert int(killed.stdout.readline()) != killed.pid
    killed.kill()
    # What it started has its output, too, and so keeps it open while it lives.
    _, told = killed.communicate(timeout=120)
    assert "the program that started this process has ended" in told
