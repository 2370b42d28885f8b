"""A network that is loaded and run. The backend is the one that ``KERAS_BACKEND`` names."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.forecasters.network.architecture import last_step
from popularity.forecasters.network.backend import keras, ops
from popularity.forecasters.network.framings import Arrays, Framing, LastRows
from popularity.forecasters.network.saved import Weights
from popularity.program import Shard, reading
from popularity.scoring.scores import Forecast, Forecasts
from popularity.series import Ints

#: Steps that a network is run for at a time, about: so many that what it computes stays in the cache.
CHUNK = 16384
#: Rows that a chunk is padded to at least, so that a network is compiled for few sizes.
LEAST_ROWS = 256
#: Pairs of a slot and a movie from which on it is worth a second to compile a network that forecasts them.
WORTH_COMPILING = 1 << 20


def prepare(seed: int, threads: int) -> None:
    """Make runs repeatable: seed every generator, fix the threads, forbid undetermined operations."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_num_threads(threads)


def load_network(path: Path) -> keras.Model:
    """Load a saved network; a file that would run code of its own is refused by Keras."""
    with reading(path):
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def padded(arrays: Arrays, rows: int) -> Arrays:
    """Repeat the first row until there are ``rows``."""
    return {
        name: values
        if len(values) == rows
        else np.concatenate([values, np.repeat(values[:1], rows - len(values), axis=0)])
        for name, values in arrays.items()
    }


def run_network(
    model: keras.Model, inputs: Arrays, run: Callable[[Arrays], Any] | None = None
) -> npt.NDArray[np.float64]:
    """Run a network on rows, in chunks; its outputs, float64 [n, T, K].

    ``run`` is its call, compiled for each length of a chunk; without it Keras makes one.
    """
    call = run or model.predict_on_batch
    size = len(next(iter(inputs.values())))
    rows = max(16, CHUNK // max(values.shape[1] for values in inputs.values()))
    outputs = np.empty((size, *model.output_shape[1:]))
    for start in range(0, size, rows):
        chunk = {name: values[start : start + rows] for name, values in inputs.items()}
        count = min(rows, size - start)
        length = min(rows, max(LEAST_ROWS, 1 << (count - 1).bit_length()))
        made = ops.convert_to_numpy(call(padded(chunk, length)))
        outputs[start : start + count] = made[:count]
    return outputs


class LastStep:
    """The last step of a network, which is what it forecasts with, built and compiled once for any log.

    It follows the network's weights, when these are set anew.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._networks = last_step(model)
        self._compiled = functools.cache(lambda: [_compiled(network) for network in self._networks])

    def forecasts(self, framing: Framing, slots: Ints, shard: Shard = (0, 1)) -> Iterator[Forecast]:
        """Predict, for each slot, the shares of the candidates that the network covers.

        Of ``shard`` (i, n) only for the i-th of n parts of the slots: the same to the bit as all at once.
        """
        whole = self.forecasts_with([self._model.get_weights()], framing, slots, shard)
        return ((slot, movies, shares) for slot, movies, (shares,) in whole)

    def forecasts_with(
        self, weights: Sequence[Weights], framing: Framing, slots: Ints, shard: Shard = (0, 1)
    ) -> Iterator[Forecasts]:
        """Predict the same with each of some weights, which share the network's inputs."""
        compiled = framing.pairs(slots) >= WORTH_COMPILING

        def run(own: Weights, rows: LastRows) -> npt.NDArray[np.float64]:
            if len(weights) > 1:
                self._model.set_weights(own)
            return self.outputs(rows, compiled)

        return framing.forecasts([functools.partial(run, own) for own in weights], slots, shard)

    def outputs(self, rows: LastRows, compiled: bool = False) -> npt.NDArray[np.float64]:
        """Run it on rows: its outputs, float64 [n, 1, K]."""
        reader, decider = self._networks
        read, decide = self._compiled() if compiled else (None, None)
        windows = run_network(reader, {"steps": rows.windows}, read).astype(np.float32)
        inputs = {"window": windows[rows.window], "static": rows.static, "offset": rows.offset}
        return run_network(decider, inputs, decide)


def _compiled(network: keras.Model) -> Callable[[Arrays], Any] | None:
    """Compile a network's call by XLA, which takes a second and makes it twice as fast.

    Keras leaves that out where operations are determined. It compiles itself with other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    compiled: Callable[[Arrays], Any] = tf.function(
        functools.partial(network, training=False), jit_compile=True
    )
    return compiled
