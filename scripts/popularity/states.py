"""What is known of movies before a slot: carried from slot to slot, or made anew from what is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.series import MANY, Ints, Series, only, stable_order

Values = npt.NDArray[Any]

#: Gives the states [n, …] that elements, given by their positions [n], make of the states before them.
Advance = Callable[[Values, Ints], Values]

#: Of so many elements of a movie the state after one is kept.
EVERY = 16


class Replay:
    """States after positions of chains, made anew from the few that are kept.

    A chain is a range of positions, such as a movie's elements. Each position changes the state that the
    one before it left. As few states are kept, memory hardly grows with the positions, however many
    numbers a state has.

    Parameters
    ----------
    size
        Positions of all chains, one after the other.
    begins
        Gives the first positions of the chains that positions [n] are of, [n].
    initial
        Gives the states before the chains that begin at positions [n], [n, …].
    advance
        Gives the states after positions.
    every
        Of so many positions the state after one is kept.
    """

    def __init__(
        self,
        size: int,
        begins: Callable[[Ints], Ints],
        initial: Callable[[Ints], Values],
        advance: Advance,
        every: int,
    ) -> None:
        self._every = every
        self._initial = initial
        self._advance = advance
        none = initial(np.zeros(0, np.int64))
        # The state after position every * j - 1 of each j from 1 on.
        self._kept = np.zeros((size // every + 1, *none.shape[1:]), none.dtype)
        at = np.arange(1, len(self._kept))
        of_chain = begins(at * every - 1)
        earlier = at - 1 - of_chain // every
        order = np.argsort(earlier, kind="stable")
        # Each is made from the one before it, which has to be there.
        for some in np.split(order, np.cumsum(np.bincount(earlier))[:-1] if len(at) else []):
            self._kept[at[some]] = self._made(of_chain[some], at[some] * every, at[some] - 1)

    def __call__(self, begins: Ints, ends: Ints) -> Values:
        """Make the states after the positions before ``ends`` [n], of chains that begin at ``begins``."""
        return self._made(begins, ends, ends // self._every)

    def _made(self, begins: Ints, ends: Ints, kept: Ints) -> Values:
        inside = kept * self._every > begins
        starts = np.where(inside, kept * self._every, begins)
        steps = ends - starts
        # Neighbours that start together go together: the states of some lie on the way to others'. Where
        # a chain begins another one may end.
        alone = np.ones(len(ends), bool)
        alone[1:] = (starts[1:] != starts[:-1]) | (inside[1:] != inside[:-1])
        first, way = np.flatnonzero(alone), np.cumsum(alone) - 1
        longest = np.maximum.reduceat(steps, first) if len(first) else steps
        # The longest ways first, so that those that go on are the first so many.
        order = stable_order(self._every - longest)
        first, longest = first[order], longest[order]
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        place = place[way]
        inside, starts = inside[first], starts[first]
        states = self._initial(begins[first])
        states[inside] = self._kept.take(kept[first][inside], axis=0)
        made = np.empty((len(ends), *states.shape[1:]), states.dtype)
        by_steps = stable_order(steps)
        bounds = np.cumsum(np.bincount(steps)).tolist()
        for step, (begin, end) in enumerate(zip([0, *bounds], bounds, strict=False)):
            arrived = by_steps[begin:end]
            made[arrived] = states.take(place[arrived], axis=0)
            going = int(np.searchsorted(-longest, -step))
            if going:
                states[:going] = self._advance(states[:going], starts[:going] + step)
        return made


class States:
    """The state of each movie before any slot, which each of its elements changes.

    Where many movies of one slot are asked for, as by forecasts, the states of all movies are carried from
    slot to slot: no more than these is held. Others are made anew by a :class:`Replay`, as are those of
    slots that lie before the last one, and far from the log's first.

    Parameters
    ----------
    initial
        [M, numbers] state of each movie before its first element.
    advance
        Gives the states after elements.
    """

    def __init__(self, series: Series, initial: Values, advance: Advance) -> None:
        self._series = series
        self._initial = initial
        self._advance = advance
        self._begin = series.first_slot, initial
        self._last = self._begin
        self._replay: Replay | None = None

    def __call__(self, movies: Ints, slots: Ints | int) -> Values:
        """Look up the states of movies [n] before slots, [n, numbers].

        Each movie has to be a candidate of its slot.
        """
        slot = only(slots)
        if slot is not None and len(movies) > MANY:
            last = self._last
            nearest = last if slot >= last[0] else self._begin
            way = len(self._series.elements_in(range(nearest[0], slot)))
            if nearest is last or way <= EVERY * len(movies):
                return self._carry(*nearest, slot).take(movies, axis=0)
        begins, ends, places = self._series.past(movies, slots).distinct
        if self._replay is None:
            self._replay = Replay(
                len(self._series.slot),
                lambda elements: self._series.starts[self._series.movie[elements]],
                lambda elements: self._initial[self._series.movie[elements]],
                self._advance,
                EVERY,
            )
        return self._replay(begins, ends).take(places, axis=0)

    def _carry(self, last: int, states: Values, slot: int) -> Values:
        """Bring the states of all movies, [M, numbers], from one slot to another that is not before it."""
        if slot > last:
            states = states.copy()
            for elements in self._series.elements_by_slot(range(last, slot)):
                movies = self._series.movie[elements]
                states[movies] = self._advance(states.take(movies, axis=0), elements)
        # Replaced as one and never changed, so that threads may share it.
        self._last = slot, states
        return states


class CarriedSums:
    """Sums of whole numbers of each movie's elements before a slot, carried from slot to slot.

    Parameters
    ----------
    values
        int [K], one of each element: their sums are exact, so that they can be carried both ways.
    """

    def __init__(self, series: Series, values: Ints) -> None:
        self._series = series
        self._values = values
        self._last = series.first_slot, np.zeros(len(series.movie_ids), np.int64)

    def __call__(self, slot: int) -> npt.NDArray[np.int64]:
        """Add them up for every movie, int64 [M]. Not to be changed."""
        last, sums = self._last
        if slot != last:
            sums = sums.copy()
            sign = 1 if slot > last else -1
            for elements in self._series.elements_by_slot(range(min(slot, last), max(slot, last))):
                sums[self._series.movie[elements]] += sign * self._values[elements]
            # Replaced as one and never changed, so that threads may share it.
            self._last = slot, sums
        return sums
