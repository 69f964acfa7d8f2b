"""Isolation: against the proxies' own definitions, on networks where nothing, or one thing only, can differ."""

import pytest
import torch

from grokbook.circuits import centre, key_frequencies, logit_table, trig_metrics, without_embedded
from grokbook.isolation import WAYS, isolated_logits, with_noise
from grokbook.model import ModelConfig, init, logits
from grokbook.tasks import add
from grokbook.training import TrainConfig, train

TASK = add(11)
CONFIG = TrainConfig("add", 11, 90, 600, weight_decay=2.0, model=ModelConfig(24, 12, 48))


@pytest.fixture(scope="module")
def network() -> dict:
    return train([CONFIG], progress=False, log_steps=[]).params


def test_ways_agree_with_their_definitions_elsewhere(network: dict) -> None:
    seen, rest = CONFIG.split()
    found = isolated_logits(network, TASK, seen)
    assert tuple(found) == WAYS
    proxies = trig_metrics(network, TASK, seen)
    assert found["whole"] == pytest.approx(proxies["trig_logit"] + proxies["mem_logit"], rel=1e-4)
    assert found["trigonometric"] == pytest.approx(proxies["trig_logit"], rel=1e-4)
    x, y, label = TASK.x, TASK.y, TASK.label
    pairs = set(zip(x[seen].tolist(), y[seen].tolist(), strict=True))
    unseen = [i for i in rest.tolist() if (y[i].item(), x[i].item()) not in pairs]
    out = logits(network, x[None, unseen], y[None, unseen])[0]
    correct = out.gather(1, label[unseen, None])[:, 0] - out.mean(1)
    assert found["held out"] == pytest.approx(correct.mean().item(), rel=1e-3)


def test_ablation_changes_nothing_in_an_embedding_without_other_frequencies(network: dict) -> None:
    """Embed with one frequency and its constant: whatever the logits' key frequencies are, only it can be taken out."""
    only = without_embedded(network, [1, 2, 4, 5])
    keys = key_frequencies(centre(logit_table(only)[0].double()))
    found = isolated_logits(only, TASK, CONFIG.split()[0])
    same = found["key frequencies"] == pytest.approx(found["whole"], rel=1e-4)
    assert same == (3 in keys)


def test_nothing_is_held_out_of_the_whole_table() -> None:
    params = init(CONFIG.model, TASK, [0])
    found = isolated_logits(params, TASK, torch.arange(len(TASK)))
    assert torch.isnan(torch.tensor(found["held out"]))
    assert found["whole"] == pytest.approx(found["trigonometric"], abs=1e-6)  # r = 1: both are the mean over all pairs


def test_noise_has_the_size_asked_for_in_every_tensor_and_run(network: dict) -> None:
    two = {name: torch.cat([weight, 3 * weight]) for name, weight in network.items()}
    noisy = with_noise(two, 0.1, seed=0)
    for name, weight in two.items():
        ratio = (noisy[name] - weight).flatten(1).norm(dim=1) / weight.flatten(1).norm(dim=1)
        assert (ratio - 0.1).abs().max() < (0.03 if weight[0].numel() > 100 else 0.08), name
    again, other = with_noise(two, 0.1, seed=0), with_noise(two, 0.1, seed=1)
    assert torch.equal(noisy["W_E"], again["W_E"]) and not torch.equal(noisy["W_E"], other["W_E"])
    assert all(torch.equal(with_noise(two, 0, seed=0)[name], weight) for name, weight in two.items())


def test_negative_noise_is_refused(network: dict) -> None:
    with pytest.raises(ValueError, match=r"size is -0.1; it must be at least 0"):
        with_noise(network, -0.1, seed=0)
