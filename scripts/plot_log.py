"""Draw the log itself: requests by slot, by movie, by hour of the week, and over a movie's life."""

import argparse
import calendar
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
from popularity.settings.fields import json_argument
from popularity.settings.slots import SLOTS_OF_A_DAY, FoldSplit
from popularity.slots import HELP, Slot, length_of, local_times, slot_start, zone_of
from popularity.wording import add_words, own

#: Slots that the running mean goes over: about a season where there are many slots.
MEAN_SLOTS = {
    **SLOTS_OF_A_DAY,
    "hour": 7 * 24,
    "day": 28,
    "week": 13,
    "month": 12,
    "year": 3,
}
#: Powers of the rank that differ by no more are one power.
STRAIGHT = 0.3
#: Parts of the log that have to agree on a rhythm, and above which F that is more than chance: the 1 %
#: quantiles with 23 or 6 degrees of freedom and, of five parts, 92 or 24; with more parts they are lower.
PARTS = 20
HOURS_F, DAYS_F = 2.1, 3.7
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
    labelled: pa.Table, slot: str, source: str, split: FoldSplit | None = None
) -> Figure:
    """Draw the requests of each slot over time, 0 where there is none."""
    first, requests = requests_per_slot(labelled)
    last = first + len(requests) - 1
    empty = int((requests == 0).sum())
    figure, (panel,) = style.new_figure(
        f"{requests.mean():,.0f} requests per {slot} on average and {requests.max():,.0f} "
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
    size = min(MEAN_SLOTS[length_of(slot)], len(requests))
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
    panel.set_xlabel(f"start of the {slot} ({zone_of(slot)})")
    style.label_values(panel.yaxis, "count")
    style.label_values(panel.xaxis, "date", most=8)
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


class Slope(NamedTuple):
    """Power of the rank as which the requests fall from one rank to another."""

    begin: int
    end: int
    power: float


def slopes(requests: Floats) -> list[Slope]:
    """Measure how steeply falling requests fall, from rank 1 to 10, to 100, and so on.

    Zipf's law says the same power everywhere. The last step goes to the last rank if that is at least
    three times the step's first one.
    """
    found = []
    begin = 1
    while begin < len(requests):
        end = min(10 * begin, len(requests))
        if end < 3 * begin:
            break
        power = np.log(requests[end - 1] / requests[begin - 1]) / np.log(end / begin)
        found.append(Slope(begin, end, float(power)))
        begin *= 10
    return found


def plot_rank_frequency(labelled: pa.Table, source: str) -> Figure:
    """Draw the requests of each movie in the whole log by its rank, and how steeply they fall."""
    _, movie = np.unique(labelled["movieId"].to_numpy(), return_inverse=True)
    requests = -np.sort(-np.bincount(movie, weights=labelled["label"]).astype(np.float64))
    found = slopes(requests)
    head = requests[: -(-len(requests) // 100)]
    title = (
        f"{len(head):,} of {len(requests):,} movies get "
        f"{style.percent(head.sum() / requests.sum())} of the requests"
    )
    powers = [slope.power for slope in found]
    if powers and max(powers) - min(powers) <= STRAIGHT:
        title += f"; requests fall as the rank to the power of {np.mean(powers):.1f}".replace("-", "−")
    elif powers and sorted(powers, reverse=True) == powers:
        title += "; requests fall more and more steeply with the rank"
    figure, (panel,) = style.new_figure(
        title,
        f"{source}; numbers: the power of the rank as which the requests fall between the dotted lines "
        f"(the same number everywhere would be Zipf's law)",
    )
    ranks = np.arange(1, len(requests) + 1)
    panel.loglog(ranks, requests, ".", color=style.BLUE, ms=4, rasterized=True)
    panel.set_ylim(top=4 * requests[0])
    for slope in found:
        panel.axvline(slope.end, color=style.GREY, linewidth=1, linestyle=":")
        panel.text(
            np.sqrt(slope.begin * slope.end),
            0.95,
            f"{slope.power:.2f}".replace("-", "−"),
            ha="center",
            va="top",
            color=style.VERMILION,
            transform=panel.get_xaxis_transform(),
        )
    panel.set_xlabel("rank of the movie")
    panel.set_ylabel("requests in the whole log")
    style.label_values(panel.xaxis, "count")
    style.label_values(panel.yaxis, "count")
    return figure


def hours_of_week(batches: Iterable[pa.Table], slot: str) -> Floats:
    """Count the requests of each day of the week (Monday first) and hour, on the clock of the slots.

    Returns
    -------
    float64 [PARTS, 7, 24]: every week of the log belongs to one part, weeks in turn to all of them.
    """
    counts = np.zeros(PARTS * 7 * 24, dtype=np.int64)
    for batch in batches:
        # The first of January 1970 was a Thursday.
        hours = local_times(tables.numbers(batch["timestamp"]), slot) // 3600 + 3 * 24
        count = tables.numbers(batch["count"]) if "count" in batch.column_names else None
        counts += np.bincount(hours % len(counts), count, len(counts)).astype(np.int64)
    return counts.reshape(PARTS, 7, 24).astype(np.float64)


def plot_hours_of_week(counts: Floats, zone: str, source: str) -> Figure:
    """Draw a heat map of the requests by day of the week and hour, as multiples of their mean.

    ``counts`` is what :func:`hours_of_week` gives, ``zone`` the time zone of its clock.
    """
    whole = counts.sum(axis=0)
    relative = whole / whole.mean()
    figure, (panel,) = style.new_figure(rhythm_title(counts, zone), source, height=4.2)
    image = panel.imshow(relative, aspect="auto", vmin=0, extent=(0, 24, 6.5, -0.5))
    panel.set_yticks(range(7), list(calendar.day_name))
    panel.set_xticks(np.arange(0, 25, 3))
    panel.set_xlabel(f"hour of the day ({zone})")
    panel.set_ylabel(f"day of the week ({zone})")
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, label="requests, as a multiple of the mean hour's")
    bar.outline.set_visible(False)
    return figure


def rhythm_title(counts: Floats, zone: str) -> str:
    """Say which rhythm the requests have that is more than chance.

    A few busy users make single cells and whole days stand out, so that the parts of the log
    (:func:`hours_of_week`) have to agree on it: see :func:`differ`.
    """
    whole = counts.sum(axis=0)
    relative = whole / whole.mean()
    hours, days = relative.mean(axis=0), relative.mean(axis=1)
    found = []
    if differ(counts.sum(axis=1), HOURS_F):
        # The busiest six hours on end, over midnight too.
        around = np.convolve(np.concatenate([hours, hours[:5]]), np.full(6, 1 / 6), mode="valid")
        begin = int(around.argmax())
        found.append(
            f"from {begin} to {(begin + 6) % 24 or 24} o'clock ({zone}) an hour has "
            f"{around.max():.2g} times the requests of an average hour"
        )
    if differ(counts.sum(axis=2), DAYS_F):
        busiest, quietest = (calendar.day_name[int(at)] for at in (days.argmax(), days.argmin()))
        found.append(f"{busiest} has {days.max() / days.min():.2g} times as many as {quietest}")
    if not found:
        return "Requests have no clear rhythm by hour of the day or day of the week"
    title = ", and ".join(found)
    return title[0].upper() + title[1:]


def differ(counts: Floats, least: float) -> bool:
    """Test whether columns differ by more than chance, in the same way in the rows (F test).

    A two-way analysis of variance without replication. Rows without a count are left out; with fewer
    than five others nothing is clear.

    Parameters
    ----------
    counts
        [rows, columns]
    least
        F that is more than chance.
    """
    filled = counts[counts.sum(axis=1) > 0]
    rows, columns = filled.shape
    if rows < 5:
        return False
    means, effects = filled.mean(axis=1, keepdims=True), filled.mean(axis=0) - filled.mean()
    between = rows * (effects**2).sum() / (columns - 1)
    within = ((filled - means - effects) ** 2).sum() / ((rows - 1) * (columns - 1))
    return bool(between > least * within)


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
    title = f"In the {slot} of its first request a movie's median share is {style.percent(median[0])}"
    if len(median) > 1:
        title += f"; {edges[-2]:,} to {edges[-1]:,} {slot}s later it is {style.percent(median[-1])}"
    # The first slot, which has a request by definition, would press all later ones to the bottom.
    drawn = slice(1, None) if len(median) > 1 else slice(None)
    figure, (panel,) = style.new_figure(
        title,
        f"{source}; the {enough.sum():,} movies with {least} requests or more, each from its "
        f"first request in this log as long as the log goes on; a {slot} without a request of the "
        f"movie counts 0; the ages that at least half of them reach; not drawn: the {slot} of the "
        "first request",
    )
    places = edges[drawn.start or 0 :]

    def steps(values: Floats) -> Floats:
        return np.append(values[drawn], values[-1])

    panel.fill_between(
        places, steps(low), steps(high), step="post", color=style.SKY, alpha=0.35, linewidth=0,
        label="middle half of the movies",
    )  # fmt: skip
    panel.step(places, steps(median), where="post", color=style.BLUE, label="median")
    panel.step(places, steps(mean), where="post", color=style.VERMILION, linestyle="--", label="mean")
    if places[0] > 0 and places[-1] > 10 * places[0]:
        panel.set_xscale("log")
    top = 1.25 * style.finite([steps(high), steps(mean)]).max() or 1.0
    # A median of 0 is a line above the axis.
    panel.set_ylim(-0.02 * top, top)
    style.label_values(panel.yaxis, "share")
    style.label_values(panel.xaxis, "count")
    panel.set_xlabel(f"{slot}s since the first request")
    panel.set_ylabel(f"mean share of a {slot}'s requests")
    panel.legend(loc="upper right", ncols=3)
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
    # Where nearly all slots are without a request, the boxes would be lines at the top.
    bottom = np.floor(10 * min(float(str(one["whislo"])) for one in statistics)) / 10
    panel.set_ylim(bottom - 0.02 * (1 - bottom), 1 + 0.02 * (1 - bottom))
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
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--split",
        type=json_argument(FoldSplit),
        help='shares of slots, to mark where they begin: {"validation": 0.15, "test": 0.15}',
    )
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where the pictures are written, as .png and .svg",
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label", "label_n"])
    requests = int(labelled["label"].to_numpy().sum())
    source = f"{args.labelled.name} of {own(args.dataset)}, {len(labelled):,} rows of {requests:,} requests"
    figure = plot_requests_per_slot(labelled, args.slot, source, args.split)
    style.save(figure, args.folder, "requests_per_slot")
    style.save(plot_rank_frequency(labelled, source), args.folder, "rank_frequency")
    movies = by_movie(labelled)
    del labelled
    style.save(plot_life(movies, args.slot, source), args.folder, "life_of_a_movie")
    style.save(plot_idle_slots(movies, args.slot, source), args.folder, "slots_without_requests")
    schema = tables.joined_schema(args.joined)
    columns = [name for name in ("timestamp", "count") if name in schema.names]
    hours = hours_of_week(tables.batches(args.joined, schema, columns), args.slot)
    source = f"{args.joined.name} of {own(args.dataset)}, {hours.sum():,.0f} requests"
    style.save(plot_hours_of_week(hours, zone_of(args.slot), source), args.folder, "hours_of_week")


if __name__ == "__main__":
    run(main)
