"""Framings: what a row of a network holds, what it may see, and which forecasts come of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from popularity import tables
from popularity.forecasters.network import framings
from popularity.forecasters.network.framings import REST, Arrays, Framing, LastRows, with_rest
from popularity.forecasters.network.losses import LOSSES
from popularity.forecasters.network.saved import Asked
from popularity.program import Fault
from popularity.samples import concatenate, unroll
from popularity.scoring.scores import Forecast
from popularity.series import Series
from small_logs import FIRST_SLOT, NOW, catalogue_of, log_of, other_futures, random_log, series_of
from small_networks import asked_of, found_of

LOG = random_log(movies=15)
SERIES = series_of(LOG)
SLOTS = range(FIRST_SLOT + 2, NOW)
WINDOW = 4
FRAMES = [(one, out) for one in ("movie", "all_movies") for out in ("last_step", "every_step")]
ALL_FRAMES = pytest.mark.parametrize(("one", "out"), FRAMES)


def asked_to(one: str, out: str, **changes: Any) -> Asked:
    settings = {
        "input": one,
        "output": out,
        "window": WINDOW,
        "gaps": "calendar",
        "features": ["log_count", "log_share", "ewma_3", "log_age", "mean_rating", "calendar"],
        "offset": "ewma",
        "loss": "poisson",
        "batch_size": 16,
        "sampled_movies": 3,
        "epoch_steps": None,
        "training_windows": 60,
        **changes,
    }
    return asked_of(settings)


def most_requested(series: Series, slots: range, count: int) -> list[int]:
    """Ids of the movies with the most requests."""
    return [int(movie) for movie in series.movie_ids[series.most_requested(slots, count)]]


def framing_of(
    one: str,
    out: str,
    log: pd.DataFrame = LOG,
    covered_movies: Sequence[int] | None = None,
    **changes: Any,
) -> Framing:
    series = series_of(log)
    asked = asked_to(one, out, **changes)
    found = found_of(asked, series, SLOTS)
    if covered_movies is not None:
        found = dataclasses.replace(found, covered_movies=tuple(map(str, covered_movies)))
    return Framing(series, catalogue_of(log), asked.settings, found)


def mixing(inputs: Arrays) -> np.ndarray:
    """Make outputs that depend on all that a row says up to each step."""
    steps, targets = inputs["steps"].sum(axis=2), inputs["offset"].shape[1]
    seen = np.cumsum(steps, axis=1)[:, -targets:, None]
    sums = inputs["offset"] + 0.1 * seen + 0.1 * inputs["static"].sum(axis=2, keepdims=True)
    return np.asarray(np.tanh(sums), np.float64)


def forecasts_of(
    framing: Framing, slots: list[int], run: Callable[[Arrays], np.ndarray] = mixing
) -> list[Forecast]:
    def of_rows(rows: LastRows) -> np.ndarray:
        steps = rows.windows[rows.window]
        return run({"steps": steps, "static": rows.static, "offset": rows.offset})

    made = framing.forecasts([of_rows], np.array(slots, dtype=int))
    return [(slot, movies, shares) for slot, movies, (shares,) in made]


# ------------------------------------------------------------------------------------ all movies


def test_the_rest_is_the_sum_of_all_other_movies_by_brute_force() -> None:
    movies = np.array([1, 4, 5])
    joined = with_rest(SERIES, movies)
    covered = SERIES.movie_ids[movies].tolist()
    assert joined.movie_ids.tolist() == [REST, *covered]
    as_rest = LOG.assign(movieId=LOG["movieId"].where(LOG["movieId"].isin(covered), REST))
    found = {
        (int(joined.movie_ids[joined.movie[at]]), int(joined.slot[at])): at
        for at in range(len(joined.slot))
    }
    groups = as_rest.groupby(["movieId", "slot"])
    keyed = {(int(rows["movieId"].iloc[0]), int(rows["slot"].iloc[0])): rows for _, rows in groups}
    assert list(found) == sorted(keyed)
    for key, rows in keyed.items():
        at = found[key]
        assert joined.label[at] == rows["label"].sum()
        rated = rows[rows["avg_rating"].notna()]
        mean = np.average(rated["avg_rating"], weights=rated["label"]) if len(rated) else np.nan
        assert joined.avg_rating[at] == pytest.approx(mean, rel=1e-6, nan_ok=True)
    # Sums of slots, and with them shares, are kept.
    assert joined.totals.tolist() == SERIES.totals.tolist()
    assert joined.first_slot == SERIES.first_slot


def test_without_other_movies_there_is_no_rest() -> None:
    joined = with_rest(SERIES, np.arange(len(SERIES.movie_ids)))
    assert joined.movie_ids.tolist() == SERIES.movie_ids.tolist()
    for name in ("starts", "slot", "label", "first_request"):
        assert getattr(joined, name).tolist() == getattr(SERIES, name).tolist()
    assert with_rest(SERIES, np.zeros(0, int)).movie_ids.tolist() == [REST]


def test_most_requested_movies_are_those_of_the_slots() -> None:
    counts = LOG[LOG["slot"].isin(SLOTS)].groupby("movieId")["label"].sum()
    for count in (1, 4, 9):
        top = SERIES.movie_ids[SERIES.most_requested(SLOTS, count)].tolist()
        assert top == sorted(top)
        assert len(top) == count
        assert counts[top].min() >= counts.drop(top).max()
    everything = SERIES.movie_ids[SERIES.most_requested(SLOTS, 1000)]
    assert everything.tolist() == sorted(counts.index)
    tied = series_of(log_of((1, 5, 2), (1, 3, 2), (1, 9, 2), (2, 8, 7)))
    assert tied.movie_ids[tied.most_requested(range(1, 2), 2)].tolist() == [3, 5]


# -------------------------------------------------------------------------------------- the rows


@ALL_FRAMES
@pytest.mark.parametrize("window", [1, 2, 4])
def test_shapes_of_inputs(one: str, out: str, window: int) -> None:
    framing = framing_of(one, out, window=window)
    for windows in (next(framing.training(SLOTS, 1).batches(0))[1], framing.validation(SLOTS, 1)):
        inputs = framing.inputs(windows)
        targets = window if out == "every_step" else 1
        movies = 7 if one == "all_movies" else 1
        assert windows.label.shape == (len(windows), targets, movies)
        assert inputs["steps"].shape == (len(windows), window, movies * 2)
        # The calendar has two values.
        assert inputs["static"].shape == (len(windows), targets, movies * 5)
        assert inputs["offset"].shape == (len(windows), targets, movies)
        assert {values.dtype for values in inputs.values()} == {np.dtype(np.float32)}
        assert all(np.isfinite(values).all() for values in inputs.values())


@ALL_FRAMES
def test_inputs_by_brute_force(one: str, out: str) -> None:
    framing = framing_of(one, out, features=["log_count", "log_total", "log_age"], offset="none")
    framing = framing_of(one, out, features=["log_count", "log_total", "log_age"], offset="none")
    windows = framing.validation(SLOTS, 1)
    inputs = framing.inputs(windows)
    ids = framing.series.movie_ids
    covered = set(ids.tolist())
    named = LOG.assign(movieId=LOG["movieId"].where(LOG["movieId"].isin(covered), REST))
    counts = named.groupby(["slot", "movieId"])["label"].sum().to_dict()
    totals = LOG.groupby("slot")["label"].sum().to_dict()
    first = named.groupby("movieId")["slot"].min()
    for row in range(0, len(windows), 7):
        movies, last = ids[windows.movie[row]].tolist(), int(windows.slot[row, -1])
        expected = [
            [value for movie in movies for value in (counts.get((slot, movie), 0), totals.get(slot, 0))]
            for slot in range(last - WINDOW, last)
        ]
        assert inputs["steps"][row] == pytest.approx(np.log1p(expected), rel=1e-6)
        ages = np.maximum(windows.slot[row][:, None] - first[movies].to_numpy(), 0)
        assert inputs["static"][row] == pytest.approx(np.log1p(ages), rel=1e-6)
    assert not inputs["offset"].any()


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "poisson"])
@pytest.mark.parametrize("out", ["last_step", "every_step"])
def test_training_windows_of_a_movie(out: str, loss: str) -> None:
    framing = framing_of("movie", out, loss=loss)
    made = concatenate([windows for _, windows in framing.training(SLOTS, 1).batches(0)])
    assert made.slot.max() < SLOTS.stop
    assert not made.weight[(made.slot < SLOTS.start)].any()
    if loss == "poisson":
        assert len(made) == 60
    assert (made.weight.sum(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mse"])
def test_training_rows_of_all_movies_cover_the_slots_once(loss: str) -> None:
    requested = SERIES.requested_slots(SLOTS).tolist()
    for out, learned in (("last_step", SLOTS), ("every_step", SLOTS[len(SLOTS) % WINDOW :])):
        framing = framing_of("all_movies", out, loss=loss)
        made = concatenate([windows for _, windows in framing.training(SLOTS, 1).batches(3)])
        assert sorted(made.slot.reshape(-1).tolist()) == list(learned)
        assert (made.movie == np.arange(7)).all()
        first = framing.series.first_request[made.movie][:, None, :]
        expected = (made.slot[:, :, None] > first) & np.isin(made.slot, requested)[:, :, None]
        assert np.array_equal(made.weight, expected)
        # All of a slot's requests are told, but those of movies not known yet.
        sums = made.label.sum(axis=2)
        everyone = np.where(expected.all(axis=2), framing.series.requests(made.slot), sums)
        assert np.array_equal(sums, everyone)


@ALL_FRAMES
def test_validation_judges_the_last_steps_of_the_slots(one: str, out: str) -> None:
    framing = framing_of(one, out)
    windows = framing.validation(SLOTS, 1)
    assert not windows.weight[:, :-1].any()
    assert not windows.label[:, :-1].any()
    judged = windows.slot[:, -1][windows.weight[:, -1].any(axis=1)]
    requested = SERIES.requested_slots(SLOTS).tolist()
    assert sorted(set(judged.tolist())) == requested
    # So few movies that none has to be drawn.
    assert set(windows.weight.reshape(-1)) <= {0.0, 1.0}
    for slot in requested:
        weight = windows.weight[windows.slot[:, -1] == slot].sum()
        assert weight == len(framing.series.candidates(slot))
        label = windows.label[windows.slot[:, -1] == slot].sum()
        known = framing.series.candidates(slot)
        assert label == framing.series.labels(known, slot).sum()


def test_validation_takes_slots_evenly_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framings, "VALIDATION_OTHERS", 5)
    monkeypatch.setattr(framings, "VALIDATION_ROWS", 60)
    for out in ("last_step", "every_step"):
        windows = framing_of("movie", out).validation(SLOTS, 1)
        requested = SERIES.requested_slots(SLOTS)
        slots = np.unique(windows.slot[:, -1])
        assert 1 < len(slots) < len(requested)
        places = np.searchsorted(requested, slots)
        (step,) = set(np.diff(places))
        assert step > 1
        # From the first to the last: none is left out at either end.
        assert places[0] == 0
        assert places[-1] + step >= len(requested)
        assert len(windows) < 100
        for slot in slots:
            weight = windows.weight[windows.slot[:, -1] == slot].sum()
            assert weight == pytest.approx(len(SERIES.candidates(slot)))


# ------------------------------------------------------------------------------------- the future


@ALL_FRAMES
@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied", "rated anew"])
def test_nothing_learned_or_predicted_depends_on_later_slots(future: str, one: str, out: str) -> None:
    made = []
    for loss in ("softmax_cross_entropy", "mse"):
        for log in (LOG, other_futures(LOG)[future]):
            # The rest, too, is known before NOW.
            framing = framing_of(one, out, log, loss=loss, features=["log_count", "ewma_3", "mean_rating"])
            found: list[np.ndarray] = []
            for epoch in (0, 1):
                for _, windows in framing.training(SLOTS, 1).batches(epoch):
                    found += [framing.series.movie_ids[windows.movie], windows.slot]
                    found += [windows.label, windows.weight, *framing.inputs(windows).values()]
            windows = framing.validation(SLOTS, 1)
            found += [windows.label, windows.weight, *framing.inputs(windows).values()]
            for slot, movies, shares in forecasts_of(framing, list(range(FIRST_SLOT + 5, NOW + 1))):
                found += [np.array(slot), series_of(log).movie_ids[movies], shares]
            made.append(found)
        before, after = made[-2:]
        assert len(before) == len(after) > 50
        assert all(map(np.array_equal, before, after))


def test_a_slots_row_of_all_movies_shows_nothing_of_it_or_later_ones() -> None:
    """Each row on its own, as its movies' first requests are in the future of some."""
    covered = SERIES.movie_ids[[2, 8, 9, 12]].tolist()
    assert SERIES.first_request[SERIES.movie_ids == max(covered)] > FIRST_SLOT + 3
    for slot in range(FIRST_SLOT + 5, NOW, 4):
        log = LOG.assign(label=LOG["label"].where(LOG["slot"] < slot, LOG["label"] * 9 + 1))
        log.loc[log["slot"] >= slot, "avg_rating"] = 1.0
        later = log["movieId"].isin(covered) & (log["slot"] >= slot)
        log.loc[later, "slot"] += 3
        log = log.groupby(["slot", "movieId"], as_index=False).agg({"label": "sum", "avg_rating": "mean"})
        for out in ("last_step", "every_step"):
            one, other = (
                framing_of("all_movies", out, made, covered_movies=covered) for made in (LOG, log)
            )
            movie, at = np.arange(5)[None], np.array([slot])
            rows = [
                framing.inputs(unroll(framing.series, SLOTS, movie, at, framing.steps))
                for framing in (one, other)
            ]
            for name, values in rows[0].items():
                assert np.array_equal(values, rows[1][name]), (slot, out, name)


def renumbered(log: pd.DataFrame) -> tuple[pd.DataFrame, pa.Table]:
    """Give each movie another number, in another order, as another catalogue would."""
    ids = sorted(set(log["movieId"]))
    numbers = {movie: 1000 - place for place, movie in enumerate(ids)}
    movies = catalogue_of(log)
    column = pa.array([numbers[movie] for movie in movies["movieId"].to_pylist()], pa.int32())
    return log.assign(movieId=log["movieId"].map(numbers)), movies.set_column(0, "movieId", column)


def test_a_model_of_all_movies_knows_them_by_the_log_s_own_ids() -> None:
    covered = SERIES.movie_ids[[2, 8, 9]].tolist()
    framing = framing_of("all_movies", "last_step", covered_movies=covered)
    log, movies = renumbered(LOG)
    asked = asked_to("all_movies", "last_step")
    found = dataclasses.replace(found_of(asked, SERIES, SLOTS), covered_movies=tuple(map(str, covered)))
    other = Framing(series_of(log), movies, asked.settings, found)
    slots = list(range(NOW, NOW + 3))
    for one, two in zip(forecasts_of(framing, slots), forecasts_of(other, slots), strict=True):
        ids = [SERIES.movie_ids[one[1]], series_of(log).movie_ids[two[1]]]
        by_item = [
            dict(zip(tables.items_of(catalogue, part), shares.tolist(), strict=True))
            for catalogue, part, shares in zip(
                (catalogue_of(LOG), movies), ids, (one[2], two[2]), strict=True
            )
        ]
        assert by_item[0] == by_item[1]
    few = log[~log["movieId"].isin([int(i) for i in series_of(log).movie_ids[two[1][:1]]])]
    with pytest.raises(Fault, match="the model tells apart 3 movies, and this log has no request for"):
        Framing(series_of(few), movies, asked.settings, found)


# ---------------------------------------------------------------------------------- the forecasts


def candidates_of(framing: Framing, one: str, slot: int) -> list[int]:
    known = SERIES.candidates(slot)
    covered = np.isin(SERIES.movie_ids[known], framing.series.movie_ids)
    return [int(movie) for movie in (known[covered] if one == "all_movies" else known)]


@ALL_FRAMES
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "poisson"])
def test_forecasts_are_of_every_candidate_of_each_slot(loss: str, one: str, out: str) -> None:
    framing = framing_of(one, out, loss=loss)
    slots = SERIES.requested_slots(range(FIRST_SLOT, SERIES.last_slot + 1)).tolist()
    made = forecasts_of(framing, [*slots, SERIES.last_slot + 1])
    assert [slot for slot, _, _ in made] == [*slots, SERIES.last_slot + 1]
    for slot, movies, shares in made:
        assert movies.tolist() == candidates_of(framing, one, slot)
        assert len(shares) == len(movies)
        if loss == "softmax_cross_entropy" and one == "movie" and len(movies):
            assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert forecasts_of(framing, []) == []


@ALL_FRAMES
def test_forecasts_are_those_of_each_pairs_own_row(one: str, out: str) -> None:
    framing = framing_of(one, out)
    slots = list(range(FIRST_SLOT + 8, FIRST_SLOT + 20))
    ids = framing.series.movie_ids
    for slot, movies, shares in forecasts_of(framing, slots):
        at = np.searchsorted(ids, SERIES.movie_ids[movies])
        rows = np.arange(len(ids))[None] if one == "all_movies" else at[:, None]
        last = np.full(len(rows), slot)
        windows = unroll(framing.series, SLOTS, rows, last, framing.steps)
        outputs = mixing(framing.inputs(windows))[:, -1]
        expected = np.exp(outputs[0, at] if one == "all_movies" else outputs[:, 0])
        assert shares == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("out", ["last_step", "every_step"])
def test_forecasts_do_not_depend_on_chunks(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    framing = framing_of("movie", out, loss="softmax_cross_entropy")
    slots = list(range(FIRST_SLOT, FIRST_SLOT + 20))
    made = []
    for pairs in (1 << 17, 1, 7, 20):
        monkeypatch.setattr(framings, "PAIRS_AT_ONCE", pairs)
        made.append(forecasts_of(framing, slots))
    for other in made[1:]:
        for (slot, movies, shares), (slot_2, movies_2, shares_2) in zip(made[0], other, strict=True):
            assert (slot, movies.tolist()) == (slot_2, movies_2.tolist())
            assert shares == pytest.approx(shares_2, rel=1e-12)


def test_movies_not_known_yet_have_no_part_in_a_softmax() -> None:
    covered = SERIES.movie_ids.tolist()
    framing = framing_of("all_movies", "last_step", loss="softmax_cross_entropy", covered_movies=covered)
    sizes = set()
    for slot, movies, shares in forecasts_of(framing, list(range(FIRST_SLOT + 1, NOW))):
        assert movies.tolist() == SERIES.candidates(slot).tolist()
        assert shares.sum() == pytest.approx(1)
        sizes.add(len(movies))
    assert len(sizes) > 2


@ALL_FRAMES
def test_an_offset_alone_is_the_average_in_the_unit_of_every_loss(one: str, out: str) -> None:
    made = {
        loss: forecasts_of(framing_of(one, out, loss=loss), [NOW, NOW + 3], lambda inputs: inputs["offset"])
        for loss in LOSSES
    }
    for loss in LOSSES:
        for (_, _, shares), (_, _, expected) in zip(made[loss], made["mse"], strict=True):
            assert shares == pytest.approx(expected, rel=2e-6), loss


def test_outputs_become_shares_of_each_slot() -> None:
    slots, z = np.array([5, 5, 9, 9, 9, 2]), np.array([1.0, 2, 0, -1, 3, 7])
    weight = np.array([1.0, 4, 1, 2, 2, 1])
    softmax = [loss for loss in LOSSES.values() if loss.whole_slots]
    assert len(softmax) == 2
    for loss in softmax:
        shares = loss.to_shares(z * 300, slots, weight)
        sums = np.bincount(slots, shares * weight)
        assert sums[[2, 5, 9]] == pytest.approx([1, 1, 1])
        odds = np.exp(z[:2])
        assert loss.to_shares(z, slots)[:2] == pytest.approx(odds / odds.sum())
        assert loss.to_shares(z, slots, weight)[:2] == pytest.approx(odds / (odds @ weight[:2]))
    assert LOSSES["poisson"].to_shares(z, slots) == pytest.approx(np.exp(z))
    assert LOSSES["binary_cross_entropy"].to_shares(z, slots) == pytest.approx(np.exp(z) / (1 + np.exp(z)))
    for loss in (loss for loss in LOSSES.values() if loss.of_shares):
        assert loss.to_shares(z, slots).tolist() == z.tolist()


def test_a_window_is_read_once_however_many_movies_have_it() -> None:
    framing = framing_of("movie", "last_step")
    slot = SLOTS.stop - 1
    read: list[LastRows] = []

    def run(rows: LastRows) -> np.ndarray:
        read.append(rows)
        return np.zeros((len(rows.window), 1, 1))

    ((_, movies, both),) = framing.forecasts([run, run], np.array([slot]))
    assert len(both) == 2
    rows, again = read
    assert again is rows
    distinct = {window.tobytes() for window in rows.windows}
    assert len(distinct) == len(rows.windows) < len(movies)
    inputs = framing.inputs(unroll(framing.series, SLOTS, movies[:, None], np.full(len(movies), slot), 1))
    assert rows.windows[rows.window].tolist() == inputs["steps"].tolist()


@pytest.mark.parametrize("rows", [3, 1 << 14])
@ALL_FRAMES
def test_the_last_step_of_rows_is_made_of_the_end_of_their_inputs(
    one: str, out: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framings, "ROWS_AT_ONCE", rows)
    framing = framing_of(one, out)
    windows = framing.validation(SLOTS, 1)
    made, inputs = framing.last_rows(windows), framing.inputs(windows)
    assert len(np.unique(made.windows, axis=0)) == len(made.windows)
    assert made.windows[made.window].tolist() == inputs["steps"].tolist()
    assert made.static.tolist() == inputs["static"][:, -1:].tolist()
    assert made.offset.tolist() == inputs["offset"][:, -1:].tolist()
