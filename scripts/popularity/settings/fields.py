"""How a setting is declared, once: its type, default, bounds and meaning are a field of a dataclass.

A class of settings is a frozen dataclass whose fields are made by :func:`setting`. From them come what
JSON may say (:mod:`popularity.settings.schema`), the defaults, and the typed object that a script works
with (:func:`parse`). Types are ``bool``, ``int``, ``float``, ``str``, a ``Literal`` of texts, another
class of settings, a tuple or (by name) a dict of these or of anything JSON holds, each or None;
``Annotated`` with :class:`Limits` bounds the members of a tuple.
"""

import argparse
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

T = TypeVar("T")

#: What JSON can hold.
Json = None | bool | int | float | str | list[Any] | dict[str, Any]

LIMITS = "limits"
MEANING = "meaning"


class SettingsError(Exception):
    """Wrong settings: a line for each, with the key's path, what was found and what is allowed."""


@dataclass(frozen=True)
class Limits:
    """What a value may be, beyond its type.

    Attributes
    ----------
    minimum, above, maximum, below
        Bounds of a number, with or without the bound itself.
    pattern
        Regular expression of a text.
    length
        Fewest entries of a tuple or dict, or letters of a text.
    unique
        Whether each entry of a tuple may stand there once only.
    words
        Name of the vocabulary that a text is a word of: the names that the code which implements them has
        registered, gathered when the schema is written.
    entries
        What the entries of a dict are, if any text says it.
    null_entries
        Whether null leaves an entry of a dict out.
    some_below
        Name of another field of the same class, the greatest of which is more than the least of this one.
    """

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    pattern: str | None = None
    length: int | None = None
    unique: bool = False
    words: str | None = None
    entries: str = "Values to try."
    null_entries: bool = False
    some_below: str | None = None


def setting(meaning: str, default: Any = MISSING, **limits: Any) -> Any:
    """Declare a field: what it means, its default (none: it is needed), and its :class:`Limits`."""
    metadata = {MEANING: meaning, LIMITS: Limits(**limits)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def section(meaning: str, make: Callable[[], T]) -> T:
    """Declare a field that is a class of settings which all have defaults, or a table that may be empty."""
    return dataclasses.field(default_factory=make, metadata={MEANING: meaning})


def hints(kind: Any) -> dict[str, Any]:
    """Types of a class's fields, ``Annotated`` kept."""
    return typing.get_type_hints(kind, include_extras=True)


def alternatives(hint: Any) -> list[Any]:
    """Types that a type is a union of, or the type alone; without ``Annotated``."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return list(typing.get_args(hint)) if union else [hint]


def parse(kind: Any, value: Json, path: str = "") -> Any:
    """Make a typed value of what JSON says.

    Parameters
    ----------
    kind
        A type as described above; a class with a method ``from_json`` reads its own.
    value
        What :func:`json.loads` gives.
    path
        Where the value stands, for faults.

    Raises
    ------
    SettingsError
        If a key is unknown or missing, or a value of another type. Bounds are the schema's, which
        Snakemake has checked before.
    """
    kinds = alternatives(kind)
    if value is None and type(None) in kinds:
        return None
    for alternative in kinds:
        if (found := _parse_one(alternative, value, path)) is not MISSING:
            return found
    raise SettingsError(f"{path or 'settings'}: found {json.dumps(value)}; allowed: {kind}")


def _parse_one(kind: Any, value: Json, path: str) -> Any:
    """Make a value of one type; ``MISSING`` if it is of another."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(parse(arguments[0], member, f"{path}[{at}]") for at, member in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: parse(arguments[1], member, _below(path, name)) for name, member in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _parse_object(kind, value, path)
    # A whole number is a number, too, but true is none.
    if kind is Any or type(value) is kind or (kind is float and type(value) is int):
        return value
    return MISSING


def _parse_object(kind: Any, value: Mapping[str, Json], path: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in value:
        if name not in fields:
            allowed = ", ".join(sorted(fields))
            raise SettingsError(f"{_below(path, name)}: no such setting; allowed here: {allowed}")
    for name, field in fields.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise SettingsError(f"{_below(path, name)}: missing")
    types_of = hints(kind)
    return kind(
        **{name: parse(types_of[name], member, _below(path, name)) for name, member in value.items()}
    )


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def as_json(value: Any) -> Any:
    """Turn settings into what JSON can hold: what :func:`parse` reads."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    return value


def canonical(value: Any) -> str:
    """Write settings as JSON that is the same for equal values: keys sorted, 8.0 as 8."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: plain(member) for key, member in item.items()}
        if isinstance(item, list):
            return [plain(member) for member in item]
        if isinstance(item, float) and item.is_integer():
            return int(item)
        return item

    return json.dumps(plain(as_json(value)), sort_keys=True)


def json_argument(kind: type[T] | Any) -> Callable[[str], T]:
    """Make the ``type`` of a command-line option that holds settings as JSON."""

    def read(text: str) -> T:
        try:
            return typing.cast(T, parse(kind, json.loads(text)))
        except (SettingsError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
