"""What a network or a learned baseline starts from: the parameters of an average, as they were found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Average:
    """A weighted sum of exponentially weighted averages.

    Attributes
    ----------
    half_lives, weights
        In slots, and adding up to 1: one of each for every average.
    """

    half_lives: tuple[float, ...]
    weights: tuple[float, ...]
