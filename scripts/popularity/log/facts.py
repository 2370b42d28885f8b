"""What was read of a log: told in job logs and on the report's front page."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from popularity.program import reading


@dataclass
class Facts:
    """What was read, and what it was taken for.

    Attributes
    ----------
    files, left_aside
        Members with requests, and members that look as if they had some and were not read.
    times
        How times are written.
    ignored
        Columns that were not read.
    catalogue, catalogue_ignored, titled
        The catalogue's member, None without one; its columns that were not read; and whether it has a
        column of titles.
    rows, requests
        Rows that were read, and the requests that they stand for.
    excluded
        Rows that the conditions of ``where`` left out.
    has_users
        Whether rows have a user at all.
    guests
        Rows without a user, of a log that has users.
    first, last
        Times (s, UTC) of the first and the last request.
    uncatalogued
        Items that the catalogue lacks; None without a catalogue.
    far
        Requests that lie far from all others in time: where, and when.
    """

    files: list[str] = field(default_factory=list)
    left_aside: list[str] = field(default_factory=list)
    times: str = ""
    ignored: list[str] = field(default_factory=list)
    catalogue: str | None = None
    catalogue_ignored: list[str] = field(default_factory=list)
    titled: bool = True
    rows: int = 0
    requests: int = 0
    excluded: int = 0
    has_users: bool = True
    guests: int = 0
    first: int | None = None
    last: int | None = None
    uncatalogued: int | None = None
    far: list[str] = field(default_factory=list)

    def dates(self) -> tuple[str, str]:
        """Days (UTC) of the first and the last request, of which there must be some."""
        first, last = np.array([self.first, self.last], "datetime64[s]").astype("datetime64[D]").tolist()
        return str(first), str(last)

    @classmethod
    def read(cls, path: Path) -> "Facts":
        """Read what ``join_ratings`` wrote."""
        with reading(path):
            return cls(**json.loads(path.read_text(encoding="utf-8")))
