"""What stands around the code: continuous integration, hooks, forms and pages name what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_continuous_integration_runs_targets_of_the_makefile() -> None:
    ran = []
    for job in read(".github/workflows/checks.yml")["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            ran += re.findall(r"make ([\w-]+)", step.get("run", ""))
    assert set(ran) == {"test", "demo", "site"}
    for target in ran:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_hooks_are_the_checks_of_make_lint() -> None:
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    lint = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    # Snakemake's own check takes longer than a commit should.
    assert tools | {"snakemake"} == set(re.findall(r"\$\(BIN\)/(\w+)", lint))


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem
)
def test_a_form_of_issues_asks_something(form: Path) -> None:
    asked = yaml.safe_load(form.read_text())
    assert asked["name"] and asked["description"]
    assert all(
        part["type"] in ("textarea", "input") and part["attributes"]["label"] for part in asked["body"]
    )
    ids = [part["id"] for part in asked["body"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        other = (page.parent / name) if name else page
        assert other.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)", other.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
            assert heading in anchors, target


def test_tensorflow_for_gpus_is_of_the_version_for_cpus() -> None:
    versions = {
        re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)
        for name, pattern in {
            "requirements-gpu.txt": r"^tensorflow\[and-cuda\]==(\S+)$",
            "requirements.txt": r"^tensorflow-cpu==(\S+)",
        }.items()
    }
    assert len({found and found[1] for found in versions}) == 1


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 1300


def test_what_mutants_are_held_for_the_same_program_still_stands_in_the_code() -> None:
    listed = tomllib.loads((ROOT / "tests/mutants.toml").read_text(encoding="utf-8"))["same"]
    assert listed
    for entry in listed:
        file, _, change = entry["mutant"].partition(" ")
        before = change.partition(": ")[2].split(" -> ")[0]
        assert before in " ".join((ROOT / file).read_text(encoding="utf-8").split()), entry["mutant"]
