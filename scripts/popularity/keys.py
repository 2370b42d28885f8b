"""Sorted integer keys: rows of the same group stand together, and are worked on block by block."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]

#: Rows that are worked on at a time: few enough to stay in the processor's cache.
BLOCK = 1 << 16


def ranges(counts: npt.NDArray[np.integer], most: int) -> Iterator[tuple[int, int, int]]:
    """Divide consecutive places, such as slots, into ranges of at most ``most`` rows or of one place.

    Parameters
    ----------
    counts
        [n] rows of each place.

    Yields
    ------
    First place, the one after the last, and the rows of each range that has any.
    """
    before = np.concatenate([[0], np.cumsum(counts)])
    first = 0
    while first < len(counts):
        last = max(int(np.searchsorted(before, before[first] + most, side="right")) - 1, first + 1)
        if before[last] > before[first]:
            yield first, last, int(before[last] - before[first])
        first = last


def blocks(keys: Keys, bits: int) -> Iterator[slice]:
    """Divide sorted keys into blocks that split no group: keys that only differ in their last bits."""
    start = 0
    while start < len(keys):
        last = keys[min(start + BLOCK, len(keys)) - 1] | ((1 << bits) - 1)
        end = int(np.searchsorted(keys, last, side="right"))
        yield slice(start, end)
        start = end


def group_starts(groups: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Find the positions at which a new group begins, from the group of each row, [n] and sorted."""
    return np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
