"""Settings of the data: where a log comes from, what it is made of, and how its tables are made."""

from dataclasses import dataclass
from typing import Literal

from popularity.settings.fields import setting

DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


@dataclass(frozen=True)
class Simulation:
    """Numbers from which an archive is made up."""

    ratings: int = setting("Ratings in all.", minimum=1)
    users: int = setting("Users who rate.", minimum=1)
    movies: int = setting("Movies of the catalogue.", minimum=1)
    first_date: str = setting("The log's first day.", pattern=DATE)
    last_date: str = setting("The log's last day.", pattern=DATE)
    seed: int = setting("Seed of all that is drawn.", minimum=0)


@dataclass(frozen=True)
class Columns:
    """Headers of another log's columns; format csv."""

    user: str = setting("Who requested.")
    item: str = setting("What was requested.")
    time: str = setting("When, in seconds since 1970 (UTC).")
    rating: str | None = setting("What the user thought of it.", None)


@dataclass(frozen=True)
class Dataset:
    """An archive, from a url or simulated; null leaves it out."""

    url: str | None = setting(
        "Address (http, https) or local path of a zip, or of a folder.", None, length=1
    )
    simulate: Simulation | None = setting("Numbers from which an archive is made up.", None)
    format: str = setting(
        "csv (MovieLens since 2015, or another log), dat (ml-10m, ml-1m) or tab (ml-100k).",
        "csv",
        words="format",
    )
    size: int | None = setting("Bytes of the archive.", None, minimum=1)
    checksum: str | None = setting(
        "Checksum of the archive.", None, pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"
    )
    licence: str | None = setting("Under which conditions the data comes, or where they are written.", None)
    columns: Columns | None = setting("Headers of another log's columns; format csv.", None)
    requests: str | None = setting("File name of the log in the archive.", None)
    catalogue: str | None = setting("File name of the table of items in the archive.", None)


@dataclass(frozen=True)
class Data:
    """How the tables are made from the archive."""

    shards: int = setting(
        "Jobs that share the work of joining, labelling and sorting.", 1, minimum=1, maximum=1000
    )
    on_bad_rows: Literal["error", "drop"] = setting(
        "Whether rows of the archive that cannot be used are an error, or dropped and listed in "
        "rejected.csv.",
        "error",
    )
    max_unpacked_gb: float = setting(
        "Largest size in GB that the tables in an archive may unpack to.", 100, above=0
    )
