"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from workdir import copy_workflow, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small workflow ran to its end; not to be changed."""
    folder = copy_workflow(tmp_path_factory.mktemp("finished"))
    ended = snakemake(folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (folder / "printed.txt").write_text(ended.stdout)
    return folder
