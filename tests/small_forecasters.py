"""Forecasters without a network, in a test's own words."""

import importlib
import pkgutil
from typing import Any

from popularity import forecasters
from popularity.averages import UNIFORM_SHARE
from popularity.forecasters.averages import OffsetMethod, average_forecaster
from popularity.forecasters.base import Forecaster, SimpleMethod, method_of
from popularity.offsets import Average, Mixture
from popularity.series import Series
from popularity.settings.baselines import Baseline

for _module in pkgutil.iter_modules(forecasters.__path__):
    if not _module.ispkg:
        importlib.import_module(f"{forecasters.__name__}.{_module.name}")


def entry_of(method: str, /, **options: Any) -> Baseline:
    """An entry of ``baselines``."""
    return Baseline(method, options)


def tuned(series: Series, slots: range, /, method: str, **options: Any) -> tuple[Forecaster, Any]:
    """Tune a method on some slots: the forecaster, and what was chosen."""
    settings = method_of(entry_of(method, **options), SimpleMethod)
    parameters = settings.tune(series, slots)
    return settings.forecaster(series, parameters), parameters


def fixed(series: Series, method: str, /, **options: Any) -> Forecaster:
    """The forecaster of a method that has nothing to choose."""
    return tuned(series, range(series.first_slot, series.first_slot), method, **options)[0]


def offset_on(series: Series, slots: range, /, method: str, **options: Any) -> Mixture:
    """What an offset of this method is, tuned on some slots."""
    return method_of(entry_of(method, **options), OffsetMethod).offset(series, slots)


def ewma(series: Series, half_life: float, uniform_share: float = UNIFORM_SHARE) -> Forecaster:
    """The exponentially weighted average of one half-life."""
    return average_forecaster(series, Average((half_life,), (1.0,)), uniform_share)
