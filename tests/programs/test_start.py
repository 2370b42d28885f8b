"""How programs begin: on a machine of anybody's habits they make the same, or end in one line."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import popularity.start

import pytest

from workdir import ROOT, copy_workflow

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def run(
    folder: Path, script: str, *options: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, options)]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_begins_before_it_imports_a_package(script: Path) -> None:
    names = []
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(str(node.module))
    beyond = [name for name in names if name.split(".")[0] not in sys.stdlib_module_names]
    assert beyond[0] == "popularity.start"


def test_an_environment_is_settled() -> None:
    kept = {"HOME": "/a/home", "KERAS_BACKEND": "jax"}
    foreign = {"MPLBACKEND": "module://nowhere", "MATPLOTLIBRC": "mine", "KERAS_HOME": "mine"}
    environment = {**kept, **foreign, "KERAS_MAX_EPOCHS": "1"}
    popularity.start.settle(environment)
    assert environment == {**kept, "MATPLOTLIBRC": os.devnull, "KERAS_HOME": os.devnull}
    environment = {}
    popularity.start.settle(environment)
    assert environment["KERAS_BACKEND"] == "tensorflow"


def pictures(folder: Path, **environment: str) -> dict[str, bytes]:
    """The pictures that a script draws in a folder."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks" / "sort_by_time.tsv").write_text("s\tmax_rss\tcpu_time\n2\t90\t1\n")
    options = ["--benchmarks", "benchmarks", "--trained", "a", "--seeds", 1, "--folds", 1]
    options += ["--dataset", "demo", "--table", "runtimes.csv", "--folder", "plots"]
    ended = run(folder, "plot_runtimes.py", *options, **environment)
    assert ended.returncode == 0, ended.stderr
    return {path.name: path.read_bytes() for path in (folder / "plots").iterdir()}


def test_pictures_hang_on_no_setting_of_the_users(tmp_path: Path) -> None:
    plain = pictures(tmp_path / "plain")
    assert sorted(plain) == ["runtimes.png", "runtimes.svg"]
    lines = "text.usetex: true\nlines.linewidth: 9\nfont.size: 30\nsavefig.dpi: 30\ntimezone: Asia/Tokyo\n"
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "matplotlibrc").write_text(lines)
    habits = {"MPLCONFIGDIR": str(tmp_path / "home"), "MATPLOTLIBRC": str(tmp_path / "home")}
    habits |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TZ": "Asia/Tokyo"}
    assert pictures(tmp_path / "work", **habits) == plain


BROKEN = {
    "raise ValueError('no\\nsuch backend')": "ValueError no such backend (a defect of plot_runtimes.py",
    "import nowhere_at_all": "No module named 'nowhere_at_all'; install the packages of requirements.txt",
}


@pytest.mark.parametrize(("line", "told"), BROKEN.items())
def test_an_import_that_fails_is_told_in_one_line(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "matplotlib.py").write_text(line)
    ended = run(tmp_path, "plot_runtimes.py", "--help", PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {told}")
    assert ended.stderr.count("\n") == 1
    kept = list(tmp_path.glob("*.traceback"))
    assert len(kept) == ("defect" in told)


def test_networks_hang_on_no_setting_of_the_users(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    habits = {
        "floatx": "float16",
        "epsilon": 0.5,
        "backend": "theano",
        "image_data_format": "channels_first",
    }
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(habits))
    script = "import popularity.start\nfrom popularity.forecasters.network import inference\n"
    script += "from keras import backend as of\nprint(of.floatx(), of.epsilon(), of.backend())"
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {
        "HOME": str(tmp_path),
        "KERAS_HOME": str(tmp_path / ".keras"),
        "KERAS_MAX_EPOCHS": "many",
    }
    environment |= {"PYTHONPATH": str(ROOT / "scripts")}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "float32 1e-07 tensorflow\n"


def test_keras_begins_without_what_nobody_uses_of_it_and_others_may_use_that() -> None:
    program = (
        "import popularity.start; from popularity.forecasters.network import training; import sys; "
        "print(sorted({'IPython', 'jax', 'matplotlib', 'sklearn'} & set(sys.modules))); import sklearn"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "KERAS_BACKEND": "tensorflow"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def test_the_workflow_runs_from_another_folder_whatever_the_locale_and_the_safe_path(
    tmp_path: Path,
) -> None:
    workflow = copy_workflow(tmp_path / "workflow")
    (tmp_path / "work").mkdir()
    shutil.copy2(workflow / "small.json", tmp_path / "work")
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "LC_ALL": "C", "PYTHONUTF8": "0"}
    environment |= {"PYTHONCOERCECLOCALE": "0"}
    environment.pop("PYTHONPATH", None)
    call = [sys.executable, "-m", "snakemake", "--snakefile", "../workflow/Snakefile", "--cores", "1"]
    target = "results/demo/sequences/calendar-5.parquet"
    call += [target, "--configfile", "small.json"]
    ended = subprocess.run(
        call, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "work" / target).is_file()
    # What was made there is up to date, told from elsewhere.
    call = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile", "--directory", "work"]
    call += [target, "--configfile", "work/small.json", "--dry-run"]
    ended = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Nothing to be done" in ended.stdout + ended.stderr


@pytest.mark.skipif(shutil.which("localedef") is None, reason="no localedef to make a locale with")
@pytest.mark.parametrize(("language", "encoding"), [("zh_CN", "GBK"), ("ja_JP", "EUC-JP")])
def test_the_workflow_starts_in_locales_of_the_far_east(
    tmp_path: Path, language: str, encoding: str
) -> None:
    name = f"{language}.{encoding}"
    made = subprocess.run(
        ["localedef", "-i", language, "-f", encoding, tmp_path / name], capture_output=True, check=False
    )
    if not (tmp_path / name).exists():
        pytest.skip(f"localedef makes no {name}: {made.stderr!r}")
    folder = copy_workflow(tmp_path / "work")
    environment = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": name, "PYTHONUTF8": "0"}
    call = [sys.executable, "-m", "snakemake", "--configfile", "small.json", "--dry-run", "--quiet", "all"]
    ended = subprocess.run(call, cwd=folder, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_tests_begin_as_programs_do() -> None:
    assert popularity.start.__name__ in sys.modules
    assert os.environ["KERAS_HOME"] == os.devnull
