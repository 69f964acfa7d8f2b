"""What one training run is: the task, the network, the optimiser and the seeds, and the name its files go by."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from torch import Tensor

from grokbook.model import ModelConfig
from grokbook.tasks import Task, make_task


@dataclass(frozen=True)
class TrainConfig:
    """One run. The optimiser's defaults are Appendix A's; `start` names the run whose final network this one continues.

    Adam's epsilon is 1e-8 and there is no warm-up (the paper states neither).
    """

    task: str  # a name in tasks.TASKS
    modulus: int  # p; the S5 tasks ignore it
    train_size: int  # D, in equations
    steps: int  # full-batch updates
    weight_decay: float = 1.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    seed: int = 0  # of the initialisation, of the train set and of random labels
    random_labels: bool = False
    model: ModelConfig = field(default_factory=ModelConfig)
    precision: str = "highest"  # of float32 matrix products, as torch names it; "medium" may use bfloat16 units
    start: "TrainConfig | None" = None

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}; it must be at least 0")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}; it must be at least 0")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be positive")
        if self.weight_decay * self.learning_rate >= 1:
            raise ValueError(f"weight_decay is {self.weight_decay}; times learning_rate it must stay below 1")
        if self.precision not in ("highest", "high", "medium"):
            raise ValueError(f"precision is {self.precision!r}; it must be 'highest', 'high' or 'medium'")
        self.split()

    def make_task(self) -> Task:
        """The task, with its random labels if the run has them."""
        task = make_task(self.task, self.modulus)
        return task.with_random_labels(self.seed) if self.random_labels else task

    def split(self) -> tuple[Tensor, Tensor]:
        """The run's train and test indices."""
        return make_task(self.task, self.modulus).split(self.train_size, self.seed)

    def to_json(self) -> str:
        """The configuration as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True)

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


def check_alike(configs: Sequence[TrainConfig]) -> None:
    """Raise ValueError unless the configs can train as one ensemble."""
    if not configs:
        raise ValueError("configs is empty; at least one run is needed")
    for name in ("task", "modulus", "steps", "learning_rate", "betas", "model", "precision"):
        values = {getattr(c, name) for c in configs}
        if len(values) > 1:
            raise ValueError(f"{name} differs within the ensemble: {sorted(map(str, values))}; it must be the same")
