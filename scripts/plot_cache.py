"""Draw what a cache would gain: the hit ratio of every policy by the size of the cache."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from popularity import style
from popularity.program import Fault, run

#: Panels in their order: the kinds they show, and their heading.
PANELS = {
    "Filled from a model's forecast": ("network", "learned"),
    "Filled from a naive forecast": ("naive",),
    "Reacting to each request": ("reactive",),
    "Filled part + reacting part": ("mixture",),
}
#: Lines of a panel that can be told apart.
LINES = 7
COLUMNS = ["policy", "kind", "size", "movies", "requests", "hit_ratio", "hit_ratio_low", "hit_ratio_high"]
#: The size that the title speaks of, or the nearest to it.
TITLE_SIZE = 0.05


def plot_cache(board: pd.DataFrame, source: str) -> Figure:
    """Draw the hit ratio by the cache's size (logarithmic), a panel for each way to run a cache.

    The caches that know the future stand in every panel, the oracle as its upper edge.

    Parameters
    ----------
    board
        ``cache.csv``: see ``simulate_cache``.
    """
    missing = [name for name in COLUMNS if name not in board]
    if missing:
        raise Fault(f"cache.csv has no column {missing[0]}; delete it and run again")
    ranked = ranking(board)
    panels = {
        heading: [policy for policy in ranked if policy[1] in kinds] for heading, kinds in PANELS.items()
    }
    panels = {heading: policies for heading, policies in panels.items() if policies}
    for heading, policies in panels.items():
        if len(policies) > LINES:
            source += f"; {heading.lower()}: the best {LINES} of {len(policies)}"
    figure, axes = style.new_figure(
        title_of(board),
        source,
        max(1, len(panels)),
        columns=min(2, max(1, len(panels))),
        height=1.2 + 3.1 * -(-max(1, len(panels)) // 2),
        sharex=True,
        sharey=True,
    )
    for at, (panel, (heading, policies)) in enumerate(zip(axes, panels.items(), strict=False)):
        _draw_references(panel, board, named=at == 0)
        looks = style.looks(policy for policy, _ in policies[:LINES])
        for policy, kind in policies[:LINES]:
            look = looks[policy]
            rows = board[(board["policy"] == policy) & (board["kind"] == kind)].sort_values("size")
            panel.plot(rows["size"], rows["hit_ratio"], marker=".", label=policy, **look)
            low, high = rows["hit_ratio_low"], rows["hit_ratio_high"]
            panel.fill_between(rows["size"], low, high, color=look["color"], alpha=0.12, linewidth=0)
        panel.set_title(heading)
        panel.set_xscale("log")
        panel.set_xticks(sorted(set(board["size"])))
        panel.xaxis.set_major_formatter(style.percent)
        panel.minorticks_off()
        panel.set_ylim(0, 1)
        style.label_values(panel.yaxis, "share")
        legend = panel.legend(loc="upper left", fontsize=8, labelspacing=0.25)
        for text in legend.get_texts():
            text.set_parse_math(False)
    figure.supylabel("hit ratio: requests served from the cache", fontsize=9)
    for panel in axes[-min(2, len(axes)) :]:
        panel.set_xlabel("movies in the cache, share of the catalogue")
        panel.tick_params(labelbottom=True)
    return figure


def _draw_references(panel: Axes, board: pd.DataFrame, named: bool) -> None:
    """Draw the caches that know the future, no competitors, in the legend or not."""
    looks = {"oracle": (style.BLACK, "-"), "Belady": (style.GREY, "--")}
    names = {"oracle": "oracle (knows the slot)", "Belady": "Belady (knows all)"}
    for policy, (colour, dash) in looks.items():
        rows = board[(board["policy"] == policy) & (board["kind"] == "reference")].sort_values("size")
        if len(rows):
            look: dict[str, Any] = {"linestyle": dash, "color": colour, "linewidth": 1.2}
            panel.plot(rows["size"], rows["hit_ratio"], label=names[policy] if named else None, **look)


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
    told = ", ".join(
        f"{style.percent(row['hit_ratio'])} {words} ({row['policy']})"
        for row, words in ((best["forecast"], "filled from a forecast"), (best["reactive"], "reacting"))
    )
    return f"A cache of {style.percent(size)} of the movies serves at best {told}"


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hit-ratios", type=Path, required=True, help="cache.csv")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", required=True, help="length of a slot, for the source line")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where cache is written, as .png and .svg"
    )
    args = parser.parse_args()

    board = pd.read_csv(args.hit_ratios)
    source = (
        f"cache.csv of {args.dataset}, {board['requests'].max():,} requests of the test slots, filled anew "
        f"each {args.slot}; band: 95 % interval over slots"
    )
    style.save(plot_cache(board, source), args.folder, "cache")


if __name__ == "__main__":
    run(main)
