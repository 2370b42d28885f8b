"""States of movies, carried or made anew, against their definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popularity import states
from popularity.averages import DecayedShares
from popularity.series import Ints, Series
from popularity.states import CarriedSums, Replay, States, Values
from small_logs import random_log, series_of

SERIES = series_of(random_log(80, seed=5))
INITIAL = np.random.default_rng(1).random((len(SERIES.movie_ids), 2))


def halved(series: Series) -> states.Advance:
    """A state that each element halves, before it adds its requests, and 1 of its other number."""
    return lambda before, at: before / 2 + np.stack([series.label[at], np.ones(len(at))], axis=1)


def defined(movie: int, slot: int) -> list[float]:
    state = INITIAL[movie].copy()
    for at in range(SERIES.starts[movie], SERIES.starts[movie + 1]):
        if SERIES.slot[at] < slot:
            state = state / 2 + [SERIES.label[at], 1.0]
    return [float(number) for number in state]


@pytest.mark.parametrize("every", [1, 3, 16])
@pytest.mark.parametrize("many", [0, 1000])
def test_states_are_those_of_the_definition_whatever_was_asked_before(
    every: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "EVERY", every)
    monkeypatch.setattr(states, "MANY", many)
    made = States(SERIES, INITIAL, halved(SERIES))
    first = SERIES.first_slot
    # Begun late, on, far on, back to the beginning, before it, and again.
    for slot in (first + 20, first + 21, first + 60, first + 20, first + 5, first + 30, first + 200):
        movies = SERIES.candidates(slot)[::-1]
        expected = [defined(movie, slot) for movie in movies.tolist()]
        assert made(movies, np.full(len(movies), slot)).tolist() == expected
        assert made(movies, slot).tolist() == expected


def test_pairs_of_many_slots_are_those_of_each() -> None:
    draw = np.random.default_rng(3)
    movies = draw.integers(0, len(SERIES.movie_ids), 300)
    slots = SERIES.first_request[movies] + draw.integers(1, 60, 300)
    made = States(SERIES, INITIAL, halved(SERIES))
    expected = [defined(*pair) for pair in zip(movies.tolist(), slots.tolist(), strict=True)]
    assert made(movies, slots).tolist() == expected
    assert made(movies[:0], slots[:0]).shape == (0, 2)


def test_going_back_through_a_log_walks_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MANY", 0)
    monkeypatch.setattr(states, "EVERY", 2)
    added = 0

    def counted(before: Values, at: Ints) -> Values:
        nonlocal added
        added += len(at)
        return halved(SERIES)(before, at)

    made = States(SERIES, INITIAL, counted)
    for slot in range(SERIES.last_slot, SERIES.last_slot - 30, -1):
        movies = SERIES.candidates(slot)
        assert made(movies, slot).tolist() == [defined(movie, slot) for movie in movies.tolist()]
    # Twice for the states of the first slot and those kept, and less than two steps for each of the others.
    assert added < 2 * len(SERIES.slot) + 30 * 2 * len(SERIES.movie_ids)


def test_nothing_that_was_given_changes_when_states_are_carried_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(states, "MANY", 0)
    made = States(SERIES, INITIAL.copy(), halved(SERIES))
    slot = SERIES.first_slot + 30
    movies = SERIES.candidates(slot)
    found = made(movies, slot)
    kept = found.copy()
    made(movies, slot + 9)
    assert np.array_equal(found, kept)
    assert np.array_equal(made(movies, slot), kept)


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=12), every=st.sampled_from([1, 2, 5, 16, 100])
)
@settings(deadline=None)
def test_a_replay_is_what_each_chain_makes_step_by_step(lengths: list[int], every: int) -> None:
    starts = np.append(0, np.cumsum(lengths))
    calls = []

    def added(before: Values, at: Ints) -> Values:
        calls.append(at)
        return 3 * before + at[:, None]

    replay = Replay(
        int(starts[-1]),
        lambda at: starts[np.searchsorted(starts, at, side="right") - 1],
        lambda begins: begins[:, None].astype(np.int64) + 1,
        added,
        every,
    )
    calls.clear()
    begins = np.repeat(starts[:-1], np.array(lengths) + 1)
    ends = np.concatenate([np.arange(a, b + 1) for a, b in itertools.pairwise(starts)])
    made = replay(begins, ends)
    expected = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        state = begin + 1
        for at in range(begin, end):
            state = (3 * state + at + (1 << 63)) % (1 << 64) - (1 << 63)
        expected.append([state])
    assert made.tolist() == expected
    # What is kept spares the rest of the way.
    assert len(calls) < max(every, 2)


def test_averages_of_forecasts_and_of_drawn_pairs_are_equal_to_the_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network is trained on the one and forecasts from the other."""
    monkeypatch.setattr(states, "EVERY", 4)
    found = []
    for many in (0, 1000):
        monkeypatch.setattr(states, "MANY", many)
        monkeypatch.setattr("popularity.series.MANY", many)
        for of in ("counts", "shares"):
            made = DecayedShares(SERIES, [1.5, 40.0], of)
            for slot in range(SERIES.first_slot + 1, SERIES.last_slot + 9, 4):
                movies = SERIES.candidates(slot)
                slots = np.full(len(movies), slot)
                found.append(made(movies, slots, np.full(len(movies), float(len(movies)))))
    half = len(found) // 2
    for carried, anew in zip(found[:half], found[half:], strict=True):
        assert np.array_equal(carried, anew)


def test_sums_are_carried_both_ways() -> None:
    values = np.arange(len(SERIES.slot))
    sums = CarriedSums(SERIES, values)
    first = SERIES.first_slot
    for slot in (first + 20, first + 60, first + 60, first + 5, first, first + 200):
        before = SERIES.slot < slot
        expected = np.bincount(SERIES.movie[before], values[before], len(SERIES.movie_ids))
        assert sums(slot).tolist() == expected.tolist()
