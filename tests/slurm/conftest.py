"""The cluster of these tests."""

from collections.abc import Iterator

import cluster
import pytest


@pytest.fixture(scope="session")
def slurm() -> Iterator[cluster.Cluster]:
    """A cluster for all tests."""
    if absent := cluster.missing():
        pytest.fail(f"{', '.join(absent)} not found; make test-slurm says what to install")
    with cluster.running() as started:
        yield started
