"""The look of every picture: one palette, a title that says what is seen, the source below."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import matplotlib
import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from popularity.program import atomic_write
from popularity.settings.datasets import Words
from popularity.wording import Wording

# Pictures are the same whatever the user's matplotlibrc says, one in the working folder too.
matplotlib.rcdefaults()
matplotlib.rcParams["timezone"] = "UTC"
matplotlib.use("Agg")
matplotlib.style.use(Path(__file__).with_name("plots.mplstyle"))

COLOURS: list[str] = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = COLOURS
GREY = "#808080"

WIDTH = 8.0

#: How the pictures of this program put their texts, and the texts that are put so.
_wording = Wording()
_put: WeakSet[Text] = WeakSet()


def speak(words: Words) -> None:
    """Let all pictures from now on call items and requests so."""
    global _wording
    _wording = Wording(words)


def put(text: str) -> str:
    """Put a text of ours in the words of the pictures: one that a tick of an axis shows."""
    return _wording(text)


def new_figure(
    title: str, source: str, panels: int = 1, columns: int = 1, height: float = 4.8, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a title above and its source below.

    Parameters
    ----------
    title
        What is to be seen.
    source
        Where the data are from, and what a reader must know of how they were drawn.
    panels, columns
        How many panels, in how many columns.
    height, options
        Inches, and what ``Figure.subplots`` takes.

    Returns
    -------
    The figure and its panels, row by row.
    """
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(-(-panels // columns), columns, squeeze=False, **options).ravel()
    for empty in axes[panels:]:
        empty.remove()
    # As titles of the figure both have their room kept free, however many lines they take.
    # Texts hold names of movies and models, in which a $ is a dollar.
    for draw, text, width, look in (
        (figure.suptitle, title, 78, {}),
        (figure.supxlabel, f"source: {source}", 120, {"fontsize": 8, "color": "#666666"}),
    ):
        _put.add(draw(fill(put(text), width), x=0.01, ha="left", parse_math=False, **look))
    return figure, list(axes[:panels])


def fill(text: str, width: int) -> str:
    """Break a text into lines of at most ``width`` characters, as few and as even as can be.

    A number stays with its percent sign.
    """
    text = text.replace(" %", "\u00a0%")
    lines = len(textwrap.wrap(text, width))
    while width > 1 and len(textwrap.wrap(text, width - 1)) == lines:
        width -= 1
    return textwrap.fill(text, width).replace("\u00a0", " ")


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as ``{folder}/{name}.png`` and ``.svg``, the same one to the same bytes.

    Its texts are put in the words of :func:`speak`, but for what is marked as the user's own.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in _put:
            text.set_text(put(text.get_text()))
            _put.add(text)
    # Both files have one layout, which takes as long to find as a file to draw.
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # The layout's last digits vary from run to run, and an SVG names its clips by them.
        x, y, width, height = axes.get_position().bounds
        axes.set_position((round(x, 6), round(y, 6), round(width, 6), round(height, 6)))
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with atomic_write(folder / f"{name}{suffix}") as path:
            figure.savefig(path, metadata=metadata)


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Give each name a colour, and another dash where the colours are used up.

    The same names look the same in every picture, whatever their order.
    """
    dashes = ("-", "--", ":", "-.")
    return {
        name: {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": dashes[i // len(COLOURS) % len(dashes)],
        }
        for i, name in enumerate(sorted(set(names)))
    }


def percent(share: float, _: Any = None) -> str:
    """Write a share as a percentage: 0.25 %, 2.5 %, 25 %."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def duration(seconds: float) -> str:
    """Write a time: 8.5 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def label_values(axis: Axis, kind: str, most: int = 5) -> None:
    """Choose the ticks of an axis that has its scale and its data, and how they are written.

    Parameters
    ----------
    kind
        ``count`` (1,000), ``number`` (0.5), ``share`` (1 %) or ``date``.
    most
        How many ticks there is room for, of dates or on a log scale.
    """
    if kind == "date":
        # With fewer than 5 it finds no interval for some ranges of time, and warns.
        locator = AutoDateLocator(minticks=2, maxticks=max(most, 5))
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))
        return
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        # Powers of ten, and between them where there are too few to read a value off.
        steps = (1, 2, 5) if high / low < 50 else (1,)
        few = high / low < 5
        axis.set_major_locator(MaxNLocator(3) if few else LogLocator(subs=steps, numticks=most))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter({"share": percent, "count": _count, "number": _number}[kind])


def _count(value: float, _: Any = None) -> str:
    """Write a count with commas; a log axis may go below 1, where there is none."""
    if 0 < value < 1:
        return ""
    return f"{value:,.10g}" if value < 1e6 else f"{value / 1e6:,.10g} M"


def _number(value: float, _: Any = None) -> str:
    """Write a number as short as can be."""
    return f"{value:,.10g}"


def label_lines(panel: Axes, height: float, font: float = 8) -> None:
    """Write the name of each line of a panel at its right end, beside the panel, none over another.

    The panel has its scales, limits and lines; those without a name stay without.

    Parameters
    ----------
    height
        Inches that the panel is high, about.
    font
        Size of the names.
    """
    named = [line for line in panel.lines if not str(line.get_label()).startswith("_")]
    # Of the panel's height, from 0 at the bottom to 1 at the top.
    to_panel = panel.transData + panel.transAxes.inverted()
    ends = [to_panel.transform(finite_points(line)[-1]) for line in named]
    places = spread([float(min(max(y, 0), 1)) for _, y in ends], font * 1.3 / 72 / height)
    for line, (x, y), place in zip(named, ends, places, strict=True):
        panel.annotate(
            str(line.get_label()),
            (x, y),
            (1.06, place),
            xycoords="axes fraction",
            va="center",
            fontsize=font,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "shrinkA": 0, "shrinkB": 1},
        )


def finite_points(line: Line2D) -> npt.NDArray[np.float64]:
    """Keep the points of a line that have a place, [n, 2]."""
    points = np.asarray(line.get_xydata(), dtype=np.float64)
    return points[np.isfinite(points).all(axis=1)]


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Move places between 0 and 1 as little as can be until they are so far apart.

    Where there is no room for that they are as far apart as there is room for.
    """
    apart = min(apart, 1 / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=lambda at: places[at])
    # Groups of places side by side, each with where it would begin: the mean of where its members
    # would have it. Groups that overlap are one.
    groups: list[tuple[float, int]] = []
    for at in order:
        begin, count = places[at], 1
        while groups and groups[-1][0] + groups[-1][1] * apart > begin:
            before, members = groups.pop()
            begin = (before * members + (begin - members * apart) * count) / (members + count)
            count += members
            begin = min(max(begin, 0), 1 - (count - 1) * apart)
        groups.append((begin, count))
    moved = [begin + number * apart for begin, count in groups for number in range(count)]
    return [moved[order.index(at)] for at in range(len(places))]


def tilt_labels(panel: Axes) -> None:
    """Tilt the labels of the x axis, which side by side would overlap."""
    panel.tick_params(axis="x", rotation=30)
    for label in panel.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")


def draw_boxes(panel: Axes, statistics: Sequence[dict[str, Any]]) -> None:
    """Draw a box of each of these: ``whislo``, ``q1``, ``med``, ``q3``, ``whishi`` and ``label``."""
    panel.bxp(
        list(statistics),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        boxprops={"facecolor": SKY, "edgecolor": BLUE},
        medianprops={"color": BLACK, "linewidth": 2},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
    )
    panel.grid(axis="x", visible=False)


def finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Keep the finite ones of some values."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]
