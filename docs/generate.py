"""Write docs/settings.md and docs/features.md from the schema and the code they describe."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from popularity.features import STATIC_FEATURES, STEP_FEATURES  # noqa: E402

NOTE = "<!-- Written by docs/generate.py (make docs); change the schema or the code instead. -->"


def settings_page(schema: dict[str, Any]) -> str:
    """Tell every key of the schema: its path, type, bounds, default and meaning."""
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        "Every key that config.yaml may hold. `NAME` stands for a name of your own.",
        "",
        "| key | allowed | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for path, entry in keys(schema, schema, ""):
        default = f"`{json.dumps(entry['default'])}`" if "default" in entry else ""
        lines.append(f"| `{path}` | {allowed(entry)} | {default} | {entry['description']} |")
    return "\n".join([*lines, ""])


def keys(entry: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk the schema's keys, each with its path from the top."""
    members = dict(entry.get("properties", {}))
    if isinstance(entry.get("additionalProperties"), dict):
        members["NAME"] = entry["additionalProperties"]
    for name, member in members.items():
        if "$ref" in member:
            member = {**schema["$defs"][member["$ref"].rsplit("/", 1)[1]], **member}
        below = f"{path}.{name}" if path else name
        yield below, member
        # Entries of models have the keys of defaults, told once.
        if below != "models.NAME":
            yield from keys(member, schema, below)


def allowed(entry: dict[str, Any]) -> str:
    """Tell the type and bounds of a key in a few words."""
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(value)}`".replace('"', "") for value in entry["enum"])
    kind = entry["type"]
    words = [" or ".join(kind) if isinstance(kind, list) else kind]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words += [f"{sign} {entry[bound]}" for bound, sign in signs.items() if bound in entry]
    return " ".join(words)


def features_page() -> str:
    """Tell every feature."""
    lines = [
        "# Features",
        "",
        NOTE,
        "",
        "What a model may be given to see (`defaults.features`, `models.NAME.features`). Each is computed",
        "from slots before the one that is predicted. A network needs at least one feature of the first",
        "table, which has a value for each slot of the window.",
        "",
        "| for each slot of the window | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {meaning} |" for name, meaning in STEP_FEATURES.items()),
        "",
        "| once for the movie and the predicted slot | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {meaning} |" for name, meaning in STATIC_FEATURES.items()),
    ]
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """Make all pages, by path."""
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    return {
        ROOT / "docs" / "settings.md": settings_page(schema),
        ROOT / "docs" / "features.md": features_page(),
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)
