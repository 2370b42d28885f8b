"""Settings: what config.yaml may say, what it says, and what the documents say of it."""

import copy
import dataclasses
import datetime
import json
import math
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from popularity.settings.baselines import Baseline
from popularity.settings.fields import SettingsError, as_json, canonical
from popularity.settings.model import Convolution
from popularity.settings.resolve import offset_baseline, resolve_settings
from popularity.settings.schema import keys
from popularity.settings.values import repeated_keys

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))
MODEL_KEYS = SCHEMA["$defs"]["model"]["properties"]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """config.yaml with other values at some dotted paths."""
    config: dict[str, Any] = copy.deepcopy(CONFIG)
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


def test_null_leaves_an_entry_out() -> None:
    found = resolve_settings(changed({"baselines.ridge": None, "models.gru": None}), SCHEMA)
    assert not {"ridge"} & set(found.baselines)
    assert not {"gru"} & set(found.models)


def test_null_leaves_a_setting_of_a_search_or_a_sweep_out() -> None:
    own = {"batch_size": [128, 256], "layers": None, "dropout": None, "learning_rate": None}
    found = resolve_settings(
        changed({f"search.space.{name}": value for name, value in own.items()}), SCHEMA
    )
    assert found.search.space == {"batch_size": (128, 256)}
    sweep = {"grid": {"dropout": [0.1, 0.2], "layers": None}}
    models = resolve_settings(changed({"sweeps.mine": sweep}), SCHEMA).models
    assert {name for name in models if name.startswith("mine")} == {"mine.dropout-0.1", "mine.dropout-0.2"}


@pytest.mark.parametrize("key", ["search.space", "sweeps.mine.grid"])
def test_a_search_and_a_sweep_need_a_setting(key: str) -> None:
    changes: dict[str, Any] = {"sweeps.mine": {"grid": {"dropout": [0.1]}}}
    names = CONFIG["search"]["space"] if key == "search.space" else ["dropout"]
    changes |= {f"{key}.{name}": None for name in names}
    with pytest.raises(SettingsError, match=f"{key}: found nothing but null; allowed: at least 1 entry"):
        resolve_settings(changed(changes), SCHEMA)


@pytest.mark.parametrize(
    ("written", "meant"), [("1e-3", "0.001"), ("5E-7", "5.0e-07"), ("1e3", "1000.0"), ("-2e1", "-20.0")]
)
def test_a_number_that_is_a_text_for_yaml_is_shown_as_yaml_wants_it(written: str, meant: str) -> None:
    value = yaml.safe_load(written)
    assert value == written
    with pytest.raises(SettingsError) as error:
        resolve_settings(changed({"defaults.learning_rate": value}), SCHEMA)
    told = f'defaults.learning_rate: found "{written}"; allowed: number, which {written} is not for YAML: '
    assert str(error.value) == f"{told}write {meant}"
    assert yaml.safe_load(meant) == float(written)


def test_texts_in_lists_are_the_numbers_that_they_stand_for() -> None:
    # Snakemake gives the members of a list on the command line (--config seeds=[1,2]) as texts.
    grid = {"rates": {"model": "lstm", "grid": {"learning_rate": ["0.1", "0.02"]}}}
    texts = changed({"seeds": ["1", "2"], "cache.sizes": ["0.5", "1"], "sweeps": grid})
    texts["baselines"]["ewma"]["half_lives"] = ["1", "2.5"]
    found = resolve_settings(texts, SCHEMA)
    grid = {"rates": {"model": "lstm", "grid": {"learning_rate": [0.1, 0.02]}}}
    numbers = changed({"seeds": [1, 2], "cache.sizes": [0.5, 1], "sweeps": grid})
    numbers["baselines"]["ewma"]["half_lives"] = [1, 2.5]
    assert canonical(found) == canonical(resolve_settings(numbers, SCHEMA))
    assert texts["seeds"] == ["1", "2"]
    assert "seeds.0: found" in fault({"seeds": ["one"]})
    assert "seeds.0: found -1" in fault({"seeds": ["-1"]})
    assert "cache.sizes.0: found inf" in fault({"cache.sizes": [".inf"]})


def test_a_name_that_yaml_takes_for_a_number_is_to_be_quoted() -> None:
    with pytest.raises(SettingsError) as error:
        resolve_settings(changed({"dataset": yaml.safe_load("2015_01")}), SCHEMA)
    hint = "in a file (--configfile) put it in quotes, --config can not say it"
    assert str(error.value) == f"dataset: found 201501; allowed: string; {hint}"


def comments(text: str) -> dict[str, str]:
    """The comment right above each key of a YAML file, by the key's dotted path."""
    path: list[str] = []
    block: list[str] = []
    found = {}
    for line in text.splitlines():
        if comment := re.match(r" *# ?(.*)", line):
            block.append(comment[1])
            continue
        if key := re.match(r"( *)([\w-]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            found[".".join(path)] = " ".join(" ".join(block).split())
        block = []
    return found


def test_comments_of_config_yaml_say_what_the_settings_mean() -> None:
    meanings = {path: entry["description"] for path, entry in keys(SCHEMA, SCHEMA)}
    found = comments((ROOT / "config.yaml").read_text(encoding="utf-8"))
    commented = [path for path in found if path in meanings and not path.startswith("datasets.")]
    assert len(commented) > 60
    for path in commented:
        assert found[path].startswith(meanings[path]), path


def test_every_dataset_of_grouplens_and_the_demo_are_there() -> None:
    names = {"ml-latest", "ml-latest-small", "ml-32m", "ml-25m", "ml-20m", "ml-10m", "ml-1m", "ml-100k"}
    assert set(CONFIG["datasets"]) == {*names, "demo"}
    for name in names - {"ml-latest", "ml-latest-small"}:
        assert CONFIG["datasets"][name]["checksum"].startswith("md5:"), name


def test_every_key_of_the_schema_is_described_typed_and_closed() -> None:
    required = {"user", "item", "time", "method", "grid", "low", "high"} | set(
        SCHEMA["$defs"]["dataset"]["properties"]["simulate"]["required"]
    )
    # What has no value until it is given.
    optional = {"url", "size", "checksum", "licence", "requests", "catalogue", "columns", "rating"}
    for path, entry in keys(SCHEMA, SCHEMA):
        assert entry.get("description"), path
        assert "type" in entry or "enum" in entry, path
        # A baseline is closed by its method.
        if "properties" in entry and path != "baselines.NAME":
            assert entry["additionalProperties"] is False, path
        key = path.rsplit(".", 1)[-1]
        if key not in required | optional | {"NAME", "simulate"}:
            assert "default" in entry, path


def test_every_method_of_baselines_is_described_and_closed() -> None:
    methods = {name: entry for name, entry in SCHEMA["$defs"]["methods"].items() if name != "$comment"}
    assert set(methods) == set(SCHEMA["$defs"]["baseline"]["properties"]["method"]["enum"])
    assert {entry["kind"] for entry in methods.values()} == {"naive", "learned", "reference"}
    for name, method in methods.items():
        assert method["additionalProperties"] is False, name
        assert method["properties"]["method"]["const"] == name
        for path, entry in keys(method, SCHEMA):
            assert entry.get("description"), (name, path)
            key = path.rsplit(".", 1)[-1]
            assert key in {*method.get("required", []), "method"} or "default" in entry, (name, path)


def test_the_documents_are_those_that_docs_generate_py_writes() -> None:
    for path, text in GENERATE["pages"]().items():
        assert path.read_text() == text, f"{path.name} is out of date: make docs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"windw": 3},
            "windw: no such setting; allowed here: backend, backtest, baselines, cache, compare, data, ",
        ),
        ({"cache.sizes": [0]}, "cache.sizes.0: found 0; allowed: more than 0"),
        # Words are no markup.
        ({"datasets.demo.words": {"item": "link_"}}, 'datasets.demo.words.item: found "link_"; allowed: '),
        ({"datasets.demo.words": {"request": "*"}}, 'datasets.demo.words.request: found "*"; allowed: '),
        (
            {"cache.policies": ["lru"]},
            'cache.policies.0: found "lru"; allowed: "LRU", "LFU", "ARC", "LIRS", "W-TinyLFU", "S3-FIFO"',
        ),
        (
            {"cache.mixture.policy": "Belady"},
            'cache.mixture.policy: found "Belady"; allowed: "LRU", "LFU", "ARC"',
        ),
        (
            {"cache.mixture.forecast": "oracle"},
            'cache.mixture.forecast: found "oracle"; allowed: best, all_time_share, ',
        ),
        ({"cache.forecasts": ["lstn"]}, 'cache.forecasts: found "lstn"; allowed: all_time_share, '),
        ({"forecast.slots": 0}, "forecast.slots: found 0; allowed: at least 1"),
        ({"forecast.interval": 1}, "forecast.interval: found 1; allowed: less than 1"),
        ({"models.lstm.unit": 8}, "models.lstm.unit: no such setting; allowed here: batch_size, "),
        ({"models.lstm.convolution": {"size": 3}}, "models.lstm.convolution.size: no such setting; "),
        (
            {"slot": "fortnight"},
            'slot: found "fortnight"; allowed: "5min", "10min", "15min", "20min", "30min", "hour", "day", ',
        ),
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
        ({"models.a\nb": {}}, 'models: found "a\\nb"; allowed: text of the form'),
        ({"models.a\n": {}}, 'models: found "a\\n"; allowed: text of the form'),
        ({"models.a b": {}}, 'models: found "a b"; allowed: text of the form'),
        ({"datasets.'x'": {"url": "x.zip"}}, "datasets: found \"'x'\"; allowed: text of the form"),
        ({"datasets...": {"url": "x.zip"}}, "datasets: found"),
        ({"models." + "a" * 101: {}}, "allowed: at most 100 characters"),
        ({"data.on_bad_rows": "ignore"}, 'data.on_bad_rows: found "ignore"; allowed: "error", "drop"'),
        ({"data.max_unpacked_gb": 0}, "data.max_unpacked_gb: found 0; allowed: more than 0"),
        (
            {"datasets.x": {"url": "resources/x.zip"}},
            'datasets.x.url: found "resources/x.zip", where the wo',
        ),
        (
            {"datasets.x": {"url": "./resources/../resources"}},
            "writes its own copy, resources/x.zip; allowed",
        ),
        ({"datasets.x": {"url": "."}}, "so move the file or folder and give its new place"),
        ({"datasets.x": {"url": "~nosuchuser/x.zip"}}, "allowed: a path that can be told"),
        ({"seeds": [1, 1]}, "seeds: found [1, 1]; allowed: each entry once"),
        ({"defaults.features": ["log_cuont"]}, 'defaults.features.0: found "log_cuont"; allowed: text of'),
        (
            {"datasets.ml-1m.checksum": "1234"},
            'datasets.ml-1m.checksum: found "1234"; allowed: text of the',
        ),
        (
            {"datasets.x": {"columns": {"user": "u"}}},
            "datasets.x.columns.item: missing; allowed: the name of the column",
        ),
        ({"dataset": "ml-99m"}, 'dataset: found "ml-99m"; allowed: an entry of datasets (demo, ml-100k, '),
        ({"datasets.x": {"format": "csv"}}, "datasets.x: found"),
        (
            {"datasets.x": {"url": "a.zip", "requests": "b.csv"}},
            "datasets.x.requests: found without columns",
        ),
        ({"datasets.demo.simulate.first_date": "2017-13-01"}, "datasets.demo.simulate.first_date: found "),
        ({"datasets.demo.simulate.first_date": "2027-01-01"}, "allowed: a first date before the last"),
        ({"split.test": 0.5, "split.validation": 0.5}, "split: found"),
        ({"backtest.folds": 6}, "backtest.folds: found 6; allowed: at most 5, which leave some training"),
        ({"backtest.folds": 0}, "backtest.folds: found 0; allowed: at least 1"),
        (
            {"dataset": "demo", "backtest.folds": 5, "window": 100},
            "models.gru.window: found 100; allowed: less than the 91 training slots of demo",
        ),
        ({"models.lstm.features": ["log_age"]}, "allowed: at least one of label_n, log_count"),
        (
            {"models.lstm.output": "every_step", "models.lstm.gaps": "observed"},
            "found every_step with the gaps observed; allowed: last_step, or the gaps calendar",
        ),
        (
            {"models.lstm.input": "all_movies", "models.lstm.gaps": "observed"},
            "models.lstm.input: found all_movies with the gaps observed",
        ),
        ({"models.lstm.output": "every_step", "models.lstm.window": 1}, "with a window of 1"),
        (
            {"models.lstm.output": "every_step", "models.lstm.bidirectional": True},
            "where a step would see the slot that it predicts; allowed: with last_step",
        ),
        ({"models.course_lstm.epochs": 60}, "models.course_lstm.score_at_epochs: found 70; allowed: up to"),
        ({"models.course_lstm.patience": 3}, "models.course_lstm.score_at_epochs: found with patience 3"),
        ({"sweeps.a": {"model": "x", "grid": {"cell": ["gru"]}}}, 'sweeps.a.model: found "x"; allowed: '),
        ({"sweeps.a": {"grid": {"cel": ["gru"]}}}, "sweeps.a.grid.cel: no such setting; allowed here"),
        ({"sweeps.a": {"grid": {"cell": ["lstn"]}}}, 'sweeps.a.grid.cell: found "lstn"; allowed: "lstm"'),
        ({"sweeps.a": {"grid": {}}}, "sweeps.a.grid: found {}; allowed: at least 1 entries"),
        ({"sweeps.a": {"grid": {"layers": [[1], [2], [1, 2, 3] * 60]}}}, "with names too long for a path"),
        ({"search.model": "x"}, 'search.model: found "x"; allowed: an entry of models'),
        ({"search.space": {"cel": ["gru"]}}, "search.space.cel: no such setting"),
        (
            {"search.space": {"dropout": {"low": 0.3, "high": 0.3}}},
            "; allowed: low below high",
        ),
        (
            {"search.space": {"weight_decay": {"low": 0, "high": 0.3, "log": True}}},
            "; allowed: low above 0 with log",
        ),
        ({"backend": "theano"}, 'backend: found "theano"; allowed: "tensorflow", "torch", "jax"'),
        (
            {"baselines.mixture": None},
            'offset: found "mixture", but no entry of baselines has that method',
        ),
        (
            {"baselines.ewma_mix": None, "models.gru.offset": "ewma_mix"},
            'models.gru.offset: found "ewma_mix", but no entry of baselines has that method',
        ),
        (
            {"baselines.mixture": None},
            'baselines.lightgbm_offset.offset: found "mixture", but no entry of baselines has that method',
        ),
        (
            {"baselines.ridge.offset": "none"},
            "the method ridge: lags, needed; penalties, needed; training_",
        ),
        ({"baselines.lightgbm.features": ["log_cuont"]}, 'features.0: found "log_cuont"; allowed: text of'),
        ({"baselines.ewma_mix.long": [3]}, "baselines.ewma_mix.short: found [3, 7, 10"),
        ({"baselines.ewma_mix.weights": [1]}, "weights.0: found 1; allowed: less than 1"),
        ({"baselines.ewma.short": [3]}, "the method ewma: half_lives, needed; uniform_share"),
        ({"baselines.moving_average": {"method": "moving_average"}}, "moving_average: slots, needed"),
        ({"baselines.last_value.slots": 3}, "allowed with the method last_value: nothing else"),
        (
            {
                "dataset": "own",
                "data.shards": 2,
                "datasets.own": {"url": "a.zip", "columns": {"user": "u", "item": "i", "time": "t"}},
            },
            "data.shards: found 2 with a log that is not MovieLens'; allowed: 1",
        ),
        ({"models.ewma": {}}, "models.ewma: found a name that is taken"),
        ({"models.best": {}}, "models.best: found a name that is taken"),
        (
            {"forecast.model": "lstmm"},
            'forecast.model: found "lstmm"; allowed: best, all_time_share, all_zero, ',
        ),
        ({"dataset": "demo", "window": 900}, "models.gru.window: found 900; allowed: less than the 638"),
        ({"dataset": "demo", "slot": "month", "window": 21}, "less than the 20 training slots of demo"),
    ],
)
def test_a_wrong_setting_is_told_by_path_with_what_was_found_and_is_allowed(
    changes: dict[str, Any], message: str
) -> None:
    assert message in fault(changes)


def test_a_link_to_the_copy_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.zip").symlink_to(tmp_path / "resources" / "x.zip")
    message = "datasets.x.url: found"
    assert message in fault({"datasets.x": {"url": "link.zip"}})
    assert message in fault({"datasets.x": {"url": str(tmp_path / "resources" / "x.zip")}})
    resolve_settings(changed({"datasets.x": {"url": "resources/y.zip"}}), SCHEMA)
    # The copy may have been made as a link to it: only the link is written anew.
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "x.zip").symlink_to(tmp_path / "mine.zip")
    resolve_settings(changed({"datasets.x": {"url": "mine.zip"}}), SCHEMA)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner),
    max_leaves=5,
)
PATHS = [path.replace("NAME", name) for path, _ in keys(SCHEMA, SCHEMA) for name in ("x", "demo")]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(PATHS), ANYTHING, min_size=1, max_size=3))
def test_whatever_the_settings_are_they_are_resolved_or_told_of(changes: dict[str, Any]) -> None:
    try:
        resolve_settings(changed(changes), SCHEMA)
    except (AttributeError, TypeError) as error:
        # Of `changed`, that finds no place for a key below a value that is none.
        assert error.__traceback__ is not None
        assert error.__traceback__.tb_next.tb_frame.f_code.co_name == "changed"  # type: ignore[union-attr]
    except SettingsError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split.test": math.nan}, "split.test: found nan; allowed: a finite number"),
        ({"forecast.interval": math.nan}, "forecast.interval: found nan"),
        ({"data.max_unpacked_gb": math.nan}, "data.max_unpacked_gb: found nan"),
        ({"models.lstm.learning_rate": math.inf}, "models.lstm.learning_rate: found inf"),
        ({"baselines.ewma.half_lives": [1, math.nan]}, "baselines.ewma.half_lives.1: found nan"),
        ({"baselines.ewma.half_lives": [1e-320]}, "half_lives.0: found 1e-320; allowed: at least 0.01"),
        ({"baselines.moving_average_3.slots": 10**20}, "slots: found 1e+20; allowed: numbers up to 1e+15"),
        ({"baselines.moving_average_3.slots": 10**14}, "allowed: at most 1000000"),
        ({"defaults.features": ["log_count", "ewma_0"]}, 'features.1: found "ewma_0"'),
        ({"datasets.demo.simulate.first_date": datetime.date(2015, 1, 1)}, "found a date (datetime.date("),
        ({"compare": b"x"}, "compare: found a bytes (b'x'); allowed: what JSON has"),
        ({"seeds": {1, 2}}, "seeds: found a set ({1, 2})"),
        ({"compare": "a\0b"}, "compare: found a text with a NUL"),
        ({"models": {1: {}}}, "models: found the key 1; allowed: texts"),
    ],
)
def test_values_that_no_setting_has_are_told_by_path(changes: dict[str, Any], message: str) -> None:
    assert message in fault(changes)


def test_a_sweep_of_very_many_models_has_to_be_asked_for() -> None:
    grid = {"epochs": list(range(1, 41)), "batch_size": list(range(1, 41))}
    many = {"sweeps.a": {"model": "lstm", "grid": grid}}
    told = "sweeps.a.grid: found 1600 models; allowed: 1000, unless max_models says more"
    assert told in fault(many)
    settings = resolve_settings(changed({**many, "max_models": 1600, "models.course_lstm": None}), SCHEMA)
    assert len(settings.models) == 1603


def test_a_key_that_stands_twice_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("slot: day\nmodels:\n  lstm: {cell: gru}\n  gru: {}\n  lstm: {}\nslot: week\n")
    told = repeated_keys(file)
    assert [line.removeprefix(str(file)).split(";")[0] for line in told] == [
        ", line 6: slot stands there twice",
        ", line 5: lstm stands there twice",
    ]
    assert repeated_keys(ROOT / "config.yaml") == []
    file.write_text("a: [1\n")
    assert repeated_keys(file) == []


def test_all_wrong_settings_are_told_at_once() -> None:
    assert len(fault({"window": 0, "slot": "age", "models.lstm.unit": 1}).splitlines()) == 3


def test_models_are_their_own_settings_then_the_defaults() -> None:
    changes = {"defaults.epochs": 7, "models.gru.epochs": 9, "models.lstm": None, "window": 5}
    settings = resolve_settings(changed(changes), SCHEMA)
    assert set(settings.models) == {"gru", "cnn_lstm", "course_lstm"}
    assert [settings.models[name].epochs for name in ("cnn_lstm", "gru")] == [7, 9]
    assert [settings.models[name].window for name in ("gru", "course_lstm")] == [5, 3]
    assert settings.models["cnn_lstm"].convolution == Convolution(32, 3, 1)
    assert settings.datasets["ml-20m"].format is None
    assert as_json(offset_baseline(settings, "ewma")) == CONFIG["baselines"]["ewma"]


def test_a_season_is_a_day_of_hours_a_week_of_days_or_a_year() -> None:
    found = {}
    for slot in ("hour", "day", "week", "month", "year"):
        settings = resolve_settings(changed({"slot": slot}), SCHEMA)
        found[slot] = settings.baselines["seasonal_naive"].options["season"]
    assert found == {"hour": 24, "day": 7, "week": 52, "month": 12, "year": 1}
    chosen = resolve_settings(changed({"baselines.seasonal_naive.season": 168}), SCHEMA)
    assert chosen.baselines["seasonal_naive"].options["season"] == 168


def test_an_offset_is_chosen_as_the_baseline_of_its_name_whatever_the_order() -> None:
    settings = resolve_settings(CONFIG, SCHEMA)
    backwards = dataclasses.replace(settings, baselines=dict(reversed(settings.baselines.items())))
    for offset in ("ewma", "ewma_mix"):
        chosen = offset_baseline(settings, offset)
        assert offset_baseline(backwards, offset) == chosen
        assert as_json(chosen) == CONFIG["baselines"][offset]
    others = {name: Baseline("ewma", {"half_lives": [at]}) for at, name in enumerate("ba", 1)}
    replaced = dataclasses.replace(settings, baselines=others)
    assert offset_baseline(replaced, "ewma") == others["a"]
    assert offset_baseline(replaced, "none") is None


def test_each_loss_has_an_offset_and_each_framing_its_settings() -> None:
    for loss in MODEL_KEYS["loss"]["enum"]:
        resolve_settings(changed({"models.x": {"loss": loss, "offset": "ewma"}}), SCHEMA)
    for model in (
        {"output": "every_step", "bidirectional": True, "cell": "none"},
        {"output": "last_step", "bidirectional": True},
        {"input": "all_movies", "output": "every_step", "window": 2},
        {"score_at_epochs": [20, 2], "epochs": 20, "patience": None},
    ):
        resolve_settings(changed({"models.x": model}), SCHEMA)


def test_equal_settings_have_one_canonical_form() -> None:
    assert canonical({"b": [8.0, 0.5], "a": {"d": True, "c": None}}) == canonical(
        {"a": {"c": None, "d": True}, "b": [8, 0.5]}
    )
    assert canonical({"a": 1}) != canonical({"a": 1.5})
    assert json.loads(canonical({"x": "é; 'q'"})) == {"x": "é; 'q'"}


def test_a_sweep_makes_a_model_of_each_combination() -> None:
    grid = {"learning_rate": [0.001, 0.01], "layers": [[16], [32, 16]], "convolution": [{"filters": 4}]}
    settings = resolve_settings(changed({"sweeps.rate": {"model": "gru", "grid": grid}}), SCHEMA)
    names = [
        f"rate.learning_rate-{rate}.layers-{layers}.convolution-filters-4"
        for rate in (0.001, 0.01)
        for layers in ("16", "32-16")
    ]
    assert set(settings.models) == {"lstm", "gru", "cnn_lstm", "course_lstm", *names}
    expected = dataclasses.replace(
        settings.models["gru"], learning_rate=0.01, layers=(32, 16), convolution=Convolution(4, 3, 1)
    )
    assert settings.models[names[3]] == expected
    alone = resolve_settings(changed({"sweeps.a": {"grid": {"window": [3]}}}), SCHEMA)
    assert alone.models["a.window-3"] == dataclasses.replace(alone.defaults, window=3)
    assert resolve_settings(changed({"sweeps.rate": None}), SCHEMA).sweeps == {}
