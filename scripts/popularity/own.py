"""Functions of the user's own files: a network, a feature.

Settings name one as ``file.py:function``. A program runs only files that it was given (``--own``), so
that a model's settings alone start nothing.
"""

import argparse
import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from popularity.program import Fault

#: Modules of the files that were loaded, by the path as the settings write it.
_LOADED: dict[str, Any] = {}


def add_own(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--own``: see :func:`load_own`."""
    parser.add_argument(
        "--own",
        type=Path,
        nargs="*",
        default=[],
        help="files of your own that the settings name functions of",
    )


def load_own(files: Iterable[Path]) -> None:
    """Run these files, whose functions can then be called.

    Raises
    ------
    Fault
        If there is no such file, or it can't be run: which line, and why.
    """
    for file in files:
        if not file.is_file():
            raise Fault(f"{file}: there is no such file; models and features name it in the settings")
        spec = importlib.util.spec_from_file_location(f"own_{file.stem}_{len(_LOADED)}", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Keras and dataclasses look for a class's module by its name.
        sys.modules[spec.name] = module
        with faults_of(file):
            spec.loader.exec_module(module)
        _LOADED[str(file)] = module


def own_function(name: str) -> Callable[..., Any]:
    """Find the function ``file.py:function``; what it raises is a :class:`Fault` with its line.

    Raises
    ------
    Fault
        If its file was not loaded, or has no such function.
    """
    file, _, function = name.rpartition(":")
    if file not in _LOADED:
        raise Fault(f"{name}: this program was not given the file; add --own {file}")
    found = getattr(_LOADED[file], function, None)
    if not callable(found):
        raise Fault(f"{file}: it has no function {function}, which the settings name")

    def call(*arguments: Any) -> Any:
        with faults_of(Path(file)):
            return found(*arguments)

    return call


@contextlib.contextmanager
def faults_of(file: Path) -> Iterator[None]:
    """Turn whatever a file's code raises into a :class:`Fault` with the line of the file."""
    try:
        yield
    except (Fault, MemoryError):
        raise
    except SyntaxError as error:
        raise Fault(f"{error.filename or file}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file.absolute()]
        lines = lines or [frame.lineno for frame in frames if Path(frame.filename).name == file.name]
        place = f"{file}:{lines[-1]}" if lines else str(file)
        raise Fault(f"{place}: {type(error).__name__}: {error}") from error
