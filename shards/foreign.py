"""Index WebDataset tars that were made elsewhere, without changing them."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from braceexpand import braceexpand

from shards import storage
from shards.audio import UndecodableError, facts_of
from shards.errors import ShardsError, SourceError
from shards.index_file import write_index
from shards.limits import Limits, check_recording, check_utterance
from shards.parts import ShardPart, UtteranceFacts, describe_shard
from shards.plan import PRECEDENCE, no_training_utterances
from shards.pool import in_order, process_pool
from shards.sample import SampleParser
from shards.schema import INDEX_NAME, SPLITS, parse_language, parse_split
from shards.tar import Span, members_of, scan
from shards.text import Rejected
from shards.text_rules import TextRules
from shards.wording import counted

TEXT_FIELDS = ("text", "sentence", "transcript", "transcription", "normalized_text", "raw_text")
_TEXT_MEMBER = "txt"


@dataclass(frozen=True, slots=True)
class ForeignTar:
    """A tar to index: `name` as the index will hold it, `place` where it is read from."""

    name: str
    place: str
    split: str


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How foreign samples are read, and which are kept. `text_field` None: found in the first sample."""

    rules: TextRules
    text_field: str | None = None
    normalise: bool = True
    limits: Limits = field(default_factory=Limits)


def split_of(name: str) -> str:
    """The split that a tar's name tells: `train-000.tar`, `ron_dev_3.tar`, `val.tar`.

    Raises:
        SourceError: if it tells none, or several.
    """
    found = set()
    for word in re.split(r"[^a-z]+", Path(name).name.lower()):
        try:
            found.add(parse_split(word))
        except ShardsError:
            continue
    if len(found) != 1:
        raise SourceError(f"the name of {name} does not tell one split of {', '.join(SPLITS)}; give --split")
    return found.pop()


def find_tars(
    root: Path, given: Sequence[str], *, languages: Sequence[str], split: str | None, again: bool
) -> dict[str, list[ForeignTar]]:
    """The tars to index, by language: those given, else `<root>/<language>/*.tar` of languages without an index.

    Args:
        languages: the language of the tars that are given; else these only, or all if there are none here.

    Raises:
        SourceError: if there is none, or a language or split can not be told.
    """
    if given:
        if len(languages) != 1:
            raise SourceError(f"found {counted(len(languages), 'language')}, expected one: --lang, that of the tars")
        (language,) = languages
        folder = (root / parse_language(language)).resolve()
        tars = [_foreign_tar(folder, place, split) for pattern in given for place in braceexpand(pattern)]
        return {language: sorted(tars, key=lambda tar: SPLITS.index(tar.split))}
    if not root.is_dir():
        raise SourceError(f"no folder {root}; expected one that holds <language>/*.tar")
    codes = [parse_language(language) for language in languages] if languages else storage.list_folders(str(root))
    found = {code: sorted((root / code).glob("*.tar")) for code in codes}
    if not any(found.values()):
        raise SourceError(
            f"no tars in {root}/<language>/, or name them: mms-dist shards index {root} TAR … --lang CODE"
        )
    return {
        parse_language(code): sorted(
            (ForeignTar(path.name, str(path), split or split_of(path.name)) for path in paths),
            key=lambda tar: SPLITS.index(tar.split),
        )
        for code, paths in found.items()
        if paths and (again or not (root / code / INDEX_NAME).is_file())
    }


def _foreign_tar(folder: Path, place: str, split: str | None) -> ForeignTar:
    """A tar that was named; the index holds its bare name if it lies in the language's own folder."""
    if storage.is_url(place):
        return ForeignTar(place, place, split or split_of(place))
    path = Path(place).resolve()
    name = path.name if path.parent == folder else str(path)
    return ForeignTar(name, str(path), split or split_of(path.name))


def index_language(
    folder: Path,
    language: str,
    tars: Sequence[ForeignTar],
    options: IndexOptions,
    *,
    workers: int,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Write `<folder>/{vocab.json,samples.parquet,index.json}` for the tars; returns what the last holds.

    Every sample is decoded once, so that lengths are exact and broken ones are found now. `advance` is called after
    each tar.

    Raises:
        TruncatedShardError: if a tar was cut short.
        SourceError: if there is no transcript in the samples, or no training utterance is left.
    """
    reading = _reading(tars[0], options)
    jobs = [(tar, language, reading, options.limits) for tar in tars]
    described: list[tuple[ShardPart, list[str]]] = []
    with process_pool(min(workers, len(jobs))) as executor:
        for result in in_order(executor, _describe, jobs, workers):
            described.append(result)
            advance()
    parts = _keep_splits_apart(described)
    drops = parts[0].drops
    for part in parts[1:]:
        drops.merge(part.drops)
    if not any(part.info.samples for part in parts if part.split == "train"):
        held_out = sum(part.info.samples for part in parts)
        raise SourceError(no_training_utterances(language, drops, held_out=held_out))
    described_options = {"limits": asdict(options.limits), "reading": reading}
    sums = [part.info.sha256 for part in parts]
    fingerprint = hashlib.blake2b(json.dumps([described_options, sums], sort_keys=True).encode(), digest_size=16)
    folder.mkdir(parents=True, exist_ok=True)
    build = {"fingerprint": fingerprint.hexdigest(), "options": described_options, "indexed": True}
    return write_index(folder, language, parts, drops, build=build, reading=reading)


def _reading(tar: ForeignTar, options: IndexOptions) -> dict[str, Any]:
    """The `reading` entry of the index; finds the transcript's field in the first sample if it was not given."""
    text_field = options.text_field
    if text_field is None:
        with _local_copy(tar.place) as path:
            spans = scan(path)
            members = members_of(_bytes_of(path, spans[0])) if spans else {}
        info = json.loads(bytes(members["json"])) if "json" in members else {}
        found = [name for name in TEXT_FIELDS if isinstance(info, dict) and name in info]
        if not found and _TEXT_MEMBER not in members:
            raise SourceError(
                f"no transcript in the first sample of {tar.place}: its members are {', '.join(members) or 'none'}, "
                f"its JSON has {', '.join(info) or 'nothing'}; name the field with --text-field"
            )
        text_field = found[0] if found else None
    return {"text_field": text_field, "normalise": options.normalise, "text_rules": options.rules.as_dict()}


def _describe(job: tuple[ForeignTar, str, dict[str, Any], Limits]) -> tuple[ShardPart, list[str]]:
    """One tar: its part with its drops, and the texts of its utterances."""
    tar, language, reading, limits = job
    parse = SampleParser.of(language, reading)
    utterances: list[UtteranceFacts] = []
    kept: list[Span] = []
    dropped: list[tuple[str, str]] = []
    with _local_copy(tar.place) as path:
        for span in scan(path):
            try:
                members = members_of(_bytes_of(path, span))
                facts = facts_of(parse.audio_member(members))
                check_recording(facts.rate, facts.seconds, limits)
                parsed = parse(members)
                check_utterance(parsed.audio, parsed.text, limits)
            except Rejected as rejected:
                dropped.append((rejected.reason, f"{tar.name}:{span.key}: {rejected.detail}"))
            except UndecodableError as error:
                dropped.append((error.reason, f"{tar.name}:{span.key}: {error}"))
            except ValueError as error:
                dropped.append(("incomplete", f"{tar.name}:{span.key}: {error}"))
            else:
                speaker = parsed.info.get("speaker")
                utterances.append(
                    UtteranceFacts(
                        span.key,
                        parsed.text,
                        len(parsed.audio),
                        speaker if isinstance(speaker, str) else None,
                        facts.length_unknown,
                    )
                )
                kept.append(span)
        part = describe_shard(path, tar.name, tar.split, utterances, kept)
    for reason, example in dropped:
        part.drops.add(reason, example)
    return part, [utterance.text for utterance in utterances]


def _keep_splits_apart(described: Sequence[tuple[ShardPart, list[str]]]) -> list[ShardPart]:
    """Leave out utterances whose sentence is also in a split that goes before theirs: test, dev, train."""
    owner: dict[str, str] = {}
    for split in reversed(PRECEDENCE):
        owner.update((text, split) for part, texts in described if part.split == split for text in texts)
    return [_without_others(part, texts, owner) for part, texts in described]


def _without_others(part: ShardPart, texts: list[str], owner: dict[str, str]) -> ShardPart:
    kept = [row for row, text in enumerate(texts) if owner[text] == part.split]
    if len(kept) == len(texts):
        return part
    for key, text in zip(part.rows["key"], texts, strict=True):
        if owner[text] != part.split:
            part.drops.add("text_in_other_split", f"{part.info.name}:{key}: {text!r} is in {owner[text]} too")
    return part.select(kept, [texts[row] for row in kept])


def _bytes_of(path: Path, span: Span) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(span.offset)
        return stream.read(span.size)


@contextmanager
def _local_copy(place: str) -> Iterator[Path]:
    """The tar itself, or a copy of a remote one that is removed afterwards."""
    path = storage.local_path(place)
    if path is not None:
        if not path.is_file():
            raise SourceError(f"no tar {path}")
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".tar") as copy:
        try:
            storage.copy_to(place, copy.file)
        except FileNotFoundError as error:
            raise SourceError(f"no tar {place}") from error
        copy.flush()
        yield Path(copy.name)
