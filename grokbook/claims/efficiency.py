"""Efficiency against dataset size: prediction P1 and the four panels of Figure 3 (Section 5.1).

Section 5.1 compares norms at equal correct logit, Section 3 at equal train loss. A prediction about efficiency should
hold in either currency; the panels are about the first. Thresholds were fixed before the recorded runs were seen.
Intervals are 95% bootstrap intervals over whole seeds. "Flat" means that the whole interval lies within half of the
memorising circuit's slope of zero; one that merely contains zero could be a wide one. Every modulus with both
experiments on record is judged on its own; "confirmed" needs all of them, and three seeds at one of them at least.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from grokbook.claims.verdict import Claim, Finding
from grokbook.efficiency import Circuits, bucket_slope, bucketed, gamma, inverse_kappa, recorded, slope_within
from grokbook.statistics import bootstrap, permutation_test, slope

FLAT = 0.5  # of the memorising circuit's slope
SEEDS = 3  # at one modulus at least, before anything is confirmed
CHANCE = 0.05  # "no obvious structure": exchanged train sizes show as much at least this often


class Slope(NamedTuple):
    """An estimate and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def with_interval(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> Slope:
    """A statistic of a table of runs, and its bootstrap interval over seeds."""
    return Slope(statistic(table), *bootstrap(table, statistic))


def difference(c: Circuits, statistic: Callable[[pd.DataFrame], float]) -> Slope:
    """C_mem's statistic less C_gen's, over the seeds that both have; a seed is drawn for both together."""
    shared = set(c.mem["seed"]) & set(c.gen["seed"])
    parts = [table[table["seed"].isin(shared)].assign(kind=kind) for kind, table in (("mem", c.mem), ("gen", c.gen))]
    both = pd.concat(parts, ignore_index=True)

    def gap(rows: pd.DataFrame) -> float:
        return statistic(rows[rows["kind"] == "mem"]) - statistic(rows[rows["kind"] == "gen"])

    return with_interval(both, gap)


def flat(found: Slope, against: float) -> bool:
    """Whether the whole interval lies within FLAT times `against` of zero."""
    return max(abs(found.low), abs(found.high)) < FLAT * abs(against)


def p1(c: Circuits) -> Finding:
    """P1: C_mem's isologit slope gamma is positive and exceeds C_gen's, which is flat; at equal logit and equal loss.

    Confirmed with all of it in both currencies; not confirmed without the first two in either; otherwise partly.
    """
    said, rises, level = [], [], []
    for words, logit in (("at equal logit", "correct_logit"), ("at equal loss", "confidence")):
        of = partial(gamma, logit=logit)
        mem, gen, gap = with_interval(c.mem, of), with_interval(c.gen, of), difference(c, of)
        said.append(f"{words} C_mem {mem}, C_gen {gen}, difference {gap}")
        rises.append(mem.low > 0 and gap.low > 0)
        level.append(flat(gen, mem.value))
    verdict = "confirmed" if all(rises + level) else "partly" if any(rises) else "not confirmed"
    dearer, constant = (("neither", "one", "both")[sum(holds)] for holds in (rises, level))
    reason = f"memorising alone gets dearer in {dearer} of the two currencies, generalising stays within half of that "
    reason += f"slope in {constant}"
    return Finding(verdict, f"d ln P / d ln D: {'; '.join(said)}", c.scale, reason)


def figure_3a(c: Circuits) -> Finding:
    """Figure 3a: C_mem's norm rises with D at a fixed logit, and with the logit at a fixed D; with one, partly."""
    slopes = {"D": with_interval(c.mem, gamma), "logit": with_interval(c.mem, inverse_kappa)}
    measured = "d ln P by " + ", by ".join(f"d ln {what} {found}" for what, found in slopes.items())
    rises = [what for what, found in slopes.items() if found.low > 0]
    verdict = ("not confirmed", "partly", "confirmed")[len(rises)]
    return Finding(verdict, measured, c.scale, f"the norm is shown to rise with: {' and '.join(rises) or 'neither'}")


def figure_3b(c: Circuits) -> Finding:
    """Figure 3b: of the isologit curves of C_mem all rise with D: confirmed; more than half: partly.

    A curve rises when its least-squares slope is positive; the average direction must be shown to be positive as well.
    """
    runs = bucketed(c.mem)
    each = curve_slopes(runs)
    average = with_interval(runs, bucket_slope)
    measured = f"{sum(s > 0 for s in each)} of {len(each)} curves rise, d ln P / d ln D on average {average}"
    share = float(np.mean([s > 0 for s in each]))
    shown = average.low > 0
    verdict = "confirmed" if shown and share == 1 else "partly" if shown and share > 0.5 else "not confirmed"
    return Finding(verdict, measured, c.scale, f"{share:.0%} of the isologit curves go up")


def figure_3c(c: Circuits) -> Finding:
    """Figure 3c: no structure in the colours of C_gen, and its stripes go up and right; with one of them, partly.

    Structure: exchanging train sizes within seeds gives norms, less what the logit explains, a slope against ln D as
    large as the true one in fewer than CHANCE of all cases. Stripes: 1 / kappa is shown to be positive.
    """
    stripes = with_interval(c.gen, inverse_kappa)
    norm, logit = np.log(c.gen["parameter_norm"]), np.log(c.gen["correct_logit"])
    rest = norm - slope_within(logit, norm, c.gen["seed"]) * logit
    table = rest.groupby([c.gen["seed"], c.gen["train_size"]]).mean().unstack().dropna()
    sizes = np.log(table.columns.to_numpy(float))
    p = permutation_test(table.to_numpy(), lambda rows: abs(slope(sizes, rows.mean(0))))
    measured = f"exchanged sizes do as much in {p:.0%} of cases; d ln P / d ln logit within stripes {stripes}"
    holds = [p >= CHANCE, stripes.low > 0]
    verdict = ("not confirmed", "partly", "confirmed")[sum(holds)]
    colours, up = "no structure seen" if holds[0] else "structure", "go up" if holds[1] else "are not shown to go up"
    return Finding(verdict, measured, c.scale, f"{colours} in the colours; stripes {up}")


def figure_3d(c: Circuits) -> Finding:
    """Figure 3d: the average direction of C_gen's isologit curves is flat: confirmed.

    Partly when it is not, but is shown to be less than that of C_mem's.
    """
    runs = Circuits(bucketed(c.mem), bucketed(c.gen), c.scale)
    gen, gap = with_interval(runs.gen, bucket_slope), difference(runs, bucket_slope)
    measured = f"d ln P / d ln D in a bucket, on average {gen}; C_mem's less this {gap}"
    if flat(gen, bucket_slope(runs.mem)):
        return Finding("confirmed", measured, c.scale, "the curves are flat")
    verdict = "partly" if gap.low > 0 else "not confirmed"
    return Finding(verdict, measured, c.scale, "the curves are not shown to be flat")


def curve_slopes(runs: pd.DataFrame) -> list[float]:
    """The slope of each isologit curve, of runs with a bucket, that has two train sizes at least."""
    curves = [curve for _, curve in runs.groupby("bucket") if curve["train_size"].nunique() > 1]
    return [slope(np.log(curve["train_size"]), np.log(curve["parameter_norm"])) for curve in curves]


def at_all(judge: Callable[[Circuits], Finding], all_circuits: dict[int, Circuits], needs: str = "mem gen") -> Finding:
    """One finding from those at each modulus. One without two seeds of each circuit that the judge needs has none."""
    found, seeds = [], []
    for c in all_circuits.values():
        try:
            found.append(judge(c))
        except ValueError:
            continue
        seeds.append(min(getattr(c, part)["seed"].nunique() for part in needs.split()))
    if not found:
        there = "; ".join(c.scale for c in all_circuits.values()) or "nothing"
        return Finding(
            "not testable here", "nothing yet", there, "no modulus has two seeds of what is needed on record"
        )
    verdicts = {finding.verdict for finding in found}
    verdict = verdicts.pop() if len(verdicts) == 1 else "partly"
    reasons = [finding.reason for finding in found]
    if verdict == "confirmed" and max(seeds) < SEEDS:
        verdict, reasons = "partly", [*reasons, f"but with fewer than {SEEDS} seeds"]
    measured, scale = ("; ".join(getattr(finding, part) for finding in found) for part in ("measured", "scale"))
    return Finding(verdict, measured, scale, "; ".join(dict.fromkeys(reasons)))


def now(judge: Callable[[Circuits], Finding], needs: str = "mem gen") -> Finding:
    """The finding on whatever is on record."""
    return at_all(judge, recorded(), needs)


def claim(
    source: str, statement: str, paper: str, judge: Callable[[Circuits], Finding], needs: str = "mem gen"
) -> Claim:
    """A claim of this chapter."""
    return Claim(source, statement, paper, "07-measuring-efficiency", partial(now, judge, needs))


CLAIMS = {
    "P1": claim(
        "Section 5.1, P1", "C_mem's efficiency falls as the train set grows; C_gen's stays constant.", "none given", p1
    ),
    "Figure 3a": claim(
        "Figure 3a",
        "At a fixed logit C_mem's norm rises with dataset size; at a fixed size, larger logits take a larger norm.",
        "read off a scatter plot",
        figure_3a,
        "mem",
    ),
    "Figure 3b": claim("Figure 3b", "C_mem's isologit curves go up and right.", "six curves", figure_3b, "mem"),
    "Figure 3c": claim(
        "Figure 3c, Section 5.1",
        "C_gen: no obvious structure by dataset size; stripes of one seed and size go up and right.",
        "read off a scatter plot",
        figure_3c,
        "gen",
    ),
    "Figure 3d": claim("Figure 3d", "C_gen's isologit curves are flat.", "six curves", figure_3d),
}
