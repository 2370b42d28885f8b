"""Draw what a cache would serve by its size, and what it gains over the best naive forecast."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from popularity import style
from popularity.program import run
from popularity.results import read_csv
from popularity.slots import HELP, Slot
from popularity.wording import add_words, own

#: Panels of differences in their order: the kinds they show, and their heading.
PANELS = {
    "filled from a model's forecast": ("network", "learned"),
    "filled from a naive forecast": ("naive",),
    "reacting, and filled part + reacting part": ("reactive", "mixture"),
}
#: Lines of a panel that can be told apart.
LINES = 6
COLUMNS = [
    *("policy", "kind", "size", "movies", "bytes", "requests"),
    *("hit_ratio", "hit_ratio_low", "hit_ratio_high"),
    *("gain", "gain_low", "gain_high", "gain_over"),
]
#: The most of them that are drawn whatever their distance.
BEST = 4
#: The size that the title speaks of, or the nearest to it.
TITLE_SIZE = 0.05


def plot_cache(board: pd.DataFrame, source: str) -> Figure:
    """Draw the hit ratio by the cache's size, and how far each cache is from the best naive one.

    Where caches have sizes in bytes, the share of the bytes that they serve is drawn, too.

    Parameters
    ----------
    board
        ``cache.csv``: see ``simulate_cache``.
    """
    ranked = ranking(board)
    panels: dict[str, list[tuple[str, str]]] = {}
    for heading, kinds in PANELS.items():
        policies = [policy for policy in ranked if policy[1] in kinds]
        shown = near_the_best(board, policies)[:LINES]
        if shown:
            panels[heading] = shown
            if len(shown) < len(policies):
                source += f"; {heading}: the best {len(shown)} of {len(policies)}"
    ratios = ["hit_ratio", *(["byte_hit_ratio"] if in_bytes(board) else [])]
    count = len(ratios) + len(panels)
    figure, axes = style.new_figure(
        title_of(board), source, count, columns=min(2, count), height=1.1 + 2.65 * -(-count // 2)
    )
    for panel, ratio in zip(axes, ratios, strict=False):
        _draw_best(panel, board, ranked, ratio)
    for panel, (heading, policies) in zip(axes[len(ratios) :], panels.items(), strict=True):
        panel.axhline(0, color=style.GREY, linewidth=1)
        # Forecasts that rank the movies alike fill the same caches: one line has all their names.
        lines: dict[tuple[float, ...], list[tuple[str, str]]] = {}
        for policy in policies:
            lines.setdefault(tuple(_rows(board, *policy)["gain"]), []).append(policy)
        for alike, colour in zip(lines.values(), style.COLOURS, strict=False):
            one = _rows(board, *alike[0])
            label = ", ".join(name for name, _ in alike)
            look: dict[str, Any] = {"color": colour, "marker": ".", "markersize": 5}
            panel.plot(one["size"], 100 * one["gain"], label=label, **look)
            low, high = 100 * one["gain_low"], 100 * one["gain_high"]
            panel.fill_between(one["size"], low, high, color=colour, alpha=0.15, linewidth=0)
        panel.set_title(heading, fontsize=9)
        panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        panel.yaxis.set_major_formatter(
            lambda value, _: f"{value:+.3g}".replace("-", "−") if value else "0"
        )
        panel.set_ylabel(f"points above {board['gain_over'].iloc[0]}", parse_math=False)
    for panel in axes:
        panel.set_xscale("log")
        panel.set_xticks(sorted(set(board["size"])))
        panel.xaxis.set_major_formatter(lambda size, _: f"{100 * size:g}")
        panel.minorticks_off()
        panel.set_xlabel(f"{'bytes' if in_bytes(board) else 'movies'} in the cache, % of the catalogue")
        style.label_lines(panel, height=1.9)
    return figure


def in_bytes(board: pd.DataFrame) -> bool:
    """Whether the caches have sizes in bytes."""
    return bool(board["bytes"].notna().any())


def _rows(board: pd.DataFrame, policy: str, kind: str) -> pd.DataFrame:
    return board[(board["policy"] == policy) & (board["kind"] == kind)].sort_values("size")


def near_the_best(board: pd.DataFrame, ranked: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep the best policies, and those that lie as near to them as they do to each other.

    What lies far below would press all others into one line.
    """
    lows = [_rows(board, *policy)["gain"].min() for policy in ranked]
    best_lows = lows[: min((len(lows) + 1) // 2, BEST)]
    if not np.isfinite(best_lows).any():
        return []
    top = max(0.0, max(_rows(board, *policy)["gain"].max() for policy in ranked[: len(best_lows)]))
    worst = min(0.0, *best_lows) if best_lows else 0.0
    return [policy for policy, low in zip(ranked, lows, strict=True) if low >= worst - (top - worst)]


def _draw_best(panel: Axes, board: pd.DataFrame, ranked: Sequence[tuple[str, str]], ratio: str) -> None:
    """Draw a ratio of the best cache of each way, of LRU, and of those that know the future."""
    ways = {
        ("network", "learned", "naive"): ("filled: ", style.BLUE),
        ("mixture",): ("", style.GREEN),
        ("reactive",): ("reacting: ", style.VERMILION),
    }
    drawn = [("oracle", "reference", "oracle", style.BLACK), ("Belady", "reference", "Belady", style.GREY)]
    for kinds, (words, colour) in ways.items():
        best = [policy for policy in ranked if policy[1] in kinds][:1]
        drawn += [(policy, kind, f"{words}{policy}", colour) for policy, kind in best]
    if not any(policy == "LRU" for policy, *_ in drawn):
        drawn.append(("LRU", "reactive", "LRU", style.PURPLE))
    for policy, kind, label, colour in drawn:
        rows = _rows(board, policy, kind)
        if len(rows):
            dash = "--" if kind == "reference" else "-"
            panel.plot(rows["size"], rows[ratio], dash, label=label, color=colour, linewidth=1.3)
    panel.set_ylim(0, 1)
    style.label_values(panel.yaxis, "share")
    panel.set_ylabel(ratio.replace("_", " "))
    panel.set_title("the best of each kind; dashed: know the future", fontsize=9)


def ranking(board: pd.DataFrame) -> list[tuple[str, str]]:
    """Policies and their kinds, by falling mean of the hit ratio over the sizes that all have."""
    sizes = board.groupby("size")["policy"].size()
    common = sizes.index[sizes == sizes.max()]
    means = board[board["size"].isin(common)].groupby(["policy", "kind"])["hit_ratio"].mean()
    return list(means.sort_values(ascending=False, kind="stable").index)


def title_of(board: pd.DataFrame) -> str:
    """Say what a cache gains from a forecast, at one size."""
    sizes = pd.Series(sorted(set(board["size"])))
    size = sizes[(sizes - TITLE_SIZE).abs().argmin()]
    at = board[board["size"] == size]
    kinds = {
        "forecast": at[at["kind"].isin(["network", "learned", "naive"])],
        "reactive": at[at["kind"] == "reactive"],
    }
    best = {name: rows.sort_values("hit_ratio").iloc[-1] for name, rows in kinds.items() if len(rows)}
    if len(best) < 2:
        return "Hit ratio by the size of the cache"
    filled, reacting = (
        f"{style.percent(row['hit_ratio'])} of the requests if {words}{row['policy']}"
        for row, words in ((best["forecast"], "filled by "), (best["reactive"], "it reacts by "))
    )
    whole = "all bytes" if in_bytes(board) else "the movies"
    return f"A cache of {style.percent(size)} of {whole} serves {filled}, {reacting}"


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hit-ratios", type=Path, required=True, help="cache.csv")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where cache is written, as .png and .svg"
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    board = read_csv(args.hit_ratios, *COLUMNS)
    source = (
        f"cache.csv of {own(args.dataset)}, {board['requests'].max():,} requests of the test slots, "
        f"filled anew each {args.slot}; points: percentage points of the hit ratio; bands: 95 % intervals "
        "(paired bootstrap over slots)"
    )
    if "reactive" not in set(board["kind"]):
        source += "; no cache that reacts to requests: none is asked for, or libcachesim is not installed"
    style.save(plot_cache(board, source), args.folder, "cache")


if __name__ == "__main__":
    run(main)
