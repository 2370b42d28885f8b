"""Shares of mixtures, and weights that follow the last slots, against their definition."""

import numpy as np
import pytest

from popularity import mixtures
from popularity.averages import requested_pairs
from popularity.mixtures import FollowingWeights, MixedShares, Requested
from popularity.offsets import Component, Following, Mixture
from popularity.scoring.cross_entropy import SMOOTHING_SHARE
from small_logs import NOW, other_futures, random_log, series_of

SERIES = series_of(random_log(60, 20, seed=4))
LOG = range(SERIES.first_slot, SERIES.last_slot + 1)
COMPONENTS = (
    Component("counts", 2.0, 0, 0.5),
    Component("season", 1.0, 7, 0.2),
    Component("shares", 9.0, 0, 0.2),
    Component("even", 0.0, 0, 0.1),
)
FOLLOWING = Following(2.0, 15.0)
MIXTURE = Mixture(COMPONENTS, FOLLOWING)


def defined_weights(slots: list[int]) -> list[float]:
    """The definition, request by request: the weights after these slots with requests."""
    alone = [MixedShares(SERIES, Mixture((Component(c.of, c.half_life, c.season),))) for c in COMPONENTS]
    own = [component.weight for component in COMPONENTS]
    weights, explained = own, [0.0] * len(own)
    for slot in slots:
        movies = SERIES.candidates(slot)
        counts = SERIES.labels(movies, slot).tolist()
        if not sum(counts):
            continue
        asked = movies, np.full(len(movies), slot), np.full(len(movies), float(len(movies)))
        each = np.stack([shares(*asked) for shares in alone], axis=1).tolist()
        faded = [0.5 ** (1 / FOLLOWING.half_life) * value for value in explained]
        for _ in range(mixtures.FOLLOWING_ROUNDS):
            now = [0.0] * len(own)
            for count, predicted in zip(counts, each, strict=True):
                parts = [(1 - SMOOTHING_SHARE) * w * p for w, p in zip(weights, predicted, strict=True)]
                whole = sum(parts) + SMOOTHING_SHARE / len(movies)
                now = [value + count * part / whole for value, part in zip(now, parts, strict=True)]
            odds = [FOLLOWING.held * w + f + n for w, f, n in zip(own, faded, now, strict=True)]
            weights = [value / sum(odds) for value in odds]
        explained = [f + n for f, n in zip(faded, now, strict=True)]
    return weights


@pytest.mark.parametrize("followed", [100, 8])
def test_weights_follow_the_slots_as_defined(followed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the slot on in which a whole number of slots with requests, and at least one, were before."""
    monkeypatch.setattr(mixtures, "SLOTS_FOLLOWED", followed)
    made = MixedShares(SERIES, MIXTURE)
    requested = SERIES.requested_slots(LOG).tolist()
    assert len(requested) < len(LOG), "a slot without requests, too"
    slots = [*LOG, LOG.stop]
    weights = made.weights(np.array(slots))
    for slot, found in zip(slots, weights, strict=True):
        before = [one for one in requested if one < slot]
        first = max((len(before) // followed - 1) * followed, 0)
        np.testing.assert_allclose(found, defined_weights(before[first:]), rtol=1e-4)
    assert np.abs(np.diff(weights, axis=0)).max() > 0.01


def test_weights_are_the_same_whatever_is_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixtures, "SLOTS_FOLLOWED", 8)
    whole = MixedShares(SERIES, MIXTURE).weights(np.array(LOG))
    backwards = MixedShares(SERIES, MIXTURE)
    for at in reversed(range(len(LOG))):
        assert backwards.weights(np.array([LOG[at]])).tolist() == [whole[at].tolist()]


def test_after_the_log_the_last_weights_hold_on() -> None:
    made = MixedShares(SERIES, MIXTURE)
    after = made.weights(np.array([LOG.stop, LOG.stop + 1, LOG.stop + 500]))
    assert after[0].tolist() == after[1].tolist() == after[2].tolist()
    assert after[0].tolist() != made.weights(np.array([LOG.stop - 1]))[0].tolist()


def test_weights_that_do_not_follow_stay() -> None:
    made = MixedShares(SERIES, Mixture(COMPONENTS))
    assert made.weights(np.array([LOG.start, LOG.stop + 9])).tolist() == [[0.5, 0.2, 0.2, 0.1]]


@pytest.mark.parametrize("mixture", [MIXTURE, Mixture(COMPONENTS)])
def test_a_mixture_is_the_sum_of_its_components(mixture: Mixture) -> None:
    alone = [MixedShares(SERIES, Mixture((Component(c.of, c.half_life, c.season),))) for c in COMPONENTS]
    slots = np.array([LOG.start + 1, LOG.start + 30, LOG.stop, LOG.stop + 20])
    movies = SERIES.candidates(int(slots[0]))
    pairs = np.tile(movies, 4), np.repeat(slots, len(movies))
    asked = (*pairs, np.repeat([float(len(SERIES.candidates(slot))) for slot in slots], len(movies)))
    made = MixedShares(SERIES, mixture)
    each = np.stack([shares(*asked) for shares in alone], axis=1)
    expected = (each * made.weights(pairs[1])).sum(axis=1)
    np.testing.assert_allclose(made(*asked), expected, rtol=1e-12)
    # Slot by slot, the same.
    parts = [made(*(values[pairs[1] == slot] for values in asked)) for slot in slots]
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-12)


@pytest.mark.parametrize("movies", [2, 250])
@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied"])
def test_weights_before_a_slot_know_nothing_of_it(
    future: str, movies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where some of the slots' movies stand for all."""
    monkeypatch.setattr(mixtures, "MOVIES_FOLLOWED", movies)
    log = random_log()
    weights = [
        MixedShares(series_of(other), MIXTURE).weights(np.arange(NOW - 5, NOW + 1)).tolist()
        for other in (log, other_futures(log)[future])
    ]
    assert weights[0] == weights[1]
    assert weights[0][0] != weights[0][-1]


def test_some_movies_of_a_slot_stand_for_all_its_requests() -> None:
    part = range(LOG.start + 5, LOG.stop - 3)
    whole, labels = requested_pairs(SERIES, part)
    some, scaled = requested_pairs(SERIES, part, 3)
    assert (SERIES.first_request[SERIES.movie[whole]] < SERIES.slot[whole]).all()
    assert labels.tolist() == SERIES.label[whole].tolist()
    assert set(some.tolist()) < set(whole.tolist())
    for slot in np.unique(SERIES.slot[whole]):
        there, kept = SERIES.slot[whole] == slot, SERIES.slot[some] == slot
        assert 1 <= kept.sum() <= 3
        assert scaled[kept].sum() == pytest.approx(labels[there].sum(), rel=1e-6)
        if there.sum() <= 3:
            assert scaled[kept].tolist() == labels[there].tolist()


def test_no_pairs_where_no_movie_is_known() -> None:
    assert not len(requested_pairs(SERIES, range(LOG.start, LOG.start + 1))[0])
    assert not len(requested_pairs(SERIES, range(LOG.start, LOG.start + 1), 3)[0])
    assert not list(Requested(*(np.zeros(0),) * 3, np.zeros((0, 2))).by_slot())  # type: ignore[arg-type]


def test_weights_go_to_what_explains_the_last_slots_and_back_to_their_own() -> None:
    def one(requests: float) -> Requested:
        values = (np.array([requests]), np.array([10.0]), np.array([[0.01, 0.5]]))
        return Requested(np.array([7]), *(value.astype(np.float32) for value in values))

    own = np.array([0.7, 0.3])
    following = FollowingWeights(own, Following(1.0, 20.0))
    for _ in range(3):
        following.add(one(200.0))
    assert following.weights[1] > 0.85
    # Slots with few requests say little; what was seen before is forgotten.
    for _ in range(20):
        following.add(one(1e-6))
    np.testing.assert_allclose(following.weights, own, atol=1e-4)
