"""Verify that shards match their index and can be used for training."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from shards import storage
from shards.errors import IndexFileError, Problem, ShardsError, StorageError, UnknownLanguageError
from shards.file_content import detect_placeholder_in
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex, indexed_languages
from shards.process_pool import WorkerPool
from shards.schema import INDEX_NAME, VOCABULARY_NAME
from shards.splits import SPEAKER_ONLY, SPLITS
from shards.verify_shard import check_shard
from shards.wording import counted


@dataclass(slots=True)
class LanguageFindings:
    """The findings for one language: `problems`, the `fix` for damage, and `notes` on what is not a problem.

    `utterances`: the number of utterances read; `expected`: the number in the index.
    """

    language: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fix: str | None = None
    utterances: int = 0
    expected: int = 0


def verify_shards(
    root: str,
    languages: Sequence[str] | None,
    *,
    workers: int,
    advance: Callable[[int], None],
    begin: Callable[[int], None] = lambda total: None,
) -> list[LanguageFindings]:
    """Check every checksum, every sample and every split.

    `begin` is called once with the number of utterances to check, `advance` with the number in each finished shard.

    Raises:
        IndexFileError: there is no index to check against. A broken index is a finding.
    """
    findings: dict[str, LanguageFindings] = {}
    indexes: dict[str, LanguageIndex] = {}
    for code in sorted(set(indexed_languages(root) if languages is None else languages)):
        try:
            indexes[code] = ShardIndex.load(root, [code]).language(code)
        except UnknownLanguageError:
            raise
        except (IndexFileError, StorageError) as error:
            findings[code] = LanguageFindings(code, problems=[error.problem])
        else:
            findings[code] = _check_language(indexes[code])
    if languages is None:
        findings.update(folders_without_index(root, findings))
    # Samples can be read only where the index and its table are intact.
    intact = [
        (root, code, split, number)
        for code, index in indexes.items()
        if not findings[code].problems
        for split in SPLITS
        for number in range(len(index.shards(split)))
    ]
    begin(sum(findings[code].expected for code in dict.fromkeys(job[1] for job in intact)))
    texts: dict[str, dict[str, dict[bytes, str]]] = defaultdict(lambda: defaultdict(dict))
    characters: dict[str, set[str]] = defaultdict(set)
    with WorkerPool(min(workers, len(intact))) as pool:
        for (_, code, split, number), found in zip(intact, pool.in_order(check_shard, intact), strict=True):
            findings[code].problems.extend(found.problems)
            findings[code].utterances += found.utterances
            if found.damaged:
                findings[code].fix = indexes[code].fix
            texts[code][split].update(found.text_digests)
            characters[code] |= found.characters if split == "train" else set()
            advance(indexes[code].shards(split)[number].samples)
    for code, by_split in texts.items():
        shared = _texts_in_two_splits(by_split)
        if indexes[code].split_by == SPEAKER_ONLY:
            findings[code].notes.extend(f"{problem.found}, as --split-by {SPEAKER_ONLY} allows" for problem in shared)
        else:
            findings[code].problems.extend(shared)
        vocabulary = indexes[code].vocabulary
        unknown = characters[code] - set(vocabulary.tokens) - set(vocabulary.outside) - {" "}
        if unknown:
            lacking = f"{VOCABULARY_NAME} lacks characters of the training text: {' '.join(sorted(unknown))}"
            findings[code].problems.append(Problem(lacking))
            findings[code].fix = indexes[code].fix
    for code, problems in zip(indexes, storage.each(root, _tars_without_index, indexes.values()), strict=True):
        if isinstance(problems, StorageError):
            findings[code].notes.append(f"not checked for tars that the index does not name: {problems.found}")
        else:
            findings[code].problems.extend(problems)
    return [findings[code] for code in sorted(findings)]


def _check_language(index: LanguageIndex) -> LanguageFindings:
    """Run the checks that do not read any shard."""
    findings = LanguageFindings(index.language, expected=sum(map(index.utterances, SPLITS)))
    for name, entry in index.content.get("files", {}).items():
        url = storage.join(index.root, index.language, name)
        try:
            data = storage.read_bytes(url)
        except FileNotFoundError:
            findings.problems.append(Problem(f"{url} is missing"))
            continue
        except StorageError as error:
            findings.problems.append(error.problem)
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            instead = detect_placeholder_in(data, storage.join(index.root, index.language))
            found = instead or Problem(f"has {len(data):,} bytes and not the SHA-256 in index.json")
            findings.problems.append(Problem(f"{url} {found.found}", found.fix))
    if findings.problems:
        findings.fix = index.fix
        return findings
    try:
        speakers = _speakers(index)
        len(index.vocabulary)
        index.forget()  # the tables of very many languages are large
    except ShardsError as error:
        findings.problems.append(error.problem)
        return findings
    shared = {
        name for names in speakers.values() for name in names if sum(name in others for others in speakers.values()) > 1
    }
    if shared:
        findings.notes.append(f"speakers in several splits: {len(shared)} (for example {min(shared)})")
    if not speakers:
        findings.notes.append("no speakers are named, so splits may share them")
    return findings


def folders_without_index(root: str, known: Collection[str]) -> dict[str, LanguageFindings]:
    """Find folders of tars without an index, which training would silently skip.

    Raises:
        StorageError: the root cannot be listed.
    """
    found = {}
    names = [name for name in storage.list_folders(root) if name not in known]
    tars_of = storage.each(root, storage.list_tars, [storage.join(root, name) for name in names])
    for name, tars in zip(names, tars_of, strict=True):
        if tars:
            problem = f"{counted(len(tars), 'tar')} but no {INDEX_NAME}, so training skips them"
            fix = (
                f"fetch {INDEX_NAME} again, index the tars with 'mms-dist shards index {root} --lang {name}', "
                f"or rebuild them with 'mms-dist shards build SOURCE {root} --lang {name} --force'"
            )
            found[name] = LanguageFindings(name, problems=[Problem(problem)], fix=fix)
    return found


def _speakers(index: LanguageIndex) -> dict[str, set[str]]:
    found = {split: {str(name) for name in set(index.table(split).speaker) if name} for split in SPLITS}
    return {split: names for split, names in found.items() if names}


def _tars_without_index(index: LanguageIndex) -> list[Problem] | StorageError:
    folder = storage.join(index.root, index.language)
    try:
        names = storage.list_tars(folder)
    except StorageError as error:
        return error
    # Compare full paths, since tars in other folders may have the same names.
    known = {_full(index.shard_url(shard)) for split in SPLITS for shard in index.shards(split)}
    fix = (
        f"move it away, or index all of them with 'mms-dist shards index {index.root} --lang {index.language} --force'"
    )
    return [
        Problem(f"{place} is not in the index", fix)
        for place in (storage.join(folder, name) for name in names)
        if _full(place) not in known
    ]


def _full(place: str) -> str:
    """Return the one form of a path that a file has, or the URL."""
    path = storage.local_path(place)
    return place if path is None else str(path.resolve())


def _texts_in_two_splits(by_split: dict[str, dict[bytes, str]]) -> list[Problem]:
    problems = []
    for number, first in enumerate(SPLITS):
        for second in SPLITS[number + 1 :]:
            shared = by_split[first].keys() & by_split[second].keys()
            if shared:
                example = min(by_split[first][digest] for digest in shared)
                problems.append(
                    Problem(
                        f"{counted(len(shared), 'sentence')} in both {first} and {second} (for example {example})",
                        fix="put every sentence into one split in the source, and build or index it again",
                    )
                )
    return problems
