"""Search for a model's best settings with Optuna, by the cross entropy of the validation slots alone.

Trials are kept as they end, so that a search that is stopped goes on where it was. A trial depends
on its number and those before it alone.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import popularity.start

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from popularity import tables
from popularity.forecasters.network import inference
from popularity.forecasters.network.saved import Asked
from popularity.own import add_own, load_own
from popularity.program import Fault, atomic_write, run
from popularity.settings.experiments import Range, Space
from popularity.settings.fields import as_json, canonical, json_argument, parse
from popularity.settings.model import ModelSettings, TrainingSettings
from train_model import fit

logger = logging.getLogger(__name__)

#: How long the journal may be locked by a search that does not write any more.
LOCK_SECONDS = 30


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Choose a value for each setting of the space, as JSON has it.

    The bounds of a range are whole numbers where both of them are.
    """
    chosen = {}
    for name, values in sorted(space.items()):
        if not isinstance(values, Range):
            # By its place, as Optuna chooses among numbers and texts alone.
            chosen[name] = values[trial.suggest_categorical(name, list(range(len(values))))]
        elif isinstance(values.low, int) and isinstance(values.high, int):
            chosen[name] = trial.suggest_int(name, values.low, values.high, log=values.log)
        else:
            chosen[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
    return chosen


def open_study(path: Path, seed: int) -> optuna.Study:
    """Open the study whose trials this journal keeps; what can't be read of it counts for nothing."""
    _cut_after_last_whole_line(path)
    try:
        return _study(path, seed)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        # Lines that are whole and hold what Optuna never wrote.
        logger.warning("%s: not readable (%s); the search starts anew", path, error)
        path.unlink()
        return _study(path, seed)


def _study(path: Path, seed: int) -> optuna.Study:
    # A lock that a killed search has left is waited for no longer than this; only of an absolute path
    # Optuna sees how old it is.
    lock = JournalFileSymlinkLock(str(path.resolve()), grace_period=LOCK_SECONDS)
    return optuna.create_study(
        study_name=path.stem,
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(path), lock)),
        sampler=optuna.samplers.TPESampler(seed=seed),
        load_if_exists=True,
    )


def _cut_after_last_whole_line(path: Path) -> None:
    """Leave out what a full disk, or a machine that died, has kept of a line, and all after it."""
    if not path.exists():
        return
    whole = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or not isinstance(json.loads(line), dict):
                break
        except ValueError:
            break
        whole += len(line)
    if left := path.stat().st_size - whole:
        logger.warning("%s: its last %d bytes are not readable, and count for nothing", path, left)
        os.truncate(path, whole)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--name", required=True, help="a name for the model of the best settings")
    parser.add_argument(
        "--settings", type=json_argument(TrainingSettings), required=True, help="where it starts, as JSON"
    )
    parser.add_argument(
        "--changed", type=json.loads, required=True, help="those that are no defaults, as JSON"
    )
    parser.add_argument("--space", type=json_argument(Space), required=True, help="what to search, as JSON")
    parser.add_argument("--trials", type=int, required=True, help="how many settings to try in all")
    parser.add_argument("--seed", type=int, required=True)
    add_own(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--studies", type=Path, required=True, help="folder that keeps the trials")
    parser.add_argument("--trials-table", type=Path, required=True, help="CSV of all trials, to write")
    parser.add_argument("--fragment", type=Path, required=True, help="YAML of the best, to write")
    args = parser.parse_args()

    movies = tables.read(args.movies, tables.MOVIES)
    # Another space or log is another study.
    told = canonical([args.settings, args.space, args.seed]).encode()
    key = hashlib.sha256(told + args.sequences.read_bytes() + args.movies.read_bytes()).hexdigest()[:16]
    logger.info("searches %s: %d trials in all", ", ".join(sorted(args.space)), args.trials)
    args.studies.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(args.studies / f"{key}.log", args.seed)

    def objective(trial: optuna.Trial) -> float:
        chosen = suggest(trial, args.space)
        model = parse(ModelSettings, {**as_json(args.settings.model), **chosen})
        asked = Asked(args.name, args.seed, dataclasses.replace(args.settings, model=model))
        inference.prepare(args.seed, args.threads)
        load_own(args.own)
        try:
            trained, _ = fit(asked, args.sequences, movies)
        except Fault as fault:
            # Such as a learning rate that diverges.
            logger.info("trial %d: %s", trial.number, fault)
            raise optuna.TrialPruned from fault
        trial.set_user_attr("settings", chosen)
        return min(row["val_cross_entropy"] for row in trained.history)

    # A trial that was stopped midway counts for nothing.
    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while (count := len(study.get_trials(deepcopy=False, states=done))) < args.trials:
        study.sampler = optuna.samplers.TPESampler(seed=args.seed + count)
        study.optimize(objective, n_trials=1)
        logger.info("trial %d of %d: %s", count + 1, args.trials, study.trials[-1].value)
    completed = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not completed:
        raise Fault("search.space in config.yaml: no trial could be trained; see the log for why")
    best = min(completed, key=lambda trial: trial.value if trial.value is not None else np.inf)
    fragment = {"models": {args.name: {**args.changed, **best.user_attrs["settings"]}}}
    trials = pd.DataFrame(
        [
            {"trial": trial.number, "val_cross_entropy": trial.value, **trial.user_attrs["settings"]}
            for trial in completed
        ]
    )
    with atomic_write(args.trials_table) as table_path, atomic_write(args.fragment) as fragment_path:
        trials.to_csv(table_path, index=False)
        fragment_path.write_text(yaml.safe_dump(fragment, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    run(main)
