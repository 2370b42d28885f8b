"""Compare every model and baseline on the test slots: one row each, the best first."""

import argparse
from pathlib import Path

import pandas as pd

from popularity.program import run, whole
from popularity.scores import SCORES, cross_entropy_ratio, summarise


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
    deviation over seeds, empty for one), ``validation_cross_entropy``, and ``cross_entropy_ratio``
    to the naive forecast that is best on the validation slots, with the 95 % interval
    ``ratio_low`` to ``ratio_high`` of a paired bootstrap over slots. Sorted by cross entropy,
    references last.
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

    best_naive = str(validation.xs("naive", level="kind").idxmin())
    tested = scored[scored["split"] == "test"].sort_values("slot")
    by_seed: dict[str, list[pd.DataFrame]] = {name: [] for name in board["name"].tolist()}
    for _, rows in tested.groupby(["name", "seed"]):
        by_seed[str(rows["name"].iloc[0])].append(rows)
    ratios = [cross_entropy_ratio(by_seed[name], by_seed[best_naive][0]) for name in by_seed]
    board[["cross_entropy_ratio", "ratio_low", "ratio_high"]] = ratios
    reference = board["kind"] == "reference"
    return board.assign(last=reference).sort_values(["last", "cross_entropy"]).drop(columns="last")


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="scores.parquet of all to compare"
    )
    parser.add_argument("--leaderboard", type=Path, required=True, help="to write")
    args = parser.parse_args()

    board = compare_models(pd.concat([pd.read_parquet(path) for path in args.scores]))
    with whole(args.leaderboard) as path:
        board.to_csv(path, index=False)


if __name__ == "__main__":
    run(main)
