"""Scripts end in a whole output or in one line, however they end."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from popularity.program import Fault, atomic_write

SCRIPTS = Path(__file__).parents[2] / "scripts"

#: Starts to write an output, says so, and then never ends.
ENDLESS = """
    import time
    def main():
        with atomic_write(Path("out.txt")) as partial:
            partial.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
"""


def program(folder: Path, main: str) -> subprocess.Popen[str]:
    """Start a program whose ``main`` is given, in a folder."""
    lines = ["from pathlib import Path", "from popularity.program import run, atomic_write"]
    text = "\n".join([*lines, textwrap.dedent(main), "run(main)", ""])
    (folder / "program.py").write_text(text)
    return subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and so it would be here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def outputs(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"program.py"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_and_ends_as_by_that_signal(tmp_path: Path, number: signal.Signals) -> None:
    job = program(tmp_path, ENDLESS)
    assert job.stdout is not None
    assert job.stdout.readline() == "writing\n"
    assert len(outputs(tmp_path)) == 1
    job.send_signal(number)
    _, told = job.communicate(timeout=30)
    assert job.returncode == -number
    assert told.splitlines()[0].endswith(f"stopped by {number.name}")
    assert len(told.splitlines()) == 1
    assert outputs(tmp_path) == set()


def test_what_a_kill_leaves_is_no_output_and_gone_after_the_next_run(tmp_path: Path) -> None:
    for _ in range(2):
        job = program(tmp_path, ENDLESS)
        assert job.stdout is not None
        assert job.stdout.readline() == "writing\n"
        job.kill()
        job.communicate()
        # The first kill's is gone when the second run begins to write.
        assert outputs(tmp_path) == {f".out.{job.pid}.partial.txt"}
    job = program(
        tmp_path, 'def main():\n    with atomic_write(Path("out.txt")) as path: path.write_text("all")'
    )
    assert job.wait(30) == 0
    job.communicate()
    assert outputs(tmp_path) == {"out.txt"}
    assert (tmp_path / "out.txt").read_text() == "all"


def test_what_others_write_beside_an_output_stays(tmp_path: Path) -> None:
    others = [
        ".a.b.12.partial.csv",
        ".a.12.partial.csv.gz",
        ".a.12.partial.svg",
        ".ba.12.partial.csv",
        "a.12.partial.csv",
        ".a.x.partial.csv",
    ]
    for name in [*others, ".a.12.partial.csv", ".a.7.partial.csv"]:
        (tmp_path / name).write_text("")
    with atomic_write(tmp_path / "a.csv") as path:
        path.write_text("all")
    assert outputs(tmp_path) == {*others, "a.csv"}


@pytest.mark.parametrize("waits", ["", "del os.pidfd_open"], ids=["waiting", "looking"])
@pytest.mark.parametrize("when", ["before", "while it writes"])
def test_a_job_ends_with_the_snakemake_that_started_it(tmp_path: Path, when: str, waits: str) -> None:
    snakemake = subprocess.Popen(["sleep", "60"])
    if when == "before":
        snakemake.kill()
        snakemake.wait()
    begin = f"import os\n{waits}\nos.environ['POPULARITY_SNAKEMAKE'] = '{snakemake.pid}'\n"
    job = program(tmp_path, begin + textwrap.dedent(ENDLESS))
    assert job.stdout is not None
    if when == "while it writes":
        assert job.stdout.readline() == "writing\n"
        snakemake.kill()
        snakemake.wait()
    _, told = job.communicate(timeout=30)
    assert job.returncode == -signal.SIGTERM
    assert [line[9:] for line in told.splitlines()] == [
        "the Snakemake that started this job has ended",
        "stopped by SIGTERM",
    ]
    assert outputs(tmp_path) == set()


def test_of_two_jobs_that_write_one_output_the_first_is_told_and_the_second_writes(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    told = pytest.raises(Fault, match=r"out\.txt: another job has begun to write this")
    with told, atomic_write(path) as one:
        # As if of another process, which begins after this one.
        one.write_text("first")
        one.rename(tmp_path / ".out.1.partial.txt")
        with atomic_write(path) as two:
            two.write_text("second")
    assert path.read_text() == "second"
    assert outputs(tmp_path) == {"out.txt"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_takes_no_more_is_a_fault_that_names_the_output(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.csv").write_text("before")
    with (
        pytest.raises(Fault, match=r"a\.csv: could not be written, .*make room"),
        atomic_write(tmp_path / "a.csv"),
    ):
        raise OSError(number, "says the system")
    assert (tmp_path / "a.csv").read_text() == "before"
    assert outputs(tmp_path) == {"a.csv"}


def test_another_error_of_the_system_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a.csv"):
        raise PermissionError(errno.EACCES, "not yours")


def test_a_lack_of_memory_is_told_in_one_line(tmp_path: Path) -> None:
    job = program(
        tmp_path,
        """
        import numpy as np
        def main():
            with atomic_write(Path("out.txt")) as path:
                path.write_text("half")
                np.zeros(1 << 60, np.int8)
        """,
    )
    _, told = job.communicate()
    assert job.returncode == 1
    assert len(told.splitlines()) == 1
    assert told.startswith("error: out of memory (Unable to allocate")
    assert "mem_mb" in told
    assert outputs(tmp_path) == set()


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")
    synced: list[tuple[int, int, str]] = []

    def watched(file: Any) -> None:
        status = os.fstat(file.fileno())
        synced.append((status.st_ino, status.st_size, path.read_text()))

    monkeypatch.setattr("os.fsync", watched)
    with atomic_write(path) as partial:
        partial.write_text("after it")
    assert synced == [(path.stat().st_ino, 8, "before")]
    assert path.read_text() == "after it"


def test_an_output_takes_the_place_of_the_one_before_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("before")
    job = program(
        tmp_path,
        """
        import os, sys
        def watch(event, details):
            if event in ("os.rename", "os.remove", "os.link", "open", "os.truncate", "shutil.move"):
                names = [os.path.basename(str(name)) for name in details[:2]]
                if "out.txt" in names:
                    print(event, *names)
        def main():
            sys.addaudithook(watch)
            with atomic_write(Path("out.txt")) as path:
                path.write_text("after")
        """,
    )
    told, _ = job.communicate(timeout=30)
    assert told.splitlines() == [f"os.rename .out.{job.pid}.partial.txt out.txt"]
    assert (tmp_path / "out.txt").read_text() == "after"
