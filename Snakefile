"""From a log of requests to forecasts of popularity: see README.md, and rules/ for each step."""

import os

from snakemake.utils import min_version

min_version("9.21")


include: "rules/paths.smk"


# The one in the working folder, or else the one beside this file.
configfile: "config.yaml" if os.path.exists("config.yaml") else str(HOME / "config.yaml")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/tables.smk" if SHARDS == 1 else "rules/shards.smk"
include: "rules/models.smk" if EVALUATION_SHARDS == 1 else "rules/evaluation_shards.smk"
include: "rules/results.smk"
include: "rules/report.smk"


if not IMPORTED:

    report: str(Path(RESULTS, settings.dataset, "front_page.rst").resolve())


rule all:
    """Everything for the dataset of the settings: tables, models, leaderboard, forecast, report."""
    default_target: True
    input:
        report=f"<results>/{settings.dataset}/report.html",


rule forecast:
    """Just the forecast."""
    input:
        forecast=f"<results>/{settings.dataset}/forecast.csv",


rule describe:
    """Just what the log's first rows would be taken for."""
    input:
        settings=f"<results>/{settings.dataset}/described.yaml",


rule search:
    """Just a search for better settings of a model."""
    input:
        fragment=f"<results>/{settings.dataset}/search/best.yaml",


onstart:
    print(software(), file=sys.stderr)
    show_progress()


onsuccess:
    print(summary(f"{RESULTS}/{settings.dataset}"))
