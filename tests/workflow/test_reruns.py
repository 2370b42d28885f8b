"""What a change reruns: just what depends on it."""

import ast
import functools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from popularity.forecasters.network.saved import TrainedModel
from popularity.scoring.scores import summarise
from workdir import ROOT, SMALL, copy_workflow, planned, snakemake

#: What comes after any result: how long its job took is a part of the report.
REPORTING = {"plot_runtimes", "write_table runtimes", "write_report"}
#: What any other setting changes.
RECORDING = {"record_settings", *REPORTING}
OF_SCORES = {
    "compare_models",
    "plot_models",
    "plot_predictions",
    "write_front_page",
    "write_table leaderboard",
    "write_table leaderboard_by_class",
    *RECORDING,
}
OF_CACHE = {"simulate_cache", "plot_cache", "write_table cache", "write_front_page"}
#: Any forecaster may be the best, which forecasts and fills a cache.
OF_FORECASTERS = {"forecast_next_slot", "write_table forecast", *OF_CACHE, *OF_SCORES}
COMPARING = {"plot_training", *OF_FORECASTERS}
OF_LSTM = {"train_model lstm", "evaluate_model lstm"}
OF_COURSE = {"train_model course_lstm", "evaluate_model course_lstm"}
EVALUATED = {"evaluate_baselines", "evaluate_learned lightgbm_offset"}
AFTER_SORT = {
    "build_sequences 5",
    "build_sequences 3",
    "plot_feature_information",
    "plot_mixture",
    "replay_policies",
    *EVALUATED,
    *OF_LSTM,
    *OF_COURSE,
    *COMPARING,
}
AFTER_JOIN = {"label_popularity", "sort_by_time", "plot_eda", "plot_log", *AFTER_SORT}


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished workflow, times and all, to change."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def set_small(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    settings = json.loads(json.dumps(SMALL))
    change(settings)
    (folder / "small.json").write_text(json.dumps(settings))


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and ".snakemake" not in path.parts]


def test_nothing_when_nothing_changed(folder: Path) -> None:
    assert planned(folder) == set()


def test_nothing_when_scripts_settings_and_archive_are_touched(folder: Path) -> None:
    for path in [
        *(folder / "scripts").rglob("*.py"),
        folder / "config.yaml",
        folder / "resources/demo.zip",
    ]:
        path.touch()
    assert planned(folder) == set()


@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_in_a_fresh_checkout_over_existing_results(folder: Path, reverse: bool) -> None:
    for second, path in enumerate(sorted(files(folder), reverse=reverse)):
        os.utime(path, (2_000_000_000 + second, 2_000_000_000 + second))
    assert planned(folder) == set()


def test_nothing_when_keys_are_reordered_and_comments_written(folder: Path) -> None:
    config = folder / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    backwards = json.loads(json.dumps(settings), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(settings)
    config.write_text("# A comment.\n" + yaml.safe_dump(backwards, sort_keys=False))
    assert planned(folder) == set()


def test_nothing_when_another_run_to_compare_with_is_given(folder: Path) -> None:
    set_small(folder, lambda settings: settings.update(compare="results/other"))
    assert planned(folder) == set()


def test_a_models_setting_reruns_that_model_and_what_compares(folder: Path) -> None:
    set_small(folder, lambda settings: settings["models"]["course_lstm"].update(layers=[5]))
    assert planned(folder) == OF_COURSE | COMPARING


def test_the_number_of_validation_slots_trains_no_model_anew(folder: Path) -> None:
    set_small(folder, lambda settings: settings.update(validation_slots=9))
    evaluated = {f"evaluate_model {model}" for model in ("lstm", "course_lstm")}
    assert planned(folder) == {*evaluated, *EVALUATED, "plot_mixture"} | OF_FORECASTERS


def test_a_baselines_setting_reruns_it_and_what_compares(folder: Path) -> None:
    set_small(folder, lambda settings: settings["baselines"]["lightgbm_offset"].update(training_rows=3000))
    assert planned(folder) == {"evaluate_learned lightgbm_offset"} | OF_FORECASTERS
    set_small(folder, lambda settings: settings["baselines"].update(moving_average_3=None))
    assert planned(folder) == {"evaluate_baselines", "plot_mixture"} | OF_FORECASTERS


def test_what_a_changed_setting_prints_is_short(folder: Path) -> None:
    def change(settings: dict[str, Any]) -> None:
        settings["models"]["course_lstm"].update(layers=[5])
        settings["baselines"]["lightgbm_offset"].update(training_rows=3000)
        settings["baselines"].update(moving_average_3=None)

    set_small(folder, change)
    ended = snakemake(folder, "--dry-run")
    changes = re.findall(r"^    reason: .*?(Params have changed .*)$", ended.stdout, re.MULTILINE)
    # Of the training, the fit, the baselines and the record of settings; the others follow these.
    assert len(changes) == 4
    assert max(map(len, changes)) < 400


def test_an_added_model_runs_alone_and_a_removed_one_leaves_no_row(folder: Path) -> None:
    set_small(folder, lambda settings: settings["models"].update(plain={"cell": "none"}))
    assert planned(folder) == {"train_model plain", "evaluate_model plain"} | COMPARING

    set_small(folder, lambda settings: settings["models"].update(course_lstm=None))
    # No other model sees label_n: the features that models see have another colour in their picture.
    assert planned(folder) == {"plot_feature_information"} | COMPARING
    assert snakemake(folder, "results/demo/leaderboard.csv").returncode == 0
    board = (folder / "results/demo/leaderboard.csv").read_text()
    assert "\nlstm," in board
    assert "course_lstm" not in board


def test_another_fold_trains_and_scores_all_for_earlier_slots_and_keeps_the_latest(folder: Path) -> None:
    def two_folds(settings: dict[str, Any]) -> None:
        settings["models"]["course_lstm"] = None
        settings["backtest"] = {"folds": 2}

    set_small(folder, two_folds)
    # No other model than the one left out sees label_n: see above.
    assert planned(folder) == {"plot_feature_information"} | EVALUATED | OF_LSTM | COMPARING
    ended = snakemake(folder, "results/demo/leaderboard.csv")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = folder / "results/demo"
    found = {path.parent.relative_to(results) for path in results.glob("backtest/*/*/**/scores.parquet")}
    names = {"baselines", "learned/lightgbm_offset/seed-1", "models/lstm/seed-1"}
    assert found == {Path("backtest/1", name) for name in names}
    board = pd.read_csv(results / "leaderboard.csv").set_index("name")
    for name in names:
        folds = [pd.read_parquet(results / fold / name / "scores.parquet") for fold in ("", "backtest/1")]
        latest, earlier = (set(rows.loc[rows["split"] == "test", "slot"]) for rows in folds)
        assert max(earlier) < min(latest)
        assert abs(len(earlier) - len(latest)) < 4
        both = pd.concat(folds)
        one = str(both["name"].iloc[0])
        tested = both[(both["split"] == "test") & (both["name"] == one)]
        assert board.loc[one, "cross_entropy"] == pytest.approx(summarise(tested)["cross_entropy"])
    assert (results / "logs/backtest/1/train_model/lstm/seed-1.log").exists()


def test_window_reruns_sequences_and_after(folder: Path) -> None:
    set_small(folder, lambda settings: settings.update(window=6))
    # The course's model keeps its own window of 3.
    read = {"plot_feature_information", "plot_mixture", "replay_policies", *EVALUATED, *OF_LSTM}
    reread = {"build_sequences 6", *read}
    assert planned(folder) == reread | COMPARING


def test_slot_reruns_label_and_after(folder: Path) -> None:
    set_small(folder, lambda settings: settings.update(slot="week"))
    assert planned(folder) == AFTER_JOIN


def test_another_archive_of_the_same_name_reruns_join_and_after(folder: Path) -> None:
    set_small(folder, lambda settings: settings["datasets"]["demo"]["simulate"].update(seed=4))
    assert planned(folder) == {"simulate_archive", "join_ratings"} | AFTER_JOIN


def test_a_plots_script_reruns_that_plot(folder: Path) -> None:
    with (folder / "scripts" / "plot_log.py").open("a") as script:
        script.write("# changed\n")
    assert planned(folder) == {"plot_log", *REPORTING}


def test_the_pictures_style_reruns_the_pictures(folder: Path) -> None:
    with (folder / "scripts" / "popularity" / "plots.mplstyle").open("a") as file:
        file.write("# changed\n")
    plots = {path.stem for path in (ROOT / "scripts").glob("plot_*.py")}
    assert planned(folder) == {*plots, "write_front_page", *REPORTING}


def test_the_report_shows_every_picture_and_every_table_of_its_pages(finished: Path) -> None:
    printed = snakemake(finished, "--dry-run", "--forceall").stdout
    outputs = ", ".join(re.findall(r"^    output: (.*)$", printed, re.MULTILINE)).split(", ")
    pictures = {output for output in outputs if output.endswith(".png")}
    assert len(pictures) > 15
    jobs = dict(forced(finished))
    assert pictures <= set(jobs["write_report"])
    # All jobs but those that it is followed by are done before their times are put together.
    after = {"results/demo/plots/runtimes.png"}
    assert pictures - after <= set(jobs["plot_runtimes"])
    pages = {output for output in outputs if "/tables/" in output}
    assert pages <= set(jobs["write_report"])
    made = {f"results/demo/{Path(page).stem}.csv" for page in pages} & set(outputs)
    assert made - {"results/demo/runtimes.csv"} <= set(jobs["plot_runtimes"])


#: Programs that run when asked for alone.
BY_HAND = {"search_settings", "compare_runs", "predict"}
#: Modules that a rule's job loads by their paths, as its settings say.
SIMPLE = [
    f"forecasters.{name}"
    for name in ("averages", "intermittent", "mixture", "references", "seasonal", "simple")
]
FORMATS = [
    f"log.formats.{path.stem}" for path in (ROOT / "scripts/popularity/log/formats").glob("[a-z]*.py")
]
LOADED = {
    "evaluate_baselines": SIMPLE,
    "simulate_cache": SIMPLE,
    "forecast_next_slot": [*SIMPLE, "forecasters.trees"],
    "evaluate_learned": ["forecasters.mixture", "forecasters.trees"],
    "join_ratings": FORMATS,
    "describe_log": FORMATS,
}
PACKAGE = ROOT / "scripts" / "popularity"


@functools.cache
def imported(script: Path) -> set[str]:
    """Modules of ours that a script imports or loads, through others or not, as Python itself sees it."""
    seen = {f"popularity.{name}" for name in LOADED.get(script.stem, [])}
    todo = [script, *(PACKAGE / f"{name.replace('.', '/')}.py" for name in LOADED.get(script.stem, []))]
    while todo:
        for node in ast.walk(ast.parse(todo.pop().read_text(encoding="utf-8"))):
            found = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                found = {module, *(f"{module}.{alias.name}" for alias in node.names)}
            new = {module for module in found if module in MODULES} - seen
            seen |= new
            todo += [ROOT / "scripts" / f"{module.replace('.', '/')}.py" for module in new]
    return seen


@functools.cache
def forced(folder: Path) -> list[tuple[str, list[str]]]:
    """Every job of the workflow: its rule and its inputs."""
    printed = snakemake(folder, "--dry-run", "--forceall").stdout
    return [
        (rule, inputs.split(", "))
        for rule, inputs in re.findall(r"^(?:local)?rule (\w+):\n    input: (.*)$", printed, re.MULTILINE)
    ]


MODULES = sorted(
    ".".join(path.relative_to(ROOT / "scripts").with_suffix("").parts)
    for path in PACKAGE.rglob("[a-z]*.py")
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing has run."""
    return copy_workflow(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize("module", MODULES)
def test_a_shared_module_reruns_the_rules_whose_scripts_import_it(fresh: Path, module: str) -> None:
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py") if module in imported(path)}
    file = f"scripts/{module.replace('.', '/')}.py"
    declared = {rule for rule, inputs in forced(fresh) if file in inputs}
    # The demo's archive is not downloaded, one job makes each table and scores each network, and the others
    # run when asked for.
    others = {"download_archive", "gather_shards", "gather_evaluation", "describe_log", *BY_HAND}
    assert declared == scripts - others


OF_A_FAMILY = {
    "intermittent": {"evaluate_baselines", "simulate_cache", "forecast_next_slot"},
    "trees": {"evaluate_learned lightgbm_offset"},
    "averages": {"evaluate_baselines", "evaluate_learned lightgbm_offset", "train_model lstm"},
    "network/losses": {"train_model lstm", "train_model course_lstm", "evaluate_model lstm"},
}


@pytest.mark.parametrize("family", OF_A_FAMILY)
def test_an_edited_family_of_forecasters_reruns_just_its_jobs(folder: Path, family: str) -> None:
    with (folder / "scripts/popularity/forecasters" / f"{family}.py").open("a") as module:
        module.write("# changed\n")
    jobs = planned(folder)
    assert OF_A_FAMILY[family] <= jobs
    kinds = ("evaluate_baselines", "evaluate_learned", "train_model", "build_sequences", "join_ratings")
    begun = {job for job in jobs if job.startswith(kinds)}
    assert {job.split()[0] for job in begun} <= {job.split()[0] for job in OF_A_FAMILY[family]}


def test_an_edited_class_of_settings_reruns_just_what_it_is_for(folder: Path) -> None:
    with (folder / "scripts/popularity/settings/results.py").open("a") as module:
        module.write("# changed\n")
    assert planned(folder) == OF_CACHE | REPORTING


def test_what_fills_caches_leaves_those_that_react(folder: Path) -> None:
    set_small(folder, lambda settings: settings.update(cache={"forecasts": ["ewma"]}))
    assert planned(folder) == OF_CACHE | RECORDING
    set_small(folder, lambda settings: settings.update(cache={"policies": ["LRU"]}))
    assert planned(folder) == {"replay_policies"} | OF_CACHE | RECORDING


def test_an_edited_shared_module_reruns_its_rules(folder: Path) -> None:
    with (folder / "scripts/popularity/scoring/scores.py").open("a") as module:
        module.write("# changed\n")
    jobs = planned(folder)
    assert {"evaluate_baselines", "evaluate_model lstm", "compare_models"} <= jobs
    assert not {"join_ratings", "label_popularity", "sort_by_time", "plot_eda"} & jobs


def test_the_file_of_a_model_has_all_that_its_training_depends_on(finished: Path) -> None:
    run = TrainedModel.open(finished / "results/demo/models/lstm/seed-1")
    assert run.asked.settings.model.layers == (4,)
    assert (run.asked.settings.slot, run.asked.settings.split.fold) == ("day", 0)
    assert run.asked.settings.offset is not None


def test_a_folder_of_another_name_gives_the_same_tables(finished: Path, tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path)
    names = ["joined", "movies", "labelled", "sorted", "sequences/calendar-5"]
    tables = [f"results/demo/{name}.parquet" for name in names]
    assert snakemake(folder, *tables).returncode == 0
    for table in tables:
        assert (folder / table).read_bytes() == (finished / table).read_bytes(), table


def test_shards_give_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path, {**SMALL, "data": {"shards": 3}})
    names = ["joined", "movies", "labelled", "sorted", "sequences/calendar-5"]
    tables = [f"results/demo/{name}.parquet" for name in names]
    ended = snakemake(folder, *tables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for table in tables:
        assert (folder / table).read_bytes() == (finished / table).read_bytes(), table
    shards = [pq.read_metadata(path).num_rows for path in sorted(folder.rglob("shards/labelled-*"))]
    assert len(shards) == 3
    assert min(shards) > 0
