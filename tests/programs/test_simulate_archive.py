"""The simulated archive: exactly what was asked for, in MovieLens' form, like the real one."""

import csv
import io
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulate_archive
from popularity.program import Fault
from simulate_archive import DIP, RHYTHMIC, check, share_out, simulate, weekday_pull

SCRIPT = Path(simulate_archive.__file__)
SIZES = {"ratings": 60_000, "users": 1_500, "movies": 900}
DATES = {"first": date(2015, 3, 2), "last": date(2016, 8, 30)}
HEADERS = {
    "links": "movieId,imdbId,tmdbId",
    "movies": "movieId,title,genres",
    "ratings": "userId,movieId,rating,timestamp",
    "tags": "userId,movieId,tag,timestamp",
}


def make(path: Path, **changes: Any) -> Path:
    simulate(path, **{**SIZES, **DATES, "seed": 5, **changes})
    return path


def table(path: Path, name: str, **options: Any) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive, archive.open(f"ml-latest/{name}.csv") as file:
        rows: pd.DataFrame = pd.read_csv(file, **options)
        return rows


def text(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"ml-latest/{name}").decode()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("archive") / "a.zip")


@pytest.fixture(scope="module")
def ratings(path: Path) -> pd.DataFrame:
    return table(path, "ratings")


@pytest.fixture(scope="module")
def movies(path: Path) -> pd.DataFrame:
    return table(path, "movies")


def run(tmp_path: Path, *options: object) -> tuple[Path, subprocess.CompletedProcess[str]]:
    output = tmp_path / "out" / "demo.zip"
    command = [sys.executable, str(SCRIPT), "--output", str(output), *map(str, options)]
    return output, subprocess.run(command, capture_output=True, text=True, check=False)


# The form.


def test_the_files_are_those_of_ml_latest(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = ["links.csv", "movies.csv", "ratings.csv", "README.txt", "tags.csv"]
        assert archive.namelist() == [f"ml-latest/{name}" for name in names]


@pytest.mark.parametrize("name", HEADERS)
def test_each_table_is_written_as_the_csv_module_writes_it(path: Path, name: str) -> None:
    content = text(path, f"{name}.csv")
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert content.splitlines()[0] == HEADERS[name]
    assert {len(row) for row in rows} == {len(rows[0])}
    again = io.StringIO(newline="")
    csv.writer(again, lineterminator="\n").writerows(rows)  # quotes only where needed, LF
    assert again.getvalue() == content


def test_pandas_reads_what_the_csv_module_reads(path: Path, movies: pd.DataFrame) -> None:
    rows = list(csv.DictReader(io.StringIO(text(path, "movies.csv"), newline="")))
    assert movies["title"].tolist() == [row["title"] for row in rows]
    assert movies["genres"].tolist() == [row["genres"] for row in rows]


def test_numbers_have_the_form_of_ml_latest(path: Path) -> None:
    lines = text(path, "ratings.csv").splitlines()[1:]
    assert all(pd.Series(lines).str.fullmatch(r"[1-9]\d*,[1-9]\d*,\d\.[05],\d{10}"))
    links = table(path, "links", dtype=str)
    assert links["imdbId"].str.fullmatch(r"\d{7}").all()
    assert links["imdbId"].is_unique
    assert links["movieId"].tolist() == table(path, "movies", dtype=str)["movieId"].tolist()


def test_the_readme_says_that_the_data_are_simulated(path: Path) -> None:
    readme = text(path, "README.txt")
    assert "SIMULATED" in readme
    assert "60000 ratings" in readme
    assert "Seed: 5." in readme
    assert f"{len(table(path, 'tags'))} tags" in readme


# What was asked for, exactly.


def test_the_numbers_are_exact(ratings: pd.DataFrame, movies: pd.DataFrame) -> None:
    assert len(ratings) == SIZES["ratings"]
    assert len(movies) == SIZES["movies"]
    assert ratings["userId"].unique().tolist() == list(range(1, SIZES["users"] + 1))
    assert ratings["movieId"].isin(movies["movieId"]).all()


def test_ratings_are_by_user_then_movie_and_never_twice(path: Path, ratings: pd.DataFrame) -> None:
    pairs = ratings["userId"].to_numpy() * 10**6 + ratings["movieId"].to_numpy()
    assert (np.diff(pairs) > 0).all()
    tags = table(path, "tags")
    assert (np.diff(tags["userId"].to_numpy() * 10**6 + tags["movieId"].to_numpy()) > 0).all()


def test_timestamps_are_within_the_dates(path: Path, ratings: pd.DataFrame) -> None:
    for times in (ratings["timestamp"], table(path, "tags")["timestamp"]):
        days = pd.to_datetime(times, unit="s").dt.date
        assert days.min() >= DATES["first"]
        assert days.max() <= DATES["last"]
    assert pd.to_datetime(ratings["timestamp"], unit="s").dt.date.nunique() > 500


def test_ratings_are_half_stars(ratings: pd.DataFrame) -> None:
    stars = ratings["rating"].value_counts(normalize=True)
    assert set(stars.index) == {half / 2 for half in range(1, 11)}
    assert 3.2 < ratings["rating"].mean() < 3.9
    assert stars.idxmax() in (3.0, 4.0)


def test_before_2003_there_are_whole_stars_only(tmp_path: Path) -> None:
    old = make(tmp_path / "a.zip", first=date(2001, 1, 1), last=date(2003, 12, 31))
    ratings = table(old, "ratings")
    half = ratings["rating"] % 1 > 0
    assert half.any()
    assert pd.to_datetime(ratings.loc[half, "timestamp"], unit="s").min() >= pd.Timestamp("2003-02-18")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(path: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "b.zip").read_bytes() == path.read_bytes()
    other = make(tmp_path / "c.zip", seed=6)
    for name in ("movies.csv", "ratings.csv", "tags.csv", "links.csv"):
        assert text(other, name) != text(path, name)


@pytest.mark.parametrize("block", [1, 1000, 30_000])
def test_the_numbers_are_exact_however_the_users_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(simulate_archive, "BLOCK", block)
    small = make(tmp_path / "a.zip", ratings=4000, users=150, movies=200)
    ratings = table(small, "ratings")
    assert len(ratings) == 4000
    assert ratings["userId"].nunique() == 150
    assert not ratings.duplicated(["userId", "movieId"]).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"ratings": 1, "users": 1, "movies": 1},
        {"ratings": 7, "users": 7, "movies": 1},
        {"ratings": 40, "users": 4, "movies": 23},
        {"ratings": 9000, "users": 100, "movies": 191},
        {"ratings": 3000, "users": 3, "movies": 3000},
        {"ratings": 500, "users": 500, "movies": 50, "last": DATES["first"]},
        {"ratings": 2000, "users": 40, "movies": 400, "first": date(1975, 5, 5)},
    ],
    ids=str,
)
def test_extreme_requests_are_met_exactly(tmp_path: Path, changes: dict[str, Any]) -> None:
    odd = make(tmp_path / "a.zip", **changes)
    ratings = table(odd, "ratings")
    assert len(ratings) == changes["ratings"]
    assert ratings["userId"].nunique() == changes["users"]
    assert len(table(odd, "movies")) == changes["movies"]
    assert not ratings.duplicated(["userId", "movieId"]).any()
    days = pd.to_datetime(ratings["timestamp"], unit="s").dt.date
    assert days.min() >= changes.get("first", DATES["first"])
    assert days.max() <= changes.get("last", DATES["last"])


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30),
    st.integers(1, 50),
    st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_share_out_hands_out_exactly_the_total_within_the_bounds(
    weights: list[float], most: int, part: float
) -> None:
    total = len(weights) + int(part * len(weights) * (most - 1))
    counts = share_out(np.array(weights), total, most)
    assert counts.sum() == total
    assert counts.min() >= 1
    assert counts.max() <= most


# Like the real thing.


def test_titles_have_what_makes_real_titles_hard(movies: pd.DataFrame) -> None:
    titles = movies["title"]
    assert titles.str.contains(", The (", regex=False).any()
    assert titles.str.contains('"').any()
    assert titles.str.contains(r"[^\x00-\x7f]").any()
    assert titles.str.contains(r"\([^()\d]+\) \(\d{4}\)$").any()
    without_year = ~titles.str.contains(r" \(\d{4}\)$")
    assert 0 < without_year.mean() < 0.02
    assert 0 < (movies["genres"] == "(no genres listed)").mean() < 0.05
    sets = movies["genres"].str.split("|").tolist()
    assert all(names == sorted(set(names)) for names in sets)
    assert max(map(len, sets)) > 2


def test_ids_ascend_with_gaps(movies: pd.DataFrame) -> None:
    steps = np.diff(movies["movieId"])
    assert steps.min() == 1
    assert steps.max() > 2


def test_nobody_rates_a_movie_before_its_year(ratings: pd.DataFrame, movies: pd.DataFrame) -> None:
    year = movies.set_index("movieId")["title"].str.extract(r"\((\d{4})\)$")[0].dropna().astype(int)
    assert year.min() >= 1900
    rated = ratings[ratings["movieId"].isin(year.index)]
    when = pd.to_datetime(rated["timestamp"], unit="s").dt.year
    assert (when.to_numpy() >= year[rated["movieId"]].to_numpy()).all()
    new = year.index[year == DATES["last"].year]
    assert rated["movieId"].isin(new).any()


def test_new_movies_rise_and_decay(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zip", ratings=100_000, users=6000, movies=600)
    year = table(path, "movies")["title"].str.extract(r"\((\d{4})\)$")[0].astype(float)
    new = table(path, "movies")["movieId"][year.to_numpy() == 2015]
    ratings = table(path, "ratings")
    ratings = ratings[ratings["movieId"].isin(new)]
    first = ratings.groupby("movieId")["timestamp"].transform("min")
    weeks = (ratings["timestamp"] - first) // (7 * 86400)
    # Of movies out in 2015, all could be rated for at least 34 weeks.
    begin, peak, later = ((weeks // 4 == months).sum() for months in (0, 1, 7))
    assert max(begin, peak) > 1.5 * later


def test_popularity_has_a_heavy_head_and_a_long_tail(ratings: pd.DataFrame, movies: pd.DataFrame) -> None:
    counts = np.sort(ratings["movieId"].value_counts().to_numpy())[::-1]
    assert counts[: len(movies) // 10].sum() > 0.4 * len(ratings)
    assert counts[: len(movies) // 2].sum() < 0.99 * len(ratings)
    rank = np.arange(10, 300)
    slope = np.polyfit(np.log(rank), np.log(counts[rank]), 1)[0]
    assert -1.5 < slope < -0.4


def test_users_rate_many_movies_on_few_days(ratings: pd.DataFrame) -> None:
    days = (ratings["timestamp"] // 86400).groupby(ratings["userId"]).nunique()
    counts = ratings.groupby("userId").size()
    assert days.median() <= 2
    assert counts.median() > 5 * days.median()
    assert (days > 5).any()
    assert counts.max() > 5 * counts.median()


def test_some_movies_have_a_weekday_of_their_own() -> None:
    genre = np.arange(6000) % 2
    pull = weekday_pull(np.random.default_rng(3), genre)
    assert pull.shape == (6000, 7)
    assert 0 < pull.min() < pull.max() <= 1
    # Beside movies of their genre that have none: the most frequent row.
    for one in (0, 1):
        rows, counts = np.unique(pull[genre == one], axis=0, return_counts=True)
        plain = rows[counts.argmax()]
        own = rows[counts < counts.max()] / plain
        assert len(own) == 7
        assert sorted(own.argmax(axis=1)) == list(range(7))
        assert counts[counts < counts.max()].sum() / counts.sum() == pytest.approx(RHYTHMIC, abs=0.03)
        # Mild: at most twice as often as half a week later, and as often as others over the week.
        ratios = own.max(axis=1) / own.min(axis=1)
        assert (ratios > 1.8).all()
        assert (ratios <= 1 / (1 - DIP)).all()
        assert own.mean(axis=1) == pytest.approx(np.ones(7), abs=1e-5)


def test_the_readme_tells_of_the_weekdays_of_movies(path: Path) -> None:
    assert f"And {round(100 * RHYTHMIC)} % of the movies" in text(path, "README.txt")


def test_weekdays_and_hours_differ_in_volume(ratings: pd.DataFrame) -> None:
    when = pd.to_datetime(ratings["timestamp"], unit="s").dt
    weekdays = when.day_of_week.value_counts()
    assert len(weekdays) == 7
    assert weekdays.max() > 1.1 * weekdays.min()
    hours = when.hour.value_counts()
    assert len(hours) == 24
    assert hours.max() > 2 * hours.min()


def test_recent_popularity_tells_more_than_all_of_the_past(ratings: pd.DataFrame) -> None:
    week = (ratings["timestamp"] - ratings["timestamp"].min()) // (7 * 86400)
    counts = pd.crosstab(week, ratings["movieId"]).to_numpy().astype(float)
    recent, ever = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
    scores: list[list[float]] = []
    for now in counts:
        if len(scores) or ever.sum() > 0:
            shares = [(past + 0.1) / (past + 0.1).sum() for past in (recent, ever)]
            scores.append([float(-(now @ np.log(share))) for share in shares])
        recent, ever = recent * 0.5 ** (1 / 6) + now, ever + now
    half = np.array(scores)[len(scores) // 2 :].sum(axis=0)
    assert half[0] < 0.99 * half[1]


# What cannot be.


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ratings": 0}, "--ratings is 0"),
        ({"users": -3}, "--users is -3"),
        ({"movies": 0}, "--movies is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"ratings": 1499}, "every user rates at least one"),
        ({"ratings": 10**6}, "too many"),
        ({"last": date(2015, 3, 1)}, "before --first-date"),
        ({"first": date(1969, 12, 31)}, "from 1970"),
        ({"last": date(2200, 1, 1)}, "100 years"),
    ],
    ids=str,
)
def test_impossible_numbers_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Fault, match=says):
        check(**{**SIZES, **DATES, "seed": 5, **changes})


def test_the_limit_that_is_named_is_met(tmp_path: Path) -> None:
    sizes = {"users": 30, "movies": 100}
    with pytest.raises(Fault, match=r"at most (\d+)") as fault:
        make(tmp_path / "a.zip", ratings=10**9, **sizes)
    most = int(str(fault.value).split("at most ")[1].split()[0])
    assert len(table(make(tmp_path / "a.zip", ratings=most, **sizes), "ratings")) == most


# As a command.


def test_the_command_writes_the_archive(tmp_path: Path) -> None:
    output, done = run(tmp_path, "--ratings", 2000, "--users", 90, "--movies", 150, "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert len(table(output, "ratings")) == 2000
    assert "2000 of 2000 ratings" in done.stderr
    assert [entry.name for entry in output.parent.iterdir()] == ["demo.zip"]


@pytest.mark.parametrize(
    "options",
    [
        ("--ratings", 10, "--users", 20),
        ("--users", 0),
        ("--ratings", 10**9),
        ("--first-date", "2017-01-02", "--last-date", "2017-01-01"),
    ],
    ids=str,
)
def test_the_command_ends_a_fault_in_one_line_and_leaves_nothing(
    tmp_path: Path, options: tuple[object, ...]
) -> None:
    output, done = run(tmp_path, *options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(output.parent.glob("*"))


def test_the_command_refuses_what_is_no_date(tmp_path: Path) -> None:
    output, done = run(tmp_path, "--first-date", "yesterday")
    assert done.returncode == 2
    assert "--first-date" in done.stderr
    assert not output.exists()


def test_help_says_what_each_option_does(tmp_path: Path) -> None:
    _, done = run(tmp_path, "--help")
    assert done.returncode == 0
    for option in ("ratings", "users", "movies", "seed", "first-date", "last-date", "output"):
        assert f"--{option}" in done.stdout
