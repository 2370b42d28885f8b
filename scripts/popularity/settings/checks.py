"""What is wrong with settings: against the schema, and against each other."""

import codecs
import copy
import datetime
import json
import math
import re
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.protocols import Validator

from popularity.settings.config import Settings
from popularity.settings.datasets import Dataset, Simulation
from popularity.settings.experiments import Range
from popularity.settings.fields import as_json
from popularity.settings.model import ModelSettings
from popularity.settings.slots import DAY_SECONDS, SLOT_SECONDS

#: Days of a slot, to tell how many slots a simulated log has.
_SLOT_DAYS = {
    **{name: length / DAY_SECONDS for name, length in SLOT_SECONDS.items()},
    "month": 365.2425 / 12,
    "year": 365,
}


def validator(schema: dict[str, Any], definition: str | None = None) -> Validator:
    """Make what checks a value against the schema, or against one of its definitions."""
    if definition is not None:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return jsonschema.Draft202012Validator(schema)


def numbers_of_texts(value: Any, checked_by: Validator, in_lists_alone: bool = True) -> Any:
    """Make numbers, true and false of texts that stand for them, where the schema wants such.

    ``--config seeds=[1,2,3]`` comes from Snakemake as a list of texts (snakemake issue 2099); single values
    come as what they are.
    """
    made = copy.deepcopy(value)
    for error in checked_by.iter_errors(value):
        path = list(error.absolute_path)
        if error.validator != "type" or not isinstance(error.instance, str) or not path:
            continue
        if in_lists_alone and not isinstance(path[-1], int):
            continue
        try:
            meant = yaml.safe_load(error.instance)
        except yaml.YAMLError:
            continue
        if isinstance(meant, bool | int | float):
            holder = made
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = meant
    return made


def describe(error: jsonschema.ValidationError) -> str:
    """Describe a fault in one line: where, what was found, what is allowed."""
    path = ".".join(str(part) for part in error.absolute_path) or "config"
    schema: Any = error.schema
    value: Any = error.validator_value
    if "module" in schema and error.validator in ("additionalProperties", "required"):
        needed = schema.get("required", [])
        allowed = [f"{key}, needed" for key in sorted(needed)]
        allowed += sorted(key for key in schema["properties"] if key not in (*needed, "method"))
        method = schema["properties"]["method"]["const"]
        return (
            f"{path}: found {json.dumps(error.instance)}; allowed with the method {method}: "
            f"{'; '.join(allowed) or 'nothing else'}"
        )
    if error.validator == "additionalProperties":
        known = sorted(schema["properties"])
        instance: Any = error.instance
        unknown = sorted(str(key) for key in instance if key not in known)
        prefix = "" if path == "config" else f"{path}."
        return f"{prefix}{unknown[0]}: no such setting; allowed here: {', '.join(known)}"
    allowed_by: dict[str, Callable[[], str]] = {
        "enum": lambda: ", ".join(json.dumps(word) for word in value),
        "type": lambda: json.dumps(value).strip('"'),
        "minimum": lambda: f"at least {value}",
        "exclusiveMinimum": lambda: f"more than {value}",
        "maximum": lambda: f"at most {value}",
        "exclusiveMaximum": lambda: f"less than {value}",
        "pattern": lambda: f"text of the form {value}",
        "required": lambda: f"all of {', '.join(value)}",
        "minItems": lambda: f"at least {value} entries",
        "minLength": lambda: "some text",
        "minProperties": lambda: f"at least {value} entries",
        "maxLength": lambda: f"at most {value} characters",
        "uniqueItems": lambda: "each entry once",
    }
    allowed_here = allowed_by[str(error.validator)]()
    if error.validator == "type":
        allowed_here += _hint(error.instance, [value] if isinstance(value, str) else value)
    return f"{path}: found {json.dumps(error.instance)}; allowed: {allowed_here}"


def _hint(found: Any, kinds: list[str]) -> str:
    """Say how YAML is told what was meant, where it took a text for a number or the reverse."""
    if isinstance(found, str) and {"number", "integer"} & set(kinds) and _is_number(found):
        return f", which {found} is not for YAML: write {yaml.safe_dump(float(found)).split()[0]}"
    if isinstance(found, int | float) and "string" in kinds:
        return "; in a file (--configfile) put it in quotes, --config can not say it"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def check(settings: Settings, schema: dict[str, Any]) -> Iterator[str]:
    """Find what no single key shows: a line for each fault."""
    if settings.dataset not in settings.datasets:
        known = ", ".join(sorted(settings.datasets))
        yield f"dataset: found {json.dumps(settings.dataset)}; allowed: an entry of datasets ({known})"
    elif settings.data.shards > 1 and not settings.datasets[settings.dataset].is_release():
        found = settings.data.shards
        yield f"data.shards: found {found} with a log that is not MovieLens'; allowed: 1"
    for name, dataset in settings.datasets.items():
        yield from _dataset_faults(name, dataset)
    yield from _split_faults(settings)
    yield from _model_faults(settings, schema)
    yield from _baseline_faults(settings, schema)
    yield from _search_faults(settings, schema)
    yield from _name_faults(settings, schema)
    yield from _window_faults(settings)


def _dataset_faults(name: str, dataset: Dataset) -> Iterator[str]:
    path = f"datasets.{name}"
    if dataset.url is not None:
        yield from _url_faults(path, name, dataset.url)
    if (dataset.url is None) == (dataset.simulate is None):
        found = sorted(key for key, value in as_json(dataset).items() if value is not None)
        yield f"{path}: found {json.dumps(found)}; allowed: either url or simulate"
    named = as_json(dataset.columns)
    if any(value is not None for value in named.values()):
        # A log of some formats needs none, as they say it.
        needed = [role for role in ("item", "time") if named[role] is None]
        if needed and dataset.format in (None, "csv", "parquet", "jsonl"):
            yield f"{path}.columns.{needed[0]}: missing; allowed: the name of the column"
    elif dataset.format in (None, "csv", "dat", "tab"):
        for key in ("requests", "catalogue"):
            if getattr(dataset, key) is not None:
                yield f"{path}.{key}: found without columns; allowed: with columns, for another log"
    yield from _log_faults(path, dataset)
    if dataset.simulate is not None:
        yield from _date_faults(f"{path}.simulate", dataset.simulate)


def _log_faults(path: str, dataset: Dataset) -> Iterator[str]:
    """Find what reading would stumble over: an encoding, a time zone or a condition that is none."""
    if dataset.encoding is not None:
        try:
            codecs.lookup(dataset.encoding)
        except LookupError:
            yield f'{path}.encoding: found "{dataset.encoding}"; allowed: an encoding that Python knows'
    if dataset.timezone is not None:
        try:
            zoneinfo.ZoneInfo(dataset.timezone)
        except (OSError, ValueError, KeyError):
            yield (
                f"{path}.timezone: found {json.dumps(dataset.timezone)}; allowed: a time zone that this"
                " machine knows, such as America/New_York"
            )


def _date_faults(path: str, simulation: Simulation) -> Iterator[str]:
    dates = []
    for key in ("first_date", "last_date"):
        text = getattr(simulation, key)
        try:
            dates.append(datetime.date.fromisoformat(text))
        except ValueError:
            yield f"{path}.{key}: found {text}; allowed: a date"
    if len(dates) == 2 and dates[0] > dates[1]:
        yield f"{path}: found {dates[0]} to {dates[1]}; allowed: a first date before the last"


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


def _split_faults(settings: Settings) -> Iterator[str]:
    split, folds = settings.split, settings.backtest.folds
    if split.validation + split.test >= 1:
        yield f"split: found {json.dumps(as_json(split))}; allowed: shares that leave some training"
    elif _training_share(settings) <= 0:
        most = math.ceil((1 - split.validation) / split.test) - 1
        yield f"backtest.folds: found {folds}; allowed: at most {most}, which leave some training"


def _training_share(settings: Settings) -> float:
    """Share of the slots that the earliest fold is trained on."""
    return 1 - settings.split.validation - settings.split.test * settings.backtest.folds


def _model_faults(settings: Settings, schema: dict[str, Any]) -> Iterator[str]:
    """Find settings of models that do not go together."""
    if not settings.models:
        yield "models: found none; allowed: at least one model"
    by_step = schema["$defs"]["step_features"]["enum"]
    for name, model in settings.models.items():
        path = f"models.{name}"
        if not any(feature in by_step for feature in model.features):
            found = json.dumps(model.features)
            yield f"{path}.features: found {found}; allowed: at least one of {', '.join(by_step)}"
        yield from _framing_faults(path, model)


def _framing_faults(path: str, model: ModelSettings) -> Iterator[str]:
    for key, value, other in (("output", "every_step", "last_step"), ("input", "all_movies", "movie")):
        if getattr(model, key) == value and model.gaps == "observed":
            allowed = f"{other}, or the gaps calendar"
            yield f"{path}.{key}: found {value} with the gaps observed; allowed: {allowed}"
    if model.every_step and model.window == 1:
        yield f"{path}.output: found every_step with a window of 1; allowed: last_step"
    if model.every_step and model.bidirectional and model.cell != "none":
        yield (
            f"{path}.bidirectional: found true with the output every_step, where a step would see "
            "the slot that it predicts; allowed: with last_step"
        )
    late = [epoch for epoch in model.score_at_epochs if epoch > model.epochs]
    if late:
        yield f"{path}.score_at_epochs: found {late[0]}; allowed: up to the epochs, {model.epochs}"
    if model.score_at_epochs and model.patience is not None:
        yield f"{path}.score_at_epochs: found with patience {model.patience}; allowed: with null"


def _baseline_faults(settings: Settings, schema: dict[str, Any]) -> Iterator[str]:
    methods = schema["$defs"]["methods"]
    if not any(methods[entry.method]["kind"] == "naive" for entry in settings.baselines.values()):
        yield "baselines: found none to compare with; allowed: at least one naive one"
    for name, entry in settings.baselines.items():
        for key, values in entry.options.items():
            other = methods[entry.method]["properties"][key].get("someBelow")
            if other is not None and min(values) >= max(entry.options[other]):
                found = json.dumps(values)
                yield f"baselines.{name}.{key}: found {found}; allowed: less than some of {other}"
    used = {f"models.{name}": model.offset for name, model in settings.models.items()}
    for name, entry in settings.baselines.items():
        used[f"baselines.{name}"] = entry.options.get("offset", "none")
    for path, offset in used.items():
        if offset != "none" and all(entry.method != offset for entry in settings.baselines.values()):
            yield f'{path}.offset: found "{offset}", but no entry of baselines has that method'


def _search_faults(settings: Settings, schema: dict[str, Any]) -> Iterator[str]:
    """Find what a search could not try: the ends of each range, and each value, as a model's setting."""
    search = settings.search
    if search.model is not None and search.model not in settings.models:
        known = ", ".join(sorted(settings.models))
        yield f"search.model: found {json.dumps(search.model)}; allowed: an entry of models ({known})"
    one_model = validator(schema, "model")
    for name, values in search.space.items():
        for value in [values.low, values.high] if isinstance(values, Range) else values:
            for error in one_model.iter_errors({name: value}):
                yield f"search.space.{describe(error)}"
        if not isinstance(values, Range):
            continue
        found = json.dumps(as_json(values))
        if not values.low < values.high:
            yield f"search.space.{name}: found {found}; allowed: low below high"
        if values.log and values.low <= 0:
            yield f"search.space.{name}: found {found}; allowed: low above 0 with log"


def _name_faults(settings: Settings, schema: dict[str, Any]) -> Iterator[str]:
    """Find names that are taken, and names that nothing has."""
    models, baselines = settings.models, settings.baselines
    for name in models:
        if name in baselines or name == "best":
            yield f"models.{name}: found a name that is taken; allowed: one that no baseline has, nor best"
    methods = schema["$defs"]["methods"]
    chosen = settings.forecast.model
    able = [name for name, entry in baselines.items() if methods[entry.method]["kind"] != "reference"]
    if chosen not in ("best", *models, *able):
        allowed = ", ".join(sorted([*models, *able]))
        yield f"forecast.model: found {json.dumps(chosen)}; allowed: best, {allowed}"
    known = sorted([*models, *(name for name, entry in baselines.items() if entry.method != "oracle")])
    mixed = settings.cache.mixture.forecast
    if mixed not in ("best", *known):
        yield f"cache.mixture.forecast: found {json.dumps(mixed)}; allowed: best, {', '.join(known)}"
    for name in settings.cache.forecasts or ():
        if name not in known:
            yield f"cache.forecasts: found {json.dumps(name)}; allowed: {', '.join(known)}"


def _window_faults(settings: Settings) -> Iterator[str]:
    """Find windows longer than the training slots, where the log's length is known beforehand."""
    dataset = settings.datasets.get(settings.dataset)
    if dataset is None or dataset.simulate is None:
        return
    try:
        first = datetime.date.fromisoformat(dataset.simulate.first_date)
        last = datetime.date.fromisoformat(dataset.simulate.last_date)
    except ValueError:
        return
    slots = ((last - first).days + 1) / _SLOT_DAYS[settings.slot]
    training = int(slots * _training_share(settings))
    for name, model in settings.models.items():
        if model.window is not None and model.window >= training:
            yield (
                f"models.{name}.window: found {model.window}; allowed: less than the {training} "
                f"training slots of {settings.dataset} (slot: {settings.slot})"
            )
