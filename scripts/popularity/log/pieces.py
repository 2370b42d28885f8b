"""Rows of a file as they are parsed: many at once, and one by one where one of them is bad."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.csv as pacsv

from popularity.log.text import NOT_BLANK

T = TypeVar("T")

#: Bytes of text, and rows of a table, of which each row is looked at, once one of them is bad.
FEW_BYTES, FEW_ROWS = 1 << 12, 64

#: Texts that stand for no value where a value may be missing.
MISSING = ("", "NA", "N/A", "null", "NULL", "None", "\\N")


@dataclass(frozen=True)
class Wanted:
    """A column to be read.

    Attributes
    ----------
    place
        Its place in the file, from 0.
    type
        What its values are to be. A file that has types of its own may give another.
    patterns
        For times: how they are written, as strptime has it; ISO 8601 without any.
    """

    place: int
    type: pa.DataType
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row: its line in the piece (from 1), its text, its values as texts, and why it is none."""

    line: int
    text: str
    values: Sequence[str]
    reason: str | None = None


class Piece(ABC):
    """Some rows of a file, one after the other."""

    @abstractmethod
    def parse(self, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read columns, all of one length.

        Raises
        ------
        pyarrow.ArrowInvalid
            If a row is no row, or a value not of its type.
        """

    @abstractmethod
    def halves(self) -> "list[Piece]":
        """Divide it in two; in none if it is small."""

    @abstractmethod
    def rows(self) -> "Iterator[tuple[Row, Piece]]":
        """Each row, and a piece of it alone; a slow way."""

    @abstractmethod
    def joined(self, pieces: "Sequence[Piece]") -> "Piece":
        """Put pieces of the same file together."""


class Layout(ABC):
    """How the rows of a text file are written.

    Attributes
    ----------
    names
        The columns' names.
    """

    names: Sequence[str]

    @abstractmethod
    def parse(self, text: bytes, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read columns of whole rows; see :meth:`Piece.parse`."""

    @abstractmethod
    def row(self, text: str, line: int) -> Row:
        """Take one row, without its end, apart."""

    def records(self, text: bytes) -> list[bytes]:
        """Divide a text into rows, each with its end; a blank line is a row of its own."""
        # `splitlines` would part at a lone CR, too.
        return [line + b"\n" for line in text.split(b"\n")]

    def record_end(self, text: bytes) -> int:
        """Where the last whole row of a text ends; 0 if there is none."""
        return text.rfind(b"\n") + 1


class TextPiece(Piece):
    """Whole rows of a text.

    Parameters
    ----------
    offset
        Bytes of the file before it.
    lines
        Lines of the file before it, if they were counted.
    before
        Lines before it of the piece that it is a part of.
    """

    def __init__(
        self, layout: Layout, text: bytes, offset: int = 0, lines: int | None = None, before: int = 0
    ) -> None:
        self._layout, self.text = layout, text
        self.offset, self.lines = offset, lines
        self._before = before

    def parse(self, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read columns of the rows; none, if all lines are blank."""
        if not NOT_BLANK.search(self.text):
            return [pa.nulls(0, column.type) for column in wanted]
        return self._layout.parse(self.text, wanted)

    def halves(self) -> list[Piece]:
        """Divide it after the row before the middle, or the one after."""
        text = self.text
        if len(text) <= FEW_BYTES:
            return []
        end = self._layout.record_end(text[: len(text) // 2])
        if not 0 < end < len(text):
            return []
        before = self._before + text.count(b"\n", 0, end)
        return [
            TextPiece(self._layout, text[:end], before=self._before),
            TextPiece(self._layout, text[end:], before=before),
        ]

    def rows(self) -> Iterator[tuple[Row, Piece]]:
        """Each row that is no blank line."""
        line = self._before
        for record in self._layout.records(self.text):
            if text := record.rstrip(b"\r\n").decode("utf-8", "surrogateescape"):
                piece = TextPiece(self._layout, record)
                yield self._layout.row(text, line + 1), piece
            line += record.count(b"\n")

    def joined(self, pieces: Sequence[Piece]) -> Piece:
        """Put their texts together."""
        texts = (piece.text for piece in pieces if isinstance(piece, TextPiece))
        return TextPiece(self._layout, b"".join(texts))


class ArrowPiece(Piece):
    """Rows of a table that has types of its own.

    Parameters
    ----------
    table
        The columns that are read.
    names
        The names of all columns of the file, in their order.
    before
        Rows of the file before it.
    """

    def __init__(self, table: pa.Table, names: Sequence[str], before: int = 0) -> None:
        self._table, self._names, self._before = table, names, before

    def parse(self, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Give the columns as they are."""
        return [_one_array(self._table.column(self._names[column.place])) for column in wanted]

    def halves(self) -> list[Piece]:
        """Divide it in the middle."""
        count = len(self._table)
        if count <= FEW_ROWS:
            return []
        middle = count // 2
        return [
            ArrowPiece(self._table.slice(0, middle), self._names, self._before),
            ArrowPiece(self._table.slice(middle), self._names, self._before + middle),
        ]

    def rows(self) -> Iterator[tuple[Row, Piece]]:
        """Each row; its line is its number in the file."""
        for at, row in enumerate(self._table.to_pylist()):
            texts = {name: "" if value is None else str(value) for name, value in row.items()}
            number = self._before + at
            values = [texts.get(name, "") for name in self._names]
            alone = ArrowPiece(self._table.slice(at, 1), self._names, number)
            yield Row(number + 1, ",".join(texts.values()), values), alone

    def joined(self, pieces: Sequence[Piece]) -> Piece:
        """Put their tables together."""
        tables = [piece._table for piece in pieces if isinstance(piece, ArrowPiece)]
        return ArrowPiece(pa.concat_tables(tables), self._names)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    """Give a column as one array."""
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)


def parse_texts(texts: pa.Array, wanted: Wanted) -> pa.Array:
    """Read texts as a CSV file's values are read; null where one is missing.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a text is not of the type.
    """
    if pa.types.is_dictionary(texts.type):
        return parse_texts(texts.dictionary, wanted).take(texts.indices)
    values = [text or "" for text in texts.to_pylist()]
    if not values:
        return pa.nulls(0, wanted.type)
    if any("\n" in value or "\r" in value for value in values):
        raise pa.ArrowInvalid("a value has several lines")
    read = pacsv.read_csv(
        pa.BufferReader(("\n".join(values) + "\n").encode("utf-8", "surrogateescape")),
        pacsv.ReadOptions(column_names=["value"], use_threads=False),
        # What no text holds.
        pacsv.ParseOptions(delimiter="\x01", quote_char=False, ignore_empty_lines=False),
        convert_options(["value"], [wanted], MISSING),
    )
    parsed = _one_array(read["value"])
    if len(parsed) != len(values):
        raise pa.ArrowInvalid("a value has several lines")
    return parsed


def convert_options(
    names: Sequence[str], wanted: Sequence[Wanted], missing: Sequence[str]
) -> pacsv.ConvertOptions:
    """How Arrow converts these columns."""
    patterns = [pattern for column in wanted for pattern in column.patterns]
    return pacsv.ConvertOptions(
        column_types={name: column.type for name, column in zip(names, wanted, strict=True)},
        include_columns=list(names),
        null_values=list(missing),
        timestamp_parsers=patterns or [pacsv.ISO8601],
    )


def sift(
    piece: Piece, parse: Callable[[Piece], T], judge: Callable[[Row], str | None]
) -> tuple[list[T], list[tuple[int, str, str]], int]:
    """Part the good rows from the bad ones.

    Parts without a bad row are found by parsing them, so that a bad row here and there costs little.

    Parameters
    ----------
    parse
        Parses a piece, or raises ArrowInvalid if a row of it is bad.
    judge
        Says why a row is bad: None if it sees nothing wrong, an empty text if it is to be passed over.

    Returns
    -------
    What was parsed, in the rows' order; of each bad row its line in the piece (from 1), the reason and its
    text; and how many rows were passed over.
    """
    good: list[T] = []
    bad: list[tuple[int, str, str]] = []
    passed_over = 0
    todo = [piece]
    while todo:
        part = todo.pop()
        try:
            good.append(parse(part))
            continue
        except pa.ArrowInvalid:
            if halves := part.halves():
                todo += reversed(halves)
                continue
        rows, alone = zip(*part.rows(), strict=True)
        reasons = [row.reason or judge(row) for row in rows]
        rest = [one for one, reason in zip(alone, reasons, strict=True) if reason is None]
        try:
            good += [parse(piece.joined(rest))] if rest else []
        except pa.ArrowInvalid:
            # Some value cannot be read, though it looks as it should.
            for at, (one, reason) in enumerate(zip(alone, reasons, strict=True)):
                try:
                    good += [parse(one)] if reason is None else []
                except pa.ArrowInvalid as error:
                    reasons[at] = f"cannot be read ({error})"
        bad += [(row.line, reason, row.text) for row, reason in zip(rows, reasons, strict=True) if reason]
        passed_over += reasons.count("")
    return good, bad, passed_over
