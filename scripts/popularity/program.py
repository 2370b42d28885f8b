"""What every script is: a command-line program that fails with one line and never leaves half a file."""

import contextlib
import logging
import os
import sys
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

    Any other exception is an error of ours and keeps its traceback.
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
