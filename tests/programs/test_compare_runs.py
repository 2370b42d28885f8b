"""Two runs side by side: settings, scores, paired intervals, and runs that can't be compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import compare_runs
from popularity import program
from popularity.forecasters.base import forecast_slots
from popularity.results import write_scores
from popularity.scoring import bootstrap
from popularity.scoring.scores import SCORES, score_forecasts, summarise
from small_forecasters import ewma, fixed
from small_logs import FIRST_SLOT, random_log, series_of

SERIES = series_of(random_log(60, movies=25, seed=5))
TEST = range(FIRST_SLOT + 40, SERIES.last_slot + 1)
SETTINGS: dict[str, Any] = {
    "slot": "day",
    "seeds": [1, 2],
    "models": {"net": {"cell": "lstm", "layers": [8], "convolution": None}},
    "baselines": {"count": {"method": "all_time_count"}},
}


def write_run(folder: Path, half_lives: list[float], test: range = TEST, **changes: Any) -> None:
    """Write a run whose network is an average, one half-life a seed."""
    settings = SETTINGS | changes
    forecasters = {("count", 0): fixed(SERIES, "all_time_count"), ("zero", 0): fixed(SERIES, "all_zero")}
    forecasters |= {("net", seed): ewma(SERIES, half) for seed, half in enumerate(half_lives, 1)}
    for (name, seed), forecaster in forecasters.items():
        path = folder / (f"models/{name}/seed-{seed}" if seed else f"baselines/{name}")
        path.mkdir(parents=True)
        slots = SERIES.requested_slots(test)
        scored = score_forecasts(SERIES, forecast_slots(forecaster, SERIES, slots))
        rows = scored.assign(name=name, kind="network" if seed else "naive", seed=seed, split="test")
        unused = rows.assign(split="validation", log_loss=1e9)
        write_scores(path / "scores.parquet", [unused, rows])
    parts = [pd.read_parquet(folder / "baselines" / name / "scores.parquet") for name in ("count", "zero")]
    write_scores(folder / "baselines" / "scores.parquet", parts)
    (folder / "settings.json").write_text(json.dumps(settings))


def rows_of(folder: Path, name: str, seed: int) -> pd.DataFrame:
    path = f"models/{name}/seed-{seed}" if seed else f"baselines/{name}"
    rows = pd.read_parquet(folder / path / "scores.parquet")
    return rows[rows["split"] == "test"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "old", [1, 2])
    model = {"cell": "gru", "layers": [8], "convolution": {"filters": 4}}
    write_run(folder / "new", [10, 20, 30], seeds=[1, 2, 3], models={"net": model}, window=7)
    return folder / "old", folder / "new"


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["compare_runs", *map(str, arguments)])
    program.run(compare_runs.main)


def test_what_changed_is_told(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = ["--scores", tmp_path / "scores.csv", "--settings", tmp_path / "settings.csv"]
    command(monkeypatch, *runs, *tables)
    changed = pd.read_csv(tmp_path / "settings.csv", keep_default_na=False)
    assert changed.to_numpy().tolist() == [
        ["models.net.cell", '"lstm"', '"gru"'],
        ["models.net.convolution", "null", ""],
        ["models.net.convolution.filters", "", "4"],
        ["seeds", "[1, 2]", "[1, 2, 3]"],
        ["window", "", "7"],
    ]
    scores = pd.read_csv(tmp_path / "scores.csv").set_index(["name", "score"])
    assert len(scores) == 3 * len(SCORES)
    # Of errors less is better, and of hits more.
    lower = {score for _, score in scores.index[scores["better"] == "lower"]}
    higher = {score for _, score in scores.index[scores["better"] == "higher"]}
    assert lower == {"cross_entropy", "rmse", "mae"}
    assert higher == set(SCORES) - lower
    seeds = {"net": [[1, 2], [1, 2, 3]], "count": [[0], [0]]}
    for name, sides in seeds.items():
        for column, run, found in zip(("before", "after"), runs, sides, strict=True):
            summaries = [summarise(rows_of(run, name, seed)) for seed in found]
            for score in SCORES:
                mean = np.mean([summary[score] for summary in summaries])
                assert scores.loc[(name, score), column] == pytest.approx(mean, rel=1e-9), score
    difference = scores["after"] - scores["before"]
    assert scores["difference"].to_numpy() == pytest.approx(difference.to_numpy(), abs=1e-12)
    assert (scores["low"] <= scores["difference"] + 1e-12).all()
    assert (scores["difference"] <= scores["high"] + 1e-12).all()
    assert (scores.loc["count", ["difference", "low", "high"]] == 0).to_numpy().all()
    printed = capsys.readouterr().out
    assert '"lstm"' in printed
    # The first rows are of the cross entropy, of which less is better.
    low, high = (scores[end]["net", "cross_entropy"] for end in ("low", "high"))
    verdict = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    line = next(line for line in printed.splitlines() if line.split()[:2] == ["cross_entropy", "net"])
    assert line.endswith(verdict)
    assert "no clear difference" in printed


def test_intervals_are_of_the_same_slots_drawn_for_both(runs: tuple[Path, Path], tmp_path: Path) -> None:
    slots = SERIES.requested_slots(TEST).astype(np.int64)
    sides = [pd.concat([rows_of(run, "net", seed) for seed in (1, 2)]) for run in runs]
    found = compare_runs.compare_scores(sides[0], sides[1], slots).set_index("score")
    differences: dict[str, list[float]] = {score: [] for score in SCORES}
    drawn = bootstrap.drawn_slots(len(slots))[1:201]
    for counts in drawn.astype(int):
        taken = np.repeat(np.arange(len(slots)), counts)
        again = [
            pd.DataFrame([summarise(rows.iloc[taken]) for _, rows in side.groupby("seed")]).mean()
            for side in sides
        ]
        for score in SCORES:
            differences[score].append(again[1][score] - again[0][score])
    for score, plain in differences.items():
        values = [
            np.mean(
                [compare_runs.drawn_score(score, rows, drawn) for _, rows in side.groupby("seed")], axis=0
            )
            for side in sides
        ]
        assert values[1] - values[0] == pytest.approx(np.array(plain), rel=1e-9, abs=1e-12), score
        near = 0.5 * float(np.std(plain))
        assert found["low"][score] == pytest.approx(np.quantile(plain, 0.025), abs=near)


def test_runs_of_other_splits_are_compared_on_the_slots_that_both_have(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    later = range(TEST.start + 8, TEST.stop)
    write_run(tmp_path / "later", [1, 2], later)
    command(monkeypatch, runs[0], tmp_path / "later", "--scores", tmp_path / "scores.csv")
    common = len(SERIES.requested_slots(later))
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert set(scores["slots"]) == {common}
    assert scores["difference"].abs().max() < 1e-12
    assert f"compared on {common} that both have" in capsys.readouterr().out


def test_runs_that_share_nothing_are_told_in_one_line(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "earlier"
    write_run(old, [1, 2], range(TEST.start - 10, TEST.start))
    with pytest.raises(SystemExit, match=r"^error: no test slot is in both runs: \d+ from \d+ to \d+ and "):
        command(monkeypatch, old, runs[1])
    path = old / "baselines/scores.parquet"
    rows = pd.read_parquet(runs[0] / "baselines/scores.parquet")
    rows["requests"] += 1
    write_scores(path, [rows])
    for seed in (1, 2):
        write_scores(old / f"models/net/seed-{seed}/scores.parquet", [rows_of(runs[0], "net", seed)])
    with pytest.raises(
        SystemExit, match=r"^error: slot \d+ has \d+ requests in one run and \d+ in the other"
    ):
        command(monkeypatch, old, runs[1])
    path.unlink()
    with pytest.raises(SystemExit, match=r"^error: .*scores\.parquet: is missing; finish the run of "):
        command(monkeypatch, runs[1], old)
    with pytest.raises(SystemExit, match=r"^error: .*settings\.json: is missing; is "):
        command(monkeypatch, runs[1], tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "lower", "higher"),
    [
        (0.1, 0.2, "worse", "better"),
        (-0.2, -0.1, "better", "worse"),
        (-0.1, 0.1, "no clear difference", "no clear difference"),
    ],
)
def test_the_verdict_is_by_what_is_better_of_each_score(
    low: float, high: float, lower: str, higher: str
) -> None:
    row = {"name": "net", "before": 1.0, "after": 1.1, "difference": 0.1, "low": low, "high": high}
    scores = pd.DataFrame(
        [
            {**row, "score": "cross_entropy", "better": "lower"},
            {**row, "score": "hit_ratio_5", "better": "higher"},
        ]
    )
    lines = compare_runs.as_text(pd.DataFrame(), scores).splitlines()[-2:]
    assert [line.split()[0] for line in lines] == ["cross_entropy", "hit_ratio_5"]
    assert [line.endswith(f" {verdict}") for line, verdict in zip(lines, (lower, higher), strict=True)] == [
        True,
        True,
    ]
