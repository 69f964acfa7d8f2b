"""Judges of the grokking runs, on made-up histories whose verdict is known, and on the recorded ones."""

import numpy as np
import pandas as pd
import pytest

from grokbook.claims import phenomenon


def history(grok: float = 3000, fit: float = 100, final: float = 1.0, overtake: float = 1000, run: str = "a"):
    """A grokking run: train accuracy 1 at `fit`, test accuracy `final` from `grok`, logits crossing at `overtake`."""
    step = np.unique(np.geomspace(1, 10_000, 120).round().astype(int))
    early = step < 4000
    return pd.DataFrame(
        {
            "run": run,
            "modulus": 113,
            "train_size": 3831,
            "step": step,
            "train_accuracy": np.where(step >= fit, 1.0, 0.5),
            "test_accuracy": np.where(step >= grok, final, 0.1),
            "test_loss": 10.0 / step,
            "parameter_norm": np.where(step <= 150, 30 + step / 5, 60 - step / 400),
            "trig_logit": np.where(early, step * 21 / overtake, 80 - (step - 4000) / 500),
            "mem_logit": np.where(early, 20 + step / 1000, 0.5),
        }
    )


def both(**of_second: float) -> pd.DataFrame:
    return pd.concat([history(), history(run="b", **of_second)], ignore_index=True)


def test_figure_1a_counts_the_runs_that_grok_late() -> None:
    assert phenomenon.figure_1a(both()).verdict == "confirmed"
    assert phenomenon.figure_1a(both(final=0.6)).verdict == "partly"
    assert phenomenon.figure_1a(both(grok=150)).verdict == "partly"  # generalises with the fit: not delayed
    assert phenomenon.figure_1a(history(final=0.6)).verdict == "not confirmed"


def test_figure_9_keeps_a_timetable() -> None:
    assert phenomenon.figure_9(both()).verdict == "confirmed"
    assert phenomenon.figure_9(both(grok=9000)).verdict == "partly"
    neither = history(grok=9000, fit=900, overtake=5000).assign(trig_logit=0.0)
    assert phenomenon.figure_9(neither).verdict == "not confirmed"


def test_figure_1a_says_that_it_counts_delayed_runs() -> None:
    assert phenomenon.figure_1a(history(grok=150)).measured.startswith("0 of 1 runs reach 99% after a tenfold delay")
    assert phenomenon.figure_1a(both(grok=150)).measured.startswith("1 of 2 runs reach 99% after a tenfold delay")


@pytest.mark.parametrize(("early", "kept"), [(94.9, 0), (95.1, 1)])
def test_the_norm_must_come_within_five_per_cent_of_its_largest_by_200(early: float, kept: int) -> None:
    run = history().assign(parameter_norm=lambda t: np.where(t["step"] <= 200, early, 100))
    assert f"norm at its largest by then in {kept}," in phenomenon.figure_9(run).reason


@pytest.mark.parametrize("observation", [1, 2])
def test_appendix_a3_is_kept_by_a_run_made_so(observation: int) -> None:
    assert phenomenon.appendix_a3(both(), observation).verdict == "confirmed"


def test_appendix_a3_is_refuted() -> None:
    grows = history().assign(parameter_norm=lambda t: t["step"] ** 0.5)
    assert phenomenon.appendix_a3(grows, 1).verdict == "not confirmed"
    stays = history().assign(mem_logit=50.0)
    assert phenomenon.appendix_a3(stays, 2).verdict == "not confirmed"
    assert phenomenon.appendix_a3(history(final=0.5), 2).verdict == "not testable here"


def test_the_test_loss_must_fall_by_3500() -> None:
    late = history().assign(test_loss=lambda t: np.where(t["step"] < 5000, t["step"], 1.0))
    assert "test loss falls by 3500 in 0" in phenomenon.figure_9(late).reason


def test_a_run_that_has_not_passed_its_peak_says_nothing() -> None:
    rising = history(run="b").assign(trig_logit=lambda t: t["step"])
    assert phenomenon.appendix_a3(rising, 2).verdict == "not testable here"
    found = phenomenon.appendix_a3(pd.concat([history(), rising], ignore_index=True), 2)
    assert found.verdict == "confirmed" and found.measured.startswith("1 of 1")


def test_figure_11_needs_frequencies_enough() -> None:
    assert phenomenon.figure_11(p=23, n=3).verdict == "confirmed"
    assert phenomenon.figure_11(p=25, n=1).verdict == "not confirmed"  # frequency 5 sees a + b modulo 5 only


def test_the_recorded_runs_are_judged() -> None:
    for claim in phenomenon.CLAIMS.values():
        assert claim.judge().scale
