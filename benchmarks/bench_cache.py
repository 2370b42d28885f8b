"""Time the replay of caches at ml-latest's size: daily slots, the baselines and settings of config.yaml.

The archive is simulated, of the size of ml-latest in August 2017, and kept in resources/benchmarks/. As
networks of that size take long to train, tables of the same form and size stand in for their predictions:
what a half-life of 14 slots predicts, times noise.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
from pathlib import Path

import yaml

from bench_data import HOME, RATINGS, SCRIPTS, Usage, measure, our_commands, say, simulated

# This process imports nothing large: what it holds would count as its children's peak memory.

sys.path.insert(0, str(SCRIPTS))

from popularity.results import write_scores
from popularity.settings.baselines import Baseline
from popularity.settings.config import Settings
from popularity.settings.fields import as_json, canonical
from popularity.settings.resolve import resolve_settings, training_settings
from popularity.settings.slots import FoldSplit

#: The modules of the methods that are tuned without the network.
METHODS = [
    SCRIPTS / "popularity" / "forecasters" / f"{name}.py"
    for name in ("averages", "intermittent", "references", "seasonal", "simple")
]


def stand_in(
    sequences: Path, settings: Settings, naive: dict[str, Baseline], folder: Path, models: int
) -> None:
    """Write what stands in for the results of so many models and of the baselines.

    That is each model's predictions and settings, what evaluate_baselines chose, and the scores of all.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from popularity import tables
    from popularity.forecasters.averages import average_forecaster
    from popularity.forecasters.base import SimpleMethod, forecast_slots, load_methods, method_of
    from popularity.forecasters.network.saved import Asked, Found, append_run
    from popularity.offsets import Average
    from popularity.series import read_series, split_slots

    series = read_series(sequences, "day")
    parts = split_slots(series, FoldSplit(settings.split.validation, settings.split.test))
    slots = series.requested_slots(parts["test"])
    forecaster = average_forecaster(series, Average((14.0,), (1.0,)))
    asked = training_settings(settings, settings.models["lstm"])
    noise = np.random.default_rng(1)
    for number in range(models):
        path = folder / f"model-{number}"
        path.mkdir()
        append_run(path / "model.keras", Asked(path.name, 1, asked), Found(int(slots[0])))
        with tables.open_writer(path / "predictions.parquet", tables.PREDICTIONS) as writer:
            for slot, movies, shares in forecast_slots(forecaster, series, slots):
                columns = [
                    np.full(len(movies), slot, np.int32),
                    series.movie_ids[movies],
                    shares * noise.lognormal(0, 0.1, len(movies)),
                    series.shares(movies, slot),
                ]
                writer.write_table(pa.table(columns, schema=tables.PREDICTIONS))
    load_methods(METHODS)
    chosen = {}
    for name, entry in naive.items():
        method = method_of(entry, SimpleMethod)
        chosen[name] = as_json(method.tune(series, parts["validation"]))
    (folder / "metrics.json").write_text(json.dumps(chosen))
    names = [*(f"model-{number}" for number in range(models)), *naive]
    scores = pd.DataFrame({"name": names, "split": "validation", "slot": 1, "seed": 0})
    scores["kind"] = ["network"] * models + ["naive"] * (len(names) - models)
    scores["covered"] = scores["requests"] = 1.0
    scores["log_loss"] = np.arange(len(names), dtype=np.float64)
    for number in range(models):
        write_scores(folder / f"model-{number}" / "scores.parquet", [scores[number : number + 1]])
    write_scores(folder / "scores.parquet", [scores[models:]])


def settings_of_config() -> tuple[Settings, dict[str, Baseline]]:
    """Read the settings of config.yaml, and those of its baselines that fill caches."""
    config = yaml.safe_load((HOME / "config.yaml").read_text()) | {"slot": "day"}
    schema = yaml.safe_load((HOME / "schemas" / "config.schema.yaml").read_text())
    settings = resolve_settings(config, schema)
    methods = schema["$defs"]["methods"]
    naive = {
        name: entry
        for name, entry in settings.baselines.items()
        if methods[entry.method]["kind"] != "learned"
    }
    return settings, naive


def replay(archive: Path, models: int, threads: int, folder: Path) -> Usage:
    """Write ``cache.csv`` of an archive's test slots into a folder, and tell what that took."""
    settings, naive = settings_of_config()
    say("making the tables")
    measure(*our_commands(archive, "day", folder).values())
    sequences = folder / "sequences" / "observed-3.parquet"
    say("making predictions to stand in")
    context = multiprocessing.get_context("spawn")
    maker = context.Process(target=stand_in, args=(sequences, settings, naive, folder, models))
    maker.start()
    maker.join()
    if maker.exitcode:
        sys.exit("error: no predictions were made")
    paths = sorted(folder.glob("model-*"))
    say("replaying")
    requests: list[str | Path] = [
        *("--joined", folder / "joined.parquet", "--movies", folder / "movies.parquet"),
        *("--sequences", sequences, "--split", canonical(settings.split)),
        *("--slot", "day", "--threads", str(threads)),
    ]
    policies = folder / "policies.parquet"
    return measure(
        [
            *(sys.executable, SCRIPTS / "replay_policies.py", *requests, "--hits", policies),
            *("--sizes", *map(str, settings.cache.sizes), "--policies", *settings.cache.policies),
        ],
        [
            *(sys.executable, SCRIPTS / "simulate_cache.py", *requests, "--policies", policies),
            "--runs",
            *paths,
            "--methods",
            *METHODS,
            *("--scores", folder / "scores.parquet", "--metrics", folder / "metrics.json"),
            *("--baselines", canonical(naive), "--cache", canonical(settings.cache)),
            *("--hit-ratios", folder / "cache.csv"),
        ],
    )


def main() -> None:
    """Read the command line, and time it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--models", type=int, default=4, help="predictions to stand in (default: 4)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        used = replay(simulated(args.ratings)[0], args.models, args.threads, Path(name))
        print((Path(name) / "cache.csv").read_text())
    print(f"{used.wall:.0f} s by the clock, {used.cpu:.0f} s of CPU, {used.peak:.0f} MB at most")


if __name__ == "__main__":
    main()
