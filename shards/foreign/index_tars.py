"""Index WebDataset tars made by other tools, without changing them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shards import remote, storage
from shards.drops import Drop, Rejected, no_training_utterances
from shards.errors import ShardsError, StorageError
from shards.flags.names import FlagOptions
from shards.foreign.find_tars import ForeignTar, deeper_note, packed_beside
from shards.foreign.survey_tar import FoundSample, TarSurvey, survey_tar
from shards.foreign.transcripts import choose_fields, fields_note, fields_to_look_for, samples_of_other_languages
from shards.index.flag_parts import flag_parts, scripts_of
from shards.index.parts import ShardPart, UtteranceFacts, shard_part
from shards.index.write_index import index_files, write_files
from shards.limits import Limits, check_labels
from shards.process_pool import WorkerPool
from shards.splits import PRECEDENCE
from shards.tars.sample import SampleParser
from shards.text_rules import TextRules
from shards.vocabulary_choice import VocabularyOptions


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How foreign samples are read, and which are kept.

    `text_field`: the JSON field with the transcript; `.txt` for the text member; None to detect it.
    """

    rules: TextRules
    text_field: str | None = None
    normalise: bool = True
    limits: Limits = field(default_factory=Limits)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    flags: FlagOptions = field(default_factory=FlagOptions)


def index_language(
    folder: Path | str,
    language: str,
    tars: Sequence[ForeignTar],
    options: IndexOptions,
    *,
    pool: WorkerPool,
    advance: Callable[[], None],
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write `<folder>/{vocab.json,samples.parquet,index.json}` for the tars. Returns the content of index.json.

    `folder` is a folder, or as a string a URL.

    Every sample is decoded once, so that lengths are exact and broken samples are found now. `advance` is called after
    each tar, `note` with remarks for the user.

    Raises:
        TruncatedShardError: a tar was cut short.
        SourceError: the samples have no transcripts, or no training utterance is left.
        StorageError: the folder cannot be written to; checked before anything is read.
    """
    _check_writable(folder, language)
    chosen = options.vocabulary.fingerprint(language)  # now: an unusable one is an error before anything is read
    wanted = fields_to_look_for(options.text_field)
    surveys = _survey(language, tars, wanted, options.limits, pool, advance)
    fields = choose_fields(language, surveys, wanted)
    others, languages_note = samples_of_other_languages(language, surveys)
    repeated = _repeated(surveys)
    for line in (fields_note(language, surveys, fields), languages_note, deeper_note(folder, language, tars)):
        if line is not None:
            note(line)
    reading: dict[str, Any] = {"text_field": fields[0], "normalise": options.normalise}
    reading["text_rules"] = options.rules.as_dict()
    if len(fields) > 1:
        reading["text_fields"] = fields
    parse = SampleParser.of(language, reading)
    described = [
        _describe(tar, fields, parse, others.get(number, {}), repeated.get(number, {}))
        for number, tar in enumerate(surveys)
    ]
    apart = _keep_splits_apart(described)
    parts = [part for part, _ in apart]
    drops = parts[0].drops
    for part in parts[1:]:
        drops.merge(part.drops)
    for name, way in packed_beside(folder, tars):
        drops.add(Drop("packed", name, fix=way))
    if not any(part.info.samples for part in parts if part.split == "train"):
        held_out = sum(part.info.samples for part in parts)
        raise no_training_utterances(language, drops, held_out=held_out)
    described_options: dict[str, Any] = {"limits": asdict(options.limits), "reading": reading}
    if chosen:
        described_options["vocabulary"] = chosen
    sums = [part.info.sha256 for part in parts]
    fingerprint = hashlib.blake2b(json.dumps([described_options, sums], sort_keys=True).encode(), digest_size=16)
    build = {"fingerprint": fingerprint.hexdigest(), "options": described_options, "indexed": True}
    flags = flag_parts(language, parts, [texts for _, texts in apart], options.flags, scripts_of(options.rules))
    index, files = index_files(
        language, parts, drops, build=build, flags=flags, reading=reading, vocabulary=options.vocabulary
    )
    _write(folder, language, files)
    return index


def _write(folder: Path | str, language: str, files: Mapping[str, bytes]) -> None:
    if isinstance(folder, str):
        write_files(folder, files)
        return
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_files(folder, files)
    except OSError as error:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise StorageError(
            f"the index of {language} cannot be written to {folder}: {error.strerror}; nothing was kept",
            fix=f"free some space there, or {_elsewhere(language)}",
        ) from error


def _survey(
    language: str,
    tars: Sequence[ForeignTar],
    wanted: Sequence[str | None],
    limits: Limits,
    pool: WorkerPool,
    advance: Callable[[], None],
) -> list[TarSurvey]:
    """Survey every tar, with several processes."""
    surveys: list[TarSurvey] = []
    jobs = [(tar, wanted, limits) for tar in tars]
    try:
        for result in pool.in_order(survey_tar, jobs):
            surveys.append(result)
            advance()
    except BrokenProcessPool as error:
        raise ShardsError(
            f"a worker process died while reading the tars of {language}, perhaps because memory ran out",
            fix="run the same command again with fewer --workers",
        ) from error
    return surveys


def _check_writable(folder: Path | str, language: str) -> None:
    """Check that the index can be written, before hours of audio are read."""
    if isinstance(folder, str):
        trial = storage.join(folder, ".trial")
        remote.write_bytes(trial, b"")
        remote.remove([trial])
        return
    place = folder
    with storage.local_errors(folder):
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise StorageError(f"{place} is not a folder, expected one for {folder.name}/index.json")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(
            f"the folder {place} is not writable, so {folder}/index.json cannot be written",
            fix=f"make it writable, or {_elsewhere(language)}",
        )


def _elsewhere(language: str) -> str:
    return (
        "write the index elsewhere and leave the tars where they are: mms-dist shards index OTHER_FOLDER TAR … --lang "
        f"{language}"
    )


def _repeated(tars: Sequence[TarSurvey]) -> dict[int, dict[int, str]]:
    """Find samples that occur again in a split, byte for byte: tar number to sample number to a message."""
    seen: dict[tuple[str, str, int, int], str] = {}
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for number, tar in enumerate(tars):
        for place, sample in enumerate(tar.found):
            identity = (tar.split, sample.span.key, sample.span.size, sample.crc32)
            if identity in seen:
                found[number][place] = f"the same bytes are in {seen[identity]}"
            else:
                seen[identity] = tar.name
    return found


def _describe(
    tar: TarSurvey,
    fields: Sequence[str | None],
    parse: SampleParser,
    others: dict[int, str],
    repeated: dict[int, str],
) -> tuple[ShardPart, list[str]]:
    """Return a tar's part with its drops, and the texts of its utterances. `others`: samples in other languages."""
    utterances: list[UtteranceFacts] = []
    kept: list[FoundSample] = []
    dropped = list(tar.dropped)
    for place, sample in enumerate(tar.found):
        try:
            if place in others:
                raise Rejected("other_language", others[place])
            if place in repeated:
                raise Rejected("duplicate", repeated[place])
            text = _text_of(sample, fields, parse)
            check_labels(sample.samples, text)
        except Rejected as rejected:
            dropped.append(rejected.at(f"{tar.name}:{sample.span.key}"))
        else:
            utterances.append(
                UtteranceFacts(
                    key=sample.span.key,
                    text=text,
                    samples=sample.samples,
                    measures=sample.measures,
                    speaker=sample.speaker,
                    length_unknown=sample.length_unknown,
                    source=sample.source,
                    tags=sample.tags,
                )
            )
            kept.append(sample)
    part = shard_part(
        tar.name,
        tar.split,
        utterances,
        spans=[sample.span for sample in kept],
        checksums=[sample.crc32 for sample in kept],
        bytes=tar.bytes,
        sha256=tar.sha256,
    )
    for drop in dropped:
        part.drops.add(drop)
    return part, [utterance.text for utterance in utterances]


def _text_of(sample: FoundSample, fields: Sequence[str | None], parse: SampleParser) -> str:
    """Return the training text as `ShardReader` will read it."""
    found = [sample.transcripts[name] for name in fields if name in sample.transcripts]
    if not found:
        raise Rejected("incomplete", _lacks(sample, fields))
    transcript = found[0]
    if transcript.problem is not None:
        raise transcript.problem
    text = parse.normalise(transcript.text)
    if not text.strip():
        raise Rejected("empty", repr(transcript.text))
    return text


def _lacks(sample: FoundSample, fields: Sequence[str | None]) -> str:
    wanted = " or ".join(".txt" if name is None else repr(name) for name in fields)
    members, names = ", ".join(sample.span.extensions), ", ".join(sample.json_fields)
    return f"it has no {wanted}; its members are {members}, its JSON has {names or 'nothing'}"


def _keep_splits_apart(described: Sequence[tuple[ShardPart, list[str]]]) -> list[tuple[ShardPart, list[str]]]:
    """Leave out utterances whose sentence is also in a split of higher precedence (test, dev, train)."""
    owner: dict[str, str] = {}
    for split in reversed(PRECEDENCE):
        owner.update((text, split) for part, texts in described if part.split == split for text in texts)
    return [_without_others(part, texts, owner) for part, texts in described]


def _without_others(part: ShardPart, texts: list[str], owner: dict[str, str]) -> tuple[ShardPart, list[str]]:
    kept = [row for row, text in enumerate(texts) if owner[text] == part.split]
    if len(kept) == len(texts):
        return part, texts
    for key, text in zip(part.rows["key"], texts, strict=True):
        if owner[text] != part.split:
            part.drops.add(Drop("text_in_other_split", f"{part.info.name}:{key}", f"{text!r} is in {owner[text]} too"))
    left = [texts[row] for row in kept]
    return part.select(kept, left), left
