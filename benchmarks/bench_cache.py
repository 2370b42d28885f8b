"""Time `simulate_cache` at ml-latest's size: daily slots, the baselines and settings of config.yaml.

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
from typing import Any

import yaml
from bench_data import HOME, RATINGS, SCRIPTS, measure, our_commands, say, simulated

# This process imports nothing large: what it holds would count as its children's peak memory.


def stand_in(sequences: Path, config: dict[str, Any], folder: Path, models: int) -> None:
    """Write the predictions and settings that so many models would have, and the scores of all."""
    sys.path.insert(0, str(SCRIPTS))
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from popularity import tables
    from popularity.baselines import ewma, forecast_slots
    from popularity.windows import read_series, split_slots

    series = read_series(sequences)
    slots = series.requested_slots(split_slots(series, config["split"])["test"])
    forecaster = ewma(series, 14)
    noise = np.random.default_rng(1)
    for number in range(models):
        path = folder / f"model-{number}"
        path.mkdir()
        (path / "settings.json").write_text(json.dumps({"name": path.name}))
        with tables.open_writer(path / "predictions.parquet", tables.PREDICTIONS) as writer:
            for slot, movies, shares in forecast_slots(forecaster, series, slots):
                columns = [
                    np.full(len(movies), slot, np.int32),
                    series.movie_ids[movies],
                    shares * noise.lognormal(0, 0.1, len(movies)),
                    series.shares(movies, slot),
                ]
                writer.write_table(pa.table(columns, schema=tables.PREDICTIONS))
    names = [*(f"model-{number}" for number in range(models)), *config["baselines"]]
    scores = pd.DataFrame({"name": names, "split": "validation", "covered": 1.0})
    scores["kind"] = ["network"] * models + ["naive"] * (len(names) - models)
    scores["log_loss"] = range(len(names))
    scores.to_parquet(folder / "scores.parquet")


def main() -> None:
    """Read the command line, and time it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--models", type=int, default=4, help="predictions to stand in (default: 4)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    config = yaml.safe_load((HOME / "config.yaml").read_text())
    archive, _ = simulated(args.ratings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("making the tables")
        measure(*our_commands(archive, "day", folder).values())
        sequences = folder / "sequences" / "observed-3.parquet"
        say("making predictions to stand in")
        context = multiprocessing.get_context("spawn")
        maker = context.Process(target=stand_in, args=(sequences, config, folder, args.models))
        maker.start()
        maker.join()
        if maker.exitcode:
            sys.exit("error: no predictions were made")
        paths = sorted(folder.glob("model-*"))
        say("replaying")
        used = measure(
            [
                *(sys.executable, SCRIPTS / "simulate_cache.py", "--joined", folder / "joined.parquet"),
                *("--sequences", sequences),
                *("--predictions", *(path / "predictions.parquet" for path in paths)),
                *("--resolved", *(path / "settings.json" for path in paths)),
                *("--scores", folder / "scores.parquet"),
                *("--baselines", json.dumps(config["baselines"]), "--cache", json.dumps(config["cache"])),
                *("--split", json.dumps(config["split"]), "--slot", "day"),
                *("--threads", str(args.threads), "--hit-ratios", folder / "cache.csv"),
            ]
        )
        print((folder / "cache.csv").read_text())
    print(f"{used.wall:.0f} s by the clock, {used.cpu:.0f} s of CPU, {used.peak:.0f} MB at most")


if __name__ == "__main__":
    main()
