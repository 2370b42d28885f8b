"""Jobs, Snakemake and disks that die: the next run finishes, and its results are an undisturbed run's."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobs import KILLING, Job, different, gathering, limited, link_tree, one_job_of_each_script, results
from workdir import snakemake

#: Scripts that a whole run does not call.
NOT_IN_A_RUN = {"predict", "compare_runs", "describe_log", "search_settings"}
LONGEST = {"plot_eda", "train_model"}


def kill_and_run(job: Job, undisturbed: Path, folder: Path, shares: list[float]) -> str:
    """Kill a job at these shares of its time and between outputs, then let it end. Say what is wrong."""
    link_tree(undisturbed, folder)
    (folder / "copy-of").symlink_to(undisturbed)
    for name in job.outputs:
        (folder / name).unlink()

    def start(**environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *job.command],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    for share in shares:
        process = start()
        try:
            process.communicate(timeout=share * job.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        changed = different(folder, undisturbed)
        if half := {name for name in changed if (folder / name).exists() and "/." not in name}:
            return f"killed after {share:.2f} of its time it leaves {half}"
        for name in job.outputs:
            (folder / name).unlink(missing_ok=True)

    last = min(2, len(job.outputs))
    process = start(PYTHONPATH=str(KILLING), KILL_BEFORE_RENAME=str(last))
    _, told = process.communicate()
    if process.returncode != -signal.SIGKILL:
        return f"not killed before rename {last}, but ended with {process.returncode}: {told.decode()}"
    there = {name for name in job.outputs if (folder / name).exists()}
    if len(there) != last - 1:
        return f"killed before rename {last} it leaves {there}"

    process = start()
    _, told = process.communicate()
    if process.returncode:
        return f"ends with {process.returncode}: {told.decode()}"
    changed = different(folder, undisturbed)
    return f"makes other results: {changed}" if changed else ""


def test_every_script_survives_kills(finished: Path, tmp_path: Path) -> None:
    jobs = {
        **one_job_of_each_script(finished),
        "gather_evaluation": gathering(finished, tmp_path / "parts"),
    }
    assert {path.stem for path in (finished / "scripts").glob("*.py")} == set(jobs) | NOT_IN_A_RUN
    draw = random.Random(1)
    # Those that take longest are killed before a rename alone, and train_model in test_checkpoints.py.
    shares = {script: [] if script in LONGEST else [draw.uniform(0.05, 0.95)] for script in sorted(jobs)}
    with ThreadPoolExecutor(2) as pool:
        # The longest first, so that both threads end at about the same time.
        order = sorted(jobs, key=lambda script: -jobs[script].seconds)
        wrong = pool.map(
            lambda script: kill_and_run(jobs[script], finished, tmp_path / script, shares[script]), order
        )
        assert {script: said for script, said in zip(order, wrong, strict=True) if said} == {}


#: What the runs below make anew: two jobs side by side, and one after them.
REMOVED = ["baselines/scores.parquet", "baselines/metrics.json"]
REMOVED += ["leaderboard.csv", "leaderboard_by_class.csv"]
PICTURES = ["requests_per_slot", "rank_frequency", "hours_of_week", "life_of_a_movie"]
PICTURES += ["slots_without_requests"]
REMOVED += [f"plots/{name}{suffix}" for name in PICTURES for suffix in (".png", ".svg")]
TARGETS = ["results/demo/leaderboard.csv", "results/demo/plots/rank_frequency.png"]


def stop(folder: Path, number: signal.Signals, jobs_too: bool) -> None:
    """Start Snakemake in a folder, and send it (or its jobs, too) a signal while two jobs are running."""
    logs = [folder / f"results/demo/logs/{rule}.log" for rule in ("evaluate_baselines", "plot_log")]
    # A job that was starting when the signal came has ended well.
    for path in [*logs, *(folder / f"results/demo/{name}" for name in REMOVED)]:
        path.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--configfile", "small.json", "--cores", "2", *TARGETS],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # Tests that a shell started in the background, and all that they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not all(log.exists() for log in logs):
        assert process.poll() is None
        time.sleep(0.01)
    (os.killpg if jobs_too else os.kill)(process.pid, number)
    told, _ = process.communicate(timeout=300)
    assert process.returncode != 0, told.decode()


def test_after_snakemake_was_stopped_the_next_run_finishes(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    missing = {f"results/demo/{name}" for name in REMOVED}

    def atomic_write() -> bool:
        """Nothing but what was missing is not as it was: it still is, or was made."""
        changed = {name for name in different(folder, finished) if "/." not in name}
        return changed <= missing and not any((folder / name).exists() for name in changed)

    # Ctrl-C, which the terminal sends to the jobs, too.
    stop(folder, signal.SIGINT, jobs_too=True)
    assert atomic_write()
    assert not (folder / "results/demo/leaderboard.csv").exists()
    # The end of the machine: Snakemake cannot free the folder, and says what to do.
    stop(folder, signal.SIGKILL, jobs_too=True)
    assert atomic_write()
    assert not (folder / "results/demo/leaderboard.csv").exists()
    ended = snakemake(folder, *TARGETS)
    assert ended.returncode != 0
    assert "--unlock" in ended.stdout + ended.stderr
    assert snakemake(folder, "--unlock").returncode == 0
    # The end of Snakemake alone, as by the system when memory is short: its jobs end, too.
    stop(folder, signal.SIGKILL, jobs_too=False)
    assert atomic_write()
    for rule in ("evaluate_baselines", "plot_log"):
        told = (folder / f"results/demo/logs/{rule}.log").read_text().splitlines()
        assert told[-2].endswith("the Snakemake that started this job has ended")
        assert told[-1].endswith("stopped by SIGTERM")
    assert snakemake(folder, "--unlock").returncode == 0
    # `kill`: the jobs that are running end, but no other starts.
    stop(folder, signal.SIGTERM, jobs_too=False)
    assert atomic_write()
    assert not (folder / "results/demo/leaderboard.csv").exists()
    ended = snakemake(folder, *TARGETS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert different(folder, finished) == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 40 kB, and a function that gives it more room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a small disk")
    yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_with_more_room_the_next_run_finishes(
    finished: Path, tmp_path: Path, small_disk: Any
) -> None:
    disk, make_room = small_disk
    folder = tmp_path / "copy"
    without = shutil.ignore_patterns("results")
    shutil.copytree(finished, folder, ignore=without)
    (folder / "results").symlink_to(disk)
    targets = ["results/demo/sorted.parquet", "results/demo/plots/rank_frequency.png"]
    ended = snakemake(folder, *targets)
    assert ended.returncode != 0
    told = ended.stdout + ended.stderr
    assert re.search(
        r"^error: results/demo/\S+: could not be written, no space left on device", told, re.MULTILINE
    ), told
    assert not list(disk.rglob("*.partial*"))
    make_room()
    ended = snakemake(folder, *targets)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    made = results(folder)
    assert {*targets, "results/demo/labelled.parquet"} < made.keys()
    expected = results(finished)
    assert [name for name in made if made[name] != expected[name]] == []


@pytest.mark.parametrize(
    "script", ["simulate_archive", "label_popularity", "evaluate_baselines", "plot_log"]
)
def test_a_file_that_may_not_grow_is_told_and_leaves_nothing(
    finished: Path, tmp_path: Path, script: str
) -> None:
    job = one_job_of_each_script(finished)[script]
    folder = tmp_path / "copy"
    link_tree(finished, folder)
    for name in job.outputs:
        (folder / name).unlink()
    ended = limited(folder, "ulimit -f 2", job.command)
    assert ended.returncode == 1, ended.stderr
    assert re.fullmatch(
        r"error: \S+: could not be written, file too large; make room and run again",
        ended.stderr.splitlines()[-1],
    )
    assert "Traceback" not in ended.stderr
    assert different(folder, finished) == set(job.outputs)


@pytest.mark.parametrize("megabytes", [150, 250, 300, 350])
def test_with_too_little_memory_a_job_leaves_nothing_or_all(
    finished: Path, tmp_path: Path, megabytes: int
) -> None:
    job = one_job_of_each_script(finished)["join_ratings"]
    folder = tmp_path / "copy"
    link_tree(finished, folder)
    for name in job.outputs:
        (folder / name).unlink()
    # It may not even start, or be enough: how much libraries take is not ours to say, nor how they die.
    ended = limited(folder, f"ulimit -v {megabytes * 1000}", job.command)
    missing = {name for name in different(folder, finished) if "/." not in name}
    assert missing == (set(job.outputs) if ended.returncode else set())
    ended = limited(folder, "ulimit -v unlimited", job.command)
    assert ended.returncode == 0, ended.stderr
    assert different(folder, finished) == set()
