"""The tables of ml-1m and ml-10m, whose columns ``::`` parts."""

from collections.abc import Iterator, Mapping

from popularity.log.formats.base import Column, File, Format, Item, Options, Release, TextFile
from popularity.log.formats.csv import MOVIELENS, Delimited, whole_text
from popularity.log.text import BLOCK_BYTES, bom
from popularity.log.zips import Zip


class Dat(Format):
    """ratings.dat and movies.dat, without headers."""

    releases = (Release("ratings.dat", "movies.dat", MOVIELENS),)
    about = "MovieLens' ml-1m and ml-10m"
    separator = "::"

    def open(self, archive: Zip, member: str, options: Options, block_bytes: int = BLOCK_BYTES) -> File:
        """Open the ratings, whose columns are those of ratings.csv."""
        layout = Delimited(list(MOVIELENS.values()), self.separator, strict=True)
        return TextFile(archive, member, options, block_bytes, lambda head: (layout, bom(head)))

    def items(
        self, archive: Zip, member: str, options: Options, at: Mapping[str, Column]
    ) -> Iterator[Item]:
        """Read movies.dat; a title may hold the separator, an id and genres do not."""
        for line, row in rows(whole_text(archive, member, options.encoding, "latin-1")):
            if row.count(self.separator) < 2:
                yield Item(line, row, reason=f"{row!r:.100} is not id::title::genres")
                continue
            item, title = row.split(self.separator, 1)
            title, genres = title.rsplit(self.separator, 1)
            yield Item(line, row, item, title, genres)


def rows(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.rstrip("\r"):
            yield number, line
