"""Bring a dataset's archive to one zip file, from an http or https address or from a local path.

A download that breaks off, or is killed, goes on where it stopped: what came so far stays beside
the output as ``.NAME.zip.download``, and ``.NAME.zip.download.json`` tells what it is a part of.
"""

import argparse
import email.utils
import hashlib
import json
import logging
import os
import random
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import popularity.start

import requests
import urllib3

from popularity.addresses import completed, shown, without_secrets
from popularity.program import NO_ROOM, Fault, atomic_write, run

# Bytes per read: what a connection that breaks may lose of what it brought.
BLOCK = 1 << 14
# Seconds; the longest wait between two tries, ours and the one a server may ask for.
LONGEST_BACK_OFF, LONGEST_RETRY_AFTER = 60.0, 120.0


class Again(Exception):
    """A fault that another try may mend; ``after`` is the wait in seconds the server asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        """Keep the reason, and the wait."""
        super().__init__(reason)
        self.after = after


class Slow(Again):
    """Too few bytes come: what came is no progress that would allow for another try."""


class Wrong(Fault):
    """What came is whole, and not what was asked for."""


class Partial:
    """A download under way: the bytes that came, and beside them which file they are a part of."""

    def __init__(self, output: Path) -> None:
        """Name the two files that a download of ``output`` keeps until it is whole."""
        self.path = output.with_name(f".{output.name}.download")
        self.sidecar = output.with_name(f".{output.name}.download.json")

    def size(self) -> int:
        """Count the bytes that came so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def remembered(self, url: str) -> dict[str, Any]:
        """Tell ETag, Last-Modified and length of the file begun; nothing if it cannot go on."""
        try:
            known = json.loads(self.sidecar.read_text(encoding="utf-8"))
            return known if known["address"] == digest(url) and validator(known) else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def start(self, url: str, headers: Any, length: int | None) -> None:
        """Forget what came, and remember the file that comes now (``length`` in bytes, if told)."""
        # Emptied first, so that no bytes ever lie under the description of another file.
        self.path.write_bytes(b"")
        known = {"address": digest(url), "length": length}
        known |= {name: headers.get(name) for name in ("ETag", "Last-Modified")}
        self.sidecar.write_text(json.dumps(known), encoding="utf-8")

    def drop(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def digest(url: str) -> str:
    """Tell an address from others, without what is secret in it."""
    return hashlib.sha256(url.encode()).hexdigest()


def validator(headers: Mapping[str, str]) -> str | None:
    """Choose what If-Range can name a file by: a strong ETag, else Last-Modified, else nothing."""
    etag = headers.get("ETag")
    # A weak ETag promises the same meaning, not the same bytes.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def retry_after(text: str | None, now: datetime) -> float:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from ``now`` (0 to 120)."""
    try:
        seconds: float = int(text or 0)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(str(text))
        except ValueError:
            return 0.0
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


class Discreet(logging.Filter):
    """Takes what is secret in an address out of all that is logged."""

    def __init__(self, url: str) -> None:
        """Keep the address, complete."""
        super().__init__()
        self._url = url

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        record.msg, record.args = without_secrets(record.getMessage(), self._url), ()
        return True


def refuse_unsafe_redirect(response: requests.Response, **_: Any) -> None:
    """Raise a Fault for a redirect to anything but http and https, or from https down to http."""
    if response.is_redirect:
        target = urljoin(response.url, response.headers["Location"])
        scheme = urlsplit(target).scheme.lower()
        secure = urlsplit(response.url).scheme.lower() == "https"
        if scheme not in ({"https"} if secure else {"http", "https"}):
            raise Fault(
                f"{shown(response.url)} redirects to {shown(target)}, which is refused: only http "
                "and https are followed, and never from https to http"
            )


def reporter(have: int, total: int | None) -> Callable[[int], None]:
    """Make a function that takes the bytes there now and logs them each 10 % or each 10 s."""
    began = last = time.monotonic()
    first = logged = have

    def report(now: int) -> None:
        nonlocal last, logged
        clock = time.monotonic()
        if clock - last < 10 and (total is None or (now - logged < total / 10 and now < total)):
            return
        last, logged = clock, now
        rate = (now - first) / max(clock - began, 1e-6)
        speed = f"{rate / 1e6:.1f} MB/s"
        if total is None:
            logging.info("%d bytes, %s", now, speed)
        else:
            share, left = 100 * now / max(total, 1), (total - now) / max(rate, 1e-6)
            logging.info("%d of %d bytes (%.0f %%), %s, %.0f s left", now, total, share, speed, left)

    return report


def speedometer(have: int, least_rate: float, seconds: float) -> Callable[[int], None]:
    """Make a function that takes the bytes there now and raises Slow if too few came in ``seconds``."""
    began, first = time.monotonic(), have

    def judge(now: int) -> None:
        nonlocal began, first
        clock = time.monotonic()
        if clock - began < seconds:
            return
        if now - first < least_rate * (clock - began):
            raise Slow(
                f"{now - first} bytes came in {clock - began:.0f} s, less than {least_rate:g} a second"
            )
        began, first = clock, now

    return judge


def fetch(
    session: requests.Session,
    url: str,
    partial: Partial,
    size: int | None,
    timeout: float,
    least_rate: float,
) -> None:
    """Try once to complete ``partial``: ask for what is missing, or for all, and append it.

    ``size`` is the expected length in bytes, ``timeout`` the seconds a server may stay silent and those
    over which it has to send ``least_rate`` bytes a second. Raises Again where another try may help, and
    Fault where none would.
    """
    known = partial.remembered(url)
    have = partial.size() if known else 0
    # Identity, because the bytes are kept as they come.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(validator(known))}
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            status, answer = response.status_code, response.headers
            if status in (408, 425, 429) or status >= 500:
                after = retry_after(answer.get("Retry-After"), datetime.now(UTC))
                raise Again(f"the server answers {status} {response.reason}", after)
            if have and status in (206, 416):
                total = continued(answer, known, have, status)
                if total is None:
                    logging.info("the server's file has changed, or cannot go on: starting anew")
                    partial.drop()
                    return fetch(session, url, partial, size, timeout, least_rate)
                if status == 416:  # Nothing is missing.
                    return None
                logging.info("going on after the %d bytes that came before", have)
            elif status == 200:
                length = answer.get("Content-Length", "")
                # With a transfer encoding the length is no length of the file.
                told = length.isdecimal() and "Transfer-Encoding" not in answer
                total = int(length) if told else None
            else:
                raise Fault(f"the server answers {status} {response.reason}")
            if None not in (size, total) and size != total:
                kind = answer.get("Content-Type", "no Content-Type")
                raise Fault(f"{size} bytes expected, the server has {total} ({kind})")
            if status == 200:
                if have:
                    logging.info("the server sends the whole file: starting anew")
                have = 0
                partial.start(url, answer, total)
            report, judge = reporter(have, total), speedometer(have, least_rate, timeout)
            with partial.path.open("ab") as file:
                # What there is, as waiting for a whole block may take hours.
                while block := response.raw.read1(BLOCK, decode_content=False):
                    file.write(block)
                    have += len(block)
                    report(have)
                    judge(have)
            if total is not None and have != total:
                raise Again(f"{have} of {total} bytes came")
    except requests.exceptions.SSLError as error:
        # requests keeps the cause only as text.
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise Fault(f"the server's certificate is not trusted: {error}") from error
        raise Again(str(error)) from error
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.HTTPError,
    ) as error:
        # The innermost reason, without the pools and retries of the libraries around it.
        inner = error.args[0] if error.args else error
        raise Again(str(getattr(inner, "reason", inner))) from error
    except (requests.RequestException, ValueError) as error:  # An address that is none, ...
        raise Fault(str(error)) from error


def continued(answer: Any, known: dict[str, Any], have: int, status: int) -> int | None:
    """Read the file's length in bytes from an answer (206, 416) to "all after the first ``have``".

    None if its headers don't fit what is ``known`` of the file: another file, or other bytes.
    """
    pattern = rf"bytes {have}-\d+/(\d+)" if status == 206 else rf"bytes \*/({have})"
    match = re.fullmatch(pattern, answer.get("Content-Range", "").strip())
    same = all(answer.get(name, known.get(name)) == known.get(name) for name in ("ETag", "Last-Modified"))
    fits = match and same and known.get("length") in (None, int(match[1]))
    return int(match[1]) if match and fits else None


def check(path: Path, name: str, size: int | None, checksum: str | None) -> None:
    """Raise Wrong unless ``path`` is a whole file of ``size`` bytes with that checksum (where given).

    By its ``name`` it is a zip, or one of a log's own files, which is no web page and not empty.
    """
    found_size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(80)
    start = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in begin)
    said = f"{found_size} bytes that begin with {start}" if found_size else "it is empty"
    if is_bare(name) and not zipfile.is_zipfile(path):
        if not begin or re.match(rb"\s*<(!doctype|html)", begin, re.IGNORECASE):
            raise Wrong(f"this is no log: {said}")
    elif not zipfile.is_zipfile(path):
        if begin.startswith(b"\x1f\x8b"):
            said = "it is gzipped; let its name say so (.csv.gz, .jsonl.gz)"
        raise Wrong(f"this is no whole zip archive: {said}")
    if size is not None and found_size != size:
        raise Wrong(f"{size} bytes expected, {found_size} found")
    algorithm, _, digits = (checksum or "sha256:").partition(":")
    with path.open("rb") as file:
        # Against accidents, not attacks: systems that forbid md5 for security allow it so.
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    found = f"{algorithm}:{digest.hexdigest()}"
    if digits and found != checksum:
        raise Wrong(f"checksum {checksum} expected, {found} found")
    logging.info("%d bytes, %s", found_size, found)


def is_bare(name: str) -> bool:
    """Whether a name is that of a log itself (``.csv``, ``.parquet`` ...), and no zip's."""
    return Path(name).suffix.lower() not in ("", ".zip")


def download(
    url: str,
    output: Path,
    size: int | None = None,
    checksum: str | None = None,
    tries: int = 8,
    timeout: float = 60.0,
    wait: float = 1.0,
    least_rate: float = 1000.0,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Download ``url`` to ``output``, which appears whole and checked, or not at all.

    A try that fails is repeated after ``wait`` seconds, then twice as many, and so on, or when the
    server asks for it. Raises a Fault when ``tries`` in a row brought nothing new, or less than
    ``least_rate`` bytes a second over ``timeout`` seconds, and when what came is no file of ``size`` bytes
    with that checksum (``sha256:HEX``, ``md5:HEX``), twice.
    """
    partial = Partial(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    failures, furthest, wrong_before = 0, partial.size(), False
    with requests.Session() as session:
        session.max_redirects = 10
        session.hooks["response"].append(refuse_unsafe_redirect)
        while True:
            try:
                fetch(session, url, partial, size, timeout, least_rate)
                check(partial.path, name_of(url), size, checksum)
                break
            except Again as again:
                have = partial.size()
                failures = 1 if have > furthest and not isinstance(again, Slow) else failures + 1
                furthest = max(have, furthest)
                if failures >= tries:
                    kept = f"; run again to go on after the {have} bytes that came" if have else ""
                    raise Fault(f"{again} (tries without progress: {failures}){kept}") from again
                back_off = min(wait * 2 ** (failures - 1), LONGEST_BACK_OFF)
                pause = max(again.after, back_off * random.uniform(0.5, 1))
                logging.warning("%s: trying again in %.1f s", again, pause)
                sleep(pause)
            except Wrong as wrong:
                # Going on from these bytes would keep them.
                partial.drop()
                if wrong_before:
                    raise
                wrong_before = True
                logging.warning("%s: downloading it once more", wrong)
    partial.path.replace(output)
    partial.drop()


def name_of(url: str) -> str:
    """Give the file name in an address."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError as error:
        raise Fault(str(error)) from error


def files_in(folder: Path, only: Sequence[str]) -> dict[str, Path]:
    """List a folder's files, at any depth, by their place in it: those whose name or place fits ``only``.

    Hidden files are left out. Raises a Fault if there is none.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    fits = {
        place: path
        for place, path in files.items()
        if not only or any(fnmatchcase(text, pattern) for pattern in only for text in (place, path.name))
    }
    if not fits:
        raise Fault(f"no files in this folder{' that fit ' + ' or '.join(only) if files else ''}")
    return fits


def pack(files: dict[str, Path], target: Path) -> None:
    """Pack files, by their names in it, uncompressed into the zip ``target``.

    They are sorted and without dates: the same files give the same bytes.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for member, path in sorted(files.items()):
            info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as packed:
                shutil.copyfileobj(source, packed, 1 << 20)
    logging.info("packed %s", ", ".join(sorted(files)) if len(files) < 9 else f"{len(files)} files")


@dataclass(frozen=True)
class Checks:
    """What a file must be, and how long a server is waited for; see :func:`download`."""

    size: int | None = None
    checksum: str | None = None
    tries: int = 8
    timeout: float = 60.0
    wait: float = 1.0
    least_rate: float = 1000.0


def bring(
    url: str,
    output: Path,
    checks: Checks | None = None,
    only: Sequence[str] = (),
    catalogue: str | None = None,
) -> None:
    """Bring an archive to one zip: a zip as it is, a folder or a log's own file packed.

    Parameters
    ----------
    url
        An http or https address, or a local path.
    only
        Of a folder, the names or patterns of the files to pack; all by default.
    catalogue
        An address or path of its own, to pack beside a log's own file; if there is no such path, it is
        looked for beside that file.
    """
    checks = checks or Checks()
    if is_address(url):
        brought, name = output, name_of(url)
        if is_bare(name):
            brought = output.with_name(f".{output.stem}.requests")
        download(url, brought, **vars(checks))
        if not is_bare(name) or zipfile.is_zipfile(brought):
            brought.replace(output)
            return
    else:
        brought = local_path(url)
        name = brought.name
        if not brought.exists():
            raise Fault(f"no such file or folder, seen from {Path.cwd()}")
        if brought.is_dir() or not is_bare(name) or zipfile.is_zipfile(brought):
            with atomic_write(output) as partial:
                if brought.is_dir():
                    files = files_in(brought, only)
                    pack({f"{output.stem}/{place}": path for place, path in files.items()}, partial)
                    check(partial, ".zip", checks.size, checks.checksum)
                else:
                    shutil.copyfile(brought, partial)
                    check(partial, name, checks.size, checks.checksum)
            return
        check(brought, name, checks.size, checks.checksum)
    files = {name: brought}
    if catalogue is not None:
        called = name_of(catalogue) if is_address(catalogue) else Path(catalogue).name
        files[called] = beside_of(url, catalogue, output)
    with atomic_write(output) as partial:
        pack(files, partial)
    for path in files.values():
        if path.parent == output.parent and path.name.startswith(f".{output.stem}."):
            path.unlink()


def beside_of(url: str, catalogue: str, output: Path) -> Path:
    """Bring the catalogue of a log's own file: from its own address or path, or from beside that file."""
    if is_address(url) or is_address(catalogue):
        path = output.with_name(f".{output.stem}.catalogue")
        download(catalogue if is_address(catalogue) else urljoin(url, quote(catalogue)), path)
        return path
    path = local_path(catalogue)
    if not path.is_file():
        path = local_path(url).parent / catalogue
    if not path.is_file():
        raise Fault(f"no catalogue {catalogue}, seen from {Path.cwd()}, nor beside the log")
    return path


def is_address(url: str) -> bool:
    """Whether a text is an http or https address; another scheme than these is a Fault."""
    scheme = re.match(r"([a-z][a-z0-9+.-]+):/", url, re.IGNORECASE)
    if scheme is not None and scheme[1].lower() not in ("http", "https"):
        raise Fault("neither an http or https address nor a plain local path")
    return scheme is not None


def local_path(text: str) -> Path:
    """Read a local path; ``~`` and ``~name`` are homes."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise Fault(str(error)) from error


def checksum_of(text: str) -> str:
    """Read a checksum from the command line, ``sha256:HEX`` or ``md5:HEX``, in lower case."""
    checksum = text.strip().lower()
    if not re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", checksum):
        raise Fault(f"checksum {text}: sha256: and 64 hex digits, or md5: and 32, expected")
    return checksum


def main() -> None:
    """Read the command line, and bring the archive."""
    parser = argparse.ArgumentParser(
        description="Bring a dataset's archive to one zip file, from an http or https address (a "
        "download that breaks off goes on where it stopped) or from a local path: a zip file, a folder of "
        "files, or a log's own file, such as a .csv.gz or .parquet. Nothing but a whole and checked zip "
        "appears at the output."
    )
    parser.add_argument(
        "--url",
        required=True,
        help="http or https address, in which ${NAME} is that variable of the environment, or local path",
    )
    parser.add_argument("--output", required=True, type=Path, help="the zip file to make")
    parser.add_argument(
        "--only", nargs="*", default=[], help="names or patterns of the files to take of a folder"
    )
    parser.add_argument(
        "--catalogue", help="address or path of the catalogue beside a log's own file, or its name there"
    )
    parser.add_argument("--size", type=int, help="the length it must have, in bytes")
    parser.add_argument("--checksum", help="the checksum it must have: sha256:HEX or md5:HEX")
    parser.add_argument("--licence", help="the data's licence, text or address, for the log")
    parser.add_argument(
        "--tries", type=int, default=8, help="give up after so many without progress (%(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds of silence to bear (%(default)s)"
    )
    parser.add_argument(
        "--wait", type=float, default=1.0, help="seconds before the second try (%(default)s)"
    )
    parser.add_argument(
        "--least-rate",
        type=float,
        default=1000.0,
        help="bytes a second that have to come over --timeout seconds (%(default)s)",
    )
    args = parser.parse_args()

    checksum = checksum_of(args.checksum) if args.checksum else None
    name = shown(args.url)
    logging.info("bringing %s to %s", name, args.output)
    if args.licence:
        logging.info("licence of this data: %s", args.licence)
    else:
        logging.info("no licence given for this data")
    url = args.url
    try:
        url = completed(args.url, os.environ)
        for handler in logging.getLogger().handlers:
            handler.addFilter(Discreet(url))
        checks = Checks(args.size, checksum, args.tries, args.timeout, args.wait, args.least_rate)
        bring(url, args.output, checks, args.only, args.catalogue)
    except Fault as fault:
        told = without_secrets(str(fault), url)
        raise Fault(
            f"{name}: {told}. Correct this dataset in config.yaml, or bring the file by other "
            f"means and give its path (datasets: {args.output.stem}: url: path/to/file.zip)"
        ) from fault
    except OSError as error:  # A full disk, a file that may not be read, ...
        kept = Partial(args.output)
        if error.errno in NO_ROOM and (have := kept.size()):
            raise Fault(
                f"{args.output}: {error}; {kept.path} keeps the {have} bytes that came: make room and run "
                "again to go on after them, or delete it"
            ) from error
        raise Fault(f"{args.output}: {error}") from error


if __name__ == "__main__":
    run(main)
