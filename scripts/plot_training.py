"""Draw how the models trained: losses, RMSE and cross entropy in validation, and time by epoch."""

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
from popularity.forecasters.network.saved import TrainedModel, open_runs
from popularity.program import run
from popularity.wording import add_words, own

SEEDS_NOTE = "line: mean over the seeds that train so long, band: least to greatest"
#: Why the lines of a model's losses are apart.
LOSS_NOTE = (
    "the two losses are of different slots: in later ones the requests spread over more movies, which "
    "raises the cross entropy and lowers the absolute error of any forecast; so a gap between the lines "
    "is no sign of overfitting, a validation loss that rises is"
)
#: Models within this share of the lowest RMSE are named together.
LEVEL = 0.01
#: How much the lines of a score differ before the lowest get a close-up, and which those are: the ones
#: that come as near to the best as this share of the distance between the best and the worst.
APART, LOWEST = 0.1, 0.1

#: The model of the course project of 2017, and the epochs after which that looked at its RMSE.
COURSE_MODEL, COURSE_EPOCHS = "course_lstm", (30, 50, 70, 100, 150)

#: What is drawn of the validation samples.
SCORES = {
    "val_rmse": "RMSE of the share",
    "val_cross_entropy": "cross entropy (nats per request)",
}

#: A model's runs, one a seed, and the history of each by epoch.
Runs = list[tuple[TrainedModel, pd.DataFrame]]


def read_runs(folders: Sequence[Path]) -> dict[str, Runs]:
    """Read trained models and their histories, by the models' names and in the seeds' order."""
    return {
        name: [(run, run.history()) for run in sorted(runs, key=lambda run: run.asked.seed)]
        for name, runs in open_runs(folders).items()
    }


def by_epoch(runs: Runs, column: str) -> pd.DataFrame:
    """Mean, least and greatest of a column over those seeds that trained as long, by epoch."""
    values = pd.concat([history.set_index("epoch")[column] for _, history in runs], axis=1)
    values = values.replace([np.inf, -np.inf], np.nan)
    return pd.DataFrame(
        {"mean": values.mean(axis=1), "min": values.min(axis=1), "max": values.max(axis=1)}
    ).sort_index()


def draw_band(panel: Axes, runs: Runs, column: str, label: str, factor: float = 1.0, **look: Any) -> None:
    """Draw the mean over seeds as a line, from the least to the greatest as a band, times a factor."""
    table = by_epoch(runs, column) * factor
    epochs = table.index.to_numpy()
    # One epoch, or one with no number before and after it, would be a line without length.
    marker = "o" if table["mean"].count() < 2 else None
    panel.plot(epochs, table["mean"], label=label, marker=marker, **look)
    if len(runs) > 1:
        band = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
        panel.fill_between(epochs, table["min"], table["max"], **band)


def plot_loss(models: dict[str, Runs], source: str) -> Figure:
    """Draw loss and validation loss by epoch, a panel for each model: their losses differ."""
    columns = grid_columns(len(models))
    rows = -(-len(models) // columns)
    figure, panels = style.new_figure(
        loss_title(models),
        f"{source}; {SEEDS_NOTE}; {LOSS_NOTE}",
        len(models),
        columns=columns,
        height=1.5 + min(2.6, 8.8 / columns) * rows,
    )
    for at, (panel, (name, runs)) in enumerate(zip(panels, models.items(), strict=True)):
        draw_band(panel, runs, "loss", "training", color=style.BLUE)
        draw_band(panel, runs, "val_loss", "validation", color=style.VERMILION)
        best = [
            (run.found.best_epoch, loss)
            for run, history in runs
            for loss in history.loc[history["epoch"] == run.found.best_epoch, "val_loss"]
        ]
        look: dict[str, Any] = {
            "color": style.VERMILION,
            "markersize": 11,
            "markeredgecolor": "white",
        }
        panel.plot(*np.array(best).reshape(-1, 2).T, "*", label="best epoch", **look)
        values = style.finite(pd.concat([h[["loss", "val_loss"]] for _, h in runs]))
        if not len(values):
            panel.text(0.5, 0.5, "not a number", ha="center", transform=panel.transAxes)
            panel.set_yticks([])
        elif values.min() > 0 and values.max() > 10 * values.min():
            panel.set_yscale("log")
            style.label_values(panel.yaxis, "number")
        loss = runs[0][0].asked.settings.model.loss
        panel.set_title(f"{name}\n{loss}", parse_math=False, fontsize=9)
        if at % columns == 0:
            panel.set_ylabel("loss")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if at >= len(models) - columns:
            panel.set_xlabel("epoch")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def grid_columns(panels: int) -> int:
    """Choose 1 to 4 columns of panels: those that leave the fewest cells empty, then the squarest."""
    if panels <= 3:
        return panels
    return min((4, 3, 2), key=lambda columns: (-panels % columns, abs(columns + -panels // columns)))


def loss_title(models: dict[str, Runs]) -> str:
    """Say when the validation loss was lowest: a run that ended there might go on falling."""
    runs = [(run.found.best_epoch, len(history)) for taken in models.values() for run, history in taken]
    last = sum(best == epochs for best, epochs in runs)
    if last:
        of = f"in {last} of {len(runs)} runs" if len(runs) > 1 else ""
        return (
            f"The validation loss is lowest after the last epoch {of}".strip()
            + ": more epochs might lower it"
        )
    bests = sorted(best for best, _ in runs)
    span = f"{bests[0]}" if bests[0] == bests[-1] else f"{bests[0]} to {bests[-1]}"
    return f"The validation loss is lowest before the last epoch, at epoch {span}"


def plot_rmse_by_epoch(models: dict[str, Runs], source: str) -> Figure:
    """Draw RMSE and cross entropy of the validation samples by epoch, all models together."""
    means = {
        column: pd.DataFrame({name: by_epoch(runs, column)["mean"] for name, runs in models.items()})
        for column in SCORES
    }
    title = rmse_title(means["val_rmse"].min().dropna())
    spread = [table.max().max() > (1 + APART) * table.min().min() for table in means.values()]
    rows = 2 if any(spread) else 1
    source = f"{source}; {SEEDS_NOTE}"
    reached = [
        epoch for epoch in COURSE_EPOCHS if epoch in means["val_rmse"].get(COURSE_MODEL, pd.Series())
    ]
    if reached:
        epochs = ", ".join(map(str, reached))
        source += f"; dots: {COURSE_MODEL} after the epochs of the course project ({epochs})"
    # A power of ten spares the ticks their zeros.
    finest = style.finite(means["val_rmse"])
    finest = finest[finest > 0]
    power = max(0, -int(np.floor(np.log10(finest.min())))) if len(finest) else 0
    means["val_rmse"] *= 10.0**power
    figure, panels = style.new_figure(title, source, 2 * rows, columns=2, height=1.6 + 2.7 * rows)
    looks = style.looks(models)
    for at, panel in enumerate(panels):
        column = list(SCORES)[at % 2]
        table = means[column]
        if at >= 2:
            best, worst = table.min().min(), table.min().max()
            table = table.loc[:, table.min() <= best + LOWEST * (worst - best)]
        for name in map(str, table):
            factor = 10.0**power if column == "val_rmse" else 1.0
            draw_band(panel, models[name], column, name, factor, **looks[name])
            if name == COURSE_MODEL and reached and at < 2:
                marked = table[name].dropna()[lambda means: means.index.isin(reached)]
                panel.plot(marked.index, marked, "o", color=looks[name]["color"], markersize=4)
        values = style.finite(table)
        if at >= 2 and len(values):
            # A first epoch far above is no part of the close-up.
            low, high = values.min(), np.quantile(values, 0.95)
            margin = 0.1 * (high - low) or 0.01 * abs(low) or 1.0
            panel.set_ylim(low - margin, high + margin)
        elif len(values) and values.min() > 0 and values.max() > 10 * values.min():
            panel.set_yscale("log")
        score = SCORES[column]
        if column == "val_rmse" and power:
            score += f" × {10**power:,}"
        panel.set_title(score if at < 2 else "close-up of the lowest lines")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if panel.get_yscale() == "linear":
            panel.yaxis.set_major_locator(MaxNLocator(6))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def rmse_title(lowest: pd.Series) -> str:
    """Say which models come to the lowest RMSE; ``lowest`` by model."""
    if lowest.empty:
        return "RMSE and cross entropy in validation, by epoch"
    best = lowest.min()
    near = int((lowest <= (1 + LEVEL) * best).sum())
    if near > 1:
        which = f"All {near}" if near == len(lowest) else f"{near} of {len(lowest)}"
        return (
            f"{which} models come within {style.percent(LEVEL)} of the lowest RMSE in validation, "
            f"{best:.3g} ({lowest.idxmin()})"
        )
    return f"{lowest.idxmin()} comes to the lowest RMSE in validation: {best:.3g}"


def plot_epoch_seconds(models: dict[str, Runs], source: str) -> Figure:
    """Draw the seconds of each epoch of each model."""
    medians = {
        name: float(np.median(np.concatenate([history["seconds"] for _, history in runs])))
        for name, runs in models.items()
    }
    ordered = sorted(medians, key=lambda name: medians[name])
    fastest, slowest = ordered[0], ordered[-1]
    title = f"An epoch of {fastest} takes {medians[fastest]:.2g} s"
    if slowest != fastest:
        title += f", one of {slowest} {medians[slowest]:.2g} s"
    figure, (panel,) = style.new_figure(
        f"{title} in the median",
        f"{source}; each dot an epoch; circles: first epochs, in which the network is compiled; line: "
        "median; epochs differ in their number of samples from model to model",
        height=1.9 + 0.42 * len(models),
    )
    for at, name in enumerate(ordered):
        for _, history in models[name]:
            seconds = history["seconds"].to_numpy()
            heights = np.full(len(seconds), float(at))
            look: dict[str, Any] = {"color": style.BLUE, "linestyle": "none"}
            panel.plot(seconds[1:], heights[1:], marker=".", alpha=0.4, markersize=7, mew=0, **look)
            panel.plot(seconds[:1], heights[:1], marker="o", fillstyle="none", markersize=6, **look)
        panel.plot([medians[name]] * 2, [at - 0.3, at + 0.3], color=style.BLACK, linewidth=2)
        counts = sorted({len(history) for _, history in models[name]})
        total = sum(history["seconds"].sum() for _, history in models[name]) / len(models[name])
        panel.text(
            1.01, at, f"{' or '.join(map(str, counts))} epochs, {total:,.0f} s",
            transform=panel.get_yaxis_transform(), va="center", fontsize=8,
        )  # fmt: skip
    seconds = style.finite(np.concatenate([h["seconds"] for runs in models.values() for _, h in runs]))
    if len(seconds) and seconds.min() > 0 and seconds.max() > 10 * seconds.min():
        panel.set_xscale("log")
    style.label_values(panel.xaxis, "number")
    panel.set_yticks(range(len(ordered)), ordered)
    for label in panel.get_yticklabels():
        label.set_parse_math(False)
    panel.set_ylim(len(ordered) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("seconds of an epoch")
    return figure


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of trained models")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where the pictures are written, as .png and .svg",
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    models = read_runs(args.runs)
    seeds = sorted({len(runs) for runs in models.values()})
    source = (
        f"history.csv of {len(models)} models trained on {own(args.dataset)}, "
        f"seeds of each: {' or '.join(map(str, seeds))}"
    )
    style.save(plot_loss(models, source), args.folder, "loss")
    style.save(plot_rmse_by_epoch(models, source), args.folder, "rmse_by_epoch")
    style.save(plot_epoch_seconds(models, source), args.folder, "epoch_seconds")


if __name__ == "__main__":
    run(main)
