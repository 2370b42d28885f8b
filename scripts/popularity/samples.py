"""Which pairs of a slot and a movie a network learns from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from popularity.windows import Ints, Series


@dataclass(frozen=True)
class Samples:
    """Pairs of a slot and a candidate, by slot; all arrays have the length of the pairs, [n].

    ``weight`` says for how many pairs of its slot a pair stands: 1, or more where it was drawn.
    """

    slot: Ints
    movie: Ints
    label: npt.NDArray[np.float64]
    requests: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    @property
    def label_n(self) -> npt.NDArray[np.float64]:
        """Share of the slot's requests."""
        return self.label / self.requests


def sample_slots(series: Series, slots: range, others: int, generator: np.random.Generator) -> Samples:
    """Take every requested candidate of each slot and ``others`` drawn from those not requested.

    A drawn one weighs as many as it stands for, so that weighted sums over a slot's samples are
    unbiased for sums over its candidates; added to a logit, the weight's log makes it so for the
    softmax's denominator (Bengio and Senécal 2008, "Adaptive importance sampling to accelerate
    training of a neural probabilistic language model").
    """
    none = np.zeros(0, dtype=np.int64)
    parts: list[tuple[npt.NDArray, ...]] = [(none, none, np.zeros(0), np.zeros(0))]
    for slot in series.requested_slots(slots):
        movies = series.candidates(slot)
        labels = series.labels(movies, slot)
        requested, idle = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
        if not len(requested):
            continue
        drawn = idle
        if len(idle) > others:
            drawn = np.sort(generator.choice(idle, others, replace=False, shuffle=False))
        taken = np.concatenate([requested, drawn])
        weight = np.ones(len(taken))
        weight[len(requested) :] = len(idle) / max(len(drawn), 1)
        parts.append((np.full(len(taken), slot), movies[taken], labels[taken], weight))
    slot, movie, label, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Samples(slot, movie, label, series.requests(slot), weight)


def draw_windows(
    series: Series,
    slots: range,
    window: int,
    gaps: str,
    count: int | None,
    generator: np.random.Generator,
) -> Samples:
    """Draw ``count`` of the windows (all for None) whose targets are in these slots, unweighted.

    The targets are those of ``build_sequences``: with the gaps ``calendar`` each slot after a movie's
    first request, with ``observed`` the slots with a request after ``window`` others. Slots in which
    no movie is requested have no shares to learn, and are left out.
    """
    if gaps == "observed":
        position = np.arange(len(series.slot)) - series.starts[series.movie]
        inside = (series.slot >= slots.start) & (series.slot < slots.stop) & (position >= window)
        elements = np.flatnonzero(inside)
        chosen = _draw(len(elements), count, generator)
        movie, slot = series.movie[elements[chosen]], series.slot[elements[chosen]]
    else:
        requested = series.requested_slots(slots)
        first_request = series.slot[series.starts[:-1]]
        ends = np.cumsum(len(requested) - np.searchsorted(requested, first_request, side="right"))
        chosen = _draw(int(ends[-1]), count, generator)
        movie = np.searchsorted(ends, chosen, side="right")
        slot = requested[chosen - ends[movie]]
    order = np.argsort(slot, kind="stable")
    movie, slot = movie[order], slot[order]
    labels = series.labels(movie, slot)
    return Samples(slot, movie, labels, series.requests(slot), np.ones(len(slot)))


def _draw(size: int, count: int | None, generator: np.random.Generator) -> Ints:
    if count is None or count >= size:
        return np.arange(size)
    return np.sort(generator.choice(size, count, replace=False, shuffle=False))


def batches(groups: Ints, rows: int, order: Ints) -> Iterator[Ints]:
    """Divide samples into batches of whole groups.

    Parameters
    ----------
    groups
        [n] group of each sample, 0, 0, 1, 1, 1, … in rising order.
    rows
        Most samples of a batch, unless a single group has more.
    order
        The groups in the order to take them.

    Yields
    ------
    Positions of a batch's samples.
    """
    starts = np.searchsorted(groups, np.arange(groups[-1] + 2))
    sizes = np.diff(starts)[order]
    ends = np.cumsum(sizes)
    at = 0
    while at < len(order):
        filled = ends[at] - sizes[at]
        stop = max(int(np.searchsorted(ends, filled + rows, side="right")), at + 1)
        taken = order[at:stop]
        offsets = np.repeat(starts[taken] - (ends[at:stop] - sizes[at:stop] - filled), sizes[at:stop])
        yield offsets + np.arange(ends[stop - 1] - filled)
        at = stop
