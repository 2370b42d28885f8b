"""The data stage in pandas: from a zip of ratings to the joined, sorted and series tables."""

import sys
import zipfile
from pathlib import Path

import pandas as pd

YEAR = r"\(\s*((?:1[89]|2[01])\d\d)\s*(?:[-–]\s*(?:\d{4})?\s*)?\)"
RATINGS = {"userId": "int32", "movieId": "int32", "rating": "float32", "timestamp": "int64"}
SLOTS = {"hour": 3_600, "day": 86_400}


def read_movies(listed: pd.DataFrame) -> pd.DataFrame:
    """Give movieId, the code of the genres by first appearance, and the year of release."""
    names = listed["genres"].where(~listed["genres"].isin(["", "(no genres listed)"]))
    codes = pd.Series(pd.factorize(names)[0] + 1)
    year = pd.to_numeric(listed["title"].str.findall(YEAR).str[-1])
    return pd.DataFrame(
        {
            "movieId": listed["movieId"].astype("int32"),
            "genres": codes.where(codes > 0).astype("Int16"),
            "releaseDate": year.astype("Int16"),
        }
    )


def main() -> None:
    """Read with the engine that uses all cores; the rest of pandas uses one."""
    archive, output, slot = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    with zipfile.ZipFile(archive) as members:
        names = {Path(member).name: member for member in members.namelist()}
        with members.open(names["movies.csv"]) as file:
            movies = read_movies(pd.read_csv(file, keep_default_na=False))
        with members.open(names["ratings.csv"]) as file:
            ratings = pd.read_csv(file, engine="pyarrow", dtype=RATINGS)
    for name, length in SLOTS.items():
        ratings[f"tstamp_{name}"] = (ratings["timestamp"] // length + 1).astype("int32")
    years = pd.to_datetime(ratings["timestamp"], unit="s").dt.year
    ratings["tstamp_year"] = (years - 1969).astype("int32")
    joined = ratings.merge(movies, on="movieId", how="left")
    joined.to_parquet(output / "joined.parquet", compression="lz4", index=False)

    groups = joined.groupby([f"tstamp_{slot}", "movieId"], as_index=False)["rating"]
    labelled = groups.agg(["size", "mean"])
    labelled.columns = ["slot", "movieId", "label", "avg_rating"]
    labelled = labelled.astype({"label": "int32"})
    labelled["label_n"] = labelled["label"] / labelled.groupby("slot")["label"].transform("sum")
    labelled = labelled.merge(movies, on="movieId", how="left")
    columns = ["slot", "movieId", "label", "label_n", "avg_rating", "genres", "releaseDate"]
    labelled[columns].to_parquet(output / "sorted.parquet", compression="lz4", index=False)

    # Each row after a movie's third ends a window.
    series = labelled[["movieId", "slot", "label_n"]].sort_values("movieId", kind="stable")
    series.to_parquet(output / "series.parquet", compression="lz4", index=False)


if __name__ == "__main__":
    main()
