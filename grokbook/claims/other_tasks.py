"""Figure 8: ungrokking on the other tasks, judged task by task on mirror-free accuracy.

The caption makes three statements. Thresholds, fixed before the recorded runs were made:

    forgets       "in many cases test accuracy falls below 100%": below 50% at the smallest size, in at least half of
                  the tasks, for all networks start from a whole table that they know
    to nothing    "often to nearly 0": below 10% at the smallest size, in at least half of the tasks that forget
    same place    "for most datasets the transition point is independent of weight decay": the transition sizes of the
                  weight decays within a factor of 1.25 of each other, in more than half of the tasks that have several

(The first asked for 50% at the largest size as well, until a referee saw that two tasks that forget at every size then
counted as not forgetting. Whether there is a front among our sizes is another question, and is said besides.)
Confirmed when all three hold (the third with FEW tasks or more to compare), not confirmed when fewer than half of the
tasks forget, else partly. The third compares at equal decay time (module `fronts`), because a run with half the weight
decay has gone half as far in as many steps.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.claims.verdict import Claim, Finding
from grokbook.fronts import decay_time, end, factor, fronts, shared_decay_time, snapshot

LOST = 0.5
NOTHING = 0.1
MARGIN = 1.25
FEW = 3  # tasks, fewer of which say nothing about tasks in general


def recorded() -> pd.DataFrame:
    """All recorded runs on other tasks. Raises ValueError when there are none."""
    return results.load_all("other-tasks")


def by_task(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each task (and modulus) with columns

    runs, converged (how many of them), seeds, decays (how many);
    lowest, highest: mean mirror-free accuracy at the end, at the smallest and the largest size;
    size: the geometric mean of the transition sizes at the end over seeds and weight decays, low and high their range,
    width: their mean width in decades (nan where accuracy does not pass one half);
    factor: largest over smallest transition size among weight decays at equal decay time (nan with fewer than two).
    """
    rows = []
    for (task, modulus), runs in table.groupby(["task", "modulus"], sort=False, observed=True):
        shot = snapshot(runs, end)
        ends = shot.groupby("train_size")["accuracy"].mean()
        found, fair = fronts(shot), fronts(snapshot(runs, decay_time(shared_decay_time(runs))))
        sizes = found["size"] if len(found) else pd.Series([np.nan])
        rows.append(
            {
                "task": task,
                "modulus": modulus,
                "runs": len(shot),
                "converged": int(shot["converged"].sum()),
                "seeds": shot["seed"].nunique(),
                "decays": shot["weight_decay"].nunique(),
                "lowest": ends.iloc[0],
                "highest": ends.iloc[-1],
                "size": float(np.exp(np.log(sizes).mean())),
                "low": sizes.min(),
                "high": sizes.max(),
                "width": found["width"].mean(),
                "factor": factor(fair) if fair["weight_decay"].nunique() > 1 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def in_words(found: pd.DataFrame, table: pd.DataFrame) -> str:
    """Moduli, sizes, weight decays and runs of what is judged."""
    moduli = " and ".join("S5" if p == 0 else f"p = {p}" for p in found["modulus"].unique())
    sizes, decays, seeds = table["train_size"], sorted(table["weight_decay"].unique()), table["seed"].nunique()
    return (
        f"{moduli}, D' = {sizes.min()} to {sizes.max()}, weight decay {', '.join(f'{w:g}' for w in decays)}, "
        f"{found['runs'].sum()} runs of {seeds} seed{'s' * (seeds > 1)}, {found['converged'].sum()} of them converged"
    )


def figure_8(table: pd.DataFrame) -> Finding:
    """Figure 8, by the three statements above."""
    found = by_task(table)
    scale = in_words(found, table)
    forgets, nothing = found["lowest"] < LOST, found["lowest"] < NOTHING
    front = forgets & (found["highest"] > LOST)
    compared = found["factor"].dropna()
    same = int((compared <= MARGIN).sum())
    measured = f"{forgets.sum()} of {len(found)} tasks forget, {nothing.sum()} to nearly nothing, "
    measured += f"{front.sum()} with a front among these sizes"
    beyond = int((forgets & ~front).sum())
    measured += f" ({beyond} have less than one half at the largest size too)" if beyond else ""
    measured += f"; the same size at every weight decay in {same} of {len(compared)}" if len(compared) else ""
    if len(found) < FEW:
        return Finding("not testable here", measured, scale, f"fewer than {FEW} tasks recorded")
    if forgets.sum() < len(found) / 2:
        return Finding("not confirmed", measured, scale, "most tasks do not ungrok at these sizes")
    often, independent = nothing.sum() >= forgets.sum() / 2, same > len(compared) / 2 and len(compared) >= FEW
    third = "yes" if independent else "no" if len(compared) >= FEW else f"fewer than {FEW} tasks have two weight decays"
    reason = f"forgetting in many: yes; often to nearly 0: {'yes' if often else 'no'}; weight decay has no say: {third}"
    return Finding("confirmed" if often and independent else "partly", measured, scale, reason)


def on_record(judge: Callable[[pd.DataFrame], Finding]) -> Callable[[], Finding]:
    """The judge, applied to whatever is recorded when it is asked."""

    def now() -> Finding:
        try:
            table = recorded()
        except ValueError:
            return Finding("not testable here", "nothing recorded", "none", "the runs are defined, not yet recorded")
        return judge(table)

    return now


CLAIMS = {
    "Figure 8": Claim(
        "Figure 8, Appendix A.2",
        "On nine other tasks networks ungrok, often to nearly 0, mostly at a size that weight decay does not change.",
        "none given",
        "09-other-tasks",
        on_record(figure_8),
    )
}
