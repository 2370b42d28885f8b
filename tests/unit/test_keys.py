"""Sorted keys in parts: whole groups, every row once, and no more than fit."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popularity import keys

BITS = 3


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7)), max_size=60), st.integers(1, 9))
def test_a_block_is_of_whole_groups_and_no_longer_than_needed(
    rows: list[tuple[int, int]], most: int
) -> None:
    packed = np.array(sorted((group << BITS) + low for group, low in rows), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "BLOCK", most)
        parts = [packed[block] >> BITS for block in keys.blocks(packed, BITS)]
    assert np.concatenate([*parts, packed[:0]]).tolist() == (packed >> BITS).tolist()
    for part, following in itertools.pairwise(parts):
        assert part[-1] < following[0]
    for part in parts:
        # Without its last group it would have been too short.
        assert (part < part[-1]).sum() < most


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_ranges_hold_every_row_once_and_as_many_as_fit(counts: list[int], most: int) -> None:
    found = list(keys.ranges(np.array(counts, np.int64), most))
    assert [place for first, end, _ in found for place in range(first, end) if counts[place]] == [
        place for place, count in enumerate(counts) if count
    ]
    for first, end, rows in found:
        assert rows == sum(counts[first:end]) > 0
        assert rows <= most or end == first + 1
        assert end == len(counts) or rows + counts[end] > most or rows > most


def test_a_group_starts_where_another_number_stands() -> None:
    assert keys.group_starts(np.array([4, 4, 5, 7, 7, 7])).tolist() == [0, 2, 3]
    assert keys.group_starts(np.array([4])).tolist() == [0]
