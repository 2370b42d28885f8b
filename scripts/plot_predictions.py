"""Draw what the models predict: beside the true shares, calibrated, and by classes of movies."""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from popularity import style, tables
from popularity.forecasters.competitors import RUNS_HELP, open_evaluated
from popularity.program import run
from popularity.results import read_csv
from popularity.scoring.classes import CLASSES, NEW_SLOTS, MovieClasses, classify_movies
from popularity.scoring.cross_entropy import distribution
from popularity.scoring.verdict import best_naive
from popularity.series import split_range
from popularity.settings.fields import json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot, slot_start
from popularity.wording import add_words, own

#: Movies and models in a picture: more lines can't be told apart.
MOVIES = 4
MODELS = 4
#: Models by class are those whose cross entropy is so much above the best naive forecast's at most.
NEAR = 0.05
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


def first_seeds(folders: Sequence[Path], best: Sequence[str]) -> dict[str, Path]:
    """Find the predictions of the first seed of each network and fitted baseline.

    ``best`` names them in the order to take them in; others come after them.
    """
    models = open_evaluated(folders)
    rank = {name: at for at, name in enumerate(best)}
    names = sorted(models, key=lambda name: (rank.get(name, len(rank)), name))
    return {name: min(models[name], key=lambda run: run.seed).predictions_file for name in names}


def names_of(catalogue: pa.Table, movies: Sequence[int]) -> dict[int, str]:
    """Name movies by their titles, by their ids too where titles are equal; one that has none by its id."""
    columns = (catalogue[name].to_pylist() for name in ("movieId", "item", "title"))
    known = {movie: (item, title) for movie, item, title in zip(*columns, strict=True) if movie in movies}
    titles = [title for _, title in known.values()]
    return {
        movie: title if titles.count(title) < 2 else f"{title} ({item})"
        for movie in movies
        for item, title in [known.get(movie, (str(movie), style.put(f"movie {movie}")))]
    }


def read_movies(path: Path, movies: Sequence[int]) -> pd.DataFrame:
    """Read the predictions for some movies."""
    wanted = pa.array(movies, pa.int32())
    parts = tables.batches(path, tables.PREDICTIONS, tables.PREDICTIONS.names)
    rows = [part.filter(pc.is_in(part["movieId"], wanted)) for part in parts]
    found: pd.DataFrame = pa.concat_tables([tables.PREDICTIONS.empty_table(), *rows]).to_pandas()
    return found


class SlotPredictions(NamedTuple):
    """Predictions for one slot's candidates."""

    slot: int
    movies: Ints
    predicted: Floats
    label_n: Floats


def by_slot(path: Path, groups: Sequence[int] | None = None) -> Iterator[SlotPredictions]:
    """Read predictions slot by slot, of all row groups or of these; a slot is in one of them."""
    for table in tables.batches(path, tables.PREDICTIONS, tables.PREDICTIONS.names, groups):
        slots, movies, predicted, label_n = (tables.numbers(column) for column in table.columns)
        bounds = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1, append=slots[-1] + 1))
        for begin, end in itertools.pairwise(bounds):
            part = slice(begin, end)
            yield SlotPredictions(int(slots[begin]), movies[part], predicted[part], label_n[part])


def sample_groups(path: Path, rows: int, seed: int) -> list[int] | None:
    """Draw row groups of about ``rows`` rows in all; None if there are no more."""
    groups = tables.row_groups(path, tables.PREDICTIONS)
    if sum(groups) <= rows:
        return None
    count = max(1, len(groups) * rows // sum(groups))
    drawn = np.random.default_rng(seed).choice(len(groups), count, replace=False)
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
        ratio = means[0][-1] / means[1][-1] - 1
        words = f"{style.percent(abs(ratio))} too {'high' if ratio > 0 else 'low'}"
        title = (
            f"The highest tenth of {best}'s predictions is {words}: "
            f"{style.percent(means[0][-1])} on average, and in truth {style.percent(means[1][-1])}"
        )
    columns = min(2, len(models))
    idle = (label_n == 0).mean()
    figure, panels = style.new_figure(
        title,
        f"{source}; {style.percent(idle)} of the {len(label_n):,} pairs have no request: their share of 0 "
        "has no place on a log scale, so they are not drawn as hexagons, but count in the means",
        len(models),
        columns=columns,
        height=1.6 + 2.6 * -(-len(models) // columns),
        sharex=True,
        sharey=True,
    )
    drawn = []
    # Below what the best model predicts for its lowest tenth, others may have anything next to 0.
    positive = np.concatenate([label_n[label_n > 0], means[0][means[0] > 0], means[1][means[1] > 0], [0.1]])
    low = positive.min() / 3
    high = 2 * max(values.max(initial=low) for shares in models.values() for values in shares)
    for panel, (name, (predicted, label_n)) in zip(panels, models.items(), strict=True):
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
        panel.plot(
            [low, high], [low, high], "--", color=style.BLACK, linewidth=1, label="prediction = truth"
        )
        x, y = calibration(predicted, label_n)
        panel.plot(
            x, y, "o-", color=style.VERMILION, markersize=5, linewidth=1,
            label="means of tenths, pairs without\na request included",
        )  # fmt: skip
        panel.set_title(name, parse_math=False)
        for axis in (panel.xaxis, panel.yaxis):
            style.label_values(axis, "share")
            axis.set_major_locator(LogLocator(numticks=5))
    for panel in panels[-columns:]:
        panel.set_xlabel("predicted share")
    for panel in panels[::columns]:
        panel.set_ylabel("true share (0 not drawn)")
    if drawn:
        norm = LogNorm(1, max(part.get_clim()[1] or 1 for part in drawn) + 1)
        for part in drawn:
            part.set_norm(norm)
        bar = figure.colorbar(drawn[0], ax=panels, label="pairs with a request", shrink=0.6)
        bar.outline.set_visible(False)
    panels[0].legend(loc="lower right", fontsize=7.5, handlelength=1.2, borderaxespad=0.1)
    return figure


def plot_predicted_and_true(
    models: dict[str, pd.DataFrame], movies: dict[int, str], slot: str, source: str
) -> Figure:
    """Draw the true and the predicted shares of some movies (id to title) by slot.

    Models that predict much the same would hide each other, so each has a column of panels.
    """
    shown = dict(list(models.items())[:MODELS])
    spreads: list[float] = []
    for table in shown.values():
        deviation = table.groupby("movieId")[["predicted", "label_n"]].std()
        spreads.extend(style.finite(deviation["predicted"] / deviation["label_n"]))
    title = f"Predicted and true shares of the {len(movies)} most requested movies of the test slots"
    if spreads:
        title = (
            f"Predicted shares vary {style.percent(float(np.median(spreads)))} as much as true ones: "
            f"the {len(movies)} most requested movies of the test slots"
        )
    if len(models) > len(shown):
        source += f"; the {len(shown)} best of {len(models)} models"
    figure, panels = style.new_figure(
        title,
        f"{source}; vary: standard deviation over slots, median of the panels",
        len(movies) * len(shown),
        columns=len(shown),
        height=1.5 + 1.3 * len(movies),
        sharex=True,
        sharey="row",
    )
    cells = itertools.product(movies.items(), shown.items())
    for at, (panel, ((movie, name), (model, table))) in enumerate(zip(panels, cells, strict=True)):
        rows = table[table["movieId"] == movie].sort_values("slot")
        dates = slot_start(rows["slot"].to_numpy(), slot)
        look: dict[str, Any] = {"color": "#AAAAAA", "linewidth": 0.7, "markersize": 2}
        panel.plot(dates, rows["label_n"], ".-", label="true share", **look)
        marker = "o" if len(rows) == 1 else None
        panel.plot(
            dates, rows["predicted"], marker=marker, color=style.BLUE, label="predicted", linewidth=1.2
        )
        panel.set_ylim(bottom=0)
        style.label_values(panel.yaxis, "share")
        style.label_values(panel.xaxis, "date")
        panel.tick_params(labelsize=8)
        if at < len(shown):
            # Above the title of the movie.
            panel.set_title(f"{model}\n", parse_math=False, fontsize=9, fontweight="bold", loc="right")
        if at % len(shown) == 0:
            short = name if len(name) <= 42 else f"{name[:41]}…"
            panel.set_title(own(short), parse_math=False, fontsize=9)
    figure.supylabel(f"share of the {slot}'s requests (grey: true, blue: predicted)", fontsize=9)
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


def expected_by_class(
    predictions: Iterator[SlotPredictions], classes: LabelledClasses, requests: Floats
) -> pd.Series:
    """Compute the requests a forecast expects of each of :data:`CLASSES`, as a multiple of the true.

    Parameters
    ----------
    requests
        All requests of each slot, by its number.

    Returns
    -------
    By class; NaN where there are no requests.
    """
    true, expected = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
    for slot, movies, predicted, label_n in predictions:
        place = classes.candidates(movies, slot)
        counts = label_n * requests[slot]
        shares = distribution(predicted)
        true += np.bincount(place, counts, minlength=len(CLASSES))
        expected += np.bincount(place, shares * counts.sum(), minlength=len(CLASSES))
    ratio = np.divide(expected, true, out=np.full(len(CLASSES), np.nan), where=true > 0)
    return pd.Series(ratio, list(CLASSES))


def class_table(by_class: pd.DataFrame, score: str) -> pd.DataFrame:
    """Take a score from leaderboard_by_class.csv: a row for each of :data:`CLASSES`, a column a name."""
    return by_class.pivot_table(index="class", columns="name", values=score, dropna=False).reindex(CLASSES)


def near_models(by_class: pd.DataFrame, models: Sequence[str], baseline: str | None) -> list[str]:
    """Choose the models whose cross entropy is near the baseline's, or the first if none is."""
    if baseline is None:
        return list(models)[:MODELS]
    whole = by_class.groupby("name")["cross_entropy_part"].sum()
    near = [name for name in models if whole[name] <= (1 + NEAR) * whole[baseline]]
    return (near or list(models)[:1])[:MODELS]


def plot_classes(
    by_class: pd.DataFrame,
    expected: dict[str, pd.Series],
    baseline: str | None,
    slot: str,
    source: str,
) -> Figure:
    """Draw by class of movies how good the models are beside a baseline.

    Parameters
    ----------
    by_class
        leaderboard_by_class.csv.
    expected
        What :func:`expected_by_class` gives of each model drawn, the best first.
    baseline
        The naive forecast that they are compared with, if there is one.
    """
    models = list(expected)
    found = by_class.groupby("class")["request_share"].mean().to_dict()
    shares = {name: float(found.get(name, 0.0)) for name in CLASSES}
    losses = class_table(by_class, "cross_entropy")
    panels_of: list[tuple[str, dict[str, pd.Series], float | None]] = []
    title = "Errors by class of movies"
    if baseline is None:
        panels_of.append(
            ("cross entropy\n(nats per request)", {name: losses[name] for name in models}, None)
        )
    else:
        change = {name: 100 * (losses[name] / losses[baseline] - 1) for name in models}
        panels_of.append((f"cross entropy against\n{baseline}, difference in %", change, 0.0))
        title = class_title(models[0], baseline, change[models[0]], shares)
    hits = class_table(by_class, "hit_ratio_5")
    shown = [*models, *([baseline] if baseline else [])]
    panels_of.append(
        ("requests served by a cache\nof 5 % of the movies", {name: hits[name] for name in shown}, None)
    )
    panels_of.append(("requests expected, as a\nmultiple of those made", dict(expected), 1.0))
    figure, panels = style.new_figure(
        title,
        f"{source}; head: the movies with the first half of the training {slot}s' requests, middle: the "
        f"next 30 %, tail: the rest; new: first requested less than {NEW_SLOTS} {slot}s before",
        len(panels_of),
        columns=len(panels_of),
        height=2.2 + 0.16 * len(CLASSES) * (len(models) + 1),
        sharey=True,
    )
    step = 0.7 / len(models)
    looks = style.looks(models)
    for panel, (heading, columns, line) in zip(panels, panels_of, strict=True):
        for at, name in enumerate(models):
            heights = np.arange(len(CLASSES)) + (at - (len(models) - 1) / 2) * step
            look: dict[str, Any] = {"color": looks[name]["color"], "markersize": 6, "label": name}
            panel.plot(columns[name], heights, "osD^v"[at % 5], **look)
        if baseline in columns:
            for place, value in enumerate(columns[baseline]):
                panel.plot([value] * 2, [place - 0.4, place + 0.4], color=style.BLACK, linewidth=1.5)
        if line is not None:
            dash = "-" if line == 0 else "--"
            panel.axvline(line, color=style.BLACK, linewidth=1.2, linestyle=dash, zorder=1)
        for height in range(1, len(CLASSES)):
            panel.axhline(height - 0.5, color="#E5E5E5", linewidth=0.8)
        panel.set_title(heading, fontsize=9, parse_math=False)
        panel.margins(x=0.12)
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", length=0)
    panels[1].xaxis.set_major_formatter(style.percent)
    if baseline is not None:
        panels[0].xaxis.set_major_formatter(
            lambda value, _: f"{value:+.3g}".replace("-", "−") if value else "0"
        )
        panels[0].plot([], [], color=style.BLACK, linewidth=1.5, label=f"{baseline},\nthe best naive")
    named = [f"{name}\n{style.percent(shares[name])} of\n{style.put('requests')}" for name in CLASSES]
    panels[0].set_yticks(range(len(CLASSES)), named)
    panels[0].set_ylim(len(CLASSES) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside right center")
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def class_title(model: str, baseline: str, change: pd.Series, shares: dict[str, float]) -> str:
    """Say for which movies a model is better than the baseline; ``change`` in % by class."""
    finite = change[np.isfinite(change)]
    if finite.empty:
        return "Errors by class of movies"
    best = str(finite.idxmin())
    if finite[best] >= 0:
        return f"{model} is no better than {baseline} for any class of movies"
    return (
        f"{model} gains most over {baseline} for {best} movies, with {style.percent(shares[best])} of the "
        f"requests: its cross entropy is {-finite[best]:.2g} % lower"
    )


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--leaderboard", type=Path, required=True, help="leaderboard.csv, for the models' order"
    )
    parser.add_argument("--by-class", type=Path, required=True, help="leaderboard_by_class.csv")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help=RUNS_HELP)
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="shares of slots, as JSON"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the samples (default: 1)")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the pictures are written, as .png and .svg"
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    board = read_csv(args.leaderboard, "name", "kind", "cross_entropy_ratio")
    models = first_seeds(args.runs, board["name"].tolist())
    source = f"predictions.parquet of models trained on {own(args.dataset)}, first seed of each"

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label"])
    slots = labelled["slot"].to_numpy()
    parts = split_range(int(slots.min()), int(slots.max()), args.split)
    shown = most_requested(labelled, parts["test"], MOVIES)
    named = names_of(tables.read(args.movies, tables.MOVIES, ["movieId", "item", "title"]), shown)
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
    naive = best_naive(board)
    baseline = None if naive is None else str(naive["name"])
    by_class = read_csv(args.by_class, "class", "name", "kind", "cross_entropy")
    near = near_models(by_class, list(models), baseline)
    expected = {name: expected_by_class(by_slot(models[name]), classes, requests) for name in near}
    source = f"{args.by_class.name} and {source}"
    if len(near) < len(models):
        source += f"; the {len(near)} best of {len(models)} models"
    figure = plot_classes(by_class, expected, baseline, args.slot, source)
    style.save(figure, args.folder, "error_by_class")


if __name__ == "__main__":
    run(main)
