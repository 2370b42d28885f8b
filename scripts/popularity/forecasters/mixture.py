"""A weighted mixture of averages, whose weights are found on the validation slots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from popularity.averages import (
    AllTimeShares,
    candidate_numbers,
    decayed_totals,
    requested_pairs,
    requested_with_decayed_sums,
    seasonal_shares,
)
from popularity.decay import Decay
from popularity.forecasters.averages import OffsetMethod
from popularity.forecasters.base import Floats, Forecaster, SimpleMethod, method_of, register
from popularity.mixtures import (
    SLOTS_FOLLOWED,
    FollowingWeights,
    MixedShares,
    Requested,
)
from popularity.offsets import Component, Following, Mixture, families
from popularity.scoring.cross_entropy import SMOOTHING_SHARE
from popularity.seasons import SeasonalSums, covered_seasons
from popularity.series import Ints, Series
from popularity.settings.baselines import Baseline
from popularity.settings.fields import Limits, setting
from popularity.settings.slots import SLOTS_OF_A_DAY
from popularity.similar import COMPARED_HALF_LIFE, SimilarSeasons
from popularity.slots import length_of

#: Half-lives of averages over all slots: from one slot on, each so many times the one before.
HALF_LIFE_STEP = 3
#: Half-lives of averages over one place of a season, in seasons.
SEASON_HALF_LIVES = (0.5, 2.0, 8.0, 32.0)
#: How much the weights found on earlier slots count when those of the validation slots are found, as a
#: share of the requests of the validation slots.
PRIOR = 0.3
#: Smaller weights become 0.
LEAST_WEIGHT = 0.01
#: Rounds of expectation-maximisation, and the largest change of a weight that ends them.
MOST_ROUNDS = 500
TOLERANCE = 1e-5
#: Pairs of a movie and a slot with requests that weights are found on; of more, evenly spread ones.
MOST_PAIRS = 500_000
#: Pairs that a round goes through at a time: so many that they stay in the processor's cache.
PAIRS_AT_ONCE = 1 << 14
#: How weights may follow the last slots, besides not at all.
FOLLOWINGS = [Following(half_life, held) for half_life in (1.0, 3.0, 9.0) for held in (20.0, 200.0)]
#: Standard errors by which following has to be better than weights that stay.
CLEAR = 2.0

Seasons = tuple[Annotated[int, Limits(minimum=2)], ...]


@register("mixture")
@dataclass(frozen=True)
class MixtureOfAverages(SimpleMethod[Mixture], OffsetMethod):
    """Weighted sum of averages of many half-lives, over all slots and over one place of each season."""

    parameters: ClassVar[type[Mixture]] = Mixture

    seasons: Seasons | None = setting(
        "Lengths in slots of the seasons (if not given: those of the settings).", None, unique=True
    )
    follow: bool = setting(
        "Let the weights follow the last slots, where that is clearly better on the validation slots.", True
    )
    similar: bool = setting(
        "Offer the average over those of the last days that went like this one, where slots are shorter.",
        True,
    )

    def tune(self, series: Series, slots: range) -> Mixture:
        """Find the weights."""
        return tune_mixture(series, self.seasons or (), slots, self.follow, self.similar)

    def offset(self, series: Series, slots: range) -> Mixture:
        """Start from the same mixture."""
        return self.tune(series, slots)

    def forecaster(self, series: Series, parameters: Mixture) -> Forecaster:
        """Make the forecaster."""
        return mixture_forecaster(series, parameters)


def mixture_forecaster(series: Series, mixture: Mixture) -> Forecaster:
    """Forecast by a mixture of averages."""
    shares = MixedShares(series, mixture)

    def forecast(slot: int, movies: Ints) -> Floats:
        size = len(movies)
        return shares(movies, np.full(size, slot), np.full(size, float(size)))

    return forecast


def tuned_offset(entry: Baseline | None, series: Series, slots: range) -> Mixture | None:
    """Choose the averages that an offset's entry of baselines describes, by these slots' cross entropy."""
    if entry is None:
        return None
    return method_of(entry, OffsetMethod).offset(series, slots)


def mixture_components(slots: int, seasons: Sequence[int], day: int | None = None) -> list[Component]:
    """List the components of a log with this number of slots, and these seasons and days (in slots)."""
    half_lives = [1.0]
    while half_lives[-1] < slots:
        half_lives.append(half_lives[-1] * HALF_LIFE_STEP)
    return [
        *(Component(of, half_life) for of in ("counts", "shares") for half_life in half_lives),
        *(Component("season", half_life, season) for season in seasons for half_life in SEASON_HALF_LIVES),
        *([] if day is None else [Component("similar", COMPARED_HALF_LIFE, day)]),
        Component("even"),
    ]


def tune_mixture(
    series: Series, seasons: Sequence[int], slots: range, follow: bool = True, similar: bool = True
) -> Mixture:
    """Find a mixture's components and their weights.

    The weights are the most probable ones given the requests of these slots. What is held probable
    before are the weights found in the same way on the later half of the slots before, which count
    :data:`PRIOR` times the slots' requests: what these slots happened not to need is not dropped if the
    ones before did.

    Parameters
    ----------
    seasons
        In slots; those that the log does not hold often enough are left out.
    slots
        The validation slots.
    follow
        Whether the weights may follow the last slots: see :func:`chosen_following`.
    similar
        Whether days that went like this one are a component, in a log of shorter slots with that season.

    Returns
    -------
    The components of at least :data:`LEAST_WEIGHT`, their weights adding up to 1. On these slots no
    component alone has a lower cross entropy than the mixture.
    """
    covered = covered_seasons(series, seasons)
    day = SLOTS_OF_A_DAY.get(length_of(series.slot_name))
    components = mixture_components(
        len(series.totals), covered, day if similar and day in covered else None
    )
    earlier = range((series.first_slot + slots.start) // 2, slots.start)
    before, now = requested_shares(series, components, earlier, slots)
    even = np.full(len(components), 1 / len(components))
    prior = find_weights(before, even) if len(before.labels) else even
    weights = find_weights(now, prior, prior)
    for _ in range(2):
        # What loses its weight leaves others more: once more, a few of them may fall below the least.
        kept = weights >= LEAST_WEIGHT
        weights = find_weights(now, np.where(kept, weights, 0.0), np.where(kept, prior, 0.0))
    alone = [now.loss(row) for row in np.eye(len(components))]
    if min(alone) < now.loss(weights):
        weights = np.eye(len(components))[int(np.argmin(alone))]
    weights = np.round(weights, 6)
    weights /= weights.sum()
    weighted = zip(components, weights.tolist(), strict=True)
    made = Mixture(tuple(replace(part, weight=weight) for part, weight in weighted if weight > 0))
    if not follow:
        return made
    return replace(made, following=chosen_following(before, now, prior, weights))


def chosen_following(
    before: Requested, now: Requested, earlier: Floats, weights: Floats
) -> Following | None:
    """Choose how the weights of a mixture follow the last slots, if at all.

    What following gains in the validation slots is computed with the weights found on the slots before
    them, as the weights found on the validation slots will be used on later ones. The option of
    :data:`FOLLOWINGS` is chosen whose gain less :data:`CLEAR` standard errors is the largest, if that is
    above 0. Options that make the mixture's own weights worse in the validation slots are left out.

    Parameters
    ----------
    before, now
        Pairs of the slots before the validation slots and of these.
    earlier, weights
        [components] those found on each.
    """
    if len(before.labels) == 0:
        return None
    gains = _gains_by_following(before, now, earlier)
    own = _gains_by_following(before, now, weights).sum(axis=0)
    errors = np.sqrt(len(gains)) * gains.std(axis=0)
    certain = np.where(own >= 0, gains.sum(axis=0) - CLEAR * errors, 0.0)
    best = int(np.argmax(certain))
    return FOLLOWINGS[best] if certain[best] > 0 else None


def _gains_by_following(before: Requested, now: Requested, weights: Floats) -> Floats:
    """Compute by how much following lowers the loss of each slot of ``now``, nats [slots, FOLLOWINGS].

    The last slots of ``before`` are followed first.
    """
    kept = weights > 0
    before, now = (replace(part, shares=part.shares[:, kept]) for part in (before, now))
    following = [FollowingWeights(weights[kept], option) for option in FOLLOWINGS]
    for requested in list(before.by_slot())[-SLOTS_FOLLOWED:]:
        for one in following:
            one.add(requested)
    gains = []
    for requested in now.by_slot():
        stays = requested.loss(weights[kept])
        gains.append([stays - requested.loss(one.weights) for one in following])
        for one in following:
            one.add(requested)
    return np.array(gains).reshape(-1, len(following))


def find_weights(requested: Requested, start: Floats, prior: Floats | None = None) -> Floats:
    """Find the weights under which the requests are most probable, by expectation-maximisation.

    Each round gives a component the share of the requests that it explains, so that the requests get
    more probable from round to round (Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete
    data via the EM algorithm"). What the score itself spreads evenly is a further component, whose weight
    is fixed.

    Parameters
    ----------
    start
        [components] weights to start from; those that are 0 stay 0.
    prior
        [components] weights that count :data:`PRIOR` times the requests, or None.
    """
    found: Floats = start / start.sum()
    total = requested.labels.sum(dtype=np.float64)
    if total == 0:
        return found
    used = start > 0
    weights = found[used]
    pseudo = 0.0 if prior is None else PRIOR * prior[used]
    shares = requested.shares[:, used]
    fixed = SMOOTHING_SHARE / requested.candidates
    for _ in range(MOST_ROUNDS):
        likelihoods = np.zeros(len(weights))
        for begin in range(0, len(shares), PAIRS_AT_ONCE):
            some = slice(begin, begin + PAIRS_AT_ONCE)
            mixed = (1 - SMOOTHING_SHARE) * (shares[some] @ weights.astype(np.float32)) + fixed[some]
            likelihoods += (requested.labels[some] / mixed) @ shares[some]
        explained = weights * likelihoods / total + pseudo
        new = explained / explained.sum()
        change = np.abs(new - weights).max()
        weights = new
        if change < TOLERANCE:
            break
    found[used] = weights
    return found


def requested_shares(series: Series, components: Sequence[Component], *parts: range) -> list[Requested]:
    """Compute what each component predicts for the pairs with requests of each of some parts of the slots.

    Each family of components takes a pass over the requests. The parts must not overlap.
    """
    of_parts, labels = zip(*(_weighed(series, slots) for slots in parts), strict=True)
    elements = np.concatenate(of_parts)
    movies, at = series.movie[elements], series.slot[elements].astype(np.int64)
    candidates = candidate_numbers(series, at)
    shares = np.empty((len(elements), len(components)), np.float32)
    column = {component: at for at, component in enumerate(components)}
    row = np.full(len(series.slot), -1, np.int32)
    row[elements] = np.arange(len(elements))
    all_time = AllTimeShares(series)
    for (of, season), members in families(components).items():
        columns = [column[component] for component in members]
        half_lives = [component.half_life for component in members]
        if of == "even":
            shares[:, columns] = 1 / candidates[:, None]
        elif of == "season":
            sums = SeasonalSums(series, season, half_lives)
            shares[:, columns] = seasonal_shares(sums, half_lives, all_time(movies, at), movies, at)
        elif of == "similar":
            days = SimilarSeasons(series, season, half_lives[0], all_time)
            shares[:, columns] = days(movies, at)[:, None]
        else:
            stop = max(slots.stop for slots in parts)
            for found, values in _decayed_shares(series, of, half_lives, row, stop):
                shares[found[:, None], columns] = values
    ends = np.cumsum([len(part) for part in of_parts])[:-1]
    slots_of, candidates_of, shares_of = (np.split(values, ends) for values in (at, candidates, shares))
    return [Requested(*values) for values in zip(slots_of, labels, candidates_of, shares_of, strict=True)]


def _weighed(series: Series, slots: range) -> tuple[Ints, npt.NDArray[np.float32]]:
    """List the elements of candidates in these slots that weights are found on, and their requests."""
    if len(series.elements_in(slots)) <= MOST_PAIRS:
        return requested_pairs(series, slots)
    return requested_pairs(series, slots, max(MOST_PAIRS // len(series.requested_slots(slots)), 1))


def _decayed_shares(
    series: Series, of: str, half_lives: list[float], row: Ints, stop: int
) -> Iterator[tuple[Ints, Floats]]:
    """Walk the slots before ``stop``: the rows of wanted elements (``row`` is not -1) and their shares."""
    requested = series.requested_slots(range(series.first_slot, stop))
    by_count = of == "counts"
    of_slots = series.requests(requested) if by_count else np.ones(len(requested))
    totals = decayed_totals(of_slots, requested, half_lives)
    decay = Decay(half_lives, len(series.totals))
    for slot, elements, sums, since in requested_with_decayed_sums(series, of, half_lives):
        if slot >= stop:
            return
        wanted = row[elements] >= 0
        if wanted.any():
            # As of the latest slot with requests: after a long silence both sums would vanish.
            latest = np.searchsorted(requested, slot) - 1
            gap = requested[latest] - since[wanted]
            yield row[elements[wanted]], sums[wanted] * decay(gap) / totals[latest]
