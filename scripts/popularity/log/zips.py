"""The files of an archive, read from its zip and never unpacked to a folder.

Whatever is wrong with the zip is a :class:`Fault` that says where.
"""

import io
import re
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

import pyarrow as pa

try:
    # Inflates three times as fast as zlib, but is not there for every platform.
    from isal import isal_zlib as zlib
    from isal.igzip import IGzipFile as GzipFile
except ModuleNotFoundError:
    import zlib  # type: ignore[no-redef]
    from gzip import GzipFile  # type: ignore[assignment]

from popularity.program import Fault

#: Endings of packed files, which a file's own name comes before.
PACKED = (".gz", ".zst")

#: Files that macOS, Spark and Hive leave beside the tables.
_NO_TABLE = re.compile(r"(^|/)(__MACOSX/|[._][^/]*$)|\.crc$")


class Zip:
    """The members of a zip, to be used as a context.

    Parameters
    ----------
    path
        The zip.
    max_bytes
        How much the members that are read may unpack to.

    Attributes
    ----------
    members
        Names of all files in it, part 2 before part 10.

    Raises
    ------
    Fault
        If this is no whole zip.
    """

    def __init__(self, path: Path, max_bytes: float = float("inf")) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._unpacked: dict[str, int] = {}
        self._zip = _open_zip(path)
        names = [m for m in self._zip.namelist() if not m.endswith("/") and not _NO_TABLE.search(m)]
        self.members = sorted(names, key=_natural)

    def __enter__(self) -> "Zip":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the zip."""
        self._zip.close()

    def fault(self, message: str, member: str | None = None) -> Fault:
        """Make a fault of this zip, or of one of its members."""
        return Fault(f"{self.path}: {member}: {message}" if member else f"{self.path}: {message}")

    def lacks(self, pattern: str) -> Fault:
        """Make the fault of a zip without such a member."""
        return self.fault(
            f"lacks {pattern} (it holds {listed(self.members)}): use a whole release of MovieLens, or set"
            " the dataset's `format`, or `columns`, `requests` and `catalogue`"
        )

    def size(self, member: str) -> int:
        """Bytes of a member, as its zip says; a packed one unpacks to more."""
        return self._zip.getinfo(member).file_size

    def check_size(self, members: Iterable[str]) -> None:
        """Raise a fault if these members unpack to more than is allowed."""
        self._check(sum(map(self.size, members)))

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise self.fault(
                f"unpacks to more than {self._max_bytes / 1e9:g} GB: if it is what you expect, and no"
                " zip bomb, raise `data: max_unpacked_gb`"
            )

    def named(self, pattern: str) -> list[str]:
        """Members whose name, or whole path, fits the pattern; each may be packed (NAME.gz).

        Raises
        ------
        Fault
            If a file is there twice: the same path, or packed and not packed.
        """
        fits = [
            m
            for m in self.members
            if any(fnmatchcase(name, pattern) for path in (m, base(m)) for name in (path, plain(path)))
        ]
        if len({plain(member) for member in fits}) < len(fits):
            raise self.fault(f"{pattern} is there more than once ({listed(fits)}): leave one of them")
        return fits

    def blocks(self, member: str, block_bytes: int) -> Iterator[bytes]:
        """Contents of a member, unpacked, in blocks of about ``block_bytes``."""
        size = 0
        with self._damage(member):
            for block in self._unpacked_blocks(self._zip.getinfo(member), block_bytes):
                size += len(block)
                self._unpacked[member] = max(size, self._unpacked.get(member, 0))
                self._check(sum(self._unpacked.values()))
                yield block

    def seekable(self, member: str) -> io.RawIOBase | IO[bytes]:
        """Open a member to be read at any place; what is compressed goes to a temporary file."""
        info = self._zip.getinfo(member)
        if info.compress_type == zipfile.ZIP_STORED and not member.endswith(PACKED):
            with self._damage(member):
                # Reading it once compares its checksum, as no later reading does.
                with self._zip.open(info) as file:
                    while file.read(1 << 20):
                        pass
                return _Slice(self.path, _data_offset(self.path, info), info.file_size)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it
        for block in self.blocks(member, 1 << 20):
            file.write(block)
        file.seek(0)
        return file

    def _damage(self, member: str) -> "_Damage":
        return _Damage(self, member)

    def _unpacked_blocks(self, member: zipfile.ZipInfo, block_bytes: int) -> Iterator[bytes]:
        if member.filename.endswith(".gz"):
            with self._zip.open(member) as packed, GzipFile(fileobj=packed) as file:
                yield from iter(lambda: file.read(block_bytes), b"")
            return
        if member.filename.endswith(".zst"):
            with self._zip.open(member) as packed, pa.CompressedInputStream(packed, "zstd") as file:
                yield from iter(lambda: file.read(block_bytes), b"")
            return
        yield from self._inflated(member, block_bytes)

    def _inflated(self, member: zipfile.ZipInfo, block_bytes: int) -> Iterator[bytes]:
        """Contents of a member in blocks of ``block_bytes``, the last one shorter; checked at the end."""
        with self._zip.open(member) as file:
            # Opening has checked the member's own header.
            if member.compress_type != zipfile.ZIP_DEFLATED:
                yield from iter(lambda: file.read(block_bytes), b"")
                return
        with self.path.open("rb") as packed:
            packed.seek(_data_offset(self.path, member))
            inflater, left, size, checksum = zlib.decompressobj(-15), member.compress_size, 0, 0
            while not inflater.eof:
                taken = inflater.unconsumed_tail or packed.read(min(left, block_bytes))
                if not inflater.unconsumed_tail:
                    left -= len(taken)
                data = inflater.decompress(taken, block_bytes)
                if not (taken or data):
                    break
                size += len(data)
                checksum = zlib.crc32(data, checksum)
                if size > member.file_size:
                    break
                if data:
                    yield data
        if not inflater.eof or size != member.file_size or checksum != member.CRC:
            raise zipfile.BadZipFile("its size or checksum is wrong")


class _Damage:
    """Turns whatever a damaged member raises into a fault; of zipfile, zlib, bz2, lzma, struct, Arrow."""

    def __init__(self, archive: Zip, member: str) -> None:
        self._archive, self._member = archive, member

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, Fault | MemoryError):
            return
        fault, member = self._archive.fault, self._member
        if "password" in str(error):
            raise fault("is encrypted: unpack it, and zip it without", member) from error
        if isinstance(error, NotImplementedError):
            raise fault(f"{error}: zip it with deflate", member) from error
        raise fault(
            f"is damaged ({error or 'it ends too early'}): get the archive again", member
        ) from error


class _Slice(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, path: Path, begin: int, size: int) -> None:
        self._file = path.open("rb")
        self._begin, self._size, self._at = begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        room = max(min(len(buffer), self._size - self._at), 0)
        self._file.seek(self._begin + self._at)
        count = self._file.readinto(memoryview(buffer)[:room])
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _data_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin in its zip: after its own header, and names of two lengths."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


def plain(member: str) -> str:
    """Give the name of a member without the ending of what packed it."""
    for ending in PACKED:
        member = member.removesuffix(ending)
    return member


def base(member: str) -> str:
    """Give the name of a member without its folders."""
    return member.rpartition("/")[2]


def keys(member: str) -> dict[str, str]:
    """Read what a member's folders say of its rows, as Hive and Spark write it: ``day=2024-01-01/``."""
    parts = [part.partition("=") for part in member.split("/")[:-1]]
    return {key: value for key, equals, value in parts if equals and key}


def is_part(member: str) -> bool:
    """Whether a name is that of one of several parts, as Hive and Spark write them."""
    return bool(keys(member)) or base(member).startswith("part-")


def listed(members: list[str]) -> str:
    """Name some members, the first eight of them."""
    more = f" and {len(members) - 8} more" if len(members) > 8 else ""
    return ", ".join(members[:8]) + more if members else "no file"


def _natural(member: str) -> list[tuple[int, str]]:
    """Key that sorts part 2 before part 10, however many digits they have."""
    parts = re.split("([0-9]+)", member)
    numbers = [part.lstrip("0") for part in parts[1::2]]
    return [
        (len(numbers[at // 2]), numbers[at // 2]) if at % 2 else (-1, part) for at, part in enumerate(parts)
    ]


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
