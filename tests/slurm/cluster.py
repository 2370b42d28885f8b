"""A private Slurm cluster of two nodes on this machine: nothing is left of it when it stops.

Run as a program it starts the cluster, runs a command with it and stops it::

    python tests/slurm/cluster.py snakemake --workflow-profile profiles/slurm --config dataset=demo

It needs neither root nor accounting, listens on 127.0.0.1 alone and keeps all its files in one
temporary folder. Two ``slurmd`` of other names are the nodes; they may claim more CPUs than there are.
"""

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
NODES = ("n1", "n2")
CPUS = 4
#: Debian has the daemons where only root looks.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
PR_SET_PDEATHSIG = 1

# Memory is watched by polling (jobacct_gather), which needs no cgroups and no root.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
ReturnToService=2
KillWait=2
MinJobAge=7200
InactiveLimit=0
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory=64000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory=64000
PartitionName=both Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=one Nodes=n1 MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Job:
    """What Slurm remembers of a job."""

    number: str
    state: str
    node: str
    memory_mb: int
    #: How long it may run, as Slurm writes it.
    limit: str


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder, and the environment in which Slurm's programs find it."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str, timeout: float = 30) -> str:
        """Run one of Slurm's programs and give what it prints."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=timeout
        ).stdout

    def jobs(self) -> dict[str, Job]:
        """All jobs, ended or not, by number."""
        printed = self.call("squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%m|%l")
        found = {}
        for line in printed.splitlines():
            number, state, node, memory, limit = line.split("|")
            found[number] = Job(number, state, node, _megabytes(memory), limit)
        return found

    def queue(self) -> list[str]:
        """The numbers of the jobs that wait, run or are about to end."""
        return self.call("squeue", "--noheader", "--format=%i").split()


def _megabytes(text: str) -> int:
    return int(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]])


def missing() -> list[str]:
    """The programs of Slurm and munge that are not here."""
    return [program for program in PROGRAMS if not shutil.which(program, path=PATH)]


@contextlib.contextmanager
def running(cpus: int = CPUS) -> Iterator[Cluster]:
    """Start a cluster, and stop it whatever happens.

    Parameters
    ----------
    cpus
        CPUs that each of the two nodes claims to have.
    """
    # munged wants a short path that all may enter.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, _environment(folder))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        _configure(folder, cpus)
        _start(cluster, daemons)
        yield cluster
    finally:
        _stop(cluster, daemons)
        shutil.rmtree(folder)


def _environment(folder: Path) -> dict[str, str]:
    """Slurm's own variables would point to another cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    paths = os.pathsep.join([str(folder / "bin"), PATH])
    return {**kept, "PATH": paths, "SLURM_CONF": str(folder / "slurm.conf")}


def _configure(folder: Path, cpus: int) -> None:
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    with contextlib.ExitStack() as sockets:
        free = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [server.getsockname()[1] for server in free]
    user = pwd.getpwuid(os.getuid()).pw_name
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(folder=folder, ports=ports, user=user, host=host, cpus=cpus)
    (folder / "slurm.conf").write_text(text)
    # Snakemake's job takes SLURM_CONF away before it calls srun, so this srun gives it back.
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    program = shutil.which("srun", path=PATH)
    srun.write_text(f'#!/bin/sh\nexport SLURM_CONF={folder}/slurm.conf\nexec {program} "$@"\n')
    srun.chmod(0o755)


def _start(cluster: Cluster, daemons: list[subprocess.Popen[bytes]]) -> None:
    folder = cluster.folder
    munge = [
        f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "log-file", "seed-file")
    ]
    munge += [f"--socket={folder}/munge.sock", f"--pid-file={folder}/munge.pid"]
    daemons.append(_daemon(cluster, "munged", "--foreground", *munge))
    _wait(lambda: (folder / "munge.sock").exists(), daemons, folder)
    daemons.append(_daemon(cluster, "slurmctld", "-D", "-c"))
    daemons.extend(_daemon(cluster, "slurmd", "-D", "-N", node) for node in NODES)

    def ready() -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            states = cluster.call("sinfo", "--noheader", "--Node", "--partition=both", "--format=%T")
            return states.split() == ["idle"] * len(NODES)
        return False

    _wait(ready, daemons, folder)


def _daemon(cluster: Cluster, program: str, *options: str) -> subprocess.Popen[bytes]:
    """Start a daemon that a Ctrl-C does not reach, and that ends when this process does."""
    libc = ctypes.CDLL(None)
    found = shutil.which(program, path=PATH)
    if found is None:
        raise FileNotFoundError(f"{program} is not installed; try make test-slurm")
    with (cluster.folder / f"{program}{options[-1] if program == 'slurmd' else ''}.out").open("wb") as out:
        return subprocess.Popen(
            [found, *options],
            env=cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )


def _wait(ready: Callable[[], bool], daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in daemons):
            said = [f"{path.name}:\n{path.read_text()}" for path in sorted(folder.glob("*.out"))]
            raise RuntimeError("\n".join(["the cluster does not start", *said]))
        time.sleep(0.1)


def _stop(cluster: Cluster, daemons: list[subprocess.Popen[bytes]]) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    with contextlib.suppress(subprocess.SubprocessError, OSError):
        cluster.call("scancel", f"--user={user}", timeout=10)
        deadline = time.monotonic() + 20
        while cluster.queue() and time.monotonic() < deadline:
            time.sleep(0.2)
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    for process in leftovers(cluster.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def leftovers(folder: Path) -> list[int]:
    """Processes that the cluster of this folder started and that have not ended, daemons or jobs."""
    mark = f"SLURM_CONF={folder}/slurm.conf".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return sorted(set(found) - {os.getpid()})


def main() -> int:
    """Run the command line's command with a cluster."""
    if absent := missing():
        sys.exit(f"error: {', '.join(absent)} not found; make test-slurm says what to install")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with running() as cluster:
        print(f"cluster in {cluster.folder}", flush=True)
        return subprocess.run(sys.argv[1:], env=cluster.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
