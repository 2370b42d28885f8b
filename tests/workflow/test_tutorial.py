"""The tutorial: its commands run as they stand, in their order, and do what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from workdir import ROOT, copy_workflow

PAGE = ROOT / "docs" / "tutorial.md"
#: Language and text of each block of code.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
#: Printed before what each block prints.
MARK = "== next block =="


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A clone, and what each block of commands printed there."""
    folder = copy_workflow(tmp_path_factory.mktemp("tutorial"))
    for name in ("Makefile", "requirements.txt"):
        shutil.copy2(ROOT / name, folder)
    # The environment of the tests is the installed one: there is nothing to install.
    (folder / ".venv").symlink_to(sys.prefix)
    assert (folder / ".venv" / "installed").exists()
    os.utime(folder / "requirements.txt", (0, 0))
    lines = ["set -eu"]
    for language, text in BLOCKS:
        lines.append(f"echo '{MARK}'")
        if language == "yaml":
            name = text.splitlines()[0].removeprefix("# ")
            lines.append(f"cat > {name} <<'END'\n{text}END")
        else:
            lines.append(text if language == "sh" else f"python - <<'END'\n{text}END")
    ended = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return folder, ended.stdout.split(f"{MARK}\n")[1:]


def block(printed: list[str], pattern: str) -> str:
    """What the one block printed that has this text."""
    (found,) = [said for (_, text), said in zip(BLOCKS, printed, strict=True) if re.search(pattern, text)]
    return found


def test_the_first_run_ends_with_the_leaderboard_and_its_report(printed: tuple[Path, list[str]]) -> None:
    folder, said = printed
    first = block(said, r"--configfile tutorial\.yaml\n")
    assert re.search(r"^train_model +1$", first, re.MULTILINE)
    assert re.search(r"\d\d:\d\d:\d\d (\d+) of \1 done: ", first)
    assert "results/small/report.html" in first
    board = pd.read_csv(folder / "results/small/leaderboard.csv")
    assert board["name"][board["kind"] == "network"].tolist() == ["lstm"]
    assert set(board["kind"]) == {"network", "naive", "reference"}
    assert re.search(r"the first five get \d+% of the requests", block(said, "the first five"))


def test_a_changed_setting_reruns_the_network_and_what_compares(printed: tuple[Path, list[str]]) -> None:
    _, said = printed
    plan = block(said, r"wider\.yaml --dry-run")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE))
    assert {"train_model", "evaluate_model", "compare_models", "forecast_next_slot", "write_report"} <= set(
        jobs
    )
    assert not {"simulate_archive", "join_ratings", "build_sequences", "evaluate_baselines"} & set(jobs)
    board = block(said, r"\Asnakemake results/small/leaderboard\.csv")
    assert re.findall(r"of (\d+) done: (\w+)", board) == [
        *(("3", "train_model"), ("3", "evaluate_model"), ("3", "compare_models")),
    ]
    again = block(said, r"^touch ")
    assert "Nothing to be done" in again
    assert "done:" not in again


def test_an_own_log_is_described_and_forecast(printed: tuple[Path, list[str]]) -> None:
    folder, said = printed
    own = block(said, "snakemake describe")
    assert "clicked_at" in own
    forecast = pd.read_csv(folder / "results/orders/forecast.csv", dtype={"item": str})
    assert forecast["item"].str.fullmatch(r"P\d+").all()
    assert forecast["predicted_share"].sum() == pytest.approx(1)
