"""Whether a text file is written with the characters of a language: one in another script would spoil its model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mms_dist.errors import DataError
from shards.text.unspaced import is_unspaced
from shards.vocabulary import FIXED, UNKNOWN_TOKEN, Vocabulary

_MOST_UNSPELLED = 0.5


@dataclass(slots=True)
class Spelling:
    """How much of a text file a vocabulary can spell.

    Attributes:
        unit: what is counted: `words`, or `characters` of a language whose words are not spaced.
        unspelled: those with a character that the vocabulary lacks.
    """

    file: str
    language: str
    unit: str = "words"
    total: int = 0
    unspelled: int = 0

    def __str__(self) -> str:
        share = self.unspelled / self.total if self.total else 0.0
        return (
            f"{self.file}: {self.unspelled:,} of {self.total:,} {self.unit} ({share:.1%}) cannot be spelled with the "
            f"vocabulary of {self.language}"
        )

    def check(self) -> None:
        """Check that most can be spelled.

        Raises:
            DataError: they cannot; names the file and the share.
        """
        if self.unspelled > _MOST_UNSPELLED * self.total:
            raise DataError(
                str(self),
                fix=f"give text of {self.language} in the script of the shards, or make a model without the shards, "
                "from text alone",
            )


def counted(texts: Iterable[str], vocabulary: Vocabulary, spelling: Spelling) -> Iterator[str]:
    """Yield the normalised lines of a file, and count what the vocabulary cannot spell.

    Characters that the vocabulary replaces by others, or by nothing, count as spelled.

    Raises:
        DataError: after the last line, if most cannot be spelled.
    """
    replaced = (character for character, other in vocabulary.outside.items() if other != UNKNOWN_TOKEN)
    characters = vocabulary.tokens[len(FIXED) :]
    known = frozenset((*characters, *replaced))
    unspaced = is_unspaced(vocabulary.language, characters)
    if unspaced:
        spelling.unit = "characters"
    for text in texts:
        words = text.replace(" ", "") if unspaced else text.split()
        spelling.total += len(words)
        spelling.unspelled += sum(not known.issuperset(word) for word in words)
        yield text
    spelling.check()
