"""What settings may be made of: what JSON has, finite numbers, and keys that stand there once."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

#: Largest size of a number: more is no setting's, and some would not fit 64 bits.
LARGEST = 1e15


def value_faults(value: Any, path: str = "") -> Iterator[str]:
    """Find values that no setting may have, each with its path.

    That is a number that is none, infinite or larger than :data:`LARGEST`, a text with a NUL, and what YAML
    knows but JSON does not: dates, bytes, sets, and keys that are no texts.
    """
    here = path or "config"
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                yield f"{here}: found the key {key!r:.50}; allowed: texts, so put it in quotes"
            else:
                yield from value_faults(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from value_faults(member, f"{path}.{at}" if path else f"{at}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{here}: found {value}; allowed: a finite number"
    elif isinstance(value, int | float) and abs(value) > LARGEST:
        yield f"{here}: found {value:.3g}; allowed: numbers up to {LARGEST:.0e}"
    elif isinstance(value, str):
        if "\0" in value:
            yield f"{here}: found a text with a NUL; allowed: text without"
    elif value is not None and not isinstance(value, int | float):
        kind = type(value).__name__
        yield f"{here}: found a {kind} ({value!r:.50}); allowed: what JSON has, so put a text in quotes"


class _KeysOnce(yaml.SafeLoader):
    """Reads YAML, and remembers the keys that stand in a mapping more than once."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.faults: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                self.faults.append(f"line {key_node.start_mark.line + 1}: {key} stands there twice")
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def repeated_keys(file: Path) -> list[str]:
    """Find the keys that stand twice in one place of a YAML file, of which only the last would count."""
    loader = _KeysOnce(file.read_text(encoding="utf-8"))
    try:
        loader.get_single_data()
    except yaml.YAMLError:
        # Snakemake says what is wrong with it.
        return []
    finally:
        loader.dispose()
    return [f"{file}, {fault}; allowed: each key once, so leave one of them out" for fault in loader.faults]
