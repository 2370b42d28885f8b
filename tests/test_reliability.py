"""docs/reliability.md: every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/\w+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())


def test_every_fault_names_a_test() -> None:
    lines = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    rows = [
        line
        for line in lines
        if line.startswith("| ") and not line.startswith(("| ---", "| fault", "| case"))
    ]
    assert rows
    assert [row for row in rows if not re.search(r"\| `tests/\w+\.py::\w+`", row)] == []


@pytest.mark.parametrize(("path", "test"), sorted(set(NAMED)))
def test_the_tests_that_it_names_exist(path: str, test: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
