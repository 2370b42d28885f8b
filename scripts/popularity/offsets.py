"""What a network or a learned baseline starts from: the parameters of averages, as they were found."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """One average that a mixture is made of.

    Attributes
    ----------
    of
        ``counts`` or ``shares`` of all earlier slots, counts at the same place of a ``season`` or of those
        of the last seasons that are ``similar``, or the ``even`` share of all candidates.
    half_life
        In slots, with ``season`` in seasons; with ``similar`` of what seasons are compared by; 0 for the
        even share.
    season
        In slots; 0 for none.
    weight
        Share of the mixture.
    """

    of: str
    half_life: float = 0.0
    season: int = 0
    weight: float = 1.0


@dataclass(frozen=True)
class Following:
    """How the weights of a mixture follow the last slots.

    Attributes
    ----------
    half_life
        In slots with requests: what a slot showed counts half as much after so many.
    held
        Requests that the weights of the components count as.
    """

    half_life: float
    held: float


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of averages.

    Attributes
    ----------
    components
        Their weights add up to 1.
    following
        How the weights follow the last slots; None for weights that stay.
    """

    components: tuple[Component, ...]
    following: Following | None = None


@dataclass(frozen=True)
class Average:
    """A weighted sum of exponentially weighted averages of counts.

    Attributes
    ----------
    half_lives, weights
        In slots, and adding up to 1: one of each for every average.
    """

    half_lives: tuple[float, ...]
    weights: tuple[float, ...]

    def mixture(self, uniform_share: float) -> Mixture:
        """Mix it with the even share, which gets ``uniform_share``."""
        counts = tuple(
            Component("counts", half_life, 0, (1 - uniform_share) * weight)
            for half_life, weight in zip(self.half_lives, self.weights, strict=True)
        )
        return Mixture((*counts, Component("even", weight=uniform_share)))


def families(components: Iterable[Component]) -> dict[tuple[str, int], list[Component]]:
    """Group components by what they are of and their season: those of a group differ in half-life alone."""
    grouped: dict[tuple[str, int], list[Component]] = {}
    for component in components:
        grouped.setdefault((component.of, component.season), []).append(component)
    return grouped
