"""A log of requests and its catalogue of items, read from an archive: a release of MovieLens, or any other.

Nothing is unpacked to a folder. Requests come in blocks of rows, so that memory does not grow with the
log; whatever is wrong with the archive is a :class:`Fault` that says where.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.log import zips
from popularity.log.catalogue import CATALOGUE, catalogue_table, read_catalogue, release_year
from popularity.log.facts import Facts
from popularity.log.formats.base import Column, File, Options, Release, format_of, load_formats, place_of
from popularity.log.pieces import MISSING, Piece, Row, TextPiece, Wanted, sift
from popularity.log.rejects import Rejects
from popularity.log.roles import ROLES, Role, Time, movielens, of_log, whole_id
from popularity.log.text import BLOCK_BYTES, NOT_BLANK
from popularity.log.times import (
    EARLIEST,
    TOO_LATE,
    TimeError,
    described,
    found,
    of_settings,
    typed,
)
from popularity.log.where import Condition, conditions
from popularity.log.zips import Zip, listed, plain
from popularity.program import Fault, Shard
from popularity.settings.datasets import CatalogueColumns, Columns, LogSettings
from popularity.settings.fields import as_json
from popularity.tables import COUNT, JOINED, array, numbers, prefetch
from popularity.zones import Zone

#: What a request log tells, and the column of joined.parquet that holds it.
COLUMNS = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}

#: What a batch of requests looks like; where a row stands for several, there is a ``count``, too.
REQUESTS = pa.schema([JOINED.field(name) for name in COLUMNS.values()])
COUNTED = REQUESTS.append(COUNT)

#: Rows from which is found how times are written.
SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class Plan:
    """How a file is read: its conditions and roles, and the columns that they are about."""

    file: File
    conditions: Sequence[tuple[Condition, Wanted]]
    roles: Mapping[str, Role]
    wanted: Mapping[str, Wanted]
    constants: Sequence[str]


@dataclass
class _Rows:
    """Rows that were read: values by role, and how many the conditions left out."""

    columns: dict[str, pa.Array]
    excluded: int


class RequestLog:
    """A log of requests and its catalogue in a zip, to be used as a context.

    Parameters
    ----------
    path
        The zip.
    how
        What is known of it. Without ``columns`` it is a release of MovieLens, or of a format whose
        columns are always the same.
    rejects
        Where rows that cannot be used are noted; by default they are a fault.
    max_bytes
        How much the files that are read may unpack to.

    Attributes
    ----------
    facts
        What was read; complete once all requests are.

    Raises
    ------
    Fault
        If this is no whole zip, lacks a file or a column, or unpacks to more.
    """

    def __init__(
        self,
        path: Path,
        how: LogSettings | None = None,
        rejects: Rejects | None = None,
        max_bytes: float = float("inf"),
    ) -> None:
        self._path, self._how = path, how or LogSettings()
        self.rejects = rejects or Rejects()
        self._zip = Zip(path, max_bytes)
        self._formats = load_formats()
        self.facts = Facts()
        self._zone = Zone(self._how.timezone) if self._how.timezone else None
        try:
            self._conditions = conditions(self._how.where)
        except ValueError as error:
            raise self._zip.fault(f"`where`: {error}") from error
        self._release = self._find_release()
        self._columns: Mapping[str, Column] = (
            self._release.columns if self._release else self._own_columns()
        )
        self._parts, self._catalogue = self._find_files()
        self._catalogued = 0
        self._any_good = False
        self._zip.check_size([*self._parts, *filter(None, [self._catalogue])])
        # Where the first and the last request are.
        self._extremes: list[tuple[str, Plan, Piece] | None] = [None, None]
        self._codes: dict[str, dict[str, int]] = {}
        self._sizes: npt.NDArray[np.int64] = np.full(0, -1, np.int64)
        # Requests by the span of time that they are in, from the earliest time that there may be on.
        self._spans = np.zeros((TOO_LATE - EARLIEST >> _SPAN_BITS) + 1, np.uint32)
        self._roles: Mapping[str, Role] | None = None
        self.facts.has_users = "user" in self._columns
        if self._release is None:
            self._codes = {role: {} for role in ("user", "item") if role in self._columns}
        # Of ids that a file has as numbers, so that few of them are written as texts.
        self._of_numbers: dict[str, dict[int, int]] = {role: {} for role in self._codes}

    def __enter__(self) -> "RequestLog":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the zip."""
        self._zip.__exit__(*_)

    # Files

    def _own_columns(self) -> Mapping[str, Column]:
        """Give the columns of another log by role: those of the settings, and before them the format's."""
        kind = self._how.format or self._typical()
        columns = {**(self._formats[kind].columns if kind else {}), **_given(self._how.columns)}
        if not {"item", "time"} <= set(columns) <= set(ROLES):
            others = ", ".join(role for role in ROLES if role not in ("item", "time"))
            raise Fault(
                f"`columns` names {listed(list(columns))}: it must name the columns of item and time, and"
                f" may name those of {others}"
            )
        if len(set(columns.values())) < len(columns):
            raise Fault("`columns` names one column twice: name one for each")
        return columns

    def _find_release(self) -> Release | None:
        """Which release of MovieLens this is; None if it is another log."""
        how = self._how
        if how.columns != Columns() or how.where or (how.format and not self._formats[how.format].releases):
            return None
        kinds = [self._formats[how.format]] if how.format else list(self._formats.values())
        releases = [release for kind in kinds for release in kind.releases]
        found = [release for release in releases if self._zip.named(release.requests)]
        if found:
            return found[0]
        if how.format is None and self._typical() is not None:
            return None
        # It lacks something, which is for `_find_files` to say.
        return releases[0] if how.format else self._formats["csv"].releases[0]

    def _typical(self) -> str | None:
        """Give the format, of those whose columns are always the same, that some member's name shows."""
        kinds = {self._format_of(member) for member in self._zip.members}
        return next((name for name in sorted(kinds) if self._formats[name].columns), None)

    def _format_of(self, member: str) -> str:
        """Give the name of the format that a member's name shows; csv if it shows none."""
        return format_of(self._formats, member) or "csv"

    def _find_files(self) -> tuple[list[str], str | None]:
        """Give the members with the requests, and the one with the catalogue."""
        if self._release is not None:
            items = self._only(self._release.catalogue)
            return self._release_parts(self._release), items
        how = self._how
        given = how.catalogue or "movies.csv"
        if not self._zip.named(given):
            # An address or path of its own, which was packed by its name.
            given = unquote(urlsplit(given).path).rpartition("/")[2] or given
        catalogue = self._only(given) if how.catalogue or self._zip.named(given) else None
        others = [member for member in self._zip.members if member != catalogue]
        if how.requests:
            parts = [member for member in self._zip.named(how.requests) if member != catalogue]
            if not parts:
                raise self._zip.lacks(how.requests)
        else:
            parts = others
            known = [m for m in others if plain(m.lower()).endswith(self._endings())]
            if len(parts) > 1 and known:
                parts = known
            if not parts or (len(parts) > 1 and not all(zips.is_part(member) for member in parts)):
                raise self._zip.fault(
                    f"which file holds the requests? It holds {listed(parts)}: say it as `requests:` (a"
                    " pattern such as 2024-*.csv for several)"
                )
        return parts, catalogue

    def _endings(self) -> tuple[str, ...]:
        return tuple(ending for kind in self._formats.values() for ending in kind.endings)

    def _only(self, name: str) -> str:
        """Give the one member of this name."""
        found = self._zip.named(name)
        if not found:
            raise self._zip.lacks(name)
        if len(found) > 1:
            raise self._zip.fault(f"{name} is there more than once ({listed(found)}): leave one of them")
        return found[0]

    def _release_parts(self, release: Release) -> list[str]:
        """ratings.csv, or the parts of which it is made; others of such names are left aside."""
        stem, _, ending = release.requests.rpartition(".")
        alike = self._zip.named(f"{stem}*.{ending}")
        parts = self._zip.named(release.requests)
        if len(parts) > 1:
            raise self._zip.fault(
                f"{release.requests} is there more than once ({listed(parts)}): leave one of them"
            )
        part = re.compile(rf"{stem}[-_ .]?(part)?[-_ .]?[0-9]+\.{ending}")
        parts = parts or [member for member in alike if part.fullmatch(zips.base(plain(member)))]
        if not parts:
            raise self._zip.lacks(release.requests)
        if len({member.rpartition("/")[0] for member in parts}) > 1:
            raise self._zip.fault(
                f"{stem}*.{ending} is there more than once ({listed(parts)}): leave one of them"
            )
        self.facts.left_aside = [member for member in alike if member not in parts]
        return parts

    # The catalogue

    def catalogue(self, rejects: Rejects | None = None) -> pa.Table:
        """Items in the catalogue's order: a table of :data:`catalogue.CATALOGUE`, empty without one.

        Rows that are no item, or one that was there before, are noted in ``rejects`` (default: this
        log's own).
        """
        if self._catalogue is None:
            return CATALOGUE.empty_table()
        kind = self._formats[self._release_format() if self._release else self._format_of(self._catalogue)]
        how = self._how
        own = [] if how.columns.item is None else [how.columns.item]
        options = Options(
            separator=None if how.separator in (None, "::") else how.separator,
            encoding=how.encoding,
            needed=[*_given(how.catalogue_columns).values(), *own],
            strict=self._release is not None,
        )
        table = read_catalogue(
            *(self._zip, self._catalogue, kind, options, how, self._release, self._number),
            rejects or self.rejects,
            self.facts,
        )
        self._catalogued = len(self._codes["item"]) if "item" in self._codes else 0
        return table

    def _number(self, item: str) -> int | None:
        """Give the number of an item of the catalogue; None if that is no id."""
        if self._release is not None:
            return whole_id(item)
        codes = self._codes["item"]
        return codes.setdefault(item, len(codes) + 1) if item else None

    def uncatalogued(self) -> pa.Table:
        """Items of another log that its catalogue lacks, like :meth:`catalogue`.

        Known once all requests are read; in the order of their first appearance, with the id as
        the log has it for a title.
        """
        items = list(self._codes.get("item", {}))[self._catalogued :]
        ids = list(range(self._catalogued + 1, self._catalogued + 1 + len(items)))
        years = [release_year(item) or 0 for item in items]
        return catalogue_table(ids, items, items, [None] * len(items), years)

    def sizes(self, items: int) -> npt.NDArray[np.int64] | None:
        """Bytes of each of the items, -1 where they are unknown, int64 [items]; None if all are."""
        if not len(self._sizes):
            return None
        found = np.full(items, -1, np.int64)
        found[: len(self._sizes)] = self._sizes[:items]
        return found

    # The requests

    def requests(self, block_bytes: int = BLOCK_BYTES, shard: Shard = (0, 1)) -> Iterator[pa.RecordBatch]:
        """Give requests in the log's order, as batches of :attr:`schema`.

        ``block_bytes`` of a file make a batch: it bounds the memory and changes nothing else. For an
        item's number to be the catalogue's, read that first. Of ``shard`` (i, n) they are the
        requests of the i-th of n parts of the blocks.
        """
        empty, good, number = True, False, -1
        blocks = sum(-(-self._zip.size(member) // block_bytes) for member in self._parts)
        for member in self._parts:
            plan = self._plan(member, block_bytes)
            for piece in prefetch(plan.file.pieces()):
                number += 1
                if isinstance(piece, TextPiece) and not NOT_BLANK.search(piece.text):
                    continue
                empty = False
                if min(number * shard[1] // blocks, shard[1] - 1) != shard[0]:
                    continue
                for batch in self._batches(member, plan, piece):
                    good = True
                    yield batch
        if empty:
            raise self._zip.fault("has no row below its header", listed(self._parts))
        # Where all rows are bad, it is no advice to leave them out.
        if self._any_good or shard != (0, 1):
            self.rejects.check(self._path)
        if not good and shard == (0, 1):
            if self.rejects.total:
                raise self._zip.fault(f"no row can be used: {self.rejects.summary()}")
            raise self._zip.fault(
                f"`where` leaves none of the {self.facts.excluded} rows", listed(self._parts)
            )
        self._finish()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the requests."""
        return COUNTED if "count" in self._columns else REQUESTS

    def _plan(self, member: str, block_bytes: int) -> "Plan":
        """Open a file, and find the columns that are needed."""
        how, release = self._how, self._release
        kind = self._formats[self._request_format(member)]
        named = [condition.column for condition in self._conditions]
        options = Options(
            separator=how.separator,
            header=how.header,
            encoding=how.encoding,
            needed=[*self._columns.values(), *named],
            strict=release is not None,
        )
        file = kind.open(self._zip, member, options, block_bytes)
        folders = zips.keys(member)
        names = [*file.names, *(name for name in folders if name not in file.names)]
        at = {
            column: place_of(self._zip, member, names, column) for column in dict.fromkeys(options.needed)
        }
        constants = [folders[name] for name in names[len(file.names) :]]
        file.read_only(sorted({place for place in at.values() if place < len(file.names)}))
        self._refuse_nested(member, file, at)
        if self._roles is None:
            self._roles = self._find_roles(member, file, at, constants)
            used = set(at.values())
            self.facts.ignored = [name for place, name in enumerate(names) if place not in used]
        self.facts.files.append(member)
        roles = {
            role: Wanted(at[column], self._roles[role].type, self._roles[role].patterns)
            for role, column in self._columns.items()
        }
        where = [
            (condition, Wanted(at[condition.column], condition.type)) for condition in self._conditions
        ]
        return Plan(file, where, self._roles, roles, constants)

    def _request_format(self, member: str) -> str:
        if self._release is not None:
            return self._release_format()
        return self._how.format or self._format_of(member)

    def _release_format(self) -> str:
        return next(name for name, kind in self._formats.items() if self._release in kind.releases)

    def _refuse_nested(self, member: str, file: File, at: Mapping[Column, int]) -> None:
        for column, place in at.items():
            if place < len(file.types) and pa.types.is_nested(file.types[place]):
                raise self._zip.fault(
                    f"the column {column!r} is {file.types[place]}: name one of texts, numbers or times",
                    member,
                )

    def _find_roles(
        self, member: str, file: File, at: Mapping[Column, int], constants: Sequence[str]
    ) -> Mapping[str, Role]:
        """Give the roles of the columns, with the way in which the first file writes its times."""
        if self._release is not None and self._release.seconds:
            self.facts.times = "whole seconds since 1970 (UTC)"
            return movielens()
        place = at[self._columns["time"]]
        way = None if place >= len(file.types) else typed(file.types[place])
        try:
            if self._how.time_format is not None:
                way = of_settings(self._how.time_format)
            if way is None and place >= len(file.names):
                way = found([constants[place - len(file.names)]])
            if way is None:
                if not (texts := _first_texts(file, place)):
                    raise self._zip.fault("has no row below its header", member)
                way = found(texts)
        except TimeError as error:
            raise self._zip.fault(f"the times in {self._columns['time']!r}: {error}", member) from error
        self.facts.times = described(way, self._zone)
        time = Time(way, self._zone)
        return {**movielens(), "time": time} if self._release else of_log(list(self._columns), time)

    def _batches(self, member: str, plan: Plan, piece: Piece) -> Iterator[pa.RecordBatch]:
        """Give requests of a piece; none if no row is left, or if a bad row makes a fault of all."""
        good, bad, passed_over = sift(piece, lambda part: read(plan, part), lambda row: judge(plan, row))
        if bad:
            before = plan.file.lines_before(piece)
            for line, reason, text in bad:
                self.rejects.add(member, before + line, reason, text)
        self._any_good |= any(len(rows.columns["time"]) for rows in good)
        if self.rejects.total and not self.rejects.drops:
            return
        self.facts.excluded += passed_over
        for rows in good:
            self.facts.excluded += rows.excluded
            columns = self._numbered(rows.columns)
            if not len(columns["time"]):
                continue
            self._note(member, plan, piece, columns)
            if "rating" not in columns:
                columns["rating"] = pa.nulls(len(columns["time"]), pa.float32())
            if "user" not in columns:
                columns["user"] = array(np.zeros(len(columns["time"]), np.int32))
            names = {**COLUMNS, "count": "count"}
            roles = {column: role for role, column in names.items()}
            yield pa.record_batch([columns[roles[name]] for name in self.schema.names], self.schema)

    def _numbered(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """Rows that stand for a request, with numbers in place of texts."""
        if "count" in columns and not (counted := numbers(columns["count"]) > 0).all():
            columns = {role: values.filter(array_of(counted)) for role, values in columns.items()}
        for role, codes in self._codes.items():
            columns[role] = _encode(columns[role], codes, self._of_numbers[role])
        if "size" in columns:
            sizes, known = columns.pop("size"), None
            items = numbers(columns["item"])
            if sizes.null_count:
                known = sizes.is_valid().to_numpy(zero_copy_only=False)
                sizes, items = sizes.drop_null(), items[known]
            if len(items) and items.max() > len(self._sizes):
                more = np.full(max(int(items.max()), 2 * len(self._sizes)) - len(self._sizes), -1, np.int64)
                self._sizes = np.concatenate([self._sizes, more])
            # Of several values of one item the last one stays.
            self._sizes[items - 1] = numbers(sizes)
        return columns

    def _note(self, member: str, plan: Plan, piece: Piece, columns: Mapping[str, pa.Array]) -> None:
        """Keep what the facts tell of these rows."""
        facts, times = self.facts, numbers(columns["time"])
        facts.rows += len(times)
        facts.requests += int(numbers(columns["count"]).sum()) if "count" in columns else len(times)
        if "user" in self._codes:
            facts.guests += int(np.count_nonzero(numbers(columns["user"]) == 0))
        least, most = int(times.min()), int(times.max())
        if facts.first is None or least < facts.first:
            facts.first, self._extremes[0] = least, (member, plan, piece)
        if facts.last is None or most > facts.last:
            facts.last, self._extremes[1] = most, (member, plan, piece)
        first = least - EARLIEST >> _SPAN_BITS
        counts = np.bincount((times - (EARLIEST + (first << _SPAN_BITS))) >> _SPAN_BITS)
        self._spans[first : first + len(counts)] += counts.astype(np.uint32)

    def _finish(self) -> None:
        """Complete the facts, once all requests are read."""
        if "item" in self._codes and self._catalogue is not None:
            self.facts.uncatalogued = len(self._codes["item"]) - self._catalogued
        spans = np.flatnonzero(self._spans)
        if not len(spans):
            return
        place = np.cumsum(self._spans[spans], dtype=np.int64)
        low, high = spans[np.searchsorted(place / place[-1], [0.001, 0.999])]
        far = max(FAR * (high - low + 1), 2)
        ends = (spans[0] < low - far, spans[-1] > high + far)
        for end, (far, extreme) in enumerate(zip(ends, self._extremes, strict=True)):
            if far and extreme is not None:
                self.facts.far.append(self._place_of_time(*extreme, first=end == 0))

    def _place_of_time(self, member: str, plan: Plan, piece: Piece, *, first: bool) -> str:
        """Where the log's first or last time stands, and which it is."""
        time = self.facts.first if first else self.facts.last
        assert time is not None
        date = np.datetime64(time, "s").item().date()
        for row, alone in piece.rows():
            if row.reason is None:
                good, _, _ = sift(alone, lambda part: read(plan, part), lambda row: judge(plan, row))
                if any(time in numbers(rows.columns["time"]) for rows in good):
                    line = plan.file.lines_before(piece) + row.line
                    return f"{member}: line {line}: {date}"
        return f"{member}: {date}"


#: Times the span of nearly all requests that a request is far away.
FAR = 0.5

#: Seconds of the spans by which requests are counted, as a power of two: some 36 hours.
_SPAN_BITS = 17


def _given(columns: Columns | CatalogueColumns) -> dict[str, Column]:
    """Give the columns that are named, by role."""
    return {role: column for role, column in as_json(columns).items() if column is not None}


def array_of(mask: npt.NDArray[np.bool_]) -> pa.Array:
    """Make an Arrow array of truth values."""
    return pa.Array.from_buffers(
        pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little"))]
    )


def _first_texts(file: File, place: int) -> list[str]:
    """Values of a column in the first rows, as texts."""
    texts: list[str] = []
    for piece in file.pieces():
        try:
            (values,) = piece.parse([Wanted(place, pa.string())])
            texts += [text or "" for text in values.slice(0, SAMPLE_ROWS).cast(pa.string()).to_pylist()]
        except pa.ArrowInvalid:
            rows = (row.values[place] for row, _ in piece.rows() if row.reason is None)
            texts += list(islice(rows, SAMPLE_ROWS))
        if len(texts) >= SAMPLE_ROWS:
            break
    return texts[:SAMPLE_ROWS]


def read(plan: Plan, piece: Piece) -> _Rows:
    """Read the rows of a piece that the conditions leave; ArrowInvalid if one is not as it must be."""
    width = len(plan.file.names)
    wanted = [column for _, column in plan.conditions] + list(plan.wanted.values())
    parsed = piece.parse([column for column in wanted if column.place < width])
    count, own = len(parsed[0]), iter(parsed)
    arrays = [
        next(own)
        if column.place < width
        else pa.array([plan.constants[column.place - width]] * count, pa.string())
        for column in wanted
    ]
    compared, values = arrays[: len(plan.conditions)], arrays[len(plan.conditions) :]
    kept = np.ones(count, bool)
    for (condition, _), column in zip(plan.conditions, compared, strict=True):
        kept &= condition.holds(column)
    if not kept.all():
        values = [column.filter(array_of(kept)) for column in values]
    columns = {
        role: plan.roles[role].checked(column) for role, column in zip(plan.wanted, values, strict=True)
    }
    return _Rows(columns, count - int(np.count_nonzero(kept)))


def judge(plan: Plan, row: Row) -> str | None:
    """Why a row is bad; an empty text if a condition leaves it out."""
    values = [*row.values, *plan.constants]
    for condition, column in plan.conditions:
        text = values[column.place]
        if reason := condition.why_not(text):
            return f"{condition.column} {text!r:.100} {reason}"
        if not condition.holds(pa.array([None if text in MISSING else text], pa.string()))[0]:
            return ""
    for role, column in plan.wanted.items():
        text = values[column.place]
        if reason := plan.roles[role].why_not(text):
            return f"{plan.roles[role].name} {text!r:.100} {reason}"
    return None


def _encode(ids: pa.DictionaryArray, codes: dict[str, int], of_numbers: dict[int, int]) -> pa.Array:
    """Numbers of a column's ids (int32), new ones getting the next in their order; 0 for none.

    ``codes`` has the numbers by the ids' texts, ``of_numbers`` those of ids that were whole numbers.
    """
    whole = pa.types.is_integer(ids.dictionary.type)
    values: list[Any]
    if whole:
        values = numbers(ids.dictionary).tolist()
        found = list(map(of_numbers.get, values))
    else:
        values = list(map(str.strip, ids.dictionary.to_pylist()))
        found = list(map(codes.get, values))
    indices = numbers(ids.indices.fill_null(len(values)) if ids.indices.null_count else ids.indices)
    if None in found:
        # Where each id appears first: the last of what is written, written backwards.
        first = np.full(len(values) + 1, len(indices))
        first[indices[::-1]] = np.arange(len(indices) - 1, -1, -1)
        new = np.array([place for place, code in enumerate(found) if code is None])
        new = new[first[new] < len(indices)]
        for place in new[np.argsort(first[new])].tolist():
            if text := str(values[place]):
                found[place] = codes.setdefault(text, len(codes) + 1)
                if whole:
                    of_numbers[values[place]] = found[place]
    known = np.array([code or 0 for code in found] + [0], np.int32)
    return array(known[indices])
