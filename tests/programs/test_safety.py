"""Settings, models and paths of others are data: none of them runs as code."""

import ast
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from popularity import tables
from popularity.forecasters.network.saved import Asked, Found, append_run, read_snapshots
from popularity.program import Fault
from popularity.settings.fields import parse
from popularity.settings.model import TrainingSettings
from small_logs import catalogue_of, random_log, write_sequences
from small_models import call, settings_of
from workdir import ROOT, SMALL, copy_workflow, snakemake

SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
RULES = [*sorted((ROOT / "rules").glob("*.smk")), ROOT / "Snakefile"]

ASKED = Asked("course", 1, parse(TrainingSettings, settings_of("course")))


@pytest.fixture
def evaluation(tmp_path: Path, one_thread: None) -> list[object]:
    """Options to evaluate model.keras, which is not there yet, on a small log."""
    log = random_log(30)
    write_sequences(tmp_path / "sequences.parquet", log, 3)
    tables.write(tmp_path / "movies.parquet", catalogue_of(log))
    np.savez(tmp_path / "snapshots.npz")
    options = {"sequences": "sequences.parquet", "movies": "movies.parquet", "run": ""}
    options |= {"predictions": "out/predictions.parquet"}
    options |= {"scores": "out/scores.parquet", "metrics": "out/metrics.json"}
    return [word for name, file in options.items() for word in (f"--{name}", tmp_path / file)]


def assert_refused(
    script: str, options: list[object], folder: Path, reason: str = "refused, or not readable"
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(script, *options)
    told = str(ended.value.code)
    assert told.startswith(f"error: {folder}/model.keras: {reason} (")
    assert "\n" not in told
    assert not list(folder.rglob("ran"))
    assert not list(folder.glob("out/*"))


def test_a_model_with_code_of_its_own_is_refused(evaluation: list[object], tmp_path: Path) -> None:
    ran = str(tmp_path / "ran")

    def touch(values):  # type: ignore[no-untyped-def]
        from pathlib import Path

        Path(ran).write_text("")
        return values

    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Lambda(touch)(inputs))
    model.save(tmp_path / "model.keras")
    append_run(tmp_path / "model.keras", ASKED, Found(0))
    Path(ran).unlink()
    assert_refused("evaluate_model", evaluation, tmp_path)
    predict = [
        *evaluation[:4],
        "--model",
        tmp_path / "model.keras",
        "--predictions",
        tmp_path / "out/predictions.parquet",
    ]
    assert_refused("predict", predict, tmp_path)


def test_a_model_that_names_a_function_to_call_is_refused(evaluation: list[object], tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "whole.keras")
    call_of_system = {"module": "os", "class_name": "system", "config": f"touch {tmp_path}/ran"}
    with (
        zipfile.ZipFile(tmp_path / "whole.keras") as whole,
        zipfile.ZipFile(tmp_path / "model.keras", "w") as changed,
    ):
        for name in whole.namelist():
            data = json.dumps(call_of_system) if name == "config.json" else whole.read(name)
            changed.writestr(name, data)
    append_run(tmp_path / "model.keras", ASKED, Found(0))
    assert_refused("evaluate_model", evaluation, tmp_path)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x80\x04\x95cposix\nsystem\n", b"PK\x03\x04"])
def test_a_file_that_is_no_model_is_told(evaluation: list[object], tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(data)
    assert_refused("evaluate_model", evaluation, tmp_path, "no model that train_model saved")


def test_weights_with_objects_are_refused(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    objects = np.array([Touch()], dtype=object)
    parts: dict[str, Any] = {"1/0": objects}
    np.savez(tmp_path / "snapshots.npz", **parts)
    with pytest.raises(Fault, match=r"snapshots\.npz: refused, or not readable"):
        list(read_snapshots(tmp_path / "snapshots.npz"))
    assert not (tmp_path / "ran").exists()


def test_nothing_unpickles_or_evaluates() -> None:
    # Names whose use turns data into code, in scripts and rules.
    refused = (
        r"\b(pickle|joblib|dill|marshal|shelve|eval|exec|unsafe_load|full_load|read_pickle|os\.system)\b"
    )
    refused += r"|yaml\.load\(|np\.load\((?!\S+, allow_pickle=False\))|torch\.load"
    refused += r"|allow_pickle(?!=False\b)|shell=True|safe_mode=False|unsafe_deser"
    for path in [*SCRIPTS, *RULES]:
        found = [line for line in path.read_text().splitlines() if re.search(refused, line)]
        assert found == [], path
    loads = [
        keyword.value
        for path in SCRIPTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "load_model"
        for keyword in node.keywords
        if keyword.arg == "safe_mode"
    ]
    assert [isinstance(value, ast.Constant) and value.value for value in loads] == [True]


#: What a shell command may hold unquoted: numbers that Snakemake makes sure are ones.
NUMBERS = {"wildcards.seed", "wildcards.window", "wildcards.shard", "threads", "resources.mem_mb"}


def test_every_value_in_a_shell_command_is_quoted() -> None:
    commands = 0
    for path in RULES:
        for rule in re.split(r"\nrule ", path.read_text()):
            shell = rule.partition("    shell:\n")[2]
            commands += bool(shell)
            unquoted = {value for value in re.findall(r"\{([^{}]+)\}", shell) if not value.endswith(":q")}
            assert unquoted <= NUMBERS, (path, unquoted - NUMBERS)
    assert commands > 15


def test_odd_names_of_folders_files_and_columns_are_harmless(tmp_path: Path) -> None:
    # Snakemake itself runs in no folder with braces.
    work = tmp_path / "it's; touch ran $(touch ran) `touch ran` 'x' & é"
    odd = work.name + ' "y" {input}'
    log = tmp_path / odd / odd
    log.mkdir(parents=True)
    header = ",".join('"' + f"{name} {odd}".replace('"', '""') + '"' for name in ("user", "item", "time"))
    rows = [f"{i % 5},/p{i % 7},{1_500_000_000 + 9_000 * i}" for i in range(300)]
    (log / f"{odd}.csv").write_text("\n".join([header, *rows]))
    columns = {name: f"{name} {odd}" for name in ("user", "item", "time")}
    own = {"url": str(log), "columns": columns, "requests": f"{odd}.csv", "licence": odd}
    folder = copy_workflow(work, {**SMALL, "dataset": "own", "datasets": {"own": own}})
    ended = snakemake(folder, "results/own/sequences/calendar-5.parquet")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert tables.count(folder / "results/own/joined.parquet", tables.JOINED) == 300
    assert [path.name for path in tmp_path.rglob("ran")] == []


@pytest.mark.parametrize(
    "url", ["https://me:xyzzy@127.0.0.1/a.zip", "https://127.0.0.1/a.zip?token=xyzzy", "http://xyzzy@h/a"]
)
def test_a_secret_in_the_settings_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    # Beside it another fault, which would show what it finds.
    own = {"url": url, "format": "none"}
    folder = copy_workflow(tmp_path / "work", {**SMALL, "dataset": "own", "datasets": {"own": own}})
    ended = snakemake(folder, "--dry-run")
    assert ended.returncode == 1
    assert "datasets.own.url: " in ended.stdout + ended.stderr
    kept = [path.read_bytes() for path in (folder / ".snakemake").rglob("*") if path.is_file()]
    assert "xyzzy" not in ended.stdout + ended.stderr
    assert not [data for data in kept if b"xyzzy" in data]


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes a file of text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return True
    modes = [value.value for value in call.args if isinstance(value, ast.Constant)]
    return name == "open" and len(modes) == len(call.args) and "b" not in "".join(map(str, modes))


def test_files_of_text_are_read_and_written_in_an_encoding_that_is_named() -> None:
    for path in SCRIPTS:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        locale = [call.lineno for call in calls if opens_text(call) and "encoding" not in keywords(call)]
        assert locale == [], path
    for path in RULES:
        found = re.findall(r"(?:read_text|open)\([^()]*\)", path.read_text(encoding="utf-8"))
        assert [call for call in found if "encoding=" not in call] == [], path


def keywords(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def test_a_python_tag_in_a_config_file_runs_nothing(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "work")
    (folder / "small.json").write_text(
        f"dataset: !!python/object/apply:os.system ['touch {tmp_path}/ran']\n"
    )
    ended = snakemake(folder, "--dry-run")
    assert ended.returncode != 0
    assert not (tmp_path / "ran").exists()
