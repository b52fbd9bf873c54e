"""The vocabulary of one language: characters and their ids, in the nested form that MMS tokenizers read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shards.errors import ShardsError
from shards.file_content import detect_placeholder_in
from shards.wording import nearest

# The same five tokens in every language, because Hugging Face's tokenizer breaks on reload if languages differ.
FIXED = ("<pad>", "<s>", "</s>", "<unk>", "|")
BLANK, UNKNOWN, SPACE = 0, 3, 4
UNKNOWN_TOKEN, REMOVED = FIXED[UNKNOWN], ""
_SHOWN = 10


def token_ids(content: object, language: str) -> dict[str, int]:
    """Return the ids of a language's tokens from the content of a `vocab.json`, whatever its order.

    It may hold several languages, as `{"<language>": {"<token>": id}}`, or one, as `{"<token>": id}`.

    Raises:
        ShardsError: it lacks the language, or is no vocabulary.
    """
    if isinstance(content, dict) and content and all(isinstance(entry, dict) for entry in content.values()):
        if language not in content:
            listed = ", ".join(sorted(content)[:_SHOWN]) + (" …" if len(content) > _SHOWN else "")
            raise ShardsError(
                f"it has no vocabulary of {language}{nearest(language, content)}, only of {listed}",
                fix="a vocabulary is found by the training code of its language: mms-dist languages",
            )
        content = content[language]
    if not isinstance(content, dict) or not content:
        raise ShardsError('it is no vocabulary, expected {"<token>": id} or {"<language>": {"<token>": id}}')
    ids = list(content.values())
    if not all(type(number) is int and number >= 0 for number in ids) or len(set(ids)) < len(ids):
        raise ShardsError(f"the ids of {language} are not whole numbers, each given once")
    return content


@dataclass(frozen=True)
class Vocabulary:
    """An immutable vocabulary. Ids 0 ... 4 are `<pad>` (the CTC blank), `<s>`, `</s>`, `<unk>` and `|` (space).

    `outside`: for characters that are not in it, what they are encoded as: others that are, nothing (`REMOVED`), or
    `UNKNOWN_TOKEN`, as all that it does not name.
    """

    language: str
    tokens: tuple[str, ...]
    outside: Mapping[str, str] = field(default_factory=dict, compare=False)
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _replaced: dict[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tokens[: len(FIXED)] != FIXED:
            raise ShardsError(
                f"the vocabulary of {self.language} begins with {self.tokens[: len(FIXED)]}, expected {FIXED}",
                fix="rebuild it with 'mms-dist shards build' or 'mms-dist shards index'",
            )
        ids = {token: number for number, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ShardsError(f"the vocabulary of {self.language} lists a token twice")
        ids[" "] = SPACE
        object.__setattr__(self, "_ids", ids)
        replaced = {ord(character): other for character, other in self.outside.items() if other != UNKNOWN_TOKEN}
        object.__setattr__(self, "_replaced", replaced)

    @classmethod
    def build(cls, language: str, texts: Iterable[str]) -> Vocabulary:
        """Create the vocabulary of `texts`: the five fixed tokens, then every character, by code point."""
        characters: set[str] = set()
        for text in texts:
            characters.update(text)
        return cls(language, FIXED + tuple(sorted(characters - {" ", "|"})))

    @classmethod
    def from_nested(cls, mapping: Mapping[str, Mapping[str, int]], language: str) -> Vocabulary:
        """Read `{"<language>": {"<token>": id}}`.

        Raises:
            ShardsError: the language is absent, or the ids are not 0 ... n-1.
        """
        if not isinstance(mapping, Mapping) or not isinstance(mapping.get(language), Mapping):
            present = ", ".join(sorted(map(str, mapping))) if isinstance(mapping, Mapping) else type(mapping).__name__
            raise ShardsError(
                f"the vocabulary has no entry for {language}, only {present or 'none'}, "
                f'expected {{"{language}": {{"<pad>": 0, …}}}}'
            )
        ids = mapping[language]
        if not all(type(number) is int for number in ids.values()) or sorted(ids.values()) != list(range(len(ids))):
            raise ShardsError(f"the ids in the vocabulary of {language} are not 0 … {len(ids) - 1}, each once")
        if "" in ids:
            raise ShardsError(f"the vocabulary of {language} has an empty token")
        try:
            "".join(ids).encode()
        except UnicodeEncodeError as error:
            raise ShardsError(f"the vocabulary of {language} has half a surrogate pair as a token: {error}") from None
        return cls(language, tuple(sorted(ids, key=ids.__getitem__)))

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read a `vocab.json` of one language.

        Raises:
            ShardsError: the file is absent, not JSON, or does not hold exactly one language.
        """
        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise ShardsError(f"vocabulary {path} cannot be read: {error.strerror}") from error
        return cls.parse(text, name=str(path))

    @classmethod
    def parse(cls, text: str | bytes, *, name: str) -> Vocabulary:
        """Parse the text of a `vocab.json`; `name` is for messages. Raises as `load`."""
        head = text if isinstance(text, bytes) else text.encode(errors="replace")
        if instead := detect_placeholder_in(head, name.rpartition("/")[0] or "."):
            raise ShardsError(f"vocabulary {name} {instead.found}", fix=instead.fix)
        try:
            mapping = json.loads(text)
        except UnicodeDecodeError as error:
            raise ShardsError(f"vocabulary {name} is not UTF-8: {error.reason} at byte {error.start}") from error
        except (ValueError, RecursionError) as error:
            raise ShardsError(f"vocabulary {name} is not JSON: {error}") from error
        if not isinstance(mapping, dict) or len(mapping) != 1:
            raise ShardsError(f'vocabulary {name} must hold one language, as in {{"ron": {{"<pad>": 0, …}}}}')
        return cls.from_nested(mapping, next(iter(mapping)))

    def nested(self) -> dict[str, dict[str, int]]:
        """Return `{"<language>": {"<token>": id}}`, the form of `vocab.json` and of Hugging Face's MMS tokenizers."""
        return {self.language: {token: number for number, token in enumerate(self.tokens)}}

    def to_json(self) -> str:
        """Return the text of `vocab.json`."""
        return json.dumps(self.nested(), ensure_ascii=False, indent=1) + "\n"

    def save(self, path: str | Path) -> None:
        """Write `vocab.json`."""
        Path(path).write_text(self.to_json(), encoding="utf-8", newline="\n")

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Return one id per character; a space becomes `|`, an unknown character what `outside` says, else `<unk>`."""
        ids = self._ids
        if self._replaced:
            text = " ".join(text.translate(self._replaced).split())
            if not text:
                return [UNKNOWN]  # CTC needs a label
        return [ids.get(character, UNKNOWN) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Decode by greedy CTC: collapse repeats, drop the blank and special tokens, turn runs of `|` into one space.

        Equal to Hugging Face's `Wav2Vec2CTCTokenizer.decode(ids)`, except that the latter prints `<s>`, `</s>` and
        `<unk>`. With `skip_special_tokens=True`, it drops the blank first and so merges double letters.
        """
        pieces: list[str] = []
        previous = -1
        for number in ids:
            if number != previous and number > UNKNOWN:
                pieces.append(" " if number == SPACE else self.tokens[number])
            previous = number
        return " ".join("".join(pieces).split())
