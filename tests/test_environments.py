"""The rules' conda environments: they exist, and hold what the scripts import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RULES = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
#: Modules whose packages have other names on conda-forge.
PACKAGES = {"tensorflow": "tensorflow-cpu", "matplotlib": "matplotlib-base", "isal": "python-isal"}
#: What another package of the environment brings in any case.
BROUGHT = {"urllib3": "requests", "yaml": "snakemake-minimal", "jsonschema": "snakemake-minimal"}

ENVIRONMENT_OF = {
    script: environment
    for rule in re.split(r"\nrule ", RULES)
    for script in re.findall(r'code=code\("(\w+)"\)', rule)
    for environment in re.findall(r"conda:\n +\"\.\./envs/(\w+)\.yaml\"", rule)
}


def packages(environment: str) -> set[str]:
    listed = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())
    assert listed["channels"][0] == "conda-forge"
    assert listed["channels"][-1] == "nodefaults"
    specs: list[str] = []
    for spec in listed["dependencies"]:
        # What conda-forge lacks is in a section for pip.
        specs += spec["pip"] if isinstance(spec, dict) else [spec]
    return {spec.split()[0] for spec in specs}


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
                elif name.split(".")[0] not in sys.stdlib_module_names | {"popularity"}:
                    found.add(name.split(".")[0])
    return found


def test_every_script_has_an_environment() -> None:
    assert set(ENVIRONMENT_OF) == {path.stem for path in (ROOT / "scripts").glob("*.py")}


@pytest.mark.parametrize("script", sorted(ENVIRONMENT_OF))
def test_an_environment_holds_what_its_scripts_import(script: str) -> None:
    held = packages(ENVIRONMENT_OF[script])
    needed = {PACKAGES.get(name, name) for name in imported(ROOT / "scripts" / f"{script}.py")}
    assert {name for name in needed if BROUGHT.get(name, name) not in held} == set()


def test_only_the_model_environment_has_tensorflow() -> None:
    for path in (ROOT / "envs").glob("*.yaml"):
        assert ("tensorflow-cpu" in packages(path.stem)) == (path.stem == "model")
