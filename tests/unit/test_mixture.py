"""The mixture of averages: its weights against a search, its shares against their definition."""

import numpy as np
import pytest

from popularity.forecasters import mixture
from popularity.forecasters.base import forecast_slots
from popularity.forecasters.mixture import (
    FOLLOWINGS,
    LEAST_WEIGHT,
    MixtureOfAverages,
    chosen_following,
    find_weights,
    mixture_components,
    mixture_forecaster,
    requested_shares,
    tune_mixture,
)
from popularity.mixtures import MixedShares, Requested
from popularity.offsets import Component, Mixture
from popularity.scoring.scores import score_forecasts
from popularity.series import Series
from small_logs import log_of, random_log, series_of

SERIES = series_of(random_log(120, 30, seed=8))
VALIDATION = range(SERIES.first_slot + 80, SERIES.first_slot + 100)
SEASONS = (7, 1000)


def loss(series: Series, made: Mixture, slots: range) -> float:
    """Cross entropy by the scores' own rules, in nats over all requests."""
    forecasts = forecast_slots(mixture_forecaster(series, made), series, series.requested_slots(slots))
    return float(score_forecasts(series, forecasts)["log_loss"].sum())


def alone(component: Component) -> Mixture:
    return Mixture((Component(component.of, component.half_life, component.season, 1.0),))


def test_no_component_alone_is_better_on_the_validation_slots() -> None:
    found = loss(SERIES, tune_mixture(SERIES, SEASONS, VALIDATION), VALIDATION)
    for component in mixture_components(len(SERIES.totals), [7]):
        assert found <= loss(SERIES, alone(component), VALIDATION) + 1e-6


def test_a_log_that_one_component_describes_is_left_to_it() -> None:
    """The last slot's movie again, always: whatever else is mixed in makes it worse."""
    series = series_of(log_of(*((100 + at, 1, 50) for at in range(60)), (90, 2, 1), (91, 3, 1)))
    made = tune_mixture(series, (), range(140, 150))
    best = min(
        loss(series, alone(part), range(140, 150)) for part in mixture_components(len(series.totals), [])
    )
    assert loss(series, made, range(140, 150)) <= best + 1e-6


def test_every_share_is_the_one_its_component_predicts() -> None:
    """The pairs that weights are found on, and the forecaster that they are used by."""
    components = mixture_components(len(SERIES.totals), [7])
    (requested,) = requested_shares(SERIES, components, VALIDATION)
    for at, component in enumerate(components):
        shares = MixedShares(SERIES, alone(component))
        elements = SERIES.elements_in(VALIDATION)
        known = elements[SERIES.first_request[SERIES.movie[elements]] < SERIES.slot[elements]]
        slots = SERIES.slot[known].astype(np.int64)
        candidates = np.array([float(len(SERIES.candidates(slot))) for slot in slots.tolist()])
        made = shares(SERIES.movie[known], slots, candidates)
        np.testing.assert_allclose(requested.shares[:, at], made, rtol=1e-5, err_msg=str(component))


@pytest.mark.parametrize("component", mixture_components(120, [7]), ids=str)
def test_shares_of_all_candidates_add_up_to_one(component: Component) -> None:
    for slot in (SERIES.first_slot + 3, VALIDATION.start, SERIES.last_slot + 30):
        movies = SERIES.candidates(slot)
        assert mixture_forecaster(SERIES, alone(component))(slot, movies).sum() == pytest.approx(1)


def drawn(weights: list[float], requests: int, seed: int = 0) -> Requested:
    """Requests for one of ten movies drawn from a mixture of components that are themselves drawn."""
    draw = np.random.default_rng(seed)
    components = draw.dirichlet(np.ones(10), (requests, len(weights)))
    mixed = np.einsum("k,nkm->nm", weights, components)
    movie = [draw.choice(10, p=row) for row in mixed]
    shares = components[np.arange(requests), :, movie].astype(np.float32)
    ones = np.ones(requests, np.float32)
    return Requested(np.arange(requests), ones, 10 * ones, shares)


def test_weights_are_those_that_requests_were_drawn_with() -> None:
    found = find_weights(drawn([0.6, 0.3, 0.1, 0.0], 20_000), np.full(4, 0.25))
    np.testing.assert_allclose(found, [0.6, 0.3, 0.1, 0.0], atol=0.03)


def test_each_round_makes_the_requests_more_probable(monkeypatch: pytest.MonkeyPatch) -> None:
    requested = drawn([0.5, 0.5, 0.0], 500)
    losses = []
    for rounds in range(6):
        monkeypatch.setattr(mixture, "MOST_ROUNDS", rounds)
        losses.append(requested.loss(find_weights(requested, np.array([0.2, 0.2, 0.6]))))
    assert (np.diff(losses) < 0).all()


def test_a_prior_keeps_what_these_requests_do_not_need() -> None:
    requested = drawn([1.0, 0.0], 2000)
    start = np.array([0.5, 0.5])
    assert find_weights(requested, start)[1] < 0.02
    kept = find_weights(requested, start, start)[1]
    assert 0.1 < kept < 0.3


def test_weights_add_up_to_one_and_none_is_tiny() -> None:
    weights = [part.weight for part in tune_mixture(SERIES, SEASONS, VALIDATION).components]
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= LEAST_WEIGHT / 2


def test_seasons_are_found_where_there_are_some() -> None:
    draw = np.random.default_rng(2)
    # Each movie has one day of the week.
    rows = [
        (1000 + day, movie, int(draw.poisson(40 if day % 7 == movie else 1)) + 1)
        for day in range(140)
        for movie in range(7)
    ]
    series = series_of(log_of(*rows))
    slots = range(1098, 1119)
    made = tune_mixture(series, (7,), slots)
    assert sum(part.weight for part in made.components if part.of == "season") > 0.9
    assert loss(series, made, slots) < 0.7 * loss(series, tune_mixture(series, (), slots), slots)


def test_of_more_pairs_than_allowed_some_of_each_slot_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    components = mixture_components(len(SERIES.totals), [7])
    (whole,) = requested_shares(SERIES, components, VALIDATION)
    monkeypatch.setattr(mixture, "MOST_PAIRS", len(whole.labels) // 2)
    (some,) = requested_shares(SERIES, components, VALIDATION)
    assert 0 < len(some.labels) <= 0.7 * len(whole.labels)
    assert set(map(bytes, some.shares)) <= set(map(bytes, whole.shares))
    assert set(some.slots) == set(whole.slots)
    assert some.labels.sum() == pytest.approx(whole.labels.sum())


def test_parts_computed_together_are_those_computed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    components = mixture_components(len(SERIES.totals), [7])
    parts = [range(VALIDATION.start - 9, VALIDATION.start), VALIDATION]
    for most in (10, 500_000):
        monkeypatch.setattr(mixture, "MOST_PAIRS", most)
        for together, part in zip(requested_shares(SERIES, components, *parts), parts, strict=True):
            (alone,) = requested_shares(SERIES, components, part)
            assert len(alone.labels) > 1
            for name in ("slots", "labels", "candidates", "shares"):
                np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))


def test_no_earlier_slots_leave_the_validation_slots_alone_to_tell() -> None:
    series = series_of(log_of((100, 1, 5), (100, 2, 1), (101, 1, 5), (102, 1, 5), (103, 2, 1)))
    made = tune_mixture(series, (), range(101, 104))
    assert sum(part.weight for part in made.components) == pytest.approx(1)


def test_similar_days_are_offered_where_slots_are_shorter() -> None:
    parts = mixture_components(200, [7, 24], 24)
    assert [(part.season, part.half_life) for part in parts if part.of == "similar"] == [(24, 3.0)]
    assert parts[-1].of == "even"
    # Two kinds of days, as they come: a day that begins like one goes on like it.
    draw = np.random.default_rng(3)
    rows = []
    for day in range(40):
        kind = int(draw.integers(2))
        drawn = draw.multinomial(30, np.where(np.arange(8) // 4 == kind, 0.24, 0.01), 24)
        rows += [
            (24_000 + 24 * day + hour, movie, int(n))
            for hour, counts in enumerate(np.roll(drawn, kind, axis=1))
            for movie, n in enumerate(counts)
            if n
        ]
    slots = range(24_000 + 24 * 25, 24_000 + 24 * 33)
    later = range(24_000 + 24 * 33, 24_000 + 24 * 40)
    series, daily = (series_of(log_of(*rows), name) for name in ("hour", "day"))
    found = tune_mixture(series, (24,), slots)
    without = tune_mixture(series, (24,), slots, similar=False)
    assert "similar" in {part.of for part in found.components}
    assert loss(series, found, later) < loss(series, without, later)
    for other in (without, tune_mixture(series, (12,), slots), tune_mixture(daily, (24,), slots)):
        assert "similar" not in {part.of for part in other.components}


def changing_log() -> Series:
    """For ten slots one movie has most of the requests, another each time; then all are alike for ten."""
    draw = np.random.default_rng(6)
    rows = []
    for at in range(400):
        often = np.arange(60) == at // 10 % 60
        drawn = draw.multinomial(
            80, np.where(often, 0.9, 0.1 / 59) if at // 10 % 2 else np.full(60, 1 / 60)
        )
        rows += [(1000 + at, movie, int(n)) for movie, n in enumerate(drawn) if n]
    return series_of(log_of(*rows))


CHANGING = changing_log()
LATE = range(1240, 1320)


def test_weights_follow_where_what_is_best_changes() -> None:
    found = MixtureOfAverages().tune(CHANGING, LATE)
    stays = MixtureOfAverages(follow=False).tune(CHANGING, LATE)
    assert found.following in FOLLOWINGS
    assert stays.following is None
    assert found.components == stays.components
    assert loss(CHANGING, found, LATE) < 0.995 * loss(CHANGING, stays, LATE)
    # What was chosen on the validation slots is better after them, too.
    after = range(1320, 1400)
    assert loss(CHANGING, found, after) < 0.995 * loss(CHANGING, stays, after)
    components = mixture_components(len(CHANGING.totals), [])
    assert loss(CHANGING, found, LATE) <= min(loss(CHANGING, alone(part), LATE) for part in components)


def test_weights_stay_where_following_gains_nothing() -> None:
    """The share of all earlier requests and the even one are as good in each slot: nothing changes."""
    draw = np.random.default_rng(1)
    drawn = draw.multinomial(30, np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1]), 90)
    rows = [(1000 + at, movie, int(n)) for at, row in enumerate(drawn) for movie, n in enumerate(row) if n]
    assert tune_mixture(series_of(log_of(*rows)), (), range(1040, 1090)).following is None


def in_turns(slots: int, turn: int, better: float) -> Requested:
    """One of two components gives the requested movie the share ``better``, in turns, the other 0.1."""
    at = np.arange(slots)
    shares = np.where((at // turn % 2)[:, None] == [0, 1], better, 0.1).astype(np.float32)
    ones = np.ones(slots, np.float32)
    return Requested(at, 50 * ones, 10 * ones, shares)


def test_how_weights_follow_is_chosen_by_what_it_surely_gains() -> None:
    even = np.array([0.5, 0.5])
    slow, fast = (in_turns(120, turn, 0.4) for turn in (10, 1))
    found = chosen_following(slow, slow, even, even)
    assert found in FOLLOWINGS
    assert chosen_following(fast, fast, even, even) is None
    # With slots before the validation slots alone can it be seen.
    nothing = Requested(slow.slots[:0], slow.labels[:0], slow.candidates[:0], slow.shares[:0])
    assert chosen_following(nothing, slow, even, even) is None
    # One component has nothing to change.
    assert chosen_following(slow, slow, np.array([1.0, 0.0]), np.array([1.0, 0.0])) is None


def test_following_that_gains_in_one_slot_alone_is_not_sure() -> None:
    even = np.array([0.5, 0.5])
    steady = in_turns(120, 1000, 0.1)
    jump = in_turns(120, 1000, 0.1)
    jump.shares[60:62, 0] = 0.9
    assert chosen_following(steady, jump, even, even) is None
