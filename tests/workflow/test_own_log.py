"""docs/own-log.md: its examples run as they stand there, each from the file as its owner has it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from popularity.log.formats.oracle_general import REQUEST
from popularity.slots import slot_start
from workdir import ROOT, copy_workflow

DATA = ROOT.parent / "shared" / "data"
PAGE = (ROOT / "docs" / "own-log.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\w+)\.yaml\n(.*?)```", PAGE, flags=re.DOTALL))


def shared(*names: str) -> Callable[[Path], None]:
    def bring(folder: Path) -> None:
        for name in names:
            if not (DATA / name).exists():
                pytest.skip(f"{name} is not on this machine")
            shutil.copy(DATA / name, folder / name)

    return bring


def access_logs(folder: Path) -> None:
    (folder / "logs").mkdir()
    for part, hours in enumerate(([10, 11], [12, 13])):
        lines = [
            f'198.51.100.{host} - - [10/Oct/2000:{hour}:{minute:02}:00 +0000] "GET /{host % 3}?q=1 '
            f'HTTP/1.1" {200 if minute % 2 else 404} {100 * host} "-" "robot"\n'
            for hour in hours
            for minute in range(60)
            for host in range(1, 4)
        ]
        (folder / "logs" / f"access.log.{part}").write_text("".join(lines))
    (folder / "logs" / "error.log").write_text("no access\n")


def views(folder: Path) -> None:
    (folder / "views").mkdir()
    for month in (1, 2):
        rows = [
            f"{article}\t2024-{month:02}-{day:02}\t{day * 10}\n" for day in range(1, 29) for article in "AB"
        ]
        (folder / "views" / f"2024-{month:02}.tsv").write_text("article\tdate\tviews\n" + "".join(rows))
    (folder / "views" / "README.txt").write_text("about\n")


def trace(folder: Path) -> None:
    requests = np.zeros(20_000, REQUEST)
    requests["time"] = np.arange(20_000)
    requests["object"] = np.uint64(2**63) + (np.arange(20_000) ** 2 % 997).astype(np.uint64)
    requests["size"] = 1 + np.arange(20_000) % 7
    (folder / "trace.oracleGeneral.zst").write_bytes(pa.compress(requests.tobytes(), "zstd", True))


BRING = {
    "shop": shared("retail.parquet"),
    "flights": shared("flights.csv.gz", "airports.csv"),
    "web": access_logs,
    "views": views,
    "trace": trace,
}
#: Requests, items, the first item's id, the first slot's beginning, and the number of slots to the last.
EXPECTED = {
    "shop": (531_285, 3_941, "85123A", "2010-12-01T00:00:00", 374),
    "flights": (336_776, 1_462, "04G", "2013-01-01T05:00:00", 8_755),
    "web": (360, 3, "/1", "2000-10-10T10:00:00", 16),
    "views": (16_240, 2, "A", "2024-01-01T00:00:00", 59),
    "trace": (20_000, 499, str(2**63), "1970-01-01T00:00:00", 67),
}


def snakemake(folder: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *options, "--cores", "2"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_short_and_runs(tmp_path: Path, name: str) -> None:
    assert EXAMPLES[name].count("\n") <= 12
    folder = copy_workflow(tmp_path / "copy")
    (folder / f"{name}.yaml").write_text(EXAMPLES[name])
    BRING[name](folder)
    snakemake(folder, f"results/{name}/sorted.parquet", "--configfile", f"{name}.yaml")
    results = folder / "results" / name
    movies, labelled = (pq.read_table(results / f"{table}.parquet") for table in ("movies", "sorted"))
    settings = yaml.safe_load(EXAMPLES[name])
    zone = settings["datasets"][name].get("timezone")
    slot = settings.get("slot", "day") + (f" {zone}" if zone else "")
    slots = labelled["slot"].to_numpy()
    requests, items, item, begin, count = EXPECTED[name]
    assert int(labelled["label"].to_numpy().sum()) == requests
    assert (len(movies), movies["item"][0].as_py()) == (items, item)
    assert (str(slot_start(slots[:1], slot)[0]), int(slots[-1] - slots[0]) + 1) == (begin, count)
    assert (results / "log.json").exists()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_has_a_plan_to_its_report(tmp_path: Path, name: str) -> None:
    folder = copy_workflow(tmp_path / "copy")
    (folder / f"{name}.yaml").write_text(EXAMPLES[name])
    BRING[name](folder)
    planned = snakemake(folder, "--dry-run", "--configfile", f"{name}.yaml")
    for made in ("leaderboard.csv", "forecast.csv", "cache.csv", "report.html"):
        assert f"results/{name}/{made}" in planned


def test_a_trace_runs_to_its_report_with_bytes_and_in_its_own_words(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "copy")
    (folder / "trace.yaml").write_text(EXAMPLES["trace"])
    trace(folder)
    models = yaml.safe_load((folder / "config.yaml").read_text())["models"]
    learned = ("ridge", "poisson_glm", "lightgbm", "lightgbm_offset")
    small = {
        "defaults": {"epochs": 1, "layers": [4], "dense_units": 4, "sampled_movies": 50},
        "models": {name: None for name in models if name != "lstm"},
        "baselines": dict.fromkeys(learned),
        "window": 5,
        "seeds": [1],
        "cache": {"policies": ["LRU", "S3-FIFO", "Belady"]},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    snakemake(folder, "--configfile", "trace.yaml", "small.yaml")
    results = folder / "results" / "trace"
    assert (results / "report.html").stat().st_size > 100_000
    caches = pd.read_csv(results / "cache.csv")
    assert caches["movies"].isna().all()
    assert caches["bytes"].between(1, 499 * 7).all()
    assert caches["byte_hit_ratio"].between(0, 1).all()
    forecast = pd.read_csv(results / "forecast.csv", dtype={"item": str})
    assert forecast["item"].map(int).ge(2**63).all()
    pages = [results / "front_page.rst", *results.glob("captions/*"), *results.glob("tables/*")]
    assert len(pages) > 25
    for page in pages:
        # Names of rules and of settings are no words.
        assert not re.search(r"(?<![_\w])movies?(?![_\w])", page.read_text(), re.IGNORECASE), page
    shown = re.sub(r"[\w/+=]{200,}", "", (results / "report.html").read_text())
    assert "Life of" in shown or "An object's life" in shown
    assert "A movie's life" not in shown


def test_there_are_five_examples() -> None:
    assert list(EXAMPLES) == list(BRING)


def test_a_log_is_described_before_anything_is_said_of_it(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "copy")
    rows = "".join(f"{n},SKU-{n % 7},2024-01-{1 + n % 28:02},{n}\n" for n in range(100))
    (folder / "clicks.csv").write_text("customer_id,sku,clicked_date,page_size\n" + rows)
    (folder / "shop.yaml").write_text("dataset: shop\ndatasets: {shop: {url: clicks.csv}}\n")
    shown = snakemake(folder, "describe", "--configfile", "shop.yaml")
    assert "times taken for: dates as in 2024-12-31" in shown
    written = folder / "results" / "shop" / "described.yaml"
    assert yaml.safe_load(written.read_text()) == {
        "dataset": "shop",
        "datasets": {
            "shop": {
                "url": "clicks.csv",
                "columns": {
                    "item": "sku",
                    "time": "clicked_date",
                    "user": "customer_id",
                    "size": "page_size",
                },
            }
        },
    }
    assert "# To decide: timezone" in written.read_text()
    shutil.copy(written, folder / "my.yaml")
    snakemake(folder, "results/shop/sorted.parquet", "--configfile", "my.yaml")
