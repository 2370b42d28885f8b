"""The default network in PyTorch: windows made once, a loss on the last step.

`reach` trains it on a log until it is as good as it has to be; `steps` times training steps alone.
"""

import argparse
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim import swa_utils

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from popularity.settings.fields import parse
from popularity.settings.model import ModelSettings, TrainingSettings
from training import Problem, judge_of, read_problem

#: Rows that a network is run for at a time.
CHUNK = 8192
#: Settings that the network can have.
WRITTEN = {
    "input": ("movie",),
    "cell": ("lstm",),
    "bidirectional": (False,),
    "layer_normalization": (False,),
    "convolution": (None,),
    "loss": ("softmax_cross_entropy",),
    "optimizer": ("adamw", "adam"),
    "schedule": ("constant", "cosine"),
}

Tensors = dict[str, torch.Tensor]


class Network(nn.Module):  # type: ignore[misc]  # PyTorch is not read here
    """LSTM layers, then a dense layer that sees the static features, too, added to the offset."""

    def __init__(self, settings: ModelSettings, example: Tensors) -> None:
        super().__init__()
        self.every_step = settings.output == "every_step"
        sizes = [example["steps"].shape[2], *settings.layers]
        self.layers = nn.ModuleList(
            nn.LSTM(before, units, batch_first=True) for before, units in itertools.pairwise(sizes)
        )
        for name in ("steps", "static"):
            values = example[name].flatten(0, 1)
            deviation = values.std(0, correction=0)
            self.register_buffer(f"{name}_mean", values.mean(0))
            self.register_buffer(f"{name}_scale", torch.where(deviation > 1e-6, deviation, 1.0))
        width = sizes[-1] + example["static"].shape[2]
        units = settings.dense_units
        head = [nn.Linear(width, units), nn.GELU()] if units else []
        self.last = nn.Linear(units or width, 1)
        if settings.offset != "none":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)
        self.head = nn.Sequential(*head, nn.Dropout(settings.dropout), self.last)

    def forward(self, steps: torch.Tensor, static: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """Compute the outputs [n, T] of steps [n, window, …], static [n, T, …] and offset [n, T, 1]."""
        hidden = (steps - self.steps_mean) / self.steps_scale
        for layer in self.layers:
            hidden = layer(hidden)[0]
        if not self.every_step:
            hidden = hidden[:, -1:]
        if static.shape[2]:
            hidden = torch.cat([hidden, (static - self.static_mean) / self.static_scale], dim=2)
        return (self.head(hidden) + offset)[..., 0]


def optimizer_of(network: Network, settings: ModelSettings) -> torch.optim.Optimizer:
    """AdamW, or Adam where no weight decays."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if decay:
        return torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    return torch.optim.Adam(network.parameters(), rate)


def softmax_loss(z: torch.Tensor, batch: Tensors) -> torch.Tensor:
    """Cross entropy of the requests over the movies of each slot, drawn ones by their weight."""
    group, label = batch["group"], batch["label"]
    logits = z + batch["log_weight"]
    groups = int(group[-1]) + 1
    top = torch.full((groups,), -torch.inf).scatter_reduce(0, group, logits.detach(), "amax")
    sums = torch.zeros(groups).index_add(0, group, torch.exp(logits - top[group]))
    return (label * ((torch.log(sums) + top)[group] - z)).sum() / label.sum()


def windows_of(problem: Problem) -> list[Tensors]:
    """Copy all training windows, batch by batch."""
    made = []
    for _, windows in problem.training.batches(0):
        # Whole slots, one after another, so that groups rise.
        rows = np.argsort(windows.slot[:, 0], kind="stable")
        windows = windows.take(rows)
        arrays: dict[str, npt.NDArray[Any]] = {
            **problem.framing.inputs(windows),
            "label": windows.label[:, 0, 0].astype(np.float32),
            "log_weight": np.log(windows.weight[:, 0, 0]).astype(np.float32),
            "group": np.unique(windows.slot[:, 0], return_inverse=True)[1],
        }
        made.append({name: torch.from_numpy(values) for name, values in arrays.items()})
    return made


def reach(args: argparse.Namespace) -> dict[str, Any]:
    """Train until the validation windows are forecast so well, or the epochs are over."""
    problem = read_problem(args.sequences, args.movies, parse(TrainingSettings, args.settings), args.seed)
    settings = problem.settings.model
    if any(getattr(settings, name) not in WRITTEN[name] for name in WRITTEN):
        sys.exit(f"error: in PyTorch only this is written here: {WRITTEN}")
    judge = judge_of(problem.validation)
    watched = {name: torch.from_numpy(x) for name, x in problem.framing.inputs(problem.validation).items()}

    began = time.perf_counter()
    batches = windows_of(problem)
    inputs = ("steps", "static", "offset")
    example = {name: torch.cat([batch[name] for batch in batches])[:50_000] for name in inputs}
    network = Network(settings, example)
    optimizer = optimizer_of(network, settings)
    steps = args.epochs * len(batches)
    rates = {
        "constant": lambda step: 1.0,
        "cosine": lambda step: (1 + math.cos(math.pi * step / steps)) / 2,
    }
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates[settings.schedule])
    average = None
    if args.averaged:
        keeping = swa_utils.get_ema_multi_avg_fn(settings.ema_momentum)
        average = swa_utils.AveragedModel(network, multi_avg_fn=keeping)
    seconds = time.perf_counter() - began
    history: list[dict[str, float]] = []
    while len(history) < args.epochs and not (history and history[-1]["cross_entropy"] <= args.target):
        began = time.perf_counter()
        network.train()
        for at in torch.randperm(len(batches)).tolist():
            batch = batches[at]
            optimizer.zero_grad()
            softmax_loss(network(*(batch[name] for name in inputs))[:, 0], batch).backward()
            if settings.clipnorm:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clipnorm)
            optimizer.step()
            schedule.step()
            if average is not None:
                average.update_parameters(network)
        seconds += time.perf_counter() - began
        judged = (network if average is None else average).eval()
        with torch.no_grad():
            chunks = zip(*(watched[name].split(CHUNK) for name in inputs), strict=True)
            z = torch.cat([judged(*chunk)[:, 0] for chunk in chunks]).double().numpy()
        history.append({"seconds": seconds, "cross_entropy": judge(np.exp(z))})
    return {"history": history}


def steps(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each epoch over windows that are in memory, with the mean squared error as the loss."""
    with np.load(args.arrays) as arrays:
        data = {name: torch.from_numpy(values) for name, values in arrays.items()}
    settings: ModelSettings = parse(ModelSettings, args.settings)
    network = Network(settings, {name: values[:50_000] for name, values in data.items()})
    optimizer = optimizer_of(network, settings)
    size = settings.batch_size
    taken, cpu = [], []
    for _ in range(args.epochs):
        began, used = time.perf_counter(), time.process_time()
        for rows in torch.randperm(len(data["steps"])).split(size):
            optimizer.zero_grad()
            z = network(data["steps"][rows], data["static"][rows], data["offset"][rows])
            ((z - data["share"][rows]) ** 2).mean().backward()
            optimizer.step()
        taken.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"seconds": taken, "cpu": cpu}


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("reach", "steps"))
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sequences", type=Path)
    parser.add_argument("--movies", type=Path)
    parser.add_argument("--target", type=float)
    parser.add_argument("--averaged", action="store_true", help="judge the average of the weights, as ours")
    parser.add_argument("--arrays", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.output.write_text(json.dumps({"reach": reach, "steps": steps}[args.what](args)))


if __name__ == "__main__":
    main()
