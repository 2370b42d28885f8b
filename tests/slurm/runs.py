"""Copies of the workflow, and Snakemake run in them with a cluster."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slurm import cluster
from workdir import SMALL, copy_workflow

#: The plugin looks for ended jobs in these intervals, in seconds.
QUICK = ["--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10"]


@dataclass(frozen=True)
class Run:
    """A copy of the workflow and the cluster that it runs on."""

    folder: Path
    cluster: cluster.Cluster

    def command(self, *options: str, profile: str = "slurm") -> list[str]:
        quick = QUICK if profile == "slurm" else []
        profiles = ["--workflow-profile", f"profiles/{profile}"]
        return [
            *(sys.executable, "-m", "snakemake", "--configfile", "small.json"),
            *(*profiles, *quick, *options),
        ]

    def snakemake(self, *options: str, profile: str = "slurm") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options, profile=profile),
            cwd=self.folder,
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def started(self, *options: str) -> subprocess.Popen[str]:
        """Start Snakemake as a terminal would: alone in the foreground, so that a Ctrl-C is its own."""
        return subprocess.Popen(
            self.command(*options),
            cwd=self.folder,
            env=self.cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            # Tests that run in the background ignore a Ctrl-C, and what they start would, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def logs(self) -> dict[str, Path]:
        """Slurm's log of each job, by its number."""
        return {path.stem: path for path in (self.folder / ".snakemake" / "slurm_logs").rglob("*.log")}


def prepared(folder: Path, slurm: cluster.Cluster, settings: dict[str, Any] | None = None) -> Run:
    """Copy the workflow, with settings of its own, for the cluster."""
    return Run(copy_workflow(folder, settings or SMALL), slurm)
