"""The network of a model's settings."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from popularity.forecasters.network.backend import keras
from popularity.forecasters.network.framings import Arrays
from popularity.forecasters.network.losses import LOSSES
from popularity.own import faults_of, own_function
from popularity.program import Fault
from popularity.settings.model import ModelSettings

#: Recurrent layers by the name that config.yaml has for them; "none" is none.
CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple_rnn": keras.layers.SimpleRNN,
}


#: Name of the layer whose output is added to the offset.
OUTPUT = "output"


def build_network(settings: ModelSettings, example: Arrays, scale: float) -> keras.Model:
    """Build the network of these settings.

    Parameters
    ----------
    settings
        An entry of ``models`` in config.yaml.
    example
        Inputs of training rows as :meth:`Framing.inputs` makes them, which give the sizes and, for
        the networks' first layers, means and variances.
    scale
        Size of the shares to predict; the outputs of a network that predicts them directly are
        multiples of it.

    Returns
    -------
    A model from ``steps`` [n, window, …], ``static`` [n, T, …] and ``offset`` [n, T, K] to [n, T, K]:
    the log of a share, up to a constant of the slot (softmax), the log of a share (poisson), its log
    odds (binary cross entropy) or a share.
    """
    steps = keras.Input(example["steps"].shape[1:], name="steps")
    static = keras.Input(example["static"].shape[1:], name="static")
    offset = keras.Input(example["offset"].shape[1:], name="offset")
    targets, movies = example["offset"].shape[1:]

    hidden = _normalised(steps, example["steps"])
    if settings.build is not None:
        hidden = _own_layers(settings, hidden, example["steps"])
    else:
        hidden = _recurrent_layers(settings, hidden)
    if not settings.every_step:
        hidden = keras.layers.Reshape((targets, -1))(hidden)
    if example["static"].shape[2]:
        hidden = keras.layers.Concatenate()([hidden, _normalised(static, example["static"])])
    if settings.dense_units:
        hidden = keras.layers.Dense(settings.dense_units, activation="gelu")(hidden)
    if settings.dropout:
        hidden = keras.layers.Dropout(settings.dropout)(hidden)
    # With an offset the untrained network is the offset itself.
    zeros = settings.offset != "none"
    kernel = "zeros" if zeros else "glorot_uniform"
    output = keras.layers.Dense(movies, kernel_initializer=kernel, name=OUTPUT)(hidden)
    if LOSSES[settings.loss].of_shares:
        output = keras.layers.Rescaling(scale)(output)
    return keras.Model([steps, static, offset], keras.layers.Add()([output, offset]))


def _recurrent_layers(settings: ModelSettings, hidden: Any) -> Any:
    """Read the window by the layers that the settings describe."""
    if settings.convolution is not None:
        hidden = keras.layers.Conv1D(
            settings.convolution.filters,
            settings.convolution.kernel_size,
            dilation_rate=settings.convolution.dilation,
            padding="causal",
            activation="relu",
        )(hidden)
    if settings.cell != "none":
        for layer, units in enumerate(settings.layers, 1):
            cell = CELLS[settings.cell](
                units, return_sequences=settings.every_step or layer < len(settings.layers)
            )
            hidden = (keras.layers.Bidirectional(cell) if settings.bidirectional else cell)(hidden)
            if settings.layer_normalization:
                hidden = keras.layers.LayerNormalization()(hidden)
    return hidden


def _own_layers(settings: ModelSettings, hidden: Any, example: npt.NDArray[np.float32]) -> Any:
    """Read the window by the model that the user's function makes, and check that."""
    name = settings.build or ""
    model = own_function(name)(settings, example)
    if not isinstance(model, keras.Model):
        raise Fault(f"{name}: it gave no model of Keras, but {type(model).__name__}")
    with faults_of(Path(name.rpartition(":")[0])):
        hidden = model(hidden)
    found, window = tuple(hidden.shape), example.shape[1]
    if settings.every_step and (len(found) != 3 or found[1] != window):
        raise Fault(
            f"{name}: its model gives the shape {found}; allowed: (None, {window}, units), as it is to "
            "predict after every slot of the window (output: every_step)"
        )
    if len(found) not in (2, 3) or None in found[1:]:
        raise Fault(f"{name}: its model gives the shape {found}; allowed: (None, units)")
    if settings.every_step:
        _check_order(name, model, example[:8])
    return hidden


def _check_order(name: str, model: keras.Model, example: npt.NDArray[np.float32]) -> None:
    """Check that outputs after a slot of the window are the same whatever comes after it."""
    half = example.shape[1] // 2
    changed = example.copy()
    changed[:, half:] = 1 - 2 * changed[:, half:]
    plain, other = (
        keras.ops.convert_to_numpy(model(steps, training=False))[:, :half] for steps in (example, changed)
    )
    if not np.allclose(plain, other, rtol=1e-3, atol=1e-4):
        raise Fault(
            f"{name}: what its model gives for a slot of the window depends on later slots; use causal "
            "layers (as use_causal_mask=True of attention), or output: last_step"
        )


def last_step(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Make the two networks that together give this model's last step, with the same weights.

    What a slot is forecast with is the last of the T steps, so that the layers after the recurrent ones
    need not be run on the others; and a window need be read once only, however many movies share it.

    Returns
    -------
    A model that reads windows, from ``steps`` [n, window, …] to what is known after each, [n, 1, units];
    and one from that (``window``), ``static`` [n, 1, …] and ``offset`` [n, 1, K] to [n, 1, K].
    """
    made: dict[int, Any] = {}
    inputs, read = {}, None
    for tensor in model.inputs:
        if tensor.name != "steps":
            inputs[tensor.name] = made[id(tensor)] = keras.Input((1, *tensor.shape[2:]), name=tensor.name)
    for layer in model.layers:
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        if isinstance(layer, keras.layers.InputLayer) or not any(id(source) in made for source in sources):
            continue
        for source in sources:
            if id(source) not in made:
                # The one place where the window's layers and the others meet.
                read = keras.Model({"steps": model.get_layer("steps").output}, source[:, -1:])
                inputs["window"] = made[id(source)] = keras.Input((1, source.shape[2]), name="window")
        last = [made[id(source)] for source in sources]
        made[id(layer.output)] = layer(last if len(last) > 1 else last[0])
    return read, keras.Model(inputs, made[id(model.outputs[0])])


def scale_output(model: keras.Model, factor: float) -> None:
    """Multiply what a network adds to its offset."""
    layer = model.get_layer(OUTPUT)
    layer.set_weights([factor * weights for weights in layer.get_weights()])


def _normalised(inputs: Any, example: npt.NDArray[np.float32]) -> Any:
    axes = tuple(range(example.ndim - 1))
    # In float32 the mean of many equal numbers is off by so much that they seem to vary.
    mean = example.mean(axis=axes, dtype=np.float64)
    variance = example.var(axis=axes, dtype=np.float64)
    # Nearly constant inputs stay unscaled; scaling would amplify rounding noise.
    varies = variance > 1e-12 * np.square(mean)
    return keras.layers.Normalization(mean=mean, variance=np.where(varies, variance, 1.0))(inputs)
