"""Draw what the mixture of averages is made of: the weights that were found on the validation slots."""

import argparse
from pathlib import Path

import popularity.start

from matplotlib.figure import Figure

from popularity import style
from popularity.mixture_words import component_name, following_words, place_name, read_mixture
from popularity.offsets import Mixture
from popularity.program import run
from popularity.slots import HELP, Slot
from popularity.wording import add_words, own

#: Colour of each family of components, in their order.
FAMILIES = {
    "similar": style.ORANGE,
    "season": style.VERMILION,
    "counts": style.BLUE,
    "shares": style.GREEN,
    "even": style.GREY,
}


def title_of(mixture: Mixture, slot: Slot) -> str:
    """Say how much of the forecast is season, and which."""
    seasons: dict[int, float] = {}
    for component in mixture.components:
        if component.season:
            seasons[component.season] = seasons.get(component.season, 0.0) + component.weight
    if not seasons:
        return "The mixture of averages holds no season: none made the validation slots more probable"
    parts = [
        f"{style.percent(weight)} the same {place_name(season, slot)}"
        for season, weight in sorted(seasons.items(), key=lambda pair: -pair[1])
    ]
    rest = 1 - sum(seasons.values())
    end = f", {style.percent(rest)} other averages" if rest > 0.005 else ""
    return f"The mixture of averages is {' and '.join(parts)}{end}"


def plot_mixture(mixture: Mixture, slot: Slot, source: str) -> Figure:
    """Draw a bar for each component, the largest first within each family."""
    order = list(FAMILIES)
    parts = sorted(mixture.components, key=lambda part: (order.index(part.of), part.season, -part.weight))
    following = mixture.following
    title, follow = title_of(mixture, slot), ""
    if following is not None:
        title = f"{title}; its weights follow the last slots"
        follow = f"; the weights start from these and change with {following_words(following, slot)}"
    figure, (panel,) = style.new_figure(
        title,
        f"{source}; a half-life of a season counts seasons, others {slot}s{follow}",
        height=1.6 + 0.32 * len(parts),
    )
    for family, colour in FAMILIES.items():
        places = [at for at, part in enumerate(parts) if part.of == family]
        if places:
            weights = [parts[at].weight for at in places]
            panel.barh(places, weights, color=colour, height=0.7)
            for at, weight in zip(places, weights, strict=True):
                panel.annotate(
                    style.percent(weight), (weight, at), (4, 0), textcoords="offset points",
                    va="center", fontsize=8,
                )  # fmt: skip
    panel.set_yticks(range(len(parts)), [component_name(part, slot) for part in parts])
    panel.set_ylim(len(parts) - 0.4, -0.6)
    panel.set_xlim(0, 1.12 * max(part.weight for part in parts))
    panel.xaxis.set_major_formatter(style.percent)
    panel.set_xlabel("weight in the mixture")
    panel.grid(axis="y", visible=False)
    return figure


def main() -> None:
    """Read the command line, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json of evaluate_baselines")
    parser.add_argument("--name", required=True, help="entry of baselines that is a mixture")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the picture is written, as .png and .svg"
    )
    add_words(parser)
    args = parser.parse_args()
    style.speak(args.words)

    mixture = read_mixture(args.metrics, args.name)
    source = (
        f"weights of {own(args.name)} for {own(args.dataset)}, found on the validation slots (metrics.json)"
    )
    style.save(plot_mixture(mixture, args.slot, source), args.folder, "mixture")


if __name__ == "__main__":
    run(main)
