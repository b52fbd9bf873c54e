"""Make the language model of one language from transcripts and text files, and measure it on dev."""

import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mms_dist.errors import DataError
from mms_dist.files import replace_text
from mms_dist.language_model.arpa import write_arpa
from mms_dist.language_model.counting import check_order
from mms_dist.language_model.finding import ARPA_NAME, BINARY_NAME
from mms_dist.language_model.kneser_ney import all_cutoffs, train
from mms_dist.language_model.model_file import write_model
from mms_dist.language_model.scoring import Perplexity, perplexity
from mms_dist.language_model.sentences import Normaliser, lines, transcripts
from mms_dist.language_model.spelling import Spelling, counted
from mms_dist.language_model.units import Unit
from shards.drops import Drops
from shards.index import LanguageIndex, ShardIndex
from shards.read import ShardReader
from shards.text.normaliser import TextNormaliser, stored_normaliser
from shards.text_rules import RuleOptions, load_rules

FACTS_NAME = "lm.json"
_CHECKED_LINES = 10_000
"""Lines of a text file that are looked at before any work; all are counted when the model is made."""
DEFAULT_ORDER: dict[Unit, int] = {"word": 4, "char": 6}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How models are estimated.

    Attributes:
        order: length of the longest n-grams; None: 4 for words, 6 for characters.
        cutoffs: for each order from the first, drop the n-grams that occur this often or less.
        entropy: drop n-grams whose absence raises the perplexity by less than this, relatively; 0 drops none.
        min_word_count: words that occur less often are unknown ones.
    """

    order: int | None = None
    unit: Unit = "word"
    cutoffs: tuple[int, ...] = ()
    entropy: float = 1e-8
    min_word_count: int = 1

    def check(self) -> None:
        """Check the numbers before work begins.

        Raises:
            DataError: one is out of range.
        """
        check_order(self.order or DEFAULT_ORDER[self.unit])
        all_cutoffs(self.cutoffs, self.order or DEFAULT_ORDER[self.unit])


@dataclass(frozen=True, slots=True)
class TextSources:
    """Where the text of one language comes from.

    Attributes:
        shards: folder or URL of the shards; None: there are none of this language.
        files: text files, one sentence a line.
        text_rules: for the lines of the files; None: the rules of the shards, else the shipped ones.
    """

    shards: str | None = None
    files: tuple[Path, ...] = ()
    text_rules: RuleOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel:
    """What was made.

    Attributes:
        ngrams: number of n-grams of each order.
        words: number of words or characters that the model has.
        dev: how well it predicts the dev transcripts; None without any.
        files: name and bytes of each file written.
        left_out: lines of text files that were not used, by reason.
        spellings: how much of each text file the vocabulary of the shards can spell.
    """

    language: str
    unit: Unit
    order: int
    sentences: int
    words: int
    ngrams: tuple[int, ...]
    seconds: float
    dev: Perplexity | None = None
    files: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, Any] = field(default_factory=dict)
    spellings: list[Spelling] = field(default_factory=list)


def build_language_model(language: str, sources: TextSources, settings: ModelSettings, to: Path) -> BuiltModel:
    """Make `to`/`language`/lm.arpa.gz, its compact binary lm.safetensors, and lm.json, which says how it was made.

    Lines of text files that are transcripts of dev or test are left out.

    Raises:
        DataError: there is no text, a file cannot be read or written, most words of one cannot be spelled with the
            vocabulary of the shards, or a setting is wrong.
        ShardsError: the shards or the text rules cannot be read.
    """
    began = time.monotonic()
    order = settings.order or DEFAULT_ORDER[settings.unit]
    drops = Drops()
    count = itertools.count()
    with _Text(language, sources, drops) as text:
        model = train(
            _counted(text.training(), count),
            order,
            settings.unit,
            cutoffs=settings.cutoffs,
            entropy=settings.entropy,
            min_word_count=settings.min_word_count,
            language=language,
        )
        dev = perplexity(model, text.dev) if text.dev else None
    folder = to / language
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be created: {error.strerror}", fix="choose another folder with --to"
        ) from error
    write_arpa(model, folder / ARPA_NAME)
    write_model(model, folder / BINARY_NAME)
    built = BuiltModel(
        language=language,
        unit=model.unit,
        order=model.order,
        sentences=next(count),
        words=len(model.words),
        ngrams=model.sizes,
        seconds=round(time.monotonic() - began, 3),
        dev=dev,
        files={name: (folder / name).stat().st_size for name in (ARPA_NAME, BINARY_NAME)},
        left_out=drops.as_dict(),
        spellings=text.spellings,
    )
    made_from = {"shards": sources.shards, "files": [os.fspath(path) for path in sources.files]}
    content = asdict(built) | {"settings": asdict(settings), "made_from": made_from}
    facts = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    fix = "free space there, make the folder writable, or choose another one with --to"
    replace_text(folder / FACTS_NAME, facts, fix=fix, error=DataError)
    return built


def _counted(texts: Iterator[str], count: "itertools.count[int]") -> Iterator[str]:
    for text in texts:
        next(count)
        yield text


def check_text_files(language: str, sources: TextSources) -> None:
    """Check the beginning of each text file against the vocabulary of the shards, before any work.

    Raises:
        DataError: a file cannot be read, or most of its words cannot be spelled.
        ShardsError: the shards or the text rules cannot be read.
    """
    if sources.shards is None or not sources.files:
        return
    index = ShardIndex.load(sources.shards, [language]).language(language)
    vocabulary = index.vocabulary
    normalise = _normaliser(language, sources, index)
    for path in sources.files:
        head = itertools.islice(lines(path, normalise, Drops()), _CHECKED_LINES)
        for _ in counted(head, vocabulary, Spelling(str(path), language)):
            pass


def _normaliser(language: str, sources: TextSources, index: LanguageIndex | None) -> Normaliser:
    rules = index.text_rules if index and sources.text_rules is None else None
    if rules:
        return stored_normaliser(rules)
    return TextNormaliser(load_rules(language, sources.text_rules or RuleOptions()))


class _Text:
    """All text of one language."""

    def __init__(self, language: str, sources: TextSources, drops: Drops) -> None:
        self._sources = sources
        self._drops = drops
        self._index: LanguageIndex | None = None
        self._reader: ShardReader | None = None
        self.dev: Sequence[str] = ()
        held_out: set[str] = set()
        if sources.shards is not None:
            index = ShardIndex.load(sources.shards, [language])
            self._index = index.language(language)
            self._reader = ShardReader(index)
            self.dev = list(transcripts(self._reader, self._index, "dev"))
            held_out.update(self.dev)
            if sources.files:
                held_out.update(transcripts(self._reader, self._index, "test"))
        self._held_out = held_out
        self._normalise = _normaliser(language, sources, self._index)
        self._language = language
        self.spellings: list[Spelling] = []

    def training(self) -> Iterator[str]:
        """Yield the sentences, those of the shards first."""
        if self._index is not None and self._reader is not None:
            yield from transcripts(self._reader, self._index, "train")
        for path in self._sources.files:
            texts = lines(path, self._normalise, self._drops, held_out=self._held_out)
            if self._index is None:
                yield from texts
                continue
            self.spellings.append(Spelling(str(path), self._language))
            yield from counted(texts, self._index.vocabulary, self.spellings[-1])

    def __enter__(self) -> "_Text":
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()
