"""What a kind of files is, and an opened file of it."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from popularity.log.pieces import Layout, Piece, Row, TextPiece
from popularity.log.text import TextError, decoded, whole_lines, whole_records
from popularity.log.zips import Zip, plain

#: A column: its name, or its number from 1.
Column = str | int

#: Bytes of a catalogue, which is read as a whole: 20 million items and more.
LARGEST_CATALOGUE = 2 << 30

#: Bytes of a text file from which is found how it is written.
HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Options:
    """How text is written.

    Attributes
    ----------
    separator
        What parts columns; None to find it.
    header
        Whether the first row names the columns.
    encoding
        None for UTF-8, or UTF-16 if the file says so itself.
    needed
        The columns that have to be there.
    strict
        Whether it has to be as MovieLens writes it: a row a line, commas, no value missing.
    """

    separator: str | None = None
    header: bool = True
    encoding: str | None = None
    needed: Sequence[Column] = ()
    strict: bool = False


class File(ABC):
    """A file of rows.

    Attributes
    ----------
    names
        The columns' names.
    types
        Their types, where the file has some; otherwise all values are texts.
    """

    names: Sequence[str]
    types: Sequence[pa.DataType] = ()

    def read_only(self, places: Sequence[int]) -> None:  # noqa: B027 - for files that gain by it
        """Read no other columns than these."""

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """All rows, a piece after the other, some of them maybe without a row."""

    @abstractmethod
    def lines_before(self, piece: Piece) -> int:
        """Lines of the file before a piece that :meth:`pieces` gave (for other files, rows)."""

    def count_lines(self) -> None:  # noqa: B027 - rows of other files have numbers anyway
        """Prepare for :meth:`lines_before` of every piece."""


@dataclass(frozen=True)
class Release:
    """What a release of MovieLens calls its files.

    Attributes
    ----------
    requests, catalogue
        Names in the archive.
    columns
        Names of the columns by role.
    times
        Whether times are numbers of seconds; otherwise they are found.
    """

    requests: str
    catalogue: str
    columns: Mapping[str, str]
    seconds: bool = True


class Item(NamedTuple):
    """A row of a catalogue, from its line on, or why it is none."""

    line: int
    text: str
    item: str = ""
    title: str | None = None
    genres: str = ""
    year: str = ""
    reason: str | None = None


class Format(ABC):
    """A kind of files.

    Attributes
    ----------
    endings
        Of their names, without what packed them; the first that fits a name decides.
    columns
        The columns by role, where all such files have the same.
    releases
        How MovieLens has files of this kind.
    about
        What they are, in a few words.
    """

    endings: tuple[str, ...] = ()
    columns: Mapping[str, Column] = {}
    releases: tuple[Release, ...] = ()
    about: str

    @abstractmethod
    def open(self, archive: Zip, member: str, options: Options, block_bytes: int) -> File:
        """Open a file of an archive.

        Raises
        ------
        Fault
            If it is no such file.
        """

    def items(
        self, archive: Zip, member: str, options: Options, at: Mapping[str, Column]
    ) -> Iterator[Item]:
        """Read a catalogue, row by row; ``at`` are its columns by role."""
        file = self.open(archive, member, options, 1 << 20)
        places = {role: place_of(archive, member, file.names, column) for role, column in at.items()}
        file.count_lines()
        for piece in file.pieces():
            before = file.lines_before(piece)
            for row, _ in piece.rows():
                yield item_of(row, places, before)


def load_formats() -> dict[str, Format]:
    """All formats by their modules' names."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and issubclass(value, Format) and value is not Format:
                found[path.stem] = value()
    return found


def format_of(formats: Mapping[str, Format], member: str) -> str | None:
    """Give the name of the format that a member's name shows; None if it shows none."""
    name = plain(member.lower())
    fits = [
        (len(ending), kind)
        for kind, format in formats.items()
        for ending in format.endings
        if name.endswith(ending)
    ]
    return max(fits)[1] if fits else None


def item_of(row: Row, places: Mapping[str, int], before: int = 0) -> Item:
    """Take a catalogue's row apart."""
    if row.reason:
        return Item(before + row.line, row.text, reason=row.reason)
    values = {role: row.values[place] for role, place in places.items()}
    return Item(before + row.line, row.text, **values)


def place_of(archive: Zip, member: str, names: Sequence[str], column: Column) -> int:
    """Give the place of a column, from 0.

    Raises
    ------
    Fault
        If there is none, or more than one.
    """
    header = f"{','.join(names)!r:.200}"
    if isinstance(column, int):
        if not 1 <= column <= len(names):
            raise archive.fault(f"has {len(names)} columns ({header}), and no column {column}", member)
        return column - 1
    if names.count(column) != 1:
        how = "has two columns" if column in names else "lacks the column"
        raise archive.fault(f"{how} {column!r} (its header is {header}): mend it", member)
    return names.index(column)


class TextFile(File):
    """A text file of an archive, read a block after the other.

    Parameters
    ----------
    lay_out
        Finds, from the file's beginning, how its rows are written, and where they begin.
    quotes
        Whether a row may have ends of lines in quotes.

    Raises
    ------
    Fault
        If it is empty, or no text.
    """

    def __init__(
        self,
        archive: Zip,
        member: str,
        options: Options,
        block_bytes: int,
        lay_out: Callable[[bytes], tuple[Layout, int]],
        *,
        quotes: bool = False,
    ) -> None:
        self._archive, self._member = archive, member
        self._options, self._block_bytes, self._quotes = options, block_bytes, quotes
        # Lines are counted only from the first bad row on.
        self._counts_lines = False
        head = b""
        for block in self._blocks():
            head += block
            if len(head) >= HEAD_BYTES:
                break
        if not head:
            raise archive.fault("is empty: get the archive again", member)
        self.layout, self._begin = lay_out(head)
        self.names = self.layout.names

    def _blocks(self) -> Iterator[bytes]:
        """Give the text as UTF-8, in blocks of whole rows."""
        cut = whole_records if self._quotes else whole_lines
        blocks = self._archive.blocks(self._member, self._block_bytes)
        try:
            yield from cut(decoded(blocks, self._options.encoding))
        except TextError as error:
            raise self._archive.fault(str(error), self._member) from error

    def pieces(self) -> Iterator[Piece]:
        """All rows; what is before them is left out."""
        offset, lines = 0, 0 if self._counts_lines else None
        for block in self._blocks():
            if self._counts_lines and lines is None:
                lines = self._count_lines(offset)
            skipped = min(max(self._begin - offset, 0), len(block))
            text = block[skipped:] if skipped else block
            before = None if lines is None else lines + block.count(b"\n", 0, skipped)
            yield TextPiece(self.layout, text, offset + skipped, before)
            offset += len(block)
            if lines is not None:
                lines += block.count(b"\n")

    def lines_before(self, piece: Piece) -> int:
        """Lines before a piece; from the first time this is asked on, lines are counted on the way."""
        self._counts_lines = True
        assert isinstance(piece, TextPiece)
        return self._count_lines(piece.offset) if piece.lines is None else piece.lines

    def _count_lines(self, end: int) -> int:
        lines = 0
        for block in self._blocks():
            if end <= 0:
                break
            lines += block.count(b"\n", 0, end)
            end -= len(block)
        return lines

    def count_lines(self) -> None:
        """Count lines from the beginning, where each row is to be told by its line."""
        self._counts_lines = True
