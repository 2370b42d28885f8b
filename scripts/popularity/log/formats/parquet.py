"""Parquet, a file or a folder of parts: of its columns only those that are named are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from popularity.log.formats.base import File, Format, Options
from popularity.log.pieces import ArrowPiece, Piece
from popularity.log.text import BLOCK_BYTES
from popularity.log.zips import Zip

#: Bytes of a row in memory, to tell how many of them make a block.
_ROW_BYTES = 32


class ParquetFile(File):
    """An open Parquet file."""

    def __init__(self, archive: Zip, member: str, block_bytes: int) -> None:
        self._archive, self._member = archive, member
        self._rows = max(block_bytes // _ROW_BYTES, 1)
        with self._damage():
            # Pages are read one by one, so that large row groups take no more memory than small ones.
            self._file = pq.ParquetFile(
                pa.PythonFile(archive.seekable(member), mode="r"), buffer_size=1 << 20, pre_buffer=False
            )
            schema = self._file.schema_arrow
        self.names, self.types = schema.names, schema.types
        self._wanted: Sequence[int] = ()

    def read_only(self, places: Sequence[int]) -> None:
        """Read no other columns than these."""
        self._wanted = places

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise self._archive.fault(
                f"is no whole Parquet file ({error}): get it again", self._member
            ) from error

    def pieces(self) -> Iterator[Piece]:
        """Batches of rows; of columns that are not read there are nulls in their place."""
        names = [self.names[place] for place in self._wanted] or list(self.names)
        before = 0
        with self._damage():
            for batch in self._file.iter_batches(self._rows, columns=names, use_threads=False):
                yield ArrowPiece(pa.Table.from_batches([batch]), self.names, before)
                before += len(batch)

    def lines_before(self, piece: Piece) -> int:
        """No more than the piece knows itself: its rows are numbered through the file."""
        return 0


class Parquet(Format):
    """Columnar files with types of their own."""

    endings = (".parquet", ".pq", ".parq")
    about = "Parquet"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open a file."""
        return ParquetFile(archive, member, block_bytes)
