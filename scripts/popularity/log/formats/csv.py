"""Tables whose columns a character parts: MovieLens' own since 2015, and any other log's."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from popularity.log.formats.base import (
    LARGEST_CATALOGUE,
    Column,
    File,
    Format,
    Item,
    Options,
    Release,
    TextFile,
    place_of,
)
from popularity.log.pieces import MISSING, Layout, Row, Wanted, convert_options, parse_texts
from popularity.log.roles import NOT_UTF8, not_utf8
from popularity.log.text import BLOCK_BYTES, BOM, bom, decoded, record_end
from popularity.log.zips import Zip

# A field is as long as it is: whether it is good is for the rules to say.
csv.field_size_limit(2**31 - 1)

#: What may part columns, if nothing is said.
SEPARATORS = (",", ";", "\t", "|")

_LONE_CR = re.compile(rb"\r(?![\r\n]|\Z)")
_QUOTED = re.compile(rb'"[^"]*"')
_QUOTED_TEXT = re.compile('"[^"]*"')
_QUOTED_START = re.compile(rb'(?:^|[\n,;\t|])[ ]*"')

MOVIELENS = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}


class Delimited(Layout):
    """Rows whose fields a separator parts.

    Parameters
    ----------
    names
        The columns' names.
    separator
        One character, or ``::``.
    strict
        A row must be a line, and a value may not be missing: as MovieLens writes them.
    """

    def __init__(self, names: Sequence[str], separator: str, *, strict: bool) -> None:
        self.names, self._separator, self._strict = names, separator, strict
        self._delimiter = "\t" if separator == "::" else separator
        # Only MovieLens' oldest releases write quotes as letters.
        self._quotes = not strict or separator == ","

    def parse(self, text: bytes, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read columns of whole rows."""
        if self._separator == "::":
            text = text.replace(b"::", b"\t")
        types: dict[int, Wanted] = {}
        for column in wanted:
            # A column that is wanted as two types is read as text.
            same = types.setdefault(column.place, column)
            if same.type != column.type or same.patterns != column.patterns:
                types[column.place] = Wanted(column.place, pa.string())
        read = self._read(text, types)
        if self._strict and not _is_a_row_a_line(text, len(read)):
            raise pa.ArrowInvalid("a row is not one line")
        if not self._strict and b"\r" in text and _LONE_CR.search(_QUOTED.sub(b"", text)):
            raise pa.ArrowInvalid("a row has an end of line within it")
        self._refuse_hexadecimal(text, types)
        columns = {place: read[str(place)].chunk(0) for place in types} if len(read) else {}
        found = []
        for column in wanted:
            values = columns[column.place] if columns else pa.nulls(0, column.type)
            found.append(values if types[column.place] == column else parse_texts(values, column))
        return found

    def _read(self, text: bytes, types: Mapping[int, Wanted]) -> pa.Table:
        # Parallel to other blocks' inflating and writing, so no threads of its own.
        read = pacsv.ReadOptions(
            column_names=[str(place) for place in range(len(self.names))],
            block_size=max(4 << 20, len(text) + 1) if self._quotes and not self._strict else 4 << 20,
            use_threads=False,
        )
        if text.startswith(BOM):
            # A mark at the beginning of a block, but not of the member, is no mark; Arrow would skip it.
            text = b"\n" + text
        quoted = self._quotes and b'"' in text
        return pacsv.read_csv(
            pa.BufferReader(text),
            read,
            pacsv.ParseOptions(
                delimiter=self._delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted and not self._strict,
            ),
            convert_options(
                [str(place) for place in types],
                list(types.values()),
                () if self._strict else MISSING,
            ),
        ).combine_chunks()

    def _refuse_hexadecimal(self, text: bytes, types: Mapping[int, Wanted]) -> None:
        """Refuse whole numbers such as 0x1f, which Arrow reads."""
        whole = [column for column in types.values() if pa.types.is_integer(column.type)]
        if whole and np.frombuffer(text, np.uint8).max() > ord("9") and (b"x" in text or b"X" in text):
            raw = self._read(text, {c.place: Wanted(c.place, pa.string()) for c in types.values()})
            if any(b"x" in raw[str(c.place)].chunk(0).buffers()[2].to_pybytes().lower() for c in whole):
                raise pa.ArrowInvalid("a value is hexadecimal")

    def row(self, text: str, line: int) -> Row:
        """Take one row apart; a quote that stays open ends in a newline."""
        if "\r" in text and (self._strict or "\r" in _QUOTED_TEXT.sub("", text)):
            return Row(line, text, [], "has an end of line (CR) within it")
        values = fields(text, self._separator, quotes=self._quotes)
        if len(values) != len(self.names):
            return Row(line, text, values, f"has {len(values)} fields, not {len(self.names)}")
        if values[-1].endswith("\n") and self._quotes:
            where = "on its line" if self._strict else "before the next row"
            return Row(line, text, values, f"has a quote that does not end {where}")
        return Row(line, text, values)

    def records(self, text: bytes) -> list[bytes]:
        """Divide a text into rows, which may have ends of lines in quotes."""
        lines = super().records(text)
        if self._strict or b'"' not in text:
            return lines
        found, begun = [], b""
        for line in lines:
            begun += line
            if begun.count(b'"') % 2 == 0 or not _QUOTED_START.search(begun):
                found.append(begun)
                begun = b""
        return [*found, begun] if begun else found

    def record_end(self, text: bytes) -> int:
        """Where the last whole row of a text ends."""
        return super().record_end(text) if self._strict else record_end(text)


def fields(row: str, separator: str, *, quotes: bool = True) -> list[str]:
    """Fields of one row; a separator may stand in quotes. A quote that stays open ends in a newline."""
    if separator == "::":
        # As it is parsed: a tab parts, too.
        return row.replace("::", "\t").split("\t")
    if not quotes or '"' not in row:
        return row.split(separator)
    # The second line is there to be swallowed.
    reader = csv.reader(io.StringIO(row + "\n\n", newline=""), delimiter=separator)
    try:
        return next(reader)
    except csv.Error:
        return [row]


def _is_a_row_a_line(text: bytes, rows: int) -> bool:
    """Whether each line of a text that was parsed to so many rows is one of them, or blank."""
    # NumPy counts ten times as fast as bytes do.
    data = np.frombuffer(text, np.uint8)
    if b"\r" in text:
        returns = data == ord("\r")
        paired = np.count_nonzero(returns[:-1] & (data[1:] == ord("\n")))
        if paired != np.count_nonzero(returns) and _LONE_CR.search(text):
            return False
    if b'"' not in text:
        return True
    # A blank line is no row, and a quote that stays open takes lines into its row: there are never more.
    if rows == np.count_nonzero(data == ord("\n")) + (not text.endswith(b"\n")):
        return True
    return rows == sum(1 for line in text.split(b"\n") if line.rstrip(b"\r"))


class Csv(Format):
    """Text whose columns a comma, semicolon, tab or bar parts."""

    endings = (".csv", ".tsv", ".txt", ".dat", ".data")
    releases = (
        Release("ratings.csv", "movies.csv", MOVIELENS),
        # Kaggle's copy of ml-20m.
        Release("rating.csv", "movie.csv", MOVIELENS, seconds=False),
    )
    about = "columns parted by a comma, semicolon, tab or bar"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open a file; its separator is found if it is not given."""

        def lay_out(head: bytes) -> tuple[Layout, int]:
            start = bom(head)
            end = _header_end(head, start)
            line = head[start:end].decode("utf-8", "replace").rstrip("\r\n")
            separator = _separator(line, options)
            layout = Delimited(_names(line, separator, options), separator, strict=options.strict)
            return layout, end if options.header else start

        return TextFile(archive, member, options, block_bytes, lay_out, quotes=not options.strict)

    def items(
        self, archive: Zip, member: str, options: Options, at: Mapping[str, Column]
    ) -> Iterator[Item]:
        """Read a catalogue, which has a header, and whose titles may hold ends of lines."""
        text = whole_text(archive, member, options.encoding)
        first = text[: text.find("\n") + 1 or len(text)].rstrip("\r\n")
        separator = _separator(first, options)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        damaged = not_utf8(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            line = reader.line_num + 1
            places = {role: place_of(archive, member, header, column) for role, column in at.items()}
            for row in reader:
                whole = ",".join(row)
                if row and len(row) != len(header):
                    reason = (
                        f"has {len(row)} fields, the header {len(header)}: quote a title that holds a comma"
                    )
                    yield Item(line, whole, reason=reason)
                elif damaged and not_utf8(whole):
                    yield Item(line, whole, reason=f"{whole!r:.100} {NOT_UTF8}")
                elif row:
                    yield Item(line, whole, **{role: row[place] for role, place in places.items()})
                line = reader.line_num + 1
        except csv.Error as error:
            raise archive.fault(f"line {reader.line_num}: {error}: mend its quotes", member) from error


def _header_end(head: bytes, start: int) -> int:
    """Where the first row ends; names may hold ends of lines in quotes."""
    end = start
    while end := head.find(b"\n", end) + 1:
        if head.count(b'"', start, end) % 2 == 0:
            return end
    return (head.find(b"\n", start) + 1) or len(head)


def _names(line: str, separator: str, options: Options) -> list[str]:
    """Give the names of the columns by the first row; without a header they are numbers from 1."""
    names = [name.strip().removeprefix("#").strip() for name in fields(line, separator)]
    return names if options.header else [str(number) for number in range(1, len(names) + 1)]


def _separator(line: str, options: Options) -> str:
    """Find what parts a row: what gives most of the columns that are needed, then most columns."""
    if options.separator or options.strict:
        return options.separator or ","

    def fit(separator: str) -> tuple[int, int]:
        names = _names(line, separator, options)
        return len(set(names) & set(map(str, options.needed))), len(names)

    return max(SEPARATORS, key=fit)


def whole_text(archive: Zip, member: str, encoding: str | None, other: str | None = None) -> str:
    """Whole text of a small member.

    Parameters
    ----------
    other
        The encoding of a text that is not UTF-8; without one, a byte that is none of UTF-8 is a lone
        surrogate.
    """
    blocks, size = [], 0
    for block in decoded(archive.blocks(member, BLOCK_BYTES), encoding):
        blocks.append(block)
        size += len(block)
        if size > LARGEST_CATALOGUE:
            raise archive.fault(f"is larger than {LARGEST_CATALOGUE >> 30} GiB: it is no catalogue", member)
    data = b"".join(blocks)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(other) if other else data.decode("utf-8-sig", "surrogateescape")
