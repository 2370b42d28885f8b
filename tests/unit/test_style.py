"""The code's style and types, and the rules': each tool must find nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from popularity import style

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "call",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
        ["mypy"],
        ["snakemake", "--lint", "--config", "dataset=demo"],
    ],
    ids=" ".join,
)
def test_finds_nothing(call: list[str]) -> None:
    ended = subprocess.run(
        [BIN / call[0], *call[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_commands_have_an_option_a_line(path: Path) -> None:
    assert not re.findall(r'^ +".* --.* --.*"$', path.read_text(), re.MULTILINE)


def test_the_repository_names_no_machine_and_no_index() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    words = ["/" + "root/", "/" + "home/", "pypi" + ".org", "python" + "hosted"]
    for name in listed.stdout.split():
        text = (ROOT / name).read_bytes().decode(errors="replace")
        assert not [word for word in words if word in text], name


def test_the_requirements_are_locked_with_hashes() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    packages = [line for line in lines if line and line[0].isalnum()]
    assert packages
    assert all("==" in line and line.endswith("\\") for line in packages)
    asked = [
        line.split(";")[0].split(">")[0].strip()
        for line in (ROOT / "requirements.in").read_text().split("\n")
    ]
    locked = {line.split("==")[0] for line in packages}
    assert {name.lower() for name in asked if name and name[0] != "#"} <= locked


def test_a_dollar_in_a_title_or_a_source_is_a_dollar() -> None:
    figure, _ = style.new_figure("of $x_{ and $y", "$a$ of the log")
    texts = [text for text in figure.texts if text.get_text()]
    assert {text.get_text() for text in texts} >= {"of $x_{ and $y", "source: $a$ of the log"}
    assert [text.get_parse_math() for text in texts] == [False] * len(texts)
    figure.draw_without_rendering()


def test_a_dollar_in_the_name_of_a_line_is_a_dollar() -> None:
    figure, (panel,) = style.new_figure("title", "log")
    panel.plot([1, 2], [3, 4], label="net $x_{$")
    style.label_lines(panel, 2.0)
    (name,) = panel.texts
    assert (name.get_text(), name.get_parse_math()) == ("net $x_{$", False)
    # So small a figure has no room for it beside the panel.
    figure.set_layout_engine("none")
    figure.draw_without_rendering()
