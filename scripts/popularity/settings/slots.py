"""How time is divided: slots, and which of them are training, validation and test slots."""

from dataclasses import dataclass

from popularity.settings.fields import setting


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
