"""What every program imports before any package: what it makes hangs on nothing that its user has set.

An error of an import ends in one line, as an error of the program itself does.
"""

import os
import sys
from collections.abc import MutableMapping
from types import TracebackType

from popularity.program import error_line

#: Variables by which Matplotlib and Keras would do something else, or end.
_UNSET = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "KERAS_TORCH_DEVICE",
    "MPLBACKEND",
)


def settle(environment: MutableMapping[str, str]) -> None:
    """Make an environment the same on every machine; Keras's backend alone is left to choose."""
    for name in _UNSET:
        environment.pop(name, None)
    # Where files of a user's settings would be: ``matplotlibrc``, ``keras.json``.
    environment.update(MATPLOTLIBRC=os.devnull, KERAS_HOME=os.devnull)
    environment.setdefault("KERAS_BACKEND", "tensorflow")


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End a program whose imports fail."""
    if isinstance(error, Exception):
        print(error_line(error), file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


settle(os.environ)
sys.excepthook = _end
