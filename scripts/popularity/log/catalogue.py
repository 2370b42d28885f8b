"""The catalogue of a log: its items, with titles, genres and years of release."""

import logging
import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from popularity.log.facts import Facts
from popularity.log.formats.base import Column, Format, Options, Release
from popularity.log.rejects import Rejects
from popularity.log.roles import ID_RULE
from popularity.log.zips import Zip
from popularity.settings.datasets import LogSettings
from popularity.settings.fields import as_json
from popularity.tables import MOVIES, array, text_array

#: What is known of the items: their number in the tables, their id in the log, and what the catalogue has.
CATALOGUE = pa.schema(
    [MOVIES.field(name) for name in ("movieId", "item", "title", "genre_names", "releaseDate")]
)

#: Genres that say that there is none.
NO_GENRES = ("", "(no genres listed)")

#: A year in parentheses, or a range of years, whose first counts: (1995), (2006–2007), (2007- ).
YEAR = re.compile(r"\(\s*((?:1[89]|2[01])\d\d)\s*(?:[-–]\s*(?:\d{4})?\s*)?\)", re.ASCII)

_YEAR_COLUMN = re.compile(r"\s*([0-9]{4})(\.0|[-/].*)?\s*", re.ASCII)


def release_year(title: str) -> int | None:
    """Year in the last parentheses that hold one (of a range its first); None if none do."""
    years = YEAR.findall(title)
    return int(years[-1]) if years else None


def catalogue_table(
    ids: list[int], items: list[str], titles: list[str], genres: list[str | None], years: list[int]
) -> pa.Table:
    """Make a table of :data:`CATALOGUE`; a year of 0 is unknown."""
    released = np.array(years, np.int16)
    columns = [array(np.array(ids, np.int32)), text_array(items), text_array(titles), text_array(genres)]
    return pa.table([*columns, array(released, released != 0)], CATALOGUE)


def columns_of(
    archive: Zip,
    member: str,
    kind: Format,
    options: Options,
    how: LogSettings,
    release: Release | None,
    facts: Facts,
) -> Mapping[str, Column]:
    """Which columns of a catalogue are the item, its title, genres and year; ``facts`` get the others.

    Raises
    ------
    Fault
        If it has no column of items; it names those that there are.
    """
    if release is not None:
        return {"item": release.columns["item"], "title": "title", "genres": "genres"}
    names = list(kind.open(archive, member, options, 1 << 20).names)
    found = {role: name for role, name in as_json(how.catalogue_columns).items() if name is not None}
    if "item" not in found:
        own = how.columns.item
        known = [name for name in (own, "movieId") if isinstance(name, str) and names.count(name) == 1]
        if not known:
            raise archive.fault(
                f"lacks the column {own!r} (columns.item; its header is {','.join(names)!r:.200}): name"
                f" its column of items as `catalogue_columns: {{item: …}}`",
                member,
            )
        found["item"] = known[0]
    for role in ("title", "genres"):
        alike = [name for name in names if name.lower() == role]
        if role not in found and len(alike) == 1:
            found[role] = alike[0]
    used = set(found.values())
    facts.catalogue_ignored = [name for at, name in enumerate(names, 1) if not {name, at} & used]
    facts.titled = "title" in found
    return found


def read_catalogue(
    archive: Zip,
    member: str,
    kind: Format,
    options: Options,
    how: LogSettings,
    release: Release | None,
    code: Callable[[str], int | None],
    rejects: Rejects,
    facts: Facts,
) -> pa.Table:
    """Read the items of a catalogue, in its order.

    Parameters
    ----------
    code
        Gives the number of an item by its id; None if that is no id.
    rejects
        Where rows are noted that are no item, or one that was there before.
    facts
        Where it is noted what was read.

    Returns
    -------
    A table of :data:`CATALOGUE`. An item without a title has its id for one; without a column of years
    the year is the one in the title's last parentheses.
    """
    facts.catalogue = member
    at = columns_of(archive, member, kind, options, how, release, facts)
    word = "movie" if release else "item"
    lines: dict[int, int] = {}
    items: list[str] = []
    titles: list[str] = []
    genres: list[str | None] = []
    years: list[int] = []
    for row in kind.items(archive, member, options, at):
        item, reason = row.item.strip(), row.reason
        number = None if reason else code(item)
        if reason is None and number is None:
            reason = f"{word} {row.item!r:.100} {ID_RULE if release else 'is missing'}"
        elif number in lines:
            reason = f"{word} {row.item!r:.100} is there already, on line {lines[number]}"
        if reason is not None or number is None:
            rejects.add(member, row.line, str(reason), row.text)
            continue
        lines[number] = row.line
        title = item if row.title is None or (not release and not row.title.strip()) else row.title
        items.append(str(number) if release else item)
        titles.append(title)
        genres.append(_genres(row.genres, how.genres_separator))
        years.append(_year(row.year) if "year" in at else release_year(title) or 0)
    rejects.check(archive.path)
    if not lines:
        bad = rejects.summary()
        raise archive.fault(bad or f"has no {word} below its header", None if bad else member)
    return catalogue_table(list(lines), items, titles, genres, years)


def _genres(text: str, separator: str) -> str | None:
    """Genres as the tables have them, with bars between; None if there are none."""
    if text in NO_GENRES:
        return None
    if separator == "|":
        return text
    parts = [part.strip() for part in text.split(separator)]
    return "|".join(part for part in parts if part) or None


def _year(text: str) -> int:
    match = _YEAR_COLUMN.fullmatch(text)
    return int(match[1]) if match else 0


def with_codes(catalogue: pa.Table, sizes: np.ndarray | None = None) -> pa.Table:
    """Give each item the code of its genres, and its bytes.

    Parameters
    ----------
    catalogue
        A table of :data:`CATALOGUE`.
    sizes
        int64 [items], bytes of each; -1 where they are unknown, as they all are without it.

    Returns
    -------
    A table of :data:`tables.MOVIES`, in the same order. The code numbers the strings of genres by
    first appearance, from 1, and is null where there are none. If there are more of them than codes,
    all genres are left out, with a warning.
    """
    names = catalogue["genre_names"].to_pylist()
    codes = {name: code for code, name in enumerate(dict.fromkeys(filter(None, names)), 1)}
    if len(codes) > np.iinfo(np.int16).max:
        logging.warning(
            "the catalogue has %d different genres, more than 32767: they are left out", len(codes)
        )
        names, codes = [None] * len(names), {}
    genres = np.array([codes.get(name, 0) for name in names], np.int16)
    sizes = np.full(len(names), -1, np.int64) if sizes is None else sizes
    columns = {
        **{name: catalogue[name] for name in ("movieId", "item", "title", "releaseDate")},
        "genre_names": text_array(names),
        # 0 is no code, and -1 no size.
        "genres": array(genres, genres != 0),
        "size": array(sizes, sizes >= 0),
    }
    return pa.table([columns[name] for name in MOVIES.names], MOVIES)
