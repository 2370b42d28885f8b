"""The conda environments: the rules' ones exist and hold what the scripts import, in versions that fit."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec, Version, VersionSpec

from workdir import SMALL, copy_workflow, snakemake

ROOT = Path(__file__).parents[2]
RULES = {
    name: text
    for path in (ROOT / "rules").glob("*.smk")
    for name, text in re.findall(
        r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.MULTILINE | re.DOTALL
    )
}
FILES = [*sorted((ROOT / "envs").glob("*.yaml")), ROOT / "environment.yaml"]
#: Modules whose packages have other names on conda-forge.
PACKAGES = {
    "tensorflow": "tensorflow-cpu",
    "matplotlib": "matplotlib-base",
    "isal": "python-isal",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
#: What another package of the environment brings in any case.
BROUGHT = {"urllib3": "requests", "pyyaml": "snakemake-minimal", "jsonschema": "snakemake-minimal"}
#: Packages that have other names on PyPI.
ON_PYPI = {"matplotlib-base": "matplotlib", "python-isal": "isal", "snakemake-minimal": "snakemake"}
#: A version that the channels surely have; an environment must be content with it.
KNOWN = {
    "jinja2": "3.1.6",
    "keras": "3.15.0",
    "lightgbm": "4.6.0",
    "matplotlib-base": "3.11.0",
    "numpy": "2.5.1",
    "optuna": "4.5.0",
    "pandas": "3.0.3",
    "pyarrow": "25.0.0",
    "pygments": "2.19.2",
    "python": "3.12",
    "pyyaml": "6.0.2",
    "python-isal": "1.7.2",
    "requests": "2.32.5",
    "scikit-learn": "1.7.2",
    "scipy": "1.16.2",
    "snakemake-executor-plugin-slurm": "2.7.1",
    "snakemake-minimal": "9.21.0",
    "tensorflow-cpu": "2.19.1",
    "threadpoolctl": "3.6.0",
}

ENVIRONMENT_OF = {
    script: environment
    for text in RULES.values()
    for script in re.findall(r'\bcode\(\s*"(\w+)"', text)
    for environment in re.findall(r"conda:\n +\"\.\./envs/(\w+)\.yaml\"", text)
}

#: Scripts that a user calls, which have no rule, and the environment that they need.
WITHOUT_RULE = {"predict": "model"}
ENVIRONMENT_OF |= WITHOUT_RULE

#: Packages of ours: the modules, and scripts that others use.
OURS = {"popularity", *(path.stem for path in (ROOT / "scripts").glob("*.py"))}
#: Backends that may be chosen instead of TensorFlow, whose packages a user adds (envs/model.yaml).
CHOSEN = {"torch", "jax"}

#: Scripts that run once in each environment.
IN_EACH = {"list_software"}


def specs(path: Path) -> Iterator[tuple[str, str]]:
    """Each package of an environment and the versions it asks for, from conda or by pip."""
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        if isinstance(entry, str):
            spec = MatchSpec(entry, strict=True)
            yield spec.name.normalized, str(spec.version or "")
        else:
            for text in entry["pip"]:
                requirement = Requirement(text)
                yield requirement.name, ",".join(sorted(map(str, requirement.specifier), reverse=True))


def packages(environment: str) -> set[str]:
    return {name for name, _ in specs(ROOT / "envs" / f"{environment}.yaml")}


def locked() -> dict[str, set[str]]:
    """The versions of each package that the requirements files name, one or one for each Python."""
    found: dict[str, set[str]] = {}
    for path in [ROOT / "requirements.txt", ROOT / "tests" / "slurm" / "requirements.txt"]:
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)
    return found


def imported(script: Path) -> set[str]:
    """Packages that a script needs, itself or by modules of ours."""
    found: set[str] = set()
    todo, seen = [script], set()
    while todo:
        path = todo.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                own = ROOT / "scripts" / f"{name.replace('.', '/')}.py"
                if own.exists():
                    todo += [own] if own not in seen else []
                elif name.split(".")[0] not in sys.stdlib_module_names | OURS:
                    found.add(name.split(".")[0])
    return found


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_names_an_environment_that_is_there(rule: str) -> None:
    if "shell:" not in RULES[rule] or rule == "list_software":
        return
    named = re.findall(r"conda:\n +\"\.\./(envs/\w+\.yaml)\"", RULES[rule])
    assert len(named) == 1
    assert (ROOT / named[0]).is_file()


def test_every_environment_is_used() -> None:
    assert set(ENVIRONMENT_OF.values()) == {path.stem for path in (ROOT / "envs").glob("*.yaml")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_environment_names_conda_forge_first_and_no_channel_of_old_versions_alone(path: Path) -> None:
    channels = yaml.safe_load(path.read_text())["channels"]
    # From 26.7 on conda takes "nodefaults" for a channel, and fails where there is none of that name.
    assert channels in (["conda-forge"], ["conda-forge", "bioconda"])
    # Snakemake and its plugins are what bioconda has.
    assert ("bioconda" in channels) == any(name.startswith("snakemake") for name, _ in specs(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_environment_gives_ranges_that_hold_the_known_and_the_locked_versions(path: Path) -> None:
    names = [name for name, _ in specs(path)]
    assert sorted(set(names)) == sorted(names)
    for name, versions in specs(path):
        if name == "pip":
            continue
        assert re.fullmatch(r">=[\d.]+,<[\d.]+", versions), f"{name} {versions}"
        tried = {KNOWN[name]} if name in KNOWN else set()
        tried |= {"3.11.0", "3.12.0"} if name == "python" else locked()[ON_PYPI.get(name, name)]
        for version in tried:
            assert VersionSpec(versions).matches(Version(version)), f"{name} {version}"


def test_only_pip_has_packages_that_conda_forge_is_not_known_to_have() -> None:
    for path in FILES:
        listed = yaml.safe_load(path.read_text())["dependencies"]
        plain = {MatchSpec(entry).name.normalized for entry in listed if isinstance(entry, str)}
        by_pip = {name for name, _ in specs(path)} - plain
        assert plain - {"pip"} <= set(KNOWN)
        assert not by_pip & set(KNOWN)
        assert bool(by_pip) == ("pip" in plain)


def test_every_script_has_an_environment() -> None:
    assert set(ENVIRONMENT_OF) | IN_EACH == {path.stem for path in (ROOT / "scripts").glob("*.py")}


@pytest.mark.parametrize("script", sorted(IN_EACH))
def test_what_runs_in_each_environment_needs_none(script: str) -> None:
    assert imported(ROOT / "scripts" / f"{script}.py") == set()


@pytest.mark.parametrize("script", sorted(ENVIRONMENT_OF))
def test_an_environment_holds_what_its_scripts_import(script: str) -> None:
    held = packages(ENVIRONMENT_OF[script])
    needed = {PACKAGES.get(name, name) for name in imported(ROOT / "scripts" / f"{script}.py")}
    needed -= CHOSEN
    assert {name for name in needed - held if BROUGHT.get(name) not in held} == set()


def test_the_model_environment_takes_the_pyarrow_that_tensorflow_of_conda_forge_goes_with() -> None:
    versions = dict(specs(ROOT / "envs" / "model.yaml"))
    assert VersionSpec(versions["pyarrow"]).matches(Version("22.0.0"))
    assert VersionSpec(versions["tensorflow-cpu"]).matches(Version("2.19.1"))
    assert not VersionSpec(versions["pyyaml"]).matches(Version("6.0"))


def test_what_pip_brings_is_in_no_list_of_pinned_packages() -> None:
    # Snakemake makes an environment of the list alone where there is one, and that holds conda's packages.
    for path in (ROOT / "envs").glob("*.pin.txt"):
        assert "pip:" not in path.with_name(f"{path.name.split('.')[0]}.yaml").read_text(), path


def test_only_the_model_environment_has_tensorflow() -> None:
    for path in (ROOT / "envs").glob("*.yaml"):
        assert ("tensorflow-cpu" in packages(path.stem)) == (path.stem == "model")


#: Stands in for conda: an environment is a Python that writes down which scripts it was given, and
#: refuses to see the packages of the user's own folder beside those of the environment.
CONDA = """\
#!/bin/sh
case "$1 $2" in
    "info --json") echo '{{"conda_prefix": "{base}", "platform": "linux-64"}}' ;;
    "--version ") echo "conda 26.7.0" ;;
    "clean -y") ;;
    "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create")
        for prefix; do :; done
        mkdir -p "$prefix/bin"
        printf '#!/bin/sh\n[ "$PYTHONNOUSERSITE" = 1 ] || exit 1\n' > "$prefix/bin/python"
        printf 'echo "$1" >> "%s.ran"\nexec {python} "$@"\n' "$prefix" >> "$prefix/bin/python"
        chmod +x "$prefix/bin/python" ;;
    *) echo "no stand-in for conda $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    (base / "bin" / "conda").write_text(CONDA.format(base=base, python=sys.executable))
    (base / "bin" / "conda").chmod(0o755)
    (base / "bin" / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    monkeypatch.setenv("PATH", str(base / "bin"), prepend=os.pathsep)
    monkeypatch.delenv("POPULARITY_CONDA")


@pytest.mark.usefixtures("conda")
def test_with_conda_each_script_runs_with_its_environments_interpreter(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "work", SMALL)
    ended = snakemake(folder, "results/demo/plots/rank_frequency.png")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\nEach rule runs in its own conda environment, from envs/.\n" in ended.stderr
    ran = {
        path.with_suffix(".yaml").read_bytes(): {Path(line).stem for line in path.read_text().split()}
        for path in (folder / ".snakemake" / "conda").glob("*.ran")
    }
    assert ran == {
        (ROOT / "envs" / "data.yaml").read_bytes(): {
            "simulate_archive",
            "join_ratings",
            "label_popularity",
        },
        (ROOT / "envs" / "plot.yaml").read_bytes(): {"plot_log"},
    }


@pytest.mark.usefixtures("conda")
def test_a_container_can_be_made_of_all_environments(tmp_path: Path) -> None:
    ended = snakemake(copy_workflow(tmp_path / "work", SMALL), "--containerize")
    assert ended.returncode == 0, ended.stderr
    copied = re.findall(r"^COPY envs/(\w+)\.yaml (\S+)/environment.yaml$", ended.stdout, re.MULTILINE)
    assert {name for name, _ in copied} == set(ENVIRONMENT_OF.values())
    for _, prefix in copied:
        assert f"conda env create --prefix {prefix} --file {prefix}/environment.yaml" in ended.stdout


def test_a_user_says_no_to_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "conda").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (tmp_path / "bin" / "conda").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    folder = copy_workflow(tmp_path / "work", SMALL)
    target = "results/demo/settings.json"
    ended = snakemake(folder, target)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "All rules run with the packages at hand, without conda: " in ended.stderr
    monkeypatch.delenv("POPULARITY_CONDA")
    assert snakemake(folder, target, "--forceall").returncode != 0


def test_without_conda_the_rules_run_with_the_packages_at_hand(finished: Path) -> None:
    assert "All rules run with the packages at hand, without conda: " in (finished / "told.txt").read_text()
