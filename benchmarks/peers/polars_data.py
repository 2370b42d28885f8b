"""The data stage in Polars: from a zip of ratings to the joined, sorted and series tables."""

import sys
import zipfile
from pathlib import Path

import polars as pl

YEAR = r"\(\s*(?:1[89]|2[01])\d\d\s*(?:[-–]\s*(?:\d{4})?\s*)?\)"
RATINGS = {"userId": pl.Int32, "movieId": pl.Int32, "rating": pl.Float32, "timestamp": pl.Int64}
SLOTS = {"hour": 3_600, "day": 86_400}


def read_movies(text: bytes) -> pl.DataFrame:
    """Read movieId, the code of the genres by first appearance, and the year of release."""
    listed = pl.read_csv(text, schema={"movieId": pl.Int32, "title": pl.String, "genres": pl.String})
    named = listed.filter(~pl.col("genres").is_in(["", "(no genres listed)"]))
    codes = named.select(pl.col("genres").unique(maintain_order=True)).with_row_index("code", 1)
    year = pl.col("title").str.extract_all(YEAR).list.last().str.extract(r"(\d{4})")
    return listed.join(codes, on="genres", how="left").select(
        "movieId", genres=pl.col("code").cast(pl.Int16), releaseDate=year.cast(pl.Int16)
    )


def main() -> None:
    """Read from memory: scanning a file unpacked first takes longer."""
    archive, output, slot = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    with zipfile.ZipFile(archive) as members:
        names = {Path(member).name: member for member in members.namelist()}
        movies = read_movies(members.read(names["movies.csv"]))
        text = members.read(names["ratings.csv"])
    time = pl.col("timestamp")
    joined = (
        pl.read_csv(text, schema=RATINGS)
        .with_columns(
            *(
                (time // length + 1).cast(pl.Int32).alias(f"tstamp_{name}")
                for name, length in SLOTS.items()
            ),
            (pl.from_epoch(time).dt.year() - 1969).cast(pl.Int32).alias("tstamp_year"),
        )
        .join(movies, on="movieId", how="left")
    )
    del text
    joined.write_parquet(output / "joined.parquet", compression="lz4", statistics=False)

    labelled = (
        joined.lazy()
        .group_by(pl.col(f"tstamp_{slot}").alias("slot"), "movieId")
        .agg(label=pl.len().cast(pl.Int32), avg_rating=pl.col("rating").mean())
        .collect(engine="streaming")
        .sort("slot", "movieId")
        .with_columns(label_n=pl.col("label") / pl.col("label").sum().over("slot"))
        .join(movies, on="movieId", how="left", maintain_order="left")
    )
    columns = ["slot", "movieId", "label", "label_n", "avg_rating", "genres", "releaseDate"]
    labelled.select(columns).write_parquet(output / "sorted.parquet", compression="lz4", statistics=False)

    # Each row after a movie's third ends a window.
    series = labelled.select("movieId", "slot", "label_n").sort("movieId", maintain_order=True)
    series.write_parquet(output / "series.parquet", compression="lz4", statistics=False)


if __name__ == "__main__":
    main()
