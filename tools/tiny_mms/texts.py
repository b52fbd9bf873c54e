"""Texts for the synthesiser: phrases from translation catalogues and locale data, numbers, random words."""

import gettext
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tools.tiny_mms.languages import SpeechLanguage

_PLACEHOLDERS = re.compile(r"%\([^)]*\)\w|%\w|\{[^}]*\}|<[^>]*>|&\w+;|https?://\S+|[\"“”„«»()\[\]_*#`|/\\@=+<>]|\d+")
_LONGEST_PHRASE_WORDS = 9
_LONGEST_WORD_LETTERS = 30
_SENTENCE_END = re.compile(r"[.!?;:…。।]\s|\n")

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
    from babel import Locale, UnknownLocaleError

    try:
        locale = Locale.parse(language.locale)
    except UnknownLocaleError:
        return
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


def catalogue_phrases(folder: Path) -> TextSource:
    """Return a source with all gettext catalogues under ``folder`` (unpacked packages of translated programs)."""
    paths: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("**/LC_MESSAGES/*.mo")):
        paths.setdefault(path.parent.parent.name, []).append(path)

    def texts(language: SpeechLanguage) -> Iterator[str]:
        for locale in (language.locale, f"{language.locale}_NO"):
            for path in paths.get(locale, []):
                with path.open("rb") as file:
                    try:
                        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
                    except UnicodeDecodeError:  # not in the encoding that it names
                        continue
                yield from (text for key, text in catalogue.items() if key)

    return texts


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
    words = [word.strip(".:;!?…–—-'’") for word in text.replace(",", " ").split()]
    return [
        word for word in words if len(word) <= _LONGEST_WORD_LETTERS and any(character.isalpha() for character in word)
    ]


def phrases(language: SpeechLanguage, sources: Iterable[TextSource]) -> list[str]:
    """Return the distinct phrases of one language, in the order of ``sources``, with at most nine words each."""
    found: dict[str, None] = {}
    for source in sources:
        for text in source(language):
            for sentence in _SENTENCE_END.split(text):
                words = clean(sentence)
                for start in range(0, len(words), _LONGEST_PHRASE_WORDS):
                    found[" ".join(words[start : start + _LONGEST_PHRASE_WORDS])] = None
    return [phrase for phrase in found if len(phrase) >= 3]


class PhrasePool:
    """Phrases of one language, and random sequences of their words."""

    def __init__(self, phrases_: list[str]) -> None:
        self._phrases = phrases_
        self._words = sorted({word for phrase in phrases_ for word in phrase.split()})

    def __len__(self) -> int:
        return len(self._phrases)

    def draw(self, generator: random.Random) -> str:
        """Return a phrase, or as often random words: the ear should not learn what usually follows."""
        if generator.random() < 0.5:
            return generator.choice(self._phrases)
        return " ".join(generator.choices(self._words, k=generator.randint(2, 7)))


def write_texts(folder: Path, languages: Iterable[SpeechLanguage], sources: Iterable[TextSource]) -> None:
    """Write each language's phrases to ``folder/VOICE.txt``, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in languages:
        lines = "".join(f"{phrase}\n" for phrase in phrases(language, sources))
        (folder / f"{language.voice}.txt").write_text(lines, encoding="utf-8")


def read_texts(folder: Path) -> dict[str, PhrasePool]:
    """Return the pool of each language written by ``write_texts``, by its espeak-ng voice."""
    return {
        path.stem: PhrasePool(path.read_text(encoding="utf-8").splitlines()) for path in sorted(folder.glob("*.txt"))
    }
