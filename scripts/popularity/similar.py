"""Earlier days that went like this one: what was requested at the same time of those."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from popularity.averages import requested_pairs
from popularity.seasons import season_clock
from popularity.series import Ints, Series

Floats = npt.NDArray[np.float64]

#: How many of the last seasons are compared.
SEASONS_COMPARED = 14
#: Half-life in slots of what they are compared by.
COMPARED_HALF_LIFE = 3.0
#: They are compared by at least so many slots before the predicted one, and fewer than twice as many.
SLOTS_COMPARED = 100
#: Movies with requests that a slot is compared by; of more, evenly spread ones.
MOVIES_COMPARED = 100
#: Requests for which a movie's share of all earlier requests counts in the share that it is expected to
#: have after the example of one season.
COMPARED_SMOOTHING = 5.0
#: Requests that the mean log likelihood of one counts for. The requests of a slot are not independent, so
#: that all of them together would often be certain of a single season.
CERTAINTY = 75.0
#: Requests without a preference that are averaged with those of the last slots.
COMPARED_PULL = 20.0
#: Requests for which a movie's share of all earlier requests counts in what is predicted.
PREDICTED_SMOOTHING = 1.0


class SimilarSeasons:
    """Shares at the same place of those of the last seasons that went like this one, before any slot.

    Each of the last :data:`SEASONS_COMPARED` seasons weighs by how probable it makes the requests of the
    last slots, each of which is compared with the slot at its place of that season: the weight is
    proportional to ``exp(CERTAINTY * L / (n + COMPARED_PULL))`` with the decayed log likelihood L of the
    requests and their decayed number n. This is dynamic model averaging with forgetting (Raftery, Kárný
    and Ettler 2010, "Online prediction under model uncertainty via dynamic model averaging") of the
    forecasts that the slot will be like that of one season ago, of two …: forecasting by analogues (Lorenz
    1969, "Atmospheric predictability as revealed by naturally occurring analogues").

    Parameters
    ----------
    season
        Slots of a season; places are those of the clock (:func:`season_clock`).
    half_life
        In slots: what a slot shows counts half as much after so many.
    """

    def __init__(
        self, series: Series, season: int, half_life: float, all_time: Callable[[Ints, Ints], Floats]
    ) -> None:
        self._series = series
        self._all_time = all_time
        self._decay = 0.5 ** (1 / half_life)
        self._clock = season_clock(series, season)
        self._back = season * np.arange(1, SEASONS_COMPARED + 1)
        slots = np.arange(series.first_slot, series.last_slot + 1)
        shown = self._clock(slots)
        self._begin = int(shown.min())
        # The slot of each place that the clock shows: of two, the later; of none, one before the log.
        self._slots = np.full(int(shown.max()) - self._begin + 1, series.first_slot - 1)
        self._slots[shown - self._begin] = slots
        self._known: dict[int, Floats] = {}

    def _there(self, slots: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Find the slots at the place of slots [n], seasons ago, [n, seasons]; and which are in the log.

        Of those that are not, and of later ones, the slot is one before the log.
        """
        shown = self._clock(slots)[:, None] - self._back - self._begin
        inside = (shown >= 0) & (shown < len(self._slots))
        there = self._slots[np.where(inside, shown, 0)]
        return np.where(inside, there, self._series.first_slot - 1), shown >= 0

    def _gains(self, slots: range) -> Floats:
        """Compute how much more probable earlier seasons make slots' requests than all-time shares do.

        Returns
        -------
        float64 [slots, seasons ago from 1], nats.
        """
        elements, labels = requested_pairs(self._series, slots, MOVIES_COMPARED)
        gains = np.zeros((len(slots), SEASONS_COMPARED))
        if not len(elements):
            return gains
        movies, at = self._series.movie[elements], self._series.slot[elements].astype(np.int64)
        there, known = self._there(at)
        pairs = np.repeat(movies, SEASONS_COMPARED), there.reshape(-1)
        requests = self._series.labels(*pairs).reshape(there.shape)
        totals = self._series.requests(there)
        expected = self._all_time(movies, at)[:, None]
        likelier = (requests / expected + COMPARED_SMOOTHING) / (totals + COMPARED_SMOOTHING)
        nats = np.where(known, labels[:, None] * np.log(likelier), 0.0)
        np.add.at(gains, at - slots.start, nats)
        return gains

    def weights(self, slots: Ints) -> Floats:
        """Weigh the last seasons before slots [n]: [n, seasons ago from 1], 0 before the log began."""
        block, place = np.divmod(slots - self._series.first_slot, SLOTS_COMPARED)
        means = np.empty((len(slots), SEASONS_COMPARED))
        for one in np.unique(block).tolist():
            rows = block == one
            means[rows] = self._means(one)[place[rows]]
        known = self._there(slots)[1]
        best = np.max(means, axis=1, where=known, initial=-np.inf, keepdims=True)
        weights = np.zeros(means.shape)
        np.exp(CERTAINTY * (means - best), out=weights, where=known)
        normalised: Floats = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        return normalised

    def _means(self, block: int) -> Floats:
        """Compute the mean log likelihood of a request before each slot of a block, [slots, seasons]."""
        if block in self._known:
            return self._known[block]
        first = self._series.first_slot + block * SLOTS_COMPARED
        walked = range(max(first - SLOTS_COMPARED, self._series.first_slot), first + SLOTS_COMPARED)
        gains, requests = self._gains(walked), self._series.requests(np.array(walked))
        means = np.zeros((len(walked), SEASONS_COMPARED))
        likelihood, number = np.zeros(SEASONS_COMPARED), 0.0
        for at in range(len(walked)):
            means[at] = likelihood / (number + COMPARED_PULL)
            likelihood = likelihood * self._decay + gains[at]
            number = number * self._decay + requests[at]
        # A block is never changed, so that threads may share it.
        self._known[block] = means[-SLOTS_COMPARED:]
        return self._known[block]

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute the shares of movies [n] before slots [n], float64 [n]."""
        order = np.argsort(slots, kind="stable")
        known, starts = np.unique(slots[order], return_index=True)
        weights, there = self.weights(known), self._there(known)[0]
        totals = (weights * self._series.requests(there)).sum(axis=1)
        shares = PREDICTED_SMOOTHING * self._all_time(movies, slots)
        for at, pairs in enumerate(np.split(order, starts[1:])):
            shares[pairs] += self._requests(there[at], weights[at])[movies[pairs]]
            shares[pairs] /= totals[at] + PREDICTED_SMOOTHING
        return shares

    def _requests(self, there: Ints, weights: Floats) -> Floats:
        """Add up the weighted requests of every movie in slots [seasons], float64 [M]."""
        parts = [
            self._series.elements_in(range(slot, slot + 1))
            if weight > 0
            else self._series.elements_in(range(0))
            for slot, weight in zip(there.tolist(), weights.tolist(), strict=True)
        ]
        elements = np.concatenate(parts)
        each = np.repeat(weights, [len(part) for part in parts])
        movies = self._series.movie[elements]
        requests: Floats = np.zeros(len(self._series.movie_ids))
        np.add.at(requests, movies, each * self._series.label[elements])
        return requests
