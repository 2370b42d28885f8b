"""What every script is: a command-line program that fails with one line and never leaves half a file."""

import contextlib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path


class Fault(Exception):
    """A fault of the input or the settings: its message says what is wrong, where, and what to do."""


#: A part of the work: its number from 0, and how many parts there are.
Shard = tuple[int, int]
SHARD_HELP = "I/N: do the I-th of N parts (from 0) of the work (default: all)"


def parse_shard(text: str) -> Shard:
    """Read a shard from the command line: ``I/N``, I from 0 to N - 1."""
    shard, shards = (int(number) for number in text.split("/"))
    if not 0 <= shard < shards:
        raise ValueError(text)
    return shard, shards


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``: log to stderr, and end a :class:`Fault` in one line and exit code 1.

    Any other exception is a defect of ours: it ends in one line, too, which names the file that keeps
    its traceback.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    # glibc gives freed memory back to the system, and gets it again page by page, beyond twice the
    # largest block freed so far (of at most 32 MB): a large one that is never touched costs nothing.
    bytearray(31 << 20)
    try:
        main()
    except Fault as fault:
        message = " ".join(str(fault).split())
        sys.exit(f"error: {message}")
    except Exception as error:
        message = " ".join(f"{type(error).__name__} {error}".split())
        sys.exit(
            f"error: {message} (a defect of {Path(sys.argv[0]).name}, or of what it uses; {_traceback()})"
        )


def _traceback() -> str:
    """Keep the traceback of the exception at hand beside the log, or else with temporary files.

    The log itself is what Snakemake shows of a job that failed.
    """
    try:
        # Where stderr goes, if that is a file (Linux).
        log = Path(f"/proc/self/fd/{sys.stderr.fileno()}").readlink()
        if not log.is_file():
            raise FileNotFoundError(log)
        path = log.with_suffix(".traceback")
    except (OSError, ValueError):
        path = Path(tempfile.gettempdir(), f"{Path(sys.argv[0]).stem}.{os.getpid()}.traceback")
    try:
        path.write_text(traceback.format_exc())
    except OSError as error:
        return f"its traceback could not be written: {error}"
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"its traceback is in {path}"


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a library raises as it reads a file into a :class:`Fault` that names the file."""
    try:
        yield
    except (Fault, MemoryError):
        raise
    except Exception as error:
        raise Fault(f"{path}: refused, or not readable ({error}); delete it and run again") from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, renamed to ``path`` if all goes well and removed if not.

    So ``path`` holds the whole output or is not touched, whenever the process ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers choose a format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
