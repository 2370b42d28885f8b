"""The evaluation of a forecaster: which slots are scored."""

from collections.abc import Iterable, Iterator

import pytest

from popularity.forecasters.base import forecast_slots
from popularity.forecasters.references import oracle
from popularity.scoring.evaluation import evaluate
from popularity.scoring.scores import Forecast
from popularity.series import Ints
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

    def forecast(slots: Ints) -> Iterator[Forecast]:
        return forecast_slots(oracle(SERIES), SERIES, slots)

    def watch(forecasts: Iterable[Forecast], part: str) -> Iterator[Forecast]:
        for slot, movies, shares in forecasts:
            watched.setdefault(part, []).append(slot)
            yield slot, movies, shares

    found = evaluate(forecast, SERIES, PARTS, most, 0, "oracle", "reference", 0, watch)
    requested = {part: SERIES.requested_slots(PARTS[part]).tolist() for part in ("validation", "test")}
    validated = requested["validation"] if most > 10 else watched["validation"]
    assert len(validated) == min(most, len(requested["validation"]))
    assert set(validated) <= set(requested["validation"])
    assert watched == {"validation": validated, "test": requested["test"]}
    for part, slots in watched.items():
        assert found.scores.loc[found.scores["split"] == part, "slot"].tolist() == slots
        assert found.metrics[part]["slots"] == len(slots)
