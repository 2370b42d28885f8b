"""The jobs of the small workflow as commands, and what they made."""

import csv
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workdir import snakemake

#: A folder for PYTHONPATH: its sitecustomize kills a process before a rename.
KILLING = Path(__file__).parent / "workflow" / "killing"


def content(path: Path) -> Any:
    """What a result holds, without what tells one run from another."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as model:
            parts = {name: model.read(name) for name in model.namelist() if name != "metadata.json"}
        # Keras numbers objects by their addresses.
        parts["config.json"] = re.sub(rb'"shared_object_id": \d+', b"", parts["config.json"])
        return parts
    if path.name == "history.csv":
        with path.open(newline="") as file:
            return [{**row, "seconds": None} for row in csv.DictReader(file)]
    if path.name == "run.json":
        return sorted(json.loads(path.read_text()))
    # Each run takes its own time.
    if path.name == "runtimes.csv":
        return path.read_text().splitlines()[0]
    if path.name in {"runtimes.png", "runtimes.svg"}:
        return path.read_bytes().rstrip()[-12:]
    if path.name == "report.html":
        return path.read_text().rstrip().endswith("</html>")
    return path.read_bytes()


def results(folder: Path) -> dict[str, Any]:
    """All that a run made by its path, hidden files too, but for logs and benchmarks."""
    paths = [*(folder / "resources").rglob("*"), *(folder / "results").rglob("*")]
    return {
        path.relative_to(folder).as_posix(): content(path)
        for path in paths
        if path.is_file() and not {"logs", "benchmarks"} & set(path.relative_to(folder).parts)
    }


def different(folder: Path, undisturbed: Path) -> set[str]:
    """Results that are in one folder alone, or not the same in both."""
    found, expected = results(folder), results(undisturbed)
    return {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}


@dataclass
class Job:
    """A job of the workflow as a command, the files it makes and the seconds it takes."""

    command: list[str]
    outputs: list[str]
    seconds: float


@functools.cache
def one_job_of_each_script(folder: Path) -> dict[str, Job]:
    """Read Snakemake's plan of everything, in a folder in which everything was made."""
    ended = snakemake(folder, "--dry-run", "--forceall", "--printshellcmds")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs: dict[str, Job] = {}
    for text in re.split(r"\n(?=\[)", ended.stdout):
        if command := re.search(
            r"^Shell command: (?:\w+=\S+ )?python (.*) > \S+ 2>&1$", text, re.MULTILINE
        ):
            fields = dict(re.findall(r"^    (output|benchmark): (.*)$", text, re.MULTILINE))
            words = shlex.split(command[1])
            took = (folder / fields["benchmark"]).read_text().split("\n")[1].split("\t")[0]
            jobs.setdefault(Path(words[0]).stem, Job(words, fields["output"].split(", "), float(took)))
    # What the shell does alone is not among them, nor rules for archives from elsewhere and shards.
    archive, table = "resources/demo.zip", "results/demo/joined.parquet"
    words = ["scripts/download_archive.py", "--url", f"copy-of/{archive}", "--output", archive]
    jobs["download_archive"] = Job(words, [archive], 0.5)
    words = [
        "scripts/gather_shards.py",
        "--kind",
        "joined",
        "--shards",
        f"copy-of/{table}",
        "--table",
        table,
    ]
    jobs["gather_shards"] = Job(words, [table], 0.5)
    return jobs


def gathering(folder: Path, parts: Path) -> Job:
    """Score a network of a finished workflow in two parts: the job that puts them together."""
    words = one_job_of_each_script(folder)["evaluate_model"].command
    shards = [parts / str(part) for part in range(2)]
    outputs = [f"--{name}" for name in ("predictions", "scores", "metrics")]
    files = [words[words.index(option) + 1] for option in outputs]
    for part, shard in enumerate(shards):
        shard.mkdir(parents=True)
        command = [*words, "--shard", f"{part}/2"]
        for option, file in zip(outputs, files, strict=True):
            command[command.index(option) + 1] = str(shard / Path(file).name)
        subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    given = [
        word for option in ("--sequences", "--run") for word in (option, words[words.index(option) + 1])
    ]
    written = [word for pair in zip(outputs, files, strict=True) for word in pair]
    command = ["scripts/gather_evaluation.py", *given, "--shards", *map(str, shards), *written]
    return Job(command, files, 1.0)


def link_tree(source: Path, target: Path) -> None:
    """Copy a finished workflow without copying bytes: what appears by rename changes no link's source."""
    without = shutil.ignore_patterns(".snakemake", "logs", "__pycache__")
    shutil.copytree(source, target, ignore=without, copy_function=os.link)


def limited(folder: Path, limit: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a script under a limit of the shell's (-f and -v are in KiB)."""
    return subprocess.run(
        ["bash", "-c", f'{limit}; exec "$@"', "bash", sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
