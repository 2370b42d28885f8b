"""Draw the log itself: the requests of each slot, and how they fall with the movies' rank."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.figure import Figure

from popularity import style, tables
from popularity.program import run
from popularity.slots import SLOTS, slot_start
from popularity.windows import split_range

#: Slots that the running mean goes over: about a season where there are many slots.
MEAN_SLOTS = {"hour": 7 * 24, "day": 28, "week": 13, "month": 12, "year": 3}
#: Share of the requests that Zipf's law is fitted to: the ranks beyond are ties of few requests.
FITTED_REQUESTS = 0.9


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
    return (sums[high] - sums[low]) / (high - low)


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


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
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
        help="where requests_per_slot and rank_frequency are written, as .png and .svg",
    )
    args = parser.parse_args()

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label"])
    requests = int(labelled["label"].to_numpy().sum())
    source = f"{args.labelled.name} of {args.dataset}, {len(labelled):,} rows of {requests:,} requests"
    figure = plot_requests_per_slot(labelled, args.slot, source, args.split)
    style.save(figure, args.folder, "requests_per_slot")
    style.save(plot_rank_frequency(labelled, source), args.folder, "rank_frequency")


if __name__ == "__main__":
    run(main)
