"""Set two runs' results side by side: what changed in the settings, and what in the scores.

Each forecast that both runs have is compared on the test slots that both have, slot by slot.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import numpy.typing as npt
import pandas as pd

from popularity.program import Fault, atomic_write, run
from popularity.results import read_json, read_scores
from popularity.scoring import bootstrap
from popularity.scoring.scores import SCORES, SUMMED_SCORES, SUMS
from popularity.scoring.verdict import outcome

Floats = npt.NDArray[np.float64]

#: What is said of a difference.
OUTCOMES = {"better": "better", "worse": "worse", "level": "no clear difference"}


def read_settings(results: Path) -> dict[str, Any]:
    """Read the settings of a run."""
    path = results / "settings.json"
    if not path.exists():
        raise Fault(
            f"{path}: is missing; is {results} a results folder (results/DATASET) of a finished run?"
        )
    return read_json(path, "models", "seeds")


def tested_scores(results: Path, settings: dict[str, Any]) -> pd.DataFrame:
    """Read the scores of every test slot of a run's baselines, and of its models and seeds."""
    paths = [results / "baselines" / "scores.parquet"]
    for model in sorted(settings["models"]):
        paths += [
            results / "models" / model / f"seed-{seed}" / "scores.parquet" for seed in settings["seeds"]
        ]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise Fault(f"{missing[0]}: is missing; finish the run of {results} first")
    scored = read_scores(paths, SUMS)
    return scored[scored["split"] == "test"]


def changed_settings(before: dict[str, Any], after: dict[str, Any]) -> pd.DataFrame:
    """List the settings that differ: ``setting`` (its keys from the top), ``before``, ``after``, as JSON.

    A setting that one run lacks is empty there.
    """
    sides = [flat(before), flat(after)]
    rows = [
        {"setting": key, "before": sides[0].get(key, ""), "after": sides[1].get(key, "")}
        for key in sorted({*sides[0], *sides[1]})
        if sides[0].get(key) != sides[1].get(key)
    ]
    return pd.DataFrame(rows, columns=["setting", "before", "after"])


def flat(settings: dict[str, Any], path: str = "") -> dict[str, str]:
    """Write nested settings as one level, the keys joined by dots and the values as JSON."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = json.dumps(value, sort_keys=True)
    return found


def common_slots(before: pd.DataFrame, after: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Find the test slots of both runs, and make sure that they hold the same requests."""
    requests = [rows.drop_duplicates("slot").set_index("slot")["requests"] for rows in (before, after)]
    slots = np.sort(np.intersect1d(requests[0].index, requests[1].index))
    if not len(slots):
        sides = [describe_slots(side.index) for side in requests]
        raise Fault(
            f"no test slot is in both runs: {sides[0]} and {sides[1]}; "
            "compare runs on one log with the same length of slots"
        )
    counts = [side[slots].to_numpy() for side in requests]
    if not np.array_equal(counts[0], counts[1]):
        slot = slots[np.flatnonzero(counts[0] != counts[1])[0]]
        raise Fault(
            f"slot {slot} has {requests[0][slot]:.0f} requests in one run and {requests[1][slot]:.0f} in "
            "the other; compare runs on one log with the same length of slots"
        )
    return slots


def describe_slots(slots: pd.Index) -> str:
    """Describe slots in a few words."""
    return f"{len(slots)} from {slots.min()} to {slots.max()}"


def drawn_score(score: str, rows: pd.DataFrame, drawn: Floats) -> Floats:
    """Score a forecast by :func:`scores.summarise` on slots drawn again.

    Parameters
    ----------
    rows
        Rows of ``score_slot`` of one forecast, one for each of the slots.
    drawn
        float64 [draws, slots], how often each slot counts.

    Returns
    -------
    float64 [draws]
    """
    if score in SUMMED_SCORES:
        over, under, power = SUMMED_SCORES[score]
        above, below = (drawn @ rows[name].to_numpy(np.float64) for name in (over, under))
        ratio: Floats = (above / below) ** power
        return ratio
    values = rows[score].to_numpy(np.float64)
    judged = np.isfinite(values)
    means: Floats = (drawn[:, judged] @ values[judged]) / drawn[:, judged].sum(axis=1)
    return means


def compare_scores(before: pd.DataFrame, after: pd.DataFrame, slots: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Compare each forecast that both runs have.

    Parameters
    ----------
    before, after
        Rows of ``score_slot`` with ``name``, ``kind`` and ``seed``, of the test slots.
    slots
        The slots to compare on.

    Returns
    -------
    A row for each forecast and score: ``name``, ``kind``, ``score``, ``better`` (lower or higher),
    ``before`` and ``after`` (means over seeds), their ``difference`` (after less before) and its 95 %
    interval ``low`` to ``high`` (bootstrap over slots, the same draws for both), and how many ``slots``.
    """
    drawn = bootstrap.drawn_slots(len(slots))
    sides = [
        {name: list(rows.groupby("seed")) for name, rows in side[side["slot"].isin(slots)].groupby("name")}
        for side in (before, after)
    ]
    kinds = dict(zip(after["name"], after["kind"], strict=True))
    table = []
    for name in sorted(set(sides[0]) & set(sides[1]), key=str):
        for score, more in SCORES.items():
            with np.errstate(invalid="ignore", divide="ignore"):
                values = [
                    np.mean(
                        [drawn_score(score, rows.sort_values("slot"), drawn) for _, rows in side[name]],
                        axis=0,
                    )
                    for side in sides
                ]
            difference = values[1] - values[0]
            low, high = bootstrap.interval(difference[1:])
            table.append(
                {
                    "name": name,
                    "kind": kinds[name],
                    "score": score,
                    "better": "higher" if more else "lower",
                    "before": values[0][0],
                    "after": values[1][0],
                    "difference": difference[0],
                    "low": low,
                    "high": high,
                    "slots": len(slots),
                }
            )
    return pd.DataFrame(table)


def as_text(settings: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Write both tables for a terminal: of the scores the headline and one hit ratio, with a verdict."""
    lines = ["Settings that differ:" if len(settings) else "No setting differs."]
    if len(settings):
        short = settings.map(lambda text: text if len(text) <= 50 else f"{text[:49]}…")
        lines.append(short.to_string(index=False))
    lines += ["", "Scores, the difference (after less before) with its 95 % interval over slots:"]
    shown = scores[scores["score"].isin(["cross_entropy", "hit_ratio_5"])].copy()
    shown = shown.sort_values(["score", "after"])
    shown["verdict"] = [
        OUTCOMES[outcome(low, high, 0, more_is_better=better == "higher")]
        for low, high, better in zip(shown["low"], shown["high"], shown["better"], strict=True)
    ]
    columns = ["score", "name", "before", "after", "difference", "low", "high", "verdict"]
    lines.append(shown[columns].to_string(index=False, float_format=lambda value: f"{value:.5g}"))
    return "\n".join(lines)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path, help="results folder of one run (results/DATASET, or a copy)")
    parser.add_argument("after", type=Path, help="results folder of another run")
    parser.add_argument("--scores", type=Path, help="CSV file of all scores, to write")
    parser.add_argument("--settings", type=Path, help="CSV file of the settings that differ, to write")
    args = parser.parse_args()

    folders = (args.before, args.after)
    settings = [read_settings(folder) for folder in folders]
    before, after = (tested_scores(*pair) for pair in zip(folders, settings, strict=True))
    slots = common_slots(before, after)
    changed = changed_settings(*settings)
    scores = compare_scores(before, after, slots)
    if scores.empty:
        raise Fault(f"{args.before} and {args.after} have no forecast of the same name")
    print(f"before: {args.before}\nafter:  {args.after}\n")
    print(as_text(changed, scores))
    for folder, side in zip(folders, (before, after), strict=True):
        if len(slots) < side["slot"].nunique():
            had = describe_slots(pd.Index(side["slot"].unique()))
            print(f"\nThe test slots of {folder} are {had}: compared on {len(slots)} that both have")
    alone = sorted(set(before["name"]) ^ set(after["name"]))
    if alone:
        print(f"\nIn one run alone: {', '.join(alone)}")
    for path, table in ((args.scores, scores), (args.settings, changed)):
        if path:
            with atomic_write(path) as partial:
                table.to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
