"""libCacheSim's binary traces (oracleGeneral): 24 bytes a request."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from popularity.log.formats.base import File, Format, Options
from popularity.log.pieces import ArrowPiece, Piece
from popularity.log.text import BLOCK_BYTES
from popularity.log.zips import Zip

#: A request: https://github.com/1a1a11a/libCacheSim, libCacheSim/traceReader/customizedReader/oracle.
REQUEST = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])


class TraceFile(File):
    """An open trace."""

    names = REQUEST.names or ()
    types = (pa.uint32(), pa.uint64(), pa.uint32(), pa.int64())

    def __init__(self, archive: Zip, member: str, block_bytes: int) -> None:
        self._archive, self._member = archive, member
        self._block_bytes = max(block_bytes, REQUEST.itemsize)

    def pieces(self) -> Iterator[Piece]:
        """Give requests in the trace's order."""
        rest, before = b"", 0
        for block in self._archive.blocks(self._member, self._block_bytes):
            data = rest + block
            count = len(data) // REQUEST.itemsize
            requests = np.frombuffer(data, REQUEST, count)
            columns = [pa.array(requests[name]) for name in self.names]
            yield ArrowPiece(pa.table(columns, list(self.names)), self.names, before)
            before += count
            rest = data[count * REQUEST.itemsize :]
        if rest:
            raise self._archive.fault(
                f"has {len(rest)} bytes after its last request of {REQUEST.itemsize}: it is cut off, or no"
                " oracleGeneral trace",
                self._member,
            )

    def lines_before(self, piece: Piece) -> int:
        """No more than the piece knows itself: its rows are numbered through the file."""
        return 0


class OracleGeneral(Format):
    """libCacheSim's oracleGeneral: times in seconds from the trace's beginning, 64-bit ids, sizes."""

    endings = (".oraclegeneral", ".oraclegeneral.bin", ".bin")
    columns = {"item": "object", "time": "time", "size": "size"}  # noqa: RUF012 - never changed
    about = "libCacheSim's oracleGeneral traces"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open a trace."""
        return TraceFile(archive, member, block_bytes)
