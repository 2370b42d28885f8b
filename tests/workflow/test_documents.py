"""The commands that the documents show: Snakemake takes each as it stands, and plans it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

from workdir import ROOT, copy_workflow

#: What needs more than Snakemake: a cluster, containers, conda.
ELSEWHERE = ("--workflow-profile", "--executor", "--containerize", "--software-deployment-method")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[str, str]]:
    """Each command of Snakemake, once, with the page that shows it."""
    found: dict[str, str] = {}
    for page in pages():
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                command = " ".join(line.partition("#")[0].split())
                if command.startswith("snakemake ") and not any(word in command for word in ELSEWHERE):
                    found.setdefault(command, page.relative_to(ROOT).as_posix())
    return [(page, command) for command, page in found.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workflow(tmp_path_factory.mktemp("documents"))


@pytest.mark.parametrize(("page", "command"), commands())
def test_snakemake_plans_the_command(folder: Path, page: str, command: str) -> None:
    # Files of settings that the pages show, under the names in their first lines; the page's own count.
    for shown in [*pages(), ROOT / page]:
        for text in blocks(shown, "yaml"):
            if name := re.match(r"# (\w+\.yaml)\n", text):
                (folder / name[1]).write_text(text)
    for example in (ROOT / "docs" / "examples").glob("*.py"):
        shutil.copy2(example, folder)
    words = shlex.split(command)[1:]
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", *words, "--dry-run", "--quiet", "rules"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_on_the_forecast_does_what_it_says(finished: Path, tmp_path: Path) -> None:
    page = ROOT / "docs" / "use-the-forecast.md"
    shutil.copytree(finished / "results", tmp_path / "results")
    shutil.copytree(finished / "scripts", tmp_path / "scripts")
    told = ""
    for language, command in {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"]}.items():
        for block in blocks(page, language):
            # The window of the tests' own settings.
            text = block.replace("calendar-7", "calendar-5").replace("python ", f"{sys.executable} ")
            ended = subprocess.run(
                [*command, text], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, ended.stderr
            told += ended.stdout
    assert told.startswith("rank,movieId,item,title,")
    assert re.search(r"^\d+ of 1\d\d titles are expected to get half of the requests$", told, re.MULTILINE)
    assert pq.read_schema(tmp_path / "predictions.parquet").names == [
        *("slot", "movieId", "predicted", "label_n"),
    ]
    assert "cross_entropy" in json.loads((tmp_path / "metrics.json").read_text())


def test_the_notebook_reads_a_finished_run_and_draws(finished: Path, tmp_path: Path) -> None:
    page = nbformat.reads((ROOT / "docs" / "explore.ipynb").read_text(), as_version=4)  # type: ignore[no-untyped-call]
    # It is kept without what it printed.
    assert not [cell for cell in page.cells if cell.get("outputs") or cell.get("execution_count")]
    (tmp_path / "docs").mkdir()
    shutil.copytree(finished / "results", tmp_path / "results")
    NotebookClient(page, timeout=120, resources={"metadata": {"path": tmp_path / "docs"}}).execute()
    outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data"}
    assert sum("image/png" in output["data"] for output in outputs) == 3
    tables = [output["data"]["text/plain"] for output in outputs if "text/html" in output["data"]]
    assert len(tables) == 2
    assert "lstm" in tables[0] and "head" in tables[1]


def test_there_are_commands_of_several_pages() -> None:
    assert {
        "README.md",
        "docs/models.md",
        "docs/own-network.md",
        "docs/results.md",
        "docs/tutorial.md",
    } <= {page for page, _ in commands()}
