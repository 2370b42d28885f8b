"""Write the report's front page: a template's places filled from the results of a run."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import pandas as pd
import pyarrow as pa

from popularity import style, tables
from popularity.key_numbers import CACHE, CHECK, Caches, interval_numbers, mixture_told, sure_numbers
from popularity.log.facts import Facts
from popularity.markup import plain, table
from popularity.mixture_words import read_mixture
from popularity.program import Fault, atomic_write, run
from popularity.results import read_csv, read_json
from popularity.scoring.verdict import Verdict, judge, outcome
from popularity.series import split_range
from popularity.settings.fields import json_argument
from popularity.settings.slots import SLOTS_OF_A_DAY, FoldSplit
from popularity.slots import HELP, Slot, length_of, slot_start, zone_of
from popularity.wording import Wording, add_words

#: So many users at least are put together at a time, to count them.
LEAST_USERS = 1 << 22
#: Movies of the forecast that are named.
NAMED = 3
#: What is read of leaderboard.csv, best.csv and forecast.csv.
BOARD = (
    *("name", "kind", "seeds", "cross_entropy", "validation_cross_entropy", "hit_ratio_5"),
    *("cross_entropy_ratio", "ratio_low", "ratio_high"),
)
BEST = ("name", "kind", "rival", "rival_kind", "movies", "ratio", "low", "high")
FORECAST = ("rank", "title", "predicted_share", "slot_start", "model")


def log_facts(labelled: pa.Table, users: int | None, slot: str, split: FoldSplit) -> dict[str, str]:
    """Describe what the log holds and how its slots are divided."""
    slots, label = labelled["slot"].to_numpy(), labelled["label"].to_numpy()
    first, last = int(slots.min()), int(slots.max())
    requests = np.bincount(slots - first, label)
    _, movie = np.unique(labelled["movieId"].to_numpy(), return_inverse=True)
    by_movie = -np.sort(-np.bincount(movie, label))
    head = -(-len(by_movie) // 100)
    parts = split_range(first, last, split)

    whole_days = length_of(slot) not in SLOTS_OF_A_DAY

    def day(number: int, seconds: int = 0) -> str:
        begin = slot_start(np.array([number]), slot)[0] + np.timedelta64(seconds, "s")
        return str(begin.astype("datetime64[D]" if whole_days else "datetime64[m]")).replace("T", " ")

    return {
        "slot": slot,
        "requests": f"{int(requests.sum()):,}",
        "movies": f"{len(by_movie):,}",
        "users": "" if users is None else f" by {users:,} users",
        "first_day": day(first),
        "last_day": day(last + 1, -1),
        "slots": f"{len(requests):,}",
        "empty_slots": f"{int((requests == 0).sum()):,}" if (requests == 0).any() else "none",
        "head_movies": f"{head:,}",
        "head_percent": style.percent(head / len(by_movie)),
        "head_share": style.percent(by_movie[:head].sum() / by_movie.sum()),
        **{part: f"{len(numbers):,}" for part, numbers in parts.items()},
        "learned": f"{len(parts['training']) + len(parts['validation']):,}",
        "validation_day": day(parts["validation"].start),
        "test_day": day(parts["test"].start),
    }


def judged(board: pd.DataFrame, forecaster: str) -> Verdict:
    """Compare the forecaster of the forecast with the best naive forecast."""
    found = judge(board, forecaster)
    if found is None:
        raise Fault(
            f"the leaderboard has no row of {forecaster} beside a naive forecast; run all anew with a "
            "naive baseline (baselines in config.yaml)"
        )
    return found


def board_facts(board: pd.DataFrame, best: pd.DataFrame, forecaster: str, asked: str) -> dict[str, str]:
    """Say how good the forecaster of the forecast is, who else is better, and what that does not mean.

    Parameters
    ----------
    board, best
        leaderboard.csv and best.csv: see ``compare_models``.
    forecaster
        Its name.
    asked
        ``forecast.model`` of config.yaml: best, or its name.
    """
    found = judged(board, forecaster)
    model, naive = found.model, found.naive
    name, rival = plain(model["name"]), plain(naive["name"])
    choice = "chosen on the validation slots" if asked == "best" else "which the settings name"
    away = sorted([f"{100 * abs(bound - 1):.2g}" for bound in (found.low, found.high)], key=float)
    sure = f"95 % interval: {away[0]} to {away[1]} %"
    if model["name"] == naive["name"]:
        verdict = f"{name} makes the forecast, a naive forecast, {choice}."
    elif found.outcome == "better":
        verdict = (
            f"{name} makes the forecast, {choice}: it beats {rival}, the best naive forecast, with an "
            f"error (cross entropy) that is {found.change} lower on the test slots ({sure})."
        )
    elif found.outcome == "worse":
        verdict = (
            f"{name} makes the forecast, {choice}, but on the test slots {rival}, the best naive forecast, "
            f"is better: the error (cross entropy) of {name} is {found.change} higher ({sure})."
        )
    else:
        verdict = (
            f"{name} makes the forecast, {choice}: on the test slots it is level with {rival}, the best "
            "naive forecast (95 % interval of the ratio of their errors, cross entropies: "
            f"{found.low:.4f} to {found.high:.4f})."
        )
    entropies = f"a cross entropy of {model['cross_entropy']:.4g} nats per request"
    if model["name"] != naive["name"]:
        entropies += (
            f"; the best naive forecast by the validation slots, **{rival}**, has "
            f"{naive['cross_entropy']:.4g}"
        )
    pairs = best.groupby(["kind", "rival_kind"], sort=False)
    return {
        "verdict": verdict,
        "scores": f"On the test slots **{name}** has {entropies}.",
        "comparison": "\n".join(f"* {compared(rows)}" for _, rows in pairs),
        "caution": cautions(board),
    }


#: What the best forecast of each kind is called.
BEST_OF = {
    "network": "the best network",
    "learned": "the best fitted baseline",
    "naive": "the best naive forecast",
}


def compared(rows: pd.DataFrame) -> str:
    """Say how two forecasts compare, for all movies and for each class: their rows of best.csv."""
    first = rows.iloc[0]
    name, rival = plain(first["name"]), plain(first["rival"])
    words = {
        "better": f"is better than {rival}",
        "worse": f"is worse than {rival}",
        "level": f"is level with {rival}",
    }[outcome(first["low"], first["high"], 1.0)]
    over = " over the movies that both cover" if first["movies"] == "common" else ""
    said = (
        f"{name}, {BEST_OF[first['kind']]}, {words}, {BEST_OF[first['rival_kind']]}: the ratio of their "
        f"cross entropies{over} is {_ratio(first)}"
    )
    classes = [
        f"{row['movies']} {_ratio(row)}, {outcome(row['low'], row['high'], 1.0)}"
        for _, row in rows.iloc[1:].dropna(subset="ratio").iterrows()
    ]
    return f"{said}{'; by class of movies ' if classes else ''}{'; '.join(classes)}."


def _ratio(row: "pd.Series[Any]") -> str:
    return f"{row['ratio']:.4f} ({row['low']:.4f} to {row['high']:.4f})"


def cautions(board: pd.DataFrame) -> str:
    """Say what the intervals do not hold."""
    seeds = int(board["seeds"].max())
    trained = "once, with one seed" if seeds == 1 else f"with {seeds} seeds"
    return (
        f"The intervals are over the test slots alone: each model was trained {trained}, so they say "
        f"{'nothing' if seeds == 1 else 'little'} of how another training would end. Small differences "
        "among the networks are no ranking of their architectures."
    )


def forecast_facts(forecast: pd.DataFrame) -> dict[str, str]:
    """Describe which movies to expect."""
    first = forecast.sort_values("rank").head(NAMED)
    named = [
        f"*{plain(str(title))}* ({style.percent(share)} of the requests)"
        for title, share in zip(first["title"], first["predicted_share"], strict=True)
    ]
    expected = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]} above all"
    date, _, clock = str(first["slot_start"].iloc[0]).partition("T")
    return {
        "forecast_day": date if clock in ("", "00:00:00") else f"{date} {clock[:5]}",
        "forecaster": plain(str(first["model"].iloc[0])),
        "expected": expected,
    }


def rejected_rows(count: int) -> str:
    """Describe how many rows of the log were left out, if any were."""
    return f" {count} rows of the log could not be used and are left out." if count else ""


def reading(parts: Sequence[Facts], zone: str = "UTC") -> str:
    """Say what was read, and what it was taken for.

    ``parts`` are what each job told that read a part of the log, ``zone`` is whose clock slots are on.
    """
    facts = parts[0]
    files = list(dict.fromkeys(file for part in parts for file in part.files))
    shown = f"{', '.join(files[:5])} and {len(files) - 5} more" if len(files) > 5 else ", ".join(files)
    said = [f"Requests were read from {plain(shown)}, times taken for {plain(facts.times)}."]
    if zone != "UTC":
        said.append(f"Slots are on the clock of {plain(zone)}.")
    if facts.left_aside:
        said.append(f"Not read, though named alike: {plain(', '.join(facts.left_aside))}.")
    if facts.ignored:
        said.append(f"Columns that were not read: {plain(', '.join(facts.ignored))}.")
    if facts.catalogue is not None:
        titles = "" if facts.titled else ", which names no column of titles, so that they are shown by id"
        said.append(f"Movies were read from {plain(facts.catalogue)}{titles}.")
    if facts.catalogue_ignored:
        ignored = plain(", ".join(facts.catalogue_ignored))
        said.append(f"Columns of {plain(facts.catalogue or '')} that were not read: {ignored}.")
    counts = {
        "rows left out by the conditions (``where``)": sum(part.excluded for part in parts),
        "rows without a user": sum(part.guests for part in parts),
        "movies that the catalogue lacks, shown by their id": max(p.uncatalogued or 0 for p in parts),
    }
    said += [f"{count:,} {what}." for what, count in counts.items() if count]
    far = [place for part in parts for place in part.far]
    if far:
        said.append(f"Far from nearly all other requests in time: {plain(', '.join(far))}.")
    return " ".join(said)


def count_users(joined: Path, facts: Facts) -> int | None:
    """Count the users of a log; None if it tells none."""
    if not facts.has_users:
        return None
    found, waiting, size = np.zeros(0, np.int32), [np.zeros(0, np.int32)], 0
    for batch in tables.batches(joined, tables.JOINED, ["userId"]):
        waiting.append(np.unique(tables.numbers(batch["userId"])))
        size += len(waiting[-1])
        # As many new ones as known ones, so that these are seldom sorted again.
        if size > max(len(found), LEAST_USERS):
            found, waiting, size = np.unique(np.concatenate([found, *waiting])), [], 0
    return len(np.unique(np.concatenate([found, *waiting]))) - bool(facts.guests)


def fill(template: str, facts: dict[str, Any], wording: Wording) -> str:
    """Fill a template's places, and put it in these words; the heading's rule is as long as the heading."""
    title, _, rest = wording(template.format(**facts)).split("\n", 2)
    return f"{title}\n{'=' * len(title)}\n{rest}"


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", type=Path, required=True, help="reStructuredText with {places}")
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet")
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--leaderboard", type=Path, required=True, help="leaderboard.csv")
    parser.add_argument("--best", type=Path, required=True, help="best.csv")
    parser.add_argument(
        "--model", default="best", help="forecast.model of config.yaml: a forecaster's name, or best"
    )
    parser.add_argument("--forecast", type=Path, required=True, help="forecast.csv")
    parser.add_argument("--check", type=Path, required=True, help="forecast_check.json")
    parser.add_argument("--hit-ratios", type=Path, required=True, help="cache.csv")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json of evaluate_baselines")
    parser.add_argument("--mixture", help="entry of baselines that is a mixture, if there is one")
    parser.add_argument("--rejected", type=Path, required=True, help="rejected.csv")
    parser.add_argument(
        "--facts", type=Path, nargs="+", required=True, help="log.json of join_ratings, or of its shards"
    )
    parser.add_argument("--dataset", required=True, help="the dataset's name")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="shares of slots, as JSON"
    )
    parser.add_argument("--page", type=Path, required=True, help="reStructuredText, to write")
    add_words(parser)
    args = parser.parse_args()

    labelled = tables.read(args.labelled, tables.LABELLED, ["slot", "movieId", "label"])
    read_facts = [Facts.read(path) for path in args.facts]
    forecast = read_csv(args.forecast, *FORECAST)
    forecaster = str(forecast["model"].iloc[0])
    board = read_csv(args.leaderboard, *BOARD)
    caches = Caches.of(read_csv(args.hit_ratios, *CACHE), forecaster)
    mixture = None if args.mixture is None else read_mixture(args.metrics, args.mixture)
    numbers = [
        *caches.numbers(args.slot),
        *sure_numbers(judged(board, forecaster)),
        *interval_numbers(read_json(args.check, *CHECK), args.slot),
    ]
    facts = {
        "dataset": plain(args.dataset),
        **log_facts(labelled, count_users(args.joined, read_facts[0]), args.slot, args.split),
        "reading": reading(read_facts, zone_of(args.slot)),
        **board_facts(board, read_csv(args.best, *BEST), forecaster, args.model),
        "served": caches.sentence(forecaster, args.slot),
        "mixture": mixture_told(mixture, args.slot),
        "numbers": table(("In numbers, on the test slots", "(95 % interval)"), numbers),
        **forecast_facts(forecast),
        "rejected": rejected_rows(len(read_csv(args.rejected))),
    }
    with atomic_write(args.page) as path:
        template = args.template.read_text(encoding="utf-8")
        path.write_text(fill(template, facts, Wording(args.words)), encoding="utf-8")


if __name__ == "__main__":
    run(main)
