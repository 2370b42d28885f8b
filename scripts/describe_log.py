"""Say what a log's first rows would be taken for, and write settings that read it.

What cannot be decided from names and first values is left for its owner to say.
"""

import argparse
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import popularity.start

from popularity.log.formats.base import Options, format_of, load_formats
from popularity.log.times import TimeError, TimeFormat, described, found
from popularity.log.zips import Zip, base, is_part, listed
from popularity.program import atomic_write, run

#: Rows that are looked at, and values that are shown.
ROWS, SHOWN = 1000, 3

#: What columns of a role are often called, without signs and in small letters; the first that fits wins.
NAMES = {
    "item": (
        *("itemid", "item", "movieid", "productid", "product", "articleid", "sku", "stockcode", "asin"),
        *("objid", "object", "path", "page", "url", "key", "dest", "title", "name"),
    ),
    "time": (
        *("timestamp", "time", "datetime", "date", "eventtime", "timehour", "createdat", "at", "when"),
        *("invoicedate", "orderdate", "day"),
    ),
    "user": (
        "userid",
        "user",
        "visitorid",
        "visitor",
        "customerid",
        "customer",
        "sessionid",
        "session",
        "who",
    ),
    "rating": ("rating", "score", "stars"),
    "count": ("count", "requests", "views", "hits"),
    "size": ("size", "objsize", "bytes"),
}

#: Words of a name: customer_id, CustomerID. And what a number is, or a missing one.
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")
_NUMBER = re.compile(r"\s*(-?[0-9]+(\.[0-9]*)?)?\s*")


@dataclass
class Guess:
    """What a file is taken for.

    Attributes
    ----------
    columns
        Names by role.
    times
        How the times are written; None if that cannot be told.
    undecided
        What its owner has to say, a sentence each.
    """

    columns: dict[str, str] = field(default_factory=dict)
    times: TimeFormat | None = None
    undecided: list[str] = field(default_factory=list)


def guess(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Guess:
    """Guess what columns stand for, by their names and first values."""
    result = Guess()
    words = {name: [word.lower() for word in _WORDS.findall(name)] for name in names}
    for role, known in NAMES.items():
        fits = [name for word in known for name in names if "".join(words[name]) == word]
        fits += [name for word in known for name in names if word in words[name]]
        free = [name for name in fits if name not in result.columns.values()]
        if role in ("rating", "count", "size"):
            free = [name for name in free if all(map(_NUMBER.fullmatch, _values(names, rows, name)))]
        if role == "time":
            free = [name for name in free if _times(names, rows, name)] or _dated(names, rows)
        if free:
            result.columns[role] = free[0]
    for role in ("item", "time"):
        if role not in result.columns:
            result.undecided.append(f"which column is the {role}: {', '.join(names)}")
    if "time" in result.columns:
        try:
            result.times = found(_values(names, rows, result.columns["time"]))
        except TimeError as error:
            result.undecided.append(f"how the times in {result.columns['time']} are written: {error}")
    return result


def _values(names: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> list[str]:
    place = names.index(name)
    return [row[place] for row in rows]


def _times(names: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> bool:
    """Whether values look like times, though maybe in two ways."""
    try:
        found(_values(names, rows, name))
    except TimeError as error:
        return "two ways" in str(error)
    return True


def _dated(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns whose values are written as dates: any number might be a time."""
    dated = []
    for name in names:
        values = _values(names, rows, name)
        if all(
            value.replace(".", "").replace("-", "").isdecimal() for value in values if value
        ) and not all("-" in value[1:] for value in values):
            continue
        if _times(names, rows, name):
            dated.append(name)
    return dated


def settings_text(name: str, entry: Mapping[str, object], undecided: Sequence[str]) -> str:
    """Write a configuration of one dataset in YAML, which holds JSON; what is undecided as comments."""
    lines = [f"# To decide: {' '.join(what.split())}" for what in undecided]
    lines += [f"dataset: {name}", "datasets:", f"  {name}:"]
    lines += [f"    {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def describe(archive: Zip, how: Mapping[str, object]) -> tuple[list[str], dict[str, object], list[str]]:
    """Describe a log.

    Parameters
    ----------
    how
        What the dataset's settings say so far; it is kept.

    Returns
    -------
    Lines for a reader, what the settings have to say beyond ``how``, and what is undecided.
    """
    formats = load_formats()
    lines = [f"{archive.path} holds {listed(archive.members)}"]
    for kind in formats.values():
        for release in kind.releases:
            if (
                archive.named(release.requests)
                and archive.named(release.catalogue)
                and "columns" not in how
            ):
                return [*lines, f"a release of MovieLens ({release.requests})"], {}, []
    tables = [member for member in archive.members if format_of(formats, member)] or archive.members
    catalogue = how.get("catalogue")
    tables = [member for member in tables if base(member) != catalogue and member != catalogue]
    # The log is larger than its catalogue.
    requests = max(tables, key=archive.size, default=None)
    if requests is None:
        raise archive.fault("holds no file: correct the dataset's `url`")
    entry: dict[str, object] = {}
    undecided = []
    if len(tables) > 1 and "requests" not in how and not all(map(is_part, tables)):
        entry["requests"] = base(requests)
        undecided.append(f"whether {base(requests)} holds the requests, and not {listed(tables)}")
    name = str(how.get("format") or format_of(formats, requests) or "csv")
    options = Options(
        separator=_text(how.get("separator")),
        header=how.get("header") is not False,
        encoding=_text(how.get("encoding")),
    )
    file = formats[name].open(archive, requests, options, 1 << 20)
    rows = [row for piece in islice(file.pieces(), 4) for row, _ in piece.rows() if row.reason is None][
        :ROWS
    ]
    lines.append(f"{requests}: {formats[name].about}, columns {', '.join(file.names)}")
    for row in rows[:SHOWN]:
        lines.append("  " + " | ".join(value[:40] for value in row.values))
    if formats[name].columns:
        columns = ", ".join(f"{role}: {column}" for role, column in formats[name].columns.items())
        return [*lines, f"taken for {columns}"], entry, undecided
    guessed = guess(list(file.names), [row.values for row in rows])
    known = how.get("columns")
    columns_ = {**guessed.columns, **known} if isinstance(known, dict) else guessed.columns
    if "columns" not in how:
        entry["columns"] = columns_
    lines.append("taken for " + ", ".join(f"{role}: {column}" for role, column in columns_.items()))
    if guessed.times is not None:
        lines.append(f"times taken for: {described(guessed.times, None)}")
        if not guessed.times.zoned and "timezone" not in how:
            undecided.append("timezone, if the times are on another clock than that of UTC")
    return lines, entry, [*undecided, *guessed.undecided]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def main() -> None:
    """Read the command line, and describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="zip that download_archive brought")
    parser.add_argument("--name", required=True, help="the dataset's name")
    parser.add_argument(
        "--dataset", type=json.loads, default={}, help="JSON: what config.yaml says of it so far"
    )
    parser.add_argument("--settings", type=Path, required=True, help="YAML to write: settings that read it")
    args = parser.parse_args()

    with Zip(args.archive) as archive:
        lines, entry, undecided = describe(archive, args.dataset)
    text = settings_text(args.name, {**args.dataset, **entry}, undecided)
    with atomic_write(args.settings) as partial:
        partial.write_text(text, encoding="utf-8")
    for line in lines:
        logging.info(line)
    for what in undecided:
        logging.info("to decide: %s", what)
    print(text, end="")


if __name__ == "__main__":
    run(main)
