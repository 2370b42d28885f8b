"""The stages that docs/stages.png shows are those of the rules."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from workdir import ROOT, copy_workflow, snakemake

#: Where a rule is named, or one that reuses another.
NAME = r"^(?:use rule \w+ as (?=\w+ with:)|rule (?=\w+:))(\w+)"
#: Rules without files of their own, which are there to be asked for.
TARGETS = {"all", "describe", "forecast", "search"}


@pytest.fixture(scope="module")
def stages() -> Any:
    return runpy.run_path(str(ROOT / "docs" / "stages.py"))["STAGES"]


def test_every_rule_belongs_to_one_stage(stages: Any) -> None:
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    rules = [name for path in files for name in re.findall(NAME, path.read_text(), re.MULTILINE)]
    told = [rule for stage in stages for rule in stage.rules]
    assert sorted(told) == sorted(set(rules) - TARGETS)


@pytest.mark.parametrize("shards", [1, 2])
def test_a_rule_needs_files_of_its_own_and_earlier_stages(stages: Any, shards: int, tmp_path: Path) -> None:
    number = {rule: at for at, stage in enumerate(stages) for rule in stage.rules}
    folder = copy_workflow(tmp_path, {"data": {"shards": shards}, "evaluation_shards": shards})
    graph = snakemake(folder, "--forceall", "--rulegraph").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    edges = [(names[before], names[after]) for before, after in re.findall(r"(\d+) -> (\d+)", graph)]
    assert len(edges) > 50
    # What the shards' tables are gathered by is one rule for tables of two stages.
    late = {
        (before, after)
        for before, after in edges
        if after not in TARGETS and number[before] > number[after] and before != "gather_shards"
    }
    assert not late
