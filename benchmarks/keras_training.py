"""Time the training loop alone, over windows that are in memory."""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from popularity.forecasters.network import inference, training
from popularity.forecasters.network.checkpoints import Checkpoint, Lists
from popularity.forecasters.network.framings import Arrays, Framing, LastRows
from popularity.forecasters.network.saved import Asked
from popularity.samples import RowBatches, Windows
from popularity.settings.fields import json_argument
from popularity.settings.model import ModelSettings, TrainingSettings
from popularity.settings.slots import FoldSplit


class Clock(Checkpoint):
    """Keeps the CPU seconds at the end of each epoch in place of the state."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def load(self) -> None:
        """Nothing was kept."""

    def save(self, arrays: Lists, state: Any) -> None:
        """Keep the time."""
        self.seconds.append(time.process_time())


class _Requests:
    def __init__(self, movies: int) -> None:
        self.movie_ids = np.arange(movies)

    def requests(self, slots: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """One in each slot, so that labels are shares."""
        return np.ones(slots.shape)


class Held:
    """Stands in for a framing: the inputs of row n are those of movie n, made before."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self.series = _Requests(len(arrays["steps"]))
        self.steps = arrays["offset"].shape[1]

    def inputs(self, windows: Windows) -> Arrays:
        """Look the rows up."""
        return {name: values[windows.movie[:, 0]] for name, values in self._arrays.items()}

    def last_rows(self, windows: Windows) -> LastRows:
        """Look up what their last step is computed from."""
        inputs = self.inputs(windows)
        static, offset = inputs["static"][:, -1:], inputs["offset"][:, -1:]
        return LastRows(inputs["steps"], np.arange(len(windows)), static, offset)


def main() -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json_argument(ModelSettings), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    inference.prepare(args.seed, args.threads)
    with np.load(args.arrays) as file:
        arrays = dict(file)
    shares = arrays.pop("share")[..., None].astype(np.float64)
    slots = np.zeros(shares.shape[:2], dtype=np.int64)
    windows = Windows(np.arange(len(shares))[:, None], slots, shares, np.ones(shares.shape))
    model = dataclasses.replace(args.settings, epochs=args.epochs)
    asked = Asked("bench", args.seed, TrainingSettings(model, "week", FoldSplit(), None))
    batches = RowBatches(windows, model.batch_size, args.seed)
    held = cast(Framing, Held(arrays))
    clock = Clock()
    trained = training.train_network(asked, held, batches, windows.take(slice(1000)), clock)
    taken = [row["seconds"] for row in trained.history]
    # The first epoch's, in which code is compiled, are never read.
    cpu = [taken[0], *(after - before for before, after in itertools.pairwise(clock.seconds))]
    args.output.write_text(json.dumps({"seconds": taken, "cpu": cpu}))


if __name__ == "__main__":
    main()
