"""docs/reliability.md: each fault names a test, and every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "reliability.md").read_text().splitlines()
#: The last cell of each row of a table: `tests/unit/test_x.py::test_y`, or several.
CELLS = [
    line.rstrip(" |").rpartition(" | ")[2] for line in LINES if re.match(r"\| (?!---|fault |case )", line)
]


def named() -> list[tuple[str, str]]:
    """Files and tests, in the order of the tables."""
    found, file = [], ""
    for cell in CELLS:
        for module, test in re.findall(r"(tests/[\w/]+\.py)|\b(test_\w+)\b", cell):
            file = module or file
            if test:
                found.append((file, test))
    return found


def test_every_fault_names_a_test() -> None:
    assert len(CELLS) > 80
    assert [cell for cell in CELLS if not re.search(r"\btest_\w+`", cell) and cell != "the same"] == []


@pytest.mark.parametrize(("file", "test"), sorted(set(named())))
def test_the_tests_that_it_names_exist(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
