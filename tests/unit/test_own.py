"""Functions of the user's own files: a network and features, and what is said of wrong ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from popularity.features import Features, check_own_features
from popularity.forecasters.network.framings import Framing
from popularity.forecasters.network.saved import TrainedModel
from popularity.own import load_own, own_function
from popularity.program import Fault
from small_logs import catalogue_of, random_log, series_of, write_sequences
from small_networks import asked_of
from workdir import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "my_network.py"
LOG = random_log(60)
NETWORK = """import keras

def build(settings, example):
    steps = keras.Input(example.shape[1:])
    {line}
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text)
        load_own([path])
        return path

    return write


def test_a_transformer_and_a_feature_of_ones_own_are_trained_saved_and_run(
    tmp_path: Path, one_thread: None
) -> None:
    from popularity.forecasters.network import inference, training
    from train_model import fit

    load_own([EXAMPLE])
    features = ["log_count", "log_age", f"{EXAMPLE}:first_of_january"]
    asked = asked_of(
        {"build": f"{EXAMPLE}:build", "output": "every_step", "features": features, "epochs": 1}
    )
    write_sequences(tmp_path / "sequences.parquet", LOG, 4)
    movies = catalogue_of(LOG)
    trained, found = fit(asked, tmp_path / "sequences.parquet", movies)
    assert any("multi_head_attention" in weights.path for weights in trained.model.weights)
    training.save_network(trained, asked, found, tmp_path / "model.keras")
    kept = TrainedModel.open(tmp_path)
    assert kept.asked.settings.model.own_files == (str(EXAMPLE),)
    series = series_of(LOG)
    framing = Framing(series, movies, kept.asked.settings, kept.found)
    network = inference.load_network(kept.network_file)
    for _, known, shares in inference.LastStep(network).forecasts(framing, np.array([series.last_slot])):
        assert len(known) == len(shares)
        assert np.isfinite(shares).all()


def test_the_feature_of_the_example_is_1_on_the_1st_of_january() -> None:
    load_own([EXAMPLE])
    series = series_of(LOG.assign(slot=LOG["slot"] - LOG["slot"].min() + 16_400))
    names = [f"{EXAMPLE}:first_of_january"]
    made = Features.of_catalogue(series, catalogue_of(LOG), names, "day", 1, "calendar", None)
    slots = np.arange(16_401, 16_460)
    values = made(np.zeros(len(slots), int), slots)["static"][:, 0]
    # 1 January 2015 is the day 16,436 after 1 January 1970, which is the slot 1.
    assert slots[values == 1].tolist() == [16_437]


FUTURES = {
    "total": "np.full(len(pairs.movies), pairs.features.series.label.sum())",
    "last": "pairs.features.series.last_slot - pairs.slots",
    "next": "pairs.features.series.requests(pairs.slots)",
}


@pytest.mark.parametrize("line", FUTURES.values(), ids=FUTURES)
def test_a_feature_that_sees_the_future_is_refused(own: Callable[[str], Path], line: str) -> None:
    path = own(f"import numpy as np\n\ndef peek(pairs):\n    return {line}\n")
    series, movies = series_of(LOG), catalogue_of(LOG)
    with pytest.raises(Fault, match=f"{path}:peek: it sees the future"):
        check_own_features(series, movies, [f"{path}:peek"], "day", [series.first_slot + 30])


def test_features_of_the_past_are_taken(own: Callable[[str], Path]) -> None:
    path = own("import numpy as np\n\ndef past(pairs):\n    return np.c_[pairs.requests, pairs.idle]\n")
    series = series_of(LOG)
    check_own_features(
        series, catalogue_of(LOG), [f"{path}:past", "log_age"], "day", [series.first_slot + 30]
    )


FAULTS = {
    "def f(pairs:\n": r"mine\.py:1: '\(' was never closed",
    "import nowhere\n": r"mine\.py:1: ModuleNotFoundError: No module named 'nowhere'",
    "def g(pairs):\n    return 1\n": r"mine\.py: it has no function f",
    "def f(pairs):\n    return pairs.requests / pairs.nothing\n": r"mine\.py:2: AttributeError",
    "def f(pairs):\n    return 'a'\n": "it gave no numbers",
    "def f(pairs):\n    return [1.0]\n": r"shape \[1\] for 3 pairs",
    "def f(pairs):\n    return pairs.requests * float('nan')\n": "not finite",
}


@pytest.mark.parametrize(("text", "said"), FAULTS.items())
def test_a_fault_of_the_file_is_one_line_with_its_line(
    own: Callable[[str], Path], tmp_path: Path, text: str, said: str
) -> None:
    def use() -> None:
        name = f"{own(text)}:f"
        series = series_of(LOG)
        made = Features.of_catalogue(series, catalogue_of(LOG), [name], "day", 1, "calendar", None)
        made(np.array([0, 1, 2]), np.full(3, series.last_slot))

    with pytest.raises(Fault, match=said) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_a_file_that_was_not_given_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')\n")
    with pytest.raises(Fault, match="add --own"):
        own_function(f"{tmp_path}/mine.py:f")
    with pytest.raises(Fault, match="there is no such file"):
        load_own([tmp_path / "other.py"])


WRONG_NETWORKS = {
    "return 7": "it gave no model of Keras, but int",
    "return keras.Model(steps, keras.layers.Flatten()(steps))": r"allowed: \(None, 4, units\)",
    "return keras.Model(steps, keras.layers.Bidirectional("
    "keras.layers.GRU(2, return_sequences=True))(steps))": "depends on later slots",
    "return keras.layers.Dense(-1)(steps)": r"mine\.py:5: ValueError",
}


@pytest.mark.parametrize(("line", "said"), WRONG_NETWORKS.items())
def test_a_wrong_network_is_refused(
    own: Callable[[str], Path], one_thread: None, line: str, said: str
) -> None:
    from popularity.forecasters.network.architecture import build_network

    path = own(NETWORK.format(line=line))
    settings = asked_of({"build": f"{path}:build", "output": "every_step"}).settings.model
    draw = np.random.default_rng(1)
    example = {
        "steps": draw.normal(size=(16, 4, 2)).astype(np.float32),
        "static": draw.normal(size=(16, 4, 3)).astype(np.float32),
        "offset": np.zeros((16, 4, 1), np.float32),
    }
    with pytest.raises(Fault, match=said):
        build_network(settings, example, 0.1)


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "own-network.md").read_text()
    text = EXAMPLE.read_text()
    for name in ("build", "first_of_january"):
        function = text[text.index(f"def {name}") :].split("\n\n\n")[0].rstrip()
        assert function in page
