"""The trigonometric projection against Appendix B's inner products, and its value where it is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grokbook import circuits
from grokbook.circuits import (
    centre,
    effective_frequencies,
    embedding_spectrum,
    frequency_amplitudes,
    key_frequencies,
    key_metric,
    logit_table,
    masked_frequencies,
    split_logits,
    trig_metrics,
    trig_share,
    without_embedded,
    without_frequencies,
)
from grokbook.model import ModelConfig, init, textbook_logits
from grokbook.tasks import add


def offsets(p: int) -> torch.Tensor:
    a, b, c = torch.meshgrid(*[torch.arange(p)] * 3, indexing="ij")
    return a + b - c


def brute_force_trig(logits: torch.Tensor) -> torch.Tensor:
    """Appendix B as written: K inner products with normalised vectors of length p³."""
    p = logits.shape[-1]
    projected = torch.zeros_like(logits)
    for k in range(1, math.ceil((p - 1) / 2) + 1):
        direction = torch.cos(2 * torch.pi * k * offsets(p).double() / p)
        direction /= direction.norm()
        projected += (logits * direction).sum() * direction
    return projected


@pytest.mark.parametrize("p", [5, 7, 11, 13])
def test_split_equals_the_projection(p):
    logits = torch.randn(p, p, p, dtype=torch.float64, generator=torch.Generator().manual_seed(p))
    trig, mem = split_logits(logits)
    expected = brute_force_trig(logits)
    assert (trig - expected).abs().max() < 1e-10
    assert (trig + mem - logits).abs().max() < 1e-12
    assert (trig * mem).sum().abs() < 1e-9


def test_a_leading_run_axis_changes_nothing():
    logits = torch.randn(3, 7, 7, 7, dtype=torch.float64)
    together = split_logits(logits)[0]
    assert torch.equal(together, torch.stack([split_logits(one)[0] for one in logits]))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([5, 7, 11, 13]), st.floats(0.05, 1), st.floats(0.1, 50), st.integers(0, 99))
def test_a_lookup_table_of_a_fraction_scores_that_fraction(p, fraction, height, seed):
    known = max(1, round(fraction * p * p))
    task = add(p)
    pairs = torch.randperm(p * p, generator=torch.Generator().manual_seed(seed))[:known]
    table = torch.zeros(p * p, p, dtype=torch.float64)
    table[pairs, task.label[pairs]] = height
    assert trig_share(table.view(p, p, p)) == pytest.approx(known / p**2, abs=1e-10)


def test_adding_a_constant_to_an_inputs_logits_leaves_the_share():
    logits = torch.randn(7, 7, 7, dtype=torch.float64)
    shifted = logits + 10 * torch.randn(7, 7, 1, dtype=torch.float64)
    assert trig_share(logits) == pytest.approx(trig_share(shifted), abs=1e-12)
    assert centre(shifted).allclose(centre(logits))


def test_key_frequencies_of_a_synthetic_network():
    p, amplitudes = 31, {3: 2.0, 7: 1.0, 15: 0.5}
    logits = sum(size * torch.cos(2 * torch.pi * k * offsets(p).double() / p) for k, size in amplitudes.items())
    logits = logits + 0.01 * torch.randn(p, p, p, dtype=torch.float64)
    assert key_frequencies(logits) == [3, 7, 15]
    found = frequency_amplitudes(logits)
    for k, size in amplitudes.items():
        assert found[k - 1] == pytest.approx(size, abs=1e-3)
    left = frequency_amplitudes(without_frequencies(logits, [3, 15]))
    assert left[[2, 14]].abs().max() < 1e-12
    assert left[6] == pytest.approx(1.0, abs=1e-3)


def test_embedding_spectrum_finds_a_planted_frequency():
    p = 29
    angle = 2 * torch.pi * 4 * torch.arange(p).double() / p
    W_E = torch.cat([torch.stack([angle.cos(), angle.sin()], dim=1), torch.ones(2, 2)])
    spectrum = embedding_spectrum(W_E, p)
    assert spectrum.argmax() == 3
    assert spectrum[3] == pytest.approx(1.0)


@pytest.mark.parametrize("p", [5, 9, 13])
def test_share_on_some_pairs_is_the_projection_on_them(p):
    """The restricted directions stay orthogonal: least squares, which assumes no such thing, finds the same."""
    generator = torch.Generator().manual_seed(p)
    logits = torch.randn(p, p, p, dtype=torch.float64, generator=generator)
    pairs = torch.randperm(p * p, generator=generator)[: p * p // 3]
    some = centre(logits).view(p * p, p)[pairs].flatten()
    t = offsets(p).view(p * p, p)[pairs].flatten().double()
    directions = torch.stack([torch.cos(2 * torch.pi * k * t / p) for k in range(1, (p + 1) // 2)], dim=1)
    coefficients = torch.linalg.lstsq(directions, some[:, None]).solution[:, 0]
    assert frequency_amplitudes(centre(logits), pairs).allclose(coefficients, atol=1e-12)
    share = (directions @ coefficients).square().sum() / some.square().sum()
    assert trig_share(logits, pairs) == pytest.approx(share.item(), abs=1e-12)
    assert trig_share(logits, torch.arange(p * p)) == pytest.approx(trig_share(logits), abs=1e-12)


def test_effective_number_of_frequencies():
    assert effective_frequencies(torch.tensor([0.0, 2, 0, -2, 2, 0])) == pytest.approx(3)
    p = 13
    table = torch.nn.functional.one_hot(add(p).label, p).double().view(p, p, p)
    assert effective_frequencies(frequency_amplitudes(centre(table))) == pytest.approx((p - 1) / 2)


def test_taking_frequencies_out_of_the_embedding():
    params = init(ModelConfig(16, 8, 32), add(11), [3, 4])
    cut = without_embedded(params, [2, 5])
    for before, after in zip(params["W_E"], cut["W_E"], strict=True):
        kept = embedding_spectrum(before, 11)
        kept[[1, 4]] = 0
        assert embedding_spectrum(after, 11).allclose(kept / kept.sum(), atol=1e-6)
        assert before[:11].mean(0).allclose(after[:11].mean(0), atol=1e-6)
        assert torch.equal(before[11:], after[11:])
    assert all(params[name] is cut[name] for name in params if name != "W_E")
    assert without_embedded(params, [])["W_E"].allclose(params["W_E"], atol=1e-6)


@pytest.mark.parametrize(("shape", "words"), [((6, 6, 6), "odd"), ((5, 5, 7), "a, b, c"), ((7, 5, 7), "a, b, c")])
def test_other_tables_are_refused(shape, words):
    with pytest.raises(ValueError, match=words):
        split_logits(torch.zeros(shape))


@pytest.mark.parametrize("k", [0, 6, -1])
def test_frequencies_that_are_none_are_refused(k):
    words = f"frequencies has {k}; each must be from 1 to .* = 5"
    with pytest.raises(ValueError, match=words):
        without_frequencies(torch.zeros(11, 11, 11), [k])
    with pytest.raises(ValueError, match=words):
        without_embedded(init(ModelConfig(16, 8, 32), add(11), [0]), [k])


def test_key_frequencies_survive_as_one_number(monkeypatch):
    task = add(11)
    for seed in range(4):
        params = init(ModelConfig(16, 8, 32), task, [seed])
        mask = key_metric(params, task, task.split(40, 0)[0])["key_mask"]
        assert masked_frequencies(mask) == key_frequencies(centre(logit_table(params)[0]))
    angle = 2 * torch.pi * offsets(113).double() / 113
    monkeypatch.setattr(circuits, "logit_table", lambda _: (angle.cos() + (56 * angle).cos())[None])
    assert masked_frequencies(key_metric({}, task, task.split(40, 0)[0])["key_mask"]) == [1, 56]  # no float holds both
    assert masked_frequencies(0) == [] and masked_frequencies(1 + 4 + 1024) == [1, 3, 11]
    for wrong in (2.5, -1, math.inf):
        with pytest.raises(ValueError, match=f"mask is {wrong}; it must be a sum of powers of two"):
            masked_frequencies(wrong)


def test_metrics_of_a_real_network():
    """The correct trig logit is one constant for all inputs: mean correct logit minus mean logit."""
    task = add(11)
    params = init(ModelConfig(16, 8, 32), task, [3])
    table = logit_table(params)[0]
    expected = textbook_logits(params, task.x[None], task.y[None])[0].view(11, 11, 11)
    assert table.allclose(expected, atol=1e-5)
    train, _ = task.split(40, 0)
    row = trig_metrics(params, task, train)
    correct = expected.view(121, 11).gather(1, task.label[:, None])
    assert row["trig_logit"] == pytest.approx((correct.mean() - expected.mean()).item(), abs=1e-5)
    total = centre(expected).view(121, 11).gather(1, task.label[:, None])[train].mean().item()
    assert row["trig_logit"] + row["mem_logit"] == pytest.approx(total, abs=1e-5)
    assert row["trig_share"] == pytest.approx(trig_share(expected), abs=1e-5)
    # Under its own labels the part has the same loss on every pair; under random ones the test pairs can be told.
    trig, test = brute_force_trig(expected.double()).view(121, 11), task.split(40, 0)[1]
    for labelled in (task, task.with_random_labels(0)):
        loss = torch.nn.functional.cross_entropy(trig[test], labelled.label[test]).item()
        assert trig_metrics(params, labelled, train)["trig_test_loss"] == pytest.approx(loss, rel=1e-5)
