"""The numbers that the report begins with: what a cache would serve, how sure it is, what it is made of."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from popularity import style
from popularity.markup import plain
from popularity.mixture_words import families, family_name, following_words
from popularity.offsets import Mixture
from popularity.scoring.verdict import Verdict
from popularity.slots import Slot

#: A row of a table.
Row: TypeAlias = "pd.Series[Any]"
#: What was measured, and its value, in reStructuredText.
Number: TypeAlias = tuple[str, str]

#: What is read of cache.csv.
CACHE = (
    *("policy", "kind", "size", "bytes", "hit_ratio", "hit_ratio_low", "hit_ratio_high"),
    *("gain", "gain_low", "gain_high", "gain_over"),
)
#: What is read of forecast_check.json.
CHECK = (
    *("interval", "pairs", "coverage", "expected_coverage"),
    *("pairs_expected_1", "coverage_expected_1", "expected_coverage_expected_1"),
)
#: The size of the cache that the report begins with, or the nearest to it.
CACHE_SIZE = 0.05


@dataclass(frozen=True)
class Caches:
    """What caches of one size would have served, in shares of the requests of the test slots.

    Attributes
    ----------
    size
        Share of the catalogue, or of its bytes if ``in_bytes``.
    filled, rival, lru, reacting, oracle
        Rows of cache.csv, None where there is none: of the caches filled from the forecast and from the
        best naive forecast, of LRU, of another if that is the best that reacts to each request, and of the
        one that knew the requests.
    """

    size: float
    in_bytes: bool
    filled: "Row | None"
    rival: "Row | None"
    lru: "Row | None"
    reacting: "Row | None"
    oracle: "Row | None"

    @classmethod
    def of(cls, cache: pd.DataFrame, forecaster: str) -> "Caches":
        """Find them in cache.csv (see ``simulate_cache``), at the size nearest to :data:`CACHE_SIZE`."""
        size = min(set(cache["size"]), key=lambda size: (abs(size - CACHE_SIZE), size))
        at = cache[cache["size"] == size].dropna(subset="hit_ratio")
        filled = at[at["kind"].isin(["network", "learned", "naive"])]
        reacting = at[at["kind"] == "reactive"].sort_values("hit_ratio", ascending=False, kind="stable")
        best = reacting.head(1)

        def first(rows: pd.DataFrame) -> "Row | None":
            return None if rows.empty else rows.iloc[0]

        rivals = filled[(filled["policy"] == filled["gain_over"]) & (filled["policy"] != forecaster)]
        return cls(
            float(size),
            bool(cache["bytes"].notna().any()),
            first(filled[filled["policy"] == forecaster]),
            first(rivals),
            first(reacting[reacting["policy"] == "LRU"]),
            first(best[best["policy"] != "LRU"]),
            first(at[(at["policy"] == "oracle") & (at["kind"] == "reference")]),
        )

    @property
    def share(self) -> str:
        """Their size in words."""
        return f"{style.percent(self.size)} of {'all bytes' if self.in_bytes else 'the movies'}"

    def sentence(self, forecaster: str, slot: str) -> str:
        """Say what a cache filled from the forecast serves, beside LRU or the best naive forecast."""
        if self.filled is None:
            return ""
        said = (
            f"A cache of {self.share}, filled each {slot} with what {plain(forecaster)} expects most, "
            f"would have served **{_served(self.filled)}** of the requests of the test slots"
        )
        if self.lru is not None:
            return f"{said}, and an LRU cache of the same size {_served(self.lru)}."
        if self.rival is not None:
            return f"{said}, and one filled by {plain(self.rival['policy'])} {_served(self.rival)}."
        return f"{said}."

    def numbers(self, slot: str) -> list[Number]:
        """List what each serves, and what the forecast gains over the best naive one."""
        rows = []
        if self.filled is not None:
            served = f"**{_served(self.filled)}** {_interval(self.filled)}"
            rows.append(
                (f"… filled each {slot} from the forecast ({plain(self.filled['policy'])})", served)
            )
        for name, row in {
            "… filled from the best naive forecast ({})": self.rival,
            "… LRU": self.lru,
            "… the best that reacts to each request ({})": self.reacting,
            f"… filled knowing the {slot}'s requests ({{}})": self.oracle,
        }.items():
            if row is not None:
                rows.append((name.format(plain(row["policy"])), f"{_served(row)} {_interval(row)}"))
        if self.filled is not None and self.rival is not None:
            gain, low, high = (100 * float(self.filled[key]) for key in ("gain", "gain_low", "gain_high"))
            rows.append(
                (
                    f"… what the forecast gains over {plain(self.rival['policy'])}, in percentage points",
                    f"{gain:+.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−"),
                )
            )
        return [(f"Requests that a cache of {self.share} serves:", ""), *rows]


def _served(row: Row) -> str:
    return f"{100 * row['hit_ratio']:.1f} %"


def _interval(row: Row) -> str:
    return f"({100 * row['hit_ratio_low']:.1f} to {100 * row['hit_ratio_high']:.1f} %)"


def sure_numbers(found: Verdict) -> list[Number]:
    """Say how sure it is that the forecaster is better than the best naive forecast."""
    if found.model["name"] == found.naive["name"]:
        return []
    name, rival = plain(found.model["name"]), plain(found.naive["name"])
    return [
        (
            f"How sure: error (cross entropy) of {name} divided by that of {rival}; 1 is a tie",
            f"**{found.ratio:.4f}** ({found.low:.4f} to {found.high:.4f})",
        )
    ]


def interval_numbers(check: dict[str, Any], slot: str) -> list[Number]:
    """Say how many requests lay within the intervals that the forecast names: see forecast_check.json."""
    level = f"{100 * check['interval']:g} %"
    numbers = [
        (
            f"… of {which}, {pairs:,} forecasts (as requests are whole numbers, "
            f"{100 * check[f'expected_coverage{suffix}']:.1f} % are to be expected)",
            f"{bold}{100 * check[f'coverage{suffix}']:.1f} %{bold}",
        )
        for which, suffix, bold in (
            (f"movies with at least one expected request a {slot}", "_expected_1", "**"),
            ("all movies", "", ""),
        )
        if (pairs := check[f"pairs{suffix}"])
    ]
    return [(f"Forecasts whose {level} interval held the requests that came:", ""), *numbers]


def mixture_told(mixture: Mixture | None, slot: Slot) -> str:
    """Say in a sentence what the mixture is made of, if there is one."""
    if mixture is None:
        return ""
    *some, last = [
        f"{style.percent(sum(part.weight for part in parts))} {family_name(parts, slot)}"
        for parts in families(mixture)
    ]
    listed = f"{', '.join(some)} and {last}" if some else last
    following = mixture.following
    follow = "" if following is None else f" They change with {following_words(following, slot)}."
    return (
        f"The mixture of averages, which models start from by default, is {listed}. These weights make the "
        f"requests of the validation slots most probable.{follow}"
    )
