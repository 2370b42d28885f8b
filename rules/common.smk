"""What the rules share: the settings, checked, and which files of ours a script is made of."""

import csv
import functools
import hashlib
import os
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

SCHEMA = HOME / "schemas" / "config.schema.yaml"

sys.path.insert(0, str(SCRIPTS.resolve()))

# Without conda a rule's `python` is the one that Snakemake runs in, activated or not; with conda
# its environment comes first.
programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
os.environ.update(PATH=os.pathsep.join(programs))
# With it a script does not find the package beside it.
os.environ.pop("PYTHONSAFEPATH", None)
# A package in the user's folder (pip install --user) would come before an environment's.
os.environ.update(PYTHONNOUSERSITE="1")

from popularity.addresses import is_address, written_secrets
from popularity.program import SNAKEMAKE
from popularity.progress import Planned, Progress, job_name
from popularity.settings.fields import SettingsError, as_json, canonical
from popularity.settings.resolve import (
    fitting_settings,
    offset_name,
    resolve_settings,
    training_settings,
)
from popularity.settings.values import repeated_keys
from popularity.wording import Wording

schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))

# A job ends with the Snakemake that started it, however that ends.
os.environ[SNAKEMAKE] = str(os.getpid())

WRONG = "The settings (config.yaml, --configfile, --config) are wrong:"
# First, as the others would show what they find.
if secrets := written_secrets(config):
    raise WorkflowError("\n".join([WRONG, *secrets]))
for file in [] if IMPORTED else workflow.configfiles:
    if repeated := repeated_keys(Path(file)):
        raise WorkflowError("\n".join([WRONG, *repeated]))
try:
    # Snakemake's own, which the rules' paths know of.
    own = {key: value for key, value in config.items() if key != "pathvars"}
    settings = resolve_settings(own, schema)
except SettingsError as error:
    raise WorkflowError(f"{WRONG}\n{error}")

for name, model in settings.models.items():
    for file in model.own_files:
        if not Path(file).is_file():
            raise WorkflowError(
                f"{WRONG}\nmodels.{name}: there is no file {file} (seen from {Path.cwd()})"
            )

# At the start of a line `report` would be Snakemake's keyword.
in_report = report

DATASETS = settings.datasets
# Puts texts in the words of the log.
put = Wording(DATASETS[settings.dataset].words)
MODELS = settings.models
SHARDS = settings.data.shards
EVALUATION_SHARDS = settings.evaluation_shards
# Folder of each fold of the backtest; the first one, with the latest slots, has none of its own.
FOLDS = [
    "",
    *(f"backtest/{fold}/" for fold in range(1, settings.backtest.folds)),
]
# Number of top movies that every model covers; 0 if all models cover all movies.
COMMON = min(
    [model.top_movies for model in MODELS.values() if model.of_all_movies],
    default=0,
)
# What the schema says of each method of the baselines: its kind, and the module that has it.
METHODS = schema["$defs"]["methods"]
# Baselines that are quick to evaluate together, and those that learn, each in a job of its own.
LEARNERS = {
    name: entry
    for name, entry in settings.baselines.items()
    if METHODS[entry.method]["kind"] == "learned"
}
NAIVE = {
    name: entry for name, entry in settings.baselines.items() if name not in LEARNERS
}


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(map(re.escape, MODELS)),
    learned="|".join(map(re.escape, LEARNERS)) or "none",
    seed=r"\d+",
    fold=r"(backtest/[1-9]\d*/)?",
    gaps="calendar|observed",
    window=r"\d+",
    shard=r"\d+",


# An import, whose names may take several lines, and the name of a file that is read. Looking for
# these takes a tenth of what it takes to parse a hundred modules at every start.
IMPORT = re.compile(
    r"^[ \t]*(?:from ([\w.]+) import (\([^)]*\)|.*)|import ([\w.]+))",
    re.MULTILINE,
)
READ = re.compile(r"""\.with_name\(["']([^"']+)["']\)""")


@functools.cache
def imported(path):
    """The modules of ours that a script or module imports, and the files beside it that it reads.

    Such a file is named in a call of `with_name`, as the style of the pictures is.
    """
    text = path.read_text(encoding="utf-8")
    names = []
    for source, members, module in IMPORT.findall(text):
        names.append(source or module)
        names += [f"{source}.{member}" for member in re.findall(r"\w+", members)]
    modules = [SCRIPTS / f"{name.replace('.', '/')}.py" for name in names]
    files = [path.with_name(name) for name in READ.findall(text)]
    return [file for file in [*modules, *files] if file.exists()]


def code(script, *modules):
    """The script, every module of ours that it or these modules import, and the files that they read.

    As inputs they start a job again when they change, and only then: Snakemake compares the
    contents of inputs (profiles/default says up to which size), so a touch or a fresh checkout
    changes nothing.
    """
    found, todo = [], [SCRIPTS / f"{script}.py", *map(Path, modules)]
    while todo:
        path = todo.pop(0)
        if path not in found:
            found.append(path)
            todo += imported(path) if path.suffix == ".py" else []
    return [local(str(path)) for path in [found[0], *sorted(found[1:])]]


def methods(baselines):
    """The modules that have the methods of these baselines, which a script loads by their paths."""
    names = {METHODS[entry.method]["module"] for entry in baselines}
    folder = SCRIPTS / "popularity" / "forecasters"
    return [local(str(folder / f"{name}.py")) for name in sorted(names)]


def software():
    """Which packages the rules run with, in a line for the start of a run."""
    if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
        return "Each rule runs in its own conda environment, from envs/."
    return f"All rules run with the packages at hand, without conda: {sys.prefix}."


def shards(table):
    """The paths of a table's shards, in their order."""
    return [
        f"<results>/{{dataset}}/shards/{table}-{shard}.parquet"
        for shard in range(SHARDS)
    ]


def shard_option(wildcards):
    """The command-line option for the wildcards' shard."""
    return ["--shard", f"{wildcards.shard}/{SHARDS}"]


def evaluated_shards(name):
    """The paths of this file of all parts of an evaluation, in their order."""
    folder = "<results>/{dataset}/{fold}models/{model}/seed-{seed}/shards"
    return [f"{folder}/{shard}/{name}" for shard in range(EVALUATION_SHARDS)]


def memory(mb, **growth):
    """Memory in MB of a first attempt; each further one asks for as much again.

    It is `mb`, or 1000 and so many times the MB of an input, by its name, where that is more: of the
    series of a long log, for example.
    """

    def needed(wildcards, input, attempt):
        sizes = {
            name: os.path.getsize(input[name]) / 1e6
            for name in growth
            if os.path.exists(input[name])
        }
        grown = [1000 + int(growth[name] * size) for name, size in sizes.items()]
        return attempt * max([mb, *grown])

    return needed


def minutes(number):
    """Minutes of a first attempt; each further one asks for as many again."""
    return lambda wildcards, attempt: number * attempt


def uncompared(settings):
    """A param for a command that Snakemake does not compare, as it takes one of `input` for derived from it.

    It is for long settings, which Snakemake would print as the reason of a job: twice, as they were and are.
    Beside it a rule has their digest, which is compared and printed in their place.
    """
    return lambda wildcards, input: (
        settings(wildcards) if callable(settings) else settings
    )


def digest(settings):
    """A param that is another one where these settings, as canonical JSON, are."""

    def of(text):
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    if callable(settings):
        return lambda wildcards: of(settings(wildcards))
    return of(settings)


def own_files(*models):
    """Files of the user's own that these models need."""
    return [local(file) for file in sorted({f for m in models for f in m.own_files})]


def sequences(wildcards):
    """The table of sequences that the wildcards' model reads."""
    return sequences_of(wildcards, MODELS[wildcards.model])


def sequences_of(wildcards, model):
    """The table of sequences that a model with these settings reads."""
    return (
        f"<results>/{wildcards.dataset}/sequences/{model.gaps}-{model.window}.parquet"
    )


def of_each_seed(root, kind, names, folds=FOLDS[:1]):
    """The folders of every one of these and every seed of these folds below a dataset's, in one order."""
    return [
        f"{root}/{fold}{kind}/{name}/seed-{seed}"
        for fold in folds
        for name in sorted(names)
        for seed in sorted(settings.seeds)
    ]


def trained(name, folds=FOLDS[:1]):
    """This file of every model and seed of these folds, in a fixed order."""
    folders = of_each_seed("<results>/{dataset}", "models", MODELS, folds)
    return [f"{folder}/{name}" for folder in folders]


def learned(name, folds=FOLDS[:1]):
    """This file of every learned baseline and seed of these folds, in a fixed order."""
    folders = of_each_seed("<results>/{dataset}", "learned", LEARNERS, folds)
    return [f"{folder}/{name}" for folder in folders]


def fold(wildcards):
    """The number of the wildcards' fold of the backtest: 0 for the latest slots."""
    return int(re.sub(r"\D", "", wildcards.fold) or 0)


def split(wildcards):
    """The split of the wildcards' fold, as canonical JSON."""
    return canonical({**as_json(settings.split), "fold": fold(wildcards)})


def learned_methods(wildcards):
    """The modules that the fitting of the wildcards' baseline loads: its own, and its offset's."""
    fitted = fitting_settings(settings, LEARNERS[wildcards.learned])
    entries = [fitted.baseline, fitted.offset]
    return methods(entry for entry in entries if entry is not None)


def runs(wildcards):
    """The folder of every trained model and seed of the latest fold, in one order."""
    return of_each_seed(f"{RESULTS}/{wildcards.dataset}", "models", MODELS)


def evaluated(wildcards):
    """The folder of every network and learned baseline and seed of the latest fold, in one order."""
    learned_ones = of_each_seed(f"{RESULTS}/{wildcards.dataset}", "learned", LEARNERS)
    return [*runs(wildcards), *learned_ones]


def show_progress():
    """Say in a line what each job does; -p (--printshellcmds) and --verbose leave all as Snakemake says it."""
    asked = workflow.output_settings
    for handler in logger.handlers:
        if (
            handler.name != "DefaultStreamHandler"
            or asked.verbose
            or asked.printshellcmds
        ):
            continue
        jobs = [
            Planned(
                job.jobid,
                job.rule.name,
                job_name(job.rule.name, job.wildcards_dict.items()),
                seconds_before(job.benchmark),
            )
            for job in workflow.dag.needrun_jobs()
        ]
        # Without --cores, which a cluster needs none of, `workflow.cores` is an error.
        at_once = workflow.resource_settings.cores or workflow.nodes or 1
        lines = Progress(jobs, at_once, handler.formatter)
        handler.addFilter(lines)
        handler.setFormatter(lines)
        print(lines.first_line(), file=sys.stderr)


def seconds_before(benchmark):
    """Seconds that a job took when it ran before, None if it never did."""
    if benchmark is None or not Path(benchmark).exists():
        return None
    with Path(benchmark).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return float(rows[0]["s"]) if rows else None


def summary(results):
    """The leaderboard's main columns and where the results are, for the end of a run."""
    shown = ["name", "kind", "cross_entropy", "rmse", "ndcg_20", "hit_ratio_5"]
    lines = []
    if Path(results, "leaderboard.csv").exists():
        with Path(results, "leaderboard.csv").open(
            newline="", encoding="utf-8"
        ) as file:
            rows = [[row[key] for key in shown] for row in csv.DictReader(file)]
        for name, kind, *scores in [shown, *rows]:
            short = [score if name == "name" else f"{score:.7}" for score in scores]
            cells = "".join(cell.ljust(15) for cell in [kind, *short])
            lines.append(f"{name:19} {cells}")
    files = ("report.html", "leaderboard.csv", "forecast.csv", "cache.csv", "plots")
    lines += [f"{results}/{name}" for name in files if Path(results, name).exists()]
    return "\n".join(["", *lines])


def slot(wildcards):
    """The slots of the dataset: their length, and the time zone of their clock if it has one."""
    return settings.slot_of(wildcards.dataset)


def log_settings(wildcards):
    """How the dataset's log is written, as canonical JSON."""
    return canonical(DATASETS[wildcards.dataset].log())


def log_facts():
    """What was read of the log, of each job that read a part."""
    if SHARDS == 1:
        return ["<results>/{dataset}/log.json"]
    return [f"<results>/{{dataset}}/shards/log-{shard}.json" for shard in range(SHARDS)]


def words(wildcards):
    """What the dataset's items and requests are called, as canonical JSON."""
    return canonical(DATASETS[wildcards.dataset].words)


def formats():
    """The modules of all formats of logs, which are loaded by their paths."""
    folder = SCRIPTS / "popularity" / "log" / "formats"
    return [str(path) for path in sorted(folder.glob("[a-z]*.py"))]


def chosen_files(dataset):
    """Names or patterns of the files that are taken of the dataset's folder; none for all."""
    if dataset.requests is None:
        return []
    return [dataset.requests, dataset.catalogue or "movies.csv"]


def archive_source(wildcards):
    """The dataset's local archive, or the files of its local folder; nothing for an address."""
    dataset = DATASETS[wildcards.dataset]
    if is_address(dataset.url):
        return []
    path = Path(dataset.url).expanduser()
    # A missing one is for the script to tell of.
    if path.is_dir():
        only = chosen_files(dataset)
        files = [
            file
            for file in path.rglob("*")
            if not only
            or any(
                fnmatchcase(name, pattern)
                for pattern in only
                for name in (file.name, file.relative_to(path).as_posix())
            )
        ]
    else:
        catalogue = dataset.catalogue
        beside = [] if catalogue is None or is_address(catalogue) else [Path(catalogue)]
        files = [path, *(at if at.exists() else path.parent / at for at in beside)]
    # A name with braces would be a wildcard, one with <> a variable: such a file is used, but not watched.
    watched = (file for file in files if not set("{<") & set(str(file)))
    return [local(str(file)) for file in sorted(watched) if file.is_file()]


def names_with(key):
    """The datasets whose entries have this key, as a regular expression."""
    return (
        "|".join(
            re.escape(name)
            for name, entry in DATASETS.items()
            if getattr(entry, key) is not None
        )
        or "none"
    )


def dataset_option(wildcards, option, key):
    """A command-line option for an entry of the dataset, if it is given."""
    value = as_json(getattr(DATASETS[wildcards.dataset], key))
    if value is None:
        return []
    if isinstance(value, dict):
        # What is not given of it is not passed on either.
        value = {name: part for name, part in value.items() if part is not None}
    return [option, value if isinstance(value, str) else canonical(value)]


def searched_model():
    """The settings that a search starts from."""
    name = settings.search.model
    return settings.defaults if name is None else MODELS[name]


def searched_settings():
    """All that the trainings of a search start from, as canonical JSON."""
    return canonical(training_settings(settings, searched_model()))


def archive_limits():
    """Options on what an archive may hold, from the section data."""
    data = settings.data
    return [
        "--on-bad-rows",
        data.on_bad_rows,
        "--max-unpacked-gb",
        canonical(data.max_unpacked_gb),
    ]


def rejected_labels(wildcards):
    """The report's label of the dropped rows, with their number."""
    path = Path(RESULTS, wildcards.dataset, "rejected.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    return {"picture": f"12 Rows left out: {rows}"}


def model_settings(wildcards):
    """All that the training of the wildcards' model depends on, as canonical JSON."""
    model = MODELS[wildcards.model]
    return canonical(
        training_settings(settings, model, wildcards.dataset, fold(wildcards))
    )


def learned_settings(wildcards):
    """All that the fitting of the wildcards' baseline depends on, as canonical JSON."""
    baseline = LEARNERS[wildcards.learned]
    return canonical(
        fitting_settings(settings, baseline, wildcards.dataset, fold(wildcards))
    )


def caption(name):
    """The caption of something in the report, in the words of the log (rule `write_captions`).

    A report of results alone, before these are there, has it in our own words.
    """
    worded = Path(RESULTS, settings.dataset, "captions", f"{name}.rst")
    return str((worded if worded.exists() else HOME / "report" / worded.name).resolve())


def plots_folder(wildcards):
    """The folder of the pictures."""
    return f"{RESULTS}/{wildcards.dataset}/plots"


def pictures(names, category):
    """The PNG files (shown in the report, under a category) and the SVG files of these pictures."""
    shown = [
        in_report(
            f"<results>/{{dataset}}/plots/{name}.png",
            caption=caption(name),
            category=category,
            labels={"picture": put(label)},
        )
        for name, label in names.items()
    ]
    return [*shown, *(f"<results>/{{dataset}}/plots/{name}.svg" for name in names)]


def run_settings(wildcards):
    """The resolved settings of a run, with this dataset alone, as canonical JSON."""
    entry = as_json(DATASETS[wildcards.dataset])
    run = {key: value for key, value in as_json(settings).items() if key != "compare"}
    return canonical(
        {**run, "dataset": wildcards.dataset, "datasets": {wildcards.dataset: entry}}
    )


def other_results(wildcards):
    """The results folder to compare with, which has to be given."""
    if settings.compare is None:
        raise WorkflowError(
            "compare: no results folder is given to compare with; run "
            "snakemake compare --config compare=FOLDER"
        )
    return str(Path(settings.compare).expanduser())


def results_shown(wildcards):
    """What the report shows of the results: the pictures, the tables and the rows left out.

    The pages of the tables and the runtimes are left out, as they are made of these results.
    """
    plots = [
        f"<results>/{wildcards.dataset}/plots/{name}.png"
        for names in (
            *(LOG_PICTURES, EDA_PICTURES, FEATURE_PICTURES, TRAINING_PICTURES),
            *(MODEL_PICTURES, PREDICTION_PICTURES, CACHE_PICTURES),
            MIXTURE_PICTURES if MIXTURE is not None else {},
        )
        for name in names
    ]
    tables = [
        f"<results>/{wildcards.dataset}/{table}.csv"
        for table in TABLES
        if table not in ("runtimes", "software")
    ]
    others = [
        f"<results>/{wildcards.dataset}/{name}"
        for name in ("rejected.csv", "settings.json")
    ]
    return sorted([*plots, *tables, *others])


def features_used():
    """The features that the models see, each once."""
    return list(
        dict.fromkeys(name for model in MODELS.values() for name in model.features)
    )


def report_config(wildcards):
    """The settings as given, with this dataset alone, for the Snakemake that writes the report."""
    entry = config["datasets"][wildcards.dataset]
    given = {key: value for key, value in config.items() if key != "compare"}
    return canonical(
        {
            **given,
            "dataset": wildcards.dataset,
            "datasets": {wildcards.dataset: entry},
            # As it runs by itself, it has to be told where an import has its results.
            "pathvars": {"results": RESULTS, "resources": RESOURCES},
        }
    )
