"""The commands of the rules: each program gets all of its options, and each setting the right ones."""

import ast
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workdir import ROOT, SMALL, copy_workflow, snakemake

#: Settings of which no two are alike, and none is the default.
DISTINCT: dict[str, Any] = {
    **SMALL,
    "slot": "day",
    "seeds": [14, 15],
    "split": {"validation": 0.21, "test": 0.22},
    "backtest": {"folds": 2},
    "backend": "torch",
    "training_threads": 2,
    "datasets": {
        "demo": {
            "timezone": "Europe/Berlin",
            "words": {"item": "page"},
            "simulate": {
                "ratings": 6001,
                "users": 203,
                "movies": 121,
                "first_date": "2016-01-04",
                "last_date": "2016-06-29",
                "seed": 16,
            },
        },
        "other": {
            "url": "http://localhost/other.zip",
            "checksum": f"md5:{'0' * 31}1",
            "size": 12345,
            "licence": "http://localhost/licence.html",
            "requests": "visits*.csv",
            "catalogue": "pages.csv",
            "columns": {"item": "page", "time": "when"},
        },
    },
    "models": {
        **SMALL["models"],
        "joint": {"input": "all_movies", "top_movies": 17, "features": ["label_n"], "window": 6},
        "wide": {"input": "all_movies", "top_movies": 18},
        "later": {"output": "last_step", "gaps": "observed"},
    },
    "sweeps": {"rate": {"model": "lstm", "grid": {"learning_rate": [0.01, 0.02]}}},
    "search": {"model": "lstm", "trials": 23, "space": {"dropout": {"low": 0.1, "high": 0.2}}},
    "data": {"on_bad_rows": "drop", "max_unpacked_gb": 24},
    "forecast": {"model": "course_lstm", "slots": 25, "futures": 26, "interval": 0.27},
    "cache": {"sizes": [0.28], "policies": ["ARC"]},
    "compare": "before",
}
SPLIT = {"test": 0.22, "validation": 0.21}
RESULTS = "results/demo"

#: What may hold a file of each name, or a folder.
PATHS = {
    "--archive": r"resources/\w+\.zip",
    "--baselines": r"\{.*",
    "--benchmarks": r"results/\w+/benchmarks",
    "--by-class": r".*/leaderboard_by_class\.csv",
    "--check": r".*/forecast_check\.json",
    "--checkpoint": r".*/seed-\d+/\.checkpoint\.npz",
    "--environment": r"envs/\w+\.yaml",
    "--facts": r".*/log(-\d)?\.json",
    "--captions": r"report/\w+\.rst",
    "--folder": r"results/\w+/(plots|captions)",
    "--forecast": r".*/forecast\.csv",
    "--fragment": r".*/search/best\.yaml",
    "--hit-ratios": r".*/cache\.csv",
    "--items": r".*/(plots|tables)/[^/]+|.*/(rejected\.csv|settings\.json|\w+\.csv)",
    "--joined": r".*/joined(-\d)?\.parquet",
    "--labelled": r".*/labelled(-\d)?\.parquet",
    "--leaderboard": r".*/leaderboard\.csv",
    "--methods": r"scripts/popularity/forecasters/\w+\.py",
    "--metrics": r".*/metrics\.json",
    "--movies": r".*/movies(-\d)?\.parquet",
    "--predictions": r".*/predictions\.parquet",
    "--rejected": r".*/rejected(-\d)?\.csv",
    "--report": r".*/report\.html",
    "--run": r".*/models/[\w.-]+/seed-\d+",
    "--runs": r".*/(models|learned)/[\w.-]+/seed-\d+",
    "--scores": r".*/scores\.parquet|.*/comparison\.csv",
    "--sequences": r".*/sequences/(calendar|observed)-\d\.parquet",
    "--snakefile": r"Snakefile",
    "--software": r".*/software/\w+\.csv",
    "--sorted": r".*/sorted(-\d)?\.parquet",
    "--studies": r".*/search/studies",
    "--style": r"report/report\.css",
    "--template": r"report/workflow\.rst",
    "--trials-table": r".*/search/trials\.csv",
}

#: Options that are for those who run a program by hand, and for tests.
BY_HAND = {
    "download_archive": {"--tries", "--timeout", "--wait", "--least-rate"},
    "write_table": {"--rows"},
}


@dataclass(frozen=True)
class Command:
    """A job's call of a program: what stands before the first option, and the values of each."""

    script: str
    rest: tuple[str, ...]
    options: dict[str, list[str]]
    inputs: list[str]
    outputs: list[str]
    environment: str

    def one(self, option: str) -> str:
        """The only value of an option."""
        (value,) = self.options[option]
        return value

    def json(self, option: str) -> Any:
        """An option's value, read as JSON."""
        return json.loads(self.one(option))


def commands_of(folder: Path, *targets: str) -> list[Command]:
    """Read the command of each job from Snakemake's plan of everything."""
    ended = snakemake(folder, "--dry-run", "--forceall", "--printshellcmds", *targets)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = []
    for text in re.split(r"\n(?=(?:local)?rule |\[)", ended.stdout):
        shell = re.search(r"^Shell command: (\w+=\S+ )?python (.*?) (2?>.*)$", text, re.MULTILINE)
        if shell is None:
            continue
        # An empty value may be the last of an option's.
        script, *words = shlex.split(shell[2])
        places = [at for at, word in enumerate(words) if word.startswith("--")]
        options = {
            words[at]: words[at + 1 : end]
            for at, end in zip(places, [*places[1:], len(words)], strict=True)
        }
        fields = dict(re.findall(r"^    (input|output|log): (.*)$", text, re.MULTILINE))
        assert fields["log"] in shell[3]
        inputs, outputs = (fields.get(name, "").split(", ") for name in ("input", "output"))
        rest = tuple(words[: places[0]])
        found.append(Command(Path(script).stem, rest, options, inputs, outputs, (shell[1] or "").strip()))
    return found


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    """The commands of all rules but those of archives from elsewhere and of shards."""
    folder = copy_workflow(tmp_path_factory.mktemp("one"), DISTINCT)
    return commands_of(folder, "all", "search", "describe", "compare")


@pytest.fixture(scope="module")
def other_commands(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    """The commands that make a table of another log."""
    folder = copy_workflow(tmp_path_factory.mktemp("other"), {**DISTINCT, "dataset": "other"})
    return commands_of(folder, "results/other/joined.parquet")


@pytest.fixture(scope="module")
def shard_commands(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    """The commands that make the series by shards."""
    settings = {**DISTINCT, "data": {**DISTINCT["data"], "shards": 3}}
    # Only a log of MovieLens' own form is divided.
    settings["datasets"] = {"demo": {"simulate": DISTINCT["datasets"]["demo"]["simulate"]}}
    settings["evaluation_shards"] = 2
    folder = copy_workflow(tmp_path_factory.mktemp("shards"), settings)
    scores = f"{RESULTS}/models/wide/seed-{DISTINCT['seeds'][0]}/scores.parquet"
    tables = (f"{RESULTS}/sequences/calendar-5.parquet", f"{RESULTS}/joined.parquet")
    return commands_of(folder, *tables, scores)


@pytest.fixture(scope="module")
def all_commands(
    commands: list[Command], other_commands: list[Command], shard_commands: list[Command]
) -> list[Command]:
    """All of these."""
    return commands + other_commands + shard_commands


def of(commands: list[Command], script: str) -> list[Command]:
    """The commands of a program, of which there are some."""
    found = [command for command in commands if command.script == script]
    assert found
    return found


def added(tree: ast.AST) -> set[str]:
    """The options that a piece of code gives to a parser."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    names = {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "add_argument"
        and isinstance(call.args[0], ast.Constant)
    }
    return {name for name in names if name.startswith("--")}


def options_of(script: str) -> set[str]:
    """The options that a program says it has, itself or by a function that it imports from a module."""
    tree = ast.parse((ROOT / "scripts" / f"{script}.py").read_text(encoding="utf-8"))
    found = added(tree)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("popularity."):
            path = ROOT / "scripts" / f"{str(node.module).replace('.', '/')}.py"
            functions = ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else []
            names = {alias.name for alias in node.names}
            for function in functions:
                if isinstance(function, ast.FunctionDef) and function.name in names:
                    found |= added(function)
    return found


def test_the_archive_is_simulated_as_the_settings_say(commands: list[Command]) -> None:
    (command,) = of(commands, "simulate_archive")
    assert command.options == {
        "--ratings": ["6001"],
        "--users": ["203"],
        "--movies": ["121"],
        "--first-date": ["2016-01-04"],
        "--last-date": ["2016-06-29"],
        "--seed": ["16"],
        "--output": ["resources/demo.zip"],
    }


def test_another_archive_is_downloaded_and_checked_as_the_settings_say(
    other_commands: list[Command],
) -> None:
    (command,) = of(other_commands, "download_archive")
    assert command.options == {
        "--url": ["http://localhost/other.zip"],
        "--size": ["12345"],
        "--checksum": [f"md5:{'0' * 31}1"],
        "--licence": ["http://localhost/licence.html"],
        "--catalogue": ["pages.csv"],
        "--only": ["visits*.csv", "pages.csv"],
        "--output": ["resources/other.zip"],
    }


def test_a_log_is_read_as_the_settings_say(commands: list[Command], other_commands: list[Command]) -> None:
    (command,) = of(commands, "join_ratings")
    assert command.one("--on-bad-rows") == "drop"
    assert command.one("--max-unpacked-gb") == "24"
    assert command.json("--log")["columns"]["item"] is None
    (command,) = of(other_commands, "join_ratings")
    assert command.json("--log")["columns"]["item"] == "page"
    assert command.json("--log")["requests"] == "visits*.csv"
    (command,) = of(commands, "describe_log")
    assert command.one("--name") == "demo"
    assert command.json("--dataset") == DISTINCT["datasets"]["demo"]


def test_each_shard_is_made_and_all_are_put_together(shard_commands: list[Command]) -> None:
    every = ["0/3", "1/3", "2/3"]
    for script, output in (("join_ratings", "--joined"), ("label_popularity", "--labelled")):
        made = {command.one("--shard"): command.one(output) for command in of(shard_commands, script)}
        table = output[2:]
        assert made == {shard: f"{RESULTS}/shards/{table}-{shard[0]}.parquet" for shard in every}
    for command in of(shard_commands, "label_popularity"):
        assert len(command.options["--joined"]) == 3
    for command in of(shard_commands, "gather_shards"):
        (table,) = command.options["--table"]
        name = Path(table).stem
        expected = [f"{RESULTS}/shards/{name}-{shard}.parquet" for shard in range(3)]
        assert command.options["--shards"] == expected
        assert command.one("--kind") == ("joined" if name == "joined" else "labelled")
    run = f"{RESULTS}/models/wide/seed-{DISTINCT['seeds'][0]}"
    files = ("predictions.parquet", "scores.parquet", "metrics.json")
    parts = {
        command.one("--shard"): [command.one(f"--{Path(file).stem}") for file in files]
        for command in of(shard_commands, "evaluate_model")
    }
    assert parts == {f"{shard}/2": [f"{run}/shards/{shard}/{file}" for file in files] for shard in range(2)}
    (command,) = of(shard_commands, "gather_evaluation")
    assert command.options["--shards"] == [f"{run}/shards/{shard}" for shard in range(2)]
    assert [command.one(f"--{Path(file).stem}") for file in files] == [f"{run}/{file}" for file in files]
    assert command.one("--run") == run
    assert command.one("--interval") == str(DISTINCT["forecast"]["interval"])


def test_slots_and_their_clock_and_the_split_are_those_of_the_settings(commands: list[Command]) -> None:
    for command in commands:
        if "--slot" in command.options:
            assert command.one("--slot") == "day Europe/Berlin", command.script
        if "--dataset" in command.options and command.script != "describe_log":
            assert command.one("--dataset") == "demo", command.script
        if "--split" in command.options and command.script != "evaluate_baselines":
            assert command.json("--split") == SPLIT, command.script
        if command.script.startswith("plot_") and "--seed" in command.options:
            assert command.one("--seed") == "14", command.script
    folds = {
        command.one("--scores"): command.json("--split") for command in of(commands, "evaluate_baselines")
    }
    assert folds == {
        f"{RESULTS}/baselines/scores.parquet": {**SPLIT, "fold": 0},
        f"{RESULTS}/backtest/1/baselines/scores.parquet": {**SPLIT, "fold": 1},
    }


def test_each_model_is_trained_and_scored_with_each_seed_for_each_fold(commands: list[Command]) -> None:
    windows = {"lstm": "calendar-5", "course_lstm": "calendar-3", "joint": "calendar-6"}
    windows |= {"later": "observed-5"}
    seen = set()
    for command in of(commands, "train_model"):
        settings, name, seed = command.json("--settings"), command.one("--name"), command.one("--seed")
        fold = settings["split"]["fold"]
        folder = f"{RESULTS}/{'backtest/1/' * fold}models/{name}/seed-{seed}"
        assert command.one("--run") == folder
        assert command.one("--checkpoint").startswith(f"{folder}/")
        table = windows.get(name, "calendar-5")
        assert command.one("--sequences") == f"{RESULTS}/sequences/{table}.parquet"
        assert f"{settings['model']['gaps']}-{settings['model']['window']}" == table
        assert settings["slot"] == "day Europe/Berlin"
        assert (settings["split"]["validation"], settings["split"]["test"]) == (0.21, 0.22)
        assert command.one("--threads") == "2"
        seen.add((name, seed, fold))
    trained = {name for name, _, _ in seen}
    assert {"lstm", "course_lstm", "joint", "later", "wide"} < trained
    assert len(trained) == 7
    assert seen == {(name, seed, fold) for name in trained for seed in ("14", "15") for fold in (0, 1)}
    scored = {command.one("--run") for command in of(commands, "evaluate_model")}
    assert scored == {command.one("--run") for command in of(commands, "train_model")}
    for command in of(commands, "evaluate_model"):
        name = Path(command.one("--run")).parent.name
        assert command.one("--sequences").endswith(f"/{windows.get(name, 'calendar-5')}.parquet")
        assert command.one("--interval") == "0.27"
        assert command.one("--threads") == "2"
        for option in ("--scores", "--metrics", "--predictions"):
            assert Path(command.one(option)).parent == Path(command.one("--run"))


def test_movies_that_every_model_covers_are_as_many_as_the_fewest(commands: list[Command]) -> None:
    for script in ("evaluate_model", "evaluate_learned", "evaluate_baselines"):
        assert {command.one("--common") for command in of(commands, script)} == {"17"}


def test_networks_run_on_the_backend_of_the_settings(commands: list[Command]) -> None:
    on_backend = {command.script for command in commands if command.environment}
    assert on_backend == {"train_model", "evaluate_model", "search_settings", "forecast_next_slot"}
    assert {command.environment for command in commands} == {"", "KERAS_BACKEND=torch"}


def test_each_baseline_is_evaluated_once_a_fold(commands: list[Command]) -> None:
    for command in of(commands, "evaluate_baselines"):
        naive = command.json("--baselines")
        assert {"ewma", "mixture", "oracle", "lfu"} <= set(naive)
        assert not {"ridge", "lightgbm_offset"} & set(naive)
        modules = {Path(path).stem for path in command.options["--methods"]}
        assert modules >= {"averages", "simple", "references", "seasonal", "mixture", "intermittent"}
    made = set()
    for command in of(commands, "evaluate_learned"):
        settings = command.json("--settings")
        assert settings["baseline"]["method"] == "lightgbm"
        assert settings["baseline"]["training_rows"] == 4000
        assert (settings["slot"], command.one("--threads")) == ("day Europe/Berlin", "2")
        assert {Path(path).stem for path in command.options["--methods"]} == {"trees", "mixture"}
        fold = settings["split"]["fold"]
        folder = f"{RESULTS}/{'backtest/1/' * fold}learned/{command.one('--name')}"
        assert command.one("--scores") == f"{folder}/seed-{command.one('--seed')}/scores.parquet"
        made.add((command.one("--name"), command.one("--seed"), fold))
    assert made == {("lightgbm_offset", seed, fold) for seed in ("14", "15") for fold in (0, 1)}


def test_the_leaderboard_is_of_all_folds_and_what_follows_of_the_latest(commands: list[Command]) -> None:
    scored = {
        command.one("--scores")
        for script in ("evaluate_model", "evaluate_learned", "evaluate_baselines")
        for command in of(commands, script)
    }
    (board,) = of(commands, "compare_models")
    assert set(board.options["--scores"]) == scored
    latest = sorted(
        command.one("--run")
        for command in of(commands, "train_model")
        if "backtest" not in command.one("--run")
    )
    # What a network alone has, its epochs and settings, is drawn of networks alone.
    fitted = [f"{RESULTS}/learned/lightgbm_offset/seed-{seed}" for seed in (14, 15)]
    shown = {"plot_training": latest, "plot_models": latest}
    shown |= dict.fromkeys(
        ("forecast_next_slot", "simulate_cache", "plot_predictions"), sorted([*latest, *fitted])
    )
    found = {one.script: sorted(one.options["--runs"]) for one in commands if "--runs" in one.options}
    assert found == shown
    assert sorted(board.options["--networks"]) == sorted({Path(path).parent.name for path in latest})
    (runtimes,) = of(commands, "plot_runtimes")
    assert runtimes.options["--trained"] == sorted(
        {*(Path(path).parent.name for path in latest), "lightgbm_offset"}
    )
    assert (runtimes.options["--seeds"], runtimes.one("--folds")) == (["14", "15"], "2")


def test_the_search_the_forecast_and_the_cache_follow_their_settings(commands: list[Command]) -> None:
    (search,) = of(commands, "search_settings")
    assert search.json("--space")["dropout"] == {"high": 0.2, "low": 0.1, "log": False}
    assert search.json("--settings")["model"]["cell"] == "lstm"
    # In what config.yaml says of lstm there is nothing that is no default.
    assert search.json("--changed") == {}
    assert (search.one("--trials"), search.one("--seed"), search.one("--threads")) == ("23", "14", "2")
    assert search.one("--name") == "lstm_searched"
    (forecast,) = of(commands, "forecast_next_slot")
    asked = [forecast.one(f"--{name}") for name in ("model", "slots", "futures", "interval")]
    assert asked == ["course_lstm", "25", "26", "0.27"]
    (cache,) = of(commands, "simulate_cache")
    assert (cache.json("--cache")["sizes"], cache.json("--cache")["policies"]) == ([0.28], ["ARC"])
    (policies,) = of(commands, "replay_policies")
    assert (policies.options["--sizes"], policies.options["--policies"]) == (["0.28"], ["ARC"])
    (evaluated,) = [
        command
        for command in of(commands, "evaluate_baselines")
        if "backtest" not in command.one("--scores")
    ]
    for option in ("--baselines", "--methods", "--scores", "--metrics"):
        assert cache.options[option] == evaluated.options[option]


def test_pictures_show_the_settings_that_are_swept_and_the_features_that_are_seen(
    commands: list[Command],
) -> None:
    (models,) = of(commands, "plot_models")
    assert models.options["--swept"] == ["learning_rate"]
    (features,) = of(commands, "plot_feature_information")
    assert features.one("--window") == "5"
    assert len(set(features.options["--features"])) == len(features.options["--features"])
    assert {"label_n", "ewma_3", "calendar"} <= set(features.options["--features"])


def test_the_report_is_of_one_dataset_in_its_own_words(commands: list[Command]) -> None:
    (page,) = of(commands, "write_front_page")
    assert page.json("--words")["item"] == "page"
    assert page.one("--mixture") == "mixture"
    (forecast,) = of(commands, "forecast_next_slot")
    assert page.one("--check") == forecast.one("--check")
    (report,) = of(commands, "write_report")
    config = report.json("--config")
    assert (config["dataset"], set(config["datasets"])) == ("demo", {"demo"})
    assert "compare" not in config
    titles = {Path(one.one("--page")).stem: one.one("--title") for one in of(commands, "write_table")}
    assert titles["leaderboard"] == "Scores on the test slots"
    assert len(set(titles.values())) == len(titles) == 6


def test_runs_are_compared_from_the_other_one_to_this(commands: list[Command]) -> None:
    (compare,) = of(commands, "compare_runs")
    assert compare.rest == ("before", RESULTS)
    assert compare.one("--scores") == f"{RESULTS}/comparison.csv"
    assert compare.one("--settings") == f"{RESULTS}/changed_settings.csv"


LOCAL: dict[str, tuple[dict[str, str], list[str]]] = {
    "folder": ({"url": "log"}, ["notes.txt", "older/visits-2.csv", "pages.csv", "visits-1.csv"]),
    "files of a folder": (
        {"url": "log", "requests": "visits-*.csv", "catalogue": "pages.csv"},
        ["older/visits-2.csv", "pages.csv", "visits-1.csv"],
    ),
    "file": (
        {"url": "log/visits-1.csv", "requests": "visits-1.csv", "catalogue": "pages.csv"},
        ["pages.csv", "visits-1.csv"],
    ),
}


@pytest.mark.parametrize("case", LOCAL)
def test_the_files_of_a_local_log_are_watched(case: str, tmp_path: Path) -> None:
    where, expected = LOCAL[case]
    log = {**where, "url": str(tmp_path / where["url"]), "columns": {"item": "page", "time": "when"}}
    for name in ("visits-1.csv", "older/visits-2.csv", "pages.csv", "notes.txt"):
        (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "log" / name).write_text("page,when\n")
    folder = copy_workflow(tmp_path / "work", {**SMALL, "dataset": "own", "datasets": {"own": log}})
    (command,) = commands_of(folder, "resources/own.zip")
    watched = [path for path in command.inputs if path.startswith(str(tmp_path))]
    assert watched == [str(tmp_path / "log" / name) for name in expected]


# Of all plans.


def test_every_option_of_a_program_is_given_by_its_rule(
    all_commands: list[Command],
) -> None:
    given: dict[str, set[str]] = {}
    for command in all_commands:
        given.setdefault(command.script, set()).update(command.options)
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    # The one program without a rule is for other logs than that of the settings.
    assert scripts - given.keys() == {"predict"}
    for script, options in given.items():
        if script != "simulate_archive":
            assert options == options_of(script) - BY_HAND.get(script, set()), script


def test_each_option_holds_what_its_name_says(
    all_commands: list[Command],
) -> None:
    for command in all_commands:
        for option, values in command.options.items():
            if pattern := PATHS.get(option):
                # How many movies to simulate is a number.
                if command.script == "simulate_archive" and option == "--movies":
                    continue
                assert values, (command.script, option)
                for value in values:
                    assert re.fullmatch(pattern, value), (command.script, option, value)


def test_each_file_of_a_command_is_among_its_job_s_and_each_output_is_in_its_command(
    all_commands: list[Command],
) -> None:
    # These folders hold what is no output of a job: a checkpoint, the trials so far, a comparison.
    free = {"--checkpoint", "--studies", "--snakefile"}
    for command in all_commands:
        if command.script == "compare_runs":
            continue
        known = {*command.inputs, *command.outputs}
        folders = {str(Path(path).parent) for path in known}
        words = [word for option, some in command.options.items() if option not in free for word in some]
        for word in words:
            if re.match(r"(results|resources|scripts|report|envs)/", word):
                within = word in folders or any(folder.startswith(f"{word}/") for folder in folders)
                assert word in known or within or word.endswith("/benchmarks"), (command.script, word)
        for output in filter(None, command.outputs):
            assert output in words or str(Path(output).parent) in words, (command.script, output)
