"""Whether a regulariser's own norm places its front, on invented networks whose prices are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokbook.alternatives import NORMS, OWN, described
from grokbook.prices import networks, table
from grokbook.results import described_by
from grokbook.training import TrainConfig

BASE = TrainConfig("add", 23, 529, 4000)
KINDS = {
    "weight decay": {"weight_decay": 1.0},
    "L1 penalty": {"weight_decay": 1e-5, "regulariser": "l1"},
    "L∞ bound": {"weight_decay": 4.0, "regulariser": "linf"},
}
POWERS = {"parameter_norm": 0.3, "l1_norm": 0.5, "largest_weight": 0.1}  # how memory's price rises with D, by norm
CRITICAL = {"parameter_norm": 100.0, "l1_norm": 150.0, "largest_weight": 250.0}  # where it meets the rule's, by norm
SIZES, FRONT = (60, 120, 240), 130.0


def history(config: TrainConfig, accuracy: float = 1.0, without: tuple[str, ...] = (), **columns) -> pd.DataFrame:
    shape = {
        "step": np.array([0, 1000, 2000, 3500, 4000]),
        "run": config.key,
        **described_by(config),
        "converged": False,
        "train_accuracy": 1.0,
        "train_loss": 1e-6,
        "mirror_free_accuracy": accuracy,
        **{norm: 10.0 * CRITICAL[norm] ** POWERS[norm] for norm in NORMS},
    }
    return pd.DataFrame(shape | columns).drop(columns=list(without))


def run(seeds: int = 3, **memory) -> pd.DataFrame:
    """Networks of all KINDS: on random labels, on the whole table, and forgetting below FRONT."""
    random, starts, after = [], [], []
    for name, how in KINDS.items():
        for seed in range(seeds):
            start = replace(BASE, seed=seed, **how)
            starts.append(history(start))
            for size in SIZES:
                lookup = replace(start, train_size=size, random_labels=True)
                later = replace(start, train_size=size, start=start)
                price = {norm: 10.0 * size ** POWERS[norm] for norm in NORMS}
                without = () if name != "weight decay" else ("l1_norm", "largest_weight")
                random.append(history(lookup, without=without, **(price | memory)))
                after.append(history(later, accuracy=float(size > FRONT)))
    return networks(*(described(pd.concat(part, ignore_index=True)) for part in (random, starts, after)))


def test_each_kind_is_judged_by_its_own_norm() -> None:
    found = table(run()).set_index("kind")
    assert list(found.index) == list(KINDS)
    for kind, row in found.iterrows():
        assert row["norm"] == OWN[kind] and row["seeds"] == 3
        assert row["predicted"] == pytest.approx(CRITICAL[OWN[kind]])
        assert row["predicted_low"] == pytest.approx(row["predicted"]) == pytest.approx(row["predicted_high"])
        assert 120 < row["measured"] < 240


def test_any_norm_can_be_asked_for_where_it_was_measured() -> None:
    found = table(run(), "l1_norm").set_index("kind")
    assert np.isnan(found.loc["weight decay", "predicted"])
    assert found.loc["L∞ bound", "predicted"] == pytest.approx(CRITICAL["l1_norm"])
    with pytest.raises(ValueError, match="norm is 'l3'; allowed are None and l1_norm, parameter_norm, largest_weight"):
        table(run(), "l3")


def test_networks_that_do_not_know_their_data_do_not_count() -> None:
    assert run(train_accuracy=0.9).mem.empty
    assert table(run(train_accuracy=0.9))["predicted"].isna().all()


def test_prices_that_do_not_cross_predict_nothing() -> None:
    found = table(run(parameter_norm=1.0)).set_index("kind")
    assert np.isnan(found.loc["weight decay", "predicted"]) and found.loc["L1 penalty", "predicted"] > 0
