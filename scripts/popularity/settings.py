"""The settings of config.yaml: checked against the schema and each other, defaults filled in.

Snakemake reads this when it reads the rules, so it needs nothing that Snakemake does not bring.
"""

import copy
import datetime
import json
from collections.abc import Iterator
from typing import Any

import jsonschema

Settings = dict[str, Any]

#: Features that have a value at each step of a window, which every network needs one of.
STEP_FEATURES = ("label_n", "log_count", "log_share", "log_total")

#: Days of a slot, to tell how many slots a simulated log has.
_SLOT_DAYS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 365.2425 / 12, "year": 365}

#: What each method of a baseline needs besides its name.
_BASELINE_NEEDS = {"moving_average": "slots", "ewma": "half_lives"}


class SettingsError(Exception):
    """Wrong settings: a line for each, with the key's path, what was found and what is allowed."""


def resolve_settings(config: Settings, schema: Settings) -> Settings:
    """Check the settings and complete them.

    Parameters
    ----------
    config
        What config.yaml, --configfile and --config say together; left as it is.
    schema
        JSON schema of the settings (draft 2020-12).

    Returns
    -------
    The settings with every default filled in, entries that are null left out, and each model's
    settings complete: its own, then ``defaults``, then the schema's.

    Raises
    ------
    SettingsError
        Naming every fault found.
    """
    validator = jsonschema.Draft202012Validator(schema)
    faults = [_describe(error) for error in validator.iter_errors(config)]
    if faults:
        raise SettingsError("\n".join(sorted(faults)))

    settings = copy.deepcopy(config)
    for section in ("datasets", "models", "baselines"):
        entries = settings.get(section, {})
        settings[section] = {key: entry for key, entry in entries.items() if entry is not None}
    common = settings.get("defaults") or {}
    settings["models"] = {name: {**common, **own} for name, own in settings["models"].items()}
    _fill_defaults(settings, schema, schema)
    for model in settings["models"].values():
        model["window"] = model["window"] or settings["window"]
        model["gaps"] = model["gaps"] or settings["gaps"]

    faults = list(_cross_faults(settings))
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def canonical(value: Any) -> str:
    """Write a value as JSON that is the same for equal values: keys sorted, 8.0 as 8."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: plain(member) for key, member in item.items()}
        if isinstance(item, list):
            return [plain(member) for member in item]
        if isinstance(item, float) and item.is_integer():
            return int(item)
        return item

    return json.dumps(plain(value), sort_keys=True)


def _describe(error: Any) -> str:
    """Tell a fault in one line: where, what was found, what is allowed."""
    path = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(known))
        prefix = "" if path == "config" else f"{path}."
        return f"{prefix}{unknown[0]}: no such setting; allowed here: {', '.join(known)}"
    allowed = {
        "enum": lambda: ", ".join(json.dumps(value) for value in error.validator_value),
        "type": lambda: json.dumps(error.validator_value).strip('"'),
        "minimum": lambda: f"at least {error.validator_value}",
        "exclusiveMinimum": lambda: f"more than {error.validator_value}",
        "maximum": lambda: f"at most {error.validator_value}",
        "exclusiveMaximum": lambda: f"less than {error.validator_value}",
        "pattern": lambda: f"text of the form {error.validator_value}",
        "required": lambda: f"all of {', '.join(error.validator_value)}",
        "minItems": lambda: f"at least {error.validator_value} entries",
        "minLength": lambda: "some text",
        "uniqueItems": lambda: "each entry once",
    }[error.validator]()
    return f"{path}: found {json.dumps(error.instance)}; allowed: {allowed}"


def _fill_defaults(instance: Settings, subschema: Settings, schema: Settings) -> None:
    for key, member in subschema.get("properties", {}).items():
        if "default" in member:
            instance.setdefault(key, copy.deepcopy(member["default"]))
    for key, value in instance.items():
        member = subschema.get("properties", {}).get(key, subschema.get("additionalProperties"))
        if isinstance(value, dict) and isinstance(member, dict):
            if "$ref" in member:
                member = schema["$defs"][member["$ref"].rsplit("/", 1)[1]]
            _fill_defaults(value, member, schema)


def _cross_faults(settings: Settings) -> Iterator[str]:
    """Find what no single key shows."""
    datasets, models, baselines = (settings[key] for key in ("datasets", "models", "baselines"))
    if settings["dataset"] not in datasets:
        found = json.dumps(settings["dataset"])
        yield f"dataset: found {found}; allowed: an entry of datasets ({', '.join(sorted(datasets))})"
    elif settings["data"]["shards"] > 1 and "columns" in datasets[settings["dataset"]]:
        found = settings["data"]["shards"]
        yield f"data.shards: found {found} with a dataset that has columns; allowed: 1"
    for name, entry in datasets.items():
        yield from _dataset_faults(f"datasets.{name}", entry)
    if settings["split"]["validation"] + settings["split"]["test"] >= 1:
        yield f"split: found {json.dumps(settings['split'])}; allowed: shares that leave some training"
    if not models:
        yield "models: found none; allowed: at least one model"
    for name, model in models.items():
        if not any(feature in STEP_FEATURES for feature in model["features"]):
            yield (
                f"models.{name}.features: found {json.dumps(model['features'])}; "
                f"allowed: at least one of {', '.join(STEP_FEATURES)}"
            )
        if model["offset"] == "ewma" and model["loss"] in ("mse", "mae"):
            yield (
                f'models.{name}.offset: found "ewma", a log of shares, with the loss '
                f"{model['loss']} of shares; allowed: none"
            )
    if not any(entry["method"] != "oracle" for entry in baselines.values()):
        yield "baselines: found none to compare with; allowed: at least one that is no oracle"
    for name, entry in baselines.items():
        need = _BASELINE_NEEDS.get(entry["method"])
        given = set(entry) - {"method"}
        if given != ({need} if need else set()):
            yield (
                f"baselines.{name}: found {json.dumps(entry)}; allowed with the method "
                f"{entry['method']}: {f'{need}, needed' if need else 'nothing else'}"
            )
    for name in models:
        if name in baselines or name == "best":
            yield f"models.{name}: found a name that is taken; allowed: one that no baseline has, nor best"
    uses_ewma = [name for name, model in models.items() if model["offset"] == "ewma"]
    if uses_ewma and not half_lives(settings):
        yield f'models.{uses_ewma[0]}.offset: found "ewma", but no entry of baselines has that method'
    chosen = settings["forecast"]["model"]
    if chosen != "best" and chosen not in models:
        yield f"forecast.model: found {json.dumps(chosen)}; allowed: best, {', '.join(sorted(models))}"
    mixed = settings["cache"]["mixture"]["forecast"]
    known = sorted([*models, *(name for name, entry in baselines.items() if entry["method"] != "oracle")])
    if mixed not in ("best", *known):
        yield f"cache.mixture.forecast: found {json.dumps(mixed)}; allowed: best, {', '.join(known)}"
    for name in settings["cache"]["forecasts"] or []:
        if name not in known:
            yield f"cache.forecasts: found {json.dumps(name)}; allowed: {', '.join(known)}"
    yield from _window_faults(settings)


def half_lives(settings: Settings) -> list[float]:
    """Half-lives of the entry of baselines with the method ewma, which an offset chooses from."""
    entries = settings["baselines"].values()
    return next((entry["half_lives"] for entry in entries if entry["method"] == "ewma"), [])


def _dataset_faults(path: str, entry: Settings) -> Iterator[str]:
    if ("url" in entry) == ("simulate" in entry):
        yield f"{path}: found {json.dumps(sorted(entry))}; allowed: either url or simulate"
    if "columns" in entry and entry["format"] != "csv":
        yield f"{path}.columns: found with the format {entry['format']}; allowed: with csv alone"
    for key in ("requests", "catalogue"):
        if key in entry and "columns" not in entry:
            yield f"{path}.{key}: found without columns; allowed: with columns, for another log"
    dates = []
    for key in ("first_date", "last_date"):
        try:
            dates.append(datetime.date.fromisoformat(entry.get("simulate", {}).get(key, "2000-01-01")))
        except ValueError:
            yield f"{path}.simulate.{key}: found {entry['simulate'][key]}; allowed: a date"
    if len(dates) == 2 and dates[0] > dates[1]:
        yield f"{path}.simulate: found {dates[0]} to {dates[1]}; allowed: a first date before the last"


def _window_faults(settings: Settings) -> Iterator[str]:
    """Find windows longer than the training slots, where the log's length is known beforehand."""
    simulated = settings["datasets"].get(settings["dataset"], {}).get("simulate")
    if simulated is None:
        return
    try:
        first, last = (datetime.date.fromisoformat(simulated[f"{end}_date"]) for end in ("first", "last"))
    except ValueError:
        return
    slots = ((last - first).days + 1) / _SLOT_DAYS[settings["slot"]]
    training = int(slots * (1 - settings["split"]["validation"] - settings["split"]["test"]))
    for name, model in settings["models"].items():
        if model["window"] >= training:
            yield (
                f"models.{name}.window: found {model['window']}; allowed: less than the {training} "
                f"training slots of {settings['dataset']} (slot: {settings['slot']})"
            )
