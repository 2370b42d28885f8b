"""The movies' series, and windows over them that are looked up by slot and movie, not stored."""

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.program import Fault
from popularity.settings.slots import FoldSplit
from popularity.slots import clock_numbers, slot_start

Ints = npt.NDArray[np.integer]

#: For more movies of one slot than this it is faster to look all movies up at once.
MANY = 256
#: Elements that are counted or ordered at a time.
ELEMENTS_AT_ONCE = 1 << 22


class Series:
    """Every movie's requests by slot, sparse: one element for each slot and movie with a request.

    Movies are numbered 0 … M-1 in the order of their ids, elements 0 … K-1 by movie, then slot.

    Attributes
    ----------
    movie_ids
        int32 [M]
    starts
        int64 [M + 1], movie ``m`` has the elements ``starts[m]`` to ``starts[m + 1]``.
    slot, label
        int32 [K]
    movie
        int32 [K], the number of each element's movie.
    avg_rating
        float32 [K], NaN where nobody rated.
    first_request
        int32 [M], slot of each movie's first request.
    first_slot, last_slot
        The log's first and last slot with a request.
    totals
        float64 [last_slot - first_slot + 1], all requests of each slot.
    slot_name
        What its slots are, a name of :class:`slots.Slot`: whose clock its seasons follow.
    """

    def __init__(
        self,
        movie_ids: Ints,
        starts: Ints,
        slot: Ints,
        label: Ints,
        avg_rating: npt.NDArray[np.float32],
        slot_name: str = "day",
    ) -> None:
        self.movie_ids = movie_ids
        self.starts = starts.astype(np.int64)
        self.slot = slot
        self.label = label
        self.avg_rating = avg_rating
        self.slot_name = slot_name
        self.first_slot = int(slot.min())
        self.last_slot = int(slot.max())
        self.totals = np.zeros(self.last_slot - self.first_slot + 1)
        for some in _parts(len(slot)):
            at = slot[some] - self.first_slot
            self.totals += np.bincount(at, label[some], len(self.totals))
        lengths = np.diff(self.starts)
        self.movie: Ints = np.repeat(np.arange(len(movie_ids), dtype=np.int32), lengths)
        #: Powers of 2 that reach the end of the longest series, falling.
        self._strides = [1 << at for at in reversed(range(int(lengths.max(initial=0)).bit_length()))]
        self._last_ends = self.first_slot, self.starts[:-1]
        self._last_past: tuple[Ints, Ints | int, Past] | None = None
        self.first_request = slot[self.starts[:-1]]
        # Before its first request a movie counts as requested in it.
        self._last_latest = self.first_slot, self.first_request

    @property
    def label_n(self) -> npt.NDArray[np.float64]:
        """Share of each element in its slot's requests, float64 [K], computed anew."""
        return self.shares_of(slice(None))

    def shares_of(self, elements: Ints | slice) -> npt.NDArray[np.float64]:
        """Compute the share of elements [n] in their slots' requests, float64 [n]."""
        shares: npt.NDArray[np.float64] = (
            self.label[elements] / self.totals[self.slot[elements] - self.first_slot]
        )
        return shares

    def before(self, slot: int) -> "Series":
        """Give the log without what was requested in this slot or later."""
        kept = self.slot < slot
        ends = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        some = np.diff(ends) > 0
        starts = np.concatenate([ends[:-1][some], ends[-1:]])
        columns = (self.slot[kept], self.label[kept], self.avg_rating[kept])
        return Series(self.movie_ids[some], starts, *columns, self.slot_name)

    def requests(self, slots: Ints) -> npt.NDArray[np.float64]:
        """All requests of each of these slots (0 outside the log)."""
        at = slots - self.first_slot
        inside = (at >= 0) & (at < len(self.totals))
        return np.where(inside, self.totals[np.clip(at, 0, len(self.totals) - 1)], 0.0)

    def clock(self, slots: Ints) -> npt.NDArray[np.int64]:
        """Numbers of slots as the clock shows them: see :func:`slots.clock_numbers`."""
        known = self._clock
        at = slots - self.first_slot
        if len(at) and at.min() >= 0 and at.max() < len(known):
            return np.asarray(known[at])
        return clock_numbers(slots, self.slot_name)

    @functools.cached_property
    def _clock(self) -> npt.NDArray[np.int64]:
        """The same of the log's slots and the one after it."""
        return clock_numbers(np.arange(self.first_slot, self.last_slot + 2), self.slot_name)

    def requested_slots(self, slots: range) -> Ints:
        """Select the slots that have a request."""
        numbers = np.arange(slots.start, slots.stop)
        return numbers[self.requests(numbers) > 0]

    def candidates(self, slot: int) -> Ints:
        """Movies requested in some slot before this one, in their order."""
        return np.flatnonzero(self.first_request < slot)

    def elements_in(self, slots: range) -> Ints:
        """Elements of these slots, by slot, then movie."""
        first, end = self._inside(slots)
        starts, elements = self._by_slot
        return elements[starts[first] : starts[end]]

    def elements_by_slot(self, slots: range | None = None) -> Iterator[Ints]:
        """Walk the slots (these, or all) that have requests: the elements of each, by movie."""
        first, end = (0, len(self.totals)) if slots is None else self._inside(slots)
        starts, elements = self._by_slot
        for begin, stop in itertools.pairwise(starts[first : end + 1].tolist()):
            if begin < stop:
                yield elements[begin:stop]

    def _inside(self, slots: range) -> tuple[int, int]:
        """Give the bounds of these slots within the log, counted from its first slot."""
        first, end = (
            min(max(slot - self.first_slot, 0), len(self.totals)) for slot in (slots.start, slots.stop)
        )
        return first, end

    @functools.cached_property
    def _by_slot(self) -> tuple[Ints, Ints]:
        """Where the elements of each slot begin, [slots of the log + 1], and all elements by slot, [K]."""
        return grouped(len(self.slot), len(self.totals), lambda some: self.slot[some] - self.first_slot)

    def most_requested(self, slots: range, count: int) -> Ints:
        """Movies with the most requests in these slots, ``count`` at most, in their order."""
        requests = self.requests_of_movies(slots)
        top = np.argsort(-requests, kind="stable")[:count]
        return np.sort(top[requests[top] > 0])

    def requests_of_movies(self, slots: range) -> npt.NDArray[np.float64]:
        """Count the requests of every movie in these slots together, [M]."""
        elements = self.elements_in(slots)
        requests = np.bincount(self.movie[elements], self.label[elements], len(self.movie_ids))
        return requests.astype(np.float64, copy=False)

    def elements_before(self, movies: Ints, slots: Ints | int) -> Ints:
        """Find the position of each movie's first element at or after the slot: the end of its past."""
        return self.past(movies, slots).ends

    def past(self, movies: Ints, slots: Ints | int) -> "Past":
        """Find what lies before slots, of movies [n]; the last arrays that were given are remembered."""
        known = self._last_past
        if known is not None and known[0] is movies and known[1] is slots:
            return known[2]
        slot = only(slots)
        if slot is not None and len(movies) > MANY:
            found = Past(self, self._ends_before(slot)[movies])
        else:
            found = Past(self, self._ends(movies, slots))
        # Replaced as one and never changed, so that threads may share it.
        self._last_past = movies, slots, found
        return found

    def _ends(self, movies: Ints, slots: Ints | int) -> Ints:
        """Search for :meth:`elements_before` of movies [n]."""
        ends: Ints = self.starts[movies]
        strides = self._strides
        if isinstance(slots, np.ndarray) and len(movies):
            # Where a movie's slots follow one another, as in a training row, only its first one needs a
            # search from the beginning.
            heads = np.ones(len(movies), bool)
            heads[1:] = (movies[1:] != movies[:-1]) | (slots[1:] < slots[:-1])
            first = np.flatnonzero(heads)
            head = np.cumsum(heads) - 1
            ends = self._search(movies[first], slots[first], ends[first], self._strides)[head]
            furthest = int((slots - slots[first][head]).max())
            strides = [stride for stride in strides if stride <= furthest]
        return self._search(movies, slots, ends, strides)

    def _search(self, movies: Ints, slots: Ints | int, ends: Ints, strides: list[int]) -> Ints:
        """Move from positions of movies [n] to those of their first elements at or after slots.

        ``strides`` are falling powers of 2, and add up to at least the way.
        """
        last = self.starts[movies + np.int64(1)]
        for stride in strides:
            further = ends + stride
            earlier = (further <= last) & (self.slot[np.minimum(further, last) - 1] < slots)
            ends = np.where(earlier, further, ends)
        return ends

    def _lately(self, movies: Ints, since: Ints, ends: Ints, most: int) -> Ints:
        """Count the elements of movies [n] from slots on that lie before positions, at most so many."""
        counts = np.zeros(len(movies), np.int64)
        longest = ends - self.starts[movies]
        for stride in (1 << at for at in reversed(range(most.bit_length()))):
            further = counts + stride
            late = (further <= longest) & (self.slot[np.maximum(ends - further, 0)] >= since)
            counts = np.where(late, further, counts)
        return counts

    def _ends_before(self, slot: int) -> Ints:
        """Update :meth:`elements_before` of every movie, int64 [M], from the slot of the last call.

        Forecasts go from slot to slot, and few elements lie between two of them.
        """
        last, ends = self._last_ends
        between = self.elements_in(range(min(slot, last), max(slot, last)))
        added = np.bincount(self.movie[between], minlength=len(ends))
        ends = ends + added if slot > last else ends - added
        # Replaced as one and never changed, so that threads may share it.
        self._last_ends = slot, ends
        return ends

    def latest_slots(self, movies: Ints, slots: Ints | int) -> Ints:
        """Look up the slot of each movie's latest request before slots; each has to be a candidate."""
        slot = only(slots)
        if slot is None or len(movies) <= MANY:
            return self.slot[self.elements_before(movies, slots) - 1]
        last, latest = self._last_latest
        if slot < last:
            ends = self._ends_before(slot)
            latest = np.where(ends > self.starts[:-1], self.slot[ends - 1], self.first_request)
        elif slot > last:
            latest = latest.copy()
            changed = self.elements_in(range(last, slot))
            # Of several elements of a movie the latest comes last, and stays.
            latest[self.movie[changed]] = self.slot[changed]
        self._last_latest = slot, latest
        return latest[movies]

    def idle(self, movies: Ints, slot: int, slots: int) -> npt.NDArray[np.bool_]:
        """Say which of a slot's candidates were not requested in this many slots before it."""
        idle: npt.NDArray[np.bool_] = self.latest_slots(movies, slot) < slot - slots
        return idle

    def labels(self, movies: Ints, slots: Ints | int) -> npt.NDArray[np.float64]:
        """Look up the requests of each movie in its slot (0 where there is none)."""
        slot = only(slots)
        if slot is not None and len(movies) > MANY:
            elements = self.elements_in(range(slot, slot + 1))
            labels = np.zeros(len(self.movie_ids))
            labels[self.movie[elements]] = self.label[elements]
            return labels[movies]
        at = np.minimum(self.elements_before(movies, slots), len(self.slot) - 1)
        found = (self.movie[at] == movies) & (self.slot[at] == slots)
        return np.where(found, self.label[at], 0).astype(np.float64)

    def shares(self, movies: Ints, slot: int) -> npt.NDArray[np.float64]:
        """Share of each movie in the requests of a slot that has some."""
        return self.labels(movies, slot) / self.requests(np.array([slot]))

    def extended(self, slot: int, movies: Ints, labels: Ints) -> "Series":
        """Make the series of a log that goes on: one more slot, after all others.

        Parameters
        ----------
        movies, labels
            int [n] movies, rising, and their requests in that slot, which nobody rated.
        """
        requested = labels > 0
        movies, labels = movies[requested], labels[requested]
        ends = self.starts[movies + 1]
        added = np.zeros(len(self.starts), np.int64)
        added[movies + 1] = 1
        return Series(
            self.movie_ids,
            self.starts + np.cumsum(added),
            np.insert(self.slot, ends, slot),
            np.insert(self.label, ends, labels),
            np.insert(self.avg_rating, ends, np.nan),
            self.slot_name,
        )

    def windows(
        self, movies: Ints, slots: Ints | int, length: int, gaps: str
    ) -> tuple[npt.NDArray[np.float64], Ints]:
        """Look up the window before each target.

        Parameters
        ----------
        movies, slots
            int [n] movies and target slots.
        length
            Slots in a window.
        gaps
            ``calendar`` or ``observed``: see ``build_sequences``.

        Returns
        -------
        float64 [n, length] requests, the latest slot last, and int [n, length] the slot of each (one
        before the log's first where an observed window is not full).
        """
        ends = self.elements_before(movies, slots)
        slots = np.broadcast_to(slots, len(movies)).astype(np.int64)
        if gaps == "observed":
            at = ends[:, None] + np.arange(-length, 0)
            inside = at >= self.starts[movies][:, None]
            at = np.maximum(at, 0)
            labels = np.where(inside, self.label[at], 0).astype(np.float64)
            return labels, np.where(inside, self.slot[at], self.first_slot - 1)
        counts = self._lately(movies, slots - length, ends, length)
        begins = ends - counts
        row = np.repeat(np.arange(len(movies)), counts)
        element = np.arange(counts.sum()) + np.repeat(begins - np.cumsum(counts) + counts, counts)
        labels = np.zeros((len(movies), length))
        labels[row, self.slot[element] - slots[row] + length] = self.label[element]
        return labels, slots[:, None] + np.arange(-length, 0)


def _parts(elements: int) -> Iterator[slice]:
    """Divide all elements into parts whose copies hardly need memory."""
    for begin in range(0, elements, ELEMENTS_AT_ONCE):
        yield slice(begin, min(begin + ELEMENTS_AT_ONCE, elements))


class Past:
    """The elements of movies before slots, of n pairs of them.

    Attributes
    ----------
    ends
        int64 [n] position after each one's latest element.
    """

    def __init__(self, series: Series, ends: Ints) -> None:
        self._series = series
        self.ends = ends

    @functools.cached_property
    def distinct(self) -> tuple[Ints, Ints, Ints]:
        """Give those that differ, if all movies are candidates.

        Returns
        -------
        int [m] where the elements of each begin and end, and int [n] which of them each pair has.
        """
        ends, places = np.unique(self.ends, return_inverse=True)
        return self._series.starts[self._series.movie[ends - 1]], ends, places


def stable_order(numbers: Ints) -> Ints:
    """Order numbers from 0 on; equal ones stay as they are. Positions are int32 where that is enough.

    NumPy sorts numbers of 16 bits several times as fast as wider ones.
    """
    narrow = len(numbers) == 0 or numbers.max() <= np.iinfo(np.uint16).max
    order: Ints = np.argsort(numbers.astype(np.uint16) if narrow else numbers, kind="stable")
    return order.astype(np.int32) if len(order) <= np.iinfo(np.int32).max else order


def grouped(size: int, groups: int, numbers: Callable[[slice], Ints]) -> tuple[Ints, Ints]:
    """Order so many positions by the number of each, those of one number as they are.

    Parameters
    ----------
    numbers
        Gives the numbers, from 0 to ``groups - 1``, of a part of the positions: no more are held.

    Returns
    -------
    Where the positions of each number begin, int64 [groups + 1], and the positions, int [size].
    """
    starts = np.zeros(groups + 1, np.int64)
    for some in _parts(size):
        starts[1:] += np.bincount(numbers(some), minlength=groups)
    np.cumsum(starts, out=starts)
    order: Ints = np.empty(size, np.int32 if size <= np.iinfo(np.int32).max else np.int64)
    following = starts[:-1].copy()
    for some in _parts(size):
        ordered, places = placed(numbers(some), following)
        order[places] = np.add(ordered, some.start, dtype=order.dtype)
    return starts, order


def placed(numbers: Ints, following: Ints) -> tuple[Ints, Ints]:
    """Put numbers [n] in order, and say where each goes among those of several parts.

    Parameters
    ----------
    following
        [m] where the next one of each of the numbers 0 … m-1 goes; it is moved on.

    Returns
    -------
    int [n] positions in order, equal ones as they are, and the place of each of these.
    """
    counts = np.bincount(numbers, minlength=len(following))
    places = np.repeat(following - np.cumsum(counts) + counts, counts) + np.arange(len(numbers))
    following += counts
    return stable_order(numbers), places


def spread(slots: Ints, most: int) -> Ints:
    """Take at most so many of slots, evenly spread from the first on."""
    if len(slots) <= most:
        return slots
    return slots[np.arange(most) * len(slots) // most]


def distinct(slots: Ints) -> Ints:
    """Give the one slot that all of these are, int [1], or these: what is the same is computed once."""
    return slots[:1] if only(slots) is not None else slots


def only(slots: Ints | int) -> int | None:
    """Give the slot that all of these are, if there is one."""
    if isinstance(slots, (int, np.integer)):
        return int(slots)
    return int(slots[0]) if len(slots) and (slots == slots[0]).all() else None


def read_series(sequences: Path, slot_name: str) -> Series:
    """Read the series of a table that ``build_sequences`` wrote, and whose slots are of this name."""

    def column(name: str) -> pa.Array:
        # One at a time, as putting its parts together takes as much memory again.
        return tables.read(sequences, tables.SEQUENCES, [name])[name].combine_chunks()

    slots = column("slot")
    series = Series(
        tables.numbers(column("movieId")),
        tables.numbers(slots.offsets),
        tables.numbers(slots.values),
        tables.numbers(column("label").values),
        tables.numbers(column("avg_rating").values),
        slot_name,
    )
    tables.release_memory()
    return series


def split_slots(series: Series, split: FoldSplit) -> dict[str, range]:
    """Divide the log's slots by time: see :func:`split_range`. Each part has to have requests."""
    parts = split_range(series.first_slot, series.last_slot, split)
    for part, slots in parts.items():
        if not len(series.requested_slots(slots)):
            raise Fault(
                f"the log has {len(series.totals)} slots, and no request in the {len(slots)} of them "
                f"that are {part} slots; {_far_away(series) or 'use shorter slots'} or another split "
                "(slot and split in config.yaml)"
            )
    return parts


def _far_away(series: Series) -> str | None:
    """Say which requests lie so far from the others that half of the log's slots are between them."""
    slots = series.first_slot + np.flatnonzero(series.totals)
    gaps = np.diff(slots)
    if not len(gaps) or 2 * gaps.max() <= len(series.totals):
        return None
    after = int(gaps.argmax()) + 1
    few, many = sorted((slots[:after], slots[after:]), key=lambda side: series.requests(side).sum())
    few_dates, dates = (
        " to ".join(dict.fromkeys(str(day)[:10] for day in slot_start(side[[0, -1]], series.slot_name)))
        for side in (few, many)
    )
    return (
        f"{series.requests(few).sum():,.0f} requests are of {few_dates}, far from all others, of {dates} "
        "(log.json and logs/join_ratings.log name the file and line): mend or leave out these rows, use "
        "shorter slots"
    )


def split_range(first: int, last: int, split: FoldSplit) -> dict[str, range]:
    """Divide the slots from ``first`` to ``last`` by time.

    ``split`` gives the shares of ``validation`` and ``test``, which comes last; the rest is
    ``training``. In its ``fold`` k the test slots are as many, and end k times as many before the last:
    the k-th origin before the latest, of an evaluation with a rolling origin (Tashman 2000,
    "Out-of-sample tests of forecasting accuracy"). Training always begins with the first slot.
    """
    slots = last + 1 - first
    test = round(split.test * slots)
    validation = round(split.validation * slots)
    end = last + 1 - split.fold * test
    return {
        "training": range(first, end - test - validation),
        "validation": range(end - test - validation, end - test),
        "test": range(end - test, end),
    }
