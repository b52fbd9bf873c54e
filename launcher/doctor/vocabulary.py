"""What looks wrong about a language's text, by its index alone."""

import unicodedata
from collections.abc import Iterator

from shards.index import LanguageIndex
from shards.vocabulary import FIXED

REPLACEMENT = "\ufffd"
_NO_TEXT = ("Cc", "Co", "Cn", "Cs")
"""Unicode's general categories of controls, private use, and what is no character."""


def oddities(index: LanguageIndex) -> Iterator[tuple[str, str]]:
    """What was found, and the fix."""
    code = index.language
    characters = index.vocabulary.tokens[len(FIXED) :]
    if not characters:
        yield f"{code}: its vocabulary has no character", index.fix
    if len(index.vocabulary) != index.content.get("vocabulary", len(index.vocabulary)):
        yield (
            f"{code}: its vocab.json has {len(index.vocabulary)} tokens, its index says {index.content['vocabulary']}",
            index.fix,
        )
    damaged = [each for each in characters if each == REPLACEMENT or unicodedata.category(each[0]) in _NO_TEXT]
    if damaged:
        names = ", ".join(f"U+{ord(each[0]):04X}" for each in damaged[:5])
        yield (
            f"{code}: its text holds {len(damaged)} characters that are no text ({names})",
            "read the transcripts in their own encoding, and build the shards again",
        )
    if "dev" not in index.splits:
        yield (
            f"{code}: has no dev split, so nothing tells its error rate, its best checkpoint or when to stop early",
            "give some utterances the split dev, or build the shards with --dev-fraction 0.05",
        )
