"""Draw how good the models are: the leaderboard, and their scores against the settings swept."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from popularity import style
from popularity.forecasters.network.saved import open_runs
from popularity.program import Fault, run
from popularity.results import read_csv
from popularity.scoring.verdict import RATIO, covers_most, judge
from popularity.settings.fields import as_json
from popularity.wording import add_words, own

#: Kinds in the order of their groups: heading, colour and marker.
KINDS = {
    "network": ("networks", style.BLUE, "o"),
    "learned": ("other learned models", style.GREEN, "s"),
    "naive": ("naive forecasts", style.VERMILION, "D"),
    "reference": ("references", style.GREY, "^"),
}
#: Columns of numbers beside the drawing: heading, whether more is better, and digits or a percentage.
NUMBERS = {
    "cross_entropy": ("cross\nentropy", False, 5),
    "rmse": ("RMSE of\nthe share", False, 4),
    "hit_ratio_5": ("hit ratio,\n5 % cached", True, None),
}
#: The score that is drawn against settings.
SWEPT_SCORE = "cross_entropy"
#: Relative differences of it that are hardly any, and within which the best naive forecast is shown.
SLIGHT, NEAR = 0.001, 0.05


def fold_snapshots(
    board: pd.DataFrame, models: dict[str, dict[str, Any]]
) -> tuple[pd.DataFrame, dict[str, list[int]]]:
    """Leave out the rows of models scored before their last epoch (``score_at_epochs``).

    Returns
    -------
    The other rows, and the epochs of the rows left out by model.
    """
    known = set(board["name"])
    folded = {
        name: [epoch for epoch in settings.get("score_at_epochs", []) if f"{name}_{epoch}" in known]
        for name, settings in models.items()
        if name in known
    }
    folded = {name: epochs for name, epochs in folded.items() if epochs}
    left_out = [f"{name}_{epoch}" for name, epochs in folded.items() for epoch in epochs]
    return board[~board["name"].isin(left_out)].reset_index(drop=True), folded


def plot_leaderboard(
    board: pd.DataFrame, source: str, folded: dict[str, list[int]] | None = None
) -> Figure:
    """Draw how far each model and baseline is from the best naive forecast, and write its scores.

    The axis is for the better half. What is far outside is an arrow at the edge and its number.

    Parameters
    ----------
    folded
        Rows that the board lacks: see :func:`fold_snapshots`.
    """
    ordered, rows, headings = arrange(board)
    compared = set(RATIO) <= set(board)
    drawn = drawn_values(ordered)
    numbers = [score for score in NUMBERS if score in ordered]
    for name, epochs in (folded or {}).items():
        text = f"{', '.join(map(str, epochs[:-1]))} and {epochs[-1]}" if epochs[1:] else f"{epochs[0]}"
        source += f"; it holds {name} after {text} epochs as well"
    if ordered.get("cross_entropy_std", pd.Series(dtype=float)).notna().any():
        source += "; dot: mean over seeds"
    if compared:
        source += "; bar: 95 % interval (paired bootstrap over slots)"
    if partial(ordered).any():
        source += "; *: names some movies only, and is compared and scored over these"
    if (ordered["kind"] == "reference").any():
        source += "; references know the future and do not compete"
    figure, panels = style.new_figure(
        board_title(board),
        f"{source}; arrow: the value is outside; bold: the best",
        1 + len(numbers),
        columns=1 + len(numbers),
        height=1.7 + 0.19 * (rows[-1] + 1),
        sharey=True,
        width_ratios=[4.6, *[1.15] * len(numbers)],
    )
    panel = panels[0]
    panel.set_xlim(*limits(drawn[ordered["kind"] != "reference"], drawn))
    for at, kind, values in zip(rows, ordered["kind"], drawn.to_numpy(), strict=True):
        _draw_value(panel, at, values, kind, "{:+.3g} %" if compared else "{:.4g}")
    if compared:
        panel.axvline(0, color=style.VERMILION, linewidth=1, zorder=0)
        panel.set_title("cross entropy against the best naive forecast,\ndifference in %", fontsize=9)
        panel.xaxis.set_major_formatter(lambda value, _: minus(f"{value:+.3g}") if value else "0")
    else:
        panel.set_title("cross entropy (nats per request)", fontsize=9)
    panel.set_xlabel("← better", loc="left")
    panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    for column, score in zip(panels[1:], numbers, strict=True):
        _write_numbers(column, rows, ordered, score)
    panel.set_ylim(rows[-1] + 0.7, min(headings.values()) - 0.7)
    names = ordered["name"] + np.where(partial(ordered), " *", "")
    panel.set_yticks([*headings.values(), *rows], [*headings, *names])
    for tick in panel.get_yticklabels():
        tick.set_parse_math(False)
        if tick.get_text() in headings:
            tick.set_fontweight("bold")
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
    return figure


def minus(text: str) -> str:
    """Write a number's sign as a minus rather than a hyphen."""
    return text.replace("-", "−")


def partial(board: pd.DataFrame) -> "pd.Series[bool]":
    """Find the rows of forecasters that can name some of the movies only."""
    if "covered_share" not in board:
        return pd.Series(False, board.index)
    return ~covers_most(board["covered_share"])


def drawn_values(board: pd.DataFrame) -> pd.DataFrame:
    """Give value, low and high of each row's drawing: the difference in %, or the cross entropy."""
    if set(RATIO) <= set(board):
        return (100 * (board[RATIO] - 1)).set_axis(["value", "low", "high"], axis="columns")
    value = board["cross_entropy"]
    deviation = board.get("cross_entropy_std", pd.Series(np.nan, board.index)).fillna(0)
    return pd.DataFrame({"value": value, "low": value - deviation, "high": value + deviation})


def _write_numbers(panel: Axes, rows: Sequence[float], board: pd.DataFrame, score: str) -> None:
    """Write a score of each row below its heading, the best one bold."""
    heading, more, digits = NUMBERS[score]
    competing = (board["kind"] != "reference") & ~partial(board)
    values = board.loc[competing, score].dropna()
    best = values.max() if more else values.min()
    form = "{:.1%}"
    if digits is not None:
        # Of the best; the others have as many decimals.
        magnitude = int(np.floor(np.log10(best))) if best > 0 else 0
        form = f"{{:.{max(0, digits - 1 - magnitude)}f}}"
    for at, competes, value in zip(rows, competing, board[score], strict=True):
        text = form.format(value).replace("%", " %") if np.isfinite(value) else "none"
        bold = competes and form.format(value) == form.format(best)
        panel.text(
            0.97, at, text, ha="right", va="center", fontsize=8.5,
            transform=panel.get_yaxis_transform(), fontweight="bold" if bold else "normal",
        )  # fmt: skip
    panel.set_title(heading, fontsize=9, loc="right")
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.tick_params(bottom=False, labelbottom=False, left=False, labelleft=False)


def arrange(board: pd.DataFrame) -> tuple[pd.DataFrame, list[float], dict[str, float]]:
    """Put the kinds one below the other, each by what is drawn, the lowest first.

    Returns
    -------
    The board in that order, the height of each of its rows, and that of each kind's heading.
    """
    order = {kind: at for at, kind in enumerate(KINDS)}
    unknown = sorted(set(board["kind"]) - set(KINDS))
    if unknown:
        raise Fault(f"kind {unknown[0]} of the leaderboard is none of {', '.join(KINDS)}")
    ordered = board.assign(order=board["kind"].map(order), drawn=drawn_values(board)["value"])
    ordered = ordered.sort_values(["order", "drawn"], ignore_index=True)
    rows: list[float] = []
    headings: dict[str, float] = {}
    at = 0.0
    for kind in ordered["kind"]:
        if KINDS[kind][0] not in headings:
            at += 0.4 if headings else 0
            headings[KINDS[kind][0]] = at
            at += 1
        rows.append(at)
        at += 1
    return ordered, rows, headings


def limits(competing: pd.DataFrame, all_rows: pd.DataFrame) -> tuple[float, float]:
    """Choose an axis for the better half of the competitors, and what is not far from them.

    Both tables have columns ``value``, ``low`` and ``high``.
    """
    finite = [rows[np.isfinite(rows.to_numpy()).all(axis=1)] for rows in (competing, all_rows)]
    chosen = finite[0] if len(finite[0]) else finite[1]
    if chosen.empty:
        return 0.0, 1.0
    half = chosen.sort_values("value")[: (len(chosen) + 1) // 2]
    # What the rows are compared with has a difference of 0.
    zero = chosen[chosen["value"] == 0]
    low = min(half["low"].min(), zero["low"].min() if len(zero) else np.inf)
    high = max(half["high"].max(), zero["high"].max() if len(zero) else -np.inf)
    reach = 0.5 * (high - low)
    near = finite[1][(finite[1]["low"] >= low - reach) & (finite[1]["high"] <= high + reach)]
    low, high = min(low, near["low"].min()), max(high, near["high"].max())
    margin = 0.06 * (high - low) or 0.05 * abs(low) or 1.0
    return low - margin, high + margin


def _draw_value(panel: Axes, at: float, values: npt.NDArray[np.float64], kind: str, form: str) -> None:
    _, colour, marker = KINDS[kind]
    left, right = panel.get_xlim()
    value, low, high = values
    if not np.isfinite(value):
        panel.text((left + right) / 2, at, "not a number", ha="center", va="center", fontsize=8)
    elif left <= value <= right:
        bar = [[value - low], [high - value]] if high > low else None
        panel.errorbar(value, at, xerr=bar, fmt=marker, color=colour, markersize=5.5)
    else:
        outside = value > right
        panel.annotate(
            minus(form.format(value)),
            (1.0 if outside else 0.0, at),
            (-16 if outside else 16, 0),
            xycoords=panel.get_yaxis_transform(),
            textcoords="offset points",
            ha="right" if outside else "left",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 1, "shrinkB": 0},
        )


def board_title(board: pd.DataFrame) -> str:
    """Say what the leaderboard shows: whether a model is better than the best naive forecast."""
    verdict = judge(board)
    if verdict is None:
        competing = board[board["kind"] != "reference"]
        best = (board if competing.empty else competing).sort_values("cross_entropy").iloc[0]
        return f"{best['name']} has the lowest cross entropy: {best['cross_entropy']:.4g}"
    model, rival, change = verdict.model["name"], verdict.naive["name"], verdict.change
    if verdict.outcome == "better":
        return (
            f"{model}, the best model by the validation slots, beats {rival}, the best naive forecast: "
            f"its cross entropy is {change} lower"
        )
    if verdict.outcome == "worse":
        return (
            f"{model}, the best model by the validation slots, does not beat {rival}, the best naive "
            f"forecast: its cross entropy is {change} higher"
        )
    return (
        f"{model}, the best model by the validation slots, is level with {rival}, the best naive "
        f"forecast: the cross entropies differ by {change}, within their interval"
    )


class Point(NamedTuple):
    """A model in a panel of a setting: the setting's value and the model's score."""

    value: Any
    score: float
    deviation: float


def read_settings(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read the settings of each model, by its name; those of its seeds are the same."""
    models = {name: as_json(runs[0].asked.settings.model) for name, runs in open_runs(folders).items()}
    layers = [model.pop("layers", []) for model in models.values()]
    even = all(len(set(units)) <= 1 for units in layers)
    for model, units in zip(models.values(), layers, strict=True):
        if even:
            model.update({"hidden layers": len(units), "units": units[0] if units else 0})
        else:
            model["layers"] = " + ".join(map(str, units))
    return models


def find_sweeps(
    models: dict[str, dict[str, Any]], board: pd.DataFrame, swept: Sequence[str]
) -> dict[str, list[list[Point]]]:
    """Group the models that differ in one swept setting and are otherwise alike.

    Returns
    -------
    For each swept setting its groups of models. A grid of two settings gives each of them one group
    for every value of the other.
    """
    if "layers" in swept:
        # What `read_settings` made of it.
        swept = [*swept, "hidden layers", "units"]
    columns = ["name", SWEPT_SCORE, f"{SWEPT_SCORE}_std"]
    scores = {name: (score, deviation) for name, score, deviation in board[columns].to_numpy()}
    sweeps: dict[str, list[list[Point]]] = {}
    for key in dict.fromkeys(key for model in models.values() for key in model if key in swept):
        groups: dict[str, dict[str, Point]] = {}
        for name, model in models.items():
            if name not in scores:
                continue
            others = {other: value for other, value in model.items() if other != key}
            value = model.get(key)
            score, deviation = scores[name]
            point = Point(value, score, 0.0 if np.isnan(deviation) else deviation)
            groups.setdefault(json.dumps(others, sort_keys=True), {})[json.dumps(value)] = point
        found = [list(group.values()) for group in groups.values() if len(group) > 1]
        if found:
            sweeps[key] = found
    return sweeps


def _numeric(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _written(value: Any) -> str:
    """Write a setting's value; one of several parts by its parts, one to a line."""
    if isinstance(value, dict):
        return "\n".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return f"{len(value)} of them"
    return {None: "none", True: "yes", False: "no"}.get(value, f"{value}")


def sweep_title(sweeps: dict[str, list[list[Point]]]) -> str:
    """Say which swept setting changes the cross entropy most, and from where to where."""
    spans = {}
    for key, groups in sweeps.items():
        ends = [
            (min(group, key=lambda point: point.score), max(group, key=lambda point: point.score))
            for group in groups
        ]
        spans[key] = max(ends, key=lambda span: span[1].score / span[0].score)
    most = max(spans, key=lambda key: spans[key][1].score / spans[key][0].score)
    best, worst = spans[most]
    change = worst.score / best.score - 1
    names = ", ".join(key.replace("_", " ") for key in sweeps)
    if change < SLIGHT:
        return f"No swept setting ({names}) changes the cross entropy by {style.percent(SLIGHT)} or more"
    low, high = (
        f"{point.score:.4g} with {_written(point.value)}".replace("\n", ", ") for point in (best, worst)
    )
    return (
        f"Swept: {names}. The {most.replace('_', ' ')} can change the cross entropy most: {low}, {high} "
        f"({style.percent(change)} more)"
    )


def plot_sweeps(
    models: dict[str, dict[str, Any]], board: pd.DataFrame, swept: Sequence[str], source: str
) -> Figure:
    """Draw the cross entropy against each swept setting, a line for models otherwise alike."""
    sweeps = find_sweeps(models, board, swept)
    if not sweeps:
        figure, (panel,) = style.new_figure(
            f"No two models differ in one swept setting alone ({', '.join(swept)})", source, height=2.4
        )
        panel.set_axis_off()
        return figure
    columns = min(3, len(sweeps))
    title = sweep_title(sweeps)
    figure, panels = style.new_figure(
        title,
        f"{source}; a line joins models that differ in nothing else; dot: mean over seeds, bar: one "
        "standard deviation to each side; dashed: the naive forecast with the lowest cross entropy",
        len(sweeps),
        columns=columns,
        height=1.5 + 2.3 * -(-len(sweeps) // columns),
    )
    naive = board.loc[board["kind"] == "naive", SWEPT_SCORE].min()
    for at, (panel, (key, groups)) in enumerate(zip(panels, sweeps.items(), strict=True)):
        values = [point.value for group in groups for point in group]
        numeric = _numeric(values)
        # Names and the like have places in their order of appearance.
        places = {json.dumps(value): place for place, value in enumerate(_ordered(values))}
        for group in groups:
            points = sorted(group, key=lambda point: places[json.dumps(point.value)])
            x = [point.value if numeric else places[json.dumps(point.value)] for point in points]
            panel.errorbar(
                x,
                [point.score for point in points],
                [point.deviation for point in points],
                fmt="o-" if numeric else "o:",
                color=style.BLUE,
                markersize=5,
                linewidth=1.2,
            )
        scores = style.finite([point.score for group in groups for point in group])
        if len(scores) and abs(naive / scores.min() - 1) < NEAR:
            panel.axhline(naive, color=style.VERMILION, linestyle="--", linewidth=1)
            scores = np.append(scores, naive)
        panel.margins(x=0.15, y=0.15)
        if len(scores) and np.ptp(scores) < 10 * SLIGHT * scores.min():
            # Differences that are next to none would else look like great ones.
            middle, reach = (scores.min() + scores.max()) / 2, 10 * SLIGHT * scores.min()
            panel.set_ylim(middle - reach, middle + reach)
        if numeric:
            if min(values) > 0 and max(values) >= 8 * min(values):
                panel.set_xscale("log")
            panel.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
            panel.set_xticks([], minor=True)
        else:
            names = [_written(value) for value in _ordered(values)]
            panel.set_xticks(list(places.values()), names)
            if sum(len(name) for name in names) > 22 and not any("\n" in name for name in names):
                style.tilt_labels(panel)
        panel.set_title(key.replace("_", " "))
        panel.ticklabel_format(axis="y", useOffset=False)
        panel.yaxis.set_major_locator(MaxNLocator(4))
        if at % columns == 0:
            panel.set_ylabel("cross entropy (nats per request)")
    return figure


def _ordered(values: Iterable[Any]) -> list[Any]:
    """Each value once: numbers by size, others as they come."""
    once = list({json.dumps(value): value for value in values}.values())
    return sorted(once) if _numeric(once) else once


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaderboard", type=Path, required=True, help="leaderboard.csv")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of trained models")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument(
        "--swept", nargs="+", default=[], help="settings that sweeps vary; without any, no picture of them"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where leaderboard and sweeps are written, as .png and .svg",
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    models = read_settings(args.runs)
    whole = read_csv(args.leaderboard, "name", "kind", *RATIO, *NUMBERS)
    board, folded = fold_snapshots(whole, models)
    source = f"{args.leaderboard.name} of {own(args.dataset)}"
    style.save(plot_leaderboard(board, source, folded), args.folder, "leaderboard")
    if args.swept:
        source = f"{args.leaderboard.name} and the settings of the models of {own(args.dataset)}"
        style.save(plot_sweeps(models, whole, args.swept, source), args.folder, "sweeps")


if __name__ == "__main__":
    run(main)
