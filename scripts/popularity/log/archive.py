"""Read the ratings and the movies of any release of MovieLens, or of another log, from its zip.

Nothing is unpacked to disk. Ratings come in blocks of rows, so that memory does not grow with the
log; whatever is wrong with the archive is a :class:`Fault` that says where.
"""

import csv
import io
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from isal import igzip, isal_zlib

from popularity.log.rejects import Rejects
from popularity.program import Fault, Shard
from popularity.tables import JOINED, MOVIES, array, numbers, prefetch, text_array

# A field is as long as it is: whether it is good is for the rules below to say.
csv.field_size_limit(2**31 - 1)

#: Bytes of text that are parsed at once: few enough to stay in the processor's cache.
BLOCK_BYTES = 2 << 20

#: Bytes of a catalogue, which is read as a whole: 20 million movies and more.
LARGEST_CATALOGUE = 2 << 30

#: Bytes of text of which each row is looked at, once it is known that one of them is bad.
_FEW_BYTES = 1 << 12

#: Largest id, and the first second (UTC) of the year 2200, before which every timestamp must lie.
LARGEST_ID = 2**31 - 1
TOO_LATE = 7_258_118_400

#: What a request log tells, and the column of joined.parquet that holds it.
ROLES = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}

#: What a batch of requests, and the catalogue, look like.
REQUESTS = pa.schema([JOINED.field(name) for name in ROLES.values()])
CATALOGUE = pa.schema([MOVIES.field(name) for name in ("movieId", "title", "genre_names")])

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_BOM = "\ufeff".encode()
_NOT_BLANK = re.compile(rb"[^\r\n]")
_LONE_CR = re.compile(rb"\r(?![\r\n]|\Z)")

#: Genres that say that there is none.
NO_GENRES = ("", "(no genres listed)")


@dataclass(frozen=True)
class Form:
    """The members of an archive and how their fields are separated."""

    requests: str
    catalogue: str
    separator: str
    has_header: bool


FORMS = {
    "csv": Form("ratings*.csv", "movies.csv", ",", True),
    "dat": Form("ratings.dat", "movies.dat", "::", False),
    "tab": Form("u.data", "u.item", "\t", False),
}


@dataclass(frozen=True)
class _Movie:
    """A row of the catalogue, from its line on, or why it is none."""

    line: int
    row: str
    item: str = ""
    title: str | None = None
    genres: str = ""
    reason: str | None = None


class Archive:
    """A log of requests (ratings) and its catalogue (movies) in a zip, to be used as a context.

    Args:
        path: the zip.
        form: ``csv`` (a header, UTF-8; ``ratings*.csv`` may be several parts in one folder),
            ``dat`` (ml-1m, ml-10m) or ``tab`` (ml-100k).
        columns: the headers of another log (csv) by role: ``user``, ``item``, ``time`` and maybe
            ``rating``, which may then be any number. Its ids are whole numbers or texts (as a look
            at the first rows shows), and a text gets the number of its first appearance, from 1.
        requests: name or pattern of the members with the requests, if not MovieLens' own.
        catalogue: name of the member with the movies, if not MovieLens' own.
        rejects: where rows that cannot be used are noted; by default they are a fault.
        max_bytes: how much the members may unpack to.

    Raises:
        Fault: if this is no whole zip, lacks a member or a column, or unpacks to more.
    """

    def __init__(
        self,
        path: Path,
        form: str = "csv",
        columns: Mapping[str, str] | None = None,
        requests: str | None = None,
        catalogue: str | None = None,
        rejects: Rejects | None = None,
        max_bytes: float = float("inf"),
    ) -> None:
        """Open the zip and find its members."""
        self._path = path
        self.rejects = rejects or Rejects()
        self._max_bytes = max_bytes
        self._unpacked: dict[str, int] = {}
        # Lines before the block at hand, by member, counted from a member's first bad row on.
        self._lines: dict[str, int] = {}
        self._form = FORMS[form]
        self._zip = _open_zip(path)
        self._own = columns is None
        if columns is not None:
            _check_columns(columns, form)
        self._columns = dict(columns or ROLES)
        members = [m for m in self._zip.namelist() if not m.endswith("/") and "__MACOSX/" not in m]
        self._members = sorted(members, key=_natural)
        self._catalogue = self._find_catalogue(catalogue)
        self._parts = self._find_requests(requests)
        used = [*self._parts, *filter(None, [self._catalogue])]
        self._check_size(sum(self._zip.getinfo(member).file_size for member in used))
        # Texts that stand for ids, by role; and the items that the catalogue lacks.
        self._codes: dict[str, dict[str, int]] = {}
        if not self._own:
            self._codes = self._text_roles()
        self._uncatalogued: dict[int, str] = {}
        self._titled: set[int] = set()

    def __enter__(self) -> "Archive":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the zip."""
        self._zip.close()

    # Members

    def _fault(self, message: str, member: str | None = None) -> Fault:
        return Fault(f"{self._path}: {member}: {message}" if member else f"{self._path}: {message}")

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise self._fault(
                f"unpacks to more than {self._max_bytes / 1e9:g} GB: if it is what you expect, and no"
                " zip bomb, raise `data: max_unpacked_gb`"
            )

    def _named(self, pattern: str) -> list[str]:
        """Members whose name, or whole path, fits the pattern; each may be gzipped (NAME.gz)."""
        fits = [m for m in self._members if any(fnmatchcase(_plain(n), pattern) for n in (m, _name(m)))]
        plain = {_plain(m) for m in fits}
        if len({m.rpartition("/")[0] for m in fits}) > 1 or len(plain) < len(fits):
            raise self._fault(
                f"{pattern} is there more than once ({_listed(fits)}): make a zip with one of them"
            )
        return fits

    def _find_catalogue(self, pattern: str | None) -> str | None:
        found = self._named(pattern or self._form.catalogue)
        if not found and (self._own or pattern):
            raise self._lacks(pattern or self._form.catalogue)
        if len(found) > 1:
            raise self._fault(f"{pattern} fits {_listed(found)}: name one of them as `catalogue:`")
        return found[0] if found else None

    def _find_requests(self, pattern: str | None) -> list[str]:
        if pattern or self._own:
            found = [m for m in self._named(pattern or self._form.requests) if m != self._catalogue]
            if not found:
                raise self._lacks(pattern or self._form.requests)
            return found
        found = [m for m in self._members if _plain(m.lower()).endswith(".csv") and m != self._catalogue]
        if len(found) != 1:
            raise self._fault(
                f"which .csv holds the requests? It holds {_listed(found)}: say it as `requests:`"
            )
        return found

    def _lacks(self, pattern: str) -> Fault:
        return self._fault(
            f"lacks {pattern.replace('*.', '.')} (it holds {_listed(self._members)}): use a whole release"
            " of MovieLens, or set the dataset's `format`, or `columns`, `requests` and `catalogue`"
        )

    def _blocks(self, member: str, block_bytes: int) -> Iterator[bytes]:
        """Text of a member in blocks of whole lines."""
        rest, size = b"", 0
        try:
            for data in self._inflated(self._zip.getinfo(member), block_bytes):
                size += len(data)
                self._unpacked[member] = max(size, self._unpacked.get(member, 0))
                self._check_size(sum(self._unpacked.values()))
                end = data.rfind(b"\n") + 1
                if end:
                    yield b"".join((rest, memoryview(data)[:end]))
                    rest = b""
                rest += data[end:]
                if len(rest) > 2 * BLOCK_BYTES:
                    raise self._fault("has no ends of lines: it is no table", member)
        except (Fault, MemoryError):
            raise
        except Exception as error:
            # A damaged zip may raise nearly anything: of zipfile, zlib, bz2, lzma and struct.
            if "password" in str(error):
                raise self._fault("is encrypted: unpack it, and zip it without", member) from error
            if isinstance(error, NotImplementedError):
                raise self._fault(f"{error}: zip it with deflate", member) from error
            raise self._fault(
                f"is damaged ({error or 'it ends too early'}): get the archive again", member
            ) from error
        if rest:
            yield rest

    def _inflated(self, member: zipfile.ZipInfo, block_bytes: int) -> Iterator[bytes]:
        """Contents of a member in blocks of ``block_bytes``, the last one shorter; checked at the end."""
        if member.filename.endswith(".gz"):
            with self._zip.open(member) as packed, igzip.open(packed) as file:
                yield from iter(lambda: file.read(block_bytes), b"")
            return
        with self._zip.open(member) as file:
            # Opening has checked the member's own header. ISA-L inflates three times as fast as zlib.
            if member.compress_type != zipfile.ZIP_DEFLATED:
                yield from iter(lambda: file.read(block_bytes), b"")
                return
        with self._path.open("rb") as packed:
            packed.seek(member.header_offset + 26)
            packed.seek(sum(struct.unpack("<HH", packed.read(4))), io.SEEK_CUR)
            inflater, left, size, checksum = isal_zlib.decompressobj(-15), member.compress_size, 0, 0
            while not inflater.eof:
                taken = inflater.unconsumed_tail or packed.read(min(left, block_bytes))
                if not inflater.unconsumed_tail:
                    left -= len(taken)
                data = inflater.decompress(taken, block_bytes)
                if not (taken or data):
                    break
                size += len(data)
                checksum = isal_zlib.crc32(data, checksum)
                if size > member.file_size:
                    break
                if data:
                    yield data
        if not inflater.eof or size != member.file_size or checksum != member.CRC:
            raise zipfile.BadZipFile("its size or checksum is wrong")

    def _text(self, member: str) -> str:
        """Whole text of a small member; a byte that is not UTF-8 is a lone surrogate in it."""
        blocks, size = [], 0
        for block in self._blocks(member, BLOCK_BYTES):
            blocks.append(block)
            size += len(block)
            if size > LARGEST_CATALOGUE:
                raise self._fault(
                    f"is larger than {LARGEST_CATALOGUE >> 30} GiB: it is no catalogue", member
                )
        data = b"".join(blocks)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if not self._form.has_header:
                return data.decode("latin-1")
            return data.decode("utf-8-sig", "surrogateescape")

    # The catalogue

    def catalogue(self, rejects: Rejects | None = None) -> pa.Table:
        """Movies in the archive's order: movieId, title, genre_names (null if there is none).

        Rows that are no movie, or one that was there before, are noted in ``rejects`` (default: this
        archive's own).
        """
        rejects = rejects or self.rejects
        if self._catalogue is None:
            return CATALOGUE.empty_table()
        lines: dict[int, int] = {}
        titles: list[str] = []
        genres: list[str | None] = []
        for movie in self._movies(self._catalogue):
            code, reason = self._item(movie.item), movie.reason
            if reason is None and code is None:
                reason = f"movie {movie.item!r:.100} {_rule('item')}"
            elif reason is None and code in lines:
                reason = f"movie {movie.item!r:.100} is there already, on line {lines[code]}"
            if reason is not None or code is None:
                rejects.add(self._catalogue, movie.line, str(reason), movie.row)
                continue
            lines[code] = movie.line
            titles.append(movie.item if movie.title is None else movie.title)
            genres.append(None if movie.genres in NO_GENRES else movie.genres)
        rejects.check(self._path)
        if not lines:
            bad = rejects.told()
            raise self._fault(bad or "has no movie below its header", None if bad else self._catalogue)
        self._titled = set(lines)
        return _catalogue_table(list(lines), titles, genres)

    def uncatalogued(self) -> pa.Table:
        """Items of another log that its catalogue lacks, like `catalogue`.

        Known once all requests are read; in the order of their first appearance, with the id as
        the log has it for a title.
        """
        items = self._uncatalogued
        return _catalogue_table(list(items), list(items.values()), [None] * len(items))

    def _item(self, text: str) -> int | None:
        """Number of an item of the catalogue; None if it cannot be one."""
        text = text.strip()
        if "item" in self._codes and text:
            codes = self._codes["item"]
            return codes.setdefault(text, len(codes) + 1)
        return _whole_number(text) if _is_id(text) else None

    def _movies(self, member: str) -> Iterator["_Movie"]:
        """Movies of the catalogue, and rows that are none, with the reason."""
        text = self._text(member)
        if self._form.has_header:
            yield from self._movies_csv(member, text)
        elif self._form.separator == "::":
            for line, row in _rows(text):
                # A title may hold the separator, an id and genres do not.
                if row.count("::") < 2:
                    yield _Movie(line, row, reason=f"{row!r:.100} is not id::title::genres")
                    continue
                item, title = row.split("::", 1)
                title, genre = title.rsplit("::", 1)
                yield _Movie(line, row, item, title, genre)
        else:
            names = self._genre_names()
            for line, row in _rows(text):
                fields = row.split("|")
                if len(fields) != 5 + len(names):
                    yield _Movie(line, row, reason=f"has {len(fields)} fields, not {5 + len(names)}")
                    continue
                own = [n for n, flag in zip(names, fields[5:], strict=True) if flag == "1"]
                yield _Movie(line, row, fields[0], fields[1], "|".join(n for n in own if n != "unknown"))

    def _movies_csv(self, member: str, text: str) -> Iterator["_Movie"]:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        damaged = _NOT_UTF8.search(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            item = self._columns["item"] if self._columns["item"] in header else "movieId"
            needed = (item, "title", "genres") if self._own else (item,)
            self._check_header(member, header, needed)
            at = {name: header.index(name) for name in (item, "title", "genres") if name in header}
            line = reader.line_num + 1
            for row in reader:
                whole = ",".join(row)
                if row and len(row) != len(header):
                    reason = (
                        f"has {len(row)} fields, the header {len(header)}: quote a title that holds a comma"
                    )
                    yield _Movie(line, whole, reason=reason)
                elif damaged and _NOT_UTF8.search(whole):
                    yield _Movie(line, whole, reason=f"{whole!r:.100} is not UTF-8: save the file as UTF-8")
                elif row:
                    title = row[at["title"]] if "title" in at else None
                    yield _Movie(
                        line, whole, row[at[item]], title, row[at["genres"]] if "genres" in at else ""
                    )
                line = reader.line_num + 1
        except csv.Error as error:
            raise self._fault(f"line {reader.line_num}: {error}: mend its quotes", member) from error

    def _genre_names(self) -> list[str]:
        """Names of the genre flags of u.item, in their order."""
        found = self._named("u.genre")
        if not found:
            raise self._lacks("u.genre")
        rows = [row.rpartition("|") for _, row in _rows(self._text(found[0]))]
        if sorted(index for _, _, index in rows) != sorted(str(i) for i in range(len(rows))):
            raise self._fault("is not one name|index a line, from 0", found[0])
        return [name for name, _, index in sorted(rows, key=lambda row: int(row[2]))]

    # The requests

    def requests(self, block_bytes: int = BLOCK_BYTES, shard: Shard = (0, 1)) -> Iterator[pa.RecordBatch]:
        """Requests in the log's order, as batches of the columns of `REQUESTS`.

        ``block_bytes`` of text make a batch: it bounds the memory and changes nothing else. For an
        item's number to be its movie's, read the catalogue first. Of ``shard`` (i, n) they are the
        requests of the i-th of n parts of the blocks.
        """
        empty, good, number = True, False, -1
        self._lines.clear()
        sizes = [self._zip.getinfo(member).file_size for member in self._parts]
        blocks = sum(-(-size // block_bytes) for size in sizes)
        for member in self._parts:
            table, offset = None, 0
            for block in prefetch(self._blocks(member, block_bytes)):
                number += 1
                if table is None:
                    table, start = self._table(member, block)
                else:
                    start = 0
                # What is left of a block that holds only the header, or blank lines, is no table.
                text = block[start:] if start else block
                if _NOT_BLANK.search(text):
                    empty = False
                    if min(number * shard[1] // blocks, shard[1] - 1) == shard[0]:
                        batch = self._batch(table, text, offset, block[:start])
                        if batch is not None:
                            good = True
                            yield batch
                offset += len(block)
                if member in self._lines:
                    self._lines[member] += block.count(b"\n")
            if table is None:
                raise self._fault("is empty: get the archive again", member)
        if empty:
            raise self._fault("has no row below its header", _listed(self._parts))
        self.rejects.check(self._path)
        if not good and shard == (0, 1):
            raise self._fault(f"no row can be used: {self.rejects.told()}")

    def _table(self, member: str, block: bytes) -> tuple["_Table", int]:
        """How a member's rows are laid out, by its first block, and where they start in it."""
        start = len(_BOM) if block.startswith(_BOM) else 0
        if not self._form.has_header:
            names = list(ROLES.values())
        else:
            end = block.find(b"\n", start) + 1 or len(block)
            line = block[start:end].decode("utf-8", "replace")
            names = [name.strip() for name in _fields(line.rstrip("\r\n"), ",")]
            self._check_header(member, names, self._columns.values())
            start = end
        at = {role: names.index(column) for role, column in self._columns.items()}
        texts = set(self._codes)
        return _Table(member, self._form.separator, len(names), at, self._own, texts), start

    def _check_header(self, member: str, names: list[str], needed: Iterable[str]) -> None:
        for column in needed:
            if names.count(column) != 1:
                how = "has two columns" if column in names else "lacks the column"
                header = f"{','.join(names)!r:.200}"
                raise self._fault(f"{how} {column!r} (its header is {header}): mend it", member)

    def _text_roles(self) -> dict[str, dict[str, int]]:
        """Codes of the ids that are texts: not all whole numbers at the log's beginning."""
        block = next(self._blocks(self._parts[0], 1 << 20), b"")
        table, start = self._table(self._parts[0], block)
        samples: dict[str, list[str]] = {"user": [], "item": []}
        for _, row in table.rows(block[start:]):
            if len(row) == table.width:
                for role, sample in samples.items():
                    sample.append(row[table.at[role]])
        if self._catalogue:
            samples["item"] += [movie.item for movie in self._movies(self._catalogue) if not movie.reason]
        whole = re.compile(r"\s*-?[0-9]*\s*")
        return {r: {} for r, texts in samples.items() if not all(map(whole.fullmatch, texts))}

    def _batch(self, table: "_Table", text: bytes, offset: int, header: bytes) -> pa.RecordBatch | None:
        """Parse a block's rows; the block begins ``offset`` bytes into its member with this header.

        None if no row of it is left, or if a bad row has turned up, which needs no more than a count.
        """
        try:
            columns = table.parse(text)
        except pa.ArrowInvalid:
            # Only now is it worth to look at single rows, and to count the lines before.
            if table.member not in self._lines:
                self._lines[table.member] = self._lines_before(table.member, offset)
            before = self._lines[table.member] + header.count(b"\n")
            good, bad = table.sift(text)
            for line, reason, row in bad:
                self.rejects.add(table.member, before + line, reason, row)
            if not good:
                return None
            columns = table.parse(good)
        if self.rejects.total and not self.rejects.drops:
            return None
        for role, codes in self._codes.items():
            columns[role] = _encode(columns[role], codes)
        if not self._own:
            self._note_items(columns["item"])
        if "rating" not in columns:
            columns["rating"] = pa.nulls(len(columns["time"]), pa.float32())
        return pa.record_batch([columns[role] for role in ROLES], REQUESTS)

    def _lines_before(self, member: str, offset: int) -> int:
        """Lines in the first ``offset`` bytes of a member."""
        lines = 0
        for block in self._blocks(member, BLOCK_BYTES):
            lines += block.count(b"\n", 0, max(offset, 0))
            offset -= len(block)
            if offset <= 0:
                break
        return lines

    def _note_items(self, items: pa.Array) -> None:
        texts = list(self._codes["item"]) if "item" in self._codes else None
        for item in items.unique().to_pylist():
            if item not in self._titled:
                self._titled.add(item)
                self._uncatalogued[item] = texts[item - 1] if texts else str(item)


@dataclass(frozen=True)
class _Table:
    """How the rows of a member are laid out: its width, and the place of each role's field."""

    member: str
    separator: str
    width: int
    at: Mapping[str, int]
    own: bool
    texts: set[str]

    def _type(self, role: str) -> pa.DataType:
        if role in self.texts:
            return pa.dictionary(pa.int32(), pa.string())
        return REQUESTS.field(ROLES[role]).type

    def _read(self, text: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
        roles = {place: role for role, place in self.at.items()}
        # Parallel to other blocks' inflating and writing, so no threads of its own.
        read = pacsv.ReadOptions(
            column_names=[roles.get(i, f"other {i}") for i in range(self.width)],
            block_size=4 << 20,
            use_threads=False,
        )
        if text.startswith(_BOM):
            # A mark at the beginning of a block, but not of the member, is no mark; Arrow would skip it.
            text = b"\n" + text
        quoted = self.separator == "," and b'"' in text
        delimiter = self.separator[0] if self.separator != "::" else "\t"
        return pacsv.read_csv(
            pa.BufferReader(text),
            read,
            pacsv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False),
            pacsv.ConvertOptions(column_types=types, include_columns=list(self.at), null_values=[]),
        )

    def parse(self, text: bytes) -> dict[str, pa.Array]:
        """Columns of a block by role; ArrowInvalid if any row is not as it must be."""
        if self.separator == "::":
            text = text.replace(b"::", b"\t")
        parsed = self._read(text, {role: self._type(role) for role in self.at}).combine_chunks()
        columns = {role: parsed[role].chunk(0) for role in self.at}
        if not _is_a_row_a_line(text, len(parsed)):
            raise pa.ArrowInvalid("a row is not one line")
        if not all(_sound(role, column, self.own) for role, column in columns.items()):
            raise pa.ArrowInvalid("a value is out of its range")
        whole = [r for r in self.at if r != "rating" and r not in self.texts]
        if whole and np.frombuffer(text, np.uint8).max() > ord("9") and (b"x" in text or b"X" in text):
            # Arrow reads 0x1f as a whole number.
            raw = self._read(text, dict.fromkeys(self.at, pa.string())).combine_chunks()
            if any(b"x" in raw[r].chunk(0).buffers()[2].to_pybytes().lower() for r in whole):
                raise pa.ArrowInvalid("a value is hexadecimal")
        return columns

    def rows(self, text: bytes) -> Iterator[tuple[int, list[str]]]:
        """Fields of each row and the number of its line in this text, from 1; a slow way."""
        for line, row in _rows(text.decode("utf-8", "surrogateescape")):
            yield line, _fields(row, self.separator)

    def sift(self, text: bytes) -> tuple[bytes, list[tuple[int, str, str]]]:
        """Part the good rows of a block from the bad ones.

        Parts without a bad row are found by parsing them, so that a bad row here and there costs little.

        Returns:
            The good rows, and each bad one's line (in this text, from 1), reason and text.
        """
        good, bad, todo, before = [], [], [text], 0
        while todo:
            part = todo.pop()
            middle = part.find(b"\n", len(part) // 2) + 1
            if self._parses(part):
                good.append(part)
            elif len(part) > _FEW_BYTES and 0 < middle < len(part):
                todo += [part[middle:], part[:middle]]
                continue
            else:
                lines = [line + b"\n" for line in part.split(b"\n")]
                reasons = list(map(self._why_not, lines))
                if not self._parses(b"".join(x for x, r in zip(lines, reasons, strict=True) if r is None)):
                    reasons = [r or self._parse_error(x) for x, r in zip(lines, reasons, strict=True)]
                for number, (line, reason) in enumerate(zip(lines, reasons, strict=True), 1):
                    if reason is None:
                        good.append(line)
                    else:
                        bad.append((before + number, reason, _decoded(line)))
            before += part.count(b"\n")
        rows = b"".join(good)
        return rows if _NOT_BLANK.search(rows) else b"", bad

    def _parses(self, text: bytes) -> bool:
        return self._parse_error(text) is None

    def _parse_error(self, text: bytes) -> str | None:
        try:
            if _NOT_BLANK.search(text):
                self.parse(text)
        except pa.ArrowInvalid as error:
            return f"cannot be read ({error})"
        return None

    def _why_not(self, line: bytes) -> str | None:
        """Why a line is no good row; None if it is one, or blank."""
        if not (row := _decoded(line)):
            return None
        if "\r" in row:
            return "has an end of line (CR) within it"
        fields = _fields(row, self.separator)
        if len(fields) != self.width:
            return f"has {len(fields)} fields, not {self.width}"
        if fields[-1].endswith("\n"):
            return "has a quote that does not end on its line"
        for role, place in self.at.items():
            value = fields[place]
            if reason := _why_not(role, value, self.own, role in self.texts):
                return f"{ROLES[role] if self.own else role} {value!r:.100} {reason}"
        return None


def _catalogue_table(ids: list[int], titles: list[str], genres: Sequence[str | None]) -> pa.Table:
    columns = [array(np.array(ids, np.int32)), text_array(titles), text_array(genres)]
    return pa.table(columns, CATALOGUE)


def _sound(role: str, column: pa.Array, own: bool) -> bool:
    """Whether a parsed column holds only what its role may be."""
    if isinstance(column, pa.DictionaryArray):
        return "" not in column.dictionary.to_pylist()
    values = numbers(column)
    # Of a NaN among them both are NaN, which compares False.
    least, most = values.min(), values.max()
    if role == "rating":
        return bool(least >= 0.5 and most <= 5) if own else bool(np.isfinite([least, most]).all())
    return bool(least >= 0 and most < TOO_LATE)


def _why_not(role: str, value: str, own: bool, text: bool) -> str | None:
    """Why a value cannot be what its role asks for."""
    if text and value:
        return "is not UTF-8: save the file as UTF-8" if _NOT_UTF8.search(value) else None
    if not (value := value.strip(" \t")):
        return "is missing"
    if role == "rating":
        with np.errstate(over="ignore"):
            number = np.float32(value if re.fullmatch(NUMBER, value) else np.nan)
        good = 0.5 <= number <= 5 if own else np.isfinite(number)
        return None if good else _rule(role, own)
    if role == "time":
        if (time := _whole_number(value)) is not None and time < TOO_LATE:
            return None
        hint = "; it looks like milliseconds: divide by 1000"
        return _rule(role) + (hint if re.fullmatch(r"[0-9]{12,14}", value) else "")
    return None if _is_id(value) else _rule(role)


def _rule(role: str, own: bool = True) -> str:
    """What a value of this role must be."""
    if role == "rating":
        return "must be a number from 0.5 to 5" if own else "must be a finite number"
    if role == "time":
        return "must be whole seconds since 1970 (UTC), before the year 2200"
    return f"must be a whole number from 0 to {LARGEST_ID}"


def _whole_number(text: str) -> int | None:
    """A number of digits alone; None if it is none, or too long to be any of ours."""
    # Python reads no number of more than 4300 digits, be they zeros.
    digits = re.fullmatch("0*([0-9]{1,18})", text)
    return int(digits[1]) if digits else None


def _is_id(text: str) -> bool:
    number = _whole_number(text)
    return number is not None and number <= LARGEST_ID


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


def _decoded(line: bytes) -> str:
    """A line as text without its end; a byte that is not UTF-8 is a lone surrogate in it."""
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _encode(texts: pa.DictionaryArray, codes: dict[str, int]) -> pa.Array:
    """Numbers of a column's texts (int32), new texts getting the next ones."""
    # Each block's dictionary is in the order of first appearance, so the codes are, too.
    new = texts.dictionary.to_pylist()
    known = np.array([codes.setdefault(text, len(codes) + 1) for text in new], np.int32)
    return array(known[numbers(texts.indices)])


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.rstrip("\r"):
            yield number, line


def _fields(row: str, separator: str) -> list[str]:
    """Fields of one line; a comma may stand in quotes, of which one that stays open ends in a newline."""
    if separator == "::":
        # As it is parsed: a tab parts, too.
        return row.replace("::", "\t").split("\t")
    if separator != "," or '"' not in row:
        return row.split(separator)
    # The second line is there to be swallowed.
    reader = csv.reader([row, "\n"])
    try:
        return next(reader)
    except csv.Error:
        return [row]


def _plain(member: str) -> str:
    """The name of a member without the ending of gzip."""
    return member.removesuffix(".gz")


def _name(member: str) -> str:
    return member.rpartition("/")[2]


def _natural(member: str) -> list[tuple[int, str]]:
    """Key that sorts part 2 before part 10, however many digits they have."""
    parts = re.split("([0-9]+)", member)
    numbers = [part.lstrip("0") for part in parts[1::2]]
    return [
        (len(numbers[at // 2]), numbers[at // 2]) if at % 2 else (-1, part) for at, part in enumerate(parts)
    ]


def _listed(members: list[str]) -> str:
    more = f" and {len(members) - 8} more" if len(members) > 8 else ""
    return ", ".join(members[:8]) + more if members else "no file"


def _check_columns(columns: Mapping[str, str], form: str) -> None:
    """Fault if these are no headers by role."""
    if form != "csv":
        raise Fault(f"`columns` are for archives of the format csv, not {form}")
    if not {"user", "item", "time"} <= set(columns) <= set(ROLES):
        raise Fault(
            f"`columns` names {_listed(list(columns))}: it must name the headers of user, item and"
            " time, and may name that of rating"
        )
    if len(set(columns.values())) < len(columns):
        raise Fault("`columns` names one header twice: name one for each")


def _open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip; a fault says what it is if it is none."""
    if not path.is_file():
        raise Fault(f"{path}: there is no such file: download it, or correct the dataset's `url`")
    try:
        return zipfile.ZipFile(path)
    except Exception as error:
        # A damaged directory may raise more than BadZipFile.
        with path.open("rb") as file:
            begin = file.read(80)
        what = f"is no zip (it begins with {begin[:40]!r})"
        if not begin:
            what = "is empty"
        elif begin.lstrip().startswith(b"<"):
            what = f"is no zip but a web page ({begin.decode('utf-8', 'replace').strip()!r})"
        elif begin.startswith(b"PK"):
            what = f"is a damaged zip, or only its beginning ({error})"
        raise Fault(f"{path}: {what}: get the archive again") from error
