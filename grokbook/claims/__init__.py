"""Every claim of the paper that the book judges, and its verdict, computed from recorded data whenever it is asked for.

A claim names its place in the paper, what the paper says, the chapter that examines it, and the function that judges
it. Judges live in the modules beside this one, a module a group of chapters; each takes tables such as
`results.load` returns, so that a test can hand it invented ones and see the verdict change.
"""

from grokbook.claims import (
    efficiency,
    many,
    other_tasks,
    phenomenon,
    regularisers,
    semi_grokking,
    theory,
    threshold,
    trading,
    ungrokking,
    waiting,
)
from grokbook.claims.verdict import VERDICTS, Claim, Finding

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Finding", "judge"]

CLAIMS: dict[str, Claim] = {
    **phenomenon.CLAIMS,
    **theory.CLAIMS,
    **semi_grokking.CLAIMS,
    **waiting.CLAIMS,
    **efficiency.CLAIMS,
    **ungrokking.CLAIMS,
    **other_tasks.CLAIMS,
    **trading.CLAIMS,
    **threshold.CLAIMS,
    **regularisers.CLAIMS,
    **many.CLAIMS,
}


def judge(key: str) -> Finding:
    """The finding on one claim, computed now. Raises ValueError for a key that is not in CLAIMS."""
    if key not in CLAIMS:
        raise ValueError(f"key is {key!r}; claims are {', '.join(CLAIMS)}")
    return CLAIMS[key].judge()
