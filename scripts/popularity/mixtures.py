"""Shares that a mixture of averages predicts, with weights that stay or follow the last slots."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from popularity.averages import (
    AllTimeShares,
    DecayedShares,
    LogSums,
    candidate_numbers,
    requested_pairs,
    seasonal_shares,
)
from popularity.offsets import Following, Mixture, families
from popularity.scoring.cross_entropy import SMOOTHING_SHARE, request_losses
from popularity.series import Ints, Series, distinct
from popularity.similar import SimilarSeasons

Floats = npt.NDArray[np.float64]
#: Shares of movies [n] in slots [n] with these numbers of candidates.
Averages = Callable[[Ints, Ints, Floats], Floats]

#: Rounds of expectation-maximisation by which weights follow each slot.
FOLLOWING_ROUNDS = 3
#: Weights follow at least so many slots with requests before theirs, and fewer than twice as many, so that
#: those of a late slot need no walk from the log's beginning: older slots hardly count.
SLOTS_FOLLOWED = 100
#: Movies with requests that a slot is followed by; of more, evenly spread ones.
MOVIES_FOLLOWED = 250


@dataclass(frozen=True)
class Requested:
    """Pairs of a slot and a candidate with requests, by slot.

    Attributes
    ----------
    slots
        int [n]
    labels
        float32 [n] requests.
    candidates
        float32 [n] number of candidates of each one's slot.
    shares
        float32 [n, components] shares that each component alone predicts.
    """

    slots: Ints
    labels: npt.NDArray[np.float32]
    candidates: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]

    def loss(self, weights: Floats) -> float:
        """Cross entropy of a mixture with these weights, in nats over all requests."""
        shares = self.shares @ weights.astype(np.float32)
        return float(request_losses(shares, self.candidates) @ self.labels)

    def by_slot(self) -> Iterator["Requested"]:
        """Walk the slots."""
        bounds = np.flatnonzero(np.diff(self.slots, prepend=-1, append=-1))
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            yield Requested(
                self.slots[first:end],
                self.labels[first:end],
                self.candidates[first:end],
                self.shares[first:end],
            )


class FollowingWeights:
    """Weights of a mixture that follow the slots added last.

    They are the most probable ones given the requests of these slots, each counting half as much after
    ``half_life`` further ones, with the mixture's own weights as the prior, which counts as ``held``
    requests. How much of a slot's requests a component explains is found when the slot is added and kept,
    so that each takes one step of expectation-maximisation (Cappé and Moulines 2009, "On-line
    expectation-maximization algorithm for latent data models"), of :data:`FOLLOWING_ROUNDS` rounds.

    Attributes
    ----------
    weights
        [components], those after the slots added.
    """

    def __init__(self, own: Floats, following: Following) -> None:
        self._held = following.held * own
        self._decay = 0.5 ** (1 / following.half_life)
        self._explained: Floats = np.zeros(len(own))
        self.weights = own

    def add(self, requested: Requested) -> None:
        """Add the pairs of a slot."""
        before = self._held + self._decay * self._explained
        evenly = SMOOTHING_SHARE / requested.candidates
        shares = (1 - SMOOTHING_SHARE) * requested.shares
        for _ in range(FOLLOWING_ROUNDS):
            now = self.weights * ((requested.labels / (shares @ self.weights + evenly)) @ shares)
            self.weights = (before + now) / (before + now).sum()
        self._explained = before - self._held + now


class MixedShares:
    """Shares that a mixture of averages predicts before any slot.

    Parameters
    ----------
    sums
        Those of its components, if others read them, too.
    """

    def __init__(self, series: Series, mixture: Mixture, sums: LogSums | None = None) -> None:
        self._series = series
        self._sums = sums or LogSums.of(series, mixture.components)
        self._all_time = AllTimeShares(series)
        self._own = np.array([component.weight for component in mixture.components])
        column = {component: at for at, component in enumerate(mixture.components)}
        self._parts: list[tuple[Averages, list[int]]] = []
        for (of, season), members in families(mixture.components).items():
            half_lives = [component.half_life for component in members]
            columns = [column[component] for component in members]
            self._parts.append((self._made(of, season, half_lives), columns))
        self._following = mixture.following
        self._requested = self._sums.decayed.requested
        # Weights before each slot with requests and after the last, where they were asked for.
        self._followed: dict[int, Floats] = {}
        self._pairs: tuple[int, Requested] | None = None

    def _made(self, of: str, season: int, half_lives: list[float]) -> Averages:
        if of == "even":
            return lambda movies, slots, candidates: 1 / candidates[:, None]
        if of == "season":
            sums = self._sums.seasonal[season]
            return lambda movies, slots, candidates: seasonal_shares(
                sums, half_lives, self._all_time(movies, slots), movies, slots
            )
        if of == "similar":
            similar = SimilarSeasons(self._series, season, half_lives[0], self._all_time)
            return lambda movies, slots, candidates: similar(movies, slots)[:, None]
        shares = DecayedShares(self._series, half_lives, of, self._sums.decayed)
        return lambda movies, slots, candidates: shares(movies, slots, candidates, 0.0)

    def __call__(self, movies: Ints, slots: Ints, candidates: Floats) -> Floats:
        """Shares of movies [n] before slots [n] with these numbers of candidates, float64 [n].

        Each movie has to be a candidate of its slot.
        """
        return self.mixed(self.averages(movies, slots, candidates), slots)

    def averages(self, movies: Ints, slots: Ints, candidates: Floats) -> Floats:
        """Shares that each component alone predicts, float64 [n, components]."""
        shares = np.empty((len(movies), len(self._own)))
        for averages, columns in self._parts:
            shares[:, columns] = averages(movies, slots, candidates)
        return shares

    def mixed(self, averages: Floats, slots: Ints) -> Floats:
        """Mix the averages [n, components] before slots [n], float64 [n]."""
        weights = self.weights(distinct(slots))
        total: Floats = (
            averages @ weights[0] if len(weights) == 1 else np.einsum("nc,nc->n", averages, weights)
        )
        return total

    def weights(self, slots: Ints) -> Floats:
        """Give the weights before slots [n], [n, components]; [1, components] where they all stay."""
        if self._following is None or not len(slots):
            return self._own[None]
        # After the log they stay.
        at = np.searchsorted(self._requested, slots)
        block, place = np.divmod(at, SLOTS_FOLLOWED)
        weights = np.empty((len(slots), len(self._own)))
        for one in np.flatnonzero(np.bincount(block)).tolist():
            rows = block == one
            weights[rows] = self._of_block(one, self._following)[place[rows]]
        return weights

    def _of_block(self, block: int, following: Following) -> Floats:
        """Compute the weights before each slot of a block of slots with requests."""
        if block in self._followed:
            return self._followed[block]
        made = FollowingWeights(self._own, following)
        for requested in self._pairs_of_block(block - 1).by_slot() if block else ():
            made.add(requested)
        first = block * SLOTS_FOLLOWED
        slots = self._requested[first : first + SLOTS_FOLLOWED]
        weights = np.empty((len(slots) + 1, len(self._own)))
        pairs = {int(one.slots[0]): one for one in self._pairs_of_block(block).by_slot()}
        for at, slot in enumerate(slots.tolist()):
            weights[at] = made.weights
            if slot in pairs:
                made.add(pairs[slot])
        weights[-1] = made.weights
        self._followed[block] = weights
        return weights

    def _pairs_of_block(self, block: int) -> Requested:
        kept = self._pairs
        if kept is not None and kept[0] == block:
            return kept[1]
        first = block * SLOTS_FOLLOWED
        slots = self._requested[first : first + SLOTS_FOLLOWED]
        whole = range(int(slots[0]), int(slots[-1]) + 1) if len(slots) else range(0)
        elements, labels = requested_pairs(self._series, whole, MOVIES_FOLLOWED)
        at = self._series.slot[elements].astype(np.int64)
        candidates = candidate_numbers(self._series, at)
        averages = self.averages(self._series.movie[elements], at, candidates.astype(np.float64))
        requested = Requested(at, labels, candidates, averages.astype(np.float32))
        # Replaced as one and never changed, so that threads may share it.
        self._pairs = block, requested
        return requested
