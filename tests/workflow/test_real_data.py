"""The data's four programs on ml-latest-small by week, against pandas and the definitions alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from popularity import tables
from popularity.series import read_series

SCRIPTS = Path(__file__).parents[2] / "scripts"
ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "ml-latest-small.zip"
WEEK = 604_800
CALENDAR, OBSERVED = 14, 3

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"{ARCHIVE.name} is not on this machine")


def program(name: str, folder: Path, **options: object) -> None:
    """Run a script; what it reads and writes is in the folder."""
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tables that the four scripts made, one after another."""
    folder = tmp_path_factory.mktemp("small")
    joined, movies, labelled, by_time = (
        f"{name}.parquet" for name in ("joined", "movies", "labelled", "sorted")
    )
    program("join_ratings", folder, archive=ARCHIVE, joined=joined, movies=movies)
    program("label_popularity", folder, joined=joined, movies=movies, slot="week", labelled=labelled)
    program("sort_by_time", folder, labelled=labelled, sorted=by_time)
    for gaps, window in (("calendar", CALENDAR), ("observed", OBSERVED)):
        table = f"{gaps}.parquet"
        program("build_sequences", folder, sorted=by_time, window=window, gaps=gaps, sequences=table)
    return folder


@pytest.fixture(scope="module")
def ratings() -> pd.DataFrame:
    """Archive's ratings, each with its week."""
    with zipfile.ZipFile(ARCHIVE) as file:
        ratings = pd.read_csv(file.open("ml-latest-small/ratings.csv"))
    # 29 December 1969, a Monday, began the week that is 1.
    return ratings.assign(slot=(ratings["timestamp"] + 3 * 86400) // WEEK + 1)


@pytest.fixture(scope="module")
def catalogue() -> pd.DataFrame:
    """Archive's movies, each with its genre code and release year (NaN where unknown)."""
    with zipfile.ZipFile(ARCHIVE) as file:
        movies = pd.read_csv(file.open("ml-latest-small/movies.csv"), keep_default_na=False)
    codes, _ = pd.factorize(movies["genres"].where(movies["genres"] != "(no genres listed)"))
    # Their titles have a year within 1800 to 2199 only as one, but for these spans.
    years = movies["title"].str.findall(r"\(([12][890]\d\d)(?:[-–]\d{4})?\)")
    known = {
        "genres": pd.Series(codes + 1.0).where(codes >= 0),
        "releaseDate": years.str[-1].astype(float),
    }
    return movies[["movieId"]].assign(**known)


@pytest.fixture(scope="module")
def expected(ratings: pd.DataFrame, catalogue: pd.DataFrame) -> pd.DataFrame:
    """Labels by their definition, by slot, then movie."""
    groups = ratings.groupby(["slot", "movieId"], sort=True)["rating"]
    labels = groups.agg(label="size", avg_rating="mean").reset_index()
    labels["label_n"] = labels["label"] / labels["slot"].map(ratings["slot"].value_counts())
    return labels.merge(catalogue, how="left", on="movieId", validate="many_to_one")


def test_joined_is_the_log_with_genres_and_years(
    made: Path, ratings: pd.DataFrame, catalogue: pd.DataFrame
) -> None:
    joined = pd.read_parquet(made / "joined.parquet")
    assert len(joined) == len(ratings) > 100_000
    for column in ("userId", "movieId", "rating", "timestamp"):
        assert (joined[column] == ratings[column]).all(), column
    for name, length in (("hour", 3600), ("day", 86400)):
        assert (joined[f"tstamp_{name}"] == ratings["timestamp"] // length + 1).all(), name
    assert (joined["tstamp_year"] == pd.to_datetime(ratings["timestamp"], unit="s").dt.year - 1969).all()
    known = ratings[["movieId"]].merge(catalogue, how="left", on="movieId", validate="many_to_one")
    for column in ("genres", "releaseDate"):
        pd.testing.assert_series_equal(joined[column], known[column], check_dtype=False)


@pytest.mark.parametrize("name", ["labelled", "sorted"])
def test_labels_agree_with_pandas(made: Path, expected: pd.DataFrame, name: str) -> None:
    assert pq.read_schema(made / f"{name}.parquet").equals(tables.LABELLED)
    found = pd.read_parquet(made / f"{name}.parquet")
    assert len(found) == len(expected)
    for column in ("slot", "movieId", "label"):
        assert (found[column] == expected[column]).all(), column
    assert (found["label_n"] - expected["label_n"]).abs().max() <= 1e-12
    assert (found["avg_rating"] - expected["avg_rating"]).abs().max() <= 1e-6
    for column in ("genres", "releaseDate"):
        pd.testing.assert_series_equal(found[column], expected[column], check_dtype=False)
    assert (found.groupby("slot")["label_n"].sum() - 1).abs().max() <= 1e-12
    assert found["label"].sum() == 100_836


def test_series_are_the_labels_by_movie(made: Path, expected: pd.DataFrame) -> None:
    by_movie = expected.sort_values(["movieId", "slot"])
    for gaps in ("calendar", "observed"):
        sequences = pq.read_table(made / f"{gaps}.parquet")
        assert sequences.schema.equals(tables.SEQUENCES)
        frame = sequences.select(["movieId", "slot", "label", "label_n", "avg_rating"]).to_pandas()
        flat = frame.explode(["slot", "label", "label_n", "avg_rating"], ignore_index=True)
        for column in ("movieId", "slot", "label"):
            assert flat[column].tolist() == by_movie[column].tolist(), column
        for column, tolerance in (("label_n", 1e-12), ("avg_rating", 1e-6)):
            np.testing.assert_allclose(
                flat[column].astype(float), by_movie[column], rtol=0, atol=tolerance, err_msg=column
            )


def test_number_of_windows(made: Path, expected: pd.DataFrame) -> None:
    by_movie = expected.groupby("movieId")["slot"]
    first = by_movie.min()
    for gaps, first_target, windows in (
        ("calendar", first + 1, expected["slot"].max() - first),
        ("observed", first * 0 + OBSERVED, (by_movie.size() - OBSERVED).clip(lower=0)),
    ):
        found = pd.read_parquet(made / f"{gaps}.parquet", columns=["movieId", "first_target", "windows"])
        assert found["movieId"].tolist() == first.index.tolist()
        assert found["first_target"].tolist() == first_target.tolist()
        assert found["windows"].tolist() == windows.tolist()
        assert found["windows"].sum() > 10_000


def test_windows_of_three_observed_slots_and_their_targets(made: Path, expected: pd.DataFrame) -> None:
    series = read_series(made / "observed.parquet", "week")
    numbers = pd.Series(range(len(series.movie_ids)), index=series.movie_ids)
    # Every tenth movie and the ten most requested.
    most = expected.groupby("movieId")["label"].sum().nlargest(10).index
    chosen = sorted({*series.movie_ids[::10].tolist(), *most})
    rows = expected[expected["movieId"].isin(chosen)].sort_values(["movieId", "slot"])
    by_movie = rows.groupby("movieId")
    earlier = range(OBSERVED, 0, -1)
    shifted = {name: [by_movie[name].shift(n) for n in earlier] for name in ("label", "slot")}
    full = shifted["label"][0].notna()
    labels, slots = (pd.concat(columns, axis=1)[full].to_numpy() for columns in shifted.values())
    assert len(labels) > 1_000

    movies = numbers[rows.loc[full, "movieId"]].to_numpy()
    at = rows.loc[full, "slot"].to_numpy()
    found_labels, found_slots = series.windows(movies, at, OBSERVED, "observed")
    np.testing.assert_array_equal(found_labels, labels)
    np.testing.assert_array_equal(found_slots, slots)
    shares = series.labels(movies, at) / series.requests(at)
    np.testing.assert_allclose(shares, rows.loc[full, "label_n"], rtol=0, atol=1e-12)


def test_windows_of_the_calendar_and_their_targets(made: Path, expected: pd.DataFrame) -> None:
    series = read_series(made / "calendar.parquet", "week")
    table = expected.pivot_table(index="slot", columns="movieId", values="label", fill_value=0)
    # Weeks before the log and weeks without a request are 0 as well.
    weeks = range(int(table.index.min()) - CALENDAR, int(table.index.max()) + 1)
    grid = table.reindex(weeks, fill_value=0).to_numpy()
    for movie in (0, 100, int(series.movie[np.argmax(series.label)]), len(series.movie_ids) - 1):
        begin = int(series.slot[series.starts[movie]])
        at = np.arange(begin + 1, series.last_slot + 1)
        labels, slots = series.windows(np.full(len(at), movie), at, CALENDAR, "calendar")
        rows = slots - weeks.start
        np.testing.assert_array_equal(rows[:, -1] + 1, at - weeks.start)
        np.testing.assert_array_equal(labels, grid[rows, movie])
        np.testing.assert_array_equal(
            series.labels(np.full(len(at), movie), at), grid[at - weeks.start, movie]
        )
