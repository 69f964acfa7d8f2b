"""Where the logits of modular addition come from: the trigonometric circuit and everything else (Appendix B).

Write Z(a, b, c) for the logit of class c on the input (a, b). The trigonometric algorithm produces only multiples of
cos(w_k (a + b - c)) with w_k = 2 pi k / p, so its part of Z is the projection onto those K = (p - 1) / 2 directions.

For odd p this projection is an average over the group: with g(t) the mean of Z over all (a, b, c) with
a + b - c = t mod p, it equals (g(t) + g(-t)) / 2 minus the mean of g. One pass over Z, instead of K inner products of
length p^3. The residual is what the paper calls the memorisation logits.

The same holds on any set of pairs (a, b), with means over that set alone. On pairs held out of training a lookup table
scores nothing, which on all pairs it does. Whatever takes the trigonometric part raises ValueError for even p.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokbook.model import Params, logits
from grokbook.step import losses
from grokbook.tasks import Task, add


def logit_table(params: Params) -> Float[Tensor, "run a b c"]:
    """The logits of networks trained on modular addition, on the whole (a, b) table."""
    p = params["W_U"].shape[2]
    task = add(p)
    device = params["W_U"].device
    x, y = (v.to(device).expand(len(params["W_U"]), -1) for v in (task.x, task.y))
    return logits(params, x, y).unflatten(1, (p, p))


def centre(logits: Float[Tensor, "*run a b c"]) -> Float[Tensor, "*run a b c"]:
    """Subtract each input's mean over classes: it changes no loss and no accuracy, but it would change any share."""
    return logits - logits.mean(dim=-1, keepdim=True)


def offset_means(
    logits: Float[Tensor, "*run a b c"], pairs: Int[Tensor, "pair"] | None = None
) -> Float[Tensor, "*run t"]:
    """g(t): the mean logit over all inputs and classes with a + b - c = t mod p. Raises ValueError unless p is odd.

    pairs: take only the inputs with these numbers a p + b, as `Task.split` gives them.
    """
    p = logits.shape[-1]
    if logits.shape[-3:] != (p, p, p):
        raise ValueError(
            f"logits have shape {tuple(logits.shape)}; the last three axes must be a, b, c of one length p"
        )
    if p % 2 == 0:
        raise ValueError(f"logits have p = {p}; the trigonometric projection needs an odd modulus")
    by_pair, class_at = logits.flatten(-3, -2), _class_at_offset(p, logits.device)
    if pairs is not None:
        by_pair, class_at = by_pair[..., pairs, :], class_at[pairs]
    return by_pair.gather(-1, class_at.expand(*logits.shape[:-3], -1, -1)).mean(-2)


def split_logits(
    logits: Float[Tensor, "*run a b c"],
) -> tuple[Float[Tensor, "*run a b c"], Float[Tensor, "*run a b c"]]:
    """Split logits on the whole (a, b) table into their trigonometric part and the memorisation part, the rest.

    The two are orthogonal and sum to the input. Centre over classes first (`centre`) if you want the rest
    or its size; the trigonometric part is the same either way. Raises ValueError unless a = b = c = p is odd.
    Source: Appendix B, "Isolating trigonometric logits".
    """
    trig = _trig_by_offset(logits)
    p = logits.shape[-1]
    a, b, c = torch.meshgrid(*[torch.arange(p, device=logits.device)] * 3, indexing="ij")
    trig = trig[..., (a + b - c) % p]
    return trig, logits - trig


def trig_share(logits: Float[Tensor, "a b c"], pairs: Int[Tensor, "pair"] | None = None) -> float:
    """The trigonometric part's share of the squared norm of the class-centred logits, between 0 and 1.

    A lookup table that holds a fraction f of all pairs perfectly scores f: a high share does not prove the algorithm.
    On `pairs` held out of training, projected onto the directions restricted to them, it scores nothing.
    """
    centred = centre(logits.double())
    power = centred.flatten(0, 1) if pairs is None else centred.flatten(0, 1)[pairs]
    return (_trig_by_offset(centred, pairs).square().mean() / power.square().mean()).item()


def frequency_amplitudes(
    logits: Float[Tensor, "a b c"], pairs: Int[Tensor, "pair"] | None = None
) -> Float[Tensor, "k"]:
    """The coefficient of cos(2 pi k (a + b - c) / p) in the logits, for k = 1 to K; in those of `pairs`, if given."""
    trig = _trig_by_offset(logits, pairs)
    return torch.fft.rfft(trig).real[..., 1:] * 2 / logits.shape[-1]


def effective_frequencies(amplitudes: Float[Tensor, "k"]) -> float:
    """How many frequencies carry the power: (sum A^2)^2 / sum A^4, n for n equal ones. A lookup table has all K."""
    power = amplitudes.double().square()
    return (power.sum().square() / power.square().sum()).item()


def embedding_spectrum(W_E: Float[Tensor, "token d_model"], p: int) -> Float[Tensor, "k"]:
    """The squared norm of the embedding of the p symbols at each frequency k = 1 to K, as shares that sum to 1."""
    power = torch.fft.rfft(W_E[:p], dim=0).abs().square().sum(dim=1)[1:]
    return power / power.sum()


def key_frequencies(logits: Float[Tensor, "a b c"], share: float = 0.02) -> list[int]:
    """The frequencies k whose amplitude carries at least `share` of the trigonometric part's squared norm."""
    power = frequency_amplitudes(logits).square()
    return (1 + (power >= share * power.sum()).nonzero().flatten()).tolist()


def without_frequencies(logits: Float[Tensor, "a b c"], frequencies: list[int]) -> Float[Tensor, "a b c"]:
    """The logits with cos(2 pi k (a + b - c) / p) taken out for each k of `frequencies`; ValueError beyond 1 to K."""
    p = logits.shape[-1]
    _check_frequencies(frequencies, p)
    a, b, c = torch.meshgrid(*[torch.arange(p, device=logits.device)] * 3, indexing="ij")
    amplitudes = frequency_amplitudes(logits)
    angle = 2 * torch.pi * ((a + b - c) % p).to(logits.dtype) / p
    return logits - sum(amplitudes[k - 1] * torch.cos(k * angle) for k in frequencies)


def without_embedded(params: Params, frequencies: list[int]) -> Params:
    """The networks with the given frequencies k taken out of the embedding of the p symbols, all else unchanged.

    Raises ValueError for k beyond 1 to K = (p - 1) / 2.
    """
    p = params["W_U"].shape[2]
    _check_frequencies(frequencies, p)
    spectrum = torch.fft.rfft(params["W_E"][:, :p], dim=1)
    spectrum[:, frequencies] = 0
    symbols = torch.fft.irfft(spectrum, n=p, dim=1)
    return params | {"W_E": torch.cat([symbols, params["W_E"][:, p:]], dim=1)}


def trig_metrics(params: Params, task: Task, train: Int[Tensor, "train"]) -> dict[str, float]:
    """Columns for a history: the proxy measures of Appendix B for one run on modular addition.

    trig_logit, mem_logit: mean correct logit of either part on the train set (trig_logit is the same on every input);
    trig_share; trig_test_loss: the test loss of the trigonometric part alone.
    """
    p = task.n_classes
    centred = centre(logit_table(params)[0])
    trig, mem = split_logits(centred)
    label = task.label.to(mem.device)
    test = torch.ones(len(task), dtype=torch.bool)
    test[train] = False
    trig_flat, mem_flat = trig.reshape(-1, p), mem.reshape(-1, p)
    trig_loss = losses(trig_flat[None], label[None])[0][test.to(label.device)]
    return {
        "trig_logit": trig_flat[0, label[0]].item(),
        "mem_logit": mem_flat.gather(1, label[:, None])[train.to(label.device)].mean().item(),
        "trig_share": (trig.double().square().sum() / centred.double().square().sum()).item(),
        "trig_test_loss": trig_loss.double().mean().item(),
    }


def key_metric(params: Params, task: Task, train: Int[Tensor, "train"]) -> dict[str, float]:
    """A column for a history: the key frequencies k of one run on modular addition, as the sum of 2^(k-1) over them.

    A whole number, exact for every p here; as a float it is up to p = 107, in a record (float32) up to p = 49.
    """
    return {"key_mask": sum(2 ** (k - 1) for k in key_frequencies(centre(logit_table(params)[0])))}


def masked_frequencies(mask: float) -> list[int]:
    """The frequencies k that a `key_mask` stands for, in order. Raises ValueError unless it is a whole number."""
    if not 0 <= mask < 2**1023 or mask != int(mask):
        raise ValueError(f"mask is {mask}; it must be a sum of powers of two")
    return [k + 1 for k, bit in enumerate(reversed(f"{int(mask):b}")) if bit == "1"]


def _check_frequencies(frequencies: Iterable[int], p: int) -> None:
    """Raise ValueError unless all lie between 1 and (p - 1) / 2."""
    for k in frequencies:
        if not 1 <= k <= (p - 1) // 2:
            raise ValueError(f"frequencies has {k}; each must be from 1 to (p - 1) / 2 = {(p - 1) // 2}")


def _class_at_offset(p: int, device: torch.device) -> Int[Tensor, "a*b t"]:
    """The class c with a + b - c = t mod p."""
    a, b, t = torch.meshgrid(*[torch.arange(p, device=device)] * 3, indexing="ij")
    return ((a + b - t) % p).flatten(0, 1)


def _trig_by_offset(
    logits: Float[Tensor, "*run a b c"], pairs: Int[Tensor, "pair"] | None = None
) -> Float[Tensor, "*run t"]:
    g = offset_means(logits, pairs)
    return (g + g.flip(-1).roll(1, dims=-1)) / 2 - g.mean(-1, keepdim=True)
