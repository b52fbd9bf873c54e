"""What counts as an error: case, punctuation, and the spaces of languages whose words are not spaced."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shards.text.punctuation import SIGNS
from shards.text.unspaced import is_unspaced

IGNORABLE = ("case", "punctuation")
COUNTED, IGNORED = "counted", "ignored"


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """How the texts of one language are compared. The same changes are made to references and hypotheses.

    Attributes:
        case: whether a capital for a small letter is an error.
        punctuation: whether signs are part of the text.
        spaces: whether spaces are characters of the CER. The WER is always of what stands between spaces.
    """

    case: bool = True
    punctuation: bool = True
    spaces: bool = True

    @classmethod
    def of(cls, language: str, references: Sequence[str], ignore: Collection[str] = ()) -> "ScoringRules":
        """Return the rules of a language; `ignore` are some of `IGNORABLE`."""
        return cls(
            case="case" not in ignore,
            punctuation="punctuation" not in ignore,
            spaces=not is_unspaced(language, references),
        )

    def words(self, text: str) -> str:
        """Return a text as its words are compared."""
        if not self.punctuation:
            text = without_punctuation(text)
        return text if self.case else text.lower()

    def characters(self, text: str) -> str:
        """Return a text as its characters are compared."""
        text = self.words(text)
        return text if self.spaces else "".join(text.split())

    def as_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        values = {"case": self.case, "punctuation": self.punctuation, "spaces": self.spaces}
        return {name: COUNTED if counted else IGNORED for name, counted in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ScoringRules":
        """Read what `as_dict` gave; what is not there is counted."""
        names = ("case", "punctuation", "spaces")
        return cls(**{name: values.get(name, COUNTED) == COUNTED for name in names})


AS_WRITTEN = ScoringRules()
"""Everything counts."""


def without_punctuation(text: str) -> str:
    """Drop the signs of sentences, and other punctuation except between two letters, as in `can't`."""
    kept = []
    for place, character in enumerate(text):
        if character in SIGNS:
            continue
        if unicodedata.category(character)[0] == "P":
            around = text[place - 1 : place] + text[place + 1 : place + 2]
            if len(around) < 2 or not all(unicodedata.category(each)[0] in "LM" for each in around):
                continue
        kept.append(character)
    return " ".join("".join(kept).split())


def scoring_text(rules: Mapping[str, ScoringRules], written: Mapping[str, Mapping[str, str | None]]) -> str:
    """Say how languages were scored, for people.

    Args:
        rules: of each language.
        written: what `text_of_transcripts` gave for each.
    """
    ignored = [name for name in IGNORABLE if any(not getattr(each, name) for each in rules.values())]
    text = f"scored without regard to {' and '.join(ignored)}" if ignored else "scored as transcribed"
    kinds = {(each.get("case"), each.get("punctuation")) for each in written.values()}
    if len(kinds) == 1:
        text += _TRANSCRIPTS.get(kinds.pop(), "")
    unspaced = sorted(code for code, each in rules.items() if not each.spaces)
    if unspaced:
        text += f"; spaces do not count in the CER of {', '.join(unspaced)}, whose words are not spaced"
    return text


_TRANSCRIPTS: Mapping[tuple[str | None, str | None], str] = {
    ("lower", "dropped"): " (lower case, no punctuation)",
    ("lower", "kept"): " (lower case, with punctuation)",
    ("kept", "dropped"): " (with capitals, no punctuation)",
    ("kept", "kept"): " (with capitals and punctuation)",
}


def text_of_transcripts(text_rules: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return what case and punctuation the transcripts of a corpus have; None if its text was not normalised."""
    if text_rules is None:
        return {"case": None, "punctuation": None}
    return {
        "case": "lower" if text_rules.get("lower", True) else "kept",
        "punctuation": "kept" if text_rules.get("punctuation", "drop") == "keep" else "dropped",
    }
