"""Languages as the monitor is told of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedLanguage:
    """A language of a run before it starts."""

    language: str
    steps: int
    utterances: int = 0
    seconds: float = 0.0
