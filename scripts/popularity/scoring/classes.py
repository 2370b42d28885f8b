"""Classes of movies by how often they are requested: scores are given for each class as well."""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from popularity.series import Ints, Series

#: A movie is ``new`` in the :data:`NEW_SLOTS` slots from its first request on. In later slots its class
#: depends on its requests in the training slots: ``head``, the fewest movies that together got half of
#: them, ``middle``, the next ones up to 80 %, and ``tail``, all others.
CLASSES = ("head", "middle", "tail", "new")
HEAD_SHARE, MIDDLE_SHARE = 0.5, 0.8
NEW_SLOTS = 28


@dataclass(frozen=True)
class MovieClasses:
    """The class of every movie at any time.

    Attributes
    ----------
    by_training
        int [M], from :func:`classify_movies`.
    first_request
        int [M], slot of each movie's first request.
    """

    by_training: Ints
    first_request: Ints

    @classmethod
    # A program scores many forecasters on one log.
    @functools.lru_cache(maxsize=1)
    def of_series(cls, series: Series, training: range) -> "MovieClasses":
        """Classify the movies of a log."""
        inside = (series.slot >= training.start) & (series.slot < training.stop)
        requests = np.bincount(series.movie[inside], series.label[inside], len(series.movie_ids))
        return cls(classify_movies(requests), series.first_request)

    def candidates(self, movies: Ints, slot: int) -> Ints:
        """Classes of a slot's candidates, as numbers of :data:`CLASSES`.

        Parameters
        ----------
        movies
            int [candidates], numbers of movies that were requested in some slot before this one.
        """
        new = slot - self.first_request[movies] < NEW_SLOTS
        return np.where(new, CLASSES.index("new"), self.by_training[movies])


def classify_movies(requests: npt.NDArray[np.number]) -> Ints:
    """Class every movie as ``head``, ``middle`` or ``tail`` of :data:`CLASSES`, by its number there.

    Parameters
    ----------
    requests
        [M] requests of each movie in the training slots.

    Returns
    -------
    int [M]
    """
    order = np.argsort(-requests, kind="stable")
    # Requests of the movies before: the movie that reaches a share belongs to those that make it up.
    before = np.cumsum(requests[order]) - requests[order]
    classes = np.full(len(requests), CLASSES.index("tail"))
    classes[order[before < MIDDLE_SHARE * requests.sum()]] = CLASSES.index("middle")
    classes[order[before < HEAD_SHARE * requests.sum()]] = CLASSES.index("head")
    return classes
