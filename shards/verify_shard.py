"""Verify one shard: its checksum, and every utterance in it."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass, field

from shards import storage
from shards.cache import ShardCache
from shards.errors import DamagedSampleError, Problem, ShardsError, StorageError, TruncatedShardError
from shards.file_content import fix_of
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex
from shards.read import ShardReader
from shards.schema import frames_of, required_frames


@dataclass(slots=True)
class ShardFindings:
    """The findings for one shard. `text_digests` maps a hash of each text to an utterance that has it.

    `damaged`: whether rebuilding the shards would fix a problem; `utterances`: the number of utterances read.
    """

    damaged: bool = False
    problems: list[Problem] = field(default_factory=list)
    text_digests: dict[bytes, str] = field(default_factory=dict)
    characters: set[str] = field(default_factory=set)
    utterances: int = 0


def check_shard(job: tuple[str, str, str, int]) -> ShardFindings:
    """Check a shard, given as root, language, split and number: its length, checksum, and every utterance in it."""
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
        findings.problems.append(error.problem)
        findings.damaged = True
        return findings
    if found_sha256 != shard.sha256:
        findings.problems.append(Problem(f"shard {index.shard_url(shard)} does not have the SHA-256 in its index"))
    for row in rows:
        try:
            utterance = reader.read(language, split, row)
        except (DamagedSampleError, TruncatedShardError, StorageError) as error:
            findings.problems.append(error.problem)
            continue
        findings.utterances += 1
        which = f"utterance {utterance.key} ({language}, row {row}) in {shard.name}"
        frames, needed = frames_of(len(utterance.audio)), required_frames(utterance.text)
        found = (frames, len(utterance.text), needed)
        expected = (int(table.frames[row]), int(table.label_length[row]), int(table.required_frames[row]))
        if found != expected:
            found_text = f"(frames, labels, frames needed) are {found}, the table says {expected}"
            findings.problems.append(Problem(f"{which}: {found_text}"))
        if frames < needed:
            findings.problems.append(Problem(f"{which}: the text needs {needed} frames, but the audio has {frames}"))
        if not utterance.text:
            findings.problems.append(Problem(f"{which}: no text"))
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
