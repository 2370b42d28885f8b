"""Settings of a network: an entry of ``models`` in config.yaml, and all that a training depends on."""

from dataclasses import dataclass
from typing import Annotated, Literal

from popularity.settings.baselines import Baseline
from popularity.settings.fields import Limits, setting
from popularity.settings.slots import FoldSplit

Gaps = Literal["calendar", "observed"]
Units = Annotated[int, Limits(minimum=1, maximum=4096)]
Feature = Annotated[str, Limits(words="feature")]
#: A function of the user's own file; its path is one of the file system, without signs of Snakemake's.
OWN = r"^[^:{}<>]+\.py:[A-Za-z_][A-Za-z0-9_]*$"


def is_own(name: str) -> bool:
    """Whether a name of the settings is a function of the user's own."""
    return ".py:" in name


@dataclass(frozen=True)
class Convolution:
    """A causal convolution over time."""

    filters: int = setting("Filters.", 32, minimum=1)
    kernel_size: int = setting("Slots a filter spans.", 3, minimum=1)
    dilation: int = setting("Distance of those slots.", 1, minimum=1)


@dataclass(frozen=True)
class ModelSettings:
    """Settings of a model; null leaves it out."""

    input: Literal["movie", "all_movies"] = setting(
        "What a row of the network is, one movie's series or those of all movies together.", "movie"
    )
    top_movies: int = setting(
        "With all_movies, how many movies are told apart; the others are one.",
        100,
        minimum=1,
        maximum=100_000,
    )
    output: Literal["last_step", "every_step"] = setting(
        "Whether the network predicts after the window alone or after each of its slots.", "every_step"
    )
    build: str | None = setting(
        "Function of your own file, file.py:function, that makes what reads the window, in place of cell, "
        "layers and convolution (docs/own-network.md); null for these.",
        None,
        pattern=OWN,
    )
    cell: str = setting("Recurrent layer.", "lstm", words="cell")
    layers: tuple[Units, ...] = setting("Units of each recurrent layer.", (32,), length=1)
    bidirectional: bool = setting("Read the window in both directions; with the output last_step.", False)
    layer_normalization: bool = setting("Normalise the outputs of each recurrent layer.", False)
    convolution: Convolution | None = setting(
        "A causal convolution over time before the recurrent layers.", None
    )
    dense_units: int = setting(
        "Units of a dense layer after the recurrent ones; 0 for none.", 32, minimum=0, maximum=4096
    )
    dropout: float = setting(
        "Share of the last hidden units that training leaves out.", 0.1, minimum=0, below=1
    )
    features: tuple[Feature, ...] = setting(
        "Names of what the model sees; at least one per step of the window.",
        (
            "log_count",
            "log_share",
            "log_total",
            "ewma_3",
            "ewma_14",
            "ewma_60",
            "decayed_count_60",
            "log_requests_capped",
            "mean_rating",
            "log_age",
            "log_idle_capped",
            "first_seen_recently",
            "log_release_age",
            "new_release",
            "new_release_idle",
            "requested_once",
            "requested_up_to_3",
            "calendar",
            "seasons",
            "offset_averages",
        ),
        length=1,
        unique=True,
    )
    offset: str = setting("What the network's output is added to.", "mixture", words="offset")
    loss: str = setting("What training lowers.", "softmax_cross_entropy", words="loss")
    optimizer: str = setting("An optimizer of Keras, by name.", "adamw", words="optimizer")
    learning_rate: float = setting("Size of a step.", 0.005, above=0, maximum=10)
    schedule: str = setting(
        "How the learning rate falls over all epochs (linear and cosine to 0, exponential to 1 %, "
        "inverse_time to 10 %).",
        "constant",
        words="schedule",
    )
    weight_decay: float | None = setting(
        "Weight decay, as a share of the learning rate; null for none.", 0.0001, minimum=0
    )
    clipnorm: float | None = setting(
        "Gradient clipping: largest norm of a weight matrix's gradient; null for no limit.", 1.0, above=0
    )
    ema_momentum: float | None = setting(
        "Momentum of the exponential moving average of the weights over the steps, without the initial "
        "ones, which is the model; null for the weights of the last step.",
        0.998,
        minimum=0,
        below=1,
    )
    batch_size: int = setting("Windows of a training step.", 1024, minimum=1, maximum=1_000_000)
    epoch_steps: int | None = setting(
        "Training steps of an epoch, after which the model is validated, however long the log is; null for "
        "one pass over the training windows.",
        100,
        minimum=1,
    )
    epochs: int = setting("Most epochs of training.", 40, minimum=1, maximum=100_000)
    patience: int | None = setting(
        "Epochs without a better val_loss before training stops; null to train all.", 5, minimum=1
    )
    score_at_epochs: tuple[Annotated[int, Limits(minimum=1)], ...] = setting(
        "Epochs after which the model is scored as well, in rows of their own (NAME_EPOCH).",
        (),
        unique=True,
    )
    sampled_movies: int = setting(
        "With softmax losses, movies without a request that a training slot (with every_step a block of "
        "them) draws.",
        256,
        minimum=1,
    )
    requested_movies: int | None = setting(
        "With softmax losses, most movies with requests that a training slot (or block) takes: of more, "
        "about so many are drawn, those with more requests more often; null for all.",
        3000,
        minimum=1,
    )
    training_windows: int | None = setting(
        "With the other losses, training windows drawn at random; null for all.", 200_000, minimum=1
    )
    window: int | None = setting(
        "Slots that this model looks back on; null for the common window.", None, minimum=1, maximum=1000
    )
    gaps: Gaps | None = setting("This model's gaps; null for the common ones.", None)

    @property
    def own_files(self) -> tuple[str, ...]:
        """Files of the user's own that the model needs, each once."""
        named = [self.build or "", *self.features]
        return tuple(dict.fromkeys(name.rpartition(":")[0] for name in named if is_own(name)))

    @property
    def every_step(self) -> bool:
        """Whether the network predicts after each slot of its window."""
        return self.output == "every_step"

    @property
    def of_all_movies(self) -> bool:
        """Whether a row of the network is all movies together."""
        return self.input == "all_movies"


@dataclass(frozen=True)
class TrainingSettings:
    """All that the training of a model depends on, besides its data, name and seed.

    Attributes
    ----------
    model
        Its entry of ``models``, complete.
    slot
        Length of a slot.
    split
        Which slots are validation and test slots.
    offset
        The baseline that the network's output is added to, whose parameters the validation slots
        choose; None for none.
    seasons
        In slots.
    """

    model: ModelSettings
    slot: str
    split: FoldSplit
    offset: Baseline | None
    seasons: tuple[int, ...] = ()

    @property
    def window(self) -> int:
        """Slots that the model looks back on."""
        if self.model.window is None:
            raise ValueError("a model whose window is that of all was not resolved")
        return self.model.window

    @property
    def gaps(self) -> Gaps:
        """What its window is made of."""
        if self.model.gaps is None:
            raise ValueError("a model whose gaps are those of all were not resolved")
        return self.model.gaps
