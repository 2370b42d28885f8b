"""Text files in blocks of whole rows, whatever their encoding."""

import codecs
import re
from collections.abc import Iterator

import numpy as np

#: Bytes of text that are parsed at once: few enough to stay in the processor's cache.
BLOCK_BYTES = 2 << 20

BOM = codecs.BOM_UTF8
NOT_BLANK = re.compile(rb"[^\r\n]")

_QUOTE, _NEWLINE = ord('"'), ord("\n")


def bom(text: bytes) -> int:
    """Bytes of the byte order mark that a text begins with, if it does."""
    return len(BOM) if text.startswith(BOM) else 0


class TextError(ValueError):
    """What is wrong with a text file as a whole."""


def decoded(blocks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """Text as UTF-8. Without an ``encoding`` it is UTF-8, or UTF-16 if a byte order mark says so.

    Raises
    ------
    TextError
        If bytes are none of the encoding. (Those that are no UTF-8 pass: they are for rows to tell.)
    """
    first = b""
    while len(first) < len(BOM) and (block := next(blocks, b"")):
        first += block
    if encoding is None and first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        yield first
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        yield decoder.decode(first).encode()
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise TextError(f"is no text in {encoding} ({error}): name its `encoding`") from error


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut text after ends of lines."""
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = b""
        rest += block[end:]
        if len(rest) > 2 * BLOCK_BYTES:
            raise TextError("has no ends of lines: it is no table")
    if rest:
        yield rest


def whole_records(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut text after ends of lines that are in no quotes, as far as quotes come in pairs.

    A quote that is only a letter of its field (5" pipe) shifts the cut; the next such quote, or a
    text of some blocks, ends that. What a row is, is for whoever parses them to say.
    """
    rest = b""
    for block in blocks:
        data = rest + block
        end = record_end(data)
        if not end and len(data) > 2 * BLOCK_BYTES:
            end = data.rfind(b"\n") + 1
            if not end:
                raise TextError("has no ends of lines: it is no table")
        if end:
            yield data[:end]
        rest = data[end:]
    if rest:
        yield rest


def record_end(data: bytes) -> int:
    """Where the last line of a text ends that an even number of quotes is before; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if not end or b'"' not in data:
        return end
    codes = np.frombuffer(data, np.uint8)
    quoted = np.cumsum(codes == _QUOTE, dtype=np.int32) & 1
    ends = np.flatnonzero((codes == _NEWLINE) & (quoted == 0))
    return int(ends[-1]) + 1 if len(ends) else 0
