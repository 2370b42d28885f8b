"""From what config.yaml, --configfile and --config say to complete, checked, typed settings.

Snakemake reads this when it reads the rules, so it needs nothing that Snakemake does not bring.
"""

import copy
import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from popularity.settings.baselines import Baseline, FittingSettings
from popularity.settings.checks import check, describe, numbers_of_texts, validator
from popularity.settings.config import MAX_MODELS, Settings
from popularity.settings.fields import SettingsError, canonical, parse
from popularity.settings.model import ModelSettings, TrainingSettings
from popularity.settings.slots import SLOTS_OF_A_DAY, FoldSplit
from popularity.settings.values import value_faults

#: Most letters of a model's name, which is a folder's.
_LONGEST_NAME = 200

#: Slots of the seasons: a day and a week of minutes or hours, a week and a year of days, otherwise a year.
_SEASONS = {
    **{name: (slots, 7 * slots) for name, slots in SLOTS_OF_A_DAY.items()},
    "day": (7, 365),
    "week": (52,),
    "month": (12,),
    "year": (),
}


def resolve_settings(config: dict[str, Any], schema: dict[str, Any]) -> Settings:
    """Check the settings and complete them.

    Parameters
    ----------
    config
        What config.yaml, --configfile and --config say together; left as it is.
    schema
        JSON schema of the settings: schemas/config.schema.yaml.

    Returns
    -------
    The settings with every default filled in, entries that are null left out, and each model's
    settings complete: its own, then ``defaults``, then the schema's.

    Raises
    ------
    SettingsError
        Naming every fault found.
    """
    faults = list(value_faults(config))
    if not faults:
        config = numbers_of_texts(config, validator(schema))
        faults = list(value_faults(config))
    if not faults:
        faults = [describe(error) for error in validator(schema).iter_errors(config)]
    if faults:
        raise SettingsError("\n".join(sorted(faults)))

    complete = copy.deepcopy(config)
    for name in ("datasets", "models", "sweeps", "baselines"):
        complete[name] = _without_null(complete.get(name, {}))
    tables = {f"sweeps.{name}.grid": (sweep, "grid") for name, sweep in complete["sweeps"].items()}
    if "space" in complete.get("search", {}):
        tables["search.space"] = (complete["search"], "space")
    for path, (table, key) in tables.items():
        table[key] = _without_null(table[key])
        if not table[key]:
            faults.append(f"{path}: found nothing but null; allowed: at least 1 entry")
    faults += _expand_sweeps(complete, schema)
    if faults:
        raise SettingsError("\n".join(faults))
    common = complete.get("defaults") or {}
    complete["defaults"] = common
    complete["models"] = {name: {**common, **own} for name, own in complete["models"].items()}
    _fill_defaults(complete, schema)
    settings: Settings = parse(Settings, complete)
    faults = list(check(settings, schema))
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _without_null(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out the entries that null stands for."""
    return {name: entry for name, entry in table.items() if entry is not None}


def _fill_defaults(config: dict[str, Any], schema: dict[str, Any]) -> None:
    """Fill in what depends on another setting: windows, gaps and seasons."""
    common = {key: config.get(key, schema["properties"][key]["default"]) for key in ("window", "gaps")}
    for model in (config["defaults"], *config["models"].values()):
        for key, value in common.items():
            model[key] = model.get(key) or value
    slot = config.get("slot", schema["properties"]["slot"]["default"])
    if config.get("seasons") is None:
        config["seasons"] = list(_SEASONS[slot])
    for baseline in config["baselines"].values():
        options = schema["$defs"]["methods"][baseline["method"]]["properties"]
        if "season" in options:
            # The shortest, and the slot before where there is none.
            baseline["season"] = baseline.get("season") or min(config["seasons"], default=1)
        if "seasons" in options and baseline.get("seasons") is None:
            baseline["seasons"] = config["seasons"]


def _expand_sweeps(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Add each combination of each sweep's values to the models; yields what is wrong with them."""
    one_model = validator(schema, "model")
    models = dict(config["models"])
    for sweep, entry in config["sweeps"].items():
        start = entry.get("model")
        if start is not None and start not in models:
            known = ", ".join(sorted(models))
            yield f"sweeps.{sweep}.model: found {json.dumps(start)}; allowed: an entry of models ({known})"
            continue
        made, most = math.prod(map(len, entry["grid"].values())), config.get("max_models", MAX_MODELS)
        if made > most:
            yield f"sweeps.{sweep}.grid: found {made} models; allowed: {most}, unless max_models says more"
            continue
        entry["grid"] = {
            key: [numbers_of_texts({key: value}, one_model, in_lists_alone=False)[key] for value in tried]
            for key, tried in entry["grid"].items()
        }
        for values in itertools.product(*entry["grid"].values()):
            chosen = dict(zip(entry["grid"], values, strict=True))
            for error in one_model.iter_errors(chosen):
                yield f"sweeps.{sweep}.grid.{describe(error)}"
            name = ".".join([sweep, *(f"{key}-{_in_a_name(value)}" for key, value in chosen.items())])
            if len(name) > _LONGEST_NAME:
                yield f"sweeps.{sweep}.grid: found values with names too long for a path; allowed: fewer"
            if name in config["models"]:
                yield f"sweeps.{sweep}.grid: found two models named {name}; allowed: each value once"
            config["models"][name] = {**(models[start] if start else {}), **chosen}


def _in_a_name(value: Any) -> str:
    """Write a value so that it may be a part of a model's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", canonical(value)).strip("-")


def offset_name(settings: Settings, offset: str) -> str | None:
    """Name the entry of baselines that an offset is chosen as: of this method, of several that name.

    None if no entry has that method.
    """
    named = [name for name, entry in settings.baselines.items() if entry.method == offset]
    # Whatever order the settings are written in.
    return min(named, key=lambda name: (name != offset, name), default=None)


def offset_baseline(settings: Settings, offset: str) -> Baseline | None:
    """Entry of baselines that an offset is chosen as (:func:`offset_name`)."""
    name = offset_name(settings, offset)
    return None if name is None else settings.baselines[name]


def training_settings(
    settings: Settings, model: ModelSettings, dataset: str | None = None, fold: int = 0
) -> TrainingSettings:
    """All that the training of a model depends on, for a dataset, in a fold of the backtest."""
    split = FoldSplit(settings.split.validation, settings.split.test, fold)
    slot = settings.slot_of(dataset or settings.dataset)
    offset = offset_baseline(settings, model.offset)
    return TrainingSettings(model, slot, split, offset, settings.seasons or ())


def fitting_settings(
    settings: Settings, baseline: Baseline, dataset: str | None = None, fold: int = 0
) -> FittingSettings:
    """All that the fitting of a learned baseline depends on, for a dataset, in a fold of the backtest."""
    split = FoldSplit(settings.split.validation, settings.split.test, fold)
    offset = offset_baseline(settings, baseline.options.get("offset", "none"))
    slot = settings.slot_of(dataset or settings.dataset)
    return FittingSettings(baseline, slot, split, offset, settings.seasons or ())
