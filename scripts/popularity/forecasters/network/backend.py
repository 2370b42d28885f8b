"""Keras and its backend, the one that ``KERAS_BACKEND`` names."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

#: What Keras and TensorFlow import where it is installed, for uses that nobody makes of it here. It would
#: be a third of the start of a job.
_UNUSED = ("IPython", "matplotlib", "sklearn")


@contextlib.contextmanager
def _missing(modules: Iterable[str]) -> Iterator[None]:
    """Make modules that are not loaded yet look as if they were not installed."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


try:
    with _missing([*_UNUSED, *(["jax"] if os.environ.get("KERAS_BACKEND") == "tensorflow" else [])]):
        import keras
        from keras import ops
except ModuleNotFoundError as error:
    # A script that has no backend can do nothing else.
    sys.exit(f"error: {error}: install the package of the backend, or choose another one (config.yaml)")

__all__ = ["keras", "ops"]
