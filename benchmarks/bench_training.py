"""Compare the training of the default LSTM with plain PyTorch's and neuralforecast's.

On one log, by time to the same validation cross entropy, and by the seconds of training steps alone. All
run in processes of their own with the same threads, one after another in turn, as other work on a machine
slows whatever is running just then.
"""

import argparse
import csv
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench_data import HOME, SCRIPTS, Usage, measure, our_commands, say, simulated, spread, table

# This process imports nothing large: what it holds would count as its children's peak memory.

sys.path.insert(0, str(SCRIPTS))

from popularity.settings.fields import canonical
from popularity.settings.model import TrainingSettings
from popularity.settings.resolve import resolve_settings, training_settings

PEERS = HOME / "benchmarks" / "peers"
#: neuralforecast's own environment: it wants other packages than ours.
NEURALFORECAST = HOME / ".venv-neuralforecast" / "bin" / "python"
REAL = HOME.parent / "shared" / "data" / "ml-latest-head.zip"
#: What the training steps are timed with.
STEPS: dict[str, Any] = {
    "cell": "lstm",
    "layers": [32],
    "window": 14,
    "batch_size": 1024,
    "dense_units": 0,
    "dropout": 0.0,
    "convolution": None,
    "bidirectional": False,
    "layer_normalization": False,
    "offset": "none",
    "loss": "mse",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "weight_decay": None,
    "clipnorm": None,
    "ema_momentum": None,
    "schedule": "constant",
    "patience": None,
    "score_at_epochs": [],
}
FEATURES = 4
#: PyTorch that averages its weights as ours does, which is no part of plain PyTorch training.
AVERAGED = "PyTorch, averaged weights"
#: Multiplications of matrices of this size tell what the machine can do.
MATRIX = 1024
#: Whose versions are told.
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")

History = list[dict[str, float]]


def write_arrays(path: Path, windows: int, every_step: bool) -> None:
    """Write random windows and the shares to learn."""
    import numpy as np

    generator = np.random.default_rng(1)
    targets = STEPS["window"] if every_step else 1
    np.savez(
        path,
        steps=generator.normal(size=(windows, STEPS["window"], FEATURES)).astype(np.float32),
        static=np.zeros((windows, targets, 0), np.float32),
        offset=np.zeros((windows, targets, 1), np.float32),
        share=generator.normal(size=(windows, targets)).astype(np.float32),
    )


def multiply_rate() -> float:
    """Measure this machine's float32 matrix multiplication, in GFLOP/s: the best of a second's runs."""
    import numpy as np

    a = np.random.default_rng(1).normal(size=(MATRIX, MATRIX)).astype(np.float32)
    made = np.empty_like(a)
    least, began = float("inf"), time.perf_counter()
    while time.perf_counter() < began + 1:
        start = time.perf_counter()
        np.matmul(a, a, out=made)
        least = min(least, time.perf_counter() - start)
    return 2 * MATRIX**3 / least / 1e9


def series_size(sequences: Path) -> float:
    """MB that the series of a log take in memory."""
    import numpy as np

    from popularity.series import read_series

    arrays = vars(read_series(sequences, "day")).values()
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)) / 1e6


def take_movies(sequences: Path, few: Path, count: int) -> None:
    """Write the series of the most requested movies alone."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    whole = pq.read_table(sequences)
    lengths = pc.list_value_length(whole["slot"])
    pq.write_table(whole.take(pc.sort_indices(pc.negate(lengths))[:count].sort()), few)


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def default_lstm(changes: dict[str, Any]) -> tuple[str, TrainingSettings]:
    """Give the Keras backend, and the settings of config.yaml's ``lstm`` as train_model wants them."""
    config = yaml.safe_load((HOME / "config.yaml").read_text())
    config |= {"slot": "week", "dataset": "demo"}
    config["models"]["lstm"] |= changes
    schema = yaml.safe_load((HOME / "schemas" / "config.schema.yaml").read_text())
    settings = resolve_settings(config, schema)
    return settings.backend, training_settings(settings, settings.models["lstm"])


def options(**values: Any) -> list[str]:
    """Write options of a command."""
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def train_ours(tables: Path, model: str, seed: int, threads: int, work: Path) -> tuple[History, Usage]:
    """Run train_model.py; seconds are those of all epochs so far."""
    used = measure(
        [
            *(sys.executable, SCRIPTS / "train_model.py"),
            *options(sequences=tables, movies=work / "movies.parquet", name="lstm", settings=model),
            *options(seed=seed, threads=threads, run=work / "ours"),
        ]
    )
    seconds = 0.0
    history = []
    with (work / "ours" / "history.csv").open() as file:
        for row in csv.DictReader(file):
            seconds += float(row["seconds"])
            history.append({"seconds": seconds, "cross_entropy": float(row["val_cross_entropy"])})
    return history, used


def run_peer(python: str | Path, program: Path, *words: str, **values: Any) -> dict[str, Any]:
    """Run a program that writes JSON, and read that."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.json"
        measure([python, program, *words, *options(**values, output=output)])
        made: dict[str, Any] = json.loads(output.read_text())
    return made


def reached(history: History, target: float) -> tuple[float, bool]:
    """Seconds to the target, or all seconds and that it was not reached."""
    for row in history:
        if row["cross_entropy"] <= target:
            return row["seconds"], True
    return history[-1]["seconds"], False


def compare_times(args: argparse.Namespace, sequences: Path, model: TrainingSettings, work: Path) -> None:
    """Print the time to our network's best validation cross entropy (a)."""
    given = canonical(model)
    shared = {"settings": given, "threads": args.threads}
    runs: dict[str, list[History]] = {"ours": []}
    targets, peaks = [], []
    peers = {"PyTorch": [], AVERAGED: ["--averaged"]} if find_spec("torch") else {}
    runs |= {name: [] for name in peers}
    if args.neuralforecast.exists():
        runs["neuralforecast"] = []
        say("writing the log for neuralforecast")
    for seed in range(1, args.runs + 1):
        history, used = train_ours(sequences, given, seed, args.threads, work)
        runs["ours"].append(history)
        peaks.append(used.peak)
        targets.append(min(row["cross_entropy"] for row in history) * (1 + args.within / 100))
        say(f"{seed} of {args.runs}: ours {history}")
        known = {**shared, "seed": seed, "target": targets[-1]}
        for name, words in peers.items():
            files = {
                "sequences": sequences,
                "movies": work / "movies.parquet",
                "epochs": args.epochs or model.model.epochs,
            }
            made = run_peer(sys.executable, PEERS / "torch_training.py", "reach", *words, **known, **files)
            runs[name].append(made["history"])
            say(f"{seed} of {args.runs}: {name} {made['history']}")
        if "neuralforecast" in runs:
            files = {"table": work / "long.parquet", "rows": work / "rows.npz"}
            source = {"sequences": sequences, "movies": work / "movies.parquet", "settings": given}
            maker = HOME / "benchmarks" / "training.py"
            measure([sys.executable, maker, *options(**source, **files, seed=seed)])
            made = run_peer(
                args.neuralforecast,
                PEERS / "neuralforecast_training.py",
                **{**known, **files, "steps": args.neuralforecast_steps, "stages": args.stages},
            )
            runs["neuralforecast"].append(made["history"])
            say(f"{seed} of {args.runs}: neuralforecast {made['history']}")

    ours = [reached(history, target)[0] for history, target in zip(runs["ours"], targets, strict=True)]
    rows = []
    for name, histories in runs.items():
        found = [reached(history, target) for history, target in zip(histories, targets, strict=True)]
        best = [min(row["cross_entropy"] for row in history) for history in histories]
        ratios = [mine / seconds for mine, (seconds, _) in zip(ours, found, strict=True)]
        count = sum(done for _, done in found)
        row = [name, spread([seconds for seconds, _ in found]), f"{count} of {args.runs}"]
        rows.append([*row, f"{median(best):.4f}", "" if name == "ours" else spread(ratios)])
    header = ["", "seconds", "reached", "best cross entropy", "ours / it"]
    print(
        f"Seconds of training to within {args.within} % of our best validation cross entropy, run by run;"
    )
    print(
        "where it was not reached, seconds are all that it was trained, and the ratio is an upper bound:\n"
    )
    print(table(header, rows))
    for name, module in (("PyTorch", "torch"), ("neuralforecast", "neuralforecast")):
        if name not in runs:
            print(f"\n{module} is not installed: `make bench-training` does where there is one.")
    compare_memory(args, sequences, given, max(peaks), work)


def compare_memory(args: argparse.Namespace, sequences: Path, given: str, peak: float, work: Path) -> None:
    """Print the memory of our training beyond that of a few movies."""
    few = work / "few.parquet"
    apart(take_movies, sequences, few, args.few_movies)
    _, base = train_ours(few, given, 1, args.threads, work)
    series = apart(series_size, sequences)
    beyond = peak - base.peak
    print(
        f"\nPeak memory of `train_model`: {peak:.0f} MB, with {args.few_movies} movies {base.peak:.0f} MB: "
        f"{beyond:.0f} MB more, {beyond / series:.1f} times the series' {series:.1f} MB.\n"
    )


def compare_steps(args: argparse.Namespace, work: Path) -> None:
    """Print the seconds of training steps alone (b), and the rate that they reach (c)."""
    units, window = STEPS["layers"][0], STEPS["window"]
    rows = []
    for every_step in (False, True):
        arrays = work / "arrays.npz"
        apart(write_arrays, arrays, args.windows, every_step)
        targets = window if every_step else 1
        operations = 2 * window * (FEATURES + units) * 4 * units + 2 * units * targets
        settings = {**STEPS, "output": "every_step" if every_step else "last_step"}
        words = {"settings": canonical(settings), "threads": args.threads, "arrays": arrays, "epochs": 3}
        commands = {
            "ours": partial(run_peer, sys.executable, HOME / "benchmarks" / "keras_training.py", **words)
        }
        if find_spec("torch"):
            commands["PyTorch"] = partial(
                run_peer, sys.executable, PEERS / "torch_training.py", "steps", **words
            )
        taken: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        shares: dict[str, list[float]] = {name: [] for name in commands}
        for seed in range(1, args.runs + 1):
            rate = apart(multiply_rate)
            for name, command in commands.items():
                # What an epoch takes, but for the first, in which code is compiled.
                made = command(seed=seed)
                each = min(made["seconds"][1:]) / args.windows
                cpu[name].append(min(made["cpu"][1:]) / args.windows * 1e6)
                taken[name].append(each * 1e6)
                # Forward, and twice as much backward.
                shares[name].append(3 * operations / each / 1e9 / rate)
            say(f"{seed} of {args.runs}: {rate:.0f} GFLOP/s, wall {taken}, CPU {cpu}")
        for name, seconds in taken.items():
            row = [name, "every step" if every_step else "last step", spread(seconds)]
            row += [f"{median(seconds) / targets:.2f}", f"{median(cpu[name]):.2f}"]
            for ours, its in ((taken["ours"], seconds), (cpu["ours"], cpu[name])):
                ratios = [a / b for a, b in zip(ours, its, strict=True)]
                row.append("" if name == "ours" else spread(ratios))
            rows.append([*row, f"{100 * median(shares[name]):.0f} %"])
    header = ["", "loss on", "wall s per million windows", "wall s per million targets"]
    header += ["CPU s per million windows", "ours / it, wall", "ours / it, CPU", "of GEMM"]
    print(f"LSTM({units}), {window} steps, {FEATURES} features, batches of {STEPS['batch_size']}:\n")
    print(table(header, rows))
    print(f"\nof GEMM: of the operations per second that NumPy reaches for {MATRIX}² float32 matrices.")


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    archive = REAL if REAL.exists() else None
    parser.add_argument("--archive", type=Path, default=archive, help="a release; else one is simulated")
    parser.add_argument("--ratings", type=int, default=300_000, help="of a simulated archive")
    parser.add_argument("--runs", type=int, default=3, help="how often each runs, in turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=json.loads, default={}, help="settings, other than config.yaml's")
    parser.add_argument("--within", type=float, default=0.05, help="percent of our best cross entropy")
    parser.add_argument("--epochs", type=int, help="of PyTorch, if other than the model's")
    parser.add_argument("--stages", type=int, default=3, help="of neuralforecast at most")
    parser.add_argument("--neuralforecast-steps", type=int, default=500, help="training steps of a stage")
    parser.add_argument("--neuralforecast", type=Path, default=NEURALFORECAST, help="its Python")
    parser.add_argument("--windows", type=int, default=200_000, help="of which training steps are timed")
    parser.add_argument("--few-movies", type=int, default=200, help="whose training is the memory's base")
    parser.add_argument("--only", choices=("time", "steps"), help="run this part alone")
    args = parser.parse_args()
    if args.runs < 1 or args.threads < 1:
        parser.error("--runs and --threads must be at least 1")

    backend, model = default_lstm(args.model)
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ |= {f"{name}_NUM_THREADS": str(args.threads) for name in ("OMP", "OPENBLAS", "MKL")}
    release = args.archive or simulated(args.ratings)[0]
    installed = {each.name.replace("_", "-"): each.version for each in distributions()}
    packages = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    if args.neuralforecast.exists():
        said = "from importlib.metadata import version as v; print('neuralforecast', v('neuralforecast'))"
        command = [args.neuralforecast, "-c", said]
        packages.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    print(
        f"{release.name}, weekly slots, windows of {model.window}, output {model.model.output}, offset "
        f"{model.model.offset}, {args.runs} runs each, {args.threads} thread(s), {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, {', '.join(packages)}\n"
    )
    with tempfile.TemporaryDirectory(prefix="bench-training-") as name:
        work = Path(name)
        if args.only != "steps":
            say("making the tables")
            measure(*our_commands(release, "week", work).values())
            compare_times(args, work / "sequences" / "observed-3.parquet", model, work)
        if args.only != "time":
            compare_steps(args, work)


if __name__ == "__main__":
    main()
