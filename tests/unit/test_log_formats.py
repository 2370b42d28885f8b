"""Logs of every form: the same requests give the same tables, and what is wrong is one line."""

import gzip
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import join_ratings
import write_front_page
from popularity.log.facts import Facts
from popularity.log.formats import csv as csv_format
from popularity.log.formats.oracle_general import REQUEST
from popularity.log.rejects import Rejects
from popularity.log.request_log import RequestLog
from popularity.program import Fault
from popularity.settings.datasets import LogSettings
from popularity.settings.fields import parse
from popularity.wording import Wording

COLUMNS = {"user": "who", "item": "what", "rating": "stars", "time": "when"}

#: A request: user (or none), item, rating (or none), time.
Request = tuple[str | None, str, float | None, int]


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tables(
    folder: Path,
    members: Mapping[str, str | bytes],
    block_bytes: int = 1 << 21,
    policy: str = "error",
    **how: Any,
) -> tuple[bytes, bytes, Facts, str]:
    """The bytes of the joined table and of the items, what was read, and what was dropped."""
    archive = zipped(folder / "log.zip", members)
    listed = io.StringIO(newline="")
    paths = folder / "joined.parquet", folder / "movies.parquet"
    with RequestLog(archive, parse(LogSettings, how), Rejects(policy, listed)) as log:
        join_ratings.join_ratings(log, *paths, block_bytes=block_bytes, timezone=how.get("timezone"))
        return paths[0].read_bytes(), paths[1].read_bytes(), log.facts, listed.getvalue()


def times(folder: Path, texts: list[str], **how: Any) -> tuple[list[int], str]:
    """The times (s, UTC) that texts are read as, and what they were taken for."""
    log = "when;what\n" + "".join(f"{text};a\n" for text in texts)
    tables(folder, {"log.csv": log}, columns={"item": "what", "time": "when"}, **how)[2]
    with RequestLog(
        folder / "log.zip", parse(LogSettings, {"columns": {"item": "what", "time": "when"}, **how})
    ) as found:
        return [
            time for batch in found.requests() for time in batch["timestamp"].to_pylist()
        ], found.facts.times


# One log in every form


def fields(request: Request) -> list[str]:
    user, item, rating, time = request
    return [user or "", item, "" if rating is None else repr(rating), str(time)]


def quoted(field: str, separator: str) -> str:
    if any(sign in field for sign in (separator, '"', "\n")):
        return '"' + field.replace('"', '""') + '"'
    return field


def delimited(requests: list[Request], separator: str, header: bool = True) -> str:
    rows = [list(COLUMNS.values())] if header else []
    rows += [fields(request) for request in requests]
    return "".join(separator.join(quoted(field, separator) for field in row) + "\n" for row in rows)


def parquet(requests: list[Request], when: pa.DataType | None = None, numbers: bool = False) -> bytes:
    users, items, ratings, at = map(list, zip(*requests, strict=True))
    columns = {"who": pa.array(users, pa.string()), "what": pa.array(items, pa.string())}
    if numbers:
        columns = {name: column.cast(pa.int64()) for name, column in columns.items()}
    seconds = pa.array(at, pa.int64())
    if when is not None:
        seconds = seconds.cast(pa.timestamp("s", "UTC")).cast(when)
    table = pa.table({"extra": [[1]] * len(at), **columns, "stars": ratings, "when": seconds})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=7)
    return buffer.getvalue()


def jsonl(requests: list[Request], when: Callable[[int], object] = int) -> str:
    rows = []
    for user, item, rating, time in requests:
        row = {"what": item, "when": when(time), "note": {"deep": [1]}}
        row |= {"who": user} if user is not None else {}
        row |= {"stars": rating} if rating is not None else {}
        rows.append(json.dumps(row) + "\n")
    return "".join(rows)


def with_times(requests: list[Request], write: Callable[[int], str]) -> str:
    rows = [[*fields(request)[:3], write(request[3])] for request in requests]
    return "".join(",".join(quoted(f, ",") for f in row) + "\n" for row in [list(COLUMNS.values()), *rows])


def utc(pattern: str) -> Callable[[int], str]:
    return lambda time: datetime.fromtimestamp(time, UTC).strftime(pattern)


def half_packed(requests: list[Request]) -> dict[str, bytes]:
    half = len(requests) // 2
    parts = {
        f"day={n}/part-{n}.parquet": parquet(part)
        for n, part in enumerate((requests[:half], requests[half:]))
    }
    return {**parts, "_SUCCESS": b"", "day=0/.part-0.parquet.crc": b"x"}


#: How the same requests may be written, and what has to be said of it.
FORMS: dict[str, Callable[[list[Request]], tuple[dict[str, Any], dict[str, Any]]]] = {
    "commas": lambda log: ({"log.csv": delimited(log, ",")}, {}),
    "semicolons": lambda log: ({"log.csv": delimited(log, ";")}, {}),
    "tabs": lambda log: ({"log.tsv": delimited(log, "\t")}, {}),
    "bars": lambda log: ({"log.txt": delimited(log, "|")}, {}),
    "carets": lambda log: ({"log.txt": delimited(log, "^")}, {"separator": "^"}),
    "CRLF": lambda log: ({"log.csv": delimited(log, ",").replace("\n", "\r\n")}, {}),
    "gzip": lambda log: ({"log.csv.gz": gzip.compress(delimited(log, ",").encode())}, {}),
    "zstd": lambda log: ({"log.csv.zst": pa.compress(delimited(log, ",").encode(), "zstd", True)}, {}),
    "UTF-16": lambda log: ({"log.csv": delimited(log, ",").encode("utf-16")}, {}),
    "Latin-1": lambda log: ({"log.csv": delimited(log, ",").encode("latin-1")}, {"encoding": "latin-1"}),
    "no header": lambda log: (
        {"log.csv": delimited(log, ",", header=False)},
        {"header": False, "columns": {"user": 1, "item": 2, "rating": 3, "time": 4}},
    ),
    "parts": lambda log: (
        {
            "p-1.csv": delimited(log[: len(log) // 2], ","),
            "p-2.csv": delimited(log[len(log) // 2 :], ";"),
        },
        {"requests": "p-*.csv"},
    ),
    "milliseconds": lambda log: ({"log.csv": with_times(log, lambda t: f"{t}999")}, {}),
    "microseconds": lambda log: ({"log.csv": with_times(log, lambda t: f"{t}999999")}, {}),
    "nanoseconds": lambda log: ({"log.csv": with_times(log, lambda t: f"{t}999999999")}, {}),
    "fractions": lambda log: ({"log.csv": with_times(log, lambda t: f"{t}.75")}, {}),
    "ISO, T and Z": lambda log: ({"log.csv": with_times(log, utc("%Y-%m-%dT%H:%M:%SZ"))}, {}),
    "ISO, blank": lambda log: ({"log.csv": with_times(log, utc("%Y-%m-%d %H:%M:%S"))}, {}),
    "ISO, fraction": lambda log: ({"log.csv": with_times(log, utc("%Y-%m-%dT%H:%M:%S.999"))}, {}),
    "ISO, offset": lambda log: (
        {
            "log.csv": with_times(
                log, lambda t: datetime.fromtimestamp(t, ZoneInfo("Asia/Kolkata")).isoformat()
            )
        },
        {},
    ),
    "digits": lambda log: ({"log.csv": with_times(log, utc("%Y%m%d%H%M%S"))}, {}),
    "pattern": lambda log: (
        {"log.csv": with_times(log, utc("%d.%m.%y %Hh%M:%S"))},
        {"time_format": "%d.%m.%y %Hh%M:%S"},
    ),
    "Parquet": lambda log: ({"log.parquet": parquet(log)}, {}),
    "Parquet, timestamps": lambda log: ({"log.parquet": parquet(log, pa.timestamp("us"))}, {}),
    "Parquet, zoned": lambda log: ({"log.parquet": parquet(log, pa.timestamp("ns", "Asia/Tokyo"))}, {}),
    "Parquet, texts": lambda log: (
        {"log.parquet": pq_of_texts(with_times(log, utc("%Y-%m-%d %H:%M:%S")))},
        {},
    ),
    "Parquet, folders": lambda log: (half_packed(log), {}),
    "JSON lines": lambda log: ({"log.jsonl": jsonl(log)}, {}),
    "JSON lines, ISO": lambda log: (
        {"log.jsonl.gz": gzip.compress(jsonl(log, utc("%Y-%m-%dT%H:%M:%SZ")).encode())},
        {},
    ),
}


def pq_of_texts(text: str) -> bytes:
    """A Parquet file of the texts of a CSV file."""
    import csv

    header, *rows = csv.reader(io.StringIO(text, newline=""))
    columns = [[field or None for field in column] for column in zip(*rows, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict(zip(header, columns, strict=True))), buffer)
    return buffer.getvalue()


def some_requests(count: int = 400, seed: int = 1) -> list[Request]:
    """Requests whose ids are texts with whatever parts columns, and numbers with zeros before them."""
    draw = random.Random(seed)
    items = [
        "8",
        "008",
        "-8",
        "18446744073709551615",
        "a,b",
        "a;b",
        "a|b",
        'a "b"',
        "é",
        "a b",
        "x^y",
        "two\nlines",
    ]
    users = [None, "1", "01", "anna", "9" * 25]
    return [
        (
            draw.choice(users),
            draw.choice(items[: 6 + 6 * at // count]),
            draw.choice([None, 0.5, 3.0, 4.5, -1.0]),
            1_400_000_000 + draw.randrange(40_000_000),
        )
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    return tables(folder, {"log.csv": delimited(some_requests(), ",")}, columns=COLUMNS)[:2]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("block_bytes", [100, 1 << 21])
def test_the_same_requests_give_the_same_tables(
    tmp_path: Path, expected: tuple[bytes, bytes], form: str, block_bytes: int
) -> None:
    members, how = FORMS[form](some_requests())
    found = tables(tmp_path, members, block_bytes, **{"columns": COLUMNS, **how})
    assert found[:2] == expected
    assert found[2].rows == found[2].requests == 400


def test_the_tables_hold_what_was_requested(tmp_path: Path, expected: tuple[bytes, bytes]) -> None:
    for name, data in zip(("joined", "movies"), expected, strict=True):
        (tmp_path / f"{name}.parquet").write_bytes(data)
    joined, movies = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("joined", "movies"))
    items = dict(zip(movies["movieId"].to_pylist(), movies["item"].to_pylist(), strict=True))
    found = [
        (items[row["movieId"]], row["rating"], row["timestamp"], row["userId"] == 0)
        for row in joined.to_pylist()
    ]
    assert found == [(item, rating, time, user is None) for user, item, rating, time in some_requests()]
    assert movies["title"].to_pylist() == movies["item"].to_pylist()


@pytest.mark.parametrize("form", ["commas", "Parquet", "JSON lines"])
def test_numbers_are_ids_in_every_form(tmp_path: Path, form: str) -> None:
    log: list[Request] = [(str(5 * at), str(at * at - 9), 1.0, 10**9 + at) for at in range(50)]
    whole = tables(tmp_path, {"log.csv": delimited(log, ",")}, columns=COLUMNS)
    members: dict[str, dict[str, Any]] = {
        "commas": {"log.csv": delimited(log, ",")},
        "Parquet": {"log.parquet": parquet(log, numbers=True)},
        "JSON lines": {
            "log.jsonl": jsonl(log).replace('"what": "', '"what": ').replace('", "when"', ', "when"')
        },
    }
    assert tables(tmp_path, members[form], columns=COLUMNS)[:2] == whole[:2]


# Times


@pytest.mark.parametrize(
    ("texts", "expected", "taken_for"),
    [
        (["0", "60", "7258118399"], [0, 60, 7258118399], "whole seconds since 1970"),
        (["-5", "-86400"], [-5, -86400], "whole seconds since 1970"),
        (["1.5", "-0.5", "1e3"], [1, -1, 1000], "seconds since 1970"),
        (["1420071146037"], [1420071146], "whole milliseconds since 1970"),
        (["1420071146000037"], [1420071146], "whole microseconds since 1970"),
        (["20150101", "20141231"], [1420070400, 1419984000], "'%Y%m%d', on the clock of UTC"),
        (["201501010012"], [1420071120], "'%Y%m%d%H%M', on the clock of UTC"),
        (["20150101001226"], [1420071146], "'%Y%m%d%H%M%S', on the clock of UTC"),
        (["2015-01-01", "1969-12-31"], [1420070400, -86400], "dates as in 2024-12-31, on the clock of UTC"),
        (["2015-01-01T00:12", "2015-01-01 00"], [1420071120, 1420070400], "ISO 8601, on the clock of UTC"),
        (["2015-01-01T00:12:26.5Z", "2015-01-01T02:12:26+02:00"], [1420071146] * 2, "ISO 8601 with a zone"),
        (["2015-01-01 00:12:26.123456789"], [1420071146], "ISO 8601, on the clock of UTC"),
        (["2015-01-01 00:12:26 UTC"], [1420071146], "'%Y-%m-%d %H:%M:%S UTC'"),
        (["25/01/2015", "01/02/2015"], [1422144000, 1422748800], "'%d/%m/%Y', on the clock of UTC"),
        (["01/25/2015 1:05 PM"], [1422191100], "'%m/%d/%Y %I:%M %p', on the clock of UTC"),
        (["25.01.2015 13:05:00.25"], [1422191100], "'%d.%m.%Y %H:%M:%S.%f', on the clock of UTC"),
        (["10/Oct/2000:13:55:36 -0700"], [971211336], "'%d/%b/%Y:%H:%M:%S %z'"),
    ],
)
def test_how_times_are_written_is_found(
    tmp_path: Path, texts: list[str], expected: list[int], taken_for: str
) -> None:
    found, said = times(tmp_path, texts)
    assert found == expected
    assert said.startswith(taken_for)


@pytest.mark.parametrize(
    ("texts", "how", "reason"),
    [
        (
            ["01/02/2024", "03/04/2024"],
            {},
            "'01/02/2024' can be read in two ways: set `time_format: '%d/%m/%Y'` or"
            " `time_format: '%m/%d/%Y'`",
        ),
        (["soon", "later"], {}, "'soon' is no time that is known: say how it is written"),
        (["", ""], {}, "no row of the first ones has a time"),
        (["1,5", "2,5"], {}, "'1,5' has a decimal comma: write a decimal point"),
        (["1"], {"time_format": "minutes"}, "`time_format` is 'minutes': it must be seconds, milliseconds"),
        (["1"], {"time_format": "%f"}, "`time_format` is '%f'"),
    ],
)
def test_times_that_cannot_be_told_are_a_fault(
    tmp_path: Path, texts: list[str], how: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Fault) as fault:
        times(tmp_path, texts, **how)
    assert f"log.csv: the times in 'when': {reason}" in str(fault.value)


@pytest.mark.parametrize(
    ("texts", "how", "expected"),
    [
        (["01/02/2024"], {"time_format": "%d/%m/%Y"}, [1706745600]),
        (["01/02/2024"], {"time_format": "%m/%d/%Y"}, [1704153600]),
        (["20150101"], {"time_format": "seconds"}, [20150101]),
        (["1000", "1420071146037"], {"time_format": "milliseconds"}, [1, 1420071146]),
        (["2013-07-01 00:00:00"], {"timezone": "America/New_York"}, [1372651200]),
        (["2013-07-01T04:00:00Z"], {"timezone": "America/New_York"}, [1372651200]),
        (["1372651200"], {"timezone": "America/New_York"}, [1372651200]),
    ],
)
def test_how_times_are_written_may_be_set(
    tmp_path: Path, texts: list[str], how: dict[str, Any], expected: list[int]
) -> None:
    assert times(tmp_path, texts, **how)[0] == expected


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("1420071146", ["1420071146000", "2015-01-01", "", "x"]),
        ("1420071146000", ["1420071146", "1420071146000000"]),
        ("2015-01-01", ["2015-02-30", "01/02/2015", "1420071146", "2015-01-01Z"]),
        ("2015-01-01T00:00:00Z", ["2015-01-01T00:00:00", "1699-12-31T23:59:59Z", "2200-01-01T00:00:00Z"]),
        ("25/01/2015", ["01/25/2015", "2015-01-25", "25/01/15"]),
    ],
)
def test_the_whole_file_is_held_to_what_was_found(tmp_path: Path, good: str, bad: list[str]) -> None:
    rows = [good] * 5 + bad + [good] * 5
    log = "when;what\n" + "".join(f"{text};a\n" for text in rows)
    columns = {"item": "what", "time": "when"}
    for block_bytes in (20, 1 << 21):
        _, _, facts, listed = tables(tmp_path, {"log.csv": log}, block_bytes, "drop", columns=columns)
        assert facts.rows == 10
        lines = [line.split(",")[1] for line in listed.splitlines()[1:]]
        assert lines == [str(7 + at) for at in range(len(bad))]
    reason = "is missing" if not bad[0] else "is not as the log's other times"
    with pytest.raises(Fault, match=rf"log\.csv: line 7: time '{bad[0]}' {reason}"):
        tables(tmp_path, {"log.csv": log}, columns=columns)


@settings(max_examples=30, deadline=None)
@given(at=st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=20))
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_a_log_in_utc_and_one_in_local_time_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, zone: str, at: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("zone")
    # What the clock shows twice cannot be told apart, and is left out.
    local = [datetime.fromtimestamp(time, ZoneInfo(zone)) for time in at]
    told = [
        (time, date)
        for time, date in zip(at, local, strict=True)
        if date.replace(fold=1 - date.fold).timestamp() == time
    ]
    if not told:
        return
    columns = {"item": "what", "time": "when"}
    logs = [
        "what,when\n" + "".join(f"a,{write(time, date)}\n" for time, date in told)
        for write in (
            lambda time, date: date.astimezone(UTC).isoformat(),
            lambda time, date: date.isoformat(),
            lambda time, date: date.replace(tzinfo=None).isoformat(),
            lambda time, date: f"{time}",
        )
    ]
    found = [tables(folder, {"log.csv": log}, columns=columns, timezone=zone)[0] for log in logs]
    assert found[1:] == found[:1] * 3


# Counts, sizes, conditions, guests


def test_counts_sizes_and_conditions(tmp_path: Path) -> None:
    log = (
        "item,time,n,bytes,kind,price\n"
        "a,100,3,10,view,1.5\n"
        "b,200,0,20,view,2\n"
        "a,300,2,11,view,-1\n"
        "c,soon,x,30,cancelled,2\n"
        "d,400,1,,view,\n"
        "a,500,7,12,view,0.5\n"
    )
    roles = {"item": "item", "time": "time", "count": "n", "size": "bytes"}
    where = {"kind": "!= cancelled", "price": "> 0"}
    joined, movies, facts, _ = tables(tmp_path, {"log.csv": log}, columns=roles, where=where)
    rows = pq.read_table(io.BytesIO(joined)).to_pylist()
    assert [(row["movieId"], row["timestamp"], row["count"]) for row in rows] == [(1, 100, 3), (1, 500, 7)]
    items = pq.read_table(io.BytesIO(movies)).to_pylist()
    assert [(row["item"], row["size"]) for row in items] == [("a", 12)]
    assert (facts.rows, facts.requests, facts.excluded, facts.ignored) == (2, 10, 3, [])


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"kind": "x"}, "ab"),
        ({"kind": ["x", "z"]}, "abd"),
        ({"kind": "!= x"}, "cd"),
        ({"n": 2}, "b"),
        ({"n": "= 2"}, "b"),
        ({"n": "2.0"}, "b"),
        ({"n": "!= 2"}, "acd"),
        ({"n": ">= 2"}, "bd"),
        ({"n": "< 10", "kind": "x"}, "ab"),
        ({"n": [1, 10.0]}, "ad"),
    ],
)
def test_rows_are_chosen_by_constants(tmp_path: Path, where: dict[str, Any], kept: str) -> None:
    rows = [("a", "x", 1), ("b", "x", 2), ("c", "y", None), ("d", "z", 10)]
    columns = {"item": "item", "time": "time"}
    text = "item,time,kind,n\n" + "".join(f"{i},5,{k},{'' if n is None else n}\n" for i, k, n in rows)
    buffer = io.BytesIO()
    items, kinds, numbers = map(list, zip(*rows, strict=True))
    pq.write_table(pa.table({"item": items, "time": [5] * 4, "kind": kinds, "n": numbers}), buffer)
    for members in ({"log.csv": text}, {"log.parquet": buffer.getvalue()}):
        _, movies, _, _ = tables(tmp_path, members, columns=columns, where=where)
        assert "".join(pq.read_table(io.BytesIO(movies))["item"].to_pylist()) == kept


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ({"kind": "> a"}, "`where`: 'a' is no number, as > needs"),
        ({"kind": []}, "`where`: it must be a constant"),
        ({"sort": "a"}, "log.csv: lacks the column 'sort'"),
        ({"kind": "> 1"}, "log.csv: line 2: kind 'x' must be a number, to be > 1"),
        ({"kind": "y"}, "`where` leaves none of the 1 rows"),
    ],
)
def test_conditions_may_be_wrong(tmp_path: Path, where: dict[str, Any], reason: str) -> None:
    with pytest.raises(Fault) as fault:
        columns = {"item": "item", "time": "time"}
        tables(tmp_path, {"log.csv": "item,time,kind\na,5,x\n"}, columns=columns, where=where)
    assert reason in str(fault.value)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("count", "-1", "count '-1' must be a whole number from 0 to 2147483647"),
        ("count", "1.5", "count '1.5' must be a whole number"),
        ("count", "", "count '' is missing"),
        ("count", "3000000000", "count '3000000000' must be a whole number"),
        ("size", "-1", "size '-1' must be a whole number from 0"),
        ("rating", "4,5", "rating '4,5' must be a finite number; write a decimal point, not a comma"),
        ("rating", "good", "rating 'good' must be a finite number"),
    ],
)
def test_values_of_another_log_must_be_right(tmp_path: Path, column: str, value: str, reason: str) -> None:
    columns = {"item": "item", "time": "time", column: "n"}
    with pytest.raises(Fault, match=rf"log\.csv: line 3: {reason}"):
        tables(tmp_path, {"log.csv": f"item;time;n\na;5;1\na;5;{value}\n"}, columns=columns)


def test_what_was_read_is_told(tmp_path: Path) -> None:
    log = "item,time,who,other\n" + "a,1,x,1\n" * 3 + "b,2,,2\nc,86400,y,\n"
    members = {"log.csv": log, "items.csv": "item,title\na,A\nz,Z\n"}
    columns = {"item": "item", "time": "time", "user": "who"}
    facts = tables(tmp_path, members, columns=columns, requests="log.csv", catalogue="items.csv")[2]
    assert (facts.files, facts.ignored, facts.guests) == (["log.csv"], ["other"], 1)
    assert (facts.first, facts.last, facts.uncatalogued, facts.far) == (1, 86400, 2, [])


def test_columns_of_a_catalogue_that_are_not_read_are_told(tmp_path: Path) -> None:
    columns = {"item": "item", "time": "time"}
    log = "item,time\na,1\nb,2\n"
    how: dict[str, Any] = {"requests": "log.csv", "catalogue": "items.csv"}
    members = {"log.csv": log, "items.csv": "item,Titel,Genres\na,A,Drama\nb,B,War\n"}
    _, movies, facts, _ = tables(tmp_path, members, columns=columns, **how)
    found = pq.read_table(io.BytesIO(movies)).to_pydict()
    assert (found["title"], found["genre_names"]) == (["a", "b"], ["Drama", "War"])
    assert (facts.catalogue, facts.catalogue_ignored, facts.titled) == ("items.csv", ["Titel"], False)
    said = list(join_ratings.describe(facts))
    assert "columns of items.csv that are not read: Titel" in said
    assert "no column of titles is named (`catalogue_columns`): items are shown by id" in said
    assert "requests from 1970-01-01 to 1970-01-01 (UTC)" in said
    page = Wording()(write_front_page.reading([facts])).replace("\\", "")
    assert "Movies were read from items.csv, which names no column of titles, so that" in page
    assert "Columns of items.csv that were not read: Titel." in page


@pytest.mark.parametrize("far", [10, 4_102_444_800])
# Three weeks of requests, and as many in 22 years.
@pytest.mark.parametrize(("begin", "step"), [(1_700_000_000, 600), (820_454_400, 230_000)])
def test_a_request_far_from_all_others_is_named(tmp_path: Path, far: int, begin: int, step: int) -> None:
    rows = [f"a,{begin + at * step}\n" for at in range(3000)]
    rows.insert(2000, f"b,{far}\n")
    for block_bytes in (1000, 1 << 21):
        log = {"log.csv": "item,time\n" + "".join(rows)}
        facts = tables(tmp_path, log, block_bytes, columns={"item": "item", "time": "time"})[2]
        assert facts.far == [f"log.csv: line 2002: {datetime.fromtimestamp(far, UTC).date()}"]


# Formats whose columns are always the same

ACCESS = (
    '203.0.113.9 - - [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326 '
    '"http://example.com/start.html" "Mozilla/4.08 [en] (Win98; \\"I\\" ;Nav)"\n'
    '2001:db8::1 - frank o [10/Oct/2000:20:55:37 +0000] "POST /b HTTP/1.1" 304 - "-" "-"\n'
    '203.0.113.9 - - [10/Oct/2000:20:55:38 +0000] "-" 408 -\n'
    '203.0.113.9 - - [10/Oct/2000:20:55:39 +0000] "\\x16\\x03\\x01" 400 226 "-" "-"\n'
    '203.0.113.9 - - [10/Oct/2000:20:55:40 +0000] "GET /a.gif HTTP/1.1" 200 7\n'
)


def test_reads_access_logs(tmp_path: Path) -> None:
    how: dict[str, Any] = {"format": "access_log", "where": {"method": ["GET", "POST"], "status": "< 400"}}
    for block_bytes in (10, 1 << 21):
        joined, movies, facts, _ = tables(
            tmp_path, {"access.log.1": ACCESS}, block_bytes, columns={"size": "bytes"}, **how
        )
        rows = pq.read_table(io.BytesIO(joined)).to_pylist()
        assert [(row["userId"], row["movieId"], row["timestamp"]) for row in rows] == [
            (1, 1, 971211336),
            (2, 2, 971211337),
            (1, 1, 971211340),
        ]
        items = pq.read_table(io.BytesIO(movies)).to_pylist()
        assert [(row["item"], row["size"]) for row in items] == [("/a.gif", 7), ("/b", None)]
        assert facts.excluded == 2
    bad = ACCESS + "no line of such a log\n"
    with pytest.raises(Fault, match=r"access\.log: line 6: is no line of an access log"):
        tables(tmp_path, {"access.log": bad}, **how)
    # Without conditions, what is no request has no path.
    with pytest.raises(Fault, match=r"access\.log: line 3: item '' is missing"):
        tables(tmp_path, {"access.log": ACCESS}, format="access_log")


@pytest.mark.parametrize("name", ["trace.oracleGeneral", "trace.oracleGeneral.zst", "trace.bin"])
def test_reads_traces_of_libcachesim(tmp_path: Path, name: str) -> None:
    trace = np.array([(0, 2**64 - 1, 100, 1), (5, 7, 20, -1), (5, 2**64 - 1, 50, -1)], REQUEST).tobytes()
    data = pa.compress(trace, "zstd", True) if name.endswith(".zst") else trace
    for block_bytes in (1, 30, 1 << 21):
        joined, movies, _, _ = tables(tmp_path, {name: data}, block_bytes)
        rows = pq.read_table(io.BytesIO(joined)).to_pylist()
        assert [(row["movieId"], row["timestamp"]) for row in rows] == [(1, 0), (2, 5), (1, 5)]
        items = pq.read_table(io.BytesIO(movies)).to_pylist()
        assert [(row["item"], row["size"]) for row in items] == [(str(2**64 - 1), 50), ("7", 20)]
    with pytest.raises(Fault, match=r"has 23 bytes after its last request"):
        tables(tmp_path, {"trace.bin": trace[:-1]})


def test_reads_csv_traces_of_libcachesim(tmp_path: Path) -> None:
    trace = "# time, object, size, next_access_vtime\n0, 9, 100, 2\n5, 7, 20, -1\n5, 9, 50, -1\n"
    columns = {"item": "object", "time": "time", "size": "size"}
    _, movies, facts, _ = tables(tmp_path, {"trace.csv": trace}, columns=columns)
    items = pq.read_table(io.BytesIO(movies)).to_pylist()
    assert [(row["item"], row["size"]) for row in items] == [("9", 50), ("7", 20)]
    assert facts.ignored == ["next_access_vtime"]


def test_reads_kaggle_s_copy_of_movielens(tmp_path: Path) -> None:
    ratings = '"userId","movieId","rating","timestamp"\n1,2,3.5,"2005-04-02 23:53:47"\n'
    movies = '"movieId","title","genres"\n2,"Jumanji (1995)","Adventure|Children"\n'
    joined, found, facts, _ = tables(tmp_path, {"rating.csv": ratings, "movie.csv": movies})
    row = pq.read_table(io.BytesIO(joined)).to_pylist()[0]
    assert (row["userId"], row["movieId"], row["timestamp"], row["releaseDate"]) == (1, 2, 1112486027, 1995)
    assert pq.read_table(io.BytesIO(found))["item"].to_pylist() == ["2"]
    assert facts.times == "ISO 8601, on the clock of UTC"


def test_a_log_of_another_name_is_no_part_of_the_ratings(tmp_path: Path) -> None:
    ratings, movies = "userId,movieId,rating,timestamp\n1,2,3.5,9\n", "movieId,title,genres\n2,A,B\n"
    small = {"ratings_small.csv": ratings, "ratings (1).csv": ratings, "movies.csv": movies}
    facts = tables(tmp_path, {"ratings.csv": ratings, **small})[2]
    assert (facts.rows, facts.files) == (1, ["ratings.csv"])
    assert facts.left_aside == ["ratings (1).csv", "ratings_small.csv"]
    with pytest.raises(Fault, match=r"lacks ratings\.csv \(it holds movies\.csv, ratings \(1\)\.csv, rat"):
        tables(tmp_path, small)


# What is wrong with a file


@pytest.mark.parametrize(
    ("members", "how", "reason"),
    [
        ({"log.csv": "who;what;stars;when\n"}, {"separator": ","}, "lacks the column 'what'"),
        ({"log.csv": "1,2,3,4\n5,6,7,8\n"}, {}, "lacks the column 'what'"),
        (
            {"log.csv": "a,b\n1,2\n"},
            {"header": False, "columns": {"item": 1, "time": 3}},
            "and no column 3",
        ),
        ({"log.csv": b"\xff\xfe\x00"}, {}, "is no text in utf-16"),
        ({"log.csv": b"who,what\xff"}, {"encoding": "ascii"}, "is no text in ascii"),
        ({"log.csv": ""}, {}, "is empty"),
        ({"log.csv": "who,what,stars,when\n\n\n"}, {}, "has no row below its header"),
        (
            {"log.csv": 'who,what,stars,when\n1,2,3,4\n1,"2,3,4\n1,2,3,5\n'},
            {},
            "line 3: has 2 fields, not 4",
        ),
        ({"log.parquet": b"PAR1 and no more"}, {}, "is no whole Parquet file"),
        ({"log.parquet": parquet(some_requests(9))[:-9]}, {}, "is no whole Parquet file"),
        (
            {"log.parquet": parquet(some_requests(9))},
            {"columns": {"item": "extra", "time": "when"}},
            "list<",
        ),
        ({"log.parquet": parquet(some_requests(9))}, {"columns": {"item": "x", "time": "when"}}, "'x'"),
        ({"log.jsonl": "[1, 2]\n{}\n"}, {}, "holds no JSON object in a line"),
        ({"log.jsonl": "{\n'a'"}, {}, "holds no JSON object in a line"),
        (
            {"log.jsonl": jsonl(some_requests(9))},
            {"columns": {"item": "note", "time": "when"}},
            "an object or",
        ),
        ({"log.jsonl": jsonl(some_requests(9)) + "{]\n"}, {}, "line 10: is no JSON"),
        ({"log.jsonl": jsonl(some_requests(9)) + "[]\n"}, {}, "line 10: is no JSON object"),
        ({"a.csv": "x", "b.csv": "x"}, {}, r"which file holds the requests\? It holds a\.csv, b\.csv"),
        ({"a.csv": "x"}, {"requests": "b*.csv"}, r"lacks b\*\.csv"),
    ],
)
def test_a_file_may_be_wrong(
    tmp_path: Path, members: dict[str, Any], how: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Fault, match=reason) as fault:
        tables(tmp_path, members, **{"columns": COLUMNS, **how})
    assert "\n" not in str(fault.value)


def test_a_parquet_column_of_the_wrong_type_is_told_row_by_row(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    table = pa.table({"what": ["a", None, "b"] * 50, "when": [5, 6, 7] * 50, "n": ["1", "2", "x"] * 50})
    pq.write_table(table, buffer, row_group_size=20)
    columns = {"item": "what", "time": "when", "count": "n"}
    with pytest.raises(
        Fault, match=r"line 2: item '' is missing; line 3: count 'x' must be a whole number"
    ):
        tables(tmp_path, {"log.parquet": buffer.getvalue()}, columns=columns)
    facts, listed = tables(tmp_path, {"log.parquet": buffer.getvalue()}, 64, "drop", columns=columns)[2:]
    assert facts.rows == 50
    assert [line.split(",")[1] for line in listed.splitlines()[1:3]] == ["2", "3"]


def test_json_of_other_types_in_some_rows_is_read(tmp_path: Path) -> None:
    rows = [{"what": "a", "when": 5}, {"what": 7, "when": "6"}, {"what": "b", "when": 7.0}, {"when": 8}]
    log = "".join(json.dumps(row) + "\n" for row in rows)
    columns = {"item": "what", "time": "when"}
    _, movies, facts, listed = tables(tmp_path, {"log.jsonl": log}, policy="drop", columns=columns)
    assert pq.read_table(io.BytesIO(movies))["item"].to_pylist() == ["a", "7", "b"]
    assert [line.split(",")[1] for line in listed.splitlines()[1:]] == ["4"]
    assert facts.rows == 3


BYTES = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from(
                [b"a,5,1", b'"a\nb",5,1', b"a;5;1", b"1,2015-01-01,", b'{"what": 1, "when": 2}']
            ),
            st.sampled_from(ACCESS.encode().splitlines()),
        ),
        max_size=6,
    ).map(b"\n".join),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    data=st.tuples(st.sampled_from([b"", b"what,when,n\n", b"\xff\xfe", b"PAR1"]), BYTES).map(b"".join),
    name=st.sampled_from(["log.csv", "log.csv.gz", "log.csv.zst", "log.parquet", "log.jsonl", "log.bin"]),
    form=st.sampled_from([None, "access_log", "oracle_general", "csv"]),
    policy=st.sampled_from(["error", "drop"]),
    block_bytes=st.sampled_from([1, 30, 1 << 20]),
)
def test_whatever_a_file_holds_is_read_or_a_fault(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    name: str,
    form: str | None,
    policy: str,
    block_bytes: int,
) -> None:
    columns = (
        {} if form in ("access_log", "oracle_general") else {"item": "what", "time": "when", "count": "n"}
    )
    try:
        tables(
            tmp_path_factory.mktemp("fuzz"), {name: data}, block_bytes, policy, format=form, columns=columns
        )
    except Fault as fault:
        assert "log.zip" in str(fault)


def test_a_line_that_never_ends_is_told_before_it_fills_the_memory(tmp_path: Path) -> None:
    # 60 MB, which a zip holds in 60 kB; a row may go over several lines in quotes, this one ends nowhere.
    log = b"what,when\n" + b"a,1\n" * 10 + b"1" * 60_000_000
    tracemalloc.start()
    with pytest.raises(Fault, match=r"log\.csv: has no ends of lines"):
        tables(tmp_path, {"log.csv": log}, columns={"item": "what", "time": "when"})
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        (b"a,1\nb,2\n", 2, True),
        (b'"a",1\n"b",2', 2, True),
        # A blank line is no row.
        (b'"a",1\n\n"b",2\n', 2, True),
        (b'"a",1\r\n\r\n"b",2\r\n', 2, True),
        (b'"a",1\r\n"b",2', 2, True),
        # A row of two lines, and beside it a blank line.
        (b'"a\nb",1\n', 1, False),
        (b'"a\nb",1\n\n', 1, False),
        (b'"a\nb",1\n\nc,2', 2, False),
        # An end of line of old, within a row or at its end.
        (b"a,1\rb,2\n", 1, False),
        (b"a,1\r\nb,\r2\r\n", 2, False),
        (b"a,1\nb,2\r\n", 2, True),
    ],
)
def test_whether_each_row_was_a_line(text: bytes, rows: int, expected: bool) -> None:
    assert csv_format._is_a_row_a_line(text, rows) is expected


def test_ids_that_a_file_has_as_numbers_are_those_that_another_has_as_texts(tmp_path: Path) -> None:
    written = io.BytesIO()
    rows = {"item": [7, 8, 2**40, 7, -3], "time": [3, 4, 5, 6, 7], "user": [None, 1.0, 2.0, 1.0, None]}
    pq.write_table(pa.table(rows), written)
    members: dict[str, str | bytes] = {
        "a.csv": "item,time,user\n8,1,1\n008,2,\n",
        "b.parquet": written.getvalue(),
    }
    columns = {"item": "item", "time": "time", "user": "user"}
    joined, movies, *_ = tables(tmp_path, members, columns=columns, requests="*")
    assert pq.read_table(io.BytesIO(movies))["item"].to_pylist() == ["8", "008", "7", str(2**40), "-3"]
    found = pq.read_table(io.BytesIO(joined))
    assert found["movieId"].to_pylist() == [1, 2, 3, 1, 4, 3, 5]
    assert found["userId"].to_pylist() == [1, 0, 0, 1, 2, 1, 0]


def test_a_log_without_a_header_may_have_a_catalogue_with_one(tmp_path: Path) -> None:
    members = {"log.csv": "a,1000000000\nb,1000000001\n", "items.csv": "t,g,i\nFirst,x,a\nSecond,y,b\n"}
    how: dict[str, Any] = {"requests": "log.csv", "catalogue": "items.csv", "header": False}
    how |= {
        "columns": {"item": 1, "time": 2},
        "catalogue_columns": {"item": "i", "title": "t", "genres": "g"},
    }
    movies = pq.read_table(io.BytesIO(tables(tmp_path, members, **how)[1])).to_pydict()
    assert (movies["item"], movies["title"]) == (["a", "b"], ["First", "Second"])
    # Genres are numbered from 1, in the order in which they come.
    assert (movies["genre_names"], movies["genres"]) == (["x", "y"], [1, 2])


def test_an_end_of_line_of_old_within_a_row_makes_no_row_of_its_own(tmp_path: Path) -> None:
    log = "what,when\na,1000000000\nb\rc,1000000000\nd,1000000000\n"
    columns = {"item": "what", "time": "when"}
    _, movies, _, dropped = tables(tmp_path, {"log.csv": log}, policy="drop", columns=columns)
    assert pq.read_table(io.BytesIO(movies))["item"].to_pylist() == ["a", "d"]
    assert "line 3" in dropped or ",3," in dropped
    assert dropped.count("\n") == 2


def test_an_end_of_line_of_old_ends_no_row_of_json(tmp_path: Path) -> None:
    log = '{"what": "a", "when": 1}\n{"what": "b",\r"when": 2}\r\nno row\n{"what": "c", "when": 3}\n'
    columns = {"item": "what", "time": "when"}
    _, movies, _, dropped = tables(tmp_path, {"log.jsonl": log}, policy="drop", columns=columns)
    assert pq.read_table(io.BytesIO(movies))["item"].to_pylist() == ["a", "b", "c"]
    assert dropped.count("no row") == 1
    assert dropped.count("\n") == 2


def test_the_separator_of_a_catalogue_is_the_one_that_gives_its_columns(tmp_path: Path) -> None:
    # A comma parts as many columns, none of which is the one that is needed.
    members = {"log.csv": "what,when\na,1\nb,2\n", "items.csv": "x,y;i\n1;a\n2;b\n"}
    how: dict[str, Any] = {"requests": "log.csv", "catalogue": "items.csv"}
    how |= {"columns": {"item": "what", "time": "when"}, "catalogue_columns": {"item": "i"}}
    movies = pq.read_table(io.BytesIO(tables(tmp_path, members, **how)[1])).to_pydict()
    assert movies["item"] == ["a", "b"]
