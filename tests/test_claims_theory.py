"""Judges of theorems and of the simulation: right as things stand, and different when what they judge is wrong."""

import numpy as np
import pytest

from grokbook import theory
from grokbook.claims import theory as judges
from grokbook.subweights import SubweightConfig


@pytest.mark.parametrize("judge", [judges.theorem_d1, judges.lemma_d2])
def test_true_statements_are_confirmed(judge) -> None:
    assert judge().verdict == "confirmed"


def test_lemma_d2_fails_for_powers_just_above_one() -> None:
    assert judges.lemma_d2(largest=1.01).verdict == "not confirmed"


def test_lemma_d3_fails_as_printed_and_holds_repaired() -> None:
    finding = judges.lemma_d3()
    assert finding.verdict == "not confirmed"
    assert "fails for 40 of 40" in finding.measured and "holds in 40 of 40" in finding.reason


def test_theorem_d4_would_be_refuted_by_better_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judges.theorem_d4(cases=6, tries=3000).verdict == "confirmed"
    right = theory.optimal_weights
    monkeypatch.setattr(theory, "optimal_weights", lambda norms, *rest: right(np.array(norms)[::-1], *rest))
    assert judges.theorem_d4(cases=6, tries=3000).verdict == "not confirmed"


def test_local_minima_depend_on_kappa() -> None:
    assert judges.local_minima().verdict == "partly"


def test_figure_2_as_the_simulation_shows_it() -> None:
    assert judges.figure_2a().verdict == "confirmed"
    assert judges.figure_2b().verdict == "partly"
    assert judges.figure_2c().verdict == "partly"


def test_figure_2_is_refuted_by_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = {"a": SubweightConfig(P_g=4.0), "b": SubweightConfig(), "c": SubweightConfig()}
    monkeypatch.setattr(judges, "TABLE_1", swapped)
    assert judges.figure_2a().verdict == "not confirmed"  # C_gen is the less efficient one
    assert judges.figure_2b().verdict == "not confirmed"  # it groks
    assert judges.figure_2c().verdict == "not confirmed"  # it groks late
