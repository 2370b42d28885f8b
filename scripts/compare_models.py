"""Compare every model and baseline on the test slots: one row each, the best first."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import popularity.start

import numpy as np
import pandas as pd

from popularity.program import atomic_write, run
from popularity.results import read_scores
from popularity.scoring.classes import CLASSES
from popularity.scoring.scores import (
    COMPARED_SCORES,
    SCORES,
    SUMS,
    class_ratio,
    score_ratio,
    summarise,
    summarise_classes,
    summarise_common,
)
from popularity.scoring.verdict import best_on_validation, covers_most

#: The baseline that is fairest to compare with.
MIX = "ewma_mix"


def compare_models(scored: pd.DataFrame) -> pd.DataFrame:
    """Put every forecaster's scores on the test slots side by side.

    Parameters
    ----------
    scored
        Rows of ``score_slot`` with ``name``, ``kind``, ``seed``, ``split`` (validation or test) and
        ``slot``.

    Returns
    -------
    ``name``, ``kind``, ``seeds``, each score (mean over seeds), each ``<score>_std`` (standard
    deviation over seeds, empty for one), ``validation_cross_entropy`` and the number of
    ``validation_slots`` that it is of, and ``cross_entropy_ratio``
    to the naive forecast that is best on the validation slots, with the 95 % interval
    ``ratio_low`` to ``ratio_high`` of a paired bootstrap over slots; ``<score>_ratio``,
    ``<score>_ratio_low`` and ``<score>_ratio_high`` are the same of the other scores of
    ``scores.COMPARED_SCORES``, and with ``_to_mix`` after ``ratio`` all are to the forecast named
    ``ewma_mix`` (empty if there is none). ``covered_share`` is the share of all requests that go to
    movies the forecaster can name. Where some cover fewer movies than others, ``common_<score>`` are
    scores over the movies that all cover, and the ratios of those that cover fewer are of these. Sorted
    by cross entropy, those that cover fewer movies after all others, references last.
    """
    runs = scored.groupby(["split", "name", "kind", "seed"])
    summaries = pd.DataFrame({key: summarise(rows) for key, rows in runs}).T
    summaries.index.names = ["split", "name", "kind", "seed"]
    by_name = summaries[list(SCORES)].groupby(["split", "name", "kind"])
    mean, deviation, count = by_name.mean(), by_name.std(ddof=1), by_name.size()

    board = mean.xs("test").reset_index()
    board.insert(2, "seeds", count.xs("test").to_numpy())
    for score in SCORES:
        board[f"{score}_std"] = deviation.xs("test")[score].to_numpy()
    validation = mean.xs("validation")["cross_entropy"]
    board["validation_cross_entropy"] = validation.to_numpy()
    scored_slots = summaries["slots"].groupby(["split", "name", "kind"]).first()
    board["validation_slots"] = scored_slots.xs("validation").astype(int).to_numpy()

    covered = summaries["covered_share"].groupby(["split", "name", "kind"]).mean()
    board["covered_share"] = covered.xs("test").to_numpy()
    board["partial"] = ~covers_most(board["covered_share"])
    if "common_requests" in scored:
        alone = pd.DataFrame({key: summarise_common(rows) for key, rows in runs}).T
        alone.index.names = summaries.index.names
        means = alone.groupby(["split", "name", "kind"]).mean().xs("test")
        board[means.columns] = means.to_numpy()

    best_naive = best_on_validation(scored, scored.loc[scored["kind"] == "naive", "name"].unique())
    tested = scored[scored["split"] == "test"].sort_values("slot")
    by_seed: dict[str, list[pd.DataFrame]] = {name: [] for name in board["name"].tolist()}
    for _, rows in tested.groupby(["name", "seed"]):
        by_seed[str(rows["name"].iloc[0])].append(rows)
    for suffix, rival in (("", best_naive), ("_to_mix", MIX)):
        for score in COMPARED_SCORES:
            column = f"{score}_ratio{suffix}"
            columns = [column, f"{column}_low", f"{column}_high"]
            if column == "cross_entropy_ratio":
                columns = [column, "ratio_low", "ratio_high"]
            ratios = [(np.nan,) * 3] * len(board)
            if rival in by_seed:
                ratios = [
                    score_ratio(by_seed[name], by_seed[rival][0], score, common=partial)
                    for name, partial in zip(board["name"], board["partial"], strict=True)
                ]
            board[columns] = ratios
    order = board.assign(last=board["kind"] == "reference").sort_values(
        ["last", "partial", "cross_entropy"]
    )
    return order.drop(columns=["last", "partial"])


#: Kinds whose best forecasts are compared: of what is told of the first, beside the second.
RIVALS = (("network", "naive"), ("network", "learned"), ("learned", "naive"))


def compare_best(scored: pd.DataFrame, networks: Sequence[str]) -> pd.DataFrame:
    """Compare the best network, fitted baseline and naive forecast by the validation slots with each other.

    Parameters
    ----------
    networks
        Names of the networks that forecast: other rows of networks are earlier epochs of theirs.

    Returns
    -------
    For each of :data:`RIVALS` and each class of movies a row: ``name``, ``kind``, ``rival``,
    ``rival_kind``, ``movies`` (``all`` or a class), ``request_share`` (of all requests), and the ``ratio``
    of their cross entropies on the test slots with its 95 % interval ``low`` to ``high`` (paired bootstrap
    over slots). Where one of them covers fewer movies, there is one row, of the movies that both cover
    (``common``).
    """
    tested = scored[scored["split"] == "test"].sort_values("slot")
    best: dict[str, list[pd.DataFrame]] = {}
    covered: dict[str, float] = {}
    for kind in ("network", "learned", "naive"):
        of_kind = scored.loc[scored["kind"] == kind, "name"].unique().tolist()
        names = list(networks) if kind == "network" else of_kind
        rows = tested[tested["name"].isin(names)]
        if len(rows):
            name = best_on_validation(scored, names)
            best[kind] = [part for _, part in rows[rows["name"] == name].groupby("seed")]
            covered[kind] = best[kind][0]["covered"].sum()
    found = []
    for kind, rival_kind in RIVALS:
        if kind not in best or rival_kind not in best:
            continue
        ours, theirs = best[kind], best[rival_kind]
        sums = ours[0].sum(numeric_only=True)
        alike = abs(covered[kind] - covered[rival_kind]) < 1e-9 * sums["requests"]
        shares = {"common": np.nan}
        if alike:
            shares = {name: sums[f"requests_{name}"] / sums["requests"] for name in CLASSES}
            shares = {"all": sums["covered"] / sums["requests"], **shares}
        for movies, share in shares.items():
            ratio, low, high = class_ratio(ours, theirs, movies) if share != 0 else (np.nan,) * 3
            found.append(
                {
                    "name": ours[0]["name"].iloc[0],
                    "kind": kind,
                    "rival": theirs[0]["name"].iloc[0],
                    "rival_kind": rival_kind,
                    "movies": movies,
                    "request_share": share,
                    "ratio": ratio,
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(found)


def compare_by_class(scored: pd.DataFrame) -> pd.DataFrame:
    """Put every forecaster's scores on the test slots side by side for each class of movies.

    Returns
    -------
    ``class``, ``name``, ``kind`` and what ``summarise_classes`` gives (mean over seeds), by class and
    within it by cross entropy. Forecasters without sums of classes are left out.
    """
    tested = scored[(scored["split"] == "test") & scored["requests_head"].notna()]
    runs = tested.groupby(["name", "kind", "seed"])
    tables = [
        summarise_classes(rows).assign(name=rows["name"].iloc[0], kind=rows["kind"].iloc[0])
        for _, rows in runs
    ]
    means = pd.concat(tables).groupby(["class", "name", "kind"], as_index=False).mean()
    order = means["class"].map({name: at for at, name in enumerate((*CLASSES, "never"))})
    return means.assign(order=order).sort_values(["order", "cross_entropy", "name"]).drop(columns="order")


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="scores.parquet of all to compare"
    )
    parser.add_argument(
        "--networks", nargs="+", required=True, help="names of the networks, without their epochs' rows"
    )
    parser.add_argument("--leaderboard", type=Path, required=True, help="to write")
    parser.add_argument("--by-class", type=Path, required=True, help="leaderboard_by_class.csv, to write")
    parser.add_argument("--best", type=Path, required=True, help="best.csv, to write")
    args = parser.parse_args()

    scored = read_scores(args.scores, SUMS)
    with (
        atomic_write(args.leaderboard) as path,
        atomic_write(args.by_class) as by_class,
        atomic_write(args.best) as best,
    ):
        compare_models(scored).to_csv(path, index=False)
        compare_by_class(scored).to_csv(by_class, index=False)
        compare_best(scored, args.networks).to_csv(best, index=False)


if __name__ == "__main__":
    run(main)
