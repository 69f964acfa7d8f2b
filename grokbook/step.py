"""One full-batch step's gradient, written out by hand so that it costs little more than its matrix products.

The loss of an example with logits o and label y is, in the form used in the proof of Theorem D.1,

    log(1 + sum over y' != y of exp(o_y' - o_y)).

Computed so, float32 errs by a few parts in a million down to losses of 1e-38 and never overflows, while the usual
log-softmax loses everything below 1e-7. Its gradient is exp(o_y') / sum exp for a wrong class y', and minus the sum of
those for the right class: never the difference p - 1, in which the digits that matter cancel.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, softplus

from grokbook.model import Params, bags, shared


def losses(
    logits: Float[Tensor, "run example class"], label: Int[Tensor, "run example"]
) -> Float[Tensor, "run example"]:
    """The cross-entropy of each example in its stable form; differentiable."""
    label = label.unsqueeze(-1)
    others = logits.scatter(-1, label, -torch.inf).logsumexp(dim=-1)
    margin = others - logits.gather(-1, label).squeeze(-1)
    return softplus(margin, threshold=40)


def losses_gradient_(
    logits: Float[Tensor, "run example class"],
    label: Int[Tensor, "run example 1"],
    weight: Float[Tensor, "run example 1"],
) -> Float[Tensor, "run example class"]:
    """Overwrite the logits by the gradient of sum(weight * losses) with respect to them."""
    logits -= logits.amax(dim=-1, keepdim=True)
    right = logits.gather(-1, label).exp_()
    wrong = logits.exp_().scatter_(-1, label, 0.0).sum(dim=-1, keepdim=True)
    scale = weight / (wrong + right)
    return logits.mul_(scale).scatter_(-1, label, -wrong * scale)


def cross_entropy_gradient_(
    logits: Float[Tensor, "run example class"],
    label: Int[Tensor, "run example 1"],
    weight: Float[Tensor, "run example 1"],
) -> Float[Tensor, "run example class"]:
    """The same gradient as one usually writes it: softmax less one-hot, whose digits cancel for confident answers."""
    probability = torch.softmax(logits, dim=-1)
    probability.scatter_add_(-1, label, -torch.ones_like(weight))
    return torch.mul(probability, weight, out=logits)


LOSS_GRADIENTS = {"stable": losses_gradient_, "cross-entropy": cross_entropy_gradient_}


class Dropout:
    """Which hidden neurons are silent in a step; a run's pattern depends on its seed and on the step alone."""

    def __init__(self, rate: float, seeds: Sequence[int]):
        self.rate, self.seeds = rate, seeds

    def draw_(self, mask: Float[Tensor, "run example m"], step: int) -> None:
        """Fill the mask with 0 for the silent neurons and 1 / (1 - rate) for the others."""
        for one, seed in zip(mask, self.seeds, strict=True):
            generator = torch.Generator(mask.device).manual_seed(1_000_003 * seed + step)
            one.bernoulli_(1 - self.rate, generator=generator).div_(1 - self.rate)


class Gradient:
    """The gradient of each run's mean train loss, for a fixed train set; buffers are kept between calls.

    `weight` sums to 1 over a run's examples and is 0 for padding. `loss_gradient_` is one of LOSS_GRADIENTS.
    """

    def __init__(
        self,
        x: Int[Tensor, "run example"],
        y: Int[Tensor, "run example"],
        label: Int[Tensor, "run example"],
        weight: Float[Tensor, "run example"],
        params: Params,
        loss_gradient_: Callable[[Tensor, Tensor, Tensor], Tensor] = losses_gradient_,
        dropout: Dropout | None = None,
    ):
        runs, examples = x.shape
        heads, width, m, classes = *params["W_O"].shape[1:3], params["W_in"].shape[2], params["W_U"].shape[2]
        self.heads = heads
        self.label, self.weight = label.unsqueeze(-1), weight.unsqueeze(-1)
        self.bags = bags(x, y, params["W_E"].shape[1] - 2)
        self.scatter = _scatter(self.bags, rows=runs * 2 * (params["W_E"].shape[1] - 2), dtype=weight.dtype)
        empty = params["W_in"].new_empty
        self.hidden, self.d_hidden = empty(runs, examples, m), empty(runs, examples, m)
        self.logits = empty(runs, examples, classes)
        self.d_sums = empty(runs, examples, heads * width + heads)
        self.loss_gradient_, self.dropout = loss_gradient_, dropout
        self.mask = None if dropout is None else empty(runs, examples, m)

    def __call__(self, params: Params, step: int = 0) -> None:
        """Write the gradient into `.grad` of every parameter, which must be leaves that require it.

        step: how many updates were made before, which decides what dropout silences.
        """
        if self.dropout is not None and self.mask is not None:
            self.dropout.draw_(self.mask, step)
        s = shared(params)
        torch.autograd.backward(s, self.backward(*(t.detach() for t in s)))

    @torch.no_grad()
    def backward(
        self, table: Tensor, constant: Tensor, into_mlp: Tensor, past_mlp: Tensor, out_of_mlp: Tensor
    ) -> tuple[Tensor, ...]:
        """Forward and backward through everything that depends on an example; the gradient of each field of Shared."""
        runs, rows, width = table.shape
        values, weights, per_head = slice(0, -self.heads), slice(-self.heads, None), (self.heads, -1)
        # Forward. As in `model.attend`, the sums become averages of values, with ones in place of the weights.
        attended = embedding_bag(self.bags, table.reshape(-1, width), mode="sum").view(runs, -1, width).add_(constant)
        total = attended[..., weights].unsqueeze(-1).clone()
        attended[..., values].unflatten(2, per_head).div_(total)
        attended[..., weights] = 1
        torch.bmm(attended, into_mlp, out=self.hidden).relu_()
        if self.mask is not None:
            self.hidden.mul_(self.mask)
        torch.bmm(attended, past_mlp, out=self.logits).baddbmm_(self.hidden, out_of_mlp)
        # Backward.
        d_logits = self.loss_gradient_(self.logits, self.label, self.weight)
        torch.bmm(d_logits, out_of_mlp.mT, out=self.d_hidden)
        if self.mask is not None:
            self.d_hidden.mul_(self.mask)
        torch.ops.aten.threshold_backward.grad_input(self.d_hidden, self.hidden, 0, grad_input=self.d_hidden)
        d_sums = torch.bmm(d_logits, past_mlp.mT, out=self.d_sums).baddbmm_(self.d_hidden, into_mlp.mT)
        d_into_mlp, d_past_mlp = _outer(attended, self.d_hidden), _outer(attended, d_logits)
        # average = values / total, head by head.
        d_values = d_sums[..., values].unflatten(2, per_head).div_(total)
        d_sums[..., weights] = -(d_values * attended[..., values].unflatten(2, per_head)).sum(dim=-1)
        return (
            (self.scatter @ d_sums.view(-1, width)).view(runs, rows, width),
            d_sums.sum(dim=1, keepdim=True),
            d_into_mlp,
            d_past_mlp,
            _outer(self.hidden, d_logits),
        )


def _outer(a: Float[Tensor, "run example i"], b: Float[Tensor, "run example j"]) -> Float[Tensor, "run i j"]:
    """Each run's sum over examples of a's row times b's.

    Transposing the narrower factor is faster, and a lone run is unbatched, as torch then copies no transpose.
    """
    if b.shape[2] < a.shape[2]:
        return _outer(b, a).mT
    return (a[0].T @ b[0]).unsqueeze(0) if len(a) == 1 else a.mT @ b


def _scatter(bags: Int[Tensor, "example two"], rows: int, dtype: torch.dtype) -> Float[Tensor, "row example"]:
    """The sparse matrix whose row r marks the examples that summed row r of the tables: gathering, transposed."""
    example = torch.arange(len(bags), device=bags.device).repeat_interleave(2)
    ones = torch.ones(len(example), dtype=dtype, device=bags.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)  # torch calls its CSR format beta
        marks = torch.stack([bags.flatten(), example])
        return torch.sparse_coo_tensor(marks, ones, (rows, len(bags)), check_invariants=False).to_sparse_csr()
