"""Chapter 04's proof cells: they pass as they stand, and stop at any exponent of the theorem that is changed."""

import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest
import sympy

CHAPTER = nbformat.read(Path(__file__).parents[1] / "book" / "04-theorem-d4.ipynb", as_version=4)
PROOF = {cell.id: cell.source for cell in CHAPTER.cells if "proof" in cell.metadata.get("tags", [])}


def run(cells: dict[str, str]) -> str:
    names: dict[str, object] = {"sp": sympy}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for source in cells.values():
            exec(source, names)
    return printed.getvalue()


def test_proofs_pass():
    assert run(PROOF).count("proved") > 50


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("weight_exponent = -q * kappa / (q - kappa)", "weight_exponent = -kappa / (q - kappa)"),
        ("weight_exponent = -q * kappa / (q - kappa)", "weight_exponent = q * kappa / (q - kappa)"),
        ("lemma_exponent = q / kappa", "lemma_exponent = kappa / q"),
        ("alpha / q * (w ** (1 / kappa) * P) ** q", "alpha / q * (w ** kappa * P) ** q"),
        ("** (kappa / (q - kappa))", "** (q / (q - kappa))"),
        ("norm_exponent = -kappa / (q - kappa)", "norm_exponent = -1 / (q - kappa)"),
    ],
)
def test_a_wrong_exponent_is_caught(right, wrong):
    assert any(right in source for source in PROOF.values())
    with pytest.raises(AssertionError, match=r"NOT PROVED|^$"):
        run({name: source.replace(right, wrong) for name, source in PROOF.items()})


def test_the_theorem_in_words_has_the_exponents_of_the_code():
    text = next(cell.source for cell in CHAPTER.cells if ":label: thm-d4" in cell.source)
    theorem = text[text.index(":label: thm-d4") :].split(":::")[0]
    (exponent,) = re.findall(r"P_i\^\{(-[^}]*)\}", theorem)
    q, kappa = sympy.symbols("q kappa", positive=True)
    stated = sympy.sympify(
        exponent.replace(r"q\kappa", "q*kappa").replace(r"\kappa", "kappa"), {"q": q, "kappa": kappa}
    )
    assert sympy.simplify(stated + q * kappa / (q - kappa)) == 0
    assert r"\kappa \ge q" in theorem and r"\kappa < q" in theorem
