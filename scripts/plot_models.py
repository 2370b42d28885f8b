"""Draw how good the models are: the leaderboard, and predicted beside true shares."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from popularity import style, tables
from popularity.program import Fault, run
from popularity.slots import SLOTS, slot_start

#: What is drawn of the leaderboard, and whether more is better.
SCORES = {
    "cross_entropy": ("cross entropy\n(nats per request)", False),
    "rmse": ("RMSE of the share", False),
    "hit_ratio_5": ("hit ratio, cache of 5 %\nof the movies", True),
}
#: Kinds in the order of their groups: heading, colour and marker.
KINDS = {
    "network": ("networks", style.BLUE, "o"),
    "learned": ("other learned models", style.GREEN, "s"),
    "naive": ("naive forecasts", style.VERMILION, "D"),
    "reference": ("references", style.GREY, "^"),
}
RATIO = ["cross_entropy_ratio", "ratio_low", "ratio_high"]
#: Movies and models in the picture of predicted and true shares: more lines can't be told apart.
MOVIES = 6
MODELS = 5


def plot_leaderboard(board: pd.DataFrame, source: str) -> Figure:
    """Draw the scores of all models and baselines, by kind and cross entropy.

    A value that would squeeze the others to a point is an arrow at the panel's edge and its number.
    """
    ordered, rows, headings = arrange(board)
    compared = set(RATIO) <= set(board)
    figure, panels = style.new_figure(
        board_title(board),
        f"{source}; dot: mean over seeds, bar: one standard deviation to each side; arrow: the "
        "value is outside",
        len(SCORES) + compared,
        columns=len(SCORES) + compared,
        height=1.9 + 0.25 * (rows[-1] + 1),
        sharey=True,
        width_ratios=[1, 1.1, 1, 1] if compared else None,
    )
    scored = [panels[0], *panels[2:]] if compared else panels
    for panel, (score, (label, more)) in zip(scored, SCORES.items(), strict=True):
        competing = ordered.loc[ordered["kind"] != "reference", score]
        low, high = limits(style.finite(competing if len(competing) else ordered[score]), more)
        panel.set_xlim(low, high)
        deviations = ordered.get(f"{score}_std", pd.Series(np.nan, ordered.index)).fillna(0)
        for at, kind, value, deviation in zip(
            rows, ordered["kind"], ordered[score], deviations, strict=True
        ):
            _draw_value(panel, at, value, deviation, kind)
        panel.set_title(label, fontsize=9)
        panel.set_xlabel("more is better" if more else "less is better", loc="left")
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.ticklabel_format(axis="x", scilimits=(-2, 4))
    if compared:
        panels[1].set_title("against the best naive,\n% (95 % interval)", fontsize=9)
        panels[1].grid(visible=False)
        panels[1].tick_params(labelbottom=False, bottom=False)
        panels[1].spines["bottom"].set_visible(False)
        for at, ratio in zip(rows, ordered[RATIO].to_numpy(), strict=True):
            mean, low, high = 100 * (ratio - 1)
            text = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−")
            if low == high == 0:
                text = "the best naive"
            panels[1].text(
                0.5, at, text, ha="center", va="center", fontsize=8,
                transform=panels[1].get_yaxis_transform(),
            )  # fmt: skip
    first = panels[0]
    first.set_ylim(rows[-1] + 0.7, min(headings.values()) - 0.7)
    first.set_yticks([*headings.values(), *rows], [*headings, *ordered["name"]])
    for tick in first.get_yticklabels():
        tick.set_parse_math(False)
        if tick.get_text() in headings:
            tick.set_fontweight("bold")
    for panel in panels:
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        panel.spines["left"].set_visible(False)
    return figure


def arrange(board: pd.DataFrame) -> tuple[pd.DataFrame, list[float], dict[str, float]]:
    """Put the kinds one below the other, each by cross entropy.

    Returns
    -------
    The board in that order, the height of each of its rows, and that of each kind's heading.
    """
    order = {kind: at for at, kind in enumerate(KINDS)}
    unknown = sorted(set(board["kind"]) - set(KINDS))
    if unknown:
        raise Fault(f"kind {unknown[0]} of the leaderboard is none of {', '.join(KINDS)}")
    ordered = board.assign(order=board["kind"].map(order)).sort_values(
        ["order", "cross_entropy"], ignore_index=True
    )
    rows: list[float] = []
    headings: dict[str, float] = {}
    at = 0.0
    for kind in ordered["kind"]:
        if KINDS[kind][0] not in headings:
            at += 0.5 if headings else 0
            headings[KINDS[kind][0]] = at
            at += 1
        rows.append(at)
        at += 1
    return ordered, rows, headings


def limits(values: np.ndarray, more_is_better: bool) -> tuple[float, float]:
    """Choose an axis for the better three quarters of the values, and what is not far from them."""
    if not len(values):
        return 0.0, 1.0
    sign = -1 if more_is_better else 1
    signed = np.sort(sign * values)
    best, worse = signed[0], signed[int(0.75 * (len(signed) - 1))]
    near = signed[signed <= best + 1.5 * (worse - best)] if worse > best else signed
    margin = 0.12 * (near[-1] - best) or 0.05 * abs(best) or 1.0
    low, high = sorted((sign * (best - margin), sign * (near[-1] + margin)))
    return low, high


def _draw_value(panel: Axes, at: float, value: float, deviation: float, kind: str) -> None:
    _, colour, marker = KINDS[kind]
    low, high = panel.get_xlim()
    if not np.isfinite(value):
        panel.text((low + high) / 2, at, "not a number", ha="center", va="center", fontsize=8)
    elif low <= value <= high:
        panel.errorbar(value, at, xerr=deviation or None, fmt=marker, color=colour, markersize=6)
    else:
        right = value > high
        panel.annotate(
            f"{value:.3g}",
            (1.0 if right else 0.0, at),
            (-14 if right else 14, 0),
            xycoords=panel.get_yaxis_transform(),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 1, "shrinkB": 0},
        )


def board_title(board: pd.DataFrame) -> str:
    """Say what the leaderboard shows: whether a model is better than the best naive forecast."""
    models = board[board["kind"].isin(["network", "learned"])].dropna(subset="cross_entropy")
    naive = board[board["kind"] == "naive"]
    if not set(RATIO) <= set(board) or models.empty or naive.empty:
        competing = board[board["kind"] != "reference"]
        best = (board if competing.empty else competing).sort_values("cross_entropy").iloc[0]
        return f"{best['name']} has the lowest cross entropy: {best['cross_entropy']:.4g}"
    model = models.sort_values("cross_entropy").iloc[0]
    # The one that the ratios are of has the ratio 1.
    rival = naive["name"].iloc[(naive["cross_entropy_ratio"] - 1).abs().argmin()]
    change = f"{abs(100 * (model['cross_entropy_ratio'] - 1)):.2g} %"
    if model["ratio_high"] < 1:
        return f"{model['name']} beats {rival}, the best naive forecast, by {change} of cross entropy"
    if model["ratio_low"] > 1:
        return f"No model beats {rival}: {model['name']}'s cross entropy is {change} above it"
    return f"No model is clearly better than {rival}: {model['name']} differs by {change}"


def most_popular(predictions: Path, count: int) -> list[int]:
    """Find the movies of the highest mean true share over the test slots, the highest first."""
    totals = pd.Series(dtype=np.float64)
    with pq.ParquetFile(predictions) as file:
        for batch in file.iter_batches(2**20, columns=["movieId", "label_n"]):
            sums = batch.to_pandas().groupby("movieId")["label_n"].sum()
            totals = totals.add(sums, fill_value=0.0)
    return totals.sort_values(ascending=False, kind="stable").index[:count].astype(int).tolist()


def read_predictions(
    predictions: Sequence[Path],
    resolved: Sequence[Path],
    movies: Sequence[int],
    best: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Read the predictions for some movies, of each model's first seed.

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
    return {
        name: pq.read_table(
            first[name][1],
            columns=tables.PREDICTIONS.names,
            filters=[("movieId", "in", list(movies))],
        ).to_pandas()
        for name in names
    }


def plot_predicted_and_true(
    models: dict[str, pd.DataFrame], movies: dict[int, str], slot: str, source: str
) -> Figure:
    """Draw the true and the predicted shares of some movies (id to title) by slot."""
    shown = dict(list(models.items())[:MODELS])
    spreads: list[float] = []
    for table in shown.values():
        deviation = table.groupby("movieId")[["predicted", "label_n"]].std()
        spreads.extend(style.finite(deviation["predicted"] / deviation["label_n"]))
    title = f"Predicted and true shares of the {len(movies)} most popular movies of the test slots"
    if spreads:
        title = (
            f"Predicted shares vary {style.percent(float(np.median(spreads)))} as much as true "
            f"ones: the {len(movies)} most popular movies of the test slots"
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
    looks = style.looks(shown)
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


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaderboard", type=Path, required=True, help="leaderboard.csv")
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
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", choices=SLOTS, required=True, help="length of a slot")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where leaderboard and predicted_and_true are written, as .png and .svg",
    )
    args = parser.parse_args()

    board = pd.read_csv(args.leaderboard)
    source = f"{args.leaderboard.name} of {args.dataset}, {len(board)} rows"
    style.save(plot_leaderboard(board, source), args.folder, "leaderboard")

    popular = most_popular(args.predictions[0], MOVIES)
    catalogue = tables.read(args.movies, tables.MOVIES, ["movieId", "title"]).to_pandas()
    titles = catalogue.set_index("movieId")["title"].to_dict()
    best = board.sort_values("cross_entropy")["name"].tolist()
    models = read_predictions(args.predictions, args.resolved, popular, best)
    source = f"predictions.parquet of models trained on {args.dataset}, first seed of each"
    named = {movie: titles.get(movie) or f"movie {movie}" for movie in popular}
    figure = plot_predicted_and_true(models, named, args.slot, source)
    style.save(figure, args.folder, "predicted_and_true")


if __name__ == "__main__":
    run(main)
