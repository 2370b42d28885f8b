"""Settings of the data: where a log comes from, what it is made of, and how its tables are made."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from popularity.settings.fields import section, setting

DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
#: Words that stand in texts and are no markup there.
WORD = r"^[^\W_]([^\W_]|[ -])*$"

#: What a column may be compared with.
Constant = str | int | float | bool


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
    """Columns of a log that is not MovieLens': names, or numbers from 1 where there is no header."""

    item: str | int | None = setting("What was requested.", None)
    time: str | int | None = setting("When.", None)
    user: str | int | None = setting("Who requested; may be missing, in some rows or in all.", None)
    rating: str | int | None = setting("What the user thought of it.", None)
    count: str | int | None = setting("How many requests a row stands for.", None)
    size: str | int | None = setting("Bytes of the item; its last value counts.", None)


@dataclass(frozen=True)
class CatalogueColumns:
    """Columns of a catalogue of items that is not MovieLens'."""

    item: str | int | None = setting("The item's id, as the log has it; by default named as there.", None)
    title: str | int | None = setting("What to call it; by default the column title, or else the id.", None)
    genres: str | int | None = setting("What kind of item it is; by default the column genres.", None)
    year: str | int | None = setting("Year or date of its release; by default a year in the title.", None)


@dataclass(frozen=True)
class Words:
    """What the report calls things."""

    item: str = setting("An item.", "movie", pattern=WORD)
    request: str = setting("A request.", "request", pattern=WORD)


@dataclass(frozen=True)
class LogSettings:
    """How a log is written."""

    format: str | None = setting(
        "How the files are written; null to find it by their names.", None, words="format"
    )
    columns: Columns = section("The columns of a log that is not MovieLens'.", Columns)
    requests: str | None = setting(
        'The file with the requests, or a pattern of several ("2024-*.csv").', None
    )
    catalogue: str | None = setting(
        "The file with the items; with a file as url, its address or path, or its name beside that.", None
    )
    catalogue_columns: CatalogueColumns = section(
        "The columns of a catalogue that is not MovieLens'.", CatalogueColumns
    )
    genres_separator: str = setting("What parts the genres of an item.", "|", length=1)
    separator: str | None = setting("What parts columns; null to find it.", None, pattern='^[^"\\r\\n]$')
    header: bool = setting("Whether the first row names the columns.", True)
    encoding: str | None = setting("Encoding of texts; null for UTF-8, or UTF-16 by its mark.", None)
    time_format: str | None = setting(
        "How times are written: seconds, milliseconds, microseconds or nanoseconds since 1970, or a "
        "pattern of strptime; null to find it.",
        None,
    )
    timezone: str | None = setting(
        "The clock (America/New_York) of slots, and of times that do not say theirs; null for UTC.", None
    )
    where: dict[str, Constant | tuple[Constant, ...]] = setting(
        'What columns of a row have to be: a constant, a list of them, or a comparison ("> 0").',
        {},
        entries="What the column has to be.",
    )


@dataclass(frozen=True)
class Dataset(LogSettings):
    """A log, from a url or simulated; null leaves it out."""

    url: str | None = setting(
        "Address (http, https) or local path of a zip, a folder, or a file of the log.", None, length=1
    )
    simulate: Simulation | None = setting("Numbers from which an archive is made up.", None)
    size: int | None = setting("Bytes of the file.", None, minimum=1)
    checksum: str | None = setting(
        "Checksum of the file.", None, pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"
    )
    licence: str | None = setting("Under which conditions the data comes, or where they are written.", None)
    words: Words = section("What the report calls things.", Words)

    def log(self) -> LogSettings:
        """Give what the reading of the log depends on."""
        return LogSettings(**{field.name: getattr(self, field.name) for field in fields(LogSettings)})

    def is_release(self) -> bool:
        """Whether it is a release of MovieLens, or simulated, as far as its settings say."""
        plain = replace(LogSettings(), format=self.format)
        return self.log() == plain and self.format in (None, "csv", "dat", "tab")


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
