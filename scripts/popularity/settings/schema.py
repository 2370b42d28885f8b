"""The JSON schema of config.yaml, made of the classes of settings, and the page that describes it."""

import dataclasses
import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from popularity.settings.baselines import Baseline
from popularity.settings.config import Settings
from popularity.settings.fields import LIMITS, MEANING, Limits, alternatives, as_json, hints

Schema = dict[str, Any]

#: What a name may be: safe in a path and on a command line. The last part refuses an end of line, which
#: ``$`` lets pass.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$(?!\n)"
LONGEST_NAME = 100

#: Keywords of JSON schema for the limits, by the type they belong to.
_KEYWORDS = {
    "minimum": "minimum",
    "above": "exclusiveMinimum",
    "maximum": "maximum",
    "below": "exclusiveMaximum",
    "pattern": "pattern",
    "some_below": "someBelow",
}
_LENGTHS = {"array": "minItems", "object": "minProperties", "string": "minLength"}
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of ``baselines``: the class of its settings, what kind of forecast it is, and its module."""

    settings: type[Any]
    kind: str
    module: str


class SchemaWriter:
    """Writes the schema of config.yaml.

    Parameters
    ----------
    vocabularies
        For each vocabulary that settings name (:class:`fields.Limits`) the schema of its words.
    methods
        The methods of ``baselines`` by name.
    """

    def __init__(self, vocabularies: Mapping[str, Schema], methods: Mapping[str, Method]) -> None:
        self._vocabularies = vocabularies
        self._methods = methods
        self._definitions: Schema = {
            "name": {
                "description": "A name that is safe in a path and on a command line.",
                "type": "string",
                "maxLength": LONGEST_NAME,
                "pattern": NAME,
            }
        }

    def write(self) -> Schema:
        """Make the schema (draft 2020-12)."""
        top = self._object(Settings)
        methods = {name: self._method(name, method) for name, method in self._methods.items()}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of the popularity workflow",
            **top,
            "$defs": {**self._definitions, "methods": {"$comment": "of baselines", **methods}},
        }

    def _object(self, kind: type[Any]) -> Schema:
        """Describe a class: closed, with its fields' types, limits, defaults and meanings."""
        types = hints(kind)
        properties, required = {}, []
        for field in dataclasses.fields(kind):
            entry = self._value(types[field.name], field.metadata.get(LIMITS, Limits()))
            properties[field.name] = {"description": field.metadata[MEANING], **entry}
            if field.default is not dataclasses.MISSING:
                if field.default is not None or "null" in kinds_of(entry):
                    properties[field.name]["default"] = as_json(field.default)
            elif field.default_factory is not dataclasses.MISSING:
                made = field.default_factory()
                properties[field.name]["default"] = as_json(made) if isinstance(made, dict) else {}
            else:
                required.append(field.name)
        schema = {
            "description": inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " "),
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
        }
        return {**schema, "required": required} if required else schema

    def _value(self, hint: Any, limits: Limits) -> Schema:
        """Describe a value of a type, which may be one of several."""
        merged: Schema = {}
        kinds: list[str] = []
        for kind in alternatives(hint):
            schema = self._one(kind, limits)
            if "enum" in schema or "$ref" in schema:
                if type(None) in alternatives(hint) and "enum" in schema:
                    schema["enum"] = [*schema["enum"], None]
                return schema
            found = schema.pop("type", [])
            kinds += [found] if isinstance(found, str) else found
            merged |= schema
        if limits.unique:
            merged["uniqueItems"] = True
        for name in kinds:
            if limits.length is not None and name in _LENGTHS:
                merged[_LENGTHS[name]] = limits.length
        for name, keyword in _KEYWORDS.items():
            if (limit := getattr(limits, name)) is not None:
                merged[keyword] = limit
        if not kinds:
            return merged
        return {"type": kinds[0] if len(kinds) == 1 else kinds, **merged}

    def _one(self, kind: Any, limits: Limits) -> Schema:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if limits.words is not None and kind is str:
            return dict(self._vocabularies[limits.words])
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if origin is tuple:
            items = self._member(arguments[0])
            return {"type": "array", **({"items": items} if items else {})}
        if origin is dict:
            return {"type": "object", **self._entries(arguments[1], limits)}
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            if kind.__name__ == "ModelSettings":
                return self._definition(kind)
            return {name: part for name, part in self._object(kind).items() if name != "description"}
        return {"type": _PLAIN[kind]} if kind in _PLAIN else {}

    def _member(self, hint: Any) -> Schema:
        limits = Limits()
        if typing.get_origin(hint) is typing.Annotated:
            limits = next(part for part in typing.get_args(hint) if isinstance(part, Limits))
        return self._value(hint, limits)

    def _entries(self, hint: Any, limits: Limits) -> Schema:
        """Describe a table by name: of entries of their own, or of settings of a model."""
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            names = {"propertyNames": {"$ref": "#/$defs/name"}}
            return {**names, "additionalProperties": self._definition(hint)}
        entry = self._member(hint)
        if limits.null_entries:
            entry["type"] = [*kinds_of(entry), "null"]
        return {"additionalProperties": {"description": limits.entries, **entry}}

    def _definition(self, kind: type[Any]) -> Schema:
        """Define a class of entries, each of which may be null, once."""
        name = kind.__name__.removesuffix("Settings").lower()
        if name not in self._definitions:
            schema = self._baseline() if kind is Baseline else self._object(kind)
            self._definitions[name] = {**schema, "type": ["object", "null"]}
        return {"$ref": f"#/$defs/{name}"}

    def _baseline(self) -> Schema:
        """Describe a baseline as its method is."""
        return {
            "description": "A forecast without a network; null leaves it out.",
            "required": ["method"],
            "properties": {
                "method": {"description": "How it forecasts.", "enum": sorted(self._methods)},
            },
            "allOf": [
                {
                    "if": {
                        "type": "object",
                        "properties": {"method": {"const": name}},
                        "required": ["method"],
                    },
                    "then": {"$ref": f"#/$defs/methods/{name}"},
                }
                for name in sorted(self._methods)
            ],
        }

    def _method(self, name: str, method: Method) -> Schema:
        schema = self._object(method.settings)
        chosen = {"description": f"{name}.", "const": name}
        properties = {"method": chosen, **schema["properties"]}
        return {**schema, "properties": properties, "kind": method.kind, "module": method.module}


def kinds_of(entry: Schema) -> list[str]:
    """Types or values that a schema allows."""
    kinds: Any = entry.get("type", entry.get("enum", []))
    return [kinds] if isinstance(kinds, str) else ["null" if kind is None else kind for kind in kinds]


def keys(entry: Schema, schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Walk the schema's keys, each with its path from the top."""
    members = dict(entry.get("properties", {}))
    if isinstance(entry.get("additionalProperties"), dict):
        members["NAME"] = entry["additionalProperties"]
    for name, member in members.items():
        if "$ref" in member:
            definition = schema["$defs"][member["$ref"].rsplit("/", 1)[1]]
            member = {**definition, **member}
        below = f"{path}.{name}" if path else name
        yield below, member
        # Entries of models have the keys of defaults, described once.
        if below != "models.NAME":
            yield from keys(member, schema, below)


def settings_page(schema: Schema, note: str) -> str:
    """Write the page that describes every key: its path, type, bounds, default and meaning."""
    lines = [
        *("# Settings", "", note, "", "Every key that config.yaml may hold. `NAME` stands for a name of"),
        *("your own.", "", "| key | allowed | default | meaning |", "| --- | --- | --- | --- |"),
    ]
    lines += [_row(path, entry) for path, entry in keys(schema, schema)]
    for name, method in schema["$defs"]["methods"].items():
        if name == "$comment":
            continue
        lines += ["", f"## Method {name}", "", f"{method['description']} ({method['kind']})"]
        own = [(path, entry) for path, entry in keys(method, schema) if path != "method"]
        if own:
            lines += ["", "| key | allowed | default | meaning |", "| --- | --- | --- | --- |"]
            lines += [_row(f"baselines.NAME.{path}", entry) for path, entry in own]
    return "\n".join([*lines, ""])


def _row(path: str, entry: Schema) -> str:
    default = f"`{json.dumps(entry['default'])}`" if "default" in entry else ""
    return f"| `{path}` | {allowed(entry)} | {default} | {entry['description']} |"


def allowed(entry: Schema) -> str:
    """Describe the type and bounds of a key in a few words."""
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value)}`".replace('"', "") for value in entry["enum"])
    words = [" or ".join(kinds_of(entry))]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words += [f"{sign} {entry[bound]}" for bound, sign in signs.items() if bound in entry]
    return " ".join(words)


def words_of(names: typing.Iterable[str]) -> Schema:
    """Describe a vocabulary that is a list of names."""
    return {"enum": list(names)}


def words_like(patterns: typing.Iterable[str]) -> Schema:
    """Describe a vocabulary by regular expressions of whole words."""
    return {"type": "string", "pattern": f"^({'|'.join(patterns)})$"}
