"""Find problems in a language's text, from its index alone."""

import unicodedata
from collections.abc import Iterator

from shards.index import LanguageIndex
from shards.vocabulary import FIXED

REPLACEMENT = "\ufffd"
_NO_TEXT = ("Cc", "Co", "Cn", "Cs")
"""Unicode's general categories for control, private-use, unassigned and surrogate code points."""


def oddities(index: LanguageIndex) -> Iterator[tuple[str, str]]:
    """Yield each problem and its fix."""
    code = index.language
    characters = index.vocabulary.tokens[len(FIXED) :]
    if not characters:
        yield f"{code}: its vocabulary has no characters", index.fix
    if len(index.vocabulary) != index.content.get("vocabulary", len(index.vocabulary)):
        yield (
            f"{code}: its vocab.json has {len(index.vocabulary)} tokens, but its index says "
            f"{index.content['vocabulary']}",
            index.fix,
        )
    damaged = [each for each in characters if each == REPLACEMENT or unicodedata.category(each[0]) in _NO_TEXT]
    if damaged:
        names = ", ".join(f"U+{ord(each[0]):04X}" for each in damaged[:5])
        yield (
            f"{code}: its text contains {len(damaged)} invalid characters ({names})",
            "convert the transcripts from their real encoding to UTF-8, and build the shards again",
        )
    if "dev" not in index.splits:
        yield (
            f"{code}: no dev split, so there is no error rate, no best checkpoint and no early stopping",
            "assign some utterances to the dev split, or build the shards with --dev-fraction 0.05",
        )
