"""The settings of config.yaml: checked against the schema and each other, defaults filled in.

Snakemake reads this when it reads the rules, so it needs nothing that Snakemake does not bring.
"""

import copy
import datetime
import itertools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

Settings = dict[str, Any]

#: Features that have a value at each step of a window, which every network needs one of.
STEP_FEATURES = ("label_n", "log_count", "log_share", "log_total")

#: Days of a slot, to tell how many slots a simulated log has.
_SLOT_DAYS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 365.2425 / 12, "year": 365}

#: Most letters of a model's name, which is a folder's.
_LONGEST_NAME = 200

#: Slots of a season: a day of hours, a week of days, otherwise a year.
_SEASONS = {"hour": 24, "day": 7, "week": 52, "month": 12, "year": 1}

#: Methods of baselines that see the slot or later ones, so that they are no competitors.
REFERENCES = ("oracle", "two_sided_ewma")

#: Methods of baselines that are fitted on training slots, each in a job of its own.
LEARNED = ("ridge", "poisson_glm", "lightgbm")

#: What each method of a baseline needs besides its name, and what it may have.
_BASELINE_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "moving_average": ({"slots"}, set()),
    "seasonal_naive": ({"season"}, set()),
    "croston": ({"smoothing"}, set()),
    "tsb": ({"smoothing", "rate_smoothing"}, set()),
    "two_sided_ewma": ({"half_lives"}, set()),
    "ridge": ({"lags", "penalties", "training_rows"}, set()),
    "poisson_glm": ({"features", "offset", "penalties", "training_rows"}, set()),
    "lightgbm": ({"features", "offset", "training_rows"}, set()),
    "ewma": ({"half_lives"}, {"uniform_share"}),
    "ewma_mix": ({"short", "long", "weights"}, {"uniform_share"}),
}


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
    for section in ("datasets", "models", "sweeps", "baselines"):
        entries = settings.get(section, {})
        settings[section] = {key: entry for key, entry in entries.items() if entry is not None}
    faults = list(_expand_sweeps(settings, schema))
    if faults:
        raise SettingsError("\n".join(faults))
    common = settings.get("defaults") or {}
    settings["models"] = {name: {**common, **own} for name, own in settings["models"].items()}
    _fill_defaults(settings, schema, schema)
    for model in (settings["defaults"], *settings["models"].values()):
        model["window"] = model["window"] or settings["window"]
        model["gaps"] = model["gaps"] or settings["gaps"]

    for baseline in settings["baselines"].values():
        if baseline["method"] == "seasonal_naive":
            baseline.setdefault("season", _SEASONS[settings["slot"]])

    faults = list(_cross_faults(settings, schema))
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
        unknown = sorted(str(key) for key in error.instance if key not in known)
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
        "minProperties": lambda: f"at least {error.validator_value} entries",
        "maxLength": lambda: f"at most {error.validator_value} characters",
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


def _expand_sweeps(settings: Settings, schema: Settings) -> Iterator[str]:
    """Add each combination of each sweep's values to the models; yields what is wrong with them."""
    one_model = jsonschema.Draft202012Validator({"$ref": "#/$defs/model", "$defs": schema["$defs"]})
    models = dict(settings["models"])
    for sweep, entry in settings["sweeps"].items():
        start = entry.get("model")
        if start is not None and start not in models:
            known = ", ".join(sorted(models))
            yield f"sweeps.{sweep}.model: found {json.dumps(start)}; allowed: an entry of models ({known})"
            continue
        for values in itertools.product(*entry["grid"].values()):
            chosen = dict(zip(entry["grid"], values, strict=True))
            for error in one_model.iter_errors(chosen):
                yield f"sweeps.{sweep}.grid.{_describe(error)}"
            name = ".".join([sweep, *(f"{key}-{_in_a_name(value)}" for key, value in chosen.items())])
            if len(name) > _LONGEST_NAME:
                yield f"sweeps.{sweep}.grid: found values with names too long for a path; allowed: fewer"
            if name in settings["models"]:
                yield f"sweeps.{sweep}.grid: found two models named {name}; allowed: each value once"
            settings["models"][name] = {**(models[start] if start else {}), **chosen}


def _in_a_name(value: Any) -> str:
    """Write a value so that it may be a part of a model's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", canonical(value)).strip("-")


def _search_faults(settings: Settings, schema: Settings) -> Iterator[str]:
    """Find what a search could not try: the ends of each range, and each value, as a model's setting."""
    search = settings["search"]
    if search["model"] is not None and search["model"] not in settings["models"]:
        known = ", ".join(sorted(settings["models"]))
        yield f"search.model: found {json.dumps(search['model'])}; allowed: an entry of models ({known})"
    one_model = jsonschema.Draft202012Validator({"$ref": "#/$defs/model", "$defs": schema["$defs"]})
    for name, values in search["space"].items():
        ends = values if isinstance(values, list) else [values["low"], values["high"]]
        for value in ends:
            for error in one_model.iter_errors({name: value}):
                yield f"search.space.{_describe(error)}"
        if isinstance(values, dict) and not values["low"] < values["high"]:
            yield f"search.space.{name}: found {json.dumps(values)}; allowed: low below high"
        if isinstance(values, dict) and values["log"] and values["low"] <= 0:
            yield f"search.space.{name}: found {json.dumps(values)}; allowed: low above 0 with log"


def _cross_faults(settings: Settings, schema: Settings) -> Iterator[str]:
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
    elif _training_share(settings) <= 0:
        found, split = settings["backtest"]["folds"], settings["split"]
        most = math.ceil((1 - split["validation"]) / split["test"]) - 1
        yield f"backtest.folds: found {found}; allowed: at most {most}, which leave some training"
    if not models:
        yield "models: found none; allowed: at least one model"
    for name, model in models.items():
        if not any(feature in STEP_FEATURES for feature in model["features"]):
            yield (
                f"models.{name}.features: found {json.dumps(model['features'])}; "
                f"allowed: at least one of {', '.join(STEP_FEATURES)}"
            )
        yield from _framing_faults(name, model)
    if not any(entry["method"] not in (*REFERENCES, *LEARNED) for entry in baselines.values()):
        yield "baselines: found none to compare with; allowed: at least one naive one"
    for name, entry in baselines.items():
        needed, optional = _BASELINE_KEYS.get(entry["method"], (set(), set()))
        given = set(entry) - {"method"}
        if not needed <= given <= needed | optional:
            allowed = [*(f"{key}, needed" for key in sorted(needed)), *sorted(optional)]
            yield (
                f"baselines.{name}: found {json.dumps(entry)}; allowed with the method "
                f"{entry['method']}: {'; '.join(allowed) or 'nothing else'}"
            )
        if entry["method"] == "ewma_mix" and given >= needed and min(entry["short"]) >= max(entry["long"]):
            found = json.dumps(entry["short"])
            yield f"baselines.{name}.short: found {found}; allowed: less than some of long"
    for name in models:
        if name in baselines or name == "best":
            yield f"models.{name}: found a name that is taken; allowed: one that no baseline has, nor best"
    yield from _search_faults(settings, schema)
    for section in ("models", "baselines"):
        for name, entry in settings[section].items():
            offset = entry.get("offset", "none")
            if offset != "none" and offset_grid(settings, offset) is None:
                path = f"{section}.{name}.offset"
                yield f'{path}: found "{offset}", but no entry of baselines has that method'
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


def _framing_faults(name: str, model: Settings) -> Iterator[str]:
    """Find settings of a model that do not go together."""
    for key, value, other in (("output", "every_step", "last_step"), ("input", "all_movies", "movie")):
        if model[key] == value and model["gaps"] == "observed":
            yield (
                f"models.{name}.{key}: found {value} with the gaps observed; allowed: {other}, or the gaps "
                "calendar"
            )
    if model["output"] == "every_step" and model["window"] == 1:
        yield f"models.{name}.output: found every_step with a window of 1; allowed: last_step"
    if model["output"] == "every_step" and model["bidirectional"] and model["cell"] != "none":
        yield (
            f"models.{name}.bidirectional: found true with the output every_step, where a step would see "
            "the slot that it predicts; allowed: with last_step"
        )
    late = [epoch for epoch in model["score_at_epochs"] if epoch > model["epochs"]]
    if late:
        most = model["epochs"]
        yield f"models.{name}.score_at_epochs: found {late[0]}; allowed: up to the epochs, {most}"
    if model["score_at_epochs"] and model["patience"] is not None:
        yield f"models.{name}.score_at_epochs: found with patience {model['patience']}; allowed: with null"


def _training_share(settings: Settings) -> float:
    """Share of the slots that the earliest fold is trained on."""
    split = settings["split"]
    return 1 - split["validation"] - split["test"] * settings["backtest"]["folds"]


def offset_grid(settings: Settings, offset: str) -> Settings | None:
    """Entry of baselines that an offset is chosen as: of this method, and, if there are several, name.

    None if no entry has that method.
    """
    named = {name: entry for name, entry in settings["baselines"].items() if entry["method"] == offset}
    # Whatever order the settings are written in.
    return named[min(named, key=lambda name: (name != offset, name))] if named else None


def _url_faults(path: str, name: str, url: str) -> Iterator[str]:
    """Find a local path that the copy of it would be written to; Snakemake removes that beforehand."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        return
    try:
        source = Path(url).expanduser()
    except RuntimeError as error:
        yield f"{path}.url: found {json.dumps(url)}; allowed: a path that can be told ({error})"
        return
    copy = Path("resources", f"{name}.zip")
    written = copy.parent.resolve() / copy.name
    # The file or folder itself, and what it is a link to.
    if any(
        written.is_relative_to(place) for place in (source.parent.resolve() / source.name, source.resolve())
    ):
        yield (
            f"{path}.url: found {json.dumps(url)}, where the workflow writes its own copy, {copy}; "
            "allowed: a path elsewhere, so move the file or folder and give its new place"
        )


def _dataset_faults(path: str, entry: Settings) -> Iterator[str]:
    if "url" in entry:
        yield from _url_faults(path, path.partition(".")[2], entry["url"])
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
    training = int(slots * _training_share(settings))
    for name, model in settings["models"].items():
        if model["window"] >= training:
            yield (
                f"models.{name}.window: found {model['window']}; allowed: less than the {training} "
                f"training slots of {settings['dataset']} (slot: {settings['slot']})"
            )
