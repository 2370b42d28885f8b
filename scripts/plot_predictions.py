"""Draw what the models predict: beside the true shares, calibrated, and by classes of movies."""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from popularity import style, tables
from popularity.program import Fault, run
from popularity.scoring.classes import CLASSES, NEW_SLOTS, MovieClasses, classify_movies
from popularity.scoring.cross_entropy import distribution, request_losses
from popularity.series import split_range
from popularity.slots import SLOTS, slot_start

#: Movies and models in a picture: more lines can't be told apart.
MOVIES = 6
MODELS = 5
#: Models with a panel of predicted against true shares, and rows of predictions in it at most.
CALIBRATED_MODELS = 4
CALIBRATED_ROWS = 5_000_000
#: Groups of predictions, from the lowest to the highest, of which means are compared.
DECILES = 10

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]


def most_requested(labelled: pa.Table, slots: range, count: int) -> list[int]:
    """Find the movies with the most requests in these slots, the most requested first."""
    at = labelled["slot"].to_numpy()
    inside = (at >= slots.start) & (at < slots.stop)
    ids, movie = np.unique(labelled["movieId"].to_numpy()[inside], return_inverse=True)
    requests = np.bincount(movie, labelled["label"].to_numpy()[inside])
    return [int(movie) for movie in ids[np.argsort(-requests, kind="stable")[:count]]]


def first_seeds(
    predictions: Sequence[Path], resolved: Sequence[Path], best: Sequence[str]
) -> dict[str, Path]:
    """Find the predictions of each model's first seed.

    ``best`` names models in the order to take them in; others come after them.
    """
    if len(predictions) != len(resolved):
        raise Fault(f"{len(predictions)} --predictions but {len(resolved)} --resolved: give as many")
    first: dict[str, tuple[int, Path]] = {}
    for path, settings in zip(predictions, resolved, strict=True):
        text = json.loads(settings.read_text())
        one = (int(text["seed"]), path)
        first[text["name"]] = min(one, first.get(text["name"], one))
    rank = {name: at for at, name in enumerate(best)}
    names = sorted(first, key=lambda name: (rank.get(name, len(rank)), name))
    return {name: first[name][1] for name in names}


def read_movies(path: Path, movies: Sequence[int]) -> pd.DataFrame:
    """Read the predictions for some movies."""
    filters = [("movieId", "in", list(movies))]
    found = pq.read_table(path, columns=tables.PREDICTIONS.names, filters=filters)
    rows: pd.DataFrame = found.to_pandas()
    return rows


class SlotPredictions(NamedTuple):
    """Predictions for one slot's candidates."""

    slot: int
    movies: Ints
    predicted: Floats
    label_n: Floats


def by_slot(path: Path, groups: Sequence[int] | None = None) -> Iterator[SlotPredictions]:
    """Read predictions slot by slot, of all row groups or of these; a slot is in one of them."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups) if groups is None else groups:
            table = file.read_row_group(group, columns=tables.PREDICTIONS.names)
            slots, movies, predicted, label_n = (tables.numbers(column) for column in table.columns)
            bounds = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1, append=slots[-1] + 1))
            for begin, end in itertools.pairwise(bounds):
                part = slice(begin, end)
                yield SlotPredictions(int(slots[begin]), movies[part], predicted[part], label_n[part])


def sample_groups(path: Path, rows: int, seed: int) -> list[int] | None:
    """Draw row groups of about ``rows`` rows in all; None if there are no more."""
    with pq.ParquetFile(path) as file:
        groups, found = file.num_row_groups, file.metadata.num_rows
    if found <= rows:
        return None
    drawn = np.random.default_rng(seed).choice(groups, max(1, groups * rows // found), replace=False)
    return sorted(map(int, drawn))


def calibration(predicted: Floats, label_n: Floats) -> tuple[Floats, Floats]:
    """Mean predicted and mean true share of ten groups of as many predictions, the lowest first."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, DECILES) if len(part)]
    return (
        np.array([predicted[part].mean() for part in parts]),
        np.array([label_n[part].mean() for part in parts]),
    )


def plot_calibration(models: dict[str, tuple[Floats, Floats]], source: str) -> Figure:
    """Draw predicted against true shares of each model, and how far both agree by deciles.

    ``models`` gives each one's predicted and true shares.
    """
    best, (predicted, label_n) = next(iter(models.items()))
    means = calibration(predicted, label_n)
    title = "Predicted against true shares"
    if means[1][-1] > 0:
        title = (
            f"Where {best} predicts most, it predicts {means[0][-1] / means[1][-1]:.2f} times "
            "the true share: the highest tenth of its predictions"
        )
    columns = min(2, len(models))
    figure, panels = style.new_figure(
        title,
        f"{source}; pairs without a request ({style.percent((label_n == 0).mean())} of {len(label_n):,}) "
        "count in the tenths alone, as a log scale has no 0, nor room for predictions below it",
        len(models),
        columns=columns,
        height=1.6 + 3.2 * -(-len(models) // columns),
        sharex=True,
        sharey=True,
    )
    drawn = []
    # Below what the best model predicts for its lowest tenth, others may have anything next to 0.
    positive = np.concatenate([label_n[label_n > 0], means[0][means[0] > 0], means[1][means[1] > 0], [0.1]])
    low = positive.min() / 3
    high = 2 * max(values.max(initial=low) for shares in models.values() for values in shares)
    for panel, (name, (predicted, label_n)) in zip(panels, models.items(), strict=True):
        panel.plot(
            [low, high], [low, high], color=style.GREY, linewidth=1, label="prediction = truth", zorder=1
        )
        shown = (predicted >= low) & (label_n > 0)
        panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        if shown.any():
            drawn.append(
                panel.hexbin(
                    predicted[shown],
                    label_n[shown],
                    xscale="log",
                    yscale="log",
                    extent=(*np.log10([low, high]), *np.log10([low, high])),
                    gridsize=36,
                    mincnt=1,
                    linewidths=0.1,
                    cmap="Blues",
                )
            )
        x, y = calibration(predicted, label_n)
        panel.plot(
            x, y, "o-", color=style.VERMILION, markersize=5, linewidth=1,
            label="means by tenths of the predictions",
        )  # fmt: skip
        panel.set_title(name, parse_math=False)
        for axis in (panel.xaxis, panel.yaxis):
            style.label_values(axis, "share")
            axis.set_major_locator(LogLocator(numticks=5))
    for panel in panels[-columns:]:
        panel.set_xlabel("predicted share")
    for panel in panels[::columns]:
        panel.set_ylabel("true share")
    if drawn:
        norm = LogNorm(1, max(part.get_clim()[1] or 1 for part in drawn) + 1)
        for part in drawn:
            part.set_norm(norm)
        bar = figure.colorbar(drawn[0], ax=panels, label="pairs with a request", shrink=0.6)
        bar.outline.set_visible(False)
    panels[0].legend(loc="lower right", fontsize=8)
    return figure


def plot_predicted_and_true(
    models: dict[str, pd.DataFrame], movies: dict[int, str], slot: str, source: str
) -> Figure:
    """Draw the true and the predicted shares of some movies (id to title) by slot."""
    shown = dict(list(models.items())[:MODELS])
    spreads: list[float] = []
    for table in shown.values():
        deviation = table.groupby("movieId")[["predicted", "label_n"]].std()
        spreads.extend(style.finite(deviation["predicted"] / deviation["label_n"]))
    title = f"Predicted and true shares of the {len(movies)} most requested movies of the test slots"
    if spreads:
        title = (
            f"Predicted shares vary {style.percent(float(np.median(spreads)))} as much as true "
            f"ones: the {len(movies)} most requested movies of the test slots"
        )
    if len(models) > len(shown):
        source += f"; the {len(shown)} best of {len(models)} models"
    figure, panels = style.new_figure(
        title,
        source,
        len(movies),
        columns=min(2, len(movies)),
        height=1.4 + 2 * -(-len(movies) // 2),
        sharex=True,
    )
    looks = style.looks(models)
    for panel, (movie, name) in zip(panels, movies.items(), strict=True):
        for at, (model, table) in enumerate(shown.items()):
            rows = table[table["movieId"] == movie].sort_values("slot")
            dates = slot_start(rows["slot"].to_numpy(), slot)
            if at == 0:
                look: dict[str, Any] = {"color": "#AAAAAA", "linewidth": 0.7, "markersize": 3}
                panel.plot(dates, rows["label_n"], ".-", label="true share", **look)
            marker = "o" if len(rows) == 1 else None
            panel.plot(dates, rows["predicted"], marker=marker, label=model, **looks[model])
        panel.set_title(name if len(name) <= 42 else f"{name[:41]}…", parse_math=False, fontsize=9)
        panel.set_ylim(bottom=0)
        style.label_values(panel.yaxis, "share")
        style.label_values(panel.xaxis, "date", most=6)
    figure.supylabel(f"share of the {slot}'s requests", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


class LabelledClasses(NamedTuple):
    """The classes of the movies of a labelled table."""

    ids: Ints  #: of the movies, rising, [M]
    by_movie: MovieClasses  #: of the movies, numbered in that order

    def candidates(self, movie_ids: Ints, slot: int) -> Ints:
        """Classes of a slot's candidates: see :meth:`MovieClasses.candidates`."""
        return self.by_movie.candidates(np.searchsorted(self.ids, movie_ids), slot)


def classify(labelled: pa.Table, training: range) -> LabelledClasses:
    """Classify the movies of a labelled table by their requests in the training slots."""
    slots, ids, label = (labelled[key].to_numpy() for key in ("slot", "movieId", "label"))
    unique, movie = np.unique(ids, return_inverse=True)
    inside = (slots >= training.start) & (slots < training.stop)
    requests = np.bincount(movie, np.where(inside, label, 0), minlength=len(unique))
    first = np.full(len(unique), slots.max())
    np.minimum.at(first, movie, slots)
    return LabelledClasses(unique, MovieClasses(classify_movies(requests), first))


def score_classes(
    predictions: Iterator[SlotPredictions], classes: LabelledClasses, requests: Floats
) -> pd.DataFrame:
    """Score predictions by class of movies.

    Parameters
    ----------
    requests
        All requests of each slot, by its number.

    Returns
    -------
    A row for each of :data:`CLASSES`: ``requests``, ``cross_entropy`` of those requests (nats per
    request, as ``scores.score_slot`` defines it), ``rmse`` of the shares, and ``ratio`` of the
    requests expected by the forecast to the true ones. NaN where there is nothing to divide by.
    """
    sums = {key: np.zeros(len(CLASSES)) for key in ("pairs", "requests", "loss", "squared", "expected")}
    for slot, movies, predicted, label_n in predictions:
        place = classes.candidates(movies, slot)
        counts = label_n * requests[slot]
        shares = distribution(predicted)
        for key, values in (
            ("pairs", np.ones(len(movies))),
            ("requests", counts),
            ("loss", counts * request_losses(shares, len(movies))),
            ("squared", (predicted - label_n) ** 2),
            ("expected", shares * counts.sum()),
        ):
            sums[key] += np.bincount(place, values, minlength=len(CLASSES))
    with np.errstate(invalid="ignore", divide="ignore"):
        table = {
            "requests": sums["requests"],
            "cross_entropy": sums["loss"] / sums["requests"],
            "rmse": np.sqrt(sums["squared"] / sums["pairs"]),
            "ratio": sums["expected"] / sums["requests"],
        }
    return pd.DataFrame(table, index=list(CLASSES)).replace([np.inf, -np.inf], np.nan)


#: What is drawn of the classes.
CLASS_SCORES = {
    "cross_entropy": "cross entropy\n(nats per request)",
    "rmse": "RMSE of the share",
    "ratio": "expected requests,\nas a multiple of the true ones",
}


def plot_classes(
    models: dict[str, pd.DataFrame], slot: str, source: str, looks: dict[str, dict[str, Any]]
) -> Figure:
    """Draw the errors of each model by class of movies.

    ``models`` gives what :func:`score_classes` tells of each, the best first, ``looks`` their colours.
    """
    best, table = next(iter(models.items()))
    share = (table["requests"] / max(table["requests"].sum(), 1)).to_dict()
    ratio = table["ratio"].to_dict()["new"]
    title = "Errors by class of movies"
    if np.isfinite(ratio):
        title = (
            f"New movies get {style.percent(share['new'])} of the requests, and {best} expects "
            f"{ratio:.2f} times as many for them"
        )
    figure, panels = style.new_figure(
        title,
        f"{source}; head: the movies with the first half of the training {slot}s' requests, middle: the "
        f"next 30 %, tail: the rest; new: first requested less than {NEW_SLOTS} {slot}s before",
        len(CLASS_SCORES),
        columns=len(CLASS_SCORES),
        height=2.2 + 0.18 * len(CLASSES) * (len(models) + 1),
        sharey=True,
    )
    step = 0.7 / len(models)
    for panel, (score, label) in zip(panels, CLASS_SCORES.items(), strict=True):
        for at, (name, scored) in enumerate(models.items()):
            heights = np.arange(len(CLASSES)) + (at - (len(models) - 1) / 2) * step
            marker = "osD^v"[at % 5]
            panel.plot(scored[score], heights, marker, color=looks[name]["color"], markersize=6, label=name)
        values = style.finite(np.concatenate([scored[score] for scored in models.values()]))
        values = values[values > 0]
        if score == "ratio":
            panel.axvline(1, color=style.GREY, linewidth=1)
        if score != "cross_entropy" and len(values) and values.max() > 5 * values.min():
            panel.set_xscale("log")
            style.label_values(panel.xaxis, "number", most=4)
        for height in range(1, len(CLASSES)):
            panel.axhline(height - 0.5, color="#E5E5E5", linewidth=0.8)
        panel.set_title(label, fontsize=9)
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", length=0)
    panels[0].set_yticks(
        range(len(CLASSES)), [f"{name}\n{style.percent(share[name])} of\nthe requests" for name in CLASSES]
    )
    panels[0].set_ylim(len(CLASSES) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--leaderboard", type=Path, required=True, help="leaderboard.csv, for the models' order"
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        required=True,
        help="predictions.parquet of each trained model",
    )
    parser.add_argument(
        "--resolved", type=Path, nargs="+", required=True, help="settings.json, in the same order"
    )
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", choices=SLOTS, required=True, help="length of a slot")
    parser.add_argument("--split", type=json.loads, required=True, help="shares of slots, as JSON")
    parser.add_argument("--seed", type=int, default=1, help="of the samples (default: 1)")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the pictures are written, as .png and .svg"
    )
    args = parser.parse_args()

    best = pd.read_csv(args.leaderboard).sort_values("cross_entropy")["name"].tolist()
    models = first_seeds(args.predictions, args.resolved, best)
    source = f"predictions.parquet of models trained on {args.dataset}, first seed of each"

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label"])
    slots = labelled["slot"].to_numpy()
    parts = split_range(int(slots.min()), int(slots.max()), args.split)
    shown = most_requested(labelled, parts["test"], MOVIES)
    catalogue = tables.read(args.movies, tables.MOVIES, ["movieId", "title"]).to_pandas()
    titles = catalogue.set_index("movieId")["title"].to_dict()
    named = {movie: titles.get(movie) or f"movie {movie}" for movie in shown}
    series = {name: read_movies(path, shown) for name, path in models.items()}
    figure = plot_predicted_and_true(series, named, args.slot, source)
    style.save(figure, args.folder, "predicted_and_true")

    calibrated = list(models.items())[:CALIBRATED_MODELS]
    groups = sample_groups(calibrated[0][1], CALIBRATED_ROWS, args.seed)
    pairs = {}
    for name, path in calibrated:
        predictions = list(by_slot(path, groups))
        pairs[name] = (
            np.concatenate([one.predicted for one in predictions]),
            np.concatenate([one.label_n for one in predictions]),
        )
    drawn = f"all pairs of a test {args.slot} and a candidate"
    if groups:
        drawn = (
            f"{len(groups)} test {args.slot}s drawn at random (seed {args.seed}) and all their candidates"
        )
    style.save(plot_calibration(pairs, f"{source}; {drawn}"), args.folder, "calibration")

    requests = np.bincount(slots, labelled["label"]).astype(np.float64)
    classes = classify(labelled, parts["training"])
    scored = {
        name: score_classes(by_slot(path), classes, requests)
        for name, path in list(models.items())[:MODELS]
    }
    style.save(plot_classes(scored, args.slot, source, style.looks(models)), args.folder, "error_by_class")


if __name__ == "__main__":
    run(main)
