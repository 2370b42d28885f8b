"""The cluster of these tests."""

import signal
from collections.abc import Iterator

import pytest

from slurm import cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[cluster.Cluster]:
    """A cluster for all tests."""
    if absent := cluster.missing():
        pytest.fail(f"{', '.join(absent)} not found; make test-slurm says what to install")
    # Ended from outside, too, the tests stop what they started.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=1))
    with cluster.running() as started:
        yield started
