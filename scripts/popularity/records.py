"""Provenance of a run. An output only: it never causes a rerun."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: Packages whose versions a model may depend on.
PACKAGES = ("keras", "numpy", "pandas", "pyarrow", "tensorflow", "tensorflow-cpu", "torch", "jax")


#: Beginnings of the names of variables by which libraries compute otherwise.
VARIABLES = (
    "CUDA_",
    "JAX_",
    "KERAS_",
    "MKL_",
    "NPY_",
    "NVIDIA_TF32",
    "OMP_",
    "OPENBLAS_",
    "TF_",
    "TORCH_",
    "XLA_",
)


def describe_run(settings: dict[str, Any], inputs: list[Path], started: float) -> dict[str, Any]:
    """Describe this process's run.

    Parameters
    ----------
    settings
        All settings of the run.
    inputs
        The tables that it read.
    started
        When it began, in seconds since 1970.

    Returns
    -------
    Values for JSON: ``settings``, ``command``, ``inputs`` (SHA-256 of each), ``git`` (the commit, and
    whether the tree was clean; null outside a checkout), ``python``, ``packages``, ``backend``,
    ``environment`` (variables by which libraries compute otherwise), ``machine``, ``started`` (UTC),
    ``seconds`` and ``peak_memory_mb``.
    """
    return {
        "settings": settings,
        "command": sys.argv,
        "inputs": {path.as_posix(): _sha256(path) for path in inputs},
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "environment": {
            name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)
        },
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "started": datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
        "peak_memory_mb": _peak_memory_mb(),
    }


def _peak_memory_mb() -> int:
    # In bytes on macOS, in kilobytes elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Look up the commit of the checkout that this file is in."""
    folder = Path(__file__).parent

    def ask(*question: str) -> str:
        line = ["git", "-C", str(folder), *question]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A copy that merely lies within another checkout has no commit of its own.
        ask("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": ask("rev-parse", "HEAD"), "clean": not ask("status", "--porcelain")}
    except (OSError, subprocess.CalledProcessError):
        return None
