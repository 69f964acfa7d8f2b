"""The 1-layer decoder-only transformer of Appendix A, many runs at once.

The input is the four tokens x ∘ y =, the output the logits at the last one. Every tensor carries a leading `run` axis
(an ensemble trains as one batched computation); parameters have TransformerLens' names and shapes. There is no
LayerNorm and the activation is ReLU, as in the code people use for this task; the paper does not say.

Axes: run, example, class; n symbols; t = n + 2 tokens (the symbols, ∘, =); pos = 4; d = d_model; h heads; e = d_head;
m = d_mlp.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from grokbook.tasks import Task

Params = dict[str, Float[Tensor, "run *shape"]]


@dataclass(frozen=True)
class ModelConfig:
    """Widths of the network; the defaults are Appendix A's. d_model / d_head is the number of heads.

    Raises ValueError for widths that are no whole numbers from 1, and a d_head that does not divide d_model.
    """

    d_model: int = 128
    d_head: int = 32
    d_mlp: int = 512

    def __post_init__(self) -> None:
        for name in ("d_model", "d_head", "d_mlp"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number, at least 1")
            object.__setattr__(self, name, int(value))
        if self.d_model % self.d_head:
            raise ValueError(f"d_head is {self.d_head}; it must divide d_model, which is {self.d_model}")


def shapes(config: ModelConfig, n_symbols: int, n_classes: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter of one run."""
    d, e, m, heads = config.d_model, config.d_head, config.d_mlp, config.d_model // config.d_head
    return {
        "W_E": (n_symbols + 2, d),
        "W_pos": (4, d),
        "W_Q": (heads, d, e),
        "W_K": (heads, d, e),
        "W_V": (heads, d, e),
        "W_O": (heads, e, d),
        "W_in": (d, m),
        "b_in": (m,),
        "W_out": (m, d),
        "b_out": (d,),
        "W_U": (d, n_classes),
    }


def init(config: ModelConfig, task: Task, seeds: list[int]) -> Params:
    """Fresh parameters [run, ...], one run a seed: weights normal with deviation 1/sqrt(d_model), biases zero.

    That is the initialisation of Nanda et al. 2023, but for W_U, theirs having 1/sqrt(n_classes + 1); the paper does
    not state its own. A run depends on its seed alone.
    """
    params: dict[str, list[Tensor]] = {}
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for name, shape in shapes(config, task.n_symbols, task.n_classes).items():
            weight = torch.randn(shape, generator=generator) / config.d_model**0.5
            params.setdefault(name, []).append(weight if name.startswith("W") else torch.zeros(shape))
    return {name: torch.stack(runs) for name, runs in params.items()}


def check_start(start: Params, config: ModelConfig, task: Task, runs: int) -> None:
    """Raise ValueError unless `start` has every parameter [run, ...] of the network, for one run or for `runs`."""
    wanted = shapes(config, task.n_symbols, task.n_classes)
    if start.keys() != wanted.keys():
        raise ValueError(f"start has the parameters {', '.join(start)}; they must be {', '.join(wanted)}")
    for name, shape in wanted.items():
        if tuple(start[name].shape) not in ((1, *shape), (runs, *shape)):
            of_one = ", ".join(map(str, shape))
            raise ValueError(f"start has {name} of shape {list(start[name].shape)}; it must be [1 or {runs}, {of_one}]")


def textbook_logits(
    params: Params, x: Int[Tensor, "run example"], y: Int[Tensor, "run example"]
) -> Float[Tensor, "run example class"]:
    """The forward pass as a textbook writes it: causal attention over the four tokens, MLP, unembedding.

    Written to be read and to check `logits` against; slow.
    """
    p = params
    n = p["W_E"].shape[1] - 2
    tokens = torch.stack([x, torch.full_like(x, n), y, torch.full_like(x, n + 1)], dim=-1)  # [run, example, pos]
    run = torch.arange(len(x), device=x.device)[:, None, None]
    residual = p["W_E"][run, tokens] + p["W_pos"][:, None]  # [run, example, pos, d]
    q, k, v = (torch.einsum("rxpd,rhde->rxhpe", residual, p[name]) for name in ("W_Q", "W_K", "W_V"))
    scores = q @ k.mT / q.shape[-1] ** 0.5  # [run, example, h, pos, pos]
    causal = torch.ones(4, 4, dtype=torch.bool, device=x.device).tril()
    pattern = scores.masked_fill(~causal, -torch.inf).softmax(dim=-1)
    residual = residual + torch.einsum("rxhpe,rhed->rxpd", pattern @ v, p["W_O"])
    hidden = torch.relu(torch.einsum("rxpd,rdm->rxpm", residual, p["W_in"]) + p["b_in"][:, None, None])
    residual = residual + torch.einsum("rxpm,rmd->rxpd", hidden, p["W_out"]) + p["b_out"][:, None, None]
    return torch.einsum("rxd,rdc->rxc", residual[:, :, -1], p["W_U"])


def logits(
    params: Params, x: Int[Tensor, "run example"], y: Int[Tensor, "run example"]
) -> Float[Tensor, "run example class"]:
    """The same function as `textbook_logits`, exactly, with every computation that examples share done once.

    Only the last position is read and its token is always "=", so a head has one query, and the attention score and
    value of x depend on x alone, those of y on y alone, and those of ∘ and = on nothing. Softmax attention is then
    a ratio of sums of table rows: (A[x] + B[y] + const) / (a[x] + b[y] + const). What follows is linear around one
    ReLU, so W_O W_in, W_O W_U and W_out W_U are multiplied out first.

    Scores of one head must stay within about 80 of each other (float32), which training with weight decay does.
    """
    s = shared(params)
    runs, _, width = s.table.shape
    sums = embedding_bag(bags(x, y, s.table.shape[1] // 2), s.table.reshape(-1, width), mode="sum")
    attended = attend(sums.view(runs, -1, width) + s.constant, heads=params["W_Q"].shape[1])
    hidden = torch.relu(attended @ s.into_mlp)
    return attended @ s.past_mlp + hidden @ s.out_of_mlp


class Shared(NamedTuple):
    """What all examples of a run share: attention's tables, and the matrices around the ReLU multiplied out."""

    table: Float[Tensor, "run 2n h*e+h"]  # rows A, a of every x, then B, b of every y
    constant: Float[Tensor, "run 1 h*e+h"]  # the same sums for the tokens ∘ and =
    into_mlp: Float[Tensor, "run h*e+h m"]  # W_O W_in, and below it a row for what does not depend on the example
    past_mlp: Float[Tensor, "run h*e+h class"]  # W_O W_U, likewise
    out_of_mlp: Float[Tensor, "run m class"]  # W_out W_U


def shared(params: Params) -> Shared:
    """Compute `Shared` from the parameters; cheap, for it never touches an example."""
    p = params
    runs, heads, d, e = p["W_Q"].shape
    n = p["W_E"].shape[1] - 2
    last = (p["W_E"][:, -1] + p["W_pos"][:, 3]).unsqueeze(1)  # the residual stream at "=", [run, 1, d]
    x_rows = p["W_E"][:, :n] + p["W_pos"][:, None, 0]
    y_rows = p["W_E"][:, :n] + p["W_pos"][:, None, 2]
    rows = torch.cat([x_rows, y_rows, p["W_E"][:, n:] + p["W_pos"][:, 1::2]], dim=1)  # [run, 2n + 2, d]
    query = (last.unsqueeze(1) @ p["W_Q"]) / e**0.5  # [run, h, 1, e]
    scores = rows @ (p["W_K"] @ query.mT).squeeze(3).mT  # [run, row, h]
    weights = torch.exp(scores - scores.detach().amax(dim=1, keepdim=True))
    W_V = p["W_V"].transpose(1, 2).reshape(runs, d, heads * e)
    values = (rows @ W_V).view(runs, -1, heads, e) * weights.unsqueeze(-1)
    table = torch.cat([values.flatten(2), weights], dim=2)
    W_O = p["W_O"].reshape(runs, heads * e, d)
    # The residual stream at "=" and the biases are the same for all examples. They go into one of the last h rows,
    # which meet the ones that `attend` leaves in the last h columns.
    bias_in = last @ p["W_in"] + p["b_in"].unsqueeze(1)
    bias_out = (last + p["b_out"].unsqueeze(1)) @ p["W_U"]
    return Shared(
        table=table[:, : 2 * n],
        constant=table[:, 2 * n :].sum(dim=1, keepdim=True),
        into_mlp=torch.cat([W_O @ p["W_in"], pad(bias_in, (0, 0, 0, heads - 1))], dim=1),
        past_mlp=torch.cat([W_O @ p["W_U"], pad(bias_out, (0, 0, 0, heads - 1))], dim=1),
        out_of_mlp=p["W_out"] @ p["W_U"],
    )


def bags(x: Int[Tensor, "run example"], y: Int[Tensor, "run example"], n: int) -> Int[Tensor, "run*example two"]:
    """Which two rows of the flattened tables [run * 2n, ...] each example sums."""
    first = torch.arange(len(x), device=x.device)[:, None] * 2 * n
    return torch.stack([first + x, first + n + y], dim=-1).reshape(-1, 2)


def attend(sums: Float[Tensor, "run example h*e+h"], heads: int) -> Float[Tensor, "run example h*e+h"]:
    """Divide each head's weighted sum of values by its sum of weights: the softmax average; then ones, a head each."""
    values, weights = sums[..., :-heads], sums[..., -heads:]
    average = (values.unflatten(2, (heads, -1)) / weights.unsqueeze(-1)).flatten(2)
    return torch.cat([average, torch.ones_like(weights)], dim=2)
