"""Settings: what config.yaml may say, what it says, and what the documents say of it."""

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from popularity.settings import SettingsError, canonical, half_lives, resolve_settings

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
MODEL_KEYS = SCHEMA["$defs"]["model"]["properties"]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """config.yaml with other values at some dotted paths."""
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *parents, key = path.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return config


def fault(changes: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve_settings(changed(changes), SCHEMA)
    return str(caught.value)


def test_the_shipped_settings_are_complete_and_those_of_the_schema() -> None:
    settings = resolve_settings(CONFIG, SCHEMA)
    assert settings == resolve_settings({**CONFIG, "defaults": {}, "split": {}}, SCHEMA)
    assert set(CONFIG) == set(SCHEMA["properties"])
    assert set(CONFIG["defaults"]) == set(MODEL_KEYS)
    for key in ("dataset", "slot", "window", "gaps", "seeds", "training_threads"):
        assert CONFIG[key] == SCHEMA["properties"][key]["default"], key
    assert CONFIG["defaults"] == {key: entry["default"] for key, entry in MODEL_KEYS.items()}


def test_every_dataset_of_grouplens_and_the_demo_are_there() -> None:
    names = {"ml-latest", "ml-latest-small", "ml-32m", "ml-25m", "ml-20m", "ml-10m", "ml-1m", "ml-100k"}
    assert set(CONFIG["datasets"]) == {*names, "demo"}
    for name in names - {"ml-latest", "ml-latest-small"}:
        assert CONFIG["datasets"][name]["checksum"].startswith("md5:"), name


def test_every_key_of_the_schema_is_described_typed_and_closed() -> None:
    required = {"user", "item", "time", "method"} | set(
        SCHEMA["$defs"]["dataset"]["properties"]["simulate"]["required"]
    )
    # What has no value until it is given.
    optional = {"url", "size", "checksum", "licence", "requests", "catalogue", "columns", "rating"}
    for path, entry in GENERATE["keys"](SCHEMA, SCHEMA, ""):
        assert entry.get("description"), path
        assert "type" in entry or "enum" in entry, path
        if "properties" in entry:
            assert entry["additionalProperties"] is False, path
        key = path.rsplit(".", 1)[-1]
        if key not in required | optional | {"NAME", "simulate", "slots", "half_lives"}:
            assert "default" in entry, path


def test_the_documents_are_those_that_docs_generate_py_writes() -> None:
    for path, text in GENERATE["pages"]().items():
        assert path.read_text() == text, f"{path.name} is out of date: make docs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windw": 3}, "windw: no such setting; allowed here: baselines, cache, compare, data, dataset, "),
        ({"cache.sizes": [0]}, "cache.sizes.0: found 0; allowed: more than 0"),
        (
            {"cache.policies": ["lru"]},
            'cache.policies.0: found "lru"; allowed: "LRU", "LFU", "ARC", "W-TinyLFU", "S3-FIFO", "SIEVE"',
        ),
        (
            {"cache.mixture.policy": "Belady"},
            'cache.mixture.policy: found "Belady"; allowed: "LRU", "LFU", "ARC"',
        ),
        (
            {"cache.mixture.forecast": "oracle"},
            'cache.mixture.forecast: found "oracle"; allowed: best, all_time_count, ',
        ),
        ({"cache.forecasts": ["lstn"]}, 'cache.forecasts: found "lstn"; allowed: all_time_count, '),
        ({"forecast.slots": 0}, "forecast.slots: found 0; allowed: at least 1"),
        ({"forecast.interval": 1}, "forecast.interval: found 1; allowed: less than 1"),
        ({"models.lstm.unit": 8}, "models.lstm.unit: no such setting; allowed here: batch_size, "),
        ({"models.lstm.convolution": {"size": 3}}, "models.lstm.convolution.size: no such setting; "),
        ({"slot": "fortnight"}, 'slot: found "fortnight"; allowed: "hour", "day", "week", "month", "year"'),
        ({"window": 0}, "window: found 0; allowed: at least 1"),
        ({"window": "14"}, 'window: found "14"; allowed: integer'),
        ({"split.test": 0.6}, "split.test: found 0.6; allowed: at most 0.5"),
        ({"split.test": 0}, "split.test: found 0; allowed: more than 0"),
        ({"models.gru.dropout": 1}, "models.gru.dropout: found 1; allowed: less than 1"),
        (
            {"models.gru.cell": "grru"},
            'models.gru.cell: found "grru"; allowed: "lstm", "gru", "simple_rnn"',
        ),
        ({"models.gru.layers": []}, "models.gru.layers: found []; allowed: at least 1 entries"),
        ({"models.a;b": {}}, 'models: found "a;b"; allowed: text of the form ^[A-Za-z0-9]'),
        ({"seeds": [1, 1]}, "seeds: found [1, 1]; allowed: each entry once"),
        ({"defaults.features": ["log_cuont"]}, 'defaults.features.0: found "log_cuont"; allowed: text of'),
        (
            {"datasets.ml-1m.checksum": "1234"},
            'datasets.ml-1m.checksum: found "1234"; allowed: text of the',
        ),
        ({"datasets.x": {"columns": {"user": "u"}}}, "datasets.x.columns: found"),
        ({"dataset": "ml-99m"}, 'dataset: found "ml-99m"; allowed: an entry of datasets (demo, ml-100k, '),
        ({"datasets.x": {"format": "csv"}}, "datasets.x: found"),
        (
            {"datasets.x": {"url": "a.zip", "requests": "b.csv"}},
            "datasets.x.requests: found without columns",
        ),
        ({"datasets.demo.simulate.first_date": "2017-13-01"}, "datasets.demo.simulate.first_date: found "),
        ({"datasets.demo.simulate.first_date": "2027-01-01"}, "allowed: a first date before the last"),
        ({"split.test": 0.5, "split.validation": 0.5}, "split: found"),
        ({"models.lstm.features": ["log_age"]}, "allowed: at least one of label_n, log_count"),
        ({"models.lstm.loss": "mse"}, "models.lstm.offset: found"),
        ({"baselines.ewma": None}, 'offset: found "ewma", but no entry of baselines has that method'),
        ({"baselines.moving_average": {"method": "moving_average"}}, "moving_average: slots, needed"),
        ({"baselines.last_value.slots": 3}, "allowed with the method last_value: nothing else"),
        (
            {
                "dataset": "own",
                "data.shards": 2,
                "datasets.own": {"url": "a.zip", "columns": {"user": "u", "item": "i", "time": "t"}},
            },
            "data.shards: found 2 with a dataset that has columns; allowed: 1",
        ),
        ({"models.ewma": {}}, "models.ewma: found a name that is taken"),
        ({"models.best": {}}, "models.best: found a name that is taken"),
        (
            {"forecast.model": "lstmm"},
            'forecast.model: found "lstmm"; allowed: best, cnn_lstm, course_lstm, ',
        ),
        ({"dataset": "demo", "window": 900}, "models.gru.window: found 900; allowed: less than the 638"),
        ({"dataset": "demo", "slot": "month", "window": 21}, "less than the 20 training slots of demo"),
    ],
)
def test_a_wrong_setting_is_told_by_path_with_what_was_found_and_is_allowed(
    changes: dict[str, Any], message: str
) -> None:
    assert message in fault(changes)


def test_all_wrong_settings_are_told_at_once() -> None:
    assert len(fault({"window": 0, "slot": "age", "models.lstm.unit": 1}).splitlines()) == 3


def test_models_are_their_own_settings_then_the_defaults() -> None:
    changes = {"defaults.epochs": 7, "models.gru.epochs": 9, "models.lstm": None, "window": 5}
    settings = resolve_settings(changed(changes), SCHEMA)
    assert set(settings["models"]) == {"gru", "cnn_lstm", "course_lstm"}
    assert [settings["models"][name]["epochs"] for name in ("cnn_lstm", "gru")] == [7, 9]
    assert [settings["models"][name]["window"] for name in ("gru", "course_lstm")] == [5, 3]
    assert settings["models"]["cnn_lstm"]["convolution"] == {"filters": 32, "kernel_size": 3, "dilation": 1}
    assert settings["datasets"]["ml-20m"]["format"] == "csv"
    assert half_lives(settings) == CONFIG["baselines"]["ewma"]["half_lives"]


def test_equal_settings_have_one_canonical_form() -> None:
    assert canonical({"b": [8.0, 0.5], "a": {"d": True, "c": None}}) == canonical(
        {"a": {"c": None, "d": True}, "b": [8, 0.5]}
    )
    assert canonical({"a": 1}) != canonical({"a": 1.5})
    assert json.loads(canonical({"x": "é; 'q'"})) == {"x": "é; 'q'"}
