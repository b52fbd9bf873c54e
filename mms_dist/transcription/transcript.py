"""What was said in a recording, and when. Times are in seconds from its beginning."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timed:
    """A word or a character.

    `confidence` is between 0 and 1: the mean probability of its characters over the frames in which they were heard; of
    words, the probability that the word is right, if that was calibrated (`word_confidence`).
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said between two pauses."""

    text: str
    start: float
    end: float
    words: tuple[Timed, ...] = ()
    characters: tuple[Timed, ...] = ()

    @property
    def confidence(self) -> float:
        """That of its words, on average."""
        return sum(word.confidence for word in self.words) / max(len(self.words), 1)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A recording.

    Attributes:
        name: what the user calls it.
        language: code.
        probability: of the language, if it was chosen among several.
        seconds: its length.
        segments: in order; none if nothing was said.
        error: why it could not be transcribed; None if it was.
        number: its place among those that were given.
    """

    name: str
    language: str
    seconds: float = 0.0
    segments: tuple[Segment, ...] = field(default=())
    error: str | None = None
    number: int = 0
    probability: float | None = None

    @property
    def text(self) -> str:
        """All that was said."""
        return " ".join(segment.text for segment in self.segments)
