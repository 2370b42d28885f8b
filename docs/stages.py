"""Draw the stages of the workflow, from the log to the report.

    python docs/stages.py

Every rule belongs to one stage, and needs files of its own or of earlier stages alone.
"""

import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from popularity import style  # noqa: E402

#: Inches.
HEIGHT = 2.05


class Stage(NamedTuple):
    """A step of the way from the log to the report."""

    name: str
    meaning: str
    made: tuple[str, ...]  #: the files that it is for
    rules: tuple[str, ...]


STAGES = (
    Stage(
        "Read",
        "Any release of MovieLens, your own log or a made-up one: a row for each request",
        ("joined.parquet", "movies.parquet"),
        (
            *("download_archive", "simulate_archive", "describe_log", "join_ratings"),
            *("join_shard", "copy_movies", "list_rejected"),
        ),
    ),
    Stage(
        "Count",
        "Requests of each movie in each hour, day or week, and its share of them all",
        ("labelled.parquet", "sequences/"),
        (
            *("label_popularity", "sort_by_time", "build_sequences"),
            *("label_shard", "sort_shard", "gather_shards"),
        ),
    ),
    Stage(
        "Train",
        "Networks learn from the first slots; later ones, for validation, say when to stop",
        ("models/",),
        ("train_model", "search_settings"),
    ),
    Stage(
        "Score",
        "Networks, other models and naive forecasts predict the last slots, one by one",
        ("scores.parquet", "leaderboard.csv"),
        (
            *("evaluate_model", "evaluate_learned", "evaluate_baselines", "compare_models"),
            *("evaluate_shard", "gather_evaluation"),
        ),
    ),
    Stage(
        "Use",
        "The best model forecasts the slots after the log; caches are filled from forecasts",
        ("forecast.csv", "cache.csv"),
        ("forecast_next_slot", "replay_policies", "simulate_cache"),
    ),
    Stage(
        "Report",
        "Pictures, tables, settings, times and software in one HTML file",
        ("plots/", "report.html"),
        (
            *("plot_log", "plot_eda", "plot_feature_information", "plot_training", "plot_models"),
            *("plot_predictions", "plot_mixture", "plot_cache", "plot_runtimes"),
            *("write_table", "write_front_page", "write_captions", "write_report", "list_software"),
            *("record_settings", "compare"),
        ),
    ),
)


def draw(stages: tuple[Stage, ...]) -> Figure:
    """Draw the stages side by side, each a box with its meaning and its files."""
    figure = Figure(figsize=(style.WIDTH, HEIGHT))
    figure.set_layout_engine("none")
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set(xlim=(0, style.WIDTH), ylim=(0, HEIGHT))
    panel.set_axis_off()
    gap, edge = 0.17, 0.08
    width = (style.WIDTH - 2 * edge - gap * (len(stages) - 1)) / len(stages)
    for number, stage in enumerate(stages):
        left = edge + number * (width + gap)
        corners = "round,pad=0,rounding_size=0.08"
        look = {"facecolor": "#EAF3FA", "edgecolor": style.BLUE}
        panel.add_patch(FancyBboxPatch((left, 0.08), width, HEIGHT - 0.16, boxstyle=corners, **look))
        panel.text(
            left + 0.08,
            HEIGHT - 0.2,
            f"{number + 1} {stage.name}",
            va="top",
            fontweight="bold",
            fontsize=11,
        )
        meaning = textwrap.fill(stage.meaning, 17)
        panel.text(left + 0.08, HEIGHT - 0.48, meaning, va="top", fontsize=8, linespacing=1.25)
        files = "\n".join(stage.made)
        panel.text(left + 0.08, 0.16, files, va="bottom", fontsize=7, family="monospace", color=style.BLUE)
        if number:
            arrow = {"arrowstyle": "-|>", "color": style.BLUE, "shrinkA": 0, "shrinkB": 0}
            panel.annotate("", (left, HEIGHT / 2), (left - gap, HEIGHT / 2), arrowprops=arrow)
    return figure


def main() -> None:
    """Write the picture."""
    draw(STAGES).savefig(ROOT / "docs" / "stages.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
