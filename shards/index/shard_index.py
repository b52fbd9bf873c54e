"""The index of shards: where every utterance is stored, without reading the shards.

Legend: `[N]` one entry per utterance, in shard order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from shards import storage
from shards.errors import IndexFileError, StorageError, UnknownLanguageError
from shards.file_content import detect_placeholder_in
from shards.index.checks import check_content, parse_index
from shards.index.language_index import LanguageIndex, _rebuild_advice
from shards.schema import INDEX_NAME, SCHEMA_VERSION
from shards.wording import nearest


class ShardIndex:
    """The indexes of the languages under one root."""

    def __init__(self, root: str, indexes: dict[str, LanguageIndex]) -> None:
        self.root = root
        self._indexes = indexes

    @classmethod
    def load(cls, root: str, languages: Sequence[str] | None = None) -> ShardIndex:
        """Read `<root>/<language>/index.json` of the given languages, or of all that have one.

        Raises:
            IndexFileError: the root holds no index, a language is missing, or an index is unreadable.
            StorageError: the root cannot be listed or read.
        """
        root = str(root)
        if languages is None:
            languages = indexed_languages(root)
        codes = sorted(languages)
        loaded = storage.each(root, partial(_load_language, root), codes)
        return cls(root, dict(zip(codes, loaded, strict=True)))

    @property
    def languages(self) -> tuple[str, ...]:
        """The language codes, sorted."""
        return tuple(self._indexes)

    def language(self, code: str) -> LanguageIndex:
        """Return the index of one language.

        Raises:
            IndexFileError: the code is not among `languages`; the message suggests the closest.
        """
        if code not in self._indexes:
            raise UnknownLanguageError(_unknown_language(self.root, code, self.languages))
        return self._indexes[code]


def indexed_languages(root: str) -> list[str]:
    """Return the languages under `root` that have an `index.json`, valid or not.

    Raises:
        IndexFileError: there are none.
        StorageError: the root cannot be listed.
    """
    folders = storage.list_folders(root)
    indexed = storage.each(root, storage.exists, [storage.join(root, name, INDEX_NAME) for name in folders])
    languages = [name for name, has_index in zip(folders, indexed, strict=True) if has_index]
    if not languages:
        raise IndexFileError(
            f"{root} contains no <language>/{INDEX_NAME}",
            fix=(
                f"build shards there with 'mms-dist shards build SOURCE {root}', "
                f"or index existing tars with 'mms-dist shards index {root}'"
            ),
        )
    return languages


def _load_language(root: str, code: str) -> LanguageIndex:
    url = storage.join(root, code, INDEX_NAME)
    try:
        text = storage.read_bytes(url)
    except FileNotFoundError as error:
        try:
            present = storage.list_folders(root)
        except StorageError:
            present = []
        raise UnknownLanguageError(_unknown_language(root, code, present)) from error
    try:
        content = parse_index(text)
        version = content["schema_version"]
    except (ValueError, KeyError) as error:
        instead = detect_placeholder_in(text, storage.join(root, code))
        reason = f"it {instead.found}" if instead else _described(error)
        rebuild = _rebuild_advice(root, code)
        fix = f"{instead.fix}; otherwise {rebuild}" if instead else rebuild
        raise IndexFileError(f"{url} is not a shard index ({reason})", fix=fix) from error
    if version != SCHEMA_VERSION:
        raise IndexFileError(
            f"{url} has schema version {version}, expected {SCHEMA_VERSION}", fix=_rebuild_advice(root, code)
        )
    try:
        check_content(content, code)
    except ValueError as error:
        raise IndexFileError(
            f"{url} has a missing or invalid entry ({error})", fix=_rebuild_advice(root, code)
        ) from error
    return LanguageIndex(code, root, content)


def _unknown_language(root: str, code: str, present: Sequence[str]) -> str:
    names = ", ".join(present[:20]) + (", …" if len(present) > 20 else "")
    return f"no shards of language {code!r} in {root}{nearest(code, present)}; languages there: {names or 'none'}"


def _described(error: Exception) -> str:
    return f"no entry {error}" if isinstance(error, KeyError) else str(error)
