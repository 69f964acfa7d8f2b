"""The scorecard names every numbered figure, theorem and prediction of the paper, and no verdict is typed by hand."""

import re
from pathlib import Path

import nbformat
import pytest

from grokbook import results
from grokbook.claims import CLAIMS, VERDICTS, Claim, Finding, judge

ROOT = Path(__file__).resolve().parent.parent
PLACES = (
    *(f"Figure {panel}" for panel in ("1a", "1b", "1c", "2a", "2b", "2c", "3a", "3b", "3c", "3d")),
    *(f"Figure {number}" for number in ("4", "5", "6", "7", "8", "9", "10a", "10b", "11")),
    *("Table 1a", "Table 1b", "Table 1c"),
    *("Theorem D.1", "Lemma D.2", "Lemma D.3", "Theorem D.4"),
    *("P1", "P2", "P3", "P4"),
)
COMPUTED = (  # from the theory and simulations alone
    *("Theorem D.1", "Lemma D.2", "Lemma D.3", "Theorem D.4", "Section 3"),
    *("Figure 2a", "Figure 2b", "Figure 2c", "Figure 11", "Appendix A.1, staircase"),
)


@pytest.mark.parametrize("place", PLACES)
def test_every_numbered_place_of_the_paper_is_judged(place: str) -> None:
    assert any(place == key or place in re.split(r"[,;] ", claim.source) for key, claim in CLAIMS.items())


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_says_what_where_and_in_which_chapter(claim: Claim) -> None:
    assert claim.statement and claim.paper
    assert (ROOT / "book" / f"{claim.chapter}.ipynb").exists()


@pytest.mark.parametrize("key", CLAIMS)
def test_every_judge_finds_something_on_what_is_recorded(key: str) -> None:
    finding = judge(key)
    assert finding.verdict in VERDICTS and finding.measured and finding.scale and finding.reason


@pytest.mark.parametrize("key", [key for key in CLAIMS if key not in COMPUTED])
def test_without_records_what_rests_on_runs_is_not_testable(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(results, "files", lambda _: tmp_path)
    assert judge(key).verdict == "not testable here"


def test_the_readme_says_how_the_predictions_came_out() -> None:
    assert "come out as *partly* there" in (ROOT / "README.md").read_text()
    assert {judge(f"P{i}").verdict for i in range(1, 5)} == {"partly"}


def test_unknown_claims_and_verdicts_are_refused() -> None:
    with pytest.raises(ValueError, match="key is 'P9'; claims are"):
        judge("P9")
    with pytest.raises(ValueError, match="verdict is 'surely'; it must be one of confirmed"):
        Finding("surely", "", "", "")


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_verdict_is_typed(path: Path) -> None:
    """Wherever a chapter pronounces a verdict, the word comes from a judge through a glued value."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for after in re.findall(r"\*\*Verdict[^*]*\*\*:?\s*(.{0,40})", cell.source, flags=re.S):
                assert "{glue:" in after, f"{path.stem}: a verdict is typed: {after!r}"
