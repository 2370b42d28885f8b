"""All settings of config.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from popularity.settings.baselines import Baseline
from popularity.settings.datasets import Data, Dataset
from popularity.settings.experiments import Backtest, Search, Sweep
from popularity.settings.fields import Limits, section, setting
from popularity.settings.model import Gaps, ModelSettings
from popularity.settings.results import Cache, Forecast
from popularity.settings.slots import Split

Seed = Annotated[int, Limits(minimum=0, maximum=4_294_967_295)]

#: Models of a sweep beyond which it is asked whether they are meant.
MAX_MODELS = 1000


@dataclass(frozen=True)
class Settings:
    """What config.yaml may say. A key that is not here is refused."""

    dataset: str = setting("The entry of datasets to use.", "ml-latest")
    datasets: dict[str, Dataset] = section("Archives by name; null leaves an entry out.", dict)
    slot: str = setting("Length of a time slot.", "day", words="slot")
    seasons: tuple[Annotated[int, Limits(minimum=2)], ...] | None = setting(
        "Lengths in slots of the seasons that requests may have, such as 24 hours; null for a day "
        "and a week of hours, a week and a year of days, a year of weeks or months. A season is used "
        "where the log holds it at least three times.",
        None,
        unique=True,
    )
    window: int = setting("Slots that a model looks back on (t_slot).", 7, minimum=1, maximum=1000)
    gaps: Gaps = setting("Windows over the calendar, or over the slots with a request alone.", "calendar")
    split: Split = section("Shares of the slots, by time, that are validation and test slots.", Split)
    backtest: Backtest = section("How often all is repeated with earlier test slots.", Backtest)
    validation_slots: int = setting(
        "Most validation slots that forecasts are scored on, to choose the best; of more, so many that are "
        "evenly spread.",
        300,
        minimum=1,
    )
    evaluation_shards: int = setting(
        "Jobs that share the scoring of each network. The scores are the same, whatever their number.",
        1,
        minimum=1,
        maximum=1000,
    )
    seeds: tuple[Seed, ...] = setting(
        "Each model is trained once with each seed.", (1,), length=1, unique=True
    )
    defaults: ModelSettings = section("Settings of every model that says nothing else.", ModelSettings)
    models: dict[str, ModelSettings] = section(
        "Models by name, as what differs from the defaults; null leaves one out.", dict
    )
    sweeps: dict[str, Sweep] = section(
        "Grids of models by name; each combination is a model of its own; null leaves one out.", dict
    )
    max_models: int = setting(
        "Most models that a sweep may make; more take minutes to plan alone.", MAX_MODELS, minimum=1
    )
    search: Search = section(
        "What `snakemake search` tries, by the cross entropy of the validation slots.", Search
    )
    backend: Literal["tensorflow", "torch", "jax"] = setting(
        "What runs the networks; its package has to be installed.", "tensorflow"
    )
    baselines: dict[str, Baseline] = section(
        "Forecasts without a network, by name; null leaves one out.", dict
    )
    forecast: Forecast = section("The forecast of the first slots after the log.", Forecast)
    cache: Cache = section("Caches that are replayed over the requests of the test slots.", Cache)
    data: Data = section("How the tables are made from the archive.", Data)
    compare: str | None = setting(
        "Another run's results folder, which `snakemake compare` sets beside these.", None
    )
    training_threads: int = setting("Threads of a training or evaluation job.", 1, minimum=1, maximum=64)
    training_gpus: int = setting(
        "GPUs that a training job asks a cluster for; no other job asks for any.", 0, minimum=0, maximum=8
    )

    def slot_of(self, dataset: str) -> str:
        """Give the slots of a dataset: their length, and the time zone of their clock if it has one."""
        zone = self.datasets[dataset].timezone if dataset in self.datasets else None
        return f"{self.slot} {zone}" if zone else self.slot
