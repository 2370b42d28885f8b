"""Reading archives: each release's form, other logs, and whatever may be wrong with them."""

import gzip
import re
import tracemalloc
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from popularity.log.request_log import RequestLog
from popularity.program import Fault
from popularity.settings.datasets import LogSettings
from popularity.settings.fields import parse
from popularity.tables import prefetch

RATINGS = "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,10,3.0,1260759179\n7,31,4.0,851868750\n"
MOVIES = "movieId,title,genres\n10,GoldenEye (1995),Action|Adventure\n31,Dangerous Minds (1995),Drama\n"
ROWS = [
    (1, 31, 2.5, 1260759144),
    (1, 10, 3.0, 1260759179),
    (7, 31, 4.0, 851868750),
]
OWN = {"user": "visitor", "item": "page", "time": "at"}


Row = tuple[Any, ...]


def make_zip(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def movielens(path: Path, ratings: str | bytes = RATINGS, movies: str | bytes = MOVIES) -> Path:
    return make_zip(path, {"ml/ratings.csv": ratings, "ml/movies.csv": movies})


def read(
    path: Path,
    form: str | None = None,
    block_bytes: int = 1 << 20,
    max_bytes: float = float("inf"),
    **how: Any,
) -> tuple[list[Row], list[Row]]:
    """Requests and items of an archive, as rows: of an item its number, id, title and genres."""
    with RequestLog(path, parse(LogSettings, {"format": form, **how}), max_bytes=max_bytes) as log:
        movies = log.catalogue().to_pylist()
        requests = [row for b in log.requests(block_bytes) for row in b.to_pylist()]
        movies += log.uncatalogued().to_pylist()
    return [tuple(r.values()) for r in requests], [tuple(m.values())[:4] for m in movies]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "log.zip"


# What is right


def test_reads_csv_releases(archive: Path) -> None:
    movies = (
        "movieId,title,genres\r\n"
        '11,"American President, The (1995)",Comedy|Drama\r\n'
        '12,"""Great Performances"" Cats (1998)",Musical\r\n'
        "13,Amélie (2001),(no genres listed)\r\n"
        '14,"Two\nlines (2002)",\r\n'
    )
    requests, found = read(movielens(archive, RATINGS.replace("\n", "\r\n"), movies))
    assert requests == ROWS
    assert found == [
        (11, "11", "American President, The (1995)", "Comedy|Drama"),
        (12, "12", '"Great Performances" Cats (1998)', "Musical"),
        (13, "13", "Amélie (2001)", None),
        (14, "14", "Two\nlines (2002)", None),
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_reads_dat_releases(archive: Path, encoding: str) -> None:
    movies = "1::Toy Story (1995)::Animation|Comedy\n2::Misérables, Les: A::B (1995)::Drama\n"
    make_zip(
        archive,
        {
            "ml_1m/ratings.dat": "1::1::5::978300760\n2::2::0.5::978302109\n",
            "ml_1m/movies.dat": movies.encode(encoding),
        },
    )
    assert read(archive, "dat") == (
        [(1, 1, 5.0, 978300760), (2, 2, 0.5, 978302109)],
        [
            (1, "1", "Toy Story (1995)", "Animation|Comedy"),
            (2, "2", "Misérables, Les: A::B (1995)", "Drama"),
        ],
    )


def tab_zip(path: Path, ratings: str = "196\t2\t3\t881250949\n", names: int = 3) -> Path:
    genres = ["unknown|0", "Action|1", "Film-Noir|2"]
    flags = '1|Très (1995)|01-Jan-1995||http://a|0|1|1\n2|unknown||||1|0|0\n3|"A (1996)||||0|0|1\n'
    return make_zip(
        path,
        {
            "ml_100k/u.data": ratings,
            "ml_100k/u.item": flags.encode("latin-1"),
            "ml_100k/u.genre": "\n".join(genres[:names]) + "\n\n",
        },
    )


def test_reads_tab_release(archive: Path) -> None:
    assert read(tab_zip(archive), "tab") == (
        [(196, 2, 3.0, 881250949)],
        [
            (1, "1", "Très (1995)", "Action|Film-Noir"),
            (2, "2", "unknown", None),
            (3, "3", '"A (1996)', "Film-Noir"),
        ],
    )


@pytest.mark.parametrize(
    "ratings",
    [
        "\ufeff" + RATINGS,
        RATINGS.rstrip(),
        RATINGS + "\n\n",
        RATINGS.encode("utf-16"),
        "rating,timestamp,note,movieId,userId\n"
        '2.5,1260759144,"a, ""b""",31,1\n3.0,1260759179,0x,10,1\n4.0,851868750,,31,7\n',
        '"userId","movieId","rating","timestamp"\n'
        '"1","31","2.5","1260759144"\n1,10,3,1260759179\n07,31, 4.0 ,851868750\n',
    ],
    ids=["BOM", "no last newline", "blank lines", "UTF-16", "extra and reordered", "quoted"],
)
@pytest.mark.parametrize("block_bytes", [1, 40, 1 << 20])
def test_reads_every_honest_csv_whatever_the_block(
    archive: Path, ratings: str | bytes, block_bytes: int
) -> None:
    assert read(movielens(archive, ratings), block_bytes=block_bytes)[0] == ROWS


def test_reads_members_at_the_top_and_ignores_others(archive: Path) -> None:
    make_zip(
        archive,
        {
            "ratings.csv": RATINGS,
            "movies.csv": MOVIES,
            "__MACOSX/._ratings.csv": "junk",
            "tags.csv": "userId\n",
        },
    )
    assert read(archive)[0] == ROWS


def test_reads_parts_in_natural_order(archive: Path) -> None:
    header, *rows = RATINGS.splitlines(keepends=True)
    make_zip(
        archive,
        {
            "a/ratings10.csv": header + rows[2],
            "a/ratings2.csv": header + rows[1],
            "a/ratings1.csv": "timestamp,userId,movieId,rating\n1260759144,1,31,2.5",
            "a/movies.csv": MOVIES,
        },
    )
    assert read(archive)[0] == ROWS


def test_a_batch_is_a_block(archive: Path) -> None:
    ratings = RATINGS.splitlines(keepends=True)[0] + "1,31,2.5,1260759144\n" * 1000
    with RequestLog(movielens(archive, ratings)) as log:
        sizes = [len(batch) for batch in log.requests(2_000)]
    assert sum(sizes) == 1000
    assert max(sizes) <= 101


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    path = tmp_path / "in" / "log.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../ratings.csv", RATINGS)
        file.writestr("../movies.csv", MOVIES)
        file.writestr("/abs.txt", "x")
    assert read(path)[0] == ROWS
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "log.zip"]


# Other logs


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_reads_texts_as_ids(archive: Path, block_bytes: int) -> None:
    log = "at,page,visitor\n30,/b,anna\n10,/a,bob\n20,/b,0x1F\n40,/é,anna\n"
    make_zip(archive, {"access.csv": log})
    assert read(archive, columns=OWN, block_bytes=block_bytes) == (
        [(1, 1, None, 30), (2, 2, None, 10), (3, 1, None, 20), (1, 3, None, 40)],
        [(1, "/b", "/b", None), (2, "/a", "/a", None), (3, "/é", "/é", None)],
    )


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_an_id_is_the_text_that_it_is(archive: Path, block_bytes: int) -> None:
    ids = ["008", "8", " 8 ", "-8", "18446744073709551615", "76561197960287930", "8.0"]
    rows = "".join(f"30,{item},{item},-1e3\n" for item in ids)
    make_zip(archive, {"access.csv": "at,page,visitor,score\n" + rows})
    requests, items = read(archive, columns={**OWN, "rating": "score"}, block_bytes=block_bytes)
    numbers = [1, 2, 2, 3, 4, 5, 6]
    assert requests == [(number, number, -1000.0, 30) for number in numbers]
    assert [item[1] for item in items] == ["008", "8", "-8", ids[4], ids[5], "8.0"]


def test_what_an_id_is_does_not_hang_on_the_log_s_beginning(archive: Path) -> None:
    rows = [f"30,{number},5" for number in range(200_000)]
    make_zip(
        archive, {"access.csv": "\n".join(["at,page,visitor", *rows, "30,A1,5", "30,007,5", "30,7,5"])}
    )
    requests, items = read(archive, columns=OWN)
    assert [row[1] for row in requests[-3:]] == [200_001, 200_002, 8]
    assert [item[1] for item in items[-2:]] == ["A1", "007"]


def test_reads_the_catalogue_of_another_log(archive: Path) -> None:
    make_zip(
        archive,
        {
            "access.csv": "at,page,visitor\n30,/new,5\n10, /a,6\n20,/b ,5\n",
            "pages.csv": "title,page\nStart,/b\nNews,/a\nNews, /c \n",
        },
    )
    assert read(archive, columns=OWN, catalogue="pages.csv") == (
        [(1, 4, None, 30), (2, 2, None, 10), (1, 1, None, 20)],
        [
            (1, "/b", "Start", None),
            (2, "/a", "News", None),
            (3, "/c", "News", None),
            (4, "/new", "/new", None),
        ],
    )
    make_zip(
        archive,
        {
            "access.csv": "at,page,visitor\n30,8,5\n10,2,6\n",
            "movies.csv": "movieId,genres\n2,News|Sport\n1,\n",
        },
    )
    assert read(archive, columns=OWN) == (
        [(1, 3, None, 30), (2, 1, None, 10)],
        [(1, "2", "2", "News|Sport"), (2, "1", "1", None), (3, "8", "8", None)],
    )


def test_the_catalogue_s_columns_have_names_of_their_own(archive: Path) -> None:
    log = "at,page,visitor\n30,/b,5\n10,/a,6\n"
    pages = "path;name;tags;since;note\n/a;News;x, y;2001;1\n/b;;;1999-05-01;2\n/c;Old (1987);z;soon;3\n"
    make_zip(archive, {"access.csv": log, "pages.csv": pages})
    roles = {"item": "path", "title": "name", "genres": "tags", "year": "since"}
    with RequestLog(
        archive,
        parse(
            LogSettings,
            {
                "columns": OWN,
                "catalogue": "pages.csv",
                "catalogue_columns": roles,
                "genres_separator": ",",
            },
        ),
    ) as found:
        rows = [tuple(row.values()) for row in found.catalogue().to_pylist()]
    assert rows == [
        (1, "/a", "News", "x|y", 2001),
        (2, "/b", "/b", None, 1999),
        (3, "/c", "Old (1987)", "z", None),
    ]
    for column, reason in (
        ({}, r"lacks the column 'page' \(columns\.item; its header is 'path,name,.*catalogue_columns"),
        ({"item": "id"}, "lacks the column 'id' .its header is 'path,name"),
    ):
        with pytest.raises(Fault, match=f"pages.csv: {reason}"):
            read(archive, columns=OWN, catalogue="pages.csv", catalogue_columns=column)


def test_requests_may_be_named(archive: Path) -> None:
    log = "at,page,visitor\n30,1,5\n"
    make_zip(archive, {"d/log_1.csv": log, "d/log_2.csv": log, "other.csv": "x"})
    assert len(read(archive, columns=OWN, requests="log_*.csv")[0]) == 2
    assert len(read(archive, columns=OWN, requests="d/log_2.csv")[0]) == 1
    with pytest.raises(Fault, match=r"log_1\.csv, d/log_2\.csv, other\.csv.*`requests:`"):
        read(archive, columns=OWN)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"user": "a", "item": "b"}, "must name the columns of item and time"),
        ({**OWN, "rating": "at"}, "one column twice"),
        ({**OWN, "rating": "score"}, r"access\.csv: lacks the column 'score'"),
    ],
)
def test_columns_must_be_there(archive: Path, columns: dict[str, str], reason: str) -> None:
    make_zip(archive, {"access.csv": "at,page,visitor\n30,1,5\n"})
    with pytest.raises(Fault, match=reason):
        read(archive, columns=columns)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("30,,5", "line 3: item '' is missing"),
        ("30, ,5", "line 3: item ' ' is missing"),
        ("x,1,5", "line 3: time 'x' is not as the log's other times, whole seconds since 1970 (UTC)"),
        (",1,5", "line 3: time '' is missing"),
        ("30,1", "line 3: has 2 fields, not 3"),
    ],
)
def test_rows_of_another_log_must_be_whole(archive: Path, row: str, reason: str) -> None:
    for page in "1", "/a":
        make_zip(archive, {"access.csv": f"at,page,visitor\n30,{page},5\n{row}\n"})
        with pytest.raises(Fault, match=re.escape(reason)):
            read(archive, columns=OWN)


def test_an_infinite_rating_is_refused(archive: Path) -> None:
    for value in "inf", "nan", "1e99", "high":
        make_zip(archive, {"access.csv": f"at,page,visitor,score\n30,1,5,{value}\n"})
        with pytest.raises(Fault, match=f"line 2: rating '{value}' must be a finite number"):
            read(archive, columns={**OWN, "rating": "score"})


def test_texts_must_be_utf8(archive: Path) -> None:
    make_zip(archive, {"access.csv": "at,page,visitor\n30,/é,5\n".encode("latin-1")})
    with pytest.raises(Fault, match=r"access.csv: line 2: item .* is not UTF-8"):
        read(archive, columns=OWN)


# What is wrong with the zip


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\n <!DOCTYPE html><html>404 Not Found</html>", "web page .*404 Not Found"),
        (b"PK\x03\x04 and no more", "damaged zip, or only its beginning"),
        (b"\x1f\x8b\x08junk", "is no zip"),
    ],
)
def test_is_no_zip(archive: Path, data: bytes | None, reason: str) -> None:
    if data is not None:
        archive.write_bytes(data)
    with pytest.raises(Fault, match=reason):
        RequestLog(archive)


def test_is_cut_short_or_altered(archive: Path) -> None:
    whole = movielens(archive).read_bytes()
    for length in range(0, len(whole), 7):
        archive.write_bytes(whole[:length])
        with pytest.raises(Fault):
            read(archive)
    # Any byte may be wrong: the result is right or a fault, and nothing else.
    for place in range(len(whole)):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert read(archive)[0] == ROWS
        except Fault as fault:
            assert str(archive) in str(fault)


def test_a_bad_checksum_is_a_fault(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr("ratings.csv", RATINGS)
        file.writestr("movies.csv", MOVIES)
    archive.write_bytes(archive.read_bytes().replace(b"2.5,", b"3.5,"))
    with pytest.raises(Fault, match=r"ratings\.csv: is damaged \(Bad CRC-32"):
        read(archive)


def test_a_bad_checksum_of_a_deflated_member_is_a_fault(archive: Path) -> None:
    # At level 0 deflate keeps the bytes as they are, so that one may be changed.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as file:
        file.writestr("ratings.csv", RATINGS)
        file.writestr("movies.csv", MOVIES)
    assert read(archive)[0] == ROWS
    archive.write_bytes(archive.read_bytes().replace(b"2.5,", b"3.5,"))
    with pytest.raises(Fault, match=r"ratings\.csv: is damaged \(.*checksum"):
        read(archive)


def test_a_line_that_never_ends_is_told_before_it_fills_the_memory(archive: Path) -> None:
    # 60 MB, which a zip holds in 60 kB.
    movielens(archive, ratings=b"userId,movieId,rating,timestamp\n" + b"1" * 60_000_000)
    tracemalloc.start()
    with pytest.raises(Fault, match=r"ratings\.csv: has no ends of lines"):
        read(archive)
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()


def test_the_largest_id_of_the_catalogue_is_the_largest_int32(archive: Path) -> None:
    heading = "movieId,title,genres\n"
    movielens(archive, movies=f"{heading}2147483647,Last (1999),Drama\n31,A (1995),Drama\n")
    assert read(archive)[1][0][:3] == (2147483647, "2147483647", "Last (1999)")
    movielens(archive, movies=f"{heading}2147483648,Last (1999),Drama\n31,A (1995),Drama\n")
    with pytest.raises(Fault, match=r"line 2: movie '2147483648'"):
        read(archive)


def set_in_zip(path: Path, local: int, central: int, value: bytes) -> None:
    """Change a field of every member's two headers."""
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(signature)
        while at >= 0:
            data[at + place : at + place + len(value)] = value
            at = data.find(signature, at + 4)
    path.write_bytes(data)


def test_is_encrypted(archive: Path) -> None:
    set_in_zip(movielens(archive), 6, 8, b"\x01")
    with pytest.raises(Fault, match="is encrypted"):
        read(archive)


def test_is_compressed_in_an_unknown_way(archive: Path) -> None:
    set_in_zip(movielens(archive), 8, 10, b"\x61")
    with pytest.raises(Fault, match="compression method is not supported"):
        read(archive)


@pytest.mark.parametrize(
    ("members", "form", "reason"),
    [
        ({"ml/movies.csv": MOVIES}, "csv", r"lacks ratings\.csv \(it holds ml/movies\.csv\)"),
        ({"ratings.csv": RATINGS}, "csv", r"lacks movies\.csv"),
        ({"ratings.csv": RATINGS, "movies.csv": MOVIES}, "dat", r"lacks movies\.dat"),
        ({"u.data": "", "u.item": "1|a||||0\n"}, "tab", r"lacks u\.genre"),
        ({}, "csv", "it holds no file"),
        (
            {"a/ratings.csv": RATINGS, "b/ratings.csv": RATINGS, "movies.csv": MOVIES},
            "csv",
            r"more than once \(a/ratings\.csv, b/ratings\.csv\)",
        ),
    ],
)
def test_members_are_missing(
    archive: Path, members: dict[str, str | bytes], form: str, reason: str
) -> None:
    make_zip(archive, members)
    with pytest.raises(Fault, match=reason):
        read(archive, form)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_is_there_twice(archive: Path) -> None:
    movielens(archive)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("ml/ratings.csv", RATINGS)
    with pytest.raises(Fault, match="more than once"):
        read(archive)


# What is wrong with the tables


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ("", r"ml/ratings\.csv: is empty"),
        (RATINGS.splitlines()[0], r"ml/ratings\.csv: has no row below its header"),
        (RATINGS.replace("movieId", "movie"), "lacks the column 'movieId'.*userId,movie,rating"),
        (RATINGS.replace("rating,", "userId,"), "has two columns 'userId'"),
        ("1,31,2.5,1260759144\n", "lacks the column 'userId'"),
        (RATINGS.replace("\n", "\r"), "lacks the column 'timestamp'"),
    ],
)
def test_headers_are_wrong(archive: Path, ratings: str | bytes, reason: str) -> None:
    with pytest.raises(Fault, match=reason):
        read(movielens(archive, ratings))


ID_RULE = "must be a whole number from 0 to 2147483647"
TIME_RULE = "must be whole seconds since 1970 (UTC), before the year 2200"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,10,3.0", "has 3 fields, not 4"),
        ("1,10,3.0,1260759179,9", "has 5 fields, not 4"),
        ("1", "has 1 fields, not 4"),
        ('"1,10,3.0,1260759179', "has 1 fields, not 4"),
        ("x,10,3.0,1260759179", f"userId 'x' {ID_RULE}"),
        (",10,3.0,1260759179", "userId '' is missing"),
        ("-1,10,3.0,1260759179", f"userId '-1' {ID_RULE}"),
        ("1,2147483648,3.0,1260759179", f"movieId '2147483648' {ID_RULE}"),
        ("1,0x1f,3.0,1260759179", f"movieId '0x1f' {ID_RULE}"),
        ("1,10.0,3.0,1260759179", f"movieId '10.0' {ID_RULE}"),
        ("1,NA,3.0,1260759179", f"movieId 'NA' {ID_RULE}"),
        ("1,10,,1260759179", "rating '' is missing"),
        ("1,10,0.0,1260759179", "rating '0.0' must be a number from 0.5 to 5"),
        ("1,10,5.5,1260759179", "rating '5.5' must be a number from 0.5 to 5"),
        ("1,10,nan,1260759179", "rating 'nan' must be a number from 0.5 to 5"),
        ("1,10,1.2.3,1260759179", "rating '1.2.3' must be a number from 0.5 to 5"),
        ("1,10,3.0,", "timestamp '' is missing"),
        ("1,10,3.0,-5", f"timestamp '-5' {TIME_RULE}"),
        ("1,10,3.0,1260759179.5", f"timestamp '1260759179.5' {TIME_RULE}"),
        ("1,10,3.0,7258118400", f"timestamp '7258118400' {TIME_RULE}"),
        ("1,10,3.0,99999999999999999999", f"timestamp '99999999999999999999' {TIME_RULE}"),
        (
            "1,10,3.0,1260759179000",
            f"timestamp '1260759179000' {TIME_RULE}; it looks like milliseconds: divide by 1000",
        ),
        ("1,10,3.0,2009-12-14", f"timestamp '2009-12-14' {TIME_RULE}"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 50, 1 << 20])
def test_rows_are_wrong(archive: Path, row: str, reason: str, block_bytes: int) -> None:
    ratings = RATINGS.replace("1,10,3.0,1260759179", row)
    with pytest.raises(Fault, match=re.escape(f"{archive}: ml/ratings.csv: line 3: {reason}")):
        read(movielens(archive, ratings), block_bytes=block_bytes)


def test_largest_values_are_right(archive: Path) -> None:
    row = "2147483647,2147483647,5.0,7258118399\n0,0,0.5,0\n"
    requests, _ = read(movielens(archive, RATINGS.splitlines(keepends=True)[0] + row))
    assert requests == [(2147483647, 2147483647, 5.0, 7258118399), (0, 0, 0.5, 0)]


def test_the_line_is_of_the_part_with_blank_lines_counted(archive: Path) -> None:
    header, *rows = RATINGS.splitlines(keepends=True)
    make_zip(
        archive,
        {
            "ratings1.csv": RATINGS,
            "ratings2.csv": header + "\n\n" + rows[0] + "\n" + "bad\n",
            "movies.csv": MOVIES,
        },
    )
    for block_bytes in (1, 1 << 20):
        with pytest.raises(Fault, match=r"ratings2\.csv: line 6: has 1 fields"):
            read(archive, block_bytes=block_bytes)


def test_rows_of_other_forms_are_wrong(archive: Path) -> None:
    make_zip(archive, {"ratings.dat": "1::1::5::9\n1::2::x::9\n", "movies.dat": "1::A (1990)::Drama\n"})
    with pytest.raises(Fault, match=r"ratings\.dat: line 2: rating 'x' must be"):
        read(archive, "dat")
    make_zip(archive, {"ratings.dat": "1::1::5::9\n", "movies.dat": "1::A (1990)::Drama\n2::B\n"})
    with pytest.raises(Fault, match=r"movies\.dat: line 2: '2::B' is not id::title::genres"):
        read(archive, "dat")
    with pytest.raises(Fault, match=r"u\.data: line 1: has 3 fields, not 4"):
        read(tab_zip(archive, "1\t2\t3\n"), "tab")
    with pytest.raises(Fault, match=r"u\.item: line 1: has 8 fields, not 7"):
        read(tab_zip(archive, names=2), "tab")


@pytest.mark.parametrize(
    ("movies", "reason"),
    [
        ("", r"lacks the column 'movieId' \(its header is ''\)"),
        (MOVIES.splitlines()[0], "has no movie below its header"),
        (MOVIES.replace("title", "name"), "lacks the column 'title'"),
        (MOVIES + "5,A, B (1990),Drama\n", "line 4: has 4 fields, the header 3: quote a title"),
        (MOVIES + "x,A (1990),Drama\n", f"line 4: movie 'x' {ID_RULE}"),
        (MOVIES + ",A (1990),Drama\n", f"line 4: movie '' {ID_RULE}"),
        (MOVIES + "10,A (1990),Drama\n", "line 4: movie '10' is there already, on line 2"),
        (MOVIES + '5,"A (1990),Drama\n', "line 4: unexpected end of data"),
        (
            (MOVIES + "5,é (1990),Drama\n").encode("latin-1"),
            r"line 4: '5,\\udce9 \(1990\),Drama' is not UTF-8",
        ),
    ],
)
def test_movies_are_wrong(archive: Path, movies: str | bytes, reason: str) -> None:
    reason = reason if "\\" in reason else re.escape(reason)
    with pytest.raises(Fault, match="ml/movies.csv: " + reason):
        read(movielens(archive, movies=movies))


# Working ahead


def test_ahead_keeps_order_raises_and_stops() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i
        raise ValueError("at the end")

    got = []
    with pytest.raises(ValueError, match="at the end"):
        for i in prefetch(items()):
            got.append(i)
    assert got == list(range(1000))

    made.clear()
    some = prefetch(items(), depth=3)
    assert next(some) == 0
    assert isinstance(some, Generator)
    some.close()
    assert len(made) <= 5


# Gzip, and what unpacks to too much


@pytest.mark.parametrize("block_bytes", [1, 40, 1 << 20])
def test_reads_gzipped_members(archive: Path, block_bytes: int) -> None:
    # Two gzip streams one after the other are one file, too.
    packed = gzip.compress(RATINGS[:50].encode()) + gzip.compress(RATINGS[50:].encode())
    make_zip(archive, {"ml/ratings.csv.gz": packed, "ml/movies.csv.gz": gzip.compress(MOVIES.encode())})
    assert read(archive, block_bytes=block_bytes) == read(movielens(archive.with_name("plain.zip")))
    make_zip(archive, {"access.csv.gz": gzip.compress(b"at,page,visitor\n30,1,5\n")})
    assert read(archive, columns=OWN)[0] == [(1, 1, None, 30)]


def test_gzipped_members_may_be_wrong(archive: Path) -> None:
    packed = gzip.compress(RATINGS.encode(), mtime=0)
    for data in (packed[:-1], packed[:30], b"no gzip", packed.replace(packed[-8:-4], b"abcd"), b""):
        make_zip(archive, {"ratings.csv.gz": data, "movies.csv": MOVIES})
        with pytest.raises(Fault, match=r"ratings\.csv\.gz: is (damaged|empty)"):
            read(archive)
    make_zip(archive, {"ratings.csv": RATINGS, "ratings.csv.gz": packed, "movies.csv": MOVIES})
    with pytest.raises(Fault, match="more than once"):
        read(archive)


BOMB = "9" * 100 + "\n"


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
@pytest.mark.parametrize("kind", ["declared", "real"])
def test_a_zip_bomb_is_refused_before_it_unpacks(
    archive: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.setattr("popularity.log.formats.csv.BLOCK_BYTES", 100_000)
    bomb = RATINGS.splitlines(keepends=True)[0] + BOMB * 100_000
    members: dict[str, str | bytes] = {"ratings.csv": RATINGS, "movies.csv": MOVIES, name: bomb}
    if kind == "real":
        # The zip tells the size of what is gzipped.
        del members[name]
        members[f"{name}.gz"] = gzip.compress(bomb.encode())
    make_zip(archive, members)
    assert archive.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(Fault, match=r"unpacks to more than 0\.001 GB.*`data: max_unpacked_gb`"):
        read(archive, max_bytes=1e6, block_bytes=100_000)
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


def test_more_than_a_member_says_is_a_fault(archive: Path) -> None:
    bomb = RATINGS + "1,31,2.5,1260759144\n" * 10_000
    set_in_zip(movielens(archive, bomb), 22, 24, len(MOVIES).to_bytes(4, "little"))
    with pytest.raises(Fault, match=r"ratings\.csv: is damaged"):
        read(archive, max_bytes=2000, block_bytes=1000)


def test_a_catalogue_has_a_size(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("popularity.log.formats.csv.LARGEST_CATALOGUE", 10)
    with pytest.raises(Fault, match=r"movies\.csv: is larger than .* it is no catalogue"):
        read(movielens(archive))
