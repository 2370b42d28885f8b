"""What all scripts share: they fail with one line, and never leave half a file."""

import contextlib
import errno
import logging
import os
import re
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn


class Fault(Exception):
    """A fault of the input or the settings: its message says what is wrong, where, and what to do."""


#: What to do with a damaged file that the workflow has written.
ANEW = "delete it, and the next run writes it anew"

#: Errors of a disk or file system that takes no more bytes.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: The variable by which the rules tell their jobs the number of Snakemake's process.
SNAKEMAKE = "POPULARITY_SNAKEMAKE"
#: Seconds between two looks at whether a process lives, where the system cannot wait for its end.
LOOK = 1.0

#: A part of the work: its number from 0, and how many parts there are.
Shard = tuple[int, int]
SHARD_HELP = "I/N: do the I-th of N parts (from 0) of the work (default: all)"


def bounds_of_shard(size: int, shard: Shard) -> tuple[int, int]:
    """Give where a shard of ``size`` things in order begins and ends: shards are equal, but for one."""
    return size * shard[0] // shard[1], size * (shard[0] + 1) // shard[1]


def parse_shard(text: str) -> Shard:
    """Read a shard from the command line: ``I/N``, I from 0 to N - 1."""
    shard, shards = (int(number) for number in text.split("/"))
    if not 0 <= shard < shards:
        raise ValueError(text)
    return shard, shards


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``: log to stderr, and end a :class:`Fault` in one line and exit code 1.

    So does a lack of memory. SIGINT and SIGTERM let it clean up, and then end it as they would
    have; the end of the Snakemake that started it counts as a SIGTERM. Any other exception is a defect
    of ours: it ends in one line, too, which names the file that keeps its traceback.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # glibc gives freed memory back to the system, and gets it again page by page, beyond twice the
    # largest block freed so far (of at most 32 MB): a large one that is never touched costs nothing.
    bytearray(31 << 20)
    usual = signal.signal(signal.SIGTERM, _terminate)
    try:
        if number := os.environ.get(SNAKEMAKE):
            end_with(int(number), "the Snakemake that started this job has ended")
        main()
        return
    except KeyboardInterrupt:
        _die_of(signal.SIGINT)
    except _Terminated:
        _die_of(signal.SIGTERM)
    except Exception as error:
        line = error_line(error)
    finally:
        signal.signal(signal.SIGTERM, usual)
    # Files that the exception held open are closed by now: the line may need their space.
    sys.exit(line)


def error_line(error: Exception) -> str:
    """Describe in one line what ended a program; the traceback of a defect is kept in a file."""
    if isinstance(error, Fault):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = (
            f"out of memory ({str(error) or 'no more can be had'}); run fewer jobs at a time (--cores), or "
            "give this one more (--set-resources RULE:mem_mb=MB), and run again"
        )
    elif isinstance(error, ModuleNotFoundError) and not f"{error.name}.".startswith("popularity."):
        message = f"{error}; install the packages of requirements.txt, or run Snakemake with conda"
    else:
        found = f"{type(error).__name__} {error}"
        script = Path(sys.argv[0]).name
        message = f"{found} (a defect of {script}, or of what it uses; {_traceback(error)})"
    return "error: " + one_line(message)


def one_line(text: str) -> str:
    r"""Write a text, which others may have made, in one line: a control character as ``\x1b``."""
    words = " ".join(text.split())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in words)


class _OneLine(logging.Formatter):
    """A line for each record, whatever a server or a file put into it."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(*_: Any) -> None:
    raise _Terminated


def end_with(number: int, told: str) -> None:
    """End this process, as by SIGTERM, once the process of this number has ended; say then that it did.

    Snakemake ends its jobs unless it is killed outright, and so a program does with the processes that it
    starts. They would then go on, and write outputs that a later run makes, too, or wait for ever.
    """
    threading.Thread(target=_end_after, args=(number, told), daemon=True).start()


def _end_after(number: int, told: str) -> None:
    try:
        # Linux can wait; the number alone may come to be another process's.
        select.select([os.pidfd_open(number)], [], [])
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(number, 0)
                time.sleep(LOOK)
    logging.error(told)
    os.kill(os.getpid(), signal.SIGTERM)


def _die_of(number: signal.Signals) -> NoReturn:
    """End this process by a signal, so that whoever waits for it (a shell, a scheduler) sees that."""
    logging.error("stopped by %s", number.name)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    sys.exit(128 + number)  # Where that signal is blocked.


def _traceback(error: Exception) -> str:
    """Keep an exception's traceback beside the log, or else with temporary files.

    The log itself is what Snakemake shows of a job that failed.
    """
    try:
        try:
            # Where stderr goes, if that is a file (Linux).
            log = Path(f"/proc/self/fd/{sys.stderr.fileno()}").readlink()
            if not log.is_file():
                raise FileNotFoundError(log)
            path = log.with_suffix(".traceback")
        except (OSError, ValueError):
            # Its name is not to be foreseen: others may write where temporary files are.
            handle, name = tempfile.mkstemp(".traceback", f"{Path(sys.argv[0]).stem}.")
            os.close(handle)
            path = Path(name)
        text = "".join(traceback.format_exception(error))
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        return f"its traceback could not be written: {fault}"
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
    except FileNotFoundError as error:
        raise Fault(f"{path}: there is no such file") from error
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, reason: object) -> Fault:
    """Make the fault of a file of the workflow's own that is damaged or not what its name says."""
    return Fault(f"{path}: refused, or not readable ({reason}); {ANEW}")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, renamed to ``path`` if all goes well and removed if not.

    So ``path`` holds the whole output or is not touched, whenever the process ends or the machine
    does. What an earlier process that was killed left beside it is removed. A disk or file system
    that takes no more bytes is a :class:`Fault`, and so is another process that begins to write the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".*.partial*"):
        if re.fullmatch(rf"\.{re.escape(path.stem)}\.\d+\.partial{re.escape(path.suffix)}", left.name):
            left.unlink(missing_ok=True)
    # The suffix stays last: writers choose a format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        _finish(partial, path)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        reason = os.strerror(error.errno).lower()
        raise Fault(f"{path}: could not be written, {reason}; make room and run again") from error
    finally:
        partial.unlink(missing_ok=True)


def _finish(partial: Path, path: Path) -> None:
    """Rename what was written, once its bytes are on the disk, as the name is not to be there before."""
    try:
        with partial.open("rb") as file:
            os.fsync(file)
        partial.replace(path)
    except FileNotFoundError as error:
        raise Fault(
            f"{path}: another job has begun to write this, too, and has removed what this one wrote; let "
            "one run of a folder end before the next begins"
        ) from error
