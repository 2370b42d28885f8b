"""scripts/download_archive.py against scripted servers on this machine; no test meets a network."""

import base64
import gzip
import hashlib
import http.server
import io
import itertools
import os
import random
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import download_archive
from popularity.program import Fault

SCRIPT = Path(download_archive.__file__)


def archive_of(seed: int, length: int = 300_000) -> bytes:
    """A zip of about ``length`` bytes that don't compress, so that every byte counts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ml-test/ratings.csv", random.Random(seed).randbytes(length))
    return buffer.getvalue()


# Of one length, so that only their bytes and their ETags tell them apart.
SOURCE, CHANGED = archive_of(1), archive_of(2)


class Handler(http.server.BaseHTTPRequestHandler):
    """Notes each request and answers it with the server's next step (the last one repeats)."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers.items()))
        self.server.paths.append(self.path)
        steps = self.server.steps
        step = steps[min(len(self.server.seen), len(steps)) - 1]
        # Whoever asks on and on is told to go.
        step = step if len(self.server.seen) <= 40 else gives(410)
        step(self)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """A server on a free port of this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *steps: "Step") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps = steps
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/ml-test.zip"

    def handle_error(self, *_: object) -> None:
        """A client that goes away is part of the tests."""


Step = Callable[[Handler], None]


@contextmanager
def serving(*steps: Step, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(*steps)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def gives(status: int, body: bytes = b"", **headers: object) -> Step:
    return lambda handler: handler.answer(status, body, **headers)


def file(body: bytes = SOURCE, etag: str | None = '"one"', **headers: object) -> Step:
    """A server that keeps to the standard: Range, If-Range, 206 and 416."""

    def step(handler: Handler) -> None:
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        known = (etag, headers.get("Last_Modified"))
        if asked is None or (condition is not None and condition not in known):
            return handler.answer(200, body, ETag=etag, **headers)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return handler.answer(
                416, b"<html>", ETag=etag, Content_Range=f"bytes */{len(body)}", **headers
            )
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return handler.answer(206, body[start:], ETag=etag, Content_Range=span, **headers)

    return step


def breaks(partial: Path, body: bytes = SOURCE, how: str = "reset", **headers: object) -> Step:
    """Half of the file; once a third has arrived on the disk the connection breaks or stalls."""

    def step(handler: Handler) -> None:
        headers_ = {"ETag": '"one"', "Content_Length": len(body)} | headers
        handler.answer(200, body[: len(body) // 2], **headers_)
        handler.wfile.flush()
        until(lambda: partial.exists() and partial.stat().st_size > len(body) // 3)
        if how == "reset":  # What a cut line looks like: RST, not FIN.
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif how == "stall":
            until(lambda: len(handler.server.seen) > 1)

    return step


def trickles(handler: Handler) -> None:
    """The file, two bytes at a time, 40 bytes a second, whatever was asked for before."""
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    span = f"bytes {start}-{len(SOURCE) - 1}/{len(SOURCE)}"
    length = len(SOURCE) - start
    handler.answer(206 if start else 200, ETag='"one"', Content_Length=length, Content_Range=span)
    for at in range(start, len(SOURCE), 2):
        handler.wfile.write(SOURCE[at : at + 2])
        time.sleep(0.05)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "resources" / "ml-test.zip"


@pytest.fixture
def partial(output: Path) -> Path:
    return output.with_name(".ml-test.zip.download")


def get(server: Server, output: Path, **settings: object) -> list[float]:
    """Download with the waits noted instead of waited."""
    waits: list[float] = []
    settings = {"tries": 3, "timeout": 10.0, "sleep": waits.append} | settings
    download_archive.download(server.url, output, **settings)  # type: ignore[arg-type]
    return waits


def command(url: object, output: Path, *options: object) -> list[str]:
    words = [sys.executable, SCRIPT, "--url", url, "--output", output, "--wait", 0.01, *options]
    return [str(word) for word in words]


def bring(url: object, output: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(url, output, *options), capture_output=True, text=True, timeout=30, check=False
    )


def assert_fault(done: subprocess.CompletedProcess[str], output: Path, *words: str) -> None:
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert [word for word in words if word not in last] == [], last
    assert not output.exists()


def only(output: Path) -> bytes:
    """The output, which is all that may be left in its folder."""
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    return output.read_bytes()


# What goes well


def test_command_downloads_and_tells_licence_and_checksum(output: Path) -> None:
    with serving(file()) as server:
        done = bring(server.url, output, "--size", len(SOURCE), "--licence", "CC BY of someone")
    assert done.returncode == 0, done.stderr
    assert only(output) == SOURCE
    assert "licence of this data: CC BY of someone" in done.stderr
    assert f"sha256:{hashlib.sha256(SOURCE).hexdigest()}" in done.stderr
    assert f"{len(SOURCE)} of {len(SOURCE)} bytes (100 %)" in done.stderr
    assert server.seen[0]["Accept-Encoding"] == "identity"
    assert "Range" not in server.seen[0]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_right_checksum(output: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, SOURCE).hexdigest()
    checksum = download_archive.checksum_of(f"{algorithm}:{digest.upper()}")
    with serving(file()) as server:
        get(server, output, checksum=checksum, size=len(SOURCE))
    assert only(output) == SOURCE


def test_length_untold(output: Path) -> None:
    with serving(gives(200, SOURCE, Content_Length=None)) as server:
        get(server, output)
    assert only(output) == SOURCE


def test_bytes_are_kept_as_they_come(output: Path) -> None:
    with serving(gives(200, SOURCE, Content_Encoding="gzip")) as server:
        get(server, output)
    assert only(output) == SOURCE


# What goes wrong for a while


def test_500_then_200(output: Path) -> None:
    with serving(gives(500), gives(502), file()) as server:
        waits = get(server, output)
    assert only(output) == SOURCE
    assert [0.5 <= waits[0] <= 1, 1 <= waits[1] <= 2, len(waits)] == [True, True, 2]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(output: Path, status: int) -> None:
    with serving(gives(status, Retry_After="7"), file()) as server:
        waits = get(server, output)
    assert waits == [7]
    assert only(output) == SOURCE


def test_retry_after_is_read() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = f"{now + timedelta(seconds=30):%a, %d %b %Y %H:%M:%S} GMT"
    texts = [None, "", "5", "86400", "9" * 500, "-3", "soon", later]
    seconds = [download_archive.retry_after(text, now) for text in texts]
    assert seconds == [0, 0, 5, 120, 120, 0, 0, 30]
    assert download_archive.retry_after(later, now + timedelta(days=1)) == 0


@pytest.mark.parametrize("how", ["reset", "close"])
def test_broken_connection_goes_on_by_range(output: Path, partial: Path, how: str) -> None:
    with serving(breaks(partial, how=how), file()) as server:
        get(server, output)
    start = int(server.seen[1]["Range"].removeprefix("bytes=").removesuffix("-"))
    assert len(SOURCE) // 3 < start <= len(SOURCE) // 2
    assert server.seen[1]["If-Range"] == '"one"'
    assert only(output) == SOURCE


def test_stalled_connection_goes_on(output: Path, partial: Path) -> None:
    with serving(breaks(partial, how="stall"), file()) as server:
        get(server, output, timeout=0.5)
    assert "Range" in server.seen[1]
    assert only(output) == SOURCE


def test_a_download_that_trickles_ends(output: Path, partial: Path) -> None:
    with serving(trickles) as server, pytest.raises(Fault) as told:
        get(server, output, timeout=0.5, least_rate=1000.0)
    assert re.fullmatch(
        r"\d+ bytes came in 1 s, less than 1000 a second \(tries without progress: 3\); run again to go on "
        r"after the \d+ bytes that came",
        str(told.value),
    )
    assert len(server.seen) == 3
    assert 0 < partial.stat().st_size < 200
    assert SOURCE.startswith(partial.read_bytes())


def test_a_download_that_trickled_goes_on_by_range(output: Path) -> None:
    with serving(trickles, file()) as server:
        get(server, output, timeout=0.5)
    assert "Range" in server.seen[1]
    assert only(output) == SOURCE


def test_a_slow_download_may_last(output: Path) -> None:
    def steady(handler: Handler) -> None:
        handler.answer(200, ETag='"one"', Content_Length=len(SOURCE))
        for at in range(0, len(SOURCE), 20_000):
            handler.wfile.write(SOURCE[at : at + 20_000])
            time.sleep(0.1)

    with serving(steady) as server:
        get(server, output, timeout=0.5)
    assert len(server.seen) == 1
    assert only(output) == SOURCE


def test_on_a_full_disk_the_file_that_keeps_it_full_is_named(output: Path, partial: Path) -> None:
    with serving(file()) as server:
        line = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *command(server.url, output)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert_fault(done, output, "File too large", f"; {partial} keeps the ", "make room and run again")
    assert partial.stat().st_size == 100 * 1024
    assert f"keeps the {100 * 1024} bytes" in done.stderr


def test_goes_on_by_date_where_the_etag_is_weak(output: Path, partial: Path) -> None:
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    whole = file(etag='W/"one"', Last_Modified=date)
    with serving(breaks(partial, ETag='W/"one"', Last_Modified=date), whole) as server:
        get(server, output)
    assert server.seen[1]["If-Range"] == date
    assert only(output) == SOURCE


def test_no_range_where_the_server_names_no_version(output: Path, partial: Path) -> None:
    with serving(breaks(partial, ETag=None), file(etag=None)) as server:
        get(server, output)
    assert "Range" not in server.seen[1]
    assert only(output) == SOURCE


def test_server_that_ignores_range(output: Path, partial: Path) -> None:
    with serving(breaks(partial), gives(200, SOURCE, ETag='"one"')) as server:
        get(server, output)
    assert "Range" in server.seen[1]
    assert only(output) == SOURCE


def part(body: bytes, etag: str | None, shift: int = 0, length: int = len(SOURCE)) -> Step:
    """An answer to a Range whatever If-Range says, with a Content-Range that may be wrong."""

    def step(handler: Handler) -> None:
        start = int(handler.headers["Range"][6:-1])
        span = f"bytes {start + shift}-{length - 1}/{length}"
        handler.answer(206, body[start + shift :], ETag=etag, Content_Range=span)

    return step


@pytest.mark.parametrize(
    "second",
    [
        file(CHANGED, '"two"'),
        part(CHANGED, '"two"'),
        part(SOURCE, '"one"', shift=-7),
        part(SOURCE, None, length=len(SOURCE) + 1),
        gives(206, SOURCE, ETag='"one"'),
        gives(416),
        gives(416, Content_Range=f"bytes */{len(SOURCE) // 2 - 1}"),
    ],
    ids=["If-Range", "ETag", "start", "length", "no Content-Range", "416", "416 length"],
)
def test_file_changed_between_tries(output: Path, partial: Path, second: Step) -> None:
    with serving(breaks(partial), second, file(CHANGED, '"two"')) as server:
        waits = get(server, output)
    assert "Range" in server.seen[1]
    # Known at once, asked for anew without another wait.
    assert [headers for headers in server.seen[2:] if "Range" in headers] == []
    assert len(waits) == 1
    assert only(output) == CHANGED


def test_progress_resets_the_count_of_tries(output: Path) -> None:
    def some_more(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        part, span = (
            SOURCE[start : start + 50_000],
            f"bytes {start}-{len(SOURCE) - 1}/{len(SOURCE)}",
        )
        length = len(SOURCE) - start
        status = 206 if start else 200
        handler.answer(status, part, ETag='"one"', Content_Length=length, Content_Range=span)

    with serving(some_more) as server:
        get(server, output, tries=2)
    assert len(server.seen) == 7
    assert only(output) == SOURCE


def test_killed_download_goes_on(output: Path, partial: Path) -> None:
    with serving(breaks(partial, how="stall"), file()) as server:
        process = subprocess.Popen(command(server.url, output), stderr=subprocess.DEVNULL)
        try:
            until(lambda: partial.exists() and partial.stat().st_size > len(SOURCE) // 3, 20)
        finally:
            process.kill()
            process.wait(10)
        assert not output.exists()
        assert partial.stat().st_size > len(SOURCE) // 3
        done = bring(server.url, output)
    assert done.returncode == 0, done.stderr
    assert int(server.seen[1]["Range"][6:-1]) > len(SOURCE) // 3
    assert only(output) == SOURCE


def test_killed_after_the_last_byte(output: Path, partial: Path) -> None:
    output.parent.mkdir()
    with serving(file()) as server:
        sidecar = download_archive.Partial(output)
        sidecar.start(server.url, {"ETag": '"one"'}, len(SOURCE))
        partial.write_bytes(SOURCE)
        get(server, output)
    assert len(server.seen) == 1
    assert only(output) == SOURCE


@pytest.mark.parametrize("sidecar", ["", "[]", "{}", '{"url": "http://127.0.0.1/other.zip"}'])
def test_partial_of_unknown_origin_is_not_used(output: Path, partial: Path, sidecar: str) -> None:
    output.parent.mkdir()
    partial.write_bytes(b"something else")
    partial.with_name(f"{partial.name}.json").write_text(sidecar)
    with serving(file()) as server:
        get(server, output)
    assert "Range" not in server.seen[0]
    assert only(output) == SOURCE


# What goes wrong for good


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refused_at_once(output: Path, status: int) -> None:
    with serving(gives(status, b"gone")) as server:
        done = bring(server.url, output)
    words = [server.url, str(status), "datasets: ml-test: url: path/to/file.zip"]
    assert_fault(done, output, *words)
    assert len(server.seen) == 1


def test_wrong_length_always(output: Path) -> None:
    short = gives(200, SOURCE[:1000], Content_Length=len(SOURCE))
    with serving(short) as server, pytest.raises(Fault, match="1000 bytes"):
        get(server, output, tries=3)
    # The server starts anew each time and never gets further.
    assert len(server.seen) == 3
    assert not output.exists()


def test_wrong_checksum(output: Path) -> None:
    expected, found = "0" * 64, hashlib.sha256(SOURCE).hexdigest()
    with serving(file()) as server:
        done = bring(server.url, output, "--checksum", f"sha256:{expected}")
    assert_fault(done, output, server.url, expected, found)
    assert len(server.seen) == 2
    assert list(output.parent.iterdir()) == []


def test_wrong_bytes_once(output: Path) -> None:
    checksum = f"md5:{hashlib.md5(SOURCE).hexdigest()}"
    with serving(file(CHANGED), file()) as server:
        get(server, output, checksum=checksum)
    assert "Range" not in server.seen[1]
    assert only(output) == SOURCE


@pytest.mark.parametrize("told", [len(SOURCE), None])
def test_wrong_size(output: Path, told: int | None) -> None:
    with (
        serving(gives(200, SOURCE, Content_Length=told)) as server,
        pytest.raises(Fault, match=f"12345 bytes expected.* {len(SOURCE)} "),
    ):
        get(server, output, size=12345)
    # A length that the server tells is compared before the download, one that it doesn't after.
    assert len(server.seen) == (1 if told else 2)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("checksum", ["sha1:00", "sha256:00", "md5:", "0" * 64])
def test_checksum_of_no_known_form(output: Path, checksum: str) -> None:
    with pytest.raises(Fault, match="64 hex digits"):
        download_archive.checksum_of(checksum)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html>\n<p>Please log in \xff", "<!DOCTYPE html>.<p>Please log in ."),
        (b"", "it is empty"),
        (SOURCE[:-100], "no whole zip archive"),
        (gzip.compress(b"userId,"), "it is gzipped; let its name say so (.csv.gz, .jsonl.gz)"),
    ],
    ids=["html", "empty", "cut", "gzip"],
)
def test_no_zip(output: Path, body: bytes, words: str) -> None:
    with serving(gives(200, body)) as server:
        done = bring(server.url, output)
    assert_fault(done, output, server.url, "no whole zip archive", words)
    assert list(output.parent.iterdir()) == []


def test_no_network(output: Path) -> None:
    with closing(socket.socket()) as held:  # Bound, not listening: nothing answers there.
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/ml-test.zip"
        done = bring(url, output, "--tries", 3)
    assert_fault(done, output, url, "refused", "datasets: ml-test: url: path/to/file.zip")
    assert done.stderr.count("trying again in") == 2


def test_no_name_server(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    words = [
        "x",
        "--url",
        "https://data.invalid/ml.zip",
        "--output",
        str(output),
        "--tries",
        "2",
        "--wait",
        "0",
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(Fault, match=r"Temporary failure in name resolution.*path/to/file\.zip"):
        download_archive.main()
    assert not output.exists()


def test_server_that_never_answers(output: Path) -> None:
    def silent(handler: Handler) -> None:
        until(lambda: len(handler.server.seen) > 1)

    with serving(silent, file()) as server:
        get(server, output, timeout=0.5)
    assert len(server.seen) == 2
    assert only(output) == SOURCE


@pytest.mark.parametrize("password", ["xyzzy", "xyz@zyx", "xyz%2Fzyx", "xyz/zyx", "xyz?zyx"])
def test_password_is_not_shown(output: Path, password: str) -> None:
    with serving(gives(404)) as server:
        done = bring(server.url.replace("//", f"//me:{password}@"), output)
    assert_fault(done, output)
    told = done.stderr.replace(str(output), "")
    assert "xyz" not in told
    assert "zyx" not in told


def test_secrets_are_taken_from_the_environment_and_never_shown_or_kept(
    output: Path, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ME", "me")
    monkeypatch.setenv("PASSWORD", "p@s/s:word")
    monkeypatch.setenv("TOKEN", "tokentoken")
    paths = []

    def cut(handler: Handler) -> None:
        paths.append(handler.path)
        file(Content_Length=len(SOURCE) + 1)(handler)

    with serving(cut) as server:
        url = server.url.replace("//", "//${ME}:${PASSWORD}@") + "?token=${TOKEN}"
        done = bring(url, output, "--tries", "2", "--wait", "0.1")
    assert set(paths) == {"/ml-test.zip?token=tokentoken"}
    expected = base64.b64encode(b"me:p@s/s:word").decode()
    assert server.seen[0]["Authorization"] == f"Basic {expected}"
    assert_fault(done, output)
    assert "trying again" in done.stderr
    sidecar = partial.with_name(f"{partial.name}.json").read_text()
    for secret in ("p@s", "p%40s", "word", "tokentoken", "${"):
        assert secret not in done.stderr + sidecar


def test_a_variable_that_is_not_set_is_told(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    done = bring("https://127.0.0.1/x.zip?token=${TOKEN}", output)
    assert_fault(done, output, "the environment variable TOKEN is not set")


def test_user_and_password_of_netrc_are_used(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(file()) as server:
        done = bring(server.url, output)
    assert done.returncode == 0, done.stderr
    assert server.seen[0]["Authorization"] == f"Basic {base64.b64encode(b'me:secret').decode()}"
    assert "secret" not in done.stderr


def test_what_a_server_or_an_address_says_forges_no_line_and_colours_nothing(output: Path) -> None:
    def colours(handler: Handler) -> None:
        handler.send_response(404, "Gone\x1b[2J\x1b[31m\x9b1m")
        handler.end_headers()

    with serving(colours) as server:
        done = bring(server.url + "\n12:00:00 all is well\r", output)
    assert_fault(done, output, "404 Gone")
    lines = done.stderr.splitlines()
    assert all(line.isprintable() for line in lines)
    assert all(re.match(r"\d\d:\d\d:\d\d (bringing|no licence)|error: ", line) for line in lines)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x.zip", "http://["])
def test_other_addresses(output: Path, url: str) -> None:
    assert_fault(bring(url, output), output, url, "path/to/file.zip")


# Redirects


def test_redirect_is_followed(output: Path) -> None:
    with serving(file()) as other, serving(gives(302, Location=other.url)) as server:
        get(server, output)
    assert only(output) == SOURCE


def test_redirect_loop_ends(output: Path) -> None:
    with serving(gives(302, Location="/ml-test.zip")) as server:
        with pytest.raises(Fault, match="redirects"):
            get(server, output)
        assert len(server.seen) == 11
    assert not output.exists()


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x.zip"])
def test_redirect_elsewhere_is_refused(output: Path, target: str) -> None:
    with serving(gives(302, Location=target)) as server:
        done = bring(server.url, output)
    assert_fault(done, output, f"redirects to {target}", "refused")
    assert len(server.seen) == 1


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a self-signed certificate with")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key -out cert"
    subprocess.run(
        [openssl, *words.split(), "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=30,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    return both


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_untrusted_certificate_is_refused(output: Path, tls: ssl.SSLContext) -> None:
    with serving(file(), context=tls) as server:
        done = bring(server.url, output)
    assert_fault(done, output, server.url, "certificate is not trusted")
    assert server.seen == []
    assert "trying again" not in done.stderr


def test_trusted_certificate(
    output: Path, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving(file(), context=tls) as server:
        get(server, output)
    assert only(output) == SOURCE


def test_redirect_from_https_to_http_is_refused(
    output: Path, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving(file()) as open_, serving(gives(302, Location=open_.url), context=tls) as server:
        with pytest.raises(Fault, match="never from https to http"):
            get(server, output)
        assert open_.seen == []
    assert not output.exists()


# Local paths


def test_local_zip(output: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.zip"
    source.write_bytes(SOURCE)
    done = bring(source, output, "--checksum", f"sha256:{hashlib.sha256(SOURCE).hexdigest()}")
    assert done.returncode == 0, done.stderr
    assert "no licence given for this data" in done.stderr
    assert only(output) == SOURCE
    assert source.read_bytes() == SOURCE


def test_local_zip_below_home(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.zip").write_bytes(SOURCE)
    assert bring("~/mine.zip", output).returncode == 0
    assert only(output) == SOURCE


def test_local_folder_is_packed_the_same_each_time(output: Path, tmp_path: Path) -> None:
    files = {
        "ratings.csv": b"a,b\n",
        "movies.csv": b"c\n" * 9999,
        "extra/more.dat": b"d",
        "too/deep/x.csv": b"x",
    }
    hidden = {".hidden": b"x", ".git/config": b"x", "extra/.x": b"x"}
    results = []
    for number, names in enumerate((list(files | hidden), sorted(files | hidden, reverse=True))):
        folder = tmp_path / f"folder {number}"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((files | hidden)[name])
            os.utime(path, (10**9 + number, 10**9 + number))
        download_archive.bring(str(folder), output)
        results.append(only(output))
    assert results[0] == results[1]
    with zipfile.ZipFile(output) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        found = {name: archive.read(name) for name in archive.namelist()}
    assert list(found) == [f"ml-test/{name}" for name in sorted(files)]
    assert found == {f"ml-test/{name}": body for name, body in files.items()}


def test_local_link_out_of_the_folder_is_followed(output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.csv").write_bytes(b"1")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "ratings.csv").symlink_to(tmp_path / "elsewhere.csv")
    download_archive.bring(str(folder), output)
    with zipfile.ZipFile(output) as archive:
        assert archive.read("ml-test/ratings.csv") == b"1"


def test_home_of_nobody(output: Path) -> None:
    assert_fault(bring("~nosuchuser/x.zip", output), output, "~nosuchuser/x.zip", "home directory")


def test_local_folder_without_files(output: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = bring(tmp_path / "folder", output)
    assert_fault(done, output, str(tmp_path / "folder"), "no files in this folder")
    assert list(output.parent.iterdir()) == []


def test_missing_local_path(output: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.zip"
    assert_fault(bring(missing, output), output, str(missing), "no such file", "config.yaml")


def test_local_file_that_is_no_zip(output: Path, tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>")
    done = bring(tmp_path / "page.zip", output)
    assert_fault(done, output, str(tmp_path / "page.zip"), "no whole zip archive", "<html>")
    assert list(output.parent.iterdir()) == []


LOG = b"item,time\n1,2\n"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("catalogue", ["items.csv", "below/items.csv", None])
def test_a_log_s_own_file_is_packed_with_its_catalogue(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: str | None
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "log.csv.gz").write_bytes(gzip.compress(LOG, mtime=0))
    (tmp_path / "below" / "items.csv").write_bytes(b"item\n1\n")
    monkeypatch.chdir(tmp_path)
    options = ["--catalogue", catalogue] if catalogue else []
    done = bring("below/log.csv.gz", output, *options)
    assert done.returncode == 0, done.stderr
    only(output)
    expected = {"log.csv.gz": gzip.compress(LOG, mtime=0), "items.csv": b"item\n1\n"}
    assert members(output) == (expected if catalogue else {"log.csv.gz": expected["log.csv.gz"]})


def test_a_log_s_own_file_and_its_catalogue_are_downloaded(output: Path) -> None:
    with serving(gives(200, LOG), gives(200, b"item\n1\n")) as server:
        url = server.url.replace("ml-test.zip", "data/log%20book.csv?key=1")
        done = bring(url, output, "--catalogue", "items.csv")
    assert done.returncode == 0, done.stderr
    only(output)
    assert members(output) == {"log book.csv": LOG, "items.csv": b"item\n1\n"}
    assert server.paths == ["/data/log%20book.csv?key=1", "/data/items.csv"]


@pytest.mark.parametrize("body", [b"", b"\n<!DOCTYPE html><title>Sign in</title>", b"<HTML>"])
def test_a_web_page_or_nothing_in_place_of_a_log(output: Path, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(body)
    done = bring(tmp_path / "log.csv", output)
    assert_fault(done, output, "this is no log", "it is empty" if not body else "bytes that begin with")
    assert not list(output.parent.glob("*"))


def test_only_some_files_of_a_folder(output: Path, tmp_path: Path) -> None:
    for name in ("2024-01.csv", "2024-02.csv", "2023-12.csv", "items.csv", "day=1/part-0.csv"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    done = bring(tmp_path / "folder", output, "--only", "2024-*.csv", "items.csv", "day=*")
    assert done.returncode == 0, done.stderr
    names = ["2024-01.csv", "2024-02.csv", "day=1/part-0.csv", "items.csv"]
    assert list(members(output)) == [f"ml-test/{name}" for name in names]
    done = bring(tmp_path / "folder", output.with_name("other.zip"), "--only", "x*")
    assert "no files in this folder that fit x*" in done.stderr


def test_a_catalogue_that_is_not_there(output: Path, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(LOG)
    done = bring(tmp_path / "log.csv", output, "--catalogue", "items.csv")
    assert_fault(done, output, "no catalogue items.csv")


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"size": 5}, "5 bytes expected"), ({"checksum": "md5:" + "0" * 32}, "checksum md5:0000")],
)
def test_local_zip_is_checked(
    output: Path, tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    (tmp_path / "mine.zip").write_bytes(SOURCE)
    with pytest.raises(Fault, match=words):
        checks = download_archive.Checks(**settings)  # type: ignore[arg-type]
        download_archive.bring(str(tmp_path / "mine.zip"), output, checks)
    assert list(output.parent.iterdir()) == []


def test_unreadable_output_folder_is_a_fault(output: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(SOURCE)
    output.parent.write_text("a file where the folder should be")
    done = bring(tmp_path / "mine.zip", output)
    assert_fault(done, output, str(output.parent))


def test_progress_is_logged_in_tenths(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    report = download_archive.reporter(0, 1000)
    for now in itertools.chain(range(0, 1000, 7), [1000]):
        report(now)
    assert 9 <= len(caplog.messages) <= 11
    assert "1000 of 1000 bytes (100 %)" in caplog.messages[-1]
    assert "MB/s, 0 s left" in caplog.messages[-1]
