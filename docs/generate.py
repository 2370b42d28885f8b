"""Write the schema of config.yaml, docs/settings.md and docs/features.md from the code they describe."""

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from popularity import caches, forecasters, slots  # noqa: E402
from popularity.features import (  # noqa: E402
    HALF_LIFE_FEATURES,
    OFFSET_FEATURES,
    SEASON_FEATURES,
    STATIC_FEATURES,
    STEP_FEATURES,
)
from popularity.forecasters.averages import OffsetMethod  # noqa: E402
from popularity.forecasters.base import METHODS  # noqa: E402
from popularity.forecasters.network import architecture, losses, training  # noqa: E402
from popularity.log.formats.base import load_formats  # noqa: E402
from popularity.settings.model import OWN  # noqa: E402
from popularity.settings.schema import (  # noqa: E402
    Method,
    Schema,
    SchemaWriter,
    settings_page,
    words_like,
    words_of,
)

SCHEMA = ROOT / "schemas" / "config.schema.yaml"
NOTE = "<!-- Written by docs/generate.py (make docs); change the code instead. -->"


def methods() -> dict[str, Method]:
    """Load every module of forecasters without a network, and list the methods that they register."""
    for module in pkgutil.iter_modules(forecasters.__path__):
        if not module.ispkg:
            importlib.import_module(f"{forecasters.__name__}.{module.name}")
    return {
        name: Method(kind, kind.kind, kind.__module__.rsplit(".", 1)[1])
        for name, kind in sorted(METHODS.items())
    }


def vocabularies() -> dict[str, Schema]:
    """List the words that settings may hold, from what implements them."""
    offsets = [name for name, kind in METHODS.items() if issubclass(kind, OffsetMethod)]
    online = [name for name, policy in caches.REACTIVE.items() if not policy.knows_future]
    with_number = [
        *(f"{name}_[1-9][0-9]{{0,5}}" for name in HALF_LIFE_FEATURES),
        "seasons",
        "season_[1-9][0-9]{0,5}",
        *OFFSET_FEATURES,
    ]
    return {
        "slot": words_of(slots.SLOTS),
        "format": words_of(load_formats()),
        "feature": words_like([*STEP_FEATURES, *with_number, *STATIC_FEATURES, OWN.strip("^$")]),
        "cell": words_of([*architecture.CELLS, "none"]),
        "loss": words_of(losses.LOSSES),
        "optimizer": words_of(training.OPTIMIZERS),
        "schedule": words_of(training.SCHEDULES),
        "offset": words_of([*sorted(offsets), "none"]),
        "policy": words_of(caches.REACTIVE),
        "online_policy": words_of(online),
    }


def schema() -> Schema:
    """Make the schema of config.yaml."""
    known = methods()
    made = SchemaWriter(vocabularies(), known).write()
    made["$defs"]["step_features"] = {"enum": list(STEP_FEATURES)}
    return made


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice in full, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write no anchors."""
        return True


def schema_file(made: Schema) -> str:
    """Write the schema as YAML."""
    text = yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return f"# Written by docs/generate.py (make docs) from the classes of settings.\n{text}"


def features_page() -> str:
    """Describe every feature."""
    static = {name: feature.meaning for name, feature in STATIC_FEATURES.items()}
    averages = {f"{name}_H": meaning for name, meaning in HALF_LIFE_FEATURES.items()}
    lines = [
        "# Features",
        "",
        NOTE,
        "",
        "What a model may be given to see (`defaults.features`, `models.NAME.features`). Each is computed",
        "from slots before the one that is predicted. A network needs at least one feature of the first",
        "table, which has a value for each slot of the window. A feature of your own is a function,",
        "`my_features.py:holiday`: see [own-network.md](own-network.md#a-feature-of-your-own).",
        "",
        "| for each slot of the window | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {feature.meaning} |" for name, feature in STEP_FEATURES.items()),
        "",
        "| once for the movie and the predicted slot | what it is |",
        "| --- | --- |",
        *(
            f"| `{name}` | {meaning} |"
            for name, meaning in {**averages, **SEASON_FEATURES, **OFFSET_FEATURES, **static}.items()
        ),
    ]
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """Make all files, by path."""
    made = schema()
    return {
        SCHEMA: schema_file(made),
        ROOT / "docs" / "settings.md": settings_page(made, NOTE),
        ROOT / "docs" / "features.md": features_page(),
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
