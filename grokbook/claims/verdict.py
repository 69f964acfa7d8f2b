"""What a verdict is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

VERDICTS = ("confirmed", "partly", "not confirmed", "not testable here")

Evidence = TypeVar("Evidence")


@dataclass(frozen=True)
class Finding:
    """What the data say of a claim: `verdict` (one of VERDICTS), our number with its interval, where it was measured,
    and one line why. Raises ValueError for any other verdict."""

    verdict: str
    measured: str
    scale: str
    reason: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}; it must be one of {', '.join(VERDICTS)}")


def on_record(judge: Callable[[Evidence], Finding], recorded: Callable[[], Evidence]) -> Callable[[], Finding]:
    """A claim's judge, applied to what is `recorded` when it is asked: not testable here where that raises ValueError
    since nothing is."""

    def now() -> Finding:
        try:
            evidence = recorded()
        except ValueError as error:
            return Finding("not testable here", "nothing recorded", "none", str(error))
        return judge(evidence)

    return now


def answers(parts: Mapping[str, bool]) -> str:
    """Each part of a rule with yes or no, for a reason."""
    return "; ".join(f"{text}: {'yes' if holds else 'no'}" for text, holds in parts.items())


@dataclass(frozen=True)
class Claim:
    """One claim: `source` is its place in the paper, `statement` what it says, `paper` its number or "none given",
    `chapter` the file that examines it, `judge` the function that computes the finding from recorded data."""

    source: str
    statement: str
    paper: str
    chapter: str
    judge: Callable[[], Finding]
