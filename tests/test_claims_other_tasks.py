"""The judge of Figure 8: invented transitions that make each verdict."""

import numpy as np
import pandas as pd
import pytest

from grokbook import results
from grokbook.claims import CLAIMS, judge
from grokbook.claims.other_tasks import by_task, figure_8
from grokbook.training import log_spaced

SIZES = np.geomspace(150, 1600, 8).round().astype(int)
STEPS = np.array(log_spaced(12_000, per_decade=20))


def sweep(task: str, size: float, floor: float = 0.0, shift: float = 1.0, decays: tuple[float, ...] = (1.0, 0.5)):
    """Runs of one task that have ungrokked to a logistic front at `size`, `shift` times larger at the second decay."""
    tables = []
    for k, decay in enumerate(decays):
        for d in SIZES:
            accuracy = floor + (1 - floor) / (1 + (size * shift**k / d) ** 8)
            table = pd.DataFrame({"step": STEPS, "mirror_free_accuracy": accuracy})
            tables.append(table.assign(run=f"{task} {decay} {d}", train_size=d, weight_decay=decay))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(task=task, modulus=53, seed=0, learning_rate=1e-3, steps=12_000, converged=True)


def four(**options: float) -> list[pd.DataFrame]:
    return [sweep(name, size, **options) for name, size in (("a", 300), ("b", 400), ("c", 500), ("d", 600))]


def test_by_task_recovers_the_transition() -> None:
    row = by_task(sweep("a", 400, shift=1.2)).iloc[0]
    assert (row["low"], row["high"]) == (pytest.approx(400, rel=0.01), pytest.approx(480, rel=0.01))
    assert row["factor"] == pytest.approx(1.2, rel=0.01)
    assert row["size"] == pytest.approx(400 * 1.2**0.5, rel=0.01)
    assert row["width"] == pytest.approx(2 * np.log10(9) / 8, rel=0.02)
    assert (row["runs"], row["decays"], row["lowest"] < 0.01, row["highest"] > 0.99) == (16, 2, True, True)


def test_weight_decays_are_compared_at_equal_decay_time() -> None:
    table = sweep("a", 400)
    # With half the decay everything happens at twice the step; at the end of training the fronts differ by 1.5.
    late = (table["weight_decay"] == 1.0) & (table["step"] > 8000)
    table.loc[late, "mirror_free_accuracy"] = 1 / (1 + (600 / table.loc[late, "train_size"]) ** 8)
    row = by_task(table).iloc[0]
    assert row["high"] / row["low"] == pytest.approx(1.5, rel=0.02)
    assert row["factor"] < 1.05


def test_a_task_that_never_forgets_has_no_transition() -> None:
    row = by_task(sweep("a", 400, floor=0.7)).iloc[0]
    assert np.isnan(row["size"]) and np.isnan(row["factor"])


def test_figure_8_confirmed_and_each_way_to_lose_it() -> None:
    assert figure_8(pd.concat(four())).verdict == "confirmed"
    assert figure_8(pd.concat(four(shift=1.5))).verdict == "partly"
    assert figure_8(pd.concat(four(floor=0.3))).verdict == "partly"
    assert figure_8(pd.concat(four(floor=0.7))).verdict == "not confirmed"
    assert figure_8(pd.concat(four()[:2])).verdict == "not testable here"


def test_a_task_that_knows_little_at_every_size_tells_nothing() -> None:
    unknown = [sweep("e", 5000), sweep("f", 6000)]
    found = figure_8(pd.concat([*four(), *unknown]))
    assert found.measured.startswith("4 of 4 tasks forget, 4 of them to nearly nothing (2 more tell nothing")
    assert found.verdict == "confirmed"
    assert figure_8(pd.concat([*four()[:2], *unknown])).verdict == "not testable here"


def test_fronts_that_still_move_settle_nothing_about_weight_decay() -> None:
    moving = [table.copy() for table in four()]
    for table, size in zip(moving, (300, 400, 500, 600), strict=True):
        front = size * (table["step"].clip(lower=1) * table["weight_decay"] / 12_000) ** 0.1
        table["mirror_free_accuracy"] = 1 / (1 + (front / table["train_size"]) ** 8)
        assert by_task(table)["moved"].iloc[0] == pytest.approx(0.1 * np.log(2), rel=0.1)
    finding = figure_8(pd.concat(moving))
    assert finding.verdict == "partly"
    assert "in 4 of 4, 0 of them settled" in finding.measured and "still move" in finding.reason


def test_most_is_more_than_half() -> None:
    same, moved = four(), four(shift=1.5)
    assert figure_8(pd.concat([*same[:3], moved[3]])).verdict == "confirmed"
    assert figure_8(pd.concat([*same[:2], *moved[2:]])).verdict == "partly"


def test_one_weight_decay_settles_nothing_about_weight_decay() -> None:
    single = [sweep(name, 400, decays=(1.0,)) for name in "abc"]
    for tables in (single, [*single, sweep("d", 400)]):  # nor does one task with two
        finding = figure_8(pd.concat(tables))
        assert finding.verdict == "partly"
        assert "fewer than 3 tasks have two weight decays" in finding.reason


def test_the_claim_is_judged_on_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLAIMS["Figure 8"].chapter == "09-other-tasks"
    assert judge("Figure 8").measured
    monkeypatch.setattr(results, "recorded", lambda name: set())
    assert judge("Figure 8").verdict == "not testable here"
