"""What one row of a network is: a movie or all movies, judged at the last step or at every step."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.features import Features
from popularity.forecasters.network.losses import LOSSES
from popularity.forecasters.network.saved import Found
from popularity.program import Fault, Shard, bounds_of_shard
from popularity.samples import (
    BlockBatches,
    RowBatches,
    Training,
    Windows,
    concatenate,
    draw_windows,
    sample_block,
    unroll,
)
from popularity.scoring.scores import Forecasts
from popularity.series import Ints, Series
from popularity.settings.model import TrainingSettings
from popularity.tables import items_of

Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class LastRows:
    """What the last step of a network is computed from, for n rows of K movies.

    Attributes
    ----------
    windows
        float32 [m, window, K * step features], the distinct ones of the rows' windows.
    window
        int [n], which of them each row reads.
    static, offset
        float32 [n, 1, K * static features] and [n, 1, K], of that step alone.
    """

    windows: npt.NDArray[np.float32]
    window: Ints
    static: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]


#: Runs a network's last step: its outputs, float64 [n, 1, K].
Run = Callable[[LastRows], npt.NDArray[np.float64]]

#: The id of the pseudo-movie that all movies not among the most requested are together.
REST = -1
#: Movies without a request that each validation slot draws while a network trains.
VALIDATION_OTHERS = 500
#: About how many rows a network is validated on while it trains, so that long logs don't take long.
VALIDATION_ROWS = 100_000
#: Movies of a slot that are predicted at a time.
PAIRS_AT_ONCE = 1 << 17
#: Rows whose inputs are computed at a time: what they are computed from takes several times as much.
ROWS_AT_ONCE = 1 << 14


def with_rest(series: Series, movies: Ints) -> Series:
    """Join all but these movies, in this order, to one: :data:`REST`, which comes first."""
    number = np.zeros(len(series.movie_ids), dtype=np.int64)
    number[movies] = np.arange(1, len(movies) + 1)
    of = number[series.movie]
    stride = series.last_slot - series.first_slot + 1
    keys, element = np.unique(of * stride + (series.slot - series.first_slot), return_inverse=True)
    label = np.bincount(element, weights=series.label)
    rated = np.where(np.isfinite(series.avg_rating), series.label, 0)
    stars = np.bincount(element, weights=rated * np.nan_to_num(series.avg_rating))
    count = np.bincount(element, weights=rated)
    rating = np.where(count > 0, stars / np.maximum(count, 1), np.nan).astype(np.float32)
    ids = np.concatenate([[REST], series.movie_ids[movies]])
    starts = np.searchsorted(keys, np.arange(len(ids) + 1) * stride)
    slot = (keys % stride + series.first_slot).astype(np.int32)
    if not starts[1]:
        ids, starts = ids[1:], starts[1:]
    return Series(ids, starts, slot, label.astype(np.int32), rating, series.slot_name)


def places_of(series: Series, movies: pa.Table, items: Sequence[str]) -> Ints:
    """Find the numbers of movies by the log's own ids.

    Raises
    ------
    Fault
        If the log has no request for one: a model of all movies cannot do without.
    """
    places = {item: place for place, item in enumerate(items_of(movies, series.movie_ids))}
    missing = [item for item in items if item not in places]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Fault(
            f"the model tells apart {len(items)} movies, and this log has no request for {missing[0]!r:.60}"
            f"{more}: use a log that has, or train anew"
        )
    return np.array([places[item] for item in items], np.int64)


class Framing:
    """Turns a log into a network's rows, and its outputs into forecasts.

    A row holds K movies in T slots: K is 1 (``input: movie``) or the ``covered_movies`` and the rest
    (``all_movies``); T is 1 (``output: last_step``) or the window's length (``every_step``), where
    each step predicts the slot after it.

    Parameters
    ----------
    series
        The log.
    movies
        :data:`tables.MOVIES`.
    settings
        What the model was asked.
    found
        What was found before its training: with ``covered_movies`` where its input is all movies.
    """

    def __init__(self, series: Series, movies: pa.Table, settings: TrainingSettings, found: Found) -> None:
        self._log = series
        self._settings = settings
        self._loss = LOSSES[settings.model.loss]
        self.steps = settings.window if settings.model.every_step else 1
        self._all_movies = settings.model.of_all_movies
        self.series = series
        if self._all_movies:
            self.series = with_rest(series, places_of(series, movies, found.covered_movies or ()))
        window = 1 if self.steps > 1 else settings.window
        self._features = Features.of_catalogue(
            self.series,
            movies,
            settings.model.features,
            settings.slot,
            window,
            settings.gaps,
            found.offset,
            found.seasons,
            found.genre_names,
        )

    def training(self, slots: range, seed: int) -> Training:
        """Make what to train on."""
        settings = self._settings.model
        rows = settings.batch_size
        generator = np.random.default_rng(seed)
        if self._all_movies:
            last = np.arange(slots.stop - 1, slots.start + self.steps - 2, -self.steps)[::-1]
            return RowBatches(self._of_all_movies(slots, last), rows, seed, settings.epoch_steps)
        if self._loss.whole_slots:
            return BlockBatches(
                self.series,
                slots,
                self.steps,
                settings.sampled_movies,
                rows,
                seed,
                settings.epoch_steps,
                settings.requested_movies,
            )
        windows = draw_windows(
            self.series,
            slots,
            self._settings.window,
            self._settings.gaps,
            self.steps,
            settings.training_windows,
            generator,
        )
        return RowBatches(windows, rows, seed, settings.epoch_steps)

    def validation(self, slots: range, seed: int) -> Windows:
        """Rows to watch the training by: of slots spread evenly, their last steps alone."""
        generator = np.random.default_rng(seed)
        requested = self.series.requested_slots(slots)
        if self._all_movies:
            return self._last_steps(self._of_all_movies(slots, requested))
        size = len(self.series.elements_in(slots)) + VALIDATION_OTHERS * len(requested)
        some = requested[:: -(-size // VALIDATION_ROWS)]
        parts = [
            sample_block(self.series, range(slot, slot + 1), VALIDATION_OTHERS, generator)
            for slot in some.tolist()
        ]
        taken = concatenate(parts)
        if self.steps == 1:
            return taken
        rows = unroll(self.series, slots, taken.movie, taken.slot[:, 0], self.steps)
        rows.label[:, -1:], rows.weight[:, -1:] = taken.label, taken.weight
        return self._last_steps(rows)

    def _of_all_movies(self, slots: range, last: Ints) -> Windows:
        movies = np.broadcast_to(
            np.arange(len(self.series.movie_ids)), (len(last), len(self.series.movie_ids))
        )
        return unroll(self.series, slots, movies, last, self.steps)

    def _last_steps(self, windows: Windows) -> Windows:
        windows.label[:, :-1] = windows.weight[:, :-1] = 0
        return windows

    def inputs(self, windows: Windows) -> Arrays:
        """Make a network's inputs.

        Returns
        -------
        float32 ``steps`` [n, window, K * step features], ``static`` [n, T, K * static features] and
        ``offset`` [n, T, K], in the unit of the network's outputs (:class:`losses.Loss`).
        """
        return self._inputs(windows.movie, windows.slot)

    def last_rows(self, windows: Windows) -> LastRows:
        """Make what the last step of rows is computed from."""
        starts = range(0, len(windows), ROWS_AT_ONCE)
        parts = [windows.take(slice(start, start + ROWS_AT_ONCE)) for start in starts]
        read, place = _distinct(np.concatenate([self._steps(part.movie, part.slot) for part in parts]))
        static = [self._static(part.movie, part.slot[:, -1:]) for part in parts]
        return LastRows(
            read, place, *(np.concatenate([part[name] for part in static]) for name in ("static", "offset"))
        )

    def _inputs(self, movie: Ints, slot: Ints) -> Arrays:
        return {"steps": self._steps(movie, slot), **self._static(movie, slot)}

    def _steps(self, movie: Ints, slot: Ints) -> npt.NDArray[np.float32]:
        made = self._features.steps(*_pairs(movie, slot))
        window, features = made.shape[1:]
        rows, count = movie.shape
        steps = np.moveaxis(made.reshape(rows, slot.shape[1], count, window, features), 3, 2)
        return steps.reshape(rows, slot.shape[1] * window, count * features)

    def _static(self, movie: Ints, slot: Ints) -> Arrays:
        made = self._features.static(*_pairs(movie, slot))
        rows, count = movie.shape
        return {
            "static": made["static"].reshape(rows, slot.shape[1], count * made["static"].shape[1]),
            "offset": self._offset_in_output_units(made["offset"]).reshape(rows, slot.shape[1], count),
        }

    def _offset_in_output_units(self, offset: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Give the offset, a log of a share, in the unit of the network's outputs."""
        return offset if self._settings.model.offset == "none" else self._loss.from_log_shares(offset)

    def pairs(self, slots: Ints) -> int:
        """Count the pairs of one of these slots and a candidate of it."""
        return int(self._features.candidates(slots).sum())

    def forecasts(self, runs: Sequence[Run], slots: Ints, shard: Shard = (0, 1)) -> Iterator[Forecasts]:
        """Predict by each run the shares of the movies that the model covers, among each slot's candidates.

        Numbers of movies are those of the log, whatever the model's input. Of ``shard`` (i, n) it is the
        i-th of n parts of the slots.
        """
        first, end = bounds_of_shard(len(slots), shard)
        if self._all_movies:
            # A row for each slot is little work, and where it stands among the others stays the same.
            yield from itertools.islice(self._forecasts_of_all_movies(runs, slots), first, end)
            return
        for slot in slots[first:end].tolist():
            movies = self.series.candidates(slot)
            parts = np.array_split(movies, max(-(-len(movies) // PAIRS_AT_ONCE), 1))
            made: list[list[npt.NDArray[np.float64]]] = [[] for _ in runs]
            for part in parts:
                rows = self._last_rows(part, slot)
                for outputs, run in zip(made, runs, strict=True):
                    outputs.append(run(rows)[:, -1, 0])
            at = np.full(len(movies), slot)
            yield slot, movies, [self._loss.to_shares(np.concatenate(outputs), at) for outputs in made]

    def _last_rows(self, movies: Ints, slot: int) -> LastRows:
        """Compute the last steps of some candidates of a slot."""
        distinct, window = movies, np.arange(len(movies))
        if self._settings.gaps == "calendar":
            # A window without requests is the same for every movie: most of a long log's are.
            idle = self.series.idle(movies, slot, self._settings.window)
            distinct = np.concatenate([movies[~idle], movies[idle][:1]])
            window = np.where(idle, len(distinct) - 1, np.cumsum(~idle) - 1)
        if self.steps == 1:
            windows = self._steps(distinct[:, None], np.full((len(distinct), 1), slot))
        else:
            windows = self._features.steps_until(distinct, slot, self.steps)
        windows, place = _distinct(windows)
        return LastRows(
            windows, place[window], **self._static(movies[:, None], np.full((len(movies), 1), slot))
        )

    def _forecasts_of_all_movies(self, runs: Sequence[Run], slots: Ints) -> Iterator[Forecasts]:
        ids = self.series.movie_ids
        ours = ids != REST
        movie = np.broadcast_to(np.arange(len(ids)), (len(slots), len(ids)))
        rows = slots[:, None] + np.arange(1 - self.steps, 1)
        static = self._static(movie, rows[:, -1:])
        inputs = LastRows(self._steps(movie, rows), np.arange(len(slots)), **static)
        outputs = [run(inputs)[:, -1] for run in runs]
        numbers = np.searchsorted(self._log.movie_ids, ids)
        for at, slot in enumerate(slots.tolist()):
            known = self.series.first_request < slot
            covered = numbers[known & ours]
            order = np.argsort(covered)
            of_slot = np.full(known.sum(), slot)
            shares = [self._loss.to_shares(values[at][known], of_slot) for values in outputs]
            yield slot, covered[order], [one[ours[known]][order] for one in shares]


def _distinct(windows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], Ints]:
    """Find the distinct windows, bit by bit, of some [n, …], and which of them each one is, int [n].

    Where a window holds little but requests, few of them differ: most movies have none or one in a slot.
    """
    size = windows[0].nbytes if len(windows) else 0
    if not size:
        return windows, np.arange(len(windows))
    bits = np.ascontiguousarray(windows).view(np.uint8).reshape(len(windows), size)
    _, first, place = np.unique(bits.view(f"V{size}")[:, 0], return_index=True, return_inverse=True)
    return windows[first], place


def _pairs(movie: Ints, slot: Ints) -> tuple[Ints, Ints]:
    """List the pairs of the movies [n, K] and the slots [n, T] of rows, each int [n * T * K]."""
    pairs = (len(movie), slot.shape[1], movie.shape[1])
    return (
        np.broadcast_to(movie[:, None, :], pairs).reshape(-1),
        np.broadcast_to(slot[:, :, None], pairs).reshape(-1),
    )
