"""Zips where the fast library for packed files is missing."""

import gzip
import importlib.util
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from popularity.log import zips
from popularity.program import Fault


def test_zips_are_read_without_isal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    spec = importlib.util.spec_from_file_location("zips_without_isal", zips.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.zlib is zlib
    assert module.GzipFile is gzip.GzipFile
    text = b"userId,movieId\n" + b"1,2\n" * 100_000
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", text)
        archive.writestr("more.csv.gz", gzip.compress(text))
    with module.Zip(path) as archive:
        for name in ("ratings.csv", "more.csv.gz"):
            assert b"".join(archive.blocks(name, 1 << 16)) == text, name
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Fault, match="ratings"), module.Zip(path) as archive:
        b"".join(archive.blocks("ratings.csv", 1 << 16))
