"""Classes of movies."""

import numpy as np
import pandas as pd

from popularity.scoring.classes import CLASSES, NEW_SLOTS, MovieClasses, classify_movies
from small_logs import log_of, series_of


def test_movies_by_the_requests_of_the_training_slots() -> None:
    # In slots 1 and 2: 10 of 20, 4, 3, 2, 1; movie 9 is only requested later.
    log = log_of((1, 1, 4), (2, 1, 6), (1, 2, 4), (1, 3, 3), (2, 4, 2), (2, 5, 1), (3, 9, 50))
    classes = MovieClasses.of_series(series_of(log), range(1, 3)).by_training
    assert [CLASSES[at] for at in classes] == ["head", "middle", "middle", "tail", "tail", "tail"]
    # One more request for another than the first: it alone is no half any more.
    one_more = series_of(pd.concat([log, log_of((2, 6, 1))]))
    more = MovieClasses.of_series(one_more, range(1, 3)).by_training
    assert [CLASSES[at] for at in more][:2] == ["head", "head"]


def test_without_a_request_in_the_training_slots_every_movie_is_tail() -> None:
    classes = MovieClasses.of_series(series_of(log_of((5, 1, 4), (6, 2, 1))), range(1, 3))
    assert [CLASSES[at] for at in classes.by_training] == ["tail", "tail"]


def test_a_movie_is_new_from_its_first_request_on() -> None:
    series = series_of(log_of((1, 7, 5), (4, 8, 1)))
    classes = MovieClasses.of_series(series, range(1, 2))
    last = 4 + NEW_SLOTS - 1
    found = [classes.candidates(series.candidates(slot), slot).tolist() for slot in (last, last + 1)]
    assert [[CLASSES[at] for at in slot] for slot in found] == [["head", "new"], ["head", "tail"]]


def test_the_movie_that_reaches_a_share_belongs_to_it() -> None:
    requests = pd.Series([3, 49, 29, 19]).to_numpy()
    assert [CLASSES[at] for at in classify_movies(requests)] == ["tail", "head", "head", "middle"]


def test_of_movies_with_as_many_requests_the_first_come_first() -> None:
    # 50 movies of 2 requests and 50 of 1: half of all 150 are those of 38, and 80 % those of 70.
    requests = np.arange(100) % 2 + 1
    found = [CLASSES[at] for at in classify_movies(requests)]
    assert found[1::2] == ["head"] * 38 + ["middle"] * 12
    assert found[::2] == ["middle"] * 20 + ["tail"] * 30
