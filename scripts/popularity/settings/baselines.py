"""An entry of ``baselines`` in config.yaml: a method's name and its settings.

What each method has to set is declared beside its code, in :mod:`popularity.forecasters`, and known here
as what the schema allows: so Snakemake needs none of what the methods compute with.
"""

from dataclasses import dataclass
from typing import Any

from popularity.settings.fields import SettingsError
from popularity.settings.slots import FoldSplit


@dataclass(frozen=True)
class Baseline:
    """A forecast without a network.

    Attributes
    ----------
    method
        How it forecasts.
    options
        The method's settings, as JSON has them.
    """

    method: str
    options: dict[str, Any]

    @classmethod
    def from_json(cls, value: Any) -> "Baseline":
        """Read an entry of ``baselines``."""
        if not isinstance(value, dict) or not isinstance(value.get("method"), str):
            raise SettingsError(f"found {value!r}; allowed: a baseline with a method")
        return cls(value["method"], {name: option for name, option in value.items() if name != "method"})

    def to_json(self) -> dict[str, Any]:
        """Write it as config.yaml does."""
        return {"method": self.method, **self.options}


@dataclass(frozen=True)
class FittingSettings:
    """All that the fitting of a learned baseline depends on, besides its data, name and seed.

    Attributes
    ----------
    baseline
        Its entry.
    slot
        Length of a slot.
    split
        Which slots are validation and test slots.
    offset
        The baseline whose forecast it corrects, whose parameters the validation slots choose; None for
        none.
    seasons
        In slots.
    """

    baseline: Baseline
    slot: str
    split: FoldSplit
    offset: Baseline | None
    seasons: tuple[int, ...] = ()
