"""Which forecast is the best one, and whether it is clearly better than another."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

#: Kinds of forecasts that learn, as opposed to naive ones and to references.
MODELS = ("network", "learned")
#: Columns of the leaderboard: ratio of the cross entropy to the best naive forecast's, and its interval.
RATIO = ["cross_entropy_ratio", "ratio_low", "ratio_high"]

Outcome = Literal["better", "worse", "level"]


def covers_most(covered: "pd.Series[float]") -> "pd.Series[bool]":
    """Find the forecasts that cover as much as any.

    A forecast of fewer movies has an easier task, so that its scores are no match for the others'.

    Parameters
    ----------
    covered
        By forecast, the share of all requests that go to movies it gives a share to.
    """
    return covered > covered.max() - 1e-9


#: Columns of scores that :func:`best_on_validation` needs.
CHOSEN_BY = ("log_loss", "covered", "requests")


def best_on_validation(scored: pd.DataFrame, names: Collection[str]) -> str:
    """Name the forecast with the lowest cross entropy on the validation slots.

    References, which know the future, are left out, and forecasts that cover fewer movies than others
    (:func:`covers_most`). Seeds and folds of a forecast count together.

    Parameters
    ----------
    scored
        Rows of ``score_slot`` with ``name``, ``kind`` and ``split``.
    names
        The forecasts to choose from: there may be rows of others.
    """
    chosen = scored["name"].isin(list(names)) & (scored["kind"] != "reference")
    rows = scored[chosen & (scored["split"] == "validation")]
    sums = rows.groupby("name")[["log_loss", "covered", "requests"]].sum()
    sums = sums[covers_most(sums["covered"] / sums["requests"])]
    return str((sums["log_loss"] / sums["covered"]).idxmin())


def outcome(low: float, high: float, even: float, more_is_better: bool = False) -> Outcome:
    """Say whether an interval lies on one side of ``even``, where neither of two forecasts is better."""
    if more_is_better:
        low, high, even = -high, -low, -even
    if high < even:
        return "better"
    return "worse" if low > even else "level"


@dataclass(frozen=True)
class Verdict:
    """A model beside the best naive forecast, on the test slots.

    Attributes
    ----------
    model, naive
        Their rows of the leaderboard.
    ratio, low, high
        Ratio of the model's cross entropy to the naive forecast's, and its 95 % interval.
    """

    model: "pd.Series[Any]"
    naive: "pd.Series[Any]"
    ratio: float
    low: float
    high: float

    @property
    def outcome(self) -> Outcome:
        """Whether the model is better."""
        return outcome(self.low, self.high, 1.0)

    @property
    def change(self) -> str:
        """By how much the cross entropies differ, as a percentage."""
        return f"{100 * abs(self.ratio - 1):.2g} %"


def best_naive(board: pd.DataFrame) -> "pd.Series[Any] | None":
    """Find a leaderboard's row of the naive forecast that is best on the validation slots.

    Returns
    -------
    None where the leaderboard has no ratios or no naive forecast.
    """
    naives = board[board["kind"] == "naive"]
    if not set(RATIO) <= set(board) or naives.empty:
        return None
    # All ratios are to this one: its own is 1.
    return naives.iloc[int((naives["cross_entropy_ratio"] - 1).abs().argmin())]


def judge(board: pd.DataFrame, name: str | None = None) -> Verdict | None:
    """Compare a model of a leaderboard with the best naive forecast, by the test slots.

    Parameters
    ----------
    name
        The forecast to compare, of any kind. If not given, the model with the lowest cross entropy on the
        validation slots, of those that cover most (:func:`covers_most`): what the test slots would choose,
        they would favour by chance.

    Returns
    -------
    None where the leaderboard has no ratios, no model, or no naive forecast.
    """
    of_kind = board["kind"].isin(MODELS) if name is None else board["name"] == name
    models = board[of_kind].dropna(subset=["cross_entropy", "validation_cross_entropy"])
    naive = best_naive(board)
    if naive is None or models.empty:
        return None
    if "covered_share" in models:
        models = models[covers_most(models["covered_share"])]
    model = models.sort_values("validation_cross_entropy").iloc[0]
    return Verdict(model, naive, *(float(model[column]) for column in RATIO))
