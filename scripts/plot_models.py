"""Draw how good the models are: the leaderboard, and their scores against the settings swept."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from popularity import style
from popularity.program import Fault, run

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
#: The score that is drawn against settings.
SWEPT_SCORE = "cross_entropy"
#: Relative differences of it that are hardly any, and within which the best naive forecast is shown.
SLIGHT, NEAR = 0.001, 0.05
#: What settings.json holds of a run beside the settings it was given.
NO_SETTINGS = (
    *("name", "seed", "best_epoch", "parameters", "validated_to"),
    *("offset_weights", "genre_names", "covered_movies"),
)


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


class Point(NamedTuple):
    """A model in a panel of a setting: the setting's value and the model's score."""

    value: Any
    score: float
    deviation: float


def read_settings(resolved: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read the settings of each model, by its name; those of its seeds are the same."""
    models: dict[str, dict[str, Any]] = {}
    for path in resolved:
        text = json.loads(path.read_text())
        models[text["name"]] = {key: text[key] for key in text if key not in NO_SETTINGS}
    layers = [model.pop("layers", []) for model in models.values()]
    even = all(len(set(units)) <= 1 for units in layers)
    for model, units in zip(models.values(), layers, strict=True):
        if even:
            model.update({"hidden layers": len(units), "units": units[0] if units else 0})
        else:
            model["layers"] = " + ".join(map(str, units))
    return models


def find_sweeps(models: dict[str, dict[str, Any]], board: pd.DataFrame) -> dict[str, list[list[Point]]]:
    """Find the settings in which models differ that are otherwise alike.

    Returns
    -------
    For each such setting the groups of models that differ in nothing else, each by its values. A grid
    of two settings so gives each of them one group for every value of the other.
    """
    columns = ["name", SWEPT_SCORE, f"{SWEPT_SCORE}_std"]
    scores = {name: (score, deviation) for name, score, deviation in board[columns].to_numpy()}
    sweeps: dict[str, list[list[Point]]] = {}
    for key in dict.fromkeys(key for model in models.values() for key in model):
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


def _told(value: Any) -> str:
    """Write a setting's value; one of several parts by its parts, one to a line."""
    if isinstance(value, dict):
        return "\n".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return f"{len(value)} of them"
    return {None: "none", True: "yes", False: "no"}.get(value, f"{value}")


def plot_sweeps(models: dict[str, dict[str, Any]], board: pd.DataFrame, source: str) -> Figure:
    """Draw the cross entropy against each setting in which models differ that are otherwise alike."""
    sweeps = find_sweeps(models, board)
    if not sweeps:
        figure, (panel,) = style.new_figure(
            f"No setting is swept: no two of {len(models)} models differ in one setting alone",
            source,
            height=2.4,
        )
        panel.set_axis_off()
        return figure
    changes = {}
    for key, groups in sweeps.items():
        spans = [[point.score for point in group] for group in groups]
        changes[key] = max(max(span) / min(span) - 1 for span in spans)
    most = max(changes, key=lambda key: changes[key])
    columns = min(3, len(sweeps))
    title = (
        f"Of the settings that models differ in alone, {most.replace('_', ' ')} changes the cross entropy "
        f"most: by {style.percent(changes[most])}"
    )
    if changes[most] < SLIGHT:
        title = (
            f"No setting that models differ in alone changes the cross entropy by {style.percent(SLIGHT)}"
        )
    figure, panels = style.new_figure(
        title,
        f"{source}; a line joins models that differ in nothing else; dot: mean over seeds, bar: one "
        "standard deviation to each side; dashed: the best naive forecast",
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
            names = [_told(value) for value in _ordered(values)]
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
    parser.add_argument(
        "--resolved", type=Path, nargs="+", required=True, help="settings.json of each trained model"
    )
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where leaderboard and sweeps are written, as .png and .svg",
    )
    args = parser.parse_args()

    board = pd.read_csv(args.leaderboard)
    source = f"{args.leaderboard.name} of {args.dataset}, {len(board)} rows"
    style.save(plot_leaderboard(board, source), args.folder, "leaderboard")
    source = f"{args.leaderboard.name} and settings.json of the models of {args.dataset}"
    style.save(plot_sweeps(read_settings(args.resolved), board, source), args.folder, "sweeps")


if __name__ == "__main__":
    run(main)
