"""JSON lines: an object a line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson

from popularity.log.formats.base import File, Format, Options, TextFile
from popularity.log.pieces import Layout, Row, Wanted, parse_texts
from popularity.log.text import BLOCK_BYTES
from popularity.log.zips import Zip

#: What a value of the first rows shows of its column's type; whole numbers may have fractions further on.
_TYPES: Mapping[type, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}


class JsonLines(Layout):
    """Objects, of which some keys are columns.

    Parameters
    ----------
    names
        The keys of the first objects.
    kinds
        The type of the values of each.
    """

    def __init__(self, names: Sequence[str], kinds: Sequence[pa.DataType]) -> None:
        self.names, self._kinds = names, kinds

    def parse(self, text: bytes, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read keys of whole lines, with the types that they have there."""
        kinds = {self.names[column.place]: self._kinds[column.place] for column in wanted}
        try:
            read = pajson.read_json(
                pa.BufferReader(text),
                pajson.ReadOptions(use_threads=False, block_size=max(1 << 20, len(text) + 1)),
                pajson.ParseOptions(
                    explicit_schema=pa.schema(list(kinds.items())),
                    unexpected_field_behavior="ignore",
                ),
            ).combine_chunks()
        except pa.ArrowInvalid:
            # One row may have other types: a number in quotes, or a number too large for Arrow.
            if text.count(b"\n", 0, len(text.rstrip(b"\r\n"))):
                raise
            row = self.row(text.decode("utf-8", "surrogateescape").rstrip("\r\n"), 1)
            if row.reason:
                raise pa.ArrowInvalid(row.reason) from None
            return [_alone(row.values[column.place], column) for column in wanted]
        if len(read) != sum(1 for line in text.split(b"\n") if line.rstrip(b"\r")):
            raise pa.ArrowInvalid("a row is not one line")
        return [read[self.names[column.place]].chunk(0) for column in wanted]

    def row(self, text: str, line: int) -> Row:
        """Take one line apart; a missing key is an empty text."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            return Row(line, text, [], f"is no JSON ({error})")
        if not isinstance(found, dict):
            return Row(line, text, [], "is no JSON object")
        return Row(line, text, [_plain(found.get(name)) for name in self.names])


def _plain(value: Any) -> str:
    """Give a value as a text file would have it; one with values in it as JSON."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _alone(value: str, column: Wanted) -> pa.Array:
    """One value, as a text that is to be of the column's type."""
    texts = pa.array([value or None], pa.string())
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        return texts
    return parse_texts(texts, column)


class Jsonl(Format):
    """JSON lines; keys that hold objects or lists can be no columns."""

    endings = (".jsonl", ".ndjson", ".json")
    about = "JSON lines"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open a file; its columns are the keys of its first objects."""

        def lay_out(head: bytes) -> tuple[Layout, int]:
            found: dict[str, Any] = {}
            for line in head.decode("utf-8-sig", "replace").splitlines():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict):
                    for key, value in row.items():
                        if found.get(key) is None or isinstance(value, float):
                            found[key] = value
            if not found:
                begin = head[:60].decode("utf-8", "replace")
                raise archive.fault(
                    f"holds no JSON object in a line (it begins with {begin!r}): write an object a line",
                    member,
                )
            kinds = [_TYPES.get(type(value), pa.string()) for value in found.values()]
            for column in options.needed:
                if isinstance(found.get(str(column)), dict | list):
                    raise archive.fault(
                        f"{column!r} holds an object or a list: name a key of texts or numbers",
                        member,
                    )
            return JsonLines(list(found), kinds), 0

        return TextFile(archive, member, options, block_bytes, lay_out)
