"""What one training run is: the task, the network, the optimiser and the seeds, and the name its files go by."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from numbers import Integral, Real
from typing import Any

from jaxtyping import Int
from torch import Tensor

from grokbook.model import ModelConfig
from grokbook.tasks import Task, make_task


@dataclass(frozen=True)
class TrainConfig:
    """One run. The optimiser's defaults are Appendix A's; `start` names the run whose final network this one continues.

    Adam's epsilon is torch's 1e-8 and there is no warm-up (the paper states neither). Numbers of any kind are stored as
    Python's own. Raises ValueError for what is not allowed.
    """

    task: str  # a name in tasks.TASKS
    modulus: int  # p; the S5 tasks ignore it
    train_size: int  # D, in equations
    steps: int  # full-batch updates
    weight_decay: float = 1.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    seed: int = 0  # of the initialisation, of the train set, of random labels and of dropout
    random_labels: bool = False
    model: ModelConfig = field(default_factory=ModelConfig)
    precision: str = "highest"  # of float32 matrix products, as torch names it; "medium" may use bfloat16 units
    start: "TrainConfig | None" = None
    regulariser: str = "decoupled"  # what weight_decay means: a name in regularisers.REGULARISERS
    optimiser: str = "adam"  # or "sgd", with momentum betas[0]
    dropout: float = 0.0  # share of the hidden neurons that are silent in a training step
    loss: str = "stable"  # the form its gradient is computed in; or "cross-entropy", which float32 rounds away
    epsilon: float = 1e-8  # added to the root of Adam's second moment; sgd ignores it

    def __post_init__(self) -> None:
        for name in ("modulus", "train_size", "steps", "seed"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < 2**32:
                raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 0 and below 2**32")
            object.__setattr__(self, name, int(value))
        for name, (fits, words) in NUMBERS.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not fits(value):
                raise ValueError(f"{name} is {value!r}; it must be {words}")
            object.__setattr__(self, name, abs(float(value)))  # -0.0 equals 0.0 and is to have its key
        for name, (kind, words) in KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {words}")
        pair = isinstance(self.betas, Sequence) and len(self.betas) == 2
        if not pair or not all(isinstance(beta, Real) and 0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}; they must be two numbers, at least 0 and below 1")
        object.__setattr__(self, "betas", tuple(abs(float(beta)) for beta in self.betas))
        if self.regulariser == "decoupled" and self.weight_decay * self.learning_rate >= 1:
            raise ValueError(f"weight_decay is {self.weight_decay}; times learning_rate it must stay below 1")
        if self.random_labels not in (False, True):
            raise ValueError(f"random_labels is {self.random_labels!r}; it must be True or False")
        object.__setattr__(self, "random_labels", bool(self.random_labels))
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        self.split()
        if self.start is not None and (self.start.model, self.start.n_symbols) != (self.model, self.n_symbols):
            raise ValueError(
                f"start has {self.start.model} and {self.start.n_symbols} symbols; "
                f"it must have this run's, {self.model} and {self.n_symbols}"
            )

    @property
    def n_symbols(self) -> int:
        """How many symbols the task has, which is also how many classes: p, or the 120 elements of S5."""
        return 120 if self.task.startswith("s5") else self.modulus

    def make_task(self) -> Task:
        """The task, with its random labels if the run has them."""
        task = make_task(self.task, self.modulus)
        return task.with_random_labels(self.seed) if self.random_labels else task

    def split(self) -> tuple[Int[Tensor, "train"], Int[Tensor, "test"]]:
        """The run's train and test indices."""
        return make_task(self.task, self.modulus).split(self.train_size, self.seed)

    def to_json(self) -> str:
        """The configuration as canonical JSON; fields of LATER are written only when they differ from their default."""
        return json.dumps(_written(asdict(self)), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """The inverse of `to_json`."""

        def build(values: dict) -> TrainConfig:
            start = build(values["start"]) if values["start"] else None
            model, betas = ModelConfig(**values["model"]), tuple(values["betas"])
            return cls(**(values | {"model": model, "betas": betas, "start": start}))

        return build(json.loads(text))

    @property
    def key(self) -> str:
        """A short hash that names this run in files."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


LATER = {"regulariser": "decoupled", "optimiser": "adam", "dropout": 0.0, "loss": "stable", "epsilon": 1e-8}
"""Fields that came after the first runs were recorded, which keep the names they had without them."""
NUMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "weight_decay": (lambda value: 0 <= value < inf, "at least 0 and finite"),
    "learning_rate": (lambda value: 0 < value < inf, "positive and finite"),
    "dropout": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "epsilon": (lambda value: 0 < value < inf, "positive and finite"),
}
KINDS: dict[str, tuple[Any, str]] = {
    "task": (str, "a name in tasks.TASKS"),
    "model": (ModelConfig, "a ModelConfig"),
    "start": (TrainConfig | None, "a TrainConfig or None"),
}
CHOICES = {
    "precision": ("highest", "high", "medium"),
    "regulariser": ("decoupled", "l2", "l1", "linf"),
    "optimiser": ("adam", "sgd"),
    "loss": ("stable", "cross-entropy"),
}
ALIKE = ("task", "modulus", "steps", "learning_rate", "betas", "model", "precision", *LATER)
"""Fields that the runs of one ensemble share."""


def _written(values: dict) -> dict:
    kept = {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}
    return kept | {"start": _written(kept["start"]) if kept["start"] else None}


def check_alike(configs: Sequence[TrainConfig]) -> None:
    """Raise ValueError unless the configs can train as one ensemble."""
    if not configs:
        raise ValueError("configs is empty; at least one run is needed")
    for name in ALIKE:
        values = {getattr(c, name) for c in configs}
        if len(values) > 1:
            raise ValueError(f"{name} differs within the ensemble: {sorted(map(str, values))}; it must be the same")
