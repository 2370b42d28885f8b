"""What the rules share: the settings, checked, and which files of ours a script is made of."""

import ast
import csv
import os
import re
import sys
from pathlib import Path

import yaml

from snakemake.exceptions import WorkflowError

# Relative to the working directory, so that a moved checkout finds its results up to date.
HOME = Path(os.path.relpath(workflow.basedir))
SCRIPTS = HOME / "scripts"
SCHEMA = HOME / "schemas" / "config.schema.yaml"

sys.path.insert(0, str(SCRIPTS.resolve()))

# Without conda a rule's `python` is the one that Snakemake runs in, activated or not; with conda
# its environment comes first.
programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
os.environ.update(PATH=os.pathsep.join(programs))

from popularity.settings import SettingsError, canonical, half_lives, resolve_settings

try:
    settings = resolve_settings(config, yaml.safe_load(SCHEMA.read_text()))
except SettingsError as error:
    raise WorkflowError(
        f"The settings (config.yaml, --configfile, --config) are wrong:\n{error}"
    )

# At the start of a line `report` would be Snakemake's keyword.
in_report = report

DATASETS = settings["datasets"]
MODELS = settings["models"]
SHARDS = settings["data"]["shards"]


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(map(re.escape, MODELS)),
    seed=r"\d+",
    gaps="calendar|observed",
    window=r"\d+",
    shard=r"\d+",


def code(script):
    """The script and every module of ours that it imports, directly or not.

    As inputs they start a job again when they change, and only then: Snakemake compares the
    contents of inputs (profiles/default says up to which size), so a touch or a fresh checkout
    changes nothing.
    """
    found, todo = [], [SCRIPTS / f"{script}.py"]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.append(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [
                    node.module,
                    *(f"{node.module}.{alias.name}" for alias in node.names),
                ]
            modules = [SCRIPTS / f"{name.replace('.', '/')}.py" for name in names]
            todo += [module for module in modules if module.exists()]
    return [str(path) for path in [found[0], *sorted(found[1:])]]


def shards(table):
    """The paths of a table's shards, in their order."""
    return [
        f"results/{{dataset}}/shards/{table}-{shard}.parquet" for shard in range(SHARDS)
    ]


def memory(mb):
    """Memory in MB of a first attempt; each further one asks for as much again."""
    return lambda wildcards, attempt: mb * attempt


def sequences(wildcards):
    """The table of sequences that a model reads."""
    model = MODELS[wildcards.model]
    return f"results/{wildcards.dataset}/sequences/{model['gaps']}-{model['window']}.parquet"


def trained(name):
    """A function to this file of every model and seed, in one order."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/models/{model}/seed-{seed}/{name}"
        for model in sorted(MODELS)
        for seed in sorted(settings["seeds"])
    ]


def summary(results):
    """The leaderboard's main columns and where the results are, for the end of a run."""
    shown = ["name", "kind", "cross_entropy", "rmse", "ndcg_20", "hit_ratio_5"]
    lines = []
    if Path(results, "leaderboard.csv").exists():
        with Path(results, "leaderboard.csv").open(newline="") as file:
            rows = [[row[key] for key in shown] for row in csv.DictReader(file)]
        for name, kind, *scores in [shown, *rows]:
            short = [score if name == "name" else f"{score:.7}" for score in scores]
            lines.append("".join(cell.ljust(15) for cell in [name, kind, *short]))
    files = ("report.html", "leaderboard.csv", "forecast.csv", "cache.csv", "plots")
    lines += [f"{results}/{name}" for name in files if Path(results, name).exists()]
    return "\n".join(["", *lines])


def archive_source(wildcards):
    """The dataset's local archive, or all files of its local folder; nothing for an address."""
    url = DATASETS[wildcards.dataset]["url"]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        return []
    path = Path(url).expanduser()
    if path.is_dir():
        return sorted(str(file) for file in path.rglob("*") if file.is_file())
    # A missing one is for the script to tell of.
    return [str(path)] if path.exists() else []


def names_with(key):
    """The datasets whose entries have this key, as a regular expression."""
    return (
        "|".join(re.escape(name) for name, entry in DATASETS.items() if key in entry)
        or "none"
    )


def given(wildcards, option, key):
    """A command-line option for an entry of the dataset, if it is given."""
    value = DATASETS[wildcards.dataset].get(key)
    return (
        []
        if value is None
        else [option, value if isinstance(value, str) else canonical(value)]
    )


def model_settings(wildcards):
    """All that the training of a model depends on, as canonical JSON."""
    model = {
        **MODELS[wildcards.model],
        "slot": settings["slot"],
        "split": settings["split"],
    }
    if model["offset"] == "ewma":
        model["half_lives"] = half_lives(settings)
    return canonical(model)


def pictures(names, category):
    """The PNG files (shown in the report, under a category) and the SVG files of these pictures."""
    shown = [
        in_report(
            f"results/{{dataset}}/plots/{name}.png",
            caption=f"../report/{name}.rst",
            category=category,
            labels={"picture": label},
        )
        for name, label in names.items()
    ]
    return [*shown, *(f"results/{{dataset}}/plots/{name}.svg" for name in names)]


def run_settings(wildcards):
    """All settings of a run, complete, of this dataset alone, as canonical JSON."""
    entry = DATASETS[wildcards.dataset]
    run = {key: value for key, value in settings.items() if key != "compare"}
    return canonical(
        {**run, "dataset": wildcards.dataset, "datasets": {wildcards.dataset: entry}}
    )


def other_results(wildcards):
    """The results folder to compare with, which has to be given."""
    if settings["compare"] is None:
        raise WorkflowError(
            "compare: no results folder is given to compare with; run "
            "snakemake compare --config compare=FOLDER"
        )
    return str(Path(settings["compare"]).expanduser())


def report_items(wildcards):
    """What a whole run makes, and the report shows."""
    results = f"results/{wildcards.dataset}"
    return [
        f"{results}/leaderboard.csv",
        f"{results}/forecast.csv",
        f"{results}/plots/eda_histograms.png",
        f"{results}/plots/requests_per_slot.png",
        f"{results}/plots/loss.png",
        f"{results}/plots/leaderboard.png",
        f"{results}/plots/cache.png",
        f"{results}/settings.json",
    ]


def report_config(wildcards):
    """The settings as given, of this dataset alone, for Snakemake to read once more."""
    entry = config["datasets"][wildcards.dataset]
    return canonical(
        {**config, "dataset": wildcards.dataset, "datasets": {wildcards.dataset: entry}}
    )
