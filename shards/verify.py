"""Verify that shards match their index and can be used for training."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from shards import storage
from shards.cache import ShardCache
from shards.errors import (
    DamagedSampleError,
    IndexFileError,
    ShardsError,
    StorageError,
    TruncatedShardError,
    UnknownLanguageError,
)
from shards.file_content import fix_of, stand_in_of
from shards.index import LanguageIndex, ShardIndex, indexed_languages
from shards.pool import in_order, process_pool
from shards.read import ShardReader
from shards.schema import INDEX_NAME, SPLITS, VOCABULARY_NAME, frames_of, required_frames
from shards.wording import counted


@dataclass(slots=True)
class ShardFindings:
    """The findings for one shard. `text_digests` maps a hash of each text to an utterance that has it.

    `damaged`: whether rebuilding the shards would fix a problem; `utterances`: the number of utterances read.
    """

    damaged: bool = False
    problems: list[str] = field(default_factory=list)
    text_digests: dict[bytes, str] = field(default_factory=dict)
    characters: set[str] = field(default_factory=set)
    utterances: int = 0


@dataclass(slots=True)
class LanguageFindings:
    """The findings for one language: `problems`, the `fix` for damage, and `notes` on what is not a problem.

    `utterances`: the number of utterances read; `expected`: the number in the index.
    """

    language: str
    problems: list[str] = field(default_factory=list)
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
            findings[code] = LanguageFindings(code, problems=[str(error)])
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
    with process_pool(min(workers, len(intact))) as executor:
        for (_, code, split, number), found in zip(
            intact, in_order(executor, _check_shard, intact, workers), strict=True
        ):
            findings[code].problems.extend(found.problems)
            findings[code].utterances += found.utterances
            if found.damaged:
                findings[code].fix = indexes[code].fix
            texts[code][split].update(found.text_digests)
            characters[code] |= found.characters if split == "train" else set()
            advance(indexes[code].shards(split)[number].samples)
    for code, by_split in texts.items():
        findings[code].problems.extend(_texts_in_two_splits(by_split))
        unknown = characters[code] - set(indexes[code].vocabulary.tokens) - {" "}
        if unknown:
            findings[code].problems.append(
                f"{VOCABULARY_NAME} lacks characters of the training text: {' '.join(sorted(unknown))}"
            )
            findings[code].fix = indexes[code].fix
    for code, index in indexes.items():
        findings[code].problems.extend(_tars_without_index(index))
    return [findings[code] for code in sorted(findings)]


def _check_language(index: LanguageIndex) -> LanguageFindings:
    """Run the checks that do not read any shard."""
    findings = LanguageFindings(index.language, expected=sum(map(index.utterances, SPLITS)))
    for name, entry in index.content.get("files", {}).items():
        url = storage.join(index.root, index.language, name)
        try:
            data = storage.read_bytes(url)
        except FileNotFoundError:
            findings.problems.append(f"{url} is missing")
            continue
        except StorageError as error:
            findings.problems.append(str(error))
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            instead = stand_in_of(data, storage.join(index.root, index.language))
            found = instead or f"has {len(data):,} bytes and not the SHA-256 in index.json"
            findings.problems.append(f"{url} {found}")
    if findings.problems:
        findings.fix = index.fix
        return findings
    try:
        speakers = _speakers(index)
        len(index.vocabulary)
    except ShardsError as error:
        findings.problems.append(str(error))
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
    """Find folders of tars without an index, which training would silently skip."""
    folder = storage.local_path(root)
    if folder is None:
        return {}
    found = {}
    for name in storage.list_folders(root):
        tars = len(list((folder / name).glob("[!.]*.tar"))) if name not in known else 0
        if tars:
            problem = f"{counted(tars, 'tar')} but no {INDEX_NAME}, so training skips them"
            fix = (
                f"fetch {INDEX_NAME} again, index the tars with 'mms-dist shards index {root} --lang {name}', "
                f"or rebuild them with 'mms-dist shards build SOURCE {root} --lang {name} --force'"
            )
            found[name] = LanguageFindings(name, problems=[problem], fix=fix)
    return found


def _speakers(index: LanguageIndex) -> dict[str, set[str]]:
    found = {split: {str(name) for name in set(index.table(split).speaker) if name} for split in SPLITS}
    return {split: names for split, names in found.items() if names}


def _tars_without_index(index: LanguageIndex) -> list[str]:
    folder = storage.local_path(storage.join(index.root, index.language))
    if folder is None:
        return []
    # Compare full paths, since tars in other folders may have the same names.
    urls = [index.shard_url(shard) for split in SPLITS for shard in index.shards(split)]
    known = {path.resolve() for path in map(storage.local_path, urls) if path is not None}
    fix = (
        f"move it away, or index all of them with 'mms-dist shards index {index.root} --lang {index.language} --force'"
    )
    return [
        f"{path} is not in the index; {fix}" for path in sorted(folder.glob("[!.]*.tar")) if path.resolve() not in known
    ]


def _texts_in_two_splits(by_split: dict[str, dict[bytes, str]]) -> list[str]:
    problems = []
    for number, first in enumerate(SPLITS):
        for second in SPLITS[number + 1 :]:
            shared = by_split[first].keys() & by_split[second].keys()
            if shared:
                example = min(by_split[first][digest] for digest in shared)
                problems.append(
                    f"{counted(len(shared), 'sentence')} in both {first} and {second} (for example {example}); put "
                    "every sentence into one split in the source, and build or index it again"
                )
    return problems


def _check_shard(job: tuple[str, str, str, int]) -> ShardFindings:
    root, language, split, number = job
    reader, index = _reader(root, language)
    findings = ShardFindings()
    shard = index.shards(split)[number]
    table = index.table(split)
    rows = [int(row) for row in (table.shard == number).nonzero()[0]]
    try:
        found_sha256, found_bytes = _sum_of(index.shard_url(shard), index, split, number)
        if found_bytes != shard.bytes:
            raise TruncatedShardError(
                index.shard_url(shard),
                bytes_found=found_bytes,
                bytes_expected=shard.bytes,
                fix=fix_of(storage.local_path(index.shard_url(shard)), "it was truncated or changed"),
            )
    except ShardsError as error:
        findings.problems.append(str(error))
        findings.damaged = True
        return findings
    if found_sha256 != shard.sha256:
        findings.problems.append(f"shard {index.shard_url(shard)} does not have the SHA-256 in its index")
    for row in rows:
        try:
            utterance = reader.read(language, split, row)
        except (DamagedSampleError, TruncatedShardError, StorageError) as error:
            findings.problems.append(str(error))
            continue
        findings.utterances += 1
        which = f"utterance {utterance.key} ({language}, row {row}) in {shard.name}"
        frames, needed = frames_of(len(utterance.audio)), required_frames(utterance.text)
        found = (frames, len(utterance.text), needed)
        expected = (int(table.frames[row]), int(table.label_length[row]), int(table.required_frames[row]))
        if found != expected:
            findings.problems.append(f"{which}: (frames, labels, frames needed) are {found}, the table says {expected}")
        if frames < needed:
            findings.problems.append(f"{which}: the text needs {needed} frames, but the audio has {frames}")
        if not utterance.text:
            findings.problems.append(f"{which}: no text")
        digest = hashlib.blake2b(utterance.text.encode(), digest_size=8).digest()
        findings.text_digests[digest] = f"{utterance.key} in {shard.name}, row {row}"
        findings.characters.update(utterance.text)
    findings.damaged = bool(findings.problems)
    return findings


@functools.lru_cache(maxsize=2)
def _reader(root: str, language: str) -> tuple[ShardReader, LanguageIndex]:
    index = ShardIndex.load(root, [language])
    return ShardReader(index), index.language(language)


def _sum_of(url: str, index: LanguageIndex, split: str, number: int) -> tuple[str, int]:
    path = storage.local_path(url)
    shard = index.shards(split)[number]
    if path is None:
        descriptor = ShardCache.in_temporary_folder().open(url, shard)
    else:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            fix = "it was moved or never copied"
            raise TruncatedShardError(url, bytes_found=None, bytes_expected=shard.bytes, fix=fix) from error
        except OSError as error:
            raise StorageError(f"shard {url} cannot be opened: {error.strerror}") from error
    try:
        with open(descriptor, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), os.fstat(descriptor).st_size
    except OSError as error:
        raise StorageError(f"shard {url} cannot be read: {error.strerror}") from error
