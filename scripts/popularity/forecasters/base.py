"""What a forecaster is, and how a method of ``baselines`` is declared: settings, fit and forecast."""

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.offsets import Mixture
from popularity.program import Fault
from popularity.scoring.scores import Forecast, Forecasts
from popularity.series import Ints, Series
from popularity.settings.baselines import Baseline
from popularity.settings.fields import parse

Floats = npt.NDArray[np.float64]

#: Predicts the shares float64 [candidates] of a slot's requests from the slots before it.
Forecaster = Callable[[int, Ints], Floats]

P = TypeVar("P")


@dataclass(frozen=True)
class NoParameters:
    """What a method has found that has nothing to choose."""


class Method(ABC):
    """Settings of a forecast without a network; subclasses are frozen dataclasses.

    Attributes
    ----------
    kind
        ``naive``, ``learned`` (fitted on training slots, in a job of its own), or ``reference`` (it sees
        the slot or later ones, so that it is no competitor).
    """

    kind: ClassVar[str]


class SimpleMethod(Method, Generic[P]):
    """A forecast that at most has a few parameters to tune.

    Attributes
    ----------
    parameters
        The class of what :meth:`tune` chooses, a frozen dataclass that JSON can hold.
    """

    kind: ClassVar[str] = "naive"
    parameters: ClassVar[type[Any]] = NoParameters

    @abstractmethod
    def tune(self, series: Series, slots: range) -> P:
        """Choose what the settings leave open, by the cross entropy of these slots."""

    @abstractmethod
    def forecaster(self, series: Series, parameters: P) -> Forecaster:
        """Make the forecaster of a log, with what was chosen."""

    def parameters_of(self, chosen: Mapping[str, Any]) -> P:
        """Read what was chosen, as JSON has it, perhaps among other things."""
        names = [field.name for field in dataclasses.fields(self.parameters)]
        parameters: P = parse(self.parameters, {name: chosen[name] for name in names})
        return parameters


class FixedMethod(SimpleMethod[NoParameters]):
    """A forecast that has nothing to choose."""

    def tune(self, series: Series, slots: range) -> NoParameters:
        """Choose nothing."""
        return NoParameters()


@dataclass(frozen=True)
class FittingData:
    """What a learned method is fitted on, and forecasts from.

    Attributes
    ----------
    series
        The log.
    movies
        Its catalogue, :data:`tables.MOVIES`.
    slot
        Length of a slot.
    training, validation
        Slots to fit on, and slots to choose by.
    offset
        The averages that the forecast corrects, or None.
    seasons
        Those that the log holds often enough, in slots.
    seed, threads
        Of what is drawn, and of the work.
    """

    series: Series
    movies: pa.Table
    slot: str
    training: range
    validation: range
    offset: Mixture | None
    seasons: Sequence[int]
    seed: int
    threads: int


@dataclass(frozen=True)
class Fitted:
    """What the fitting of a learned method found, as JSON can hold it.

    Attributes
    ----------
    chosen
        Numbers that were chosen on the validation slots, by name.
    model
        The model, in the words of its method.
    """

    chosen: dict[str, float]
    model: str


class LearnedMethod(Method):
    """A forecast that is fitted on the training slots."""

    kind: ClassVar[str] = "learned"

    @abstractmethod
    def fit(self, data: FittingData) -> Fitted:
        """Fit it on the training slots, and choose what is left open on the validation slots."""

    @abstractmethod
    def forecaster(self, data: FittingData, fitted: Fitted) -> Forecaster:
        """Make the forecaster of a log, perhaps one that goes on after the one it was fitted on."""


#: What scripts say of the modules that they load.
METHODS_HELP = "modules of popularity.forecasters that hold the methods used"

K = TypeVar("K", bound=Method)

#: The methods of the modules that are loaded, by the name that config.yaml has for them.
METHODS: dict[str, type[Method]] = {}

M = TypeVar("M", bound=type[Method])


def register(name: str) -> Callable[[M], M]:
    """Make a class of settings the method of this name."""

    def add(method: M) -> M:
        METHODS[name] = method
        return method

    return add


def load_methods(modules: Iterable[Path]) -> None:
    """Load modules of this package, by their files, which register their methods.

    A job loads the methods that it uses alone, so that it needs no other's libraries and reruns for no
    other's edit.
    """
    for path in modules:
        importlib.import_module(f"popularity.forecasters.{path.stem}")


def method_of(entry: Baseline, kind: type[K]) -> K:
    """Make the typed settings of an entry of ``baselines``, whose method's module is loaded.

    Parameters
    ----------
    kind
        The class that the method has to be of.

    Raises
    ------
    Fault
        If its module is not loaded, or it is of another kind.
    """
    if entry.method not in METHODS:
        raise Fault(f"method {entry.method} is none of {', '.join(sorted(METHODS))}; give its module")
    method = parse(METHODS[entry.method], entry.options)
    if not isinstance(method, kind):
        raise Fault(f"method {entry.method} is no {kind.__name__}")
    return method


def forecast_slots(forecaster: Forecaster, series: Series, slots: Ints) -> Iterator[Forecast]:
    """Predict the shares of every candidate of each slot."""
    for slot, movies, (shares,) in forecast_together([forecaster], series, slots):
        yield slot, movies, shares


def forecast_together(
    forecasters: Sequence[Forecaster], series: Series, slots: Ints
) -> Iterator[Forecasts]:
    """Predict the shares of every candidate of each slot by several forecasters, slot by slot."""
    for slot in slots.tolist():
        movies = series.candidates(slot)
        yield slot, movies, [forecaster(slot, movies) for forecaster in forecasters]
