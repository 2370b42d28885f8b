"""Draw the log itself: requests by slot, by movie, by hour of the week, and over a movie's life."""

import argparse
import calendar
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from popularity import style, tables
from popularity.program import run
from popularity.series import split_range
from popularity.slots import SLOTS, slot_start

#: Slots that the running mean goes over: about a season where there are many slots.
MEAN_SLOTS = {"hour": 7 * 24, "day": 28, "week": 13, "month": 12, "year": 3}
#: Share of the requests that Zipf's law is fitted to: the ranks beyond are ties of few requests.
FITTED_REQUESTS = 0.9
#: Requests that a movie needs to be drawn in the picture of its life: fewer have no course.
LIFE_REQUESTS = 20
#: Groups of movies, from the most to the least requested.
GROUPS = 10

Floats = npt.NDArray[np.float64]


def requests_per_slot(labelled: pa.Table) -> tuple[int, npt.NDArray[np.float64]]:
    """Count all requests of each slot from the first to the last; the first, and the counts."""
    slots = labelled["slot"].to_numpy()
    first = int(slots.min())
    return first, np.bincount(slots - first, weights=labelled["label"]).astype(np.float64)


def running_mean(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Mean of the ``size`` values around each, of fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - size // 2, 0), np.minimum(at + (size + 1) // 2, len(values))
    means: Floats = (sums[high] - sums[low]) / (high - low)
    return means


def plot_requests_per_slot(
    labelled: pa.Table, slot: str, source: str, split: dict[str, float] | None = None
) -> Figure:
    """Draw the requests of each slot over time, 0 where there is none."""
    first, requests = requests_per_slot(labelled)
    last = first + len(requests) - 1
    empty = int((requests == 0).sum())
    figure, (panel,) = style.new_figure(
        f"{requests.mean():,.0f} requests per {slot} in the mean and {requests.max():,.0f} "
        f"at most; {empty or 'none'} of {len(requests):,} {slot}s without any",
        source,
    )
    dates = slot_start(np.arange(first, last + 2), slot)
    # One slot would be a line without length.
    panel.plot(
        dates[:-1],
        requests,
        color=style.SKY,
        linewidth=0.8,
        marker="o" if len(requests) < 30 else None,
        label=f"requests of each {slot}",
        rasterized=len(requests) > 10_000,
    )
    size = min(MEAN_SLOTS[slot], len(requests))
    panel.plot(dates[:-1], running_mean(requests, size), color=style.BLUE, label=f"mean of {size} {slot}s")
    panel.set_xlim(dates[0], dates[-1])
    panel.set_ylim(0, 1.12 * requests.max())
    for part, slots in split_range(first, last, split).items() if split else ():
        begin, end = dates[slots.start - first], dates[slots.stop - first]
        if part != "training" and len(slots):
            panel.axvline(begin, color=style.GREY, linewidth=1, linestyle="--")
            panel.axvspan(begin, end, color=style.GREY, alpha=0.08 if part == "validation" else 0.16)
        if len(slots):
            middle = begin + (end - begin) / 2
            height = 1.1 * requests.max()
            panel.text(middle, height, part, ha="center", va="top", color="#555555", fontsize=9)
    panel.set_ylabel(f"requests per {slot}")
    panel.set_xlabel(f"start of the {slot} (UTC)")
    style.label_values(panel.yaxis, "count")
    style.label_values(panel.xaxis, "date", most=8)
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


class Zipf(NamedTuple):
    """Requests as a power of the rank: ``scale * rank ** slope`` for ranks 1 to ``ranks``."""

    slope: float
    scale: float
    ranks: int


def fit_zipf(requests: npt.NDArray[np.float64]) -> Zipf:
    """Fit a power law to falling requests by rank, over the ranks that make up 90 % of them.

    Least squares of the logarithms at places that lie evenly on the log axis, as the eye would fit:
    every factor of ten of ranks counts alike. The slope is NaN if there are fewer than two ranks.
    """
    covered = np.searchsorted(np.cumsum(requests), FITTED_REQUESTS * requests.sum()) + 1
    ranks = min(int(covered), len(requests))
    if ranks < 2:
        return Zipf(np.nan, np.nan, ranks)
    at = np.linspace(0, np.log(ranks), 100)
    by_rank = np.interp(at, np.log(np.arange(1, ranks + 1)), np.log(requests[:ranks]))
    slope, intercept = np.polyfit(at, by_rank, 1)
    return Zipf(float(slope), float(np.exp(intercept)), ranks)


def plot_rank_frequency(labelled: pa.Table, source: str) -> Figure:
    """Draw the requests of each movie in the whole log by its rank, with the fitted power law."""
    _, movie = np.unique(labelled["movieId"].to_numpy(), return_inverse=True)
    requests = -np.sort(-np.bincount(movie, weights=labelled["label"]).astype(np.float64))
    zipf = fit_zipf(requests)
    head = requests[: -(-len(requests) // 100)]
    title = (
        f"{len(head):,} of {len(requests):,} movies get "
        f"{style.percent(head.sum() / requests.sum())} of the requests"
    )
    if np.isfinite(zipf.slope):
        title += f"; requests fall with the rank to the power of {zipf.slope:.2f}".replace("-", "−")
    figure, (panel,) = style.new_figure(title, source)
    ranks = np.arange(1, len(requests) + 1)
    panel.loglog(ranks, requests, ".", color=style.BLUE, ms=4, label="movies", rasterized=True)
    if np.isfinite(zipf.slope):
        fitted = np.array([1, zipf.ranks])
        panel.loglog(
            fitted,
            zipf.scale * fitted**zipf.slope,
            color=style.VERMILION,
            label=f"Zipf's law, slope {zipf.slope:.2f}, fitted to the ranks 1 to {zipf.ranks:,} "
            f"({style.percent(FITTED_REQUESTS)} of requests)".replace("-", "−"),
        )
    panel.set_xlabel("rank of the movie")
    panel.set_ylabel("requests in the whole log")
    style.label_values(panel.xaxis, "count")
    style.label_values(panel.yaxis, "count")
    panel.legend(loc="lower left")
    return figure


def hours_of_week(batches: Iterable[pa.Table]) -> Floats:
    """Count the requests of each day of the week (Monday first) and hour (UTC), [7, 24]."""
    counts = np.zeros(7 * 24, dtype=np.int64)
    for batch in batches:
        hours = tables.numbers(batch["timestamp"]) // 3600
        # The first of January 1970 was a Thursday.
        counts += np.bincount((hours + 3 * 24) % (7 * 24), minlength=7 * 24)
    return counts.reshape(7, 24).astype(np.float64)


def plot_hours_of_week(counts: Floats, source: str) -> Figure:
    """Draw a heat map of the requests by day of the week and hour, as multiples of their mean."""
    relative = counts / counts.mean()
    day, hour = np.unravel_index(relative.argmax(), relative.shape)
    figure, (panel,) = style.new_figure(
        f"Busiest is {calendar.day_name[day]} from {hour} to {hour + 1} o'clock, with "
        f"{relative.max():.2g} times the requests of a mean hour; the quietest hour has "
        f"{relative.min():.2g} times",
        source,
        height=4.2,
    )
    image = panel.imshow(relative, aspect="auto", vmin=0, extent=(0, 24, 6.5, -0.5))
    panel.set_yticks(range(7), list(calendar.day_name))
    panel.set_xticks(np.arange(0, 25, 3))
    panel.set_xlabel("hour of the day (UTC)")
    panel.set_ylabel("day of the week (UTC)")
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, label="requests, as a multiple of the mean hour's")
    bar.outline.set_visible(False)
    return figure


class Movies(NamedTuple):
    """The log by movie: arrays of one value a row of the labelled table, or one a movie [M]."""

    movie: npt.NDArray[np.integer]  #: number of each row's movie, 0 to M - 1
    slot: npt.NDArray[np.integer]  #: slot of each row, from the log's first as 0
    share: Floats  #: share of each row
    requests: Floats  #: of each movie in the whole log
    first: npt.NDArray[np.integer]  #: slot of each movie's first request, from the log's first as 0
    #: slots with requests before each slot, of one slot more than the log has
    slots_before: npt.NDArray[np.integer]

    def slots_from(self, begin: npt.NDArray[np.integer], end: npt.NDArray[np.integer]) -> Floats:
        """Slots with requests from ``begin`` up to ``end``."""
        count: Floats = (self.slots_before[end] - self.slots_before[begin]).astype(np.float64)
        return count


def by_movie(labelled: pa.Table) -> Movies:
    """Take what the pictures of movies need of a labelled table."""
    _, movie = np.unique(labelled["movieId"].to_numpy(), return_inverse=True)
    first_slot, per_slot = requests_per_slot(labelled)
    slot = labelled["slot"].to_numpy() - first_slot
    requests = np.bincount(movie, weights=labelled["label"]).astype(np.float64)
    first = np.full(len(requests), len(per_slot))
    np.minimum.at(first, movie, slot)
    slots_before = np.concatenate([[0], np.cumsum(per_slot > 0)])
    return Movies(movie, slot, labelled["label_n"].to_numpy(), requests, first, slots_before)


def shares_by_age(movies: Movies, edges: npt.NDArray[np.integer]) -> Floats:
    """Mean share of each movie over the slots of each span of ages since its first request.

    Parameters
    ----------
    edges
        Ages in slots at which spans begin, and the last one ends; the first is 0.

    Returns
    -------
    float64 [M, spans], NaN where the log ends before the span does or has no request in it. A slot
    in which other movies are requested and this one is not counts 0.
    """
    spans = len(edges) - 1
    age = movies.slot - movies.first[movies.movie]
    span = np.searchsorted(edges, age, side="right") - 1
    inside = span < spans
    keys = movies.movie[inside] * spans + span[inside]
    sums = np.bincount(keys, movies.share[inside], minlength=len(movies.first) * spans)
    ends = movies.first[:, None] + edges
    whole = ends[:, 1:] <= len(movies.slots_before) - 1
    ends = np.minimum(ends, len(movies.slots_before) - 1)
    slots = movies.slots_from(ends[:, :-1], ends[:, 1:])
    sums = sums.reshape(slots.shape)
    means: Floats = np.divide(sums, slots, out=np.full(slots.shape, np.nan), where=whole & (slots > 0))
    return means


def plot_life(movies: Movies, slot: str, source: str) -> Figure:
    """Draw how movies' shares run with their age: median, quartiles and mean over the movies."""
    least = min(LIFE_REQUESTS, int(movies.requests.max()))
    enough = movies.requests >= least
    length = len(movies.slots_before) - 1
    edges = np.unique(np.concatenate([[0], np.geomspace(1, max(length, 2), 16).round().astype(int)]))
    shares = shares_by_age(movies, edges)[enough]
    # Later spans would show the log's oldest movies alone.
    reached = np.flatnonzero(np.isfinite(shares).sum(axis=0) >= 0.5 * len(shares))
    shares, edges = shares[:, : reached[-1] + 1], edges[: reached[-1] + 2]
    # Other than NumPy's, these leave NaN alone where no movie has a share.
    table = pd.DataFrame(shares)
    low, median, high = table.quantile([0.25, 0.5, 0.75]).to_numpy()
    mean = table.mean().to_numpy()
    later = f"{style.percent(median[-1])}" if median[-1] > 0 else "none"
    title = (
        f"In the {slot} of its first request a movie has a median share of "
        f"{style.percent(median[0])}; from {edges[-2]:,} to {edges[-1]:,} {slot}s later, {later}"
    )
    figure, (panel,) = style.new_figure(
        title,
        f"{source}; the {enough.sum():,} movies with {least} requests or more, each from its "
        f"first request in this log as long as the log goes on; a {slot} without a request of the "
        "movie counts 0; the ages that the log lets half of them reach",
    )
    places = np.append(edges[:-1], edges[-1]) + 1

    def steps(values: Floats) -> Floats:
        return np.append(values, values[-1])

    panel.fill_between(
        places, steps(low), steps(high), step="post", color=style.SKY, alpha=0.35, linewidth=0,
        label="middle half of the movies",
    )  # fmt: skip
    panel.step(places, steps(median), where="post", color=style.BLUE, label="median")
    panel.step(places, steps(mean), where="post", color=style.VERMILION, linestyle="--", label="mean")
    panel.set_xscale("log")
    positive = np.concatenate([median, mean, low, high])
    positive = positive[positive > 0]
    panel.set_yscale("log")
    panel.set_ylim(positive.min() / 1.5, positive.max() * 1.5)
    style.label_values(panel.yaxis, "share")
    style.label_values(panel.xaxis, "count")
    panel.set_xlabel(f"{slot}s since the first request, which is in {slot} 1")
    panel.set_ylabel(f"share of the {slot}'s requests")
    panel.legend(loc="upper right")
    return figure


def idle_shares(movies: Movies) -> Floats:
    """Share of the slots from each movie's first request on in which it has none, [M].

    Slots in which no movie is requested are left out.
    """
    end = np.full(len(movies.first), len(movies.slots_before) - 1)
    return 1 - np.bincount(movies.movie) / movies.slots_from(movies.first, end)


def popularity_groups(requests: Floats, groups: int = GROUPS) -> npt.NDArray[np.intp]:
    """Divide movies into groups as even as can be, 0 the most requested; ties by their order."""
    rank = np.empty(len(requests), dtype=np.intp)
    rank[np.argsort(-requests, kind="stable")] = np.arange(len(requests))
    return rank * min(groups, len(requests)) // len(requests)


def plot_idle_slots(movies: Movies, slot: str, source: str) -> Figure:
    """Draw in how many of their slots movies have no request, from the most requested to the least."""
    idle = idle_shares(movies)
    group = popularity_groups(movies.requests)
    statistics = []
    for at in range(group.max() + 1):
        inside = group == at
        whiskers = np.quantile(idle[inside], [0.05, 0.25, 0.5, 0.75, 0.95])
        least, most = movies.requests[inside].min(), movies.requests[inside].max()
        counts = f"{most:,.0f}" if least == most else f"{most:,.0f}\nto {least:,.0f}"
        one: dict[str, object] = dict(zip(("whislo", "q1", "med", "q3", "whishi"), whiskers, strict=True))
        statistics.append({**one, "label": f"{counts}"})
    figure, (panel,) = style.new_figure(
        f"Half of all movies have no request in {style.percent(float(np.median(idle)))} or more of "
        f"the {slot}s since their first",
        f"{source}; {len(idle):,} movies in groups of equal size; line: median, box: middle half, "
        "whiskers: 5 % to 95 %",
    )
    style.draw_boxes(panel, statistics)
    panel.set_ylim(-0.02, 1.02)
    style.label_values(panel.yaxis, "share")
    panel.set_ylabel(f"{slot}s without a request of the movie")
    panel.set_xlabel("movies by their requests in the whole log, a tenth of all movies in each group")
    panel.tick_params(axis="x", labelsize=8)
    return figure


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet")
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", choices=SLOTS, required=True, help="length of a slot")
    parser.add_argument(
        "--split",
        type=json.loads,
        help='shares of slots, to mark where they begin: {"validation": 0.15, "test": 0.15}',
    )
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where the pictures are written, as .png and .svg",
    )
    args = parser.parse_args()

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label", "label_n"])
    requests = int(labelled["label"].to_numpy().sum())
    source = f"{args.labelled.name} of {args.dataset}, {len(labelled):,} rows of {requests:,} requests"
    figure = plot_requests_per_slot(labelled, args.slot, source, args.split)
    style.save(figure, args.folder, "requests_per_slot")
    style.save(plot_rank_frequency(labelled, source), args.folder, "rank_frequency")
    movies = by_movie(labelled)
    del labelled
    style.save(plot_life(movies, args.slot, source), args.folder, "life_of_a_movie")
    style.save(plot_idle_slots(movies, args.slot, source), args.folder, "slots_without_requests")
    hours = hours_of_week(tables.batches(args.joined, tables.JOINED, ["timestamp"]))
    source = f"{args.joined.name} of {args.dataset}, {hours.sum():,.0f} requests"
    style.save(plot_hours_of_week(hours, source), args.folder, "hours_of_week")


if __name__ == "__main__":
    run(main)
