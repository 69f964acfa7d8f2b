"""Grokking itself and the trigonometric circuit, judged from the recorded runs (Figures 1a, 9 and 11, Appendix A.3)."""

from functools import partial

import numpy as np
import pandas as pd

from grokbook import results
from grokbook.claims.verdict import Claim, Finding, on_record


def recorded() -> pd.DataFrame:
    """The grokking runs at the paper's modulus."""
    return results.load("grokking")


def where(table: pd.DataFrame) -> str:
    """The scale of a table of runs of one experiment, in words."""
    sizes = sorted(table["train_size"].unique())
    moduli = ", ".join(map(str, sorted(table["modulus"].unique())))
    return f"p = {moduli}, D = {', '.join(map(str, sizes))}, {table['run'].nunique()} seeds"


def figure_1a(table: pd.DataFrame) -> Finding:
    """Test accuracy goes to 100% long after train accuracy: in all runs confirmed, in some partly.

    Delayed means ten times as many steps to 99% test accuracy as to perfect train accuracy.
    """
    delays = []
    for _, run in table.groupby("run", observed=True):
        train = run.loc[run["train_accuracy"] == 1, "step"].min()
        test = run.loc[run["test_accuracy"] >= 0.99, "step"].min()
        delays.append(test / train)
    grokked = [delay for delay in delays if delay >= 10]
    verdict = "confirmed" if len(grokked) == len(delays) else "partly" if grokked else "not confirmed"
    least = table.groupby("run", observed=True)["test_accuracy"].last().min()
    measured = f"{len(grokked)} of {len(delays)} runs reach 99% after a tenfold delay, all end at {least:.1%} or more"
    if grokked:
        measured += f"; 99% at least {min(grokked):.0f} times as late as the train set is fitted"
    reason = "delayed generalisation in every run"
    if verdict != "confirmed":
        never = int(np.isnan(delays).sum())
        reason = f"{never} of {len(delays)} seeds did not reach 99% in these steps"
        early = len(delays) - len(grokked) - never
        reason += f", {early} did so within ten times the steps of fitting" if early else ""
    return Finding(verdict, measured, where(table), reason)


def figure_9(table: pd.DataFrame) -> Finding:
    """The caption's timetable, counted over runs.

    Train accuracy 1 by step 200; norm at its maximum by then (within 5%); the trigonometric logit above the
    memorisation logit by 1500; test loss past its maximum by 3500; good generalisation (99%) by 6000. Confirmed when
    all runs keep all of it, not confirmed when a majority of the entries fail.
    """
    kept = []
    for _, run in table.groupby("run", observed=True):
        early = run[run["step"] <= 200]
        over = run.loc[run["trig_logit"] > run["mem_logit"], "step"]
        kept += [
            early["train_accuracy"].max() == 1,
            early["parameter_norm"].max() > 0.95 * run["parameter_norm"].max(),
            bool((over[over > 200] <= 1500).any()),
            run["step"].iloc[int(run["test_loss"].argmax())] <= 3500,
            run.loc[run["test_accuracy"] >= 0.99, "step"].min() <= 6000,
        ]
    names = (
        "fits by 200",
        "norm at its largest by then",
        "logits cross by 1500",
        "test loss falls by 3500",
        "good generalisation (our 99%) by 6000",
    )
    share, runs = np.mean(kept), len(kept) // len(names)
    verdict = "confirmed" if share == 1 else "partly" if share > 0.5 else "not confirmed"
    measured = f"{sum(kept)} of {len(kept)} entries of the timetable kept, over {runs} runs"
    each = (f"{name} in {sum(kept[i :: len(names)])}" for i, name in enumerate(names))
    return Finding(verdict, measured, where(table), f"{', '.join(each)} of {runs}")


def appendix_a3(table: pd.DataFrame, observation: int) -> Finding:
    """1: both logits are higher and the norm is lower at step 1500 than at 200. 2: after its peak the trigonometric
    logit falls, while the memorisation logit is near 0 (below a tenth of it) and the test loss goes on falling, in
    grokked runs that have passed the peak."""
    held, runs = 0, 0
    for _, run in table.groupby("run", observed=True):
        run = run.set_index("step")
        if observation == 1:
            first, last = (run.iloc[np.abs(run.index - step).argmin()] for step in (200, 1500))
            rises = all(last[name] > first[name] for name in ("trig_logit", "mem_logit"))
            runs, held = runs + 1, held + (rises and last["parameter_norm"] < first["parameter_norm"])
        elif run["test_accuracy"].iloc[-1] >= 0.99:
            after = run.loc[run["trig_logit"].idxmax() :]
            if len(after) == 1:
                continue
            small = after["mem_logit"].abs().iloc[-1] < 0.1 * after["trig_logit"].iloc[-1]
            runs, held = runs + 1, held + bool(small and after["test_loss"].min() < after["test_loss"].iloc[0])
    if runs == 0:
        return Finding("not testable here", "no run has got so far", where(table), "needs longer runs")
    verdict = "confirmed" if held == runs else "partly" if held else "not confirmed"
    reason = "what the two logits measure is another matter (chapter 02)"
    how = ", at step 1500 against 200" if observation == 1 else " that grokked and passed the peak"
    return Finding(verdict, f"{held} of {runs} runs{how}", where(table), reason)


def figure_11(p: int = 113, n: int = 5, seed: int = 0) -> Finding:
    """The trigonometric algorithm by its four steps answers every equation, for random sets of key frequencies."""
    generator, wrong = np.random.default_rng(seed), 0
    symbols = np.arange(p)
    for _ in range(10):
        omega = 2 * np.pi * generator.choice(np.arange(1, (p + 1) // 2), n, replace=False) / p
        cosine, sine = np.cos(np.outer(symbols, omega)), np.sin(np.outer(symbols, omega))
        cosine_sum = cosine[:, None] * cosine - sine[:, None] * sine  # [a, b, frequency]
        sine_sum = sine[:, None] * cosine + cosine[:, None] * sine
        logits = cosine_sum @ cosine.T + sine_sum @ sine.T
        wrong += int((logits.argmax(-1) != (symbols[:, None] + symbols) % p).sum())
    verdict = "confirmed" if wrong == 0 else "not confirmed"
    measured = f"{wrong} wrong answers in {10 * p * p:,}"
    reason = "once a misprint is mended (the second cos ωa of the identity should be cos ωb)"
    return Finding(verdict, measured, f"computed, p = {p}, 10 sets of {n} frequencies", reason)


TWO = "02-two-circuits"
CLAIMS = {
    "Figure 1a": Claim(
        "Figure 1a",
        "Grokking: a late transition to 100% test accuracy.",
        "100%",
        "01-grokking",
        on_record(figure_1a, recorded),
    ),
    "Figure 9": Claim(
        "Figure 9",
        "The timetable of a grokking run: C_gen's logit overtakes, then the test loss falls.",
        "steps 200, 1500, 3500, 6000",
        TWO,
        on_record(figure_9, recorded),
    ),
    "Appendix A.3, 1": Claim(
        "Appendix A.3, item 1",
        "From step 200 to 1500 both logits rise while the norm falls.",
        "one run",
        TWO,
        on_record(partial(appendix_a3, observation=1), recorded),
    ),
    "Appendix A.3, 2": Claim(
        "Appendix A.3, item 2",
        "Late, C_gen's logit falls, C_mem's is about 0, and the test loss goes on falling.",
        "one run",
        TWO,
        on_record(partial(appendix_a3, observation=2), recorded),
    ),
    "Figure 11": Claim("Figure 11", "The trigonometric algorithm adds modulo p.", "an algorithm", TWO, figure_11),
}
