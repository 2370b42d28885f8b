"""Pictures of the log: what is drawn, and what their titles say."""

import numpy as np
import pytest

import plot_log
from pictures import (
    joined_table,
    labelled_table,
    texts,
)
from popularity.settings.slots import FoldSplit


def test_slots_without_requests_are_drawn_as_zero() -> None:
    table = labelled_table([(10, 1, 2), (10, 2, 3), (13, 1, 4)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here")
    line = figure.axes[0].lines[0]
    assert np.asarray(line.get_ydata()).tolist() == [5, 0, 0, 4]
    days = np.array(line.get_xdata(), "datetime64[D]")
    assert days.tolist() == np.arange("1970-01-10", "1970-01-14", dtype="datetime64[D]").tolist()
    assert "2 of 4 days without any" in figure.get_suptitle().replace("\n", " ")


def test_validation_and_test_slots_are_marked_where_they_begin() -> None:
    table = labelled_table([(slot, 1, 1) for slot in range(1, 21)])
    figure = plot_log.plot_requests_per_slot(table, "day", "here", FoldSplit(validation=0.2, test=0.1))
    marks = [np.datetime64(np.asarray(line.get_xdata())[0], "D") for line in figure.axes[0].lines[2:]]
    assert marks == [np.datetime64("1970-01-15"), np.datetime64("1970-01-19")]
    assert {"training", "validation", "test"} <= set(texts(figure))


def test_running_mean_at_the_ends_is_of_what_there_is() -> None:
    assert plot_log.running_mean(np.array([1.0, 2, 3, 4]), 3).tolist() == [1.5, 2, 3, 3.5]
    assert plot_log.running_mean(np.array([4.0]), 1).tolist() == [4]


@pytest.mark.parametrize("power", [-0.6, -1.0, -1.7])
def test_slopes_of_a_power_law_are_its_power(power: float) -> None:
    found = plot_log.slopes(1e6 * np.arange(1.0, 5_001) ** power)
    assert [(slope.begin, slope.end) for slope in found] == [(1, 10), (10, 100), (100, 1000), (1000, 5000)]
    assert [slope.power for slope in found] == pytest.approx([power] * 4)
    # A step of less than a factor of 3 is none.
    assert [slope.end for slope in plot_log.slopes(np.ones(29))] == [10]
    assert plot_log.slopes(np.ones(2)) == []


@pytest.mark.parametrize(
    ("requests", "title"),
    [
        ([6000 // rank for rank in range(1, 31)], "1 of 30 movies get 25 % of the requests; requests fall "
         "as the rank to the power of −1.0"),
        ([100 - 3 * rank for rank in range(30)], "1 of 30 movies get 5.9 % of the requests; requests fall "
         "more and more steeply with the rank"),
    ],
)  # fmt: skip
def test_title_of_ranks_says_whether_the_power_is_one(requests: list[int], title: str) -> None:
    table = labelled_table([(1, movie, count) for movie, count in enumerate(requests, 1)])
    assert plot_log.plot_rank_frequency(table, "here").get_suptitle().replace("\n", " ") == title


def test_hours_of_the_week_are_those_of_the_calendar() -> None:
    week = 7 * 86_400
    thursday, monday = 3600 * 5 + 7, 4 * 86_400
    counts = plot_log.hours_of_week([joined_table([thursday, thursday]), joined_table([monday])], "day")
    assert counts.shape == (plot_log.PARTS, 7, 24)
    assert counts.sum() == 3
    assert counts[0, 3, 5] == 2
    assert counts[1, 0, 0] == 1
    # After as many weeks as there are parts comes the first one again.
    later = plot_log.hours_of_week([joined_table([thursday + plot_log.PARTS * week])], "day")
    assert later[0, 3, 5] == 1


def test_a_rhythm_is_one_that_the_weeks_agree_on() -> None:
    draw = np.random.default_rng(1)
    weeks = draw.poisson(20.0, (plot_log.PARTS, 7, 24)).astype(np.float64)
    none = "Requests have no clear rhythm by hour of the day or day of the week"
    assert plot_log.rhythm_title(weeks, "UTC") == none
    # One busy day is chance, however busy.
    once = weeks.copy()
    once[4, 2] += 500
    assert plot_log.rhythm_title(once, "UTC") == none
    always = weeks.copy()
    always[:, 5] += 20
    assert plot_log.rhythm_title(always, "UTC").startswith("Saturday has 2 times as many as")
    night = weeks.copy()
    night[:, :, [22, 23, 0, 1, 2, 3]] += 20
    assert plot_log.rhythm_title(night, "UTC") == (
        "From 22 to 4 o'clock (UTC) an hour has 1.6 times the requests of an average hour"
    )
    # So few weeks can agree by chance.
    assert plot_log.rhythm_title(night[:4], "UTC") == none


def test_the_life_of_a_movie_is_drawn_from_0_after_its_first_slot() -> None:
    rows = [(slot, movie, 3) for slot in range(1, 40) for movie in (1, 2, 3)]
    figure = plot_log.plot_life(plot_log.by_movie(labelled_table(rows)), "day", "here")
    panel = figure.axes[0]
    assert panel.get_yscale() == "linear"
    low, high = panel.get_ylim()
    assert -0.05 * high < low < 0
    assert np.asarray(panel.lines[0].get_xdata()).min() == 1
    assert "not drawn: the day of the first request" in figure.get_supxlabel().replace("\n", " ")


def test_shares_by_age_count_slots_without_the_movie_and_not_those_without_any() -> None:
    rows = [(1, 1, 4), (2, 1, 1), (2, 2, 1), (4, 2, 2), (5, 1, 1), (5, 2, 3)]
    movies = plot_log.by_movie(labelled_table(rows))
    # Nobody requests anything in slot 3.
    shares = plot_log.shares_by_age(movies, np.array([0, 1, 3, 5]))
    assert shares[0].tolist() == [1.0, 0.5, (0 + 0.25) / 2]
    assert shares[1].tolist()[:2] == [0.5, 1.0]
    # The log ends before movie 2 is 5 slots old.
    assert np.isnan(shares[1, 2])
    assert plot_log.idle_shares(movies).tolist() == [0.25, 0.0]


def test_popularity_groups_are_even_and_by_rank() -> None:
    assert plot_log.popularity_groups(np.array([5, 1, 9, 1, 7, 3]), 3).tolist() == [1, 2, 0, 2, 0, 1]
    assert plot_log.popularity_groups(np.array([5, 1])).tolist() == [0, 1]
