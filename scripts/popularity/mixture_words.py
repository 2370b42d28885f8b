"""What a mixture of averages is made of, in words."""

from pathlib import Path

from popularity import offsets
from popularity.offsets import Component, Following, Mixture
from popularity.program import Fault
from popularity.results import read_json
from popularity.settings.fields import SettingsError, parse
from popularity.slots import Slot

#: How the averages of all earlier slots weigh these.
WEIGHING = {"counts": "by their requests", "shares": "alike"}
#: Seasons that have a name, by the length of a slot and their own in slots.
NAMED = {
    ("hour", 24): "hour of the day",
    ("hour", 168): "hour of the week",
    ("day", 7): "day of the week",
    ("day", 365): "day of the year",
    ("week", 52): "week of the year",
    ("month", 12): "month of the year",
}


def read_mixture(metrics: Path, name: str) -> Mixture:
    """Read what the mixture of this name is made of from metrics.json of evaluate_baselines."""
    found = read_json(metrics, name)[name]
    try:
        kept = {"components": found.get("components"), "following": found.get("following")}
        mixture: Mixture = parse(Mixture, kept)
    except SettingsError as error:
        raise Fault(f"{metrics}: {name} is no mixture ({error})") from error
    return mixture


def place_name(season: int, slot: Slot) -> str:
    """Name a place in a season."""
    return NAMED.get((slot.length, season), f"place in {season} {slot}s")


def component_name(component: Component, slot: Slot) -> str:
    """Name an average, with how long it remembers."""
    if component.of == "even":
        return "even share"
    if component.of == "similar":
        return f"same {place_name(component.season, slot)}, of similar days"
    if component.of == "season":
        return f"same {place_name(component.season, slot)}, half-life {component.half_life:g}"
    return f"all slots {WEIGHING[component.of]}, half-life {_count(component.half_life, str(slot))}"


def family_name(components: list[Component], slot: Slot) -> str:
    """Name averages that differ in their half-lives alone, with these."""
    first = components[0]
    if first.of == "even":
        return "the same share for every movie"
    if first.of == "similar":
        place = place_name(first.season, slot)
        return f"an average over the same {place} of the last days that went like this one"
    half_lives = sorted(component.half_life for component in components)
    *some, last = [f"{half_life:g}" for half_life in half_lives]
    listed = f"{', '.join(some)} and {last}" if some else last
    if first.of == "season":
        place = place_name(first.season, slot)
        unit = place.rpartition(" ")[2] if (slot.length, first.season) in NAMED else "season"
        over = f"the same {place}"
    else:
        unit = str(slot)
        over = f"all earlier {slot}s, {WEIGHING[first.of]}"
    plural = "" if half_lives == [1.0] else "s"
    return f"averages over {over} (half forgotten after {listed} {unit}{plural})"


def following_words(following: Following, slot: Slot) -> str:
    """Say what weights follow, with how long they remember."""
    return f"the last slots (half forgotten after {_count(following.half_life, str(slot))})"


def families(mixture: Mixture) -> list[list[Component]]:
    """Group the averages that differ in how long they remember alone, the heaviest group first."""
    found = offsets.families(mixture.components).values()
    return sorted(found, key=lambda group: -sum(component.weight for component in group))


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
