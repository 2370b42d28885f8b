"""The workflow on a real cluster: everything that a user of Slurm relies on.

Run by ``make test-slurm``; too slow for ``make test``.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow.parquet import read_metadata

from slurm import cluster
from slurm.runs import Run, prepared
from workdir import SMALL, copy_workflow, snakemake

#: The demo as it is, but for fewer epochs.
DEMO: dict[str, Any] = {
    "dataset": "demo",
    "defaults": {"epochs": 6},
    "models": {"course_lstm": {"epochs": 5, "score_at_epochs": [2]}},
}
TABLES = ["joined", "movies", "labelled", "sorted"]


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def submitted(printed: str) -> dict[str, str]:
    """Slurm's number of each job that Snakemake handed in, and the log that it named."""
    found = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: (\S+)\)", printed)
    return dict(found)


def assert_same_results(one: Path, other: Path, dataset: str = "demo") -> None:
    """Tables must agree byte for byte, scores within float noise."""
    first, second = one / "results" / dataset, other / "results" / dataset
    tables = [*(f"{name}.parquet" for name in TABLES)]
    tables += [f"sequences/{path.name}" for path in (first / "sequences").glob("*.parquet")]
    assert len(tables) > len(TABLES)
    for table in tables:
        assert (first / table).read_bytes() == (second / table).read_bytes(), table
    boards = [pd.read_csv(results / "leaderboard.csv").set_index("name") for results in (first, second)]
    pd.testing.assert_frame_equal(boards[0], boards[1].loc[boards[0].index], rtol=1e-4)
    assert {path.name for path in (first / "plots").iterdir()} == {
        path.name for path in (second / "plots").iterdir()
    }


def test_the_demos_graph_gives_under_slurm_what_it_gives_here(
    slurm: cluster.Cluster, tmp_path: Path
) -> None:
    run = prepared(tmp_path / "slurm", slurm, DEMO)
    ended = run.snakemake()
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed

    numbers = submitted(printed)
    jobs = {number: job for number, job in slurm.jobs().items() if number in numbers}
    assert set(jobs) == set(numbers)
    assert {job.state for job in jobs.values()} == {"COMPLETED"}
    assert {job.node for job in jobs.values()} == set(cluster.NODES)
    # 4 trainings and evaluations, 5 of baselines, and a job each for the tables, the log's pictures,
    # the policies of caches, the comparison and the caches.
    assert len(jobs) == 18
    trainings = [number for number, log in numbers.items() if "rule_train_model" in log]
    assert len(trainings) == 4
    # None waits for another one to end. How many then run at once is for the cluster to say.
    handed_in = max(printed.index(f"SLURM jobid {number} ") for number in trainings)
    assert handed_in < printed.index("done: train_model")
    assert run.logs().keys() == jobs.keys()
    assert all(run.logs()[number] == Path(log) for number, log in numbers.items())

    here = copy_workflow(tmp_path / "here", DEMO)
    ended = snakemake(here)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert_same_results(here, run.folder)


def test_a_failed_job_is_run_again_with_more_memory_and_its_log_is_named(
    slurm: cluster.Cluster, finished: Path, tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(finished, tmp_path / "copy")), slurm)
    shutil.copytree(finished / ".snakemake", run.folder / ".snakemake", dirs_exist_ok=True)
    target = "results/demo/leaderboard.csv"
    asked = int(re.findall(r"mem_mb=(\d+)", snakemake(run.folder, "-n", "-R", "compare_models").stdout)[0])
    script = run.folder / "scripts" / "compare_models.py"
    greedy = f"import time\n\nheld = b'x' * {asked * 1_300_000}\ntime.sleep(4)\ndel held\n\n"
    script.write_text(greedy + script.read_text())

    ended = run.snakemake(target)
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed
    (first, log), (second, _) = submitted(printed).items()
    assert f"log: {log} (check log file(s) for error details)" in printed
    assert f"StepId={first}.0 exceeded memory limit" in Path(log).read_text()
    # The log is shown, too.
    assert f"StepId={first}.0 exceeded memory limit" in printed
    jobs = slurm.jobs()
    assert [jobs[number].state for number in (first, second)] == ["FAILED", "COMPLETED"]
    assert [jobs[number].memory_mb for number in (first, second)] == [asked, 2 * asked]
    assert [jobs[number].limit for number in (first, second)] == ["10:00", "20:00"]


def test_ctrl_c_empties_the_queue_and_the_next_run_goes_on(
    slurm: cluster.Cluster, finished: Path, tmp_path: Path
) -> None:
    run = prepared(tmp_path / "work", slurm)
    before = set(slurm.jobs())
    started = run.started()
    try:
        sorted_table = run.folder / "results/demo/sorted.parquet"
        trains = run.folder / "results/demo/logs/train_model/lstm/seed-1.log"
        wait_for(lambda: started.poll() is not None or trains.exists(), 600)
        assert started.poll() is None, started.communicate()[0]
        assert slurm.queue()
        os.killpg(started.pid, signal.SIGINT)
        printed = started.communicate(timeout=180)[0]
    finally:
        started.kill()
    assert started.returncode != 0
    wait_for(lambda: not slurm.queue(), 30)
    cancelled = [number for number, job in slurm.jobs().items() if job.state == "CANCELLED"]
    assert set(cancelled) & set(submitted(printed))
    made = sorted_table.stat().st_mtime_ns
    interrupted = set(slurm.jobs()) - before

    ended = run.snakemake()
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed
    assert "done: train_model" in printed
    assert "done: sort_by_time" not in printed
    assert sorted_table.stat().st_mtime_ns == made
    assert not interrupted & set(submitted(printed))
    assert_same_results(finished, run.folder)


def test_a_networks_scoring_by_several_jobs_gives_the_same_bytes(
    slurm: cluster.Cluster, tmp_path: Path
) -> None:
    run = prepared(tmp_path / "work", slurm, {**SMALL, "evaluation_shards": 3})
    folder = "results/demo/models/lstm/seed-1"
    files = [f"{folder}/{name}" for name in ("predictions.parquet", "scores.parquet", "metrics.json")]
    ended = run.snakemake(*files)
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed
    assert printed.count("done: evaluate_shard") == 3
    parts = [
        read_metadata(path).num_rows for path in run.folder.glob(f"{folder}/shards/*/predictions.parquet")
    ]
    assert len(parts) == 3
    assert min(parts) > 0
    by_several = [(run.folder / file).read_bytes() for file in files]

    (run.folder / "small.json").write_text(json.dumps(SMALL), encoding="utf-8")
    ended = run.snakemake(*files)
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed
    assert "done: evaluate_model" in printed
    assert "done: train_model" not in printed
    assert [(run.folder / file).read_bytes() for file in files] == by_several


#: PBS's commands as the profile calls them, on Slurm.
STAND_INS = {
    "qsub": """\
#!/bin/sh
for script; do :; done
mem=$(echo "$*" | sed -E 's/.*:mem=([0-9]+)mb.*/\\1/')
cpus=$(echo "$*" | sed -E 's/.*:ncpus=([0-9]+).*/\\1/')
seconds=$(echo "$*" | sed -E 's/.*walltime=([0-9]+) .*/\\1/')
exec sbatch --parsable --mem="$mem" --cpus-per-task="$cpus" --time="$((seconds / 60))" \\
    --output="pbs-%j.log" "$script"
""",
    "qstat": """\
#!/bin/sh
for job; do :; done
scontrol show job "$job" | sed -nE \\
    -e 's/.*JobState=(COMPLETED|FAILED|CANCELLED).*/    job_state = F/p' \\
    -e 's/.*JobState=(PENDING|RUNNING|COMPLETING).*/    job_state = R/p' \\
    -e 's/.*ExitCode=([0-9]+):.*/    Exit_status = \\1/p'
""",
    "qdel": '#!/bin/sh\nexec scancel "$@"\n',
}


def test_the_generic_profile_hands_jobs_in_and_sees_those_that_the_scheduler_ends(
    slurm: cluster.Cluster, finished: Path, tmp_path: Path
) -> None:
    for name, text in STAND_INS.items():
        (slurm.folder / "bin" / name).write_text(text)
        (slurm.folder / "bin" / name).chmod(0o755)
    run = prepared(tmp_path / "work", slurm)
    target = "results/demo/plots/rank_frequency.png"
    script = run.folder / "scripts" / "plot_log.py"
    # Like a job that the scheduler ends, the first try leaves no word behind.
    text = script.read_text()
    killed = "import os\nimport signal\n\nif not os.path.exists('tried'):\n    open('tried', 'w')\n"
    script.write_text(f"{killed}    os.system('scancel ' + os.environ['SLURM_JOB_ID'])\n{text}")
    ended = run.snakemake(target, "--latency-wait", "10", profile="generic")
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed
    numbers = re.findall(r"external jobid '(\d+)'", printed)
    assert {path.name for path in run.folder.glob("pbs-*.log")} == {
        f"pbs-{number}.log" for number in numbers
    }
    jobs = [slurm.jobs()[number] for number in numbers]
    assert [job.state for job in jobs] == ["COMPLETED", "CANCELLED", "COMPLETED"]
    assert jobs[2].memory_mb == 2 * jobs[1].memory_mb
    for table in ("joined", "movies", "labelled"):
        name = f"results/demo/{table}.parquet"
        assert (run.folder / name).read_bytes() == (finished / name).read_bytes(), table


def test_where_nothing_can_be_installed_it_says_what_to_install() -> None:
    script = Path(cluster.__file__).with_name("install-packages")
    bash = shutil.which("bash")
    assert bash
    ended = subprocess.run(
        [bash, script], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" in ended.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_cluster_that_is_stopped_leaves_no_process(sent: signal.Signals) -> None:
    program = str(Path(cluster.__file__))
    command = [sys.executable, program, "sh", "-c", "sbatch --wrap 'sleep 600' && sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        folder = Path(started.stdout.readline().split()[-1])
        try:
            assert "Submitted" in started.stdout.readline()
            assert len(cluster.leftovers(folder)) >= 4
            started.send_signal(sent)
            started.wait(timeout=60)
            if sent == signal.SIGTERM:
                assert not folder.exists()
                assert not cluster.leftovers(folder)
            else:
                # Nobody could tidy up, but no daemon outlives the one who started it.
                wait_for(lambda: not daemons(folder), 30)
        finally:
            for process in cluster.leftovers(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


def daemons(folder: Path) -> list[int]:
    """The daemons of the cluster of this folder that still run."""
    found = []
    for process in cluster.leftovers(folder):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process}/comm").read_text().strip()
            if name in ("munged", "slurmctld", "slurmd"):
                found.append(process)
    return found
