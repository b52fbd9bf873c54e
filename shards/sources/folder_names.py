"""Infer a recording's language and split from the names of the folders above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.audio.extensions import ALL_EXTENSIONS
from shards.errors import Problem, ShardsError
from shards.languages import LanguageError, is_locale, language_codes, parse_language, resolve_language
from shards.splits import SPLITS, parse_split
from shards.wording import printable

Folders = tuple[str, ...]

# Always held out, but ambiguous: it is the test set in Kaldi, and the dev set in Hugging Face's trainer.
EVALUATION = "eval"
# Folder names that say what kind of files they hold. Some, such as `wav` and `ogg`, are language codes, too.
_CONTENT_NAMES = ALL_EXTENSIONS | {"audio", "audios", "clips", "recordings", "sounds", "speech", "txt", "wavs"}
_HELD_OUT = re.compile(r"hold_?out|held_?out|blind|unseen")
_SPLIT_NAMES = "train, dev or test"


@dataclass(frozen=True, slots=True)
class Place:
    """Language and split of a folder. `problem` says why they are unclear; `split` may be `EVALUATION`."""

    language: str | None
    split: str | None
    problem: Problem | None = None


def splits_named(name: str) -> set[str]:
    """Return the splits a folder name mentions: one for `train`, `validation`, `test-clean`, `train_100h`, `eval92`."""
    words = re.split(r"[^a-z]+", name.lower())
    return {split for word in words if (split := _split_of_word(word))}


def _split_of_word(word: str) -> str | None:
    word = re.sub(r"(?<=.)(sets?|data|s)$", "", word)
    if word in ("eval", "evaluation"):
        return EVALUATION
    try:
        return parse_split(word)
    except ShardsError:
        return None


class FolderNames:
    """Infers languages and splits of the folders below a root.

    Args:
        language: the language of everything; if some folders have this name, only of what is in them.
    """

    def __init__(self, root: Path, language: str | None) -> None:
        self._outer = root.absolute().parts[::-1]
        self._language = language
        self._beside_languages: frozenset[Folders] = frozenset()

    def compare(self, folders: Collection[Folders]) -> None:
        """Learn all folders that hold recordings: `ogg` beside `ron` is a language, but alone or beside `flac` not."""
        plain = {self._without_splits(path) for path in folders}
        known = {path[: depth + 1] for path in plain for depth in range(len(path))}
        beside = {path[:-1] for path in known if _is_code(path[-1]) or _is_locale(path[-1])}
        self._beside_languages = frozenset(
            path
            for path in known
            if path[:-1] in beside
            and is_kind_of_file(path[-1])
            and _has_form_of_code(path[-1])
            and not any(map(_is_code, path[:-1]))
        )

    def split_parents(self, folders: Collection[Folders]) -> dict[Folders, bool]:
        """Return the folders that contain a folder named as a split, and for each whether it has one language."""
        found: dict[Folders, bool] = {}
        for path in folders:
            language_depth, language, _ = self._language_of(path)
            for depth, name in enumerate(path):
                if self._split(name):
                    above = language is not None and (language_depth is None or language_depth < depth)
                    found[path[:depth]] = found.get(path[:depth], False) or above
        return found

    def place(self, folders: Folders, split_parents: Mapping[Folders, bool] | None = None) -> Place:
        """Return language and split of a recording in the last of `folders`, which lead down from the root.

        Args:
            split_parents: from `split_parents`, for all recordings. Without it, a folder beside split folders need not
                be a split itself.
        """
        split_parents = split_parents or {}
        splits = {split for name in folders if (split := self._split(name))}
        if len(splits) > 1:
            return Place(None, None, Problem(f"its folders name several splits ({' and '.join(sorted(splits))})"))
        split = splits.pop() if splits else None
        if not folders and self._outer[0] in SPLITS and self._outer[0] != self._language:
            split = self._outer[0]
        depth, language, problem = self._language_of(folders)
        for number, name in enumerate(folders if problem is None else ()):
            if (
                self._split(name)
                or self._is_content(folders[: number + 1])
                or (number == depth and not split_parents.get(folders[:number]))
            ):
                continue
            beside_splits = folders[:number] in split_parents
            held_out = len(splits_named(name)) > 1 or _HELD_OUT.search(name.lower().replace("-", "_"))
            if beside_splits or (held_out and split in (None, "train")):
                beside = "is beside split folders, but " if beside_splits else ""
                problem = Problem(
                    f"folder {printable(name)!r} {beside}is not a known split",
                    fix=f"rename it to {_SPLIT_NAMES}, or move it away",
                )
        return Place(language, split, problem)

    def notes(self, folders: Collection[Folders]) -> list[str]:
        """Return notes on folders that are not taken for what they may be.

        They are named as other languages, where one language was given for everything, or as a kind of file.
        """
        if not self._language:
            names = sorted({path[-1] for path in self._beside_languages})
            reason = "taken for languages and not for kinds of files, as beside other languages"
            return [f"{', '.join(names)}: {reason}"] if names else []
        if any(map(self.name_given, folders)):
            return []
        codes = sorted({name for path in folders for name in path if _is_code(name) and not self._split(name)})
        if not codes:
            return []
        shown = ", ".join(codes[:5]) + (" …" if len(codes) > 5 else "")
        return [f"{self._language}: used as the language of all recordings, including those in {shown}"]

    def name_given(self, folders: Folders) -> bool:
        """Whether one of the folders is named after the language given for everything, in whatever spelling."""
        return any(map(self._is_given, folders))

    def _language_of(self, folders: Folders) -> tuple[int | None, str | None, Problem | None]:
        """Return the depth of the folder that names the language, the language, and why it is unclear."""
        if self._language:
            depths = [depth for depth, name in enumerate(folders) if self._is_given(name)]
            return (depths[-1] if depths else None), self._language, None
        splits = [depth for depth, name in enumerate(folders) if self._split(name)]
        names = [
            (depth, name)
            for depth, name in enumerate(folders)
            if depth not in splits and not self._is_content(folders[: depth + 1])
        ]
        # Two letters may be anything, so they name a language only where no folder has a training code.
        is_code = _has_form_of_code if any(_has_form_of_code(name) for _, name in names) else _is_locale
        codes = [(depth, name) for depth, name in names if is_code(name)]
        # Below a split, folders may be named by speakers. Elsewhere, a name that is not a code may be an unknown split.
        if names and not is_code(names[-1][1]) and not any(depth < names[-1][0] for depth in splits):
            return None, _only_code(codes[-1][1]) if codes else None, _no_language(names[-1][1], below=bool(codes))
        if not codes:
            return self._language_of_root(folders)
        depth, language = codes[-1]
        rivals = [name for other, name in codes if any(other < split < depth for split in splits)]
        if rivals:
            rivalry = f"both {rivals[-1]!r} and {language!r} could be its language"
            return None, None, Problem(rivalry, fix="keep one of these folders")
        return depth, *_resolved(language)

    def _language_of_root(self, folders: Folders) -> tuple[int | None, str | None, Problem | None]:
        """Infer the language from the name of the root, or of the folder above it."""
        outer = [name for name in self._outer[:3] if name not in SPLITS and not is_kind_of_file(name)]
        if outer and (_is_code(outer[0]) or _is_locale(outer[0])):
            return None, *_resolved(outer[0])
        inner = [name for name in folders if not self._split(name)]
        return None, None, _no_language((inner[::-1] or outer or self._outer)[0], below=False)

    def _is_content(self, path: Folders) -> bool:
        """Whether the last of these folders is named after a kind of file, and is not a language."""
        return is_kind_of_file(path[-1]) and self._without_splits(path) not in self._beside_languages

    def _without_splits(self, path: Folders) -> Folders:
        return tuple(name for name in path if not self._split(name))

    def _is_given(self, name: str) -> bool:
        return name == self._language or (_is_locale(name) and self._language in language_codes(name))

    def _split(self, name: str) -> str | None:
        """Return the split that a folder name mentions, if it mentions exactly one and is not the language."""
        found = splits_named(name)
        return found.pop() if len(found) == 1 and name != self._language else None


def is_kind_of_file(name: str) -> bool:
    """Whether a folder of this name may hold files of a kind, such as `wav` or `clips`, and so be no language."""
    return name.lower() in _CONTENT_NAMES


def _is_code(name: str) -> bool:
    """Whether a name has the form of a training code, such as `ron`, and is not that of a kind of file."""
    return not is_kind_of_file(name) and _has_form_of_code(name)


def _has_form_of_code(name: str) -> bool:
    try:
        parse_language(name)
    except ShardsError:
        return False
    return True


def _is_locale(name: str) -> bool:
    """Whether a name is another code of a language, such as `ro`, `pt-BR`, `cmn_hans_cn`."""
    return is_locale(name) and not is_kind_of_file(name) and bool(language_codes(name))


def _only_code(name: str) -> str | None:
    codes = (name,) if _is_code(name) else language_codes(name)
    return codes[0] if len(codes) == 1 else None


def _resolved(name: str) -> tuple[str | None, Problem | None]:
    """Return the training code for a folder's name, or why there is none."""
    if code := _only_code(name):
        return code, None
    try:
        return resolve_language(name), None
    except LanguageError as error:
        return None, Problem(f"folder {printable(name)!r}: {error.found}", error.fix)


def _no_language(name: str, *, below: bool) -> Problem:
    try:
        parse_language(name)
    except ShardsError as error:
        either = f"; it is not a split ({_SPLIT_NAMES}) either" if below else ""
        fix = "; ".join(filter(None, (error.fix, "pass --lang if everything is in one language")))
        return Problem(f"{printable(error.found)}{either}", fix=printable(fix))
    return Problem(
        f"folder {name!r} is named after a kind of file", fix=f"pass the language with --lang, even if it is {name}"
    )
