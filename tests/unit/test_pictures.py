"""What all pictures have alike: colours, ticks, numbers and bytes."""

from pathlib import Path

import numpy as np
import pytest

from popularity import style


def test_svg_holds_the_title_and_no_date(tmp_path: Path) -> None:
    figure, (panel,) = style.new_figure("What is $een & <said>", "here, 3 rows, 2 $ each")
    panel.plot([1, 2])
    style.save(figure, tmp_path, "one")
    text = (tmp_path / "one.svg").read_text()
    assert "What is $een &amp; &lt;said&gt;" in text
    assert "<dc:date>" not in text


def test_titles_break_into_even_lines() -> None:
    assert style.fill("one two three four", 14) == "one two\nthree four"
    assert style.fill("short", 80) == "short"


def test_more_models_than_colours_differ_in_their_dashes() -> None:
    looks = style.looks(f"model {n}" for n in range(28))
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 28


@pytest.mark.parametrize("most", [3, 5, 8])
@pytest.mark.filterwarnings("error")
def test_every_range_of_dates_has_ticks(most: int) -> None:
    for hours in (1, 24, 34, 43, 100, 2_000, 13_622, 15_216, 500_000):
        _, (panel,) = style.new_figure("one", "here")
        panel.plot(np.array([0, hours], "datetime64[h]"), [0, 1])
        style.label_values(panel.xaxis, "date", most=most)
        low, high = panel.get_xlim()
        assert 2 <= sum(low <= tick <= high for tick in panel.get_xticks()) <= 9


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.25, "25 %"), (0.025, "2.5 %"), (1, "100 %"), (0, "0 %"), (0.001, "0.1 %")],
)
def test_percent(share: float, text: str) -> None:
    assert style.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.54, "8.5 s"), (125, "2 min 5 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert style.duration(seconds) == text
