"""Fixtures that several test files share."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import popularity.start

import pytest
from filelock import FileLock

from workdir import copy_workflow, snakemake

# Whatever conda is on the PATH: the tests are of the packages at hand.
os.environ["POPULARITY_CONDA"] = "no"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws, weights of networks too, does not hang on the tests before it."""
    random.seed(1)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(1)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small workflow ran to its end; not to be changed.

    All of pytest-xdist's processes share it: the first that needs it makes it, the others wait.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished"
    with FileLock(shared / "finished.lock"):
        if not folder.exists():
            making = copy_workflow(tmp_path_factory.mktemp("finished"))
            ended = snakemake(making)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            (making / "printed.txt").write_text(ended.stdout)
            (making / "told.txt").write_text(ended.stderr)
            making.rename(folder)
    return folder


@pytest.fixture(scope="module")
def one_thread() -> None:
    """Networks made ready; whatever builds or runs one in this process needs it, whatever ran before."""
    # TensorFlow is for the tests that need it alone, and takes a number of threads but once.
    from popularity.forecasters.network import inference

    inference.prepare(1, 1)


@pytest.fixture(scope="module")
def small_chunks(one_thread: None) -> Iterator[None]:
    """Run networks on few pairs at a time."""
    from popularity.forecasters.network import inference

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "CHUNK", 256)
        yield
