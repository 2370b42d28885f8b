"""What holds for every forecaster without a network, present and future: those that are registered."""

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from popularity.forecasters.averages import OffsetMethod
from popularity.forecasters.base import (
    METHODS,
    Fitted,
    FittingData,
    Forecaster,
    LearnedMethod,
    Method,
    SimpleMethod,
    method_of,
)
from popularity.series import Series
from popularity.settings.baselines import Baseline
from popularity.settings.fields import as_json, canonical, parse
from small_forecasters import entry_of
from small_logs import FIRST_SLOT, NOW, catalogue_of, log_of, other_futures, random_log, series_of
from workdir import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
#: Each method with the settings that config.yaml ships for it, but few rows to learn from.
ENTRIES = {
    entry["method"]: Baseline.from_json(
        {**entry, **({"training_rows": 400} if "training_rows" in entry else {})}
    )
    for entry in CONFIG["baselines"].values()
}
COMPETITORS = [name for name, method in METHODS.items() if method.kind != "reference"]
LOG = random_log(movies=15)
#: Slots before :data:`NOW`, of which the last few choose.
TRAINING, VALIDATION = range(FIRST_SLOT, NOW - 8), range(NOW - 8, NOW)


def built(name: str, log: pd.DataFrame, seed: int = 1) -> tuple[Series, Forecaster, Any]:
    """Fit a method to a log before :data:`NOW`, and what was chosen, as JSON has it."""
    series = series_of(log)
    entry = ENTRIES[name]
    options = {field.name for field in dataclasses.fields(METHODS[name])}  # type: ignore[arg-type]
    for option, seasons in (("season", 7), ("seasons", [7])):
        if option in options:
            entry = entry_of(name, **{**entry.options, option: seasons})
    method = method_of(entry, Method)
    if isinstance(method, LearnedMethod):
        offset = ENTRIES.get(entry.options.get("offset", "none"))
        average = None if offset is None else method_of(offset, OffsetMethod).offset(series, VALIDATION)
        catalogue = catalogue_of(LOG)
        data = FittingData(series, catalogue, "day", TRAINING, VALIDATION, average, (7,), seed, 1)
        fitted = method.fit(data)
        # What is found comes back from JSON as it was.
        kept = parse(Fitted, json.loads(canonical(fitted)))
        assert kept == fitted
        return series, method.forecaster(data, kept), as_json(fitted)
    assert isinstance(method, SimpleMethod)
    parameters = method.tune(series, VALIDATION)
    # What is chosen comes back from JSON as it was.
    kept = json.loads(canonical(parameters))
    assert method.parameters_of({**kept, "kind": "naive"}) == parameters
    return series, method.forecaster(series, parameters), kept


def test_config_yaml_ships_every_method() -> None:
    assert set(ENTRIES) == set(METHODS)
    assert {method.kind for method in METHODS.values()} == {"naive", "learned", "reference"}


@pytest.mark.parametrize("name", METHODS)
def test_settings_come_back_from_json_as_they_were(name: str) -> None:
    method = method_of(ENTRIES[name], Method)
    assert parse(METHODS[name], json.loads(canonical(method))) == method


@pytest.mark.parametrize("name", COMPETITORS)
@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied", "rated anew"])
def test_no_slot_from_the_predicted_one_on_is_used(name: str, future: str) -> None:
    made = []
    for log in (LOG, other_futures(LOG)[future]):
        series, forecaster, chosen = built(name, log)
        movies = series.candidates(NOW)
        made.append((chosen, series.movie_ids[movies].tolist(), forecaster(NOW, movies).tolist()))
    assert made[0] == made[1]


@pytest.mark.parametrize("name", METHODS)
def test_shares_are_finite_and_not_negative(name: str) -> None:
    series, forecaster, _ = built(name, LOG)
    # A reference sees the slot, which has to have requests.
    for slot in series.requested_slots(range(NOW, series.last_slot + 1)).tolist()[:3]:
        movies = series.candidates(slot)
        shares = forecaster(slot, movies)
        assert shares.shape == movies.shape
        assert shares.dtype == np.float64
        assert np.isfinite(shares).all()
        assert (shares >= 0).all()
        assert shares.sum() < 1 + 1e-9 or METHODS[name].kind == "learned"


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_forecast(name: str) -> None:
    (series, first, _), (_, again, _) = built(name, LOG, 3), built(name, LOG, 3)
    slot = int(series.requested_slots(range(NOW, series.last_slot + 1))[0])
    movies = series.candidates(slot)
    assert first(slot, movies).tolist() == again(slot, movies).tolist()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("movies", [1, 2])
def test_a_log_of_one_movie_is_no_fault(name: str, movies: int) -> None:
    log = log_of(*((slot, 7 + movie, 2) for slot in range(FIRST_SLOT, NOW + 3) for movie in range(movies)))
    series, forecaster, _ = built(name, log)
    shares = forecaster(NOW, series.candidates(NOW))
    assert shares.shape == (movies,)
    assert np.isfinite(shares).all()


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].kind == "naive"])
def test_a_log_of_one_slot_is_no_fault(name: str) -> None:
    series = series_of(log_of((NOW - 1, 7, 2), (NOW - 1, 8, 1)))
    entry = ENTRIES[name]
    if name == "seasonal_naive":
        entry = entry_of(name, season=7)
    method = method_of(entry, SimpleMethod)
    forecaster = method.forecaster(series, method.tune(series, VALIDATION))
    assert np.isfinite(forecaster(NOW, series.candidates(NOW))).all()
