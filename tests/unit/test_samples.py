"""What networks learn from: pairs drawn by slot, windows drawn at random, and their batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from popularity import tables
from popularity.samples import (
    BlockBatches,
    RowBatches,
    Training,
    Windows,
    chances,
    concatenate,
    draw_windows,
    sample_block,
    unroll,
)
from small_logs import FIRST_SLOT, counts_of, log_of, random_log, series_of, write_sequences

LOG = random_log(movies=30)
SERIES = series_of(LOG)
COUNTS = counts_of(LOG)
FIRST = {movie: min(slot for slot, other in COUNTS if other == movie) for _, movie in COUNTS}
SLOTS = range(FIRST_SLOT + 10, FIRST_SLOT + 30)
REQUESTED = SERIES.requested_slots(SLOTS).tolist()

Pair = tuple[int, int]


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def targets_of(taken: Windows) -> dict[Pair, tuple[float, float]]:
    """Label and weight of each slot and movie that weighs something; each has to be there once."""
    row, step, place = np.nonzero(taken.weight)
    slot, movie = taken.slot[row, step], SERIES.movie_ids[taken.movie[row, place]]
    values = zip(
        taken.label[row, step, place].tolist(), taken.weight[row, step, place].tolist(), strict=True
    )
    targets = dict(zip(zip(slot.tolist(), movie.tolist(), strict=True), values, strict=True))
    assert len(targets) == len(row)
    return targets


def assert_true_targets(taken: Windows) -> None:
    requested = {slot for slot, _ in COUNTS}
    for (slot, movie), (label, _) in targets_of(taken).items():
        assert label == COUNTS.get((slot, movie), 0)
        assert slot > FIRST[movie]
        assert slot in requested
    assert not taken.label[taken.weight == 0].any()
    assert taken.weight.min(initial=0) >= 0
    assert taken.label.shape == (len(taken), taken.slot.shape[1], taken.movie.shape[1])
    assert (np.diff(taken.slot, axis=1) == 1).all()


@pytest.mark.parametrize("steps", [1, 4])
def test_every_requested_candidate_is_taken_and_the_drawn_stand_for_the_rest(steps: int) -> None:
    for start in REQUESTED:
        block = range(start, start + steps)
        taken = sample_block(SERIES, block, 3, generator())
        assert_true_targets(taken)
        assert (taken.slot == list(block)).all()
        targets = targets_of(taken)
        for slot in SERIES.requested_slots(block).tolist():
            known = {movie for movie, first in FIRST.items() if first < slot}
            requested = {movie for movie in known if (slot, movie) in COUNTS}
            assert requested <= {movie for at, movie in targets if at == slot} <= known
            assert {targets[slot, movie][1] for movie in requested} == {1.0}
        idle = [taken.weight[row] for row in range(len(taken)) if not taken.label[row].any()]
        others = {weight for row in idle for weight in row[row > 0].tolist()} - {1.0}
        assert len(others) <= 1


def test_the_weights_of_a_slot_are_as_many_as_its_candidates() -> None:
    for slot in REQUESTED:
        taken = sample_block(SERIES, range(slot, slot + 1), 3, generator())
        assert taken.weight.sum() == pytest.approx(len(SERIES.candidates(slot)))
        assert (taken.label == 0).sum() == 3
        assert len(set(taken.weight[taken.label == 0].tolist())) == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_all_candidates_weigh_1_where_none_is_drawn(steps: int) -> None:
    for start in REQUESTED:
        block = range(start, start + steps)
        taken = sample_block(SERIES, block, 30, generator())
        assert_true_targets(taken)
        targets = targets_of(taken)
        assert {weight for _, weight in targets.values()} == {1.0}
        known = {
            (slot, SERIES.movie_ids[movie])
            for slot in SERIES.requested_slots(block).tolist()
            for movie in SERIES.candidates(slot)
        }
        assert set(targets) == known


@pytest.mark.parametrize("steps", [1, 3])
def test_weighted_sums_over_drawn_movies_are_right_on_average(steps: int) -> None:
    block = range(SLOTS.stop, SLOTS.stop + steps)

    def sums(others: int, draw: np.random.Generator) -> np.ndarray:
        taken = sample_block(SERIES, block, others, draw)
        found: np.ndarray = (taken.weight[:, :, 0] * taken.movie**2).sum(axis=0)
        return found

    draw = generator()
    drawn = [sums(4, draw) for _ in range(1500)]
    assert np.mean(drawn, axis=0) == pytest.approx(sums(1000, draw), rel=0.02)
    assert np.std(drawn, axis=0).min() > 0


def test_a_slot_whose_requests_are_all_for_new_movies_is_left_out() -> None:
    series = series_of(log_of((1, 7, 1), (2, 8, 1), (3, 7, 1)))
    taken = sample_block(series, range(3, 4), 5, generator())
    assert (taken.slot.tolist(), taken.movie.tolist()) == ([[3], [3]], [[0], [1]])
    for slot in (1, 2, 4, 9):
        assert len(sample_block(series, range(slot, slot + 1), 5, generator())) == 0
    # In a block of several slots the other slots' pairs stay.
    taken = sample_block(series, range(1, 4), 5, generator())
    assert taken.weight[:, :, 0].tolist() == [[0, 1, 1], [0, 0, 1]]


def rows_of(taken: Windows) -> list[tuple[bytes, ...]]:
    """What a row is, whatever the order."""
    arrays = (taken.movie, taken.slot, taken.label, taken.weight)
    return [tuple(array[row].tobytes() for array in arrays) for row in range(len(taken))]


def blocks(steps: int = 1, rows: int = 40, seed: int = 1, others: int = 3) -> BlockBatches:
    return BlockBatches(SERIES, SLOTS, steps, others, rows, seed)


def row_batches(rows: int = 40, seed: int = 1) -> RowBatches:
    return RowBatches(draw_windows(SERIES, SLOTS, 3, "calendar", 1, 200, generator()), rows, seed)


@pytest.mark.parametrize("make", [blocks, row_batches])
def test_seed_and_epoch_decide_the_batches(make: Callable[..., Training]) -> None:
    def batches(seed: int, epoch: int) -> list[list[tuple[bytes, ...]]]:
        made = make(seed=seed)
        # Other epochs before change nothing.
        list(made.batches(5))
        return [rows_of(windows) for _, windows in made.batches(epoch)]

    first = batches(1, 0)
    assert first == batches(1, 0)
    assert first != batches(2, 0)
    assert first != batches(1, 1)


@pytest.mark.parametrize("make", [blocks, row_batches])
@pytest.mark.parametrize("rows", [7, 40, 10_000])
def test_batches_come_with_the_share_of_the_epoch_before_them(
    make: Callable[..., Training], rows: int
) -> None:
    shares, made = zip(*make(rows=rows).batches(0), strict=True)
    assert shares[0] == 0
    assert np.all(np.diff(shares) > 0)
    assert shares[-1] < 1
    if rows == 10_000:
        assert len(made) == 1


def test_the_share_of_an_epoch_counts_the_blocks_of_the_batches_before() -> None:
    # Every block has rows, and is a batch of its own.
    made = list(blocks(steps=2, rows=1).batches(0))
    assert [share for share, _ in made] == (np.arange(len(made)) / len(made)).tolist()


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("rows", [1, 30, 64, 1000])
def test_batches_hold_whole_blocks(rows: int, steps: int) -> None:
    for epoch in range(3):
        made = [windows for _, windows in blocks(steps, rows, others=30).batches(epoch)]
        taken = concatenate(made)
        assert_true_targets(taken)
        of_batch = [{int(slot) for slot in windows.slot[:, -1]} for windows in made]
        for windows, lasts in zip(made, of_batch, strict=True):
            assert len(windows) <= rows or len(lasts) == 1
        # No slot in two batches, and all candidates of a slot together.
        assert sum(map(len, of_batch)) == len(set.union(*of_batch))
        found = set(targets_of(taken))
        covered = {slot for slot, _ in found}
        known = {(slot, SERIES.movie_ids[movie]) for slot in covered for movie in SERIES.candidates(slot)}
        assert found == known
        assert covered <= set(REQUESTED)
        if steps == 1:
            assert covered == set(REQUESTED)
        else:
            # What no whole block holds is at the ends.
            assert len(SLOTS) - len(range(min(covered), max(covered) + 1)) <= 2 * steps + 2


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("wanted", [3, 200])
def test_an_epoch_has_as_many_steps_as_it_is_told(steps: int, wanted: int) -> None:
    """Fewer than a pass over the slots, and more."""
    training = BlockBatches(SERIES, SLOTS, steps, 3, 8, 1, epoch_steps=wanted)
    for epoch in (0, 1):
        made = list(training.batches(epoch))
        assert len(made) == wanted
        assert [done for done, _ in made] == pytest.approx([at / wanted for at in range(wanted)])
        again = list(training.batches(epoch))
        for (_, one), (_, other) in zip(made, again, strict=True):
            assert one.movie.tolist() == other.movie.tolist()
    if wanted == 200:
        # Every pass begins elsewhere and in another order.
        learned = {slot for _, windows in made for slot, _ in targets_of(windows)}
        assert learned == {slot for slot in SLOTS if SERIES.requests(np.array([slot]))[0]}


def test_an_epoch_of_steps_passes_over_all_rows_before_it_takes_one_again() -> None:
    windows = concatenate([sample_block(SERIES, SLOTS, 3, np.random.default_rng(1))])
    rows = len(windows)
    made = [part for _, part in RowBatches(windows, 1, 1, epoch_steps=2 * rows).batches(0)]
    first = sorted((part.movie.item(), tuple(part.slot[0])) for part in made[:rows])
    second = sorted((part.movie.item(), tuple(part.slot[0])) for part in made[rows:])
    every = [(movie, tuple(slot)) for movie, slot in zip(windows.movie[:, 0], windows.slot, strict=True)]
    assert first == second == sorted(every)


def test_without_anything_to_draw_an_epoch_of_steps_ends() -> None:
    assert list(BlockBatches(SERIES, range(5, 6), 1, 3, 8, 1, epoch_steps=10).batches(0)) == []


def test_blocks_begin_elsewhere_in_other_epochs_so_that_each_slot_is_learned_from() -> None:
    training = blocks(steps=4)
    starts, seen = set(), set()
    for epoch in range(20):
        for _, windows in training.batches(epoch):
            starts |= {int(slot) % 4 for slot in windows.slot[:, 0]}
            seen |= {slot for slot, _ in targets_of(windows)}
            assert windows.slot.min() in SLOTS
            assert windows.slot.max() in SLOTS
    assert len(starts) == 4
    assert seen == set(REQUESTED)


def test_other_movies_are_drawn_each_epoch() -> None:
    training, drawn = blocks(others=1), set()
    for epoch in range(60):
        for _, windows in training.batches(epoch):
            drawn |= {pair for pair, (label, _) in targets_of(windows).items() if label == 0}
    idle = {
        (slot, int(SERIES.movie_ids[movie]))
        for slot in REQUESTED
        for movie in SERIES.candidates(slot)
        if (slot, SERIES.movie_ids[movie]) not in COUNTS
    }
    assert drawn <= idle
    assert len(drawn) > 0.9 * len(idle)


@pytest.mark.parametrize("rows", [1, 33, 200, 1000])
def test_each_row_comes_once_an_epoch(rows: int) -> None:
    windows = draw_windows(SERIES, SLOTS, 3, "calendar", 1, 200, generator())
    made = [taken for _, taken in RowBatches(windows, rows, 1).batches(2)]
    assert [len(taken) for taken in made[:-1]] == [rows] * (len(made) - 1)
    assert sorted(rows_of(concatenate(made))) == sorted(rows_of(windows))
    if rows > 1:
        assert rows_of(concatenate(made)) != rows_of(windows)


def test_no_rows_are_no_batches() -> None:
    nothing = draw_windows(SERIES, range(FIRST_SLOT, FIRST_SLOT + 1), 3, "calendar", 1, 5, generator())
    assert list(RowBatches(nothing, 10, 1).batches(0)) == []
    # Fewer slots than a block has.
    assert list(BlockBatches(SERIES, range(SLOTS.start, SLOTS.start + 2), 5, 3, 10, 1).batches(0)) == []


def targets(tmp_path: Path, window: int, gaps: str) -> set[Pair]:
    """All targets in SLOTS that the table of sequences tells, of slots with requests."""
    write_sequences(tmp_path / "sequences.parquet", LOG, window, gaps)
    found = set()
    for row in tables.read(tmp_path / "sequences.parquet", tables.SEQUENCES).to_pylist():
        at = range(row["first_target"], row["first_target"] + row["windows"])
        slots = at if gaps == "calendar" else [row["slot"][position] for position in at]
        found |= {(slot, row["movieId"]) for slot in slots}
    return {(slot, movie) for slot, movie in found if slot in REQUESTED}


def lasts(taken: Windows) -> list[Pair]:
    slots, ids = taken.slot[:, -1].tolist(), SERIES.movie_ids[taken.movie[:, 0]].tolist()
    return list(zip(slots, ids, strict=True))


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
@pytest.mark.parametrize("window", [1, 4])
def test_all_windows_are_those_of_the_sequences(tmp_path: Path, window: int, gaps: str) -> None:
    taken = draw_windows(SERIES, SLOTS, window, gaps, 1, None, generator())
    assert_true_targets(taken)
    assert len(lasts(taken)) == len(set(lasts(taken)))
    assert set(lasts(taken)) == targets(tmp_path, window, gaps)
    assert set(taken.weight.reshape(-1)) == {1.0}
    if gaps == "observed":
        assert taken.label.min() > 0
    # More than there are gives all, too.
    assert lasts(draw_windows(SERIES, SLOTS, window, gaps, 1, 10**6, generator())) == lasts(taken)


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_as_many_distinct_windows_are_drawn_as_asked_for(tmp_path: Path, gaps: str) -> None:
    everyone = targets(tmp_path, 2, gaps)
    draw, seen = generator(), set()
    for _ in range(60):
        taken = draw_windows(SERIES, SLOTS, 2, gaps, 1, 50, draw)
        assert len(set(lasts(taken))) == len(taken) == 50
        assert_true_targets(taken)
        assert set(lasts(taken)) <= everyone
        seen |= set(lasts(taken))
    assert seen == everyone


def test_the_generator_decides_which_windows_are_drawn() -> None:
    windows = [
        lasts(draw_windows(SERIES, SLOTS, 3, "calendar", 1, 40, generator(seed))) for seed in (1, 1, 2)
    ]
    assert windows[0] == windows[1] != windows[2]


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_no_windows_before_the_first_target(gaps: str) -> None:
    first = range(FIRST_SLOT, FIRST_SLOT + 1)
    assert len(draw_windows(SERIES, first, 3, gaps, 1, 5, generator())) == 0


def test_windows_of_several_steps_have_every_target_up_to_the_drawn_one() -> None:
    single = draw_windows(SERIES, SLOTS, 5, "calendar", 1, 60, generator())
    taken = draw_windows(SERIES, SLOTS, 5, "calendar", 5, 60, generator())
    assert lasts(taken) == lasts(single)
    for row in range(len(taken)):
        movie, last = int(SERIES.movie_ids[taken.movie[row, 0]]), int(taken.slot[row, -1])
        assert taken.slot[row].tolist() == list(range(last - 4, last + 1))
        expected = [slot > FIRST[movie] and slot in REQUESTED for slot in taken.slot[row].tolist()]
        assert taken.weight[row, :, 0].tolist() == expected
        counts = [COUNTS.get((slot, movie), 0) for slot in taken.slot[row].tolist()]
        assert taken.label[row, :, 0].tolist() == (np.array(counts) * expected).tolist()


def test_rows_of_several_movies_by_brute_force() -> None:
    movie, last = np.array([[0, 3, 25], [7, 8, 20]]), np.array([SLOTS.start + 1, SLOTS.stop + 1])
    taken = unroll(SERIES, SLOTS, movie, last, 4)
    assert taken.movie.tolist() == movie.tolist()
    for row in range(2):
        for step in range(4):
            slot = int(last[row]) - 3 + step
            assert taken.slot[row, step] == slot
            for place in range(3):
                found = int(SERIES.movie_ids[movie[row, place]])
                target = slot in REQUESTED and slot > FIRST[found]
                assert taken.weight[row, step, place] == target
                assert taken.label[row, step, place] == target * COUNTS.get((slot, found), 0)
    assert taken.weight.any()
    assert not taken.weight.all()


def test_blocks_fill_a_batch_to_the_last_row() -> None:
    # With one row each block is a batch of its own, in the order of the epoch.
    sizes = [len(block) for _, block in blocks(rows=1).batches(0)]
    whole = sizes[0] + sizes[1]
    assert len(next(blocks(rows=whole).batches(0))[1]) == whole
    assert len(next(blocks(rows=whole - 1).batches(0))[1]) == sizes[0]


def test_a_slot_with_a_single_request_is_a_target_and_one_without_is_none() -> None:
    series = series_of(log_of((1, 7, 1), (1, 8, 1), (2, 7, 1), (4, 7, 1)))
    taken = unroll(series, range(1, 5), np.array([[0, 1]]), np.array([4]), 3)
    assert taken.slot.tolist() == [[2, 3, 4]]
    assert taken.weight.tolist() == [[[1, 1], [0, 0], [1, 1]]]
    assert taken.label.tolist() == [[[1, 0], [0, 0], [1, 0]]]


def test_chances_are_proportional_up_to_certainty_and_add_up() -> None:
    found = chances(np.array([1.0, 4.0, 100.0, 1.0, 2.0]), 2)
    assert found.tolist() == pytest.approx([1 / 8, 4 / 8, 1, 1 / 8, 2 / 8])
    assert chances(np.ones(10), 4).tolist() == pytest.approx([0.4] * 10)
    sizes = np.random.default_rng(2).pareto(1.0, 300) + 0.01
    for count in (1, 7, 299):
        found = chances(sizes, count)
        assert found.sum() == pytest.approx(count)
        assert found.max() <= 1
        shared = found < 1
        assert np.ptp(found[shared] / sizes[shared]) < 1e-9
        assert sizes[~shared].min(initial=np.inf) >= sizes[shared].max()


def test_a_large_block_draws_some_of_its_requested_movies_and_estimates_the_sums_of_all() -> None:
    slots = range(SLOTS.start + 20, SLOTS.start + 24)
    whole = sample_block(SERIES, slots, 3, np.random.default_rng(0))
    requested = int((whole.label.sum(axis=(1, 2)) > 0).sum())
    most = requested // 2
    drawn = [sample_block(SERIES, slots, 3, np.random.default_rng(seed), most) for seed in range(4000)]
    rows = [int((block.label.sum(axis=(1, 2)) > 0).sum()) for block in drawn]
    assert np.mean(rows) == pytest.approx(most, rel=0.02)
    for power in (0, 1):
        sums = [(block.weight * block.label**power).sum(axis=(0, 2)) for block in drawn]
        expected = (whole.weight * whole.label**power).sum(axis=(0, 2))
        assert np.mean(sums, axis=0) == pytest.approx(expected, rel=0.03)
    # A movie's requests stay what they are: the weight alone says for how many it stands.
    for block in drawn[:20]:
        assert_true_targets(block)
    assert len(sample_block(SERIES, slots, 3, np.random.default_rng(0), requested)) == len(whole)


def test_batches_of_large_blocks_are_drawn_anew_in_each_epoch() -> None:
    training = BlockBatches(SERIES, SLOTS, 4, 3, 1, 1, most=5)
    epochs = [list(training.batches(epoch)) for epoch in (0, 1)]
    again = list(training.batches(0))
    for (_, one), (_, other) in zip(epochs[0], again, strict=True):
        assert np.array_equal(one.movie, other.movie)
    rows = [len(windows) for batches in epochs for _, windows in batches]
    # Five or so with requests, and three without.
    assert np.mean(rows) == pytest.approx(8, abs=1)
