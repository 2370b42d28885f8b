"""Kills a script that runs with this folder on PYTHONPATH, as Python imports this module first.

It dies before $KILL_BEFORE_RENAME (1, 2, …) of its outputs are renamed to what they are called;
hidden files are no outputs.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

left = int(os.environ.get("KILL_BEFORE_RENAME", "0"))


def watch(event: str, details: tuple[Any, ...]) -> None:
    """Count down the renames, and end this process as by ``kill -9`` before the last."""
    global left
    if event == "os.rename" and not Path(os.fsdecode(details[1])).name.startswith("."):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


# Snakemake itself lives.
if Path(sys.argv[0]).parent.name == "scripts":
    sys.addaudithook(watch)
