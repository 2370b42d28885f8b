"""The data stage in DuckDB: from a zip of ratings to the joined, sorted and series tables."""

import contextlib
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

YEAR = r"\(\s*((?:1[89]|2[01])\d\d)\s*(?:[-–]\s*(?:\d{4})?\s*)?\)"

# Codes of genres by first appearance.
MOVIES = f"""
CREATE TEMP TABLE movies AS
WITH listed AS (
    SELECT *, row_number() OVER () AS place
    FROM read_csv('movies.csv', header = true, columns =
        {{'movieId': 'INTEGER', 'title': 'VARCHAR', 'genres': 'VARCHAR'}})
), codes AS (
    SELECT genres, row_number() OVER (ORDER BY min(place)) AS code
    FROM listed WHERE genres NOT IN ('', '(no genres listed)') GROUP BY genres
)
SELECT movieId, code::SMALLINT AS genres,
    regexp_extract_all(title, '{YEAR}', 1)[-1]::SMALLINT AS releaseDate
FROM listed LEFT JOIN codes USING (genres)
"""

# Streamed to Parquet and read again: as fast as a table in memory to copy from, at less memory.
JOINED = """
COPY (
    SELECT userId, movieId, rating, timestamp,
        (timestamp // 3600 + 1)::INTEGER AS tstamp_hour,
        (timestamp // 86400 + 1)::INTEGER AS tstamp_day,
        (year(make_timestamp(timestamp * 1000000)) - 1969)::INTEGER AS tstamp_year,
        genres, releaseDate
    FROM read_csv('ratings.csv', header = true, columns =
        {'userId': 'INTEGER', 'movieId': 'INTEGER', 'rating': 'FLOAT', 'timestamp': 'BIGINT'})
    LEFT JOIN movies USING (movieId)
) TO '../joined.parquet' (OPTIONS)
"""

LABELLED = """
CREATE TEMP TABLE labelled AS
WITH counted AS (
    SELECT tstamp_SLOT AS slot, movieId, count(*)::INTEGER AS label, avg(rating)::FLOAT AS avg_rating
    FROM '../joined.parquet' GROUP BY ALL
), totals AS (
    SELECT slot, sum(label) AS total FROM counted GROUP BY slot
)
SELECT slot, movieId, label, label / total AS label_n, avg_rating, genres, releaseDate
FROM counted JOIN totals USING (slot) LEFT JOIN movies USING (movieId)
"""

SORTED = "COPY (FROM labelled ORDER BY slot, movieId) TO '../sorted.parquet' (OPTIONS)"

# Each row after a movie's third ends a window. Cheaper than lists by movie, and than lag() over them.
SERIES = """
COPY (SELECT movieId, slot, label_n FROM labelled ORDER BY movieId, slot)
TO '../series.parquet' (OPTIONS)
"""


#: The fastest to write of those tried: without dictionaries.
OPTIONS = "COMPRESSION lz4_raw, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1"


def main() -> None:
    """Unpack the archive, for DuckDB reads no zip, and run the statements beside it."""
    archive, output, slot = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3]
    with tempfile.TemporaryDirectory(dir=output) as folder, contextlib.chdir(folder):
        with zipfile.ZipFile(archive) as members:
            for member in members.namelist():
                if member.endswith(("/ratings.csv", "/movies.csv")):
                    with members.open(member) as source, Path(Path(member).name).open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
        db = duckdb.connect()
        # As the documentation advises: what asks for no order is then written in any.
        db.execute("SET preserve_insertion_order = false")
        for statement in (MOVIES, JOINED, LABELLED, SORTED, SERIES):
            db.execute(statement.replace("SLOT", slot).replace("OPTIONS", OPTIONS))


if __name__ == "__main__":
    main()
