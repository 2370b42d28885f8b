"""Which slots and movies a network learns from, and in which batches."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from popularity.series import Ints, Series


@dataclass(frozen=True)
class Windows:
    """Rows of a network's targets: each row holds K movies in T slots.

    Attributes
    ----------
    movie
        int [n, K]
    slot
        int [n, T], the predicted slots, the latest last.
    label
        float64 [n, T, K], the movies' requests in the slots.
    weight
        float64 [n, T, K], importance weights: 1, or 1 / sampling rate for a sampled pair, or 0 for no
        target (the movie is no candidate yet, or the slot is not among those to predict).
    """

    movie: Ints
    slot: Ints
    label: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Rows."""
        return len(self.slot)

    def take(self, rows: Ints | slice) -> "Windows":
        """Take some of the rows."""
        return Windows(self.movie[rows], self.slot[rows], self.label[rows], self.weight[rows])


class Training(Protocol):
    """What a network is trained on."""

    def batches(self, epoch: int) -> Iterator[tuple[float, Windows]]:
        """Batches of an epoch, each with the share of the epoch that lies before it."""


def concatenate(parts: list[Windows]) -> Windows:
    """Put rows of the same form together."""
    names = ("movie", "slot", "label", "weight")
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def sample_block(
    series: Series,
    slots: range,
    others: int,
    generator: np.random.Generator,
    most: int | None = None,
) -> Windows:
    """Take the movies requested in a block of slots, and ``others`` drawn from the other candidates.

    Of more than ``most`` requested movies about so many are drawn, by :func:`chances` that are
    proportional to the square root of their requests, as the gradient of the loss at a movie varies.
    A movie's targets are the slots of the block that have requests and come after its first request.
    With their importance weights, sums over the block's rows are unbiased estimates of sums over all
    candidates. So is the softmax's denominator, if the log of the weight is added to the logit (Bengio
    and Senécal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic
    language model").

    Returns
    -------
    :class:`Windows` with K = 1 and the block's slots; without a row if no target has a request.
    """
    elements = series.elements_in(slots)
    requested, row = np.unique(series.movie[elements], return_inverse=True)
    candidates = series.candidates(slots.stop - 1)
    other = np.ones(len(series.movie_ids), dtype=bool)
    other[requested] = False
    idle = candidates[other[candidates]]
    drawn = idle
    if len(idle) > others:
        drawn = idle[np.sort(generator.choice(len(idle), others, replace=False, shuffle=False))]
    slot = np.arange(slots.start, slots.stop)
    label = np.zeros((len(requested), len(slot)))
    label[row, series.slot[elements] - slots.start] = series.label[elements]
    chance = np.ones(len(requested))
    if most is not None and len(requested) > most:
        chance = chances(np.sqrt(label.sum(axis=1)), most)
        some = generator.random(len(requested)) < chance
        requested, label, chance = requested[some], label[some], chance[some]
    movie = np.concatenate([requested, drawn])
    label = np.concatenate([label, np.zeros((len(drawn), len(slot)))])
    weight = np.concatenate([1 / chance, np.full(len(drawn), len(idle) / max(len(drawn), 1))])
    weight = np.repeat(weight[:, None], len(slot), axis=1)
    weight *= (series.first_request[movie][:, None] < slot) & (series.requests(slot) > 0)
    label *= weight > 0
    kept = np.flatnonzero(weight.any(axis=1) & label.any())
    rows = np.broadcast_to(slot, label.shape)
    return Windows(movie[:, None], rows, label[..., None], weight[..., None]).take(kept)


def chances(sizes: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Find chances proportional to sizes [n], or 1 where that would be more, that add up to ``count``.

    There have to be more sizes than that, and none of 0.
    """
    falling = np.sort(sizes)[::-1]
    rest = np.cumsum(falling[::-1])[::-1]
    # Where the k largest are certain, the others share what is left; the last of them is never certain.
    factors = (count - np.arange(count)) / rest[:count]
    certain = int(np.argmax(factors * falling[:count] < 1))
    return np.asarray(np.minimum(factors[certain] * sizes, 1.0))


class BlockBatches:
    """Whole blocks of slots, new movies drawn and in a new order each epoch: see :func:`sample_block`.

    Parameters
    ----------
    series
        The log.
    slots
        The training slots.
    steps
        Slots of a block. Where the blocks begin changes from epoch to epoch.
    others
        Movies without a request that each block draws.
    rows
        Most rows of a batch, unless a single block has more.
    seed
        Each batch depends on this and its epoch alone.
    epoch_steps
        Batches of an epoch, drawn from as many passes over the blocks as that takes; None for one pass.
    most
        Movies with requests that each block takes at most; None for all.
    """

    def __init__(
        self,
        series: Series,
        slots: range,
        steps: int,
        others: int,
        rows: int,
        seed: int,
        epoch_steps: int | None = None,
        most: int | None = None,
    ) -> None:
        self._series = series
        self._slots = slots
        self._steps = steps
        self._others = others
        self._rows = rows
        self._most = most
        self._seed = seed
        self._epoch_steps = epoch_steps

    def batches(self, epoch: int) -> Iterator[tuple[float, Windows]]:
        """Batches of an epoch, each with the share of the epoch that lies before it."""
        generator = np.random.default_rng((self._seed, epoch))
        return _epoch((self._pass(generator) for _ in itertools.count()), self._epoch_steps)

    def _pass(self, generator: np.random.Generator) -> Iterator[tuple[float, Windows]]:
        first = self._slots.start + int(generator.integers(self._steps))
        starts = np.arange(first, self._slots.stop - self._steps + 1, self._steps)
        starts = generator.permutation(starts)
        waiting: list[Windows] = []
        begun = 0
        for done, start in enumerate(starts.tolist()):
            slots = range(start, start + self._steps)
            block = sample_block(self._series, slots, self._others, generator, self._most)
            if waiting and sum(map(len, waiting)) + len(block) > self._rows:
                yield begun / len(starts), concatenate(waiting)
                waiting, begun = [], done
            if len(block):
                waiting.append(block)
        if waiting:
            yield begun / len(starts), concatenate(waiting)


class RowBatches:
    """The same rows in each pass, in a new order: parameters as of :class:`BlockBatches`."""

    def __init__(self, windows: Windows, rows: int, seed: int, epoch_steps: int | None = None) -> None:
        self._windows = windows
        self._rows = rows
        self._seed = seed
        self._epoch_steps = epoch_steps

    def batches(self, epoch: int) -> Iterator[tuple[float, Windows]]:
        """Batches of an epoch, each with the share of the epoch that lies before it."""
        generator = np.random.default_rng((self._seed, epoch))
        return _epoch((self._pass(generator) for _ in itertools.count()), self._epoch_steps)

    def _pass(self, generator: np.random.Generator) -> Iterator[tuple[float, Windows]]:
        count = len(self._windows)
        order = generator.permutation(count)
        for start in range(0, count, self._rows):
            yield start / count, self._windows.take(order[start : start + self._rows])


def _epoch(
    passes: Iterator[Iterator[tuple[float, Windows]]], steps: int | None
) -> Iterator[tuple[float, Windows]]:
    """Take an epoch's batches: those of one pass, or so many of as many passes as that takes."""
    if steps is None:
        yield from next(passes)
        return
    made = 0
    for batches in passes:
        before = made
        for _, windows in batches:
            yield made / steps, windows
            made += 1
            if made == steps:
                return
        if made == before:
            return


def draw_windows(
    series: Series,
    slots: range,
    window: int,
    gaps: str,
    steps: int,
    count: int | None,
    generator: np.random.Generator,
) -> Windows:
    """Draw ``count`` of the windows (all for None) whose targets are in these slots, unweighted.

    The targets are those of ``build_sequences``: with the gaps ``calendar`` each slot after a movie's
    first request, with ``observed`` the slots with a request after ``window`` others. Slots in which
    no movie is requested have no shares to learn, and are left out. With several ``steps`` the slots
    before the drawn one are targets, too, where they are among ``slots``.
    """
    if gaps == "observed":
        position = np.arange(len(series.slot)) - series.starts[series.movie]
        inside = (series.slot >= slots.start) & (series.slot < slots.stop) & (position >= window)
        elements = np.flatnonzero(inside)
        chosen = _draw(len(elements), count, generator)
        movie, slot = series.movie[elements[chosen]], series.slot[elements[chosen]]
    else:
        requested = series.requested_slots(slots)
        ends = np.cumsum(len(requested) - np.searchsorted(requested, series.first_request, side="right"))
        chosen = _draw(int(ends[-1]), count, generator)
        movie = np.searchsorted(ends, chosen, side="right")
        slot = requested[chosen - ends[movie]]
    return unroll(series, slots, movie[:, None], slot, steps)


def unroll(series: Series, slots: range, movie: Ints, last: Ints, steps: int) -> Windows:
    """Make the rows of movies [n, K] whose last slots are these [n]; targets are in ``slots`` alone."""
    slot = last[:, None] + np.arange(1 - steps, 1)
    pairs = (len(movie), steps, movie.shape[1])
    movies = np.broadcast_to(movie[:, None, :], pairs)
    at = np.broadcast_to(slot[:, :, None], pairs)
    target = (at > series.first_request[movies]) & (at >= slots.start) & (at < slots.stop)
    target &= series.requests(slot)[:, :, None] > 0
    label = series.labels(movies.reshape(-1), at.reshape(-1)).reshape(pairs) * target
    return Windows(movie, slot, label, target.astype(np.float64))


def _draw(size: int, count: int | None, generator: np.random.Generator) -> Ints:
    if count is None or count >= size:
        return np.arange(size)
    return np.sort(generator.choice(size, count, replace=False, shuffle=False))
