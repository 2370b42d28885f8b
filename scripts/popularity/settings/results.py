"""Settings of what is made of the models: the forecast, and the caches that it would fill."""

from dataclasses import dataclass
from typing import Annotated

from popularity.settings.fields import Limits, section, setting

Policy = Annotated[str, Limits(words="policy")]


@dataclass(frozen=True)
class Forecast:
    """The forecast of the first slots after the log."""

    model: str = setting(
        "A model's or baseline's name, or best: the lowest cross entropy on the validation slots.", "best"
    )
    slots: int = setting(
        "How many slots; those after the first are fed with requests drawn from the forecast.",
        1,
        minimum=1,
        maximum=1000,
    )
    futures: int = setting(
        "With more than one slot, how often those requests are drawn.", 20, minimum=2, maximum=10_000
    )
    interval: float = setting("Probability of the interval of a movie's requests.", 0.8, above=0, below=1)


@dataclass(frozen=True)
class Mixture:
    """A cache of a part filled from a forecast and a part that reacts to what that lacks."""

    forecast: str = setting(
        "A model's or baseline's name, or best: the lowest cross entropy on the validation slots.", "best"
    )
    policy: str = setting("Policy of the reactive part.", "S3-FIFO", words="online_policy")
    reactive_shares: tuple[Annotated[float, Limits(above=0, below=1)], ...] = setting(
        "Shares of the cache that react; none for no mixture.", (0.1, 0.5), unique=True
    )


@dataclass(frozen=True)
class Cache:
    """Caches that are replayed over the requests of the test slots."""

    sizes: tuple[Annotated[float, Limits(above=0, maximum=1)], ...] = setting(
        "What a cache holds, as shares of the movies known by then, or where the log tells sizes, of "
        "their bytes.",
        (0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        length=1,
        unique=True,
    )
    forecasts: tuple[str, ...] | None = setting(
        "Names of the models and baselines that fill caches; null for all.", None, unique=True
    )
    policies: tuple[Policy, ...] = setting(
        "Policies that react to each request; Belady knows the future. Not by default, as they are slow: "
        "3L-Cache and LRB, which learn.",
        ("LRU", "LFU", "ARC", "LIRS", "W-TinyLFU", "S3-FIFO", "SIEVE", "Cacheus", "Belady"),
        unique=True,
    )
    mixture: Mixture = section(
        "A cache of a part filled from a forecast and a part that reacts to what that lacks.", Mixture
    )
