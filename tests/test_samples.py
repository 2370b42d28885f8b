"""What networks learn from: pairs drawn by slot, windows drawn at random, and their batches."""

from pathlib import Path

import numpy as np
import pytest
from small_logs import FIRST_SLOT, log_of, random_log, series_of, write_sequences

from popularity import tables
from popularity.samples import Samples, batches, draw_windows, sample_slots

LOG = random_log(movies=30)
SERIES = series_of(LOG)
COUNTS = {(row.slot, row.movieId): row.label for row in LOG.itertuples()}
SLOTS = range(FIRST_SLOT + 10, FIRST_SLOT + 30)


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(taken: Samples) -> list[tuple[int, int]]:
    return list(zip(taken.slot.tolist(), SERIES.movie_ids[taken.movie].tolist(), strict=True))


def assert_true_targets(taken: Samples) -> None:
    requests = LOG.groupby("slot")["label"].sum()
    assert taken.label.tolist() == [COUNTS.get(pair, 0) for pair in pairs(taken)]
    assert taken.requests.tolist() == requests[taken.slot].tolist()
    assert taken.label_n.tolist() == (taken.label / taken.requests).tolist()
    assert np.all(np.diff(taken.slot) >= 0)
    assert len(set(pairs(taken))) == len(taken.slot)


def test_every_requested_candidate_is_taken_and_the_drawn_stand_for_the_rest() -> None:
    taken = sample_slots(SERIES, SLOTS, 3, generator())
    assert_true_targets(taken)
    assert set(taken.slot.tolist()) == {slot for slot in SLOTS if any(at == slot for at, _ in COUNTS)}
    for slot in np.unique(taken.slot).tolist():
        here = taken.slot == slot
        known = {movie for at, movie in COUNTS if at < slot}
        requested = {movie for movie in known if (slot, movie) in COUNTS}
        found = {movie for at, movie in pairs(taken) if at == slot}
        assert requested <= found <= known
        assert len(found) == len(requested) + 3
        assert taken.weight[here].sum() == pytest.approx(len(known))
        assert set(taken.weight[here & (taken.label > 0)]) == {1.0}
        assert len(set(taken.weight[here & (taken.label == 0)])) == 1


def test_all_candidates_weigh_1_where_none_is_drawn() -> None:
    taken = sample_slots(SERIES, SLOTS, 30, generator())
    assert_true_targets(taken)
    assert set(taken.weight) == {1.0}
    known = [(slot, movie) for slot in np.unique(taken.slot) for movie in SERIES.candidates(slot)]
    assert sorted(zip(taken.slot, taken.movie, strict=True)) == known


def test_weighted_sums_over_drawn_movies_are_right_on_average() -> None:
    slots = range(SLOTS.stop, SLOTS.stop + 1)
    everyone = sample_slots(SERIES, slots, 1000, generator())
    true = (everyone.movie**2).sum()
    draw = generator()
    sums = [
        (taken.weight * taken.movie**2).sum()
        for taken in (sample_slots(SERIES, slots, 4, draw) for _ in range(2000))
    ]
    assert np.mean(sums) == pytest.approx(true, rel=0.02)
    assert np.std(sums) > 0


def test_a_slot_whose_requests_are_all_for_new_movies_is_left_out() -> None:
    series = series_of(log_of((1, 7, 1), (2, 8, 1), (3, 7, 1)))
    taken = sample_slots(series, range(1, 4), 5, generator())
    assert (taken.slot.tolist(), taken.movie.tolist()) == ([3, 3], [0, 1])
    assert len(sample_slots(series, range(1, 3), 5, generator()).slot) == 0
    assert len(sample_slots(series, range(4, 9), 5, generator()).slot) == 0


def test_the_generator_decides_what_is_drawn() -> None:
    drawn = [pairs(sample_slots(SERIES, SLOTS, 3, generator(seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    windows = [pairs(draw_windows(SERIES, SLOTS, 3, "calendar", 40, generator(seed))) for seed in (1, 1, 2)]
    assert windows[0] == windows[1] != windows[2]


def targets(tmp_path: Path, window: int, gaps: str) -> set[tuple[int, int]]:
    """All targets in SLOTS that the table of sequences tells, of slots with requests."""
    write_sequences(tmp_path / "sequences.parquet", LOG, window, gaps)
    found = set()
    for row in tables.read(tmp_path / "sequences.parquet", tables.SEQUENCES).to_pylist():
        at = range(row["first_target"], row["first_target"] + row["windows"])
        slots = at if gaps == "calendar" else [row["slot"][position] for position in at]
        found |= {(slot, row["movieId"]) for slot in slots}
    requested = {slot for slot, _ in COUNTS}
    return {(slot, movie) for slot, movie in found if slot in SLOTS and slot in requested}


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
@pytest.mark.parametrize("window", [1, 4])
def test_all_windows_are_those_of_the_sequences(tmp_path: Path, window: int, gaps: str) -> None:
    taken = draw_windows(SERIES, SLOTS, window, gaps, None, generator())
    assert_true_targets(taken)
    assert set(pairs(taken)) == targets(tmp_path, window, gaps)
    assert set(taken.weight) == {1.0}
    if gaps == "observed":
        assert taken.label.min() > 0
    # More than there are gives all, too.
    assert pairs(draw_windows(SERIES, SLOTS, window, gaps, 10**6, generator())) == pairs(taken)


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_as_many_distinct_windows_are_drawn_as_asked_for(tmp_path: Path, gaps: str) -> None:
    everyone = targets(tmp_path, 2, gaps)
    draw, seen = generator(), set()
    for _ in range(60):
        taken = draw_windows(SERIES, SLOTS, 2, gaps, 50, draw)
        assert len(taken.slot) == 50
        assert_true_targets(taken)
        assert set(pairs(taken)) <= everyone
        seen |= set(pairs(taken))
    assert seen == everyone


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_no_windows_before_the_first_target(gaps: str) -> None:
    first = range(FIRST_SLOT, FIRST_SLOT + 1)
    assert len(draw_windows(SERIES, first, 3, gaps, 5, generator()).slot) == 0


GROUPS = np.repeat(np.arange(6), [2, 3, 1, 9, 4, 2])


@pytest.mark.parametrize("rows", [1, 4, 5, 9, 100])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [3, 5, 0, 2, 4, 1]])
def test_batches_hold_whole_groups_in_the_order_given(rows: int, order: list[int]) -> None:
    made = list(batches(GROUPS, rows, np.array(order)))
    expected = np.concatenate([np.flatnonzero(group == GROUPS) for group in order])
    assert np.concatenate(made).tolist() == expected.tolist()
    groups = [len(set(GROUPS[positions])) for positions in made]
    assert sum(groups) == 6
    assert all(len(held) <= rows or count == 1 for held, count in zip(made, groups, strict=True))


def test_batches_by_hand() -> None:
    made = batches(GROUPS, 5, np.array([1, 2, 0, 3, 4, 5]))
    # The group of 9 is alone; the groups of 2 and 4 would be 6 together.
    assert [positions.tolist() for positions in made] == [
        [2, 3, 4, 5],
        [0, 1],
        [6, 7, 8, 9, 10, 11, 12, 13, 14],
        [15, 16, 17, 18],
        [19, 20],
    ]
