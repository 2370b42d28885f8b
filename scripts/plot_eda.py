"""Explore the labelled table: histograms, densities, correlations, box plots, a scatter matrix.

All pictures show all rows, except the correlations and the scatter matrix of long tables: they show a
seeded sample, and say so. A column without a value is left out.
"""

import argparse
import calendar
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

from popularity import style, tables
from popularity.program import run
from popularity.slots import HELP, Slot, length_of, slot_start, zone_of
from popularity.wording import add_words, own

#: Most rows that the correlations and the scatter matrix are drawn from.
RANKED_ROWS = 1_000_000
SCATTERED_ROWS = 3_000
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


class LabelledTable(NamedTuple):
    """The labelled table, and what else its pictures show."""

    rows: pd.DataFrame  #: the columns that have a value, ``genres`` as integers, -1 where unknown
    slot: str
    source: str
    genre_names: dict[int, str]

    def columns(self) -> dict[str, Column]:
        """Select the entries of :data:`COLUMNS` whose columns have values."""
        return {key: column for key, column in COLUMNS.items() if key in self.rows}

    def dates(self, slots: Any) -> npt.NDArray[np.datetime64]:
        """Compute when slots begin."""
        return slot_start(np.asarray(slots), self.slot)

    def sample(self, size: int, seed: int) -> tuple[pd.DataFrame, str]:
        """Draw at most ``size`` rows; return them and the source line, which says so."""
        if len(self.rows) <= size:
            return self.rows, self.source
        drawn = np.random.default_rng(seed).choice(len(self.rows), size, replace=False)
        note = f"{self.source}; {size:,} of them drawn at random (seed {seed})"
        return self.rows.iloc[np.sort(drawn)], note


def make_table(
    labelled: pa.Table, slot: str, source: str, genre_names: dict[int, str] | None = None
) -> LabelledTable:
    """Select what is drawn of a table of :data:`tables.LABELLED`."""
    columns = {name: labelled[name].to_numpy() for name in COLUMNS}
    genres = labelled["genres"]
    if genres.null_count < len(genres):
        columns["genres"] = genres.fill_null(-1).to_numpy()
    known = {name: values for name, values in columns.items() if not pd.isna(values).all()}
    # Side by side, as they are: to_pandas would copy them twice.
    return LabelledTable(pd.DataFrame(known, copy=False), slot, source, genre_names or {})


def plot_histograms(table: LabelledTable) -> Figure:
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


def _draw_histogram(panel: Axes, table: LabelledTable, values: Floats, key: str) -> None:
    edges = bin_edges(style.finite(values), key)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    if key in ("slot", "releaseDate"):
        # Each bar covers whole slots or years, so that some are wider than others.
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


def _draw_genres(panel: Axes, table: LabelledTable) -> None:
    counts = _top_genres(table)[::-1]
    panel.barh(range(len(counts)), counts, height=0.35, color=style.SKY)
    for at, code in enumerate(counts.index):
        # Above the bars, as beside them names would take a third of the panel.
        panel.text(0, at + 0.2, own(_genre(table, code)), va="bottom", fontsize=8, parse_math=False)
    panel.set_ylim(top=len(counts) - 0.1)
    panel.set_title("most frequent (genres)", fontsize=9)
    panel.set_xlabel("rows")
    panel.set_yticks([])
    panel.xaxis.set_major_locator(MaxNLocator(3))
    style.label_values(panel.xaxis, "count")


def _top_genres(table: LabelledTable) -> pd.Series:
    """Rows of each of the most frequent genres' codes."""
    return table.rows["genres"].value_counts().drop(-1, errors="ignore")[:TOP_GENRES]


def _genre(table: LabelledTable, code: int) -> str:
    name = table.genre_names.get(code, f"code {code}").replace("|", ", ")
    return name if len(name) <= 22 else f"{name[:21]}…"


def plot_densities(table: LabelledTable) -> Figure:
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
    """Estimate a density with Gaussian kernels on a fine histogram, in the time of a histogram.

    Their width is Silverman's (1986, eq. 3.31), but no less than a 40th of the range: otherwise whole
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


def plot_correlations(table: LabelledTable, seed: int) -> Figure:
    """Draw Spearman's rank correlation of every two columns, which assumes no distribution.

    Only one side of the matrix is drawn, as both sides of its diagonal are the same, and only columns
    that correlate with another one.
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
        axis.set_ticks(range(len(keys)), [style.put(f"{columns[key].name}\n({key})") for key in keys])
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


def plot_box_plots(table: LabelledTable) -> Figure:
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


def box_classes(table: LabelledTable) -> dict[str, pd.Series]:
    """Divide the rows into classes in several ways; missing where a row is in none."""
    rows = table.rows
    classes: dict[str, pd.Series] = {}
    if "releaseDate" in rows:
        decade = rows["releaseDate"] // 10 * 10
        classes["release decade"] = decade.astype("Int16")
    if "avg_rating" in rows:
        classes["mean rating (to 0.5)"] = (rows["avg_rating"] * 2).round() / 2
    if length_of(table.slot) != "year":
        # Dates are computed once for each slot: there are far fewer slots than rows.
        slots, at = np.unique(rows["slot"].to_numpy(), return_inverse=True)
        times = pd.DatetimeIndex(table.dates(slots))
        weekday = length_of(table.slot) not in ("week", "month")
        codes = times.day_of_week if weekday else times.month - 1
        classes[f"weekday ({zone_of(table.slot)})" if weekday else "month"] = pd.Series(
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


def plot_scatter_matrix(table: LabelledTable, seed: int) -> Figure:
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
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument("--seed", type=int, default=1, help="of the samples (default: 1)")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where eda_….png and eda_….svg are written"
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    labelled = tables.read(args.labelled, tables.LABELLED, [*COLUMNS, "genres"])
    movies = tables.read(args.movies, tables.MOVIES)
    names = dict(zip(*(movies[key].to_pylist() for key in ("genres", "genre_names")), strict=True))
    source = f"{args.labelled.name} of {own(args.dataset)}, {len(labelled):,} rows"
    table = make_table(labelled, args.slot, source, names)
    del labelled
    style.save(plot_histograms(table), args.folder, "eda_histograms")
    style.save(plot_densities(table), args.folder, "eda_densities")
    style.save(plot_correlations(table, args.seed), args.folder, "eda_correlations")
    style.save(plot_box_plots(table), args.folder, "eda_box_plots")
    style.save(plot_scatter_matrix(table, args.seed), args.folder, "eda_scatter_matrix")


if __name__ == "__main__":
    run(main)
