"""P1 and Figure 3: the judges on runs made from the model, where the truth is known and each verdict can be forced."""

import numpy as np
import pandas as pd
import pytest

from grokbook.claims import CLAIMS, efficiency
from grokbook.claims.efficiency import at_all, p1
from grokbook.claims.figure_3 import (
    TIGHT,
    Slope,
    difference,
    figure_3a,
    figure_3b,
    figure_3c,
    figure_3d,
    firm,
    flat,
    ranges,
)
from grokbook.efficiency import Circuits, bucketed, circuits, gamma, nearest_sizes

MEM, GEN = (150, 300, 600, 1200, 2400), (1500, 1900, 2300, 2700)


def runs(of_size: float, of_logit: float, sizes=MEM, seeds: int = 3, noise: float = 0.01) -> pd.DataFrame:
    """Histories of runs with ln P = of_size ln D + of_logit ln o and a noise in P, that pass every check."""
    generator = np.random.default_rng(len(sizes))
    rows = []
    for seed in range(seeds):
        for size in sizes:
            for decay in (0.5, 1, 2, 3):
                logit = 50 * decay**-0.3 * np.exp(0.02 * generator.normal())
                norm = 2 * size**of_size * logit**of_logit * np.exp(noise * generator.normal())
                row = {"run": f"{seed} {size} {decay}", "seed": seed, "train_size": size, "weight_decay": decay}
                row |= {"correct_logit": logit, "parameter_norm": norm, "converged": True}
                row |= {
                    "train_loss": np.exp(-logit / 3),
                    "train_accuracy": 1.0,
                    "trig_logit": logit,
                    "mem_logit": 0.0,
                    "mirror_free_accuracy": 1.0,
                }
                rows += [row | {"step": step} for step in (0, 10)]
    return pd.DataFrame(rows)


def made(mem: float = 0.3, gen: float = 0.0, of_logit: float = 0.3, **options) -> Circuits:
    return circuits(runs(mem, of_logit, **options), runs(gen, of_logit, sizes=GEN, **options), 53)


def test_p1_is_confirmed_when_one_price_rises_and_the_other_does_not() -> None:
    found = p1(made())
    assert found.verdict == "confirmed"
    assert found.measured.count("C_mem +0.3") == 2 and "60 of 60 runs, 60 converged, 3 seeds" in found.scale


@pytest.mark.parametrize(
    "change, verdict",
    [
        ({"gen": 0.2}, "partly"),  # generalising gets dearer too, if less so
        ({"gen": -0.2}, "partly"),
        ({"gen": 0.3}, "not confirmed"),  # the two do not differ
        ({"mem": 0.0}, "not confirmed"),
        ({"mem": -0.3}, "not confirmed"),
        ({"noise": 3.0}, "not confirmed"),  # nothing can be told
    ],
)
def test_p1_fails_where_it_should(change: dict, verdict: str) -> None:
    assert p1(made(**change)).verdict == verdict


def test_p1_asks_for_both_currencies() -> None:
    """Let either circuit be less sure with the same logits, or surer, the larger the train set."""
    c = made()
    gen = c.gen.assign(confidence=c.gen["confidence"] * (c.gen["train_size"] / 1500) ** -0.7)
    assert p1(c._replace(gen=gen)).verdict == "partly"
    mem = c.mem.assign(confidence=c.mem["confidence"] * (c.mem["train_size"] / 150) ** 1.1)
    assert p1(c._replace(mem=mem)).verdict == "partly"


def priced(rows: pd.DataFrame, power: float, beyond: float = 1) -> pd.DataFrame:
    """The rows with norms that rise with the train size by this power more, above the size `beyond`."""
    times = np.maximum(rows["train_size"], beyond) ** power
    return rows.assign(parameter_norm=rows["parameter_norm"] * times)


def test_p1_compares_with_the_memorising_slope_near_the_sizes_of_the_other() -> None:
    c = made(gen=0.1)
    assert p1(c).verdict == "confirmed"
    assert p1(c._replace(mem=priced(c.mem, -0.15, 1000), mem_half=priced(c.mem_half, -0.15, 1000))).verdict == "partly"
    steep = made(mem=0.6, gen=0.1)  # and that slope may be negative
    falls = steep._replace(mem=priced(steep.mem, -1.5, 1000), mem_half=priced(steep.mem_half, -1.5, 1000))
    assert p1(falls).verdict != "confirmed"


@pytest.mark.parametrize("judge", [p1, figure_3a, figure_3b])
def test_a_slope_that_still_moves_confirms_nothing(judge) -> None:
    c = made()
    assert judge(c._replace(mem_half=priced(c.mem_half, 0.1))).verdict == "partly"
    assert p1(c._replace(gen_half=priced(c.gen_half, 0.1))).verdict == "partly"
    found = figure_3d(c._replace(gen_half=priced(c.gen_half, 0.1)))
    assert found.verdict == "partly" and "flat: yes; settled: no" in found.reason


def test_figure_3d_compares_with_the_memorising_direction_near_the_sizes_of_the_other() -> None:
    c = made(gen=0.1)
    assert figure_3d(c).verdict == "confirmed"
    found = figure_3d(c._replace(mem=priced(c.mem, -0.15, 1000)))
    assert found.verdict == "partly" and "flat: no; settled: yes" in found.reason


def test_figure_3a_asks_every_size() -> None:
    c = made()
    odd = c.mem["train_size"] == 150
    mem = c.mem.assign(parameter_norm=c.mem["parameter_norm"] * np.where(odd, (c.mem["correct_logit"] / 45) ** -0.5, 1))
    found = figure_3a(c._replace(mem=mem))
    assert found.verdict == "partly" and "positive at 4 of 5 sizes" in found.measured

    once = c._replace(mem=c.mem[~odd | (c.mem["weight_decay"] == 1)])  # a size without stripes is not asked
    found = figure_3a(once)
    assert found.verdict == "confirmed" and "positive at 4 of 4 sizes" in found.measured


def test_figure_3d_takes_the_planes_direction_where_no_bucket_holds_two_of_the_near_sizes() -> None:
    c = made()
    apart = {size: (1 + place / 10) ** 3 for place, size in enumerate(MEM)}
    mem = c.mem.assign(correct_logit=c.mem["correct_logit"].clip(45, 50) * c.mem["train_size"].map(apart))
    near = nearest_sizes(bucketed(mem), c.gen)
    assert near.groupby("bucket")["train_size"].nunique().max() == 1
    found = figure_3d(c._replace(mem=mem))
    assert f"nearest to C_gen's has {gamma(near):+.2f})" in found.measured


def test_findings_at_several_moduli_are_told_apart() -> None:
    c = made()
    found = at_all(p1, {53: c, 113: made(gen=0.3)})
    assert found.verdict == "partly"
    assert found.measured.startswith("p = 53: d ln P") and "; p = 113: d ln P" in found.measured
    both = at_all(p1, {53: c, 113: c})
    assert both.verdict == "confirmed" and "p = 53: mem" not in both.reason


def test_a_wide_interval_around_zero_is_not_flat() -> None:
    assert flat(Slope(0.0, -0.1, 0.1), 0.3)
    assert not flat(Slope(0.0, -0.2, 0.1), 0.3)
    assert not flat(Slope(0.1, 0.0, 0.2), 0.3)


@pytest.mark.parametrize(
    "judge, change, verdict",
    [
        (figure_3a, {}, "confirmed"),
        (figure_3a, {"of_logit": -0.2}, "partly"),
        (figure_3a, {"mem": -0.2}, "partly"),
        (figure_3a, {"mem": -0.2, "of_logit": -0.2}, "not confirmed"),
        (figure_3b, {}, "confirmed"),
        (figure_3b, {"mem": -0.3}, "not confirmed"),
        (figure_3c, {}, "confirmed"),
        (figure_3c, {"gen": 0.3}, "partly"),
        (figure_3c, {"gen": 0.3, "of_logit": -0.2}, "not confirmed"),
        (figure_3d, {}, "confirmed"),
        (figure_3d, {"gen": 0.2}, "partly"),
        (figure_3d, {"gen": 0.4}, "not confirmed"),
    ],
)
def test_each_panel_has_each_verdict(judge, change: dict, verdict: str) -> None:
    assert judge(made(**change)).verdict == verdict


def test_one_curve_that_falls_makes_figure_3b_partly() -> None:
    c = made()
    runs = c.mem.copy()
    low = runs["correct_logit"] <= runs["correct_logit"].min() * 1.1
    runs.loc[low, "parameter_norm"] /= (runs.loc[low, "train_size"] / 150) ** 0.8
    assert figure_3b(c._replace(mem=runs)).verdict == "partly"


def test_ranges_compares_spans_and_looks_for_a_memoriser_that_is_cheaper() -> None:
    c = made(mem=0.6, gen=0.0)  # norms of C_mem rise from below C_gen's
    c = c._replace(mem=c.mem.assign(parameter_norm=c.mem["parameter_norm"] * c.mem["weight_decay"] ** -0.5))
    gen = c.gen.assign(parameter_norm=c.gen["parameter_norm"] * 30)
    assert ranges(c._replace(gen=gen)).verdict == "confirmed"
    narrow_there = c.mem[(c.mem["train_size"] < 1000) | (c.mem["weight_decay"] == 1)]
    narrow_there = narrow_there[(narrow_there["train_size"] < 1000) | (narrow_there["train_size"] == 1200)]
    assert "also at like sizes: no" in ranges(c._replace(mem=narrow_there, gen=gen)).reason
    assert ranges(c._replace(gen=gen.assign(parameter_norm=1.0))).verdict == "partly"  # nothing is cheaper
    assert ranges(c._replace(gen=priced(gen, 3))).verdict == "partly"  # as wide
    narrow = c.mem[c.mem["train_size"] == 2400]
    assert (
        ranges(c._replace(mem=narrow, gen=priced(c.gen, 3, 1900).assign(correct_logit=1e9))).verdict == "not confirmed"
    )


def test_ranges_leaves_loose_fits_out() -> None:
    """A generalising run with a large loss and a huge norm widens its range, and any memorising run beats it."""
    c = made(mem=0.6)
    cheap = c.gen.assign(parameter_norm=1.0)
    one = cheap.index == 0
    loose = cheap.assign(
        parameter_norm=np.where(one, 1e9, 1.0), confidence=np.where(one, TIGHT / 2, cheap["confidence"])
    )
    assert len(firm(loose)) == len(loose) - 1
    assert ranges(c._replace(gen=loose)) == ranges(c._replace(gen=firm(loose)))
    assert "more efficient: no" in ranges(c._replace(gen=loose)).reason
    with pytest.raises(ValueError, match="no generalising runs but loose fits"):
        ranges(c._replace(gen=loose[one]))


def test_moduli_must_agree() -> None:
    good, bad = made(), made(mem=0.0)
    assert at_all(p1, {53: good, 113: good}).verdict == "confirmed"
    assert at_all(p1, {53: good, 113: bad}).verdict == "partly"
    assert at_all(p1, {53: bad, 113: bad}).verdict == "not confirmed"


def test_two_seeds_confirm_nothing_and_one_measures_nothing() -> None:
    two, one = made(seeds=2), made(seeds=1)
    assert p1(two).verdict == "confirmed"
    assert at_all(p1, {53: two}).verdict == "partly"
    assert at_all(p1, {53: two, 113: made()}).verdict == "confirmed"
    alone = at_all(p1, {53: made(), 113: one})
    assert alone.verdict == "confirmed" and alone.scale.count("p = ") == 1
    assert at_all(p1, {53: one}).verdict == at_all(ranges, {53: one}).verdict == "not testable here"
    assert at_all(p1, {}).verdict == "not testable here"


def test_a_panel_needs_its_own_circuit_only() -> None:
    mem, both = circuits(runs(0.3, 0.3), None, 53), circuits(runs(0.3, 0.3), runs(0.0, 0.3, GEN, seeds=1), 53)
    for c in (mem, both):
        assert at_all(figure_3a, {53: c}, "mem").verdict == "confirmed"
        assert at_all(figure_3b, {53: c}, "mem").verdict == "confirmed"
        for judge in (p1, figure_3c, figure_3d):
            found = at_all(judge, {53: c})
            assert found.verdict == "not testable here" and "C_mem 60 of 60" in found.scale


def test_a_difference_is_taken_over_shared_seeds() -> None:
    c = made()
    odd = c.mem[c.mem["seed"] == 0].assign(seed=9, parameter_norm=lambda rows: rows["train_size"] ** 2.0)
    more = c._replace(mem=pd.concat([c.mem, odd], ignore_index=True))
    assert difference(more, gamma) == difference(c, gamma)


@pytest.mark.parametrize("key", efficiency.CLAIMS)
def test_every_claim_is_registered_and_judges_what_is_recorded(key: str) -> None:
    assert CLAIMS[key] is efficiency.CLAIMS[key]
    assert CLAIMS[key].chapter == "07-measuring-efficiency"
    assert CLAIMS[key].judge().measured
