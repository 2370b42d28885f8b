"""The evaluation of forecasters: which slots are scored, and that each is scored as if alone."""

from collections.abc import Iterable, Iterator

import pandas as pd
import pytest

from popularity.forecasters.base import forecast_slots, forecast_together
from popularity.forecasters.references import oracle
from popularity.scoring.evaluation import evaluate
from popularity.scoring.scores import Forecast, Forecasts, score_forecasts
from popularity.series import Ints
from small_forecasters import ewma, fixed
from small_logs import FIRST_SLOT, NOW, random_log, series_of

SERIES = series_of(random_log(movies=15))
MIDDLE = (FIRST_SLOT + NOW) // 2
PARTS = {
    "training": range(FIRST_SLOT, MIDDLE - 10),
    "validation": range(MIDDLE - 10, MIDDLE),
    "test": range(MIDDLE, NOW),
}


@pytest.mark.parametrize("most", [4, 300])
def test_all_test_slots_are_scored_and_at_most_so_many_validation_slots(most: int) -> None:
    watched: dict[str, list[int]] = {}

    def forecast(slots: Ints) -> Iterator[Forecasts]:
        return forecast_together([oracle(SERIES)], SERIES, slots)

    def watch(forecasts: Iterable[Forecast], part: str) -> Iterator[Forecast]:
        for slot, movies, shares in forecasts:
            watched.setdefault(part, []).append(slot)
            yield slot, movies, shares

    (found,) = evaluate(forecast, SERIES, PARTS, most, 0, [("oracle", "reference", 0)], watch)
    requested = {part: SERIES.requested_slots(PARTS[part]).tolist() for part in ("validation", "test")}
    validated = requested["validation"] if most > 10 else watched["validation"]
    assert len(validated) == min(most, len(requested["validation"]))
    assert set(validated) <= set(requested["validation"])
    assert watched == {"validation": validated, "test": requested["test"]}
    for part, slots in watched.items():
        assert found.scores.loc[found.scores["split"] == part, "slot"].tolist() == slots
        assert found.metrics[part]["slots"] == len(slots)


def test_forecasters_side_by_side_are_scored_as_each_is_alone() -> None:
    forecasters = {
        "oracle": oracle(SERIES),
        "average": ewma(SERIES, 5),
        "count": fixed(SERIES, "all_time_count"),
    }
    seen: list[float] = []

    def watch(forecasts: Iterable[Forecast], part: str) -> Iterator[Forecast]:
        for slot, movies, shares in forecasts:
            seen.append(float(shares.max()))
            yield slot, movies, shares

    def forecast(slots: Ints) -> Iterator[Forecasts]:
        return forecast_together(list(forecasters.values()), SERIES, slots)

    whose = [(name, "naive", seed) for seed, name in enumerate(forecasters)]
    found = evaluate(forecast, SERIES, PARTS, 300, 3, whose, watch)
    assert [(one.name, one.seed) for one in found] == [("oracle", 0), ("average", 1), ("count", 2)]
    for one, forecaster in zip(found, forecasters.values(), strict=True):
        for part in ("validation", "test"):
            slots = SERIES.requested_slots(PARTS[part])
            alone = score_forecasts(SERIES, forecast_slots(forecaster, SERIES, slots), PARTS["training"], 3)
            pd.testing.assert_frame_equal(one.scored[part], alone)
    # The first one is watched.
    whole = [
        slot for part in ("validation", "test") for slot in SERIES.requested_slots(PARTS[part]).tolist()
    ]
    assert seen == [oracle(SERIES)(slot, SERIES.candidates(slot)).max() for slot in whole]
