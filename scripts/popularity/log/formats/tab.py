"""The tables of ml-100k, whose columns tabs and bars part."""

from collections.abc import Iterator, Mapping

from popularity.log.formats.base import Column, Item, Options, Release
from popularity.log.formats.csv import MOVIELENS, whole_text
from popularity.log.formats.dat import Dat, rows
from popularity.log.zips import Zip


class Tab(Dat):
    """u.data, u.item and u.genre, without headers."""

    releases = (Release("u.data", "u.item", MOVIELENS),)
    about = "MovieLens' ml-100k"
    separator = "\t"

    def items(
        self, archive: Zip, member: str, options: Options, at: Mapping[str, Column]
    ) -> Iterator[Item]:
        """Read u.item, which has a flag for each genre of u.genre."""
        names = _genre_names(archive)
        for line, row in rows(whole_text(archive, member, options.encoding, "latin-1")):
            fields = row.split("|")
            if len(fields) != 5 + len(names):
                yield Item(line, row, reason=f"has {len(fields)} fields, not {5 + len(names)}")
                continue
            own = [name for name, flag in zip(names, fields[5:], strict=True) if flag == "1"]
            genres = "|".join(name for name in own if name != "unknown")
            yield Item(line, row, fields[0], fields[1], genres)


def _genre_names(archive: Zip) -> list[str]:
    """Names of the genre flags of u.item, in their order."""
    found = archive.named("u.genre")
    if not found:
        raise archive.lacks("u.genre")
    text = whole_text(archive, found[0], None, "latin-1")
    parts = [row.rpartition("|") for _, row in rows(text)]
    if sorted(index for _, _, index in parts) != sorted(str(i) for i in range(len(parts))):
        raise archive.fault("is not one name|index a line, from 0", found[0])
    return [name for name, _, index in sorted(parts, key=lambda part: int(part[2]))]
