"""Figure 8: ungrokking on the other tasks, judged task by task on mirror-free accuracy.

The caption makes three statements. Thresholds, fixed before the recorded runs were made:

    forgets       "in many cases test accuracy falls below 100%": above 50% at the largest size and below 50% at the
                  smallest, in at least half of the tasks that tell
    to nothing    "often to nearly 0": below 10% at the smallest size, in at least half of the tasks that forget
    same place    "for most datasets the transition point is independent of weight decay": the transition sizes of the
                  weight decays within a factor of 1.25 of each other, in more than half of the tasks that have several,
                  and settled: moved by less than SETTLED in the last factor of two of training

A task with less than 50% at its largest size too tells nothing: either its front lies beyond, or its network never held
the rule it is asked to lose. (Two referees changed this: such tasks counted as not forgetting at first, as forgetting
later. "Settled" is what the book asks of fronts elsewhere, and came with the second change.)
Confirmed when all three hold (the third with FEW tasks or more to compare), not confirmed when fewer than half of the
tasks forget, else partly. The third compares at equal decay time (module `fronts`), because a run with half the weight
decay has gone half as far in as many steps.
"""

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.claims.ungrokking import SETTLED
from grokbook.claims.verdict import Claim, Finding, on_record
from grokbook.fronts import decay_time, end, factor, fronts, shared_decay_time, snapshot, speed

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
    factor: largest over smallest transition size among weight decays at equal decay time (nan with fewer than two);
    moved: how far the fronts moved in the last factor of two of training (geometric mean of the ratios of D*, less
    one; nan where there is none).
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
                "moved": float(np.expm1(speed(runs).mean())),
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
    tell = found["highest"] > LOST
    forgets = tell & (found["lowest"] < LOST)
    nothing = forgets & (found["lowest"] < NOTHING)
    compared = found.dropna(subset="factor")
    same, calm = int((compared["factor"] <= MARGIN).sum()), int((compared["moved"].abs() < SETTLED).sum())
    measured = f"{forgets.sum()} of {tell.sum()} tasks forget, {nothing.sum()} of them to nearly nothing"
    measured += f" ({(~tell).sum()} more tell nothing: less than one half at every size)" if not tell.all() else ""
    if len(compared):
        measured += f"; the same size at every weight decay in {same} of {len(compared)}, {calm} of them settled"
    if tell.sum() < FEW:
        return Finding("not testable here", measured, scale, f"fewer than {FEW} tasks on record tell")
    if forgets.sum() < tell.sum() / 2:
        return Finding("not confirmed", measured, scale, "most tasks do not ungrok at these sizes")
    often, most = nothing.sum() >= forgets.sum() / 2, len(compared) / 2
    independent = same > most and calm > most and len(compared) >= FEW
    third = "yes" if independent else "so far, but the fronts still move" if same > most else "no"
    third = third if len(compared) >= FEW else f"fewer than {FEW} tasks have two weight decays"
    reason = f"forgetting in many: yes; often to nearly 0: {'yes' if often else 'no'}; weight decay has no say: {third}"
    return Finding("confirmed" if often and independent else "partly", measured, scale, reason)


CLAIMS = {
    "Figure 8": Claim(
        "Figure 8, Appendix A.2",
        "On nine other tasks networks ungrok, often to nearly 0, mostly at a size that weight decay does not change.",
        "none given",
        "09-other-tasks",
        on_record(figure_8, recorded),
    )
}
