"""Draw how much each feature says about a movie's share of the next slot: its mutual information.

It is estimated on a seeded sample of pairs of a training slot and a movie.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure
from sklearn.feature_selection import mutual_info_classif

from popularity import style, tables
from popularity.features import STATIC_FEATURES, STEP_FEATURES, Features
from popularity.own import add_own, load_own
from popularity.program import run
from popularity.series import Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot
from popularity.wording import add_words, own

#: Pairs of a slot and a movie that the features are judged on, half of them with a request.
JUDGED_PAIRS = 5_000
#: Fewer pairs are too few for an estimate.
FEWEST_PAIRS = 50


class Pairs(NamedTuple):
    """Pairs of a slot and a movie known by then, and the class of its share in the slot, each [n].

    0: no request; 1: at most the mean share of the slot's requested movies; 2: more.
    """

    slot: npt.NDArray[np.integer]
    movie: npt.NDArray[np.integer]
    share_class: npt.NDArray[np.integer]


def balanced_pairs(series: Series, slots: range, size: int, generator: np.random.Generator) -> Pairs:
    """Draw about ``size`` pairs, in each slot as many with a request as without, so far as there are.

    Where requests are few, pairs drawn evenly would be next to all without one. Balancing within slots
    also zeroes the information of features that only identify the slot: a plain share is a multiple of
    one over the slot's requests, and so would give its slot away.
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
    sets", with 3 neighbours. A feature with a value for each slot of the window is judged by the last
    one, a feature of several columns by its most informative column.

    Parameters
    ----------
    slot, window
        Length of a slot, and slots of the features' windows.

    Returns
    -------
    Nats of each feature, the highest first, and the highest of their columns after shuffling: that
    much is chance. All are 0 if there are fewer than :data:`FEWEST_PAIRS` pairs.
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
    nats = mutual_info_classif(
        np.concatenate([matrix, shuffled], axis=1),
        pairs.share_class,
        discrete_features=False,
        random_state=seed,
    )
    noise = float(nats[len(owners) :].max())
    by_name = pd.Series(nats[: len(owners)]).groupby(owners).max()
    return by_name.sort_values(ascending=False, kind="stable"), noise


def plot_features(
    information: pd.Series, noise: float, used: Sequence[str], slot: str, source: str
) -> Figure:
    """Draw the mutual information of features and the next slot's share as ranked bars."""
    informative = (information > noise).sum()
    title = f"No feature tells more than chance about a movie's share of the next {slot}"
    if informative:
        title = (
            f"{information.index[0]} tells most about which movies get the shares of the next {slot}; "
            f"{informative} of {len(information)} features tell more than chance"
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


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="shares of slots, as JSON"
    )
    parser.add_argument("--window", type=int, required=True, help="slots of a window")
    parser.add_argument(
        "--features", nargs="*", default=[], help="features that models see; all others are drawn too"
    )
    add_own(parser)
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where feature_information is written, as .png and .svg",
    )
    add_words(parser)
    args = parser.parse_args()
    load_own(args.own)
    style.speak(args.words)

    series = read_series(args.sequences, args.slot)
    movies = tables.read(args.movies, tables.MOVIES)
    training = split_slots(series, args.split)["training"]
    generator = np.random.default_rng(args.seed)
    pairs = balanced_pairs(series, training, JUDGED_PAIRS, generator)
    candidates = candidate_features(args.features)
    information, noise = feature_information(
        series, movies, pairs, candidates, args.slot, args.window, args.seed
    )
    source = (
        f"{args.sequences.parent.name}/{args.sequences.name} of {own(args.dataset)}; {len(pairs.slot):,} "
        f"pairs of a training {args.slot} and a movie drawn at random (seed {args.seed}), half of them "
        f"with a request; shares in three classes: none, up to the mean of the {args.slot}'s requested "
        f"movies, more; of features with a value for each {args.slot} of the window, the last one"
    )
    figure = plot_features(information, noise, args.features, args.slot, source)
    style.save(figure, args.folder, "feature_information")


if __name__ == "__main__":
    run(main)
