"""Web servers' access logs, common or combined (Apache httpd, nginx)."""

import re
from collections.abc import Sequence

import pyarrow as pa

from popularity.log.formats.base import File, Format, Options, TextFile
from popularity.log.pieces import Layout, Row, Wanted, parse_texts
from popularity.log.text import BLOCK_BYTES, bom
from popularity.log.zips import Zip

#: A line of Apache httpd's combined format, or of its common one, which ends after the bytes. A quote in
#: what a client said is written \". What is no request at all (of an attack, or of TLS) has no path. https://httpd.apache.org/docs/current/logs.html
PATTERN = (
    r"^(?P<host>\S+) \S+ (?P<user>.+?) \[(?P<time>[^\]]+)\] "
    r'"(?:(?P<method>[A-Z]+) (?P<path>[^ ?"]*)(?P<query>\?[^ "]*)?(?: (?P<protocol>[^ "]+))?'
    r'|(?:[^"\\]|\\.)*)"'
    r" (?P<status>[0-9]{3}) (?P<bytes>[0-9]+|-)"
    r'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?.*$'
)


class AccessLines(Layout):
    """Lines of an access log; the path is what is asked for, without its query."""

    names = tuple(re.compile(PATTERN).groupindex)

    def parse(self, text: bytes, wanted: Sequence[Wanted]) -> list[pa.Array]:
        """Read columns of whole lines."""
        try:
            lines = [line for line in text.decode().replace("\r\n", "\n").split("\n") if line]
        except UnicodeDecodeError as error:
            raise pa.ArrowInvalid("a line is not UTF-8") from error
        # Imported here, as it takes longer than all that other logs need of this module.
        import pyarrow.compute as pc

        found = pc.extract_regex(pa.array(lines, pa.string()), PATTERN)
        if found.null_count:
            raise pa.ArrowInvalid("a line is none of an access log")
        return [self._column(found.field(self.names[column.place]), column) for column in wanted]

    def _column(self, texts: pa.Array, column: Wanted) -> pa.Array:
        import pyarrow.compute as pc

        texts = pc.if_else(pc.equal(texts, "-"), pa.scalar("", pa.string()), texts)
        if pa.types.is_string(column.type):
            return texts
        if pa.types.is_dictionary(column.type):
            return texts.dictionary_encode()
        return parse_texts(texts, column)

    def row(self, text: str, line: int) -> Row:
        """Take one line apart."""
        match = re.fullmatch(PATTERN, text, re.DOTALL)
        if match is None:
            return Row(line, text, [], 'is no line of an access log (host - user [time] "GET /path …" …)')
        return Row(line, text, ["" if part in (None, "-") else part for part in match.groups()])


class AccessLog(Format):
    """A web server's access log; items are paths without their query, users are hosts."""

    columns = {"item": "path", "time": "time", "user": "host"}  # noqa: RUF012 - never changed
    about = "access logs of web servers"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open a file."""
        layout = AccessLines()
        return TextFile(archive, member, options, block_bytes, lambda head: (layout, bom(head)))
