"""Explore the labelled table: histograms, densities, correlations, box plots, a scatter matrix.

Everything is drawn from all rows, but for the correlations and the scatter matrix of long tables,
which are drawn from a seeded sample and say so. A column without a value is left out. And of a
seeded sample of the sequences: how much each feature tells about the next slot's share.
"""

import argparse
import calendar
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.feature_selection import mutual_info_classif

from popularity import style, tables
from popularity.features import STATIC_FEATURES, STEP_FEATURES, Features
from popularity.program import run
from popularity.series import Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import SLOTS, slot_start

#: Rows that ranks and points are drawn from, at most.
RANKED_ROWS = 1_000_000
SCATTERED_ROWS = 3_000
#: Pairs of a slot and a movie that the features are judged on, half of them with a request.
JUDGED_PAIRS = 5_000
#: Fewer pairs tell nothing.
FEWEST_PAIRS = 50
WEEKDAYS = pd.Index(list(calendar.day_abbr))
MONTHS = pd.Index(list(calendar.month_abbr)[1:])
#: Genres shown.
TOP_GENRES = 8
#: Columns of counts and half stars: kernels would make waves between their values, steps don't.
STEPPED = ("label", "avg_rating")
#: Rank correlations nearer to 0 are as good as none.
NO_CORRELATION = 0.05

Floats = npt.NDArray[np.floating]


class Column(NamedTuple):
    """How a column is called and drawn."""

    name: str
    log: bool = False


COLUMNS = {
    "label_n": Column("share", log=True),
    "label": Column("requests", log=True),
    "avg_rating": Column("mean rating"),
    "releaseDate": Column("release year"),
    "slot": Column("date"),
}


class Table(NamedTuple):
    """The labelled table and what its pictures say of it."""

    rows: pd.DataFrame  #: the columns that have a value, ``genres`` as integers, -1 where unknown
    slot: str
    source: str
    genre_names: dict[int, str]

    def columns(self) -> dict[str, Column]:
        """Those of :data:`COLUMNS` that there are."""
        return {key: column for key, column in COLUMNS.items() if key in self.rows}

    def dates(self, slots: Any) -> npt.NDArray[np.datetime64]:
        """When slots begin."""
        return slot_start(np.asarray(slots), self.slot)

    def sample(self, size: int, seed: int) -> tuple[pd.DataFrame, str]:
        """Draw rows if there are more than ``size``; they, and the source that says so."""
        if len(self.rows) <= size:
            return self.rows, self.source
        drawn = np.random.default_rng(seed).choice(len(self.rows), size, replace=False)
        note = f"{self.source}; {size:,} of them drawn at random (seed {seed})"
        return self.rows.iloc[np.sort(drawn)], note


def make_table(
    labelled: pa.Table, slot: str, source: str, genre_names: dict[int, str] | None = None
) -> Table:
    """Take what is drawn of a table of :data:`tables.LABELLED`."""
    rows = labelled.select(list(COLUMNS)).to_pandas().dropna(axis="columns", how="all")
    genres = labelled["genres"]
    if genres.null_count < len(genres):
        rows["genres"] = genres.fill_null(-1).to_numpy()
    return Table(rows, slot, source, genre_names or {})


def plot_histograms(table: Table) -> Figure:
    """Draw how many rows have which value, column by column."""
    single = (table.rows["label"] == 1).mean()
    columns = list(table.columns()) + (["genres"] if "genres" in table.rows else [])
    figure, panels = style.new_figure(
        f"{style.percent(single)} of the rows, each a {table.slot} and a movie, count a single "
        f"request; the most is {table.rows['label'].max():,}",
        table.source,
        len(columns),
        columns=3,
        height=5.6,
    )
    for panel, key in zip(panels, columns, strict=True):
        if key == "genres":
            _draw_genres(panel, table)
            continue
        values = table.rows[key].to_numpy()
        _draw_histogram(panel, table, values, key)
        units = {"slot": table.slot, "releaseDate": "year"}
        panel.set_title(f"{COLUMNS[key].name} ({key})", fontsize=9)
        panel.set_ylabel(f"rows per {units.get(key, 'bar')}")
        _scale(panel, "x", key)
        if key == "label":
            # Most movies of a slot are requested once: beside them no other bar would be seen.
            panel.set_yscale("log")
        style.label_values(panel.yaxis, "count")
    return figure


def _draw_histogram(panel: Axes, table: Table, values: Floats, key: str) -> None:
    edges = bin_edges(style.finite(values), key)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    if key in ("slot", "releaseDate"):
        # Bars of whole slots or years are not all as wide.
        counts /= np.diff(edges)
    drawn = table.dates(edges) if key == "slot" else edges
    panel.stairs(counts, drawn, fill=True, color=style.BLUE)


def bin_edges(values: Floats, key: str) -> npt.NDArray[Any]:
    """Choose a histogram's edges: one bar for each of few whole numbers, else some 40 bars."""
    low, high = float(values.min()), float(values.max())
    if key == "label":
        return np.unique(np.geomspace(1, high + 1, 40).round()) - 0.5
    if key == "label_n":
        return np.geomspace(low / 1.01, high * 1.01, 41)
    if key == "avg_rating":
        # Centred on the half stars.
        step = (high - low) / 18 or 1.0
        return np.arange(20) * step + low - step / 2
    edges = np.unique(np.linspace(low, high + 1, 61).astype(np.int64))
    return edges if key == "slot" else edges - 0.5


def _draw_genres(panel: Axes, table: Table) -> None:
    counts = _top_genres(table)[::-1]
    panel.barh(range(len(counts)), counts, height=0.35, color=style.SKY)
    for at, code in enumerate(counts.index):
        # Above the bars, as beside them names would take a third of the panel.
        panel.text(0, at + 0.2, _genre(table, code), va="bottom", fontsize=8, parse_math=False)
    panel.set_ylim(top=len(counts) - 0.1)
    panel.set_title("most frequent (genres)", fontsize=9)
    panel.set_xlabel("rows")
    panel.set_yticks([])
    panel.xaxis.set_major_locator(MaxNLocator(3))
    style.label_values(panel.xaxis, "count")


def _top_genres(table: Table) -> pd.Series:
    """Rows of each of the most frequent genres' codes."""
    return table.rows["genres"].value_counts().drop(-1, errors="ignore")[:TOP_GENRES]


def _genre(table: Table, code: int) -> str:
    name = table.genre_names.get(code, f"code {code}").replace("|", ", ")
    return name if len(name) <= 22 else f"{name[:21]}…"


def plot_densities(table: Table) -> Figure:
    """Draw the density of each column in the first, the middle and the last third of the time."""
    slots = table.rows["slot"].to_numpy()
    bounds = np.linspace(slots.min(), slots.max() + 1, 4).round().astype(np.int64)
    third = np.searchsorted(bounds[1:3], slots, side="right")
    medians = table.rows["label_n"].groupby(third).median()
    columns = {key: column for key, column in table.columns().items() if key != "slot"}
    figure, panels = style.new_figure(
        f"A row's median share is {style.percent(medians.iloc[0])} in the first third of the time"
        f" and {style.percent(medians.iloc[-1])} in the last",
        f"{table.source}; smooth lines: Gaussian kernels, width by Silverman's rule",
        len(columns),
        columns=2,
        height=5.6,
    )
    # The later, the darker.
    for part, colour in enumerate((style.SKY, style.BLUE, style.BLACK)):
        inside = third == part
        if not inside.any():
            continue
        ends = table.dates([slots[inside].min(), slots[inside].max()])
        first, last = ends.astype("datetime64[D]")
        for panel, (key, column) in zip(panels, columns.items(), strict=True):
            values = style.finite(table.rows[key].to_numpy()[inside])
            if not len(values):
                continue
            label = f"{first} to {last}"
            if key in STEPPED:
                edges = bin_edges(style.finite(table.rows[key].to_numpy()), key)
                counts = np.histogram(values, edges)[0].astype(np.float64)
                panel.stairs(counts / counts.sum(), edges, color=colour, linewidth=1.5, label=label)
                continue
            x, y = density(np.log10(values) if column.log else values)
            panel.plot(10**x if column.log else x, y, color=colour, label=label)
    for panel, (key, column) in zip(panels, columns.items(), strict=True):
        panel.set_title(f"{column.name} ({key})")
        _scale(panel, "x", key)
        if key == "label":
            # Most movies of a slot are requested once: beside them no other count would be seen.
            panel.set_yscale("log")
        if key in STEPPED:
            panel.set_ylabel("share of the rows")
            style.label_values(panel.yaxis, "share")
            continue
        panel.set_ylabel("density per factor of 10" if column.log else "density")
        panel.set_ylim(bottom=0)
    # Few movies of a log are old, so the left of that panel is free.
    old = "releaseDate" in columns
    panels[list(columns).index("releaseDate") if old else 0].legend(
        loc="upper left" if old else "best", fontsize=8, handlelength=1.2
    )
    return figure


def density(values: Floats, points: int = 512) -> tuple[Floats, Floats]:
    """Estimate a density with Gaussian kernels, from a fine histogram, so in the time of one.

    Their width is Silverman's (1986, eq. 3.31), but no less than a 40th of the range, or whole
    numbers would be needles in long tables.

    Returns
    -------
    ``points`` places and the density there.
    """
    quartiles = np.quantile(values, [0.25, 0.75])
    deviation, spread = values.std(), (quartiles[1] - quartiles[0]) / 1.34
    width = 0.9 * (min(deviation, spread) if spread > 0 else deviation) * len(values) ** -0.2
    # Values that are all the same, or nearly, are one kernel.
    width = float(max(width, np.ptp(values) / 40, 1e-5 * np.abs(values).max())) or 1.0
    ends = (float(values.min()) - 4 * width, float(values.max()) + 4 * width)
    counts, edges = np.histogram(values.astype(np.float64), points, ends)
    step = edges[1] - edges[0]
    reach = int(3 * width / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    smooth = np.convolve(counts, kernel / kernel.sum(), mode="same")
    return (edges[:-1] + edges[1:]) / 2, smooth / (len(values) * step)


def plot_correlations(table: Table, seed: int) -> Figure:
    """Draw Spearman's rank correlation of every two columns, which asks for no shape of theirs.

    Of the matrix, which is the same on both sides of its diagonal, one side is drawn, and of the
    columns those that correlate with another.
    """
    columns = table.columns()
    rows, source = table.sample(RANKED_ROWS, seed)
    matrix = rows[list(columns)].astype(np.float64).corr(method="spearman")
    features = matrix["label_n"].drop(["label", "label_n"]).dropna()
    title = "Spearman's rank correlation of every two columns"
    if len(features):
        best = str(features.abs().idxmax())
        words = "goes most" if abs(features[best]) >= NO_CORRELATION else "hardly goes"
        title = (
            f"Of rating, release and date, the {columns[best].name} {words} with a row's share: "
            f"Spearman's ρ = {_signed(features[best])}"
        )
    shown, alone = correlated(matrix)
    if alone:
        names = ", ".join(columns[key].name for key in alone)
        source += f"; not drawn, as they correlate with no other by {NO_CORRELATION} or more: {names}"
    below, left = shown[:-1], shown[1:]
    figure, (panel,) = style.new_figure(
        title, f"{source}; genres are codes without an order and left out", height=1.8 + 0.7 * len(left)
    )
    values = matrix.loc[left, below].to_numpy().copy()
    values[np.triu_indices_from(values, k=1)] = np.nan
    image = panel.imshow(np.ma.masked_invalid(values), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    for i, j in zip(*np.tril_indices_from(values), strict=True):
        colour = "white" if abs(values[i, j]) > 0.6 else "black"
        panel.text(int(j), int(i), _signed(values[i, j]), ha="center", va="center", color=colour)
    for axis, keys in ((panel.xaxis, below), (panel.yaxis, left)):
        axis.set_ticks(range(len(keys)), [f"{columns[key].name}\n({key})" for key in keys])
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, label="Spearman's rank correlation ρ", ticks=[-1, -0.5, 0, 0.5, 1])
    bar.outline.set_visible(False)
    return figure


def correlated(matrix: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Divide the columns of a correlation matrix into those that correlate with another, and others.

    If no two correlate, all are in the first list.
    """
    values = matrix.abs().to_numpy().copy()
    np.fill_diagonal(values, 0)
    strong = [bool(row.any()) for row in values >= NO_CORRELATION]
    if not any(strong):
        return list(map(str, matrix.columns)), []
    named = list(zip(map(str, matrix.columns), strong, strict=True))
    return [name for name, found in named if found], [name for name, found in named if not found]


def _signed(value: float) -> str:
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(value, 2) + 0:+.2f}".replace("-", "−") if np.isfinite(value) else "none"


def plot_box_plots(table: Table) -> Figure:
    """Draw how the share is spread in classes of rows: by release, rating, season and genre."""
    classes = box_classes(table)
    shares = table.rows["label_n"]
    boxes = {name: share_quantiles(shares, codes) for name, codes in classes.items()}
    if "genres" in boxes:
        boxes["genres"].index = pd.Index([_genre(table, code) for code in boxes["genres"].index])
    between = {name: box[0.5].max() / box[0.5].min() for name, box in boxes.items()}
    most = max(between, key=lambda name: between[name])
    figure, panels = style.new_figure(
        f"Of these classes, shares differ most by {most}: their medians by a factor of {between[most]:.2g}",
        f"{table.source}; line: median, box: middle half, whiskers: 5 % to 95 %; classes of less "
        "than 0.1 % of the rows are left out",
        len(boxes),
        columns=2 if len(boxes) > 1 else 1,
        height=6.4,
        sharey=True,
    )
    for at, (panel, (name, quantiles)) in enumerate(zip(panels, boxes.items(), strict=True)):
        statistics = [
            dict(zip(("whislo", "q1", "med", "q3", "whishi"), row, strict=True), label=str(label))
            for label, row in zip(quantiles.index, quantiles.to_numpy(), strict=True)
        ]
        style.draw_boxes(panel, statistics)
        panel.set_title(f"by {name}")
        panel.set_yscale("log")
        style.label_values(panel.yaxis, "share")
        if at % 2 == 0:
            panel.set_ylabel("share of the slot's requests")
        if sum(len(str(label)) for label in quantiles.index) >= 40:
            style.tilt_labels(panel)
    return figure


def box_classes(table: Table) -> dict[str, pd.Series]:
    """Divide the rows into classes in several ways; missing where a row is in none."""
    rows = table.rows
    classes: dict[str, pd.Series] = {}
    if "releaseDate" in rows:
        decade = rows["releaseDate"] // 10 * 10
        classes["release decade"] = decade.astype("Int16")
    if "avg_rating" in rows:
        classes["mean rating (to 0.5)"] = (rows["avg_rating"] * 2).round() / 2
    if table.slot in ("hour", "day", "week", "month"):
        # Of every slot once: there are far fewer slots than rows.
        slots, at = np.unique(rows["slot"].to_numpy(), return_inverse=True)
        times = pd.DatetimeIndex(table.dates(slots))
        weekday = table.slot in ("hour", "day")
        codes = times.day_of_week if weekday else times.month - 1
        classes["weekday (UTC)" if weekday else "month"] = pd.Series(
            pd.Categorical.from_codes(np.asarray(codes)[at], WEEKDAYS if weekday else MONTHS)
        )
    if "genres" in rows:
        most = _top_genres(table).index
        ranks = most.get_indexer(pd.Index(rows["genres"]))
        classes["genres"] = pd.Series(pd.Categorical.from_codes(ranks, most))
    return classes or {"nothing": pd.Series("all rows", rows.index)}


def share_quantiles(shares: pd.Series, classes: pd.Series) -> pd.DataFrame:
    """Quantiles of the shares of each class that has at least one in a thousand rows."""
    groups = shares.groupby(classes, observed=True)
    quantiles = groups.quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()
    return quantiles[groups.size() >= len(shares) / 1000]


def plot_scatter_matrix(table: Table, seed: int) -> Figure:
    """Draw every two columns against each other, and each column's histogram on the diagonal."""
    columns = table.columns()
    rows, source = table.sample(SCATTERED_ROWS, seed)
    figure, panels = style.new_figure(
        "Every two columns against each other, and each one's histogram on the diagonal",
        source,
        len(columns) ** 2,
        columns=len(columns),
        height=6.6,
        sharex="col",
    )
    values = {key: rows[key].to_numpy() for key in columns}
    for panel, (i, j) in zip(panels, np.ndindex(len(columns), len(columns)), strict=True):
        if j > i:
            # The same two columns are below the diagonal.
            panel.remove()
            continue
        below, left = list(columns)[j], list(columns)[i]
        x = table.dates(values[below]) if below == "slot" else values[below]
        if i == j:
            _draw_histogram(panel, table, values[below], below)
            panel.set_yticks([])
        else:
            y = table.dates(values[left]) if left == "slot" else values[left]
            # Thousands of points are a small image in an SVG, and a large one each for itself.
            panel.plot(x, y, ".", ms=3, alpha=0.3, color=style.BLUE, mew=0, rasterized=True)
            _scale(panel, "y", left)
        _scale(panel, "x", below)
        panel.tick_params(labelsize=8, labelleft=j == 0)
        if j == 0:
            panel.set_ylabel(columns[left].name if i else "rows")
        if i == len(columns) - 1:
            panel.set_xlabel(columns[below].name)
    figure.align_ylabels()
    return figure


class Pairs(NamedTuple):
    """Pairs of a slot and a movie known by then, and the class of its share in the slot, each [n].

    0: no request; 1: at most the mean share of the slot's requested movies; 2: more.
    """

    slot: npt.NDArray[np.integer]
    movie: npt.NDArray[np.integer]
    share_class: npt.NDArray[np.integer]


def balanced_pairs(series: Series, slots: range, size: int, generator: np.random.Generator) -> Pairs:
    """Draw about ``size`` pairs, in each slot as many with a request as without, so far as there are.

    Where requests are few, pairs drawn evenly would be next to all without one. And as each slot has
    both in like parts, a feature that tells slots from each other but not movies tells nothing:
    of plain shares, which are multiples of one over the slot's requests, it would tell a lot.
    """
    requested_slots = generator.permutation(series.requested_slots(slots))
    each = max(25, -(-size // (2 * len(requested_slots))))
    parts = [np.zeros((3, 0), dtype=np.int64)]
    drawn = 0
    for slot in requested_slots:
        movies = series.candidates(slot)
        labels = series.labels(movies, slot)
        requested, idle = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
        count = min(each, len(requested), len(idle))
        if not count:
            continue
        taken = np.concatenate([generator.permutation(kind)[:count] for kind in (requested, idle)])
        classes = (labels[taken] > 0) + (labels[taken] > labels[requested].mean())
        parts.append(np.stack([np.full(2 * count, slot), movies[taken], classes]))
        drawn += 2 * count
        if drawn >= size:
            break
    return Pairs(*np.concatenate(parts, axis=1))


def candidate_features(used: Sequence[str]) -> list[str]:
    """All features by name: those that models use, and every other that takes no number."""
    return list(dict.fromkeys([*used, *STEP_FEATURES, *STATIC_FEATURES]))


def feature_information(
    series: Series,
    movies: pa.Table,
    pairs: Pairs,
    names: Sequence[str],
    slot: str,
    window: int,
    seed: int,
) -> tuple[pd.Series, float]:
    """Estimate the mutual information of features and the class of the share in the next slot.

    The estimator is that of Ross (2014), "Mutual information between discrete and continuous data
    sets", with 3 neighbours. Of a feature with a value for each slot of the window the last one
    counts, of one with several values the one that tells most.

    Parameters
    ----------
    slot, window
        Length of a slot, and slots of the features' windows.

    Returns
    -------
    Nats of each feature, the highest first, and the most of their columns shuffled: as much is chance.
    All are 0 if there are too few pairs to tell.
    """
    if len(pairs.slot) < FEWEST_PAIRS:
        return pd.Series(0.0, list(names)), 0.0
    columns, owners = [], []
    step = next(iter(STEP_FEATURES))
    for name in names:
        features = [name] if name in STEP_FEATURES else [step, name]
        of_pairs = Features.of_catalogue(series, movies, features, slot, window, "calendar", None)
        made = of_pairs(pairs.movie, pairs.slot)
        values = made["steps"][:, -1] if name in STEP_FEATURES else made["static"]
        columns.append(values)
        owners += [name] * values.shape[1]
    matrix = np.concatenate(columns, axis=1)
    shuffled = np.random.default_rng(seed).permuted(matrix, axis=0)
    told = mutual_info_classif(
        np.concatenate([matrix, shuffled], axis=1),
        pairs.share_class,
        discrete_features=False,
        random_state=seed,
    )
    noise = float(told[len(owners) :].max())
    by_name = pd.Series(told[: len(owners)]).groupby(owners).max()
    return by_name.sort_values(ascending=False, kind="stable"), noise


def plot_features(
    information: pd.Series, noise: float, used: Sequence[str], slot: str, source: str
) -> Figure:
    """Draw the mutual information of features and the next slot's share as ranked bars."""
    telling = (information > noise).sum()
    title = f"No feature tells more than chance about a movie's share of the next {slot}"
    if telling:
        title = (
            f"{information.index[0]} tells most about which movies get the shares of the next {slot}; "
            f"{telling} of {len(information)} features tell more than chance"
        )
    figure, (panel,) = style.new_figure(
        title,
        source,
        height=1.8 + 0.22 * len(information),
    )
    heights = np.arange(len(information))
    seen = information.index.isin(list(used))
    for kind, colour, label in (
        (seen, style.BLUE, "a model of this run sees it"),
        (~seen, style.SKY, "no model of this run sees it"),
    ):
        if kind.any():
            panel.barh(heights[kind], information[kind], color=colour, label=label)
    panel.axvline(noise, color=style.VERMILION, linestyle="--", label="chance (shuffled columns)")
    panel.set_yticks(heights, list(information.index))
    panel.set_ylim(len(information) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)
    panel.set_xlabel(f"mutual information with the share in the next {slot} (nats)")
    panel.legend(loc="lower right")
    return figure


def _scale(panel: Axes, which: str, key: str) -> None:
    """Scale the x or y axis of a panel by its column."""
    axis = panel.xaxis if which == "x" else panel.yaxis
    if COLUMNS[key].log:
        panel.set(**{f"{which}scale": "log"})
        style.label_values(axis, "share" if key == "label_n" else "count")
    elif key == "slot":
        style.label_values(axis, "date", most=4)


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", choices=SLOTS, required=True, help="length of a slot")
    parser.add_argument("--seed", type=int, default=1, help="of the samples (default: 1)")
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="shares of slots, as JSON"
    )
    parser.add_argument("--window", type=int, required=True, help="slots of a window")
    parser.add_argument(
        "--features", nargs="*", default=[], help="features that models see; all others are drawn too"
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where eda_….png and eda_….svg are written"
    )
    args = parser.parse_args()

    labelled = tables.read(args.labelled, tables.LABELLED, [*COLUMNS, "genres"])
    movies = tables.read(args.movies, tables.MOVIES)
    names = dict(zip(*(movies[key].to_pylist() for key in ("genres", "genre_names")), strict=True))
    source = f"{args.labelled.name} of {args.dataset}, {len(labelled):,} rows"
    table = make_table(labelled, args.slot, source, names)
    del labelled
    style.save(plot_histograms(table), args.folder, "eda_histograms")
    style.save(plot_densities(table), args.folder, "eda_densities")
    style.save(plot_correlations(table, args.seed), args.folder, "eda_correlations")
    style.save(plot_box_plots(table), args.folder, "eda_box_plots")
    style.save(plot_scatter_matrix(table, args.seed), args.folder, "eda_scatter_matrix")
    del table

    series = read_series(args.sequences)
    training = split_slots(series, args.split)["training"]
    generator = np.random.default_rng(args.seed)
    pairs = balanced_pairs(series, training, JUDGED_PAIRS, generator)
    candidates = candidate_features(args.features)
    information, noise = feature_information(
        series, movies, pairs, candidates, args.slot, args.window, args.seed
    )
    source = (
        f"{args.sequences.parent.name}/{args.sequences.name} of {args.dataset}; {len(pairs.slot):,} pairs "
        f"of a training {args.slot} and a movie drawn at random (seed {args.seed}), half of them with a "
        f"request; shares in three classes: none, up to the mean of the {args.slot}'s requested movies, "
        f"more; of features with a value for each {args.slot} of the window, the last one"
    )
    figure = plot_features(information, noise, args.features, args.slot, source)
    style.save(figure, args.folder, "feature_information")


if __name__ == "__main__":
    run(main)
