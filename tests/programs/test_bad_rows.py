"""Rows that cannot be used: told in one line, or left out and listed; and what a reader is thrown at."""

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gather_shards
import join_ratings
from popularity.log import roles
from popularity.log.formats.base import File
from popularity.log.formats.csv import Delimited
from popularity.log.pieces import Layout, Piece, TextPiece, Wanted
from popularity.log.rejects import Rejects
from popularity.log.request_log import Plan, RequestLog, judge, read
from popularity.log.times import numbered
from popularity.program import Fault
from popularity.settings.datasets import LogSettings
from popularity.settings.fields import parse
from workdir import SMALL, copy_workflow, snakemake

SCRIPT = Path(join_ratings.__file__)
HEADER = "userId,movieId,rating,timestamp\n"
MOVIES = "movieId,title,genres\n10,GoldenEye (1995),Action\n31,Dangerous Minds (1995),Drama\n"
GOOD = ["1,31,2.5,1260759144", "1,10,3.0,1260759179", "7,31,4.0,851868750", "8,99,0.5,0"]
BAD = ["1,10,9,1260759179", "x,10,3.0,1260759179", "1,10", "1,10,3,1260759179000", "", "1,10,3,2009-12-14"]


def make_zip(path: Path, ratings: str | bytes, movies: str | bytes = MOVIES) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("ml/ratings.csv", ratings)
        file.writestr("ml/movies.csv", movies)
    return path


def mixed(times: int) -> list[str]:
    """Good rows and a few bad ones, of which one is a blank line and so no row at all."""
    return [*GOOD * times, *BAD[:3], *GOOD * times, *BAD[3:], *GOOD]


def joined(archive: Path, folder: Path, policy: str = "drop", **options: Any) -> tuple[bytes, str, int]:
    """The joined table's bytes, what was rejected, and the number of ratings."""
    listed = io.StringIO(newline="")
    paths = folder / "joined.parquet", folder / "movies.parquet"
    with RequestLog(archive, rejects=Rejects(policy, listed)) as log:
        rows = join_ratings.join_ratings(log, *paths, **options)
    return paths[0].read_bytes(), listed.getvalue(), rows


def program(archive: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    outputs = {"joined": "joined.parquet", "movies": "movies.parquet", "rejected": "rejected.csv"}
    paths = [word for option, name in outputs.items() for word in (f"--{option}", out / name)]
    words = [sys.executable, SCRIPT, "--archive", archive, *paths, *options]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=60)


# The policy


def test_an_error_names_the_first_rows_and_counts_the_rest(tmp_path: Path) -> None:
    rows = [*GOOD, *BAD[:4], *BAD[5:], *BAD[:1] * 3000]
    done = program(make_zip(tmp_path / "log.zip", HEADER + "\n".join(rows)), tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path}/log.zip: ml/ratings.csv: line 6: rating '9' must be a number from 0.5 to 5; "
        "line 7: userId 'x' must be a whole number from 0 to 2147483647; line 8: has 2 fields, not 4; "
        "line 9: timestamp '1260759179000' must be whole seconds since 1970 (UTC), before the year 2200; "
        "it looks like milliseconds: divide by 1000; line 10: timestamp '2009-12-14' must be whole seconds "
        "since 1970 (UTC), before the year 2200; and 3000 more bad rows: correct the file, or leave bad "
        "rows out with `data: on_bad_rows: drop`\n"
    )
    assert not list(tmp_path.glob("out/*"))


def test_dropped_rows_are_listed_and_the_rest_is_as_if_they_had_never_been(tmp_path: Path) -> None:
    dirty = make_zip(
        tmp_path / "dirty.zip", "\ufeff" + HEADER + "\n".join(mixed(300)), MOVIES + "31,X,\nx,Y,\n"
    )
    done = program(dirty, tmp_path / "out", "--on-bad-rows", "drop")
    assert done.returncode == 0, done.stderr
    assert (
        "7 bad rows left out: ml/movies.csv: line 4: movie '31' is there already, on line 3; "
        in done.stderr
    )
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        found = [(r["file"], int(r["line"]), r["row"], r["reason"]) for r in csv.DictReader(file)]
    lines = [*range(1202, 1205), 2405, 2407]
    assert [row[:3] for row in found] == [
        ("ml/movies.csv", 4, "31,X,"),
        ("ml/movies.csv", 5, "x,Y,"),
        *(("ml/ratings.csv", n, row) for n, row in zip(lines, [*BAD[:4], BAD[5]], strict=True)),
    ]
    assert found[4][3] == "has 2 fields, not 4"

    clean = make_zip(tmp_path / "clean.zip", HEADER + "\n".join(row for row in mixed(300) if row in GOOD))
    expected, listed, rows = joined(clean, tmp_path)
    assert (tmp_path / "out" / "joined.parquet").read_bytes() == expected
    assert (listed, rows) == ("file,line,reason,row\n", 2404)


@pytest.mark.parametrize("policy", ["error", "drop"])
def test_a_clean_log_has_an_empty_list(tmp_path: Path, policy: str) -> None:
    archive = make_zip(tmp_path / "log.zip", HEADER + "\n".join(GOOD))
    assert program(archive, tmp_path, "--on-bad-rows", policy).returncode == 0
    assert (tmp_path / "rejected.csv").read_text() == "file,line,reason,row\n"


def test_shards_and_blocks_change_nothing(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "log.zip", HEADER + "\n".join(mixed(40)), MOVIES + "31,X,\n")
    whole = joined(archive, tmp_path)
    assert whole[1].count("\n") == 7
    for block_bytes in (1, 200, 2_000):
        assert joined(archive, tmp_path, block_bytes=block_bytes) == whole
        parts = [joined(archive, tmp_path, block_bytes=block_bytes, shard=(i, 3))[1:] for i in range(3)]
        header = "file,line,reason,row\n"
        assert header + "".join(listed.removeprefix(header) for listed, _ in parts) == whole[1]
        assert sum(rows for _, rows in parts) == whole[2]


@pytest.mark.parametrize("shards", [2, 3, 5])
def test_shards_have_about_as_many_rows_each(tmp_path: Path, shards: int) -> None:
    archive = make_zip(tmp_path / "log.zip", HEADER + "\n".join(GOOD * 400))
    rows = [joined(archive, tmp_path, block_bytes=300, shard=(i, shards))[2] for i in range(shards)]
    assert sum(rows) == len(GOOD) * 400
    # Of whole blocks, each of a dozen rows.
    assert max(rows) - min(rows) < 40


def test_nothing_left_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "log.zip", HEADER + "\n".join(BAD))
    done = program(archive, tmp_path / "out", "--on-bad-rows", "drop")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{archive}: no row can be used: ml/ratings.csv: line 2: rating '9' must be" in done.stderr
    # Nobody is told to drop all there is.
    done = program(archive, tmp_path / "out")
    assert f"{archive}: no row can be used: ml/ratings.csv: line 2: rating '9' must be" in done.stderr
    assert "drop" not in done.stderr
    parts = [tmp_path / f"{i}.parquet" for i in range(2)]
    for i, part in enumerate(parts):
        with RequestLog(archive, rejects=Rejects("drop")) as log:
            join_ratings.join_ratings(log, part, tmp_path / "movies.parquet", block_bytes=40, shard=(i, 2))
    monkeypatch.setattr(
        sys, "argv", ["x", "--shards", *map(str, parts), "--kind", "joined", "--table", str(tmp_path / "t")]
    )
    with pytest.raises(
        Fault, match=r"0\.parquet and the other parts have no rows; those of rejected\.csv say"
    ):
        gather_shards.main()
    archive = make_zip(tmp_path / "log.zip", HEADER + GOOD[0], "movieId,title,genres\nx,A,B\n")
    done = program(archive, tmp_path / "out", "--on-bad-rows", "drop")
    assert "ml/movies.csv: line 2: movie 'x' must be a whole number" in done.stderr
    assert not list(tmp_path.glob("out/*"))


def test_what_is_no_bad_row(tmp_path: Path) -> None:
    # Requests all of them: twice the same row, a movie twice by one user, an unknown movie, and any order.
    rows = ["1,31,2.5,100", "1,31,2.5,100", "1,31,4.0,99", "1,5,4.0,98"]
    _, listed, number = joined(make_zip(tmp_path / "log.zip", HEADER + "\n".join(rows)), tmp_path)
    assert (listed.count("\n"), number) == (1, 4)
    table = pa.parquet.read_table(tmp_path / "joined.parquet")
    assert table["timestamp"].to_pylist() == [100, 100, 99, 98]
    assert table["releaseDate"].to_pylist() == [1995, 1995, 1995, None]


def test_latin_1_bytes_are_told_by_line(tmp_path: Path) -> None:
    movies = (MOVIES + "5,Amélie (2001),Comedy\n6,Heat (1995),Action\n").encode("latin-1")
    archive = make_zip(tmp_path / "log.zip", HEADER + GOOD[0], movies)
    with pytest.raises(Fault, match=r"movies\.csv: line 4: .* is not UTF-8: save the file as UTF-8"):
        joined(archive, tmp_path, "error")
    assert joined(archive, tmp_path)[1].splitlines()[1:] == [
        r"""ml/movies.csv,4,"'5,Am\udce9lie (2001),Comedy' is not UTF-8: save the file as UTF-8, """
        """or name its `encoding`","""
        r'''"5,Am\xe9lie (2001),Comedy"'''
    ]
    ids = pa.parquet.read_table(tmp_path / "movies.parquet")["movieId"].to_pylist()
    assert ids == [10, 31, 6]


def test_a_quote_or_an_end_of_line_within_a_row_is_told_whatever_the_block(tmp_path: Path) -> None:
    header = "note," + HEADER
    rows = [
        '"a, ""b""",1,31,2.5,9',
        '"two,1,31,2.5,9',
        'lines",1,31,2.5,9',
        "a,1,31,\r2.5,9",
        "a,1,31,2.5,9\r\r",
    ]
    archive = make_zip(tmp_path / "log.zip", header + "\n".join(rows))
    for block_bytes in (1, 30, 1 << 20):
        _, listed, number = joined(archive, tmp_path, block_bytes=block_bytes)
        reasons = [(row["line"], row["reason"]) for row in csv.DictReader(io.StringIO(listed, newline=""))]
        # The third row is whole by itself: only the one before it is open.
        assert reasons == [
            ("3", "has 1 fields, not 5"),
            ("5", "has an end of line (CR) within it"),
        ]
        assert number == 3


def test_numbers_that_python_does_not_read_are_numbers_or_none(tmp_path: Path) -> None:
    zeros = "0" * 5000
    rows = [
        f"{zeros}1,{zeros}31,2.5,{zeros}9",
        f"1,{'9' * 5000},2.5,9",
        "\u00b2,31,2.5,9",
        "1,31,2.5,\u0663",
    ]
    archive = make_zip(tmp_path / "log.zip", HEADER + "\n".join(rows), MOVIES + f"{zeros}32,X,\n")
    with zipfile.ZipFile(archive, "a") as file:
        for name in ("\u00b2", "\u0663", "1" * 5000, "\u00b2/\u00b2.csv"):
            file.writestr(name, "")
    done = program(archive, tmp_path / "out", "--on-bad-rows", "drop")
    assert done.returncode == 0, done.stderr
    joined_table = pa.parquet.read_table(tmp_path / "out" / "joined.parquet")
    assert joined_table.select(["userId", "movieId", "timestamp"]).to_pylist() == [
        {"userId": 1, "movieId": 31, "timestamp": 9}
    ]
    assert pa.parquet.read_table(tmp_path / "out" / "movies.parquet")["movieId"].to_pylist() == [10, 31, 32]


@pytest.mark.parametrize("parts", [("2", "10"), ("02", "10"), ("9" * 30, "1" + "0" * 5000)])
def test_parts_of_a_log_are_read_by_their_numbers(tmp_path: Path, parts: tuple[str, str]) -> None:
    columns = {"user": "userId", "item": "movieId", "time": "timestamp"}
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as file:
        for part in reversed(parts):
            file.writestr(f"\u00b2/part-{part}.csv", f"{HEADER}1,{len(part)},1,9\n")
    how = json.dumps({"columns": columns, "requests": "part-*.csv"})
    done = program(tmp_path / "log.zip", tmp_path / "out", "--log", how)
    assert done.returncode == 0, done.stderr
    items = pa.parquet.read_table(tmp_path / "out" / "movies.parquet")["item"].to_pylist()
    assert items == [str(length) for length in dict.fromkeys(map(len, parts))]


def test_shards_drop_the_same_rows_and_the_report_says_how_many(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "own.zip", HEADER + "\n".join(mixed(40)), MOVIES + "31,X,\n")
    data = {"shards": 2, "on_bad_rows": "drop"}
    settings_ = {**SMALL, "dataset": "own", "data": data, "datasets": {"own": {"url": str(archive)}}}
    folder = copy_workflow(tmp_path / "work", settings_)
    targets = [f"results/own/{name}" for name in ("joined.parquet", "movies.parquet", "rejected.csv")]
    ended = snakemake(folder, *targets)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table, listed, _ = joined(archive, tmp_path)
    assert (folder / targets[0]).read_bytes() == table
    assert (folder / targets[2]).read_text() == listed
    logs = [path.read_text() for path in sorted(folder.glob("results/own/logs/join_shard/*.log"))]
    assert [re.search(r"(\d+) bad rows left out", log) is not None for log in logs] == [True, False]
    # What the whole report begins with.
    (folder / "results/own/front_page.rst").write_text("Front page")
    ended = snakemake(folder, "--report", "report.html", "--", targets[2])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Rows left out: 6" in (folder / "report.html").read_text()


# Thrown at the reader

WORDS = "1 31 2.5 5 1260759144 , :: - + . e x 0x1f nan inf 1e3 2147483647 2147483648 007 1_0 NA é ٣"
SIGNS = ["", " ", "\t", "\r", '"', "\x00", "\x0b", "\x1c", "\u00a0", "\ufeff", "9" * 20, "9" * 5000]
ATOMS = st.one_of(
    st.sampled_from(WORDS.split(" ") + SIGNS), st.characters(max_codepoint=0x2FF, codec="utf-8")
)
FIELDS = st.lists(ATOMS, max_size=3).map("".join)
LINES = st.one_of(
    st.lists(FIELDS, min_size=3, max_size=5).map(",".join),
    st.tuples(FIELDS, st.just("2"), st.just("3"), st.just("9")).map(",".join),
    st.tuples(st.just("2"), FIELDS, FIELDS, st.just("9")).map(",".join),
    st.tuples(st.just("2"), st.just("2"), st.just("3"), FIELDS).map(",".join),
    st.sampled_from(GOOD + BAD),
).map(lambda text: text.replace("\n", ""))


class Lines(File):
    """A file of one layout, of which just the names of the columns are asked for."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.names = layout, layout.names

    def pieces(self) -> Iterator[Piece]:
        raise NotImplementedError

    def lines_before(self, piece: Piece) -> int:
        raise NotImplementedError


def plan(separator: str, strict: bool) -> Plan:
    """How a log's four columns are read."""
    columns = ["user", "item", "rating", "time"]
    seconds = roles.Time(numbered("seconds", strict=True), None)
    found = roles.movielens() if strict else roles.of_log(columns, seconds)
    wanted = {name: Wanted(at, found[name].type, found[name].patterns) for at, name in enumerate(columns)}
    return Plan(Lines(Delimited(columns, separator, strict=strict)), [], found, wanted, [])


PLANS = {
    "movielens": plan(",", True),
    "another log": plan(",", False),
    "dat": plan("::", True),
    "tab": plan("\t", True),
}
SEPARATORS = {"dat": "::", "tab": "\t"}


def verdict(kind: str, text: str) -> str | None:
    """Why a line is bad; None if it is good, or blank."""
    how = PLANS[kind]
    assert isinstance(how.file, Lines)
    for row, _ in TextPiece(how.file.layout, text.encode("utf-8", "surrogateescape") + b"\n").rows():
        return row.reason or judge(how, row)
    return None


@pytest.mark.parametrize("kind", PLANS)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(line=LINES)
def test_a_row_has_a_reason_just_if_it_does_not_parse(kind: str, line: str) -> None:
    text, how = line.replace(",", SEPARATORS.get(kind, ",")), PLANS[kind]
    assert isinstance(how.file, Lines)
    try:
        parsed = bool(read(how, TextPiece(how.file.layout, text.encode() + b"\n")))
    except pa.ArrowInvalid:
        parsed = False
    assert (verdict(kind, text) is None) == parsed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("thrown")


@settings(max_examples=60, deadline=None, derandomize=True)
@example(lines=[GOOD[0], "9" * 5000, "", ""], block_bytes=2)
@given(lines=st.lists(LINES, min_size=1, max_size=30), block_bytes=st.integers(1, 200))
def test_good_rows_are_read_and_bad_ones_listed(folder: Path, lines: list[str], block_bytes: int) -> None:
    archive = folder / "log.zip"
    verdicts = [verdict("movielens", line) for line in lines]
    make_zip(archive, HEADER + "\n".join(lines))
    bad = [(str(n), reason) for n, reason in enumerate(verdicts, 2) if reason]
    good = [x for x, reason in zip(lines, verdicts, strict=True) if reason is None and x.strip("\r")]
    if not good:
        with pytest.raises(Fault):
            joined(archive, folder, block_bytes=block_bytes)
        return
    _, listed, rows = joined(archive, folder, block_bytes=block_bytes)
    listed_rows = list(csv.DictReader(io.StringIO(listed, newline="")))
    assert [(row["line"], row["reason"]) for row in listed_rows] == bad
    assert rows == len(good)
    if bad:
        with pytest.raises(Fault, match=f"line {bad[0][0]}: "):
            joined(archive, folder, "error", block_bytes=block_bytes)


BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(st.binary(max_size=8), LINES.map(str.encode)), max_size=8).map(b"\n".join),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    ratings=st.tuples(st.sampled_from([b"", HEADER.encode()]), BYTES).map(b"".join),
    movies=st.tuples(st.sampled_from([b"", MOVIES.encode()]), BYTES).map(b"".join),
    form=st.sampled_from(["csv", "dat", "tab", "own"]),
    policy=st.sampled_from(["error", "drop"]),
)
def test_whatever_the_members_hold_is_read_or_a_fault(
    folder: Path, ratings: bytes, movies: bytes, form: str, policy: str
) -> None:
    names = {"dat": ("ratings.dat", "movies.dat"), "tab": ("u.data", "u.item")}
    requests, catalogue = names.get(form, ("ratings.csv", "movies.csv"))
    archive, paths = folder / "any.zip", (folder / "joined.parquet", folder / "movies.parquet")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(requests, ratings)
        file.writestr(catalogue, movies)
        file.writestr("u.genre", "unknown|0\nAction|1\n")
    columns = {"user": "userId", "item": "movieId", "time": "timestamp"}
    how = (
        parse(LogSettings, {"columns": columns}) if form == "own" else parse(LogSettings, {"format": form})
    )
    try:
        with RequestLog(archive, how, rejects=Rejects(policy)) as log:
            join_ratings.join_ratings(log, *paths, block_bytes=50)
    except Fault as fault:
        assert str(archive) in str(fault)
