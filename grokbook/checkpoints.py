"""Checkpoints of an ensemble: parameters, the optimiser's moments and the history so far, in one safetensors file.

A killed process leaves the previous file. No pickle is ever loaded.
"""

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grokbook.config import TrainConfig
from grokbook.model import Params

FORMAT = "grokbook ensemble 1"


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole under another name, `.NAME.HOST.PROCESS` beside it, and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, unfinished, metadata)
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def save(
    path: str | Path,
    configs: Sequence[TrainConfig],
    params: Params,
    optimiser: torch.optim.Optimizer,
    step: int,
    rows: list[dict],
    seconds: float,
) -> None:
    """Write the state after `step` updates, which took `seconds`, and the history's rows to `path`."""
    tensors = {}
    for name, weight in params.items():
        tensors[name] = weight.detach()
        for moment in _moments(configs[0]):
            tensors[f"{moment}.{name}"] = optimiser.state[weight][moment]
    metadata = {
        "format": FORMAT,
        "configs": json.dumps([c.to_json() for c in configs]),
        "step": str(step),
        "history": json.dumps(rows),
        "seconds": str(seconds),
    }
    write(Path(path), tensors, metadata)


def load(
    path: str | Path, configs: Sequence[TrainConfig], params: Params, optimiser: torch.optim.Optimizer
) -> tuple[int, list[dict], float]:
    """Fill `params` and `optimiser` from `path`; return the step, the history's rows and the seconds spent so far.

    Raises ValueError, and changes nothing, when the file is damaged or belongs to other runs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"checkpoint {path} cannot be read ({error}); delete it to start again") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"checkpoint {path} is not a {FORMAT!r} file; it has format {metadata.get('format')!r}")
    if json.loads(metadata["configs"]) != [c.to_json() for c in configs]:
        raise ValueError(f"checkpoint {path} belongs to other runs; give another path or delete it")
    kinds = _moments(configs[0])
    wanted = {f"{prefix}{name}": w.shape for name, w in params.items() for prefix in ("", *(f"{m}." for m in kinds))}
    if {name: t.shape for name, t in tensors.items()} != wanted:
        raise ValueError(f"checkpoint {path} does not hold the tensors of these runs; delete it to start again")
    step = int(metadata["step"])
    with torch.no_grad():
        for name, weight in params.items():
            weight.copy_(tensors[name])
            moments = {m: tensors[f"{m}.{name}"].to(weight.device) for m in kinds}
            optimiser.state[weight] = {"step": torch.tensor(float(step), device=weight.device), **moments}
    return step, json.loads(metadata["history"]), float(metadata.get("seconds", 0))  # older files do not say


def header(path: Path) -> dict[str, str]:
    """What a checkpoint says of itself; empty when there is none to read, also when it is deleted meanwhile."""
    try:
        with safe_open(path, framework="np") as file:  # with "pt" the file is opened a second time, by torch
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def _moments(config: TrainConfig) -> tuple[str, ...]:
    """What the optimiser remembers of each parameter."""
    if config.optimiser == "sgd":
        return ("momentum_buffer",) if config.betas[0] else ()
    return ("exp_avg", "exp_avg_sq")
