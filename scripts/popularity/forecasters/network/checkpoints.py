"""What a training needs to go on after its last whole epoch, kept in a file until it has ended well."""

import hashlib
import json
import logging
import os
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.program import atomic_write

logger = logging.getLogger(__name__)

#: What computes: other versions may give other digits.
PACKAGES = ("keras", "numpy", "tensorflow", "tensorflow-cpu", "torch", "jax")

#: Arrays in lists, by the lists' names.
Lists = dict[str, list[npt.NDArray[Any]]]


def fingerprint(settings: Any, files: Iterable[Path]) -> str:
    """Name all that a training's result depends on, as a hexadecimal SHA-256.

    Parameters
    ----------
    settings
        What JSON can hold.
    files
        What is read. The code of ours that is in use, Keras's backend and the versions of packages
        count anyway.
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    backend = os.environ.get("KERAS_BACKEND")
    told = json.dumps([settings, versions, sys.version, backend], sort_keys=True)
    digest = hashlib.sha256(told.encode())
    for path in [*files, *_code()]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _code() -> list[Path]:
    """List the modules of ours that this process has imported, and the script that it runs."""
    home = Path(__file__).parents[3]
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({path for name in loaded if name and (path := Path(name).resolve()).is_relative_to(home)})


class Checkpoint:
    """A file with the state of a training that is under way.

    Parameters
    ----------
    path
        The file, an ``.npz`` without pickled objects. It is replaced as a whole.
    key
        Names what is trained and how (:func:`fingerprint`); the state of another is not taken up.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def load(self) -> tuple[Lists, Any] | None:
        """Give the arrays and the state kept last; None if there are none of this key."""
        if not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as file:
                known = json.loads(file["known"].item())
                if known["key"] != self._key:
                    logger.info("%s is of other settings, data or code: starting anew", self._path)
                    return None
                arrays = {
                    name: [file[f"{name} {i}"] for i in range(length)]
                    for name, length in known["lengths"].items()
                }
                return arrays, known["state"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("%s is not readable (%s): starting anew", self._path, error)
            return None

    def save(self, arrays: Lists, state: Any) -> None:
        """Keep arrays and what JSON can hold, in place of what was kept before."""
        known = {
            "key": self._key,
            "lengths": {name: len(parts) for name, parts in arrays.items()},
            "state": state,
        }
        members: dict[str, Any] = {
            f"{name} {i}": part for name, parts in arrays.items() for i, part in enumerate(parts)
        }
        with atomic_write(self._path) as path:
            np.savez(path, known=np.array(json.dumps(known)), **members)

    def drop(self) -> None:
        """Remove the file: the training has ended well."""
        self._path.unlink(missing_ok=True)
