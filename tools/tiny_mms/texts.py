"""Texts for the synthesiser: phrases from translation catalogues and locale data, numbers, random words."""

import gettext
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.tiny_mms.languages import SpeechLanguage

_PLACEHOLDERS = re.compile(r"%\([^)]*\)\w|%\w|\{[^}]*\}|<[^>]*>|&\w+;|https?://\S+|[\"“”„«»()\[\]_*#`|/\\@=+<>]|\d+")
_LONGEST_PHRASE_WORDS = 9

TextSource = Callable[[SpeechLanguage], Iterator[str]]


def django_phrases(language: SpeechLanguage) -> Iterator[str]:
    """Yield strings from Django's translation catalogues (BSD licence)."""
    import django

    pattern = f"**/locale/{language.locale}/LC_MESSAGES/*.mo"
    for path in sorted(Path(django.__file__).parent.glob(pattern)):
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        yield from (text for key, text in catalogue.items() if key)


def babel_phrases(language: SpeechLanguage) -> Iterator[str]:
    """Yield names of territories, languages, currencies, months and days (Unicode CLDR through Babel)."""
    from babel import Locale

    locale = Locale.parse(language.locale)
    for names in (locale.territories, locale.languages, locale.currencies, locale.variants, locale.scripts):
        yield from (str(name) for name in names.values())
    for names in (locale.months["format"]["wide"], locale.days["format"]["wide"]):
        yield from names.values()


def number_phrases(language: SpeechLanguage) -> Iterator[str]:
    """Yield spelled-out numbers; nothing for a language that num2words does not have."""
    if language.num2words is None:
        return
    from num2words import num2words

    generator = random.Random(f"numbers {language.voice}")
    for _ in range(400):
        yield num2words(generator.randrange(10 ** generator.randint(1, 6)), lang=language.num2words)


def dialogue_phrases(scripts: Path) -> TextSource:
    """Return a source with the dialogues of the game Fish Fillets NG, for the languages it is translated into."""

    def phrases(language: SpeechLanguage) -> Iterator[str]:
        from tools.tiny_mms.recordings import dialogue_lines

        for path in sorted(scripts.glob(f"*/dialogs_{language.locale}.lua")):
            yield from (text for _, text in dialogue_lines(path))

    return phrases


def clean(text: str) -> list[str]:
    """Return the words of one phrase, without placeholders, mark-up, digits and stray punctuation."""
    text = _PLACEHOLDERS.sub(" ", unicodedata.normalize("NFC", text))
    words = [word.strip(".,:;!?…–—-'’") for word in text.split()]
    return [word for word in words if any(character.isalpha() for character in word)]


class PhrasePool:
    """Phrases of one language in a fixed random order, then endless random sequences of their words."""

    def __init__(self, language: SpeechLanguage, sources: tuple[TextSource, ...], seed: int) -> None:
        phrases: dict[str, None] = {}
        for source in sources:
            for text in source(language):
                words = clean(text)
                for start in range(0, len(words), _LONGEST_PHRASE_WORDS):
                    phrases[" ".join(words[start : start + _LONGEST_PHRASE_WORDS])] = None
        self._phrases = [phrase for phrase in phrases if len(phrase) >= 3]
        self._words = sorted({word for phrase in self._phrases for word in phrase.split()})
        self._random = random.Random(f"{seed} {language.voice}")
        self._random.shuffle(self._phrases)

    def __len__(self) -> int:
        return len(self._phrases)

    def __iter__(self) -> Iterator[str]:
        """Yield an unused phrase half of the time while there are any, otherwise random words."""
        unused = list(self._phrases)
        while self._words:
            if unused and self._random.random() < 0.5:
                yield unused.pop()
            else:
                yield " ".join(self._random.choices(self._words, k=self._random.randint(2, 7)))
