"""Efficiency against dataset size: prediction P1 and the four panels of Figure 3 (Section 5.1).

Section 5.1 compares norms at equal correct logit, Section 3 at equal train loss. A prediction about efficiency should
hold in either currency; the panels are about the first. Thresholds were fixed before the recorded runs were seen.
Intervals are 95% bootstrap intervals over whole seeds. "Flat" means that the whole interval lies within half of the
memorising circuit's slope of zero; one that merely contains zero could be a wide one.

When the results were known a referee asked for more, which can only take a "confirmed" away: P1 holds C_gen's slope
against half of C_mem's at the nearest sizes as well, and so does Figure 3d; Figure 3a asks every size; and, as few
runs have converged, the slopes of P1 and Figures 3a, 3b and 3d must have settled, that is, moved by less than SETTLED
since half of the steps.

Every modulus with both experiments on record is judged on its own; "confirmed" needs all that can be judged (one whose
runs define no slope has no finding), and three seeds at one of them at least.
"""

from collections.abc import Callable
from functools import partial

from grokbook.claims.figure_3 import (
    SETTLED,
    difference,
    figure_3a,
    figure_3b,
    figure_3c,
    figure_3d,
    flat,
    ranges,
    with_interval,
)
from grokbook.claims.verdict import Claim, Finding
from grokbook.efficiency import Circuits, gamma, nearest_sizes, recorded

SEEDS = 3  # at one modulus at least, before anything is confirmed


def p1(c: Circuits) -> Finding:
    """P1: C_mem's isologit slope gamma is positive and exceeds C_gen's, which is flat; at equal logit and equal loss.

    Confirmed with all of it in both currencies, settled; not confirmed without the first two in either; else partly.
    """
    said, rises, level, calm = [], [], [], []
    for words, logit in (("at equal logit", "correct_logit"), ("at equal loss", "confidence")):
        of = partial(gamma, logit=logit)
        mem, gen, gap = with_interval(c.mem, of), with_interval(c.gen, of), difference(c, of)
        said.append(f"{words} C_mem {mem}, C_gen {gen}, difference {gap}")
        rises.append(mem.low > 0 and gap.low > 0)
        nearby = of(nearest_sizes(c.mem, c.gen))
        said[-1] += f" (at the sizes nearest to C_gen's C_mem has {nearby:+.2f})"
        level.append(flat(gen, max(0, min(mem.value, nearby))))
        calm += [abs(mem.value - of(c.mem_half)) < SETTLED, abs(gen.value - of(c.gen_half)) < SETTLED]
    verdict = "confirmed" if all(rises + level + calm) else "partly" if any(rises) else "not confirmed"
    dearer, constant = (("neither", "one", "both")[sum(holds)] for holds in (rises, level))
    reason = f"memorising alone gets dearer in {dearer} of the two currencies; generalising is shown to stay within "
    reason += f"half of C_mem's slope, near its own sizes too, in {constant}; "
    reason += f"the slopes have settled: {'yes' if all(calm) else 'no'}"
    return Finding(verdict, f"d ln P / d ln D: {'; '.join(said)}", c.scale, reason)


def at_all(judge: Callable[[Circuits], Finding], all_circuits: dict[int, Circuits], needs: str = "mem gen") -> Finding:
    """One finding from those at each modulus. One without two seeds of each circuit that the judge needs has none."""
    found, seeds = {}, []
    for modulus, c in all_circuits.items():
        least = min(getattr(c, part)["seed"].nunique() for part in needs.split())
        if least < 2:
            continue
        try:
            found[f"p = {modulus}"] = judge(c)
        except ValueError:
            continue
        seeds.append(least)
    if not found:
        there = "; ".join(c.scale for c in all_circuits.values()) or "nothing"
        return Finding(
            "not testable here", "nothing yet", there, "no modulus has two seeds of what is needed on record"
        )
    verdicts = {finding.verdict for finding in found.values()}
    verdict = verdicts.pop() if len(verdicts) == 1 else "partly"
    measured, reason = (told({at: getattr(one, part) for at, one in found.items()}) for part in ("measured", "reason"))
    if verdict == "confirmed" and max(seeds) < SEEDS:
        verdict, reason = "partly", f"{reason}; but with fewer than {SEEDS} seeds"
    return Finding(verdict, measured, "; ".join(finding.scale for finding in found.values()), reason)


def told(texts: dict[str, str]) -> str:
    """What was found at each modulus, under its name; once and without a name where all say the same."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{at}: {text}" for at, text in texts.items())


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
    "Figure 3, ranges": claim(
        "Figure 3, caption",
        "C_mem has a much wider range of norms than C_gen, and at the extremes can be more efficient.",
        "read off a scatter plot",
        ranges,
    ),
}
