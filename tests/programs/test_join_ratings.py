"""The joined table and the movies: years, codes, slots, and the program itself."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import join_ratings
from popularity.log.catalogue import CATALOGUE, release_year, with_codes
from popularity.log.request_log import RequestLog
from popularity.tables import JOINED, MOVIES

SCRIPT = Path(join_ratings.__file__)
DATA = Path(__file__).parents[3] / "shared" / "data"

RATINGS = """userId,movieId,rating,timestamp
1,20,2.5,1260759144
1,5,3.0,1260759179
2,10,0.5,0
2,30,5.0,3600
3,40,4.0,3601
3,99,4.0,31535999
4,7,4.0,31536000
"""
MOVIES_CSV = """movieId,title,genres
10,(500) Days of Summer (2009),Comedy|Drama
20,"Dangerous Minds (1995) ",Drama
5,Babylon 5,Comedy|Drama
30,Amélie (2001),(no genres listed)
40,Death Note: Desu nôto (2006–2007),Action
7,Nothing,
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_zip(tmp_path / "in" / "log.zip", {"m/ratings.csv": RATINGS, "m/movies.csv": MOVIES_CSV})


def make_zip(path: Path, members: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def program(archive: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    outputs = ["--joined", str(out / "joined.parquet"), "--movies", str(out / "movies.parquet")]
    command = [sys.executable, str(SCRIPT), "--archive", str(archive), *outputs, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*"))


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("(500) Days of Summer (2009)", 2009),
        ("Justice League: Doom (2012) ", 2012),
        ("Death Note: Desu nôto (2006–2007)", 2006),
        ("Fawlty Towers (1975-1979)", 1975),
        ("Big Bang Theory, The (2007- )", 2007),
        ("Doctor Who (1996–)", 1996),
        ("Streets Are Silent: Hip Hop (1987-1997) (2021)", 2021),
        ("The Naked Truth (1957) (Your Past Is Showing)", 1957),
        ("Mona (Mona ja palavan rakkauden aika) (1983))", 1983),
        ("Captive Women (1000 Years from Now) (3000 A.D.) (1952)", 1952),
        ("Bloody Angels (1732 Høtten) (1998)", 1998),
        ("Passage de Venus (1874)", 1874),
        ("City of the Century (1): Mudhole (2003)", 2003),
        ("Babylon 5", None),
        ("Millions Game, The (Das Millionenspiel)", None),
        ("1900", None),
        ("Sixtynine (69)", None),
        ("Far Ahead (3000)", None),
        ("Arabic digits (١٩٩٥)", None),
        ("", None),
    ],
)
def test_release_year(title: str, year: int | None) -> None:
    assert release_year(title) == year


def test_joins_by_hand(archive: Path, tmp_path: Path) -> None:
    done = program(archive, tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, "")
    joined = pq.read_table(tmp_path / "out" / "joined.parquet")
    assert joined.schema.equals(JOINED)
    assert [tuple(row.values()) for row in joined.to_pylist()] == [
        (1, 20, 2.5, 1260759144, 350211, 14593, 40, 2, 1995),
        (1, 5, 3.0, 1260759179, 350211, 14593, 40, 1, None),
        (2, 10, 0.5, 0, 1, 1, 1, 1, 2009),
        (2, 30, 5.0, 3600, 2, 1, 1, None, 2001),
        (3, 40, 4.0, 3601, 2, 1, 1, 3, 2006),
        (3, 99, 4.0, 31535999, 8760, 365, 1, None, None),
        (4, 7, 4.0, 31536000, 8761, 366, 2, None, None),
    ]
    movies = pq.read_table(tmp_path / "out" / "movies.parquet")
    assert movies.schema.equals(MOVIES)
    assert [tuple(row.values()) for row in movies.to_pylist()] == [
        (10, "10", "(500) Days of Summer (2009)", "Comedy|Drama", 1, 2009, None),
        (20, "20", "Dangerous Minds (1995) ", "Drama", 2, 1995, None),
        (5, "5", "Babylon 5", "Comedy|Drama", 1, None, None),
        (30, "30", "Amélie (2001)", None, None, 2001, None),
        (40, "40", "Death Note: Desu nôto (2006–2007)", "Action", 3, 2006, None),
        (7, "7", "Nothing", None, None, None, None),
    ]
    assert files(tmp_path / "out") == ["joined.parquet", "movies.parquet"]


def test_another_log(tmp_path: Path) -> None:
    log = "at,page,visitor\n30,/b (1999),anna\n3601,/a,bob\n20,/b (1999),anna\n"
    archive = make_zip(tmp_path / "in" / "log.zip", {"access.csv": log})
    how = json.dumps({"columns": {"user": "visitor", "item": "page", "time": "at"}})
    done = program(archive, tmp_path / "out", "--log", how)
    assert done.returncode == 0, done.stderr
    joined = pq.read_table(tmp_path / "out" / "joined.parquet").to_pylist()
    assert [tuple(row.values()) for row in joined] == [
        (1, 1, None, 30, 1, 1, 1, None, None),
        (2, 2, None, 3601, 2, 1, 1, None, None),
        (1, 1, None, 20, 1, 1, 1, None, None),
    ]
    movies = pq.read_table(tmp_path / "out" / "movies.parquet").to_pylist()
    assert [tuple(row.values()) for row in movies] == [
        (1, "/b (1999)", "/b (1999)", None, None, 1999, None),
        (2, "/a", "/a", None, None, None, None),
    ]


def test_ids_up_to_the_largest(tmp_path: Path) -> None:
    archive = make_zip(
        tmp_path / "in" / "log.zip",
        {
            "ratings.csv": "userId,movieId,rating,timestamp\n0,2147483647,5,1\n1,0,5,1\n2,5,5,1\n",
            "movies.csv": "movieId,title,genres\n2147483647,A (1990),X\n0,B (1980),Y\n",
        },
    )
    with RequestLog(archive) as log:
        join_ratings.join_ratings(log, tmp_path / "joined.parquet", tmp_path / "movies.parquet")
    joined = pq.read_table(tmp_path / "joined.parquet")
    assert joined["releaseDate"].to_pylist() == [1990, 1980, None]
    assert joined["genres"].to_pylist() == [1, 2, None]


def test_too_many_genres_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    n = 32_768
    texts = [str(number) for number in range(n)]
    columns = {"movieId": pa.array(range(n), pa.int32()), "item": texts, "title": texts}
    years = pa.nulls(n, pa.int16())
    table = pa.table({**columns, "genre_names": texts, "releaseDate": years}, CATALOGUE)
    assert with_codes(table.slice(0, n - 1))["genres"][-1].as_py() == n - 1
    assert not caplog.records
    found = with_codes(table)
    assert (found["genres"].null_count, found["genre_names"].null_count) == (n, n)
    assert "32768 different genres" in caplog.text


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"m/ratings.csv": RATINGS}, "lacks movies.csv"),
        (
            {"m/ratings.csv": RATINGS + "5,10,3.0,soon\n", "m/movies.csv": MOVIES_CSV},
            "m/ratings.csv: line 9: timestamp 'soon' must be whole seconds",
        ),
        (
            {"m/ratings.csv": RATINGS, "m/movies.csv": MOVIES_CSV + "1,A, The (1990),Drama\n"},
            "m/movies.csv: line 8: has 4 fields",
        ),
    ],
)
def test_a_fault_is_one_line_and_leaves_nothing(
    tmp_path: Path, members: dict[str, str], reason: str
) -> None:
    archive = make_zip(tmp_path / "in" / "log.zip", members)
    done = program(archive, tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {archive}: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize("how", ["{", "[1]", '{"colums": {}}', '{"columns": {"user": "userId"}}'])
def test_a_bad_description_is_a_fault(archive: Path, tmp_path: Path, how: str) -> None:
    done = program(archive, tmp_path / "out", "--log", how)
    assert done.returncode
    assert "error: " in done.stderr.splitlines()[-1]
    assert files(tmp_path / "out") == []


def test_a_fault_leaves_an_earlier_result(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program(archive, out).returncode == 0
    before = [(out / name).read_bytes() for name in files(out)]
    archive.write_bytes(archive.read_bytes()[:200])
    assert program(archive, out).returncode == 1
    assert [(out / name).read_bytes() for name in files(out)] == before


@pytest.mark.parametrize(
    ("name", "folder"), [("ml-latest-small", "ml-latest-small"), ("ml-latest-head", "ml-latest")]
)
def test_equals_pandas_on_real_data(tmp_path: Path, name: str, folder: str) -> None:
    path = DATA / f"{name}.zip"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    paths = tmp_path / "joined.parquet", tmp_path / "movies.parquet"
    with RequestLog(path) as log:
        rows = join_ratings.join_ratings(log, *paths, block_bytes=100_000)
    joined, movies = map(pd.read_parquet, paths)

    with zipfile.ZipFile(path) as file:
        ratings = pd.read_csv(file.open(f"{folder}/ratings.csv"))
        catalogue = pd.read_csv(file.open(f"{folder}/movies.csv"), keep_default_na=False)
    genres = catalogue["genres"].where(catalogue["genres"] != "(no genres listed)")
    codes, _ = pd.factorize(genres)
    # Their titles have a year within 1800 to 2199 only as one, but for these spans.
    years = catalogue["title"].str.findall(r"\(([12][890]\d\d)(?:[-–]\d{4})?\)")
    expected = pd.DataFrame(
        {
            "movieId": catalogue["movieId"],
            "genres": pd.Series(codes + 1.0).where(codes >= 0),
            "releaseDate": years.str[-1].astype(float),
        }
    )
    assert movies["title"].tolist() == catalogue["title"].tolist()
    assert movies["genre_names"].dropna().tolist() == genres.dropna().tolist()
    pd.testing.assert_frame_equal(movies[list(expected)], expected, check_dtype=False)

    for column, length in (("hour", 3600), ("day", 86400)):
        ratings[f"tstamp_{column}"] = ratings["timestamp"] // length + 1
    ratings["tstamp_year"] = pd.to_datetime(ratings["timestamp"], unit="s").dt.year - 1969
    whole = ratings.merge(expected, how="left", on="movieId")
    assert rows == len(whole)
    pd.testing.assert_frame_equal(joined, whole, check_dtype=False)


def test_starts_without_pandas(archive: Path, tmp_path: Path) -> None:
    # Arrow imports it on the quiet, which takes longer than all of a small archive.
    code = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert 'pandas' not in sys.modules"
    )
    out = ["--joined", str(tmp_path / "j.parquet"), "--movies", str(tmp_path / "m.parquet")]
    command = [sys.executable, "-c", code, str(SCRIPT), "--archive", str(archive), *out]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    subprocess.run([*command], check=True, timeout=60, env=environment)


def test_the_block_changes_nothing(archive: Path, tmp_path: Path) -> None:
    tables = []
    for block_bytes in (1, 30, 1 << 24):
        paths = tmp_path / "joined.parquet", tmp_path / "movies.parquet"
        with RequestLog(archive) as log:
            join_ratings.join_ratings(log, *paths, block_bytes=block_bytes)
        tables.append(pq.read_table(paths[0]))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
