"""How time is divided: slots, and which of them are training, validation and test slots."""

from dataclasses import dataclass

from popularity.settings.fields import setting

#: Seconds of a day on the clock.
DAY_SECONDS = 86_400
#: Length in seconds of the slots that all have the same length, but for days when clocks change.
SLOT_SECONDS = {
    **{f"{minutes}min": 60 * minutes for minutes in (5, 10, 15, 20, 30)},
    "hour": 3_600,
    "day": DAY_SECONDS,
    "week": 7 * DAY_SECONDS,
}
#: How many slots a day has, of those that are shorter.
SLOTS_OF_A_DAY = {
    name: DAY_SECONDS // length for name, length in SLOT_SECONDS.items() if length < DAY_SECONDS
}


@dataclass(frozen=True)
class Split:
    """Shares of the slots, by time, that are validation and test slots; the rest is training."""

    validation: float = setting("Share of the slots before the test slots.", 0.15, above=0, maximum=0.5)
    test: float = setting("Share of the last slots.", 0.15, above=0, maximum=0.5)


@dataclass(frozen=True)
class FoldSplit(Split):
    """The split of one fold of the backtest.

    Attributes
    ----------
    fold
        How many times the test slots end their own number of slots before the log's last: 0 for the
        latest.
    """

    fold: int = 0
