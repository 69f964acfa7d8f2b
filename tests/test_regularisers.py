"""Regularisers, optimisers, dropout and the usual cross-entropy against torch's own, in float64."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from grokbook.config import TrainConfig
from grokbook.model import ModelConfig, init, logits, textbook_logits
from grokbook.regularisers import REGULARISERS, norm_metrics
from grokbook.step import Dropout, Gradient, cross_entropy_gradient_, losses_gradient_
from grokbook.tasks import add
from grokbook.training import train

SMALL = ModelConfig(d_model=8, d_head=4, d_mlp=16)
BASE = TrainConfig("add", 7, 30, 60, weight_decay=0.3, model=SMALL)


def ours(config: TrainConfig) -> dict[str, torch.Tensor]:
    start = {name: w.double() for name, w in init(SMALL, add(7), [config.seed]).items()}
    return train([config], start=start, log_steps=[], progress=False).params


def theirs(config: TrainConfig, make, penalty=None) -> dict[str, torch.Tensor]:
    """The same training with torch's optimiser on the textbook network, the penalty added to the loss."""
    task = add(7)
    params = {name: w.double().requires_grad_() for name, w in init(SMALL, task, [config.seed]).items()}
    optimiser, index = make(list(params.values())), config.split()[0][None]
    for _ in range(config.steps):
        optimiser.zero_grad()
        out = textbook_logits(params, task.x[index], task.y[index])[0]
        loss = cross_entropy(out, task.label[index[0]])
        if penalty is not None:
            loss = loss + config.weight_decay * sum(penalty(w) for w in params.values())
        loss.backward()
        optimiser.step()
    return params


def agree(one: dict, other: dict) -> None:
    for name in one:
        torch.testing.assert_close(one[name], other[name].detach(), rtol=1e-7, atol=1e-9)


def adam(params):
    return torch.optim.Adam(params, lr=1e-3, betas=(0.9, 0.98))


def test_coupled_l2_is_the_penalty_of_torchs_adam() -> None:
    config = replace(BASE, regulariser="l2")
    agree(ours(config), theirs(config, adam, lambda w: w.square().sum() / 2))
    agree(ours(config), theirs(config, lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.3)))


def test_l1_is_the_penalty() -> None:
    config = replace(BASE, regulariser="l1", weight_decay=0.01)
    agree(ours(config), theirs(config, adam, lambda w: w.abs().sum()))


def test_sgd_is_torchs_with_momentum() -> None:
    config = replace(BASE, optimiser="sgd", regulariser="l2", learning_rate=0.05, weight_decay=0.01)
    agree(ours(config), theirs(config, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01)))


def test_epsilon_is_torchs() -> None:
    config = replace(BASE, weight_decay=0.0, epsilon=1e-3)
    agree(ours(config), theirs(config, lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.98), eps=1e-3)))
    assert not torch.allclose(ours(config)["W_U"], ours(replace(config, epsilon=1e-8))["W_U"], rtol=1e-3)


def test_linf_keeps_every_parameter_within_its_bound() -> None:
    config = replace(BASE, regulariser="linf", weight_decay=5.0)
    largest = max(w.abs().max().item() for w in ours(config).values())
    assert 0.2 <= largest <= 0.2 + 1.1e-3 * 3  # one Adam step may exceed the bound by about the learning rate
    free = ours(replace(config, weight_decay=0.0))
    assert max(w.abs().max().item() for w in free.values()) > 0.5
    agree(free, ours(replace(BASE, weight_decay=0.0)))


def test_every_regulariser_shrinks_or_bounds_a_run_of_its_own_strength() -> None:
    """In an ensemble as alone, by the norm that the regulariser is about, and against the same run without it."""
    strengths = {"decoupled": (0.3, 2), "l2": (0.3, 2), "l1": (0.01, 1), "linf": (5.0, torch.inf)}
    assert strengths.keys() == REGULARISERS.keys()
    for name, (strength, order) in strengths.items():
        config = replace(BASE, regulariser=name, weight_decay=strength)
        pair = [config, replace(config, weight_decay=0.0)]
        together = train(pair, log_steps=[], progress=False).params
        sizes = []
        for i, one in enumerate(pair):
            alone = train([one], log_steps=[], progress=False).params
            for weight in alone:
                torch.testing.assert_close(together[weight][i], alone[weight][0], rtol=1e-4, atol=1e-5)
            sizes.append(torch.cat([weight.flatten() for weight in alone.values()]).norm(order).item())
        assert sizes[0] < 0.99 * sizes[1], name


def test_cross_entropy_gradient_is_torchs_and_loses_what_float32_loses() -> None:
    out = torch.randn(1, 6, 5, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1, 2, 3, 4, 0])
    cross_entropy(out[0], label).backward()
    weight = torch.full((1, 6, 1), 1 / 6, dtype=torch.float64)
    found = cross_entropy_gradient_(out.detach().clone(), label.view(1, -1, 1), weight)
    torch.testing.assert_close(found, out.grad)
    confident, one = torch.tensor([[[40.0, 0.0, 0.0]]]), torch.ones(1, 1, 1)
    zero = torch.zeros(1, 1, 1, dtype=torch.int64)
    assert cross_entropy_gradient_(confident.clone(), zero, one)[0, 0, 0] == 0
    assert losses_gradient_(confident.clone(), zero, one)[0, 0, 0] < 0


def test_dropout_gradient_equals_automatic_differentiation_with_the_same_mask() -> None:
    task, rate, step = add(5), 0.4, 17
    params = {name: w.double().requires_grad_() for name, w in init(SMALL, task, [0, 1]).items()}
    index = torch.stack([task.split(12, seed)[0] for seed in (0, 1)])
    x, y, label = (t[index] for t in (task.x, task.y, task.label))
    dropout = Dropout(rate, [0, 1])
    weight = torch.full(index.shape, 1 / 12, dtype=torch.float64)
    Gradient(x, y, label, weight, params, dropout=dropout)(params, step)
    mask = torch.empty(2, 12, 16, dtype=torch.float64)
    dropout.draw_(mask, step)
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.6])
    assert (mask == 0).double().mean().item() == pytest.approx(rate, abs=0.08)

    leaves = {name: w.detach().clone().requires_grad_() for name, w in params.items()}
    # A mask on the hidden activations of one example is a factor on the rows of W_out.
    total = 0
    for run in range(2):
        for example in range(12):
            one = {name: w[run : run + 1] for name, w in leaves.items()}
            one["W_out"] = one["W_out"] * mask[run, example][None, :, None]
            out = logits(one, x[run : run + 1, example : example + 1], y[run : run + 1, example : example + 1])
            total = total + cross_entropy(out[0], label[run, example : example + 1]) / 12
    total.backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(params[name].grad, leaf.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("change", [{"dropout": 0.3}, {"optimiser": "sgd", "learning_rate": 0.05}])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, change) -> None:
    config = replace(BASE, **change)
    path, half = tmp_path / "run.safetensors", tmp_path / "half.safetensors"

    def keep_half(params, task, train_index) -> dict[str, float]:
        half.write_bytes(path.read_bytes())  # at step 45 the last checkpoint is that of step 30
        return {}

    whole = train([config], log_steps=[45], metrics=[keep_half], checkpoint=path, checkpoint_every=30, progress=False)
    again = train([config], log_steps=[], checkpoint=half, checkpoint_every=30, progress=False).params
    plain = train([config], log_steps=[], progress=False).params
    for name in plain:
        assert torch.equal(whole.params[name], again[name])
        assert torch.equal(plain[name], again[name])


def test_new_fields_keep_old_names_and_are_part_of_new_ones() -> None:
    assert "regulariser" not in BASE.to_json()
    changed = replace(BASE, regulariser="l1", start=replace(BASE, dropout=0.1))
    assert TrainConfig.from_json(changed.to_json()) == changed
    assert len({BASE.key, changed.key, replace(BASE, loss="cross-entropy").key}) == 3
    assert "epsilon" not in BASE.to_json() and replace(BASE, epsilon=1e-16).key != BASE.key


@pytest.mark.parametrize(
    "change", [{"regulariser": "l3"}, {"optimiser": "lion"}, {"loss": "mse"}, {"dropout": 1.0}, {"epsilon": 0.0}]
)
def test_bad_choices_are_refused(change) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(BASE, **change)


def test_norm_metrics_are_torchs_norms_of_all_parameters() -> None:
    params = init(SMALL, add(7), [3])
    whole = torch.cat([weight.flatten() for weight in params.values()]).double()
    found = norm_metrics(params, add(7), torch.arange(5))
    assert found["l1_norm"] == pytest.approx(torch.linalg.vector_norm(whole, 1).item())
    assert found["largest_weight"] == pytest.approx(torch.linalg.vector_norm(whole, torch.inf).item())
