"""Ungrokking as the paper's figures show it: Figures 1b, 4 and 7 (Section 5.2, Appendix A.2).

The figures plot test accuracy, and so do their judges, except where middling or near-random accuracy is at stake: there
a memoriser that ignores order would score on mirrored pairs, and only mirror-free ones count.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from grokbook.claims.verdict import Finding, answers
from grokbook.fronts import by_size, decay_time, fronts, in_words, shared_decay_time, snapshot
from grokbook.statistics import size_at

LOW, HIGH = 0.1, 0.9  # near-random below, very strong above
MIDDLE = 0.7  # the paper's number in the caption of Figure 7
SHARP = 0.5  # decades of D' from 10% to 90%
OVERLAP = 0.1  # of accuracy, between two lines that overlap almost perfectly


def figure_1b(table: pd.DataFrame) -> Finding:
    """Figure 1b: a run starts with every test answer right, keeps its train answers, and ends below LOW on mirror-free
    test pairs with a test loss worse than guessing. One for every seed: confirmed; for some: partly."""
    runs = []
    for _, run in table.groupby("run", observed=True):
        first, last = run.iloc[0], run.iloc[-1]
        kept = first["test_accuracy"] > 0.99 and run["train_accuracy"].min() > 0.99
        forgot = last["mirror_free_accuracy"] < LOW and last["test_loss"] > np.log(last["modulus"])
        runs.append({"seed": last["seed"], "forgot": kept and forgot, "size": last["train_size"]})
    each = pd.DataFrame(runs)
    largest = each[each["forgot"]].groupby("seed")["size"].max()
    seeds = each["seed"].nunique()
    verdict = "confirmed" if len(largest) == seeds else "partly" if len(largest) else "not confirmed"
    measured = (
        f"{each['forgot'].sum()} of {len(each)} runs forget nearly all they knew, in {len(largest)} of {seeds} seeds"
    )
    if len(largest):
        measured += f", up to D' = {', '.join(map(str, largest))}"
    reason = "removing pairs is enough, and the train answers stay right" if len(largest) else "no run forgets it all"
    reason += "; not every seed has a run that forgets" if verdict == "partly" else ""
    return Finding(verdict, measured, in_words(table), reason)


def apart(shot: pd.DataFrame) -> float:
    """The largest distance between two weight decays' accuracies, at a size that both have; means over the seeds that
    both have there."""
    table = shot.pivot_table("accuracy", ["train_size", "seed"], "weight_decay")
    gaps = [
        (table[one] - table[other]).dropna().groupby("train_size").mean().abs().max()
        for one, other in combinations(table.columns, 2)
    ]
    return float(np.nanmax(gaps))


def figure_4(table: pd.DataFrame) -> Finding:
    """Figure 4: the fronts of test accuracy reach both ends with a mean width of at most SHARP, and the lines of the
    weight decays are never further apart than OVERLAP. Both: confirmed; one: partly. It takes two weight decays."""
    if table["weight_decay"].nunique() < 2:
        return Finding("not testable here", "one weight decay", in_words(table), "there are no lines to compare")
    shot = snapshot(table, column="test_accuracy")
    ends, found = by_size(shot), fronts(shot)
    width = found["width"].mean() if len(found) else np.inf
    sharp = ends.iloc[0] < LOW and ends.iloc[-1] > HIGH and width <= SHARP
    gap = apart(shot)
    alike = apart(snapshot(table, decay_time(shared_decay_time(table)), "test_accuracy"))
    measured = (
        f"test accuracy {ends.iloc[0]:.2f} to {ends.iloc[-1]:.2f}, 10% to 90% within {width:.2f} decades; "
        f"lines at most {gap:.2f} apart, {alike:.2f} at equal decay time"
    )
    verdict = ("not confirmed", "partly", "confirmed")[int(sharp) + int(gap <= OVERLAP)]
    answers = ["yes" if part else "no" for part in (sharp, gap <= OVERLAP)]
    return Finding(verdict, measured, in_words(table), f"sharp: {answers[0]}; lines almost overlap: {answers[1]}")


def figure_7(table: pd.DataFrame) -> Finding:
    """Figure 7, the runs at weight decay 1: train accuracy stays, the smallest sets end below LOW, the largest above
    HIGH, and some runs end converged at mirror-free accuracy .2 to .8. All: confirmed; two or three: partly."""
    table = table[table["weight_decay"] == 1]
    ends, shot = by_size(snapshot(table, column="test_accuracy")), snapshot(table)
    middling = shot[shot["accuracy"].between(0.2, 0.8)]
    flat = int(middling["converged"].sum())
    parts = {
        "train accuracy stays": table["train_accuracy"].min() > 0.99,
        "the smallest forget": ends.iloc[0] < LOW,
        "the largest do not": ends.iloc[-1] > HIGH,
        "some end middling, converged": flat > 0,
    }
    verdict = "confirmed" if all(parts.values()) else "partly" if sum(parts.values()) > 1 else "not confirmed"
    measured = f"test accuracy {ends.iloc[0]:.2f} to {ends.iloc[-1]:.2f}"
    if ends.iloc[0] < MIDDLE < ends.iloc[-1]:
        measured += f", {MIDDLE:g} at D' = {size_at(ends, MIDDLE):.0f}"
    measured += f"; {len(middling)} runs end middling, {flat} of them converged"
    reason = answers(parts)
    return Finding(verdict, measured, in_words(table), reason)
