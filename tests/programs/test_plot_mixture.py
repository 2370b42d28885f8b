"""The picture of the mixture: its bars, their names and its title."""

import json
from pathlib import Path

import pytest
from matplotlib.patches import Rectangle

import plot_mixture
from pictures import texts
from popularity.mixture_words import place_name, read_mixture
from popularity.offsets import Component, Following, Mixture
from popularity.program import Fault
from popularity.slots import Slot

MIXTURE = Mixture(
    (
        Component("counts", 9.0, 0, 0.1),
        Component("shares", 1.0, 0, 0.05),
        Component("season", 0.5, 24, 0.25),
        Component("season", 2.0, 168, 0.35),
        Component("season", 0.5, 168, 0.2),
        Component("even", weight=0.05),
    )
)


def test_each_average_is_a_bar_with_its_name_and_weight() -> None:
    figure = plot_mixture.plot_mixture(MIXTURE, Slot("hour America/New_York"), "here")
    (panel,) = figure.axes
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [
        "same hour of the day, half-life 0.5",
        "same hour of the week, half-life 2",
        "same hour of the week, half-life 0.5",
        "all slots by their requests, half-life 9 hours",
        "all slots alike, half-life 1 hour",
        "even share",
    ]
    bars = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    by_height = sorted(bars, key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in by_height] == [0.25, 0.35, 0.2, 0.1, 0.05, 0.05]
    assert {"25 %", "35 %", "5 %"} <= set(texts(figure))
    assert figure.get_suptitle().replace("\n", " ") == (
        "The mixture of averages is 55 % the same hour of the week and 25 % the same hour of the day, "
        "20 % other averages"
    )


def test_similar_days_count_with_their_season() -> None:
    parts = (
        Component("similar", 3.0, 24, 0.5),
        Component("season", 0.5, 24, 0.3),
        Component("even", weight=0.2),
    )
    figure = plot_mixture.plot_mixture(Mixture(parts), Slot("hour"), "here")
    (panel,) = figure.axes
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [
        "same hour of the day, of similar days",
        "same hour of the day, half-life 0.5",
        "even share",
    ]
    title = figure.get_suptitle().replace("\n", " ")
    assert title == "The mixture of averages is 80 % the same hour of the day, 20 % other averages"


def test_weights_that_follow_are_told(tmp_path: Path) -> None:
    found = {
        "kind": "naive",
        "components": [{"of": "counts", "half_life": 3.0, "season": 0, "weight": 1.0}],
        "following": {"half_life": 1.0, "held": 20.0},
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"mixture": found}))
    mixture = read_mixture(tmp_path / "metrics.json", "mixture")
    assert mixture == Mixture((Component("counts", 3.0),), Following(1.0, 20.0))
    figure = plot_mixture.plot_mixture(mixture, Slot("hour"), "here")
    assert figure.get_suptitle().replace("\n", " ").endswith("; its weights follow the last slots")
    told = "the weights start from these and change with the last slots (half forgotten after 1 hour)"
    assert any(told in text.replace("\n", " ") for text in texts(figure))


def test_without_a_season_the_title_says_so() -> None:
    plain = Mixture((Component("counts", 3.0, 0, 1.0),))
    assert plot_mixture.title_of(plain, Slot("day")).startswith("The mixture of averages holds no season")
    assert place_name(11, Slot("day")) == "place in 11 days"


def test_another_baseline_is_no_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"ewma": {"half_life": 3}}))
    options = ["--metrics", str(tmp_path / "metrics.json"), "--name", "ewma", "--dataset", "demo"]
    monkeypatch.setattr("sys.argv", ["plot_mixture", *options, "--slot", "day", "--folder", str(tmp_path)])
    with pytest.raises(Fault, match=r"metrics\.json: ewma is no mixture"):
        plot_mixture.main()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
