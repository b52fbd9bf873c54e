"""Survey the samples of a foreign tar. Each is decoded once, so that lengths are exact and broken ones are found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shards.audio.codec import decode, facts_of
from shards.audio.extensions import is_audio, is_unread
from shards.drops import Drop, Rejected
from shards.errors import StorageError
from shards.flags.measures import Measures, measure
from shards.foreign.find_tars import ForeignTar, local_copy
from shards.index.parts import file_sha256
from shards.limits import Limits, check_recording, check_utterance
from shards.tars.members import (
    audio_extension,
    check_string,
    check_text,
    info_in,
    member_with,
    name_in,
    tags_in,
    text_in,
)
from shards.tars.spans import Span, members_of, span_checksum
from shards.tars.survey import survey

# Fields that may name a sample's language, most reliable first.
_LANGUAGE_FIELDS = ("lang", "language", "locale", "cls")
# A sample is read with one call, and Linux returns less than 2 GiB per call.
_MAX_SAMPLE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class FieldTranscript:
    """The transcript in a field, or why it is unusable."""

    text: str
    problem: Rejected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSample:
    """A sample with a usable recording. `transcripts` by field, None for the `.txt`; `samples` at 16 kHz.

    `length_unknown` is as in `UtteranceFacts`.
    """

    span: Span
    crc32: int
    samples: int
    measures: Measures
    length_unknown: bool
    speaker: str | None
    language: str | None
    transcripts: dict[str | None, FieldTranscript]
    json_fields: tuple[str, ...]
    source: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class TarSurvey:
    """One tar: its usable samples in order, and what was left out."""

    name: str
    split: str
    bytes: int
    sha256: str
    found: list[FoundSample] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)


def survey_tar(job: tuple[ForeignTar, Sequence[str | None], Limits]) -> TarSurvey:
    """Decode every sample of a tar, and collect the JSON `fields` that may hold the transcript.

    Raises:
        ShardsError: the tar cannot be read, is not a tar or was cut short.
    """
    tar, fields, limits = job
    with local_copy(tar.place) as path:
        contents = survey(path, tar.place)
        result = TarSurvey(tar.name, tar.split, path.stat().st_size, file_sha256(path))
        result.dropped.extend(Drop("no_sample", f"{tar.name}:{name}", why) for name, why in contents.skipped)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for span in contents.spans:
                try:
                    result.found.append(_look(descriptor, span, fields, limits, result))
                except Rejected as rejected:
                    result.dropped.append(rejected.at(f"{tar.name}:{span.key}"))
        except (OSError, EOFError) as error:
            reason = str(error) or "it ends"
            raise StorageError(f"{tar.place} cannot be read: {reason}", fix="check that nothing changes it") from error
        finally:
            os.close(descriptor)
    return result


def _look(descriptor: int, span: Span, fields: Sequence[str | None], limits: Limits, result: TarSurvey) -> FoundSample:
    if span.size > _MAX_SAMPLE_BYTES:
        raise Rejected("too_large", f"it has {span.size:,} bytes, limit {_MAX_SAMPLE_BYTES:,}")
    try:
        members = members_of(os.pread(descriptor, span.size, span.offset))
    except ValueError as error:
        raise Rejected("incomplete", str(error)) from error
    _check_whole(span, members, fields)
    info = info_in(members, strict=True)
    transcripts = _transcripts(members, info, fields)
    chosen = audio_extension(members)
    facts = facts_of(members[chosen])
    check_recording(facts.rate, facts.seconds, limits)
    audio = decode(members[chosen])
    check_utterance(audio, "", limits)
    for extension in members:
        if is_audio(extension) and extension != chosen:
            result.dropped.append(Drop("second_audio", f"{result.name}:{span.key}", f".{extension} beside .{chosen}"))
    return FoundSample(
        span=span,
        crc32=span_checksum(descriptor, span),
        samples=len(audio),
        measures=measure(audio),
        length_unknown=facts.length_unknown,
        speaker=name_in(info, "speaker"),
        language=next((name for key in _LANGUAGE_FIELDS if (name := name_in(info, key)) is not None), None),
        transcripts=transcripts,
        json_fields=tuple(info),
        source=name_in(info, "source"),
        tags=tags_in(info),
    )


def _check_whole(span: Span, members: Mapping[str, memoryview], fields: Sequence[str | None]) -> None:
    """Reject samples without audio, and distinguish incomplete samples from files that are not samples."""
    has_audio = any(map(is_audio, members))
    if span.links and not (has_audio and (member_with(members, "json") or member_with(members, "txt"))):
        raise Rejected("link", f"{span.links[0]} is a link, whose data is stored elsewhere")
    if has_audio:
        return
    unread = next(filter(is_unread, sorted(members)), None)
    if unread is not None:
        raise Rejected("unread_format", f".{unread} is not read")
    try:
        has_transcript = bool(_transcripts(members, info_in(members), fields))
    except Rejected:
        has_transcript = False
    if not has_transcript:
        listed = ", ".join(f".{extension}" for extension in sorted(members)) or "nothing"
        raise Rejected("no_sample", f"it has neither a readable recording nor a transcript, only {listed}")


def _transcripts(
    members: Mapping[str, memoryview], info: Mapping[str, Any], fields: Sequence[str | None]
) -> dict[str | None, FieldTranscript]:
    """Return every one of `fields` that the sample has and that is not null."""
    found: dict[str | None, FieldTranscript] = {}
    for name in fields:
        try:
            raw = text_in(members) if name is None else info.get(name)
            if raw is not None:
                found[name] = FieldTranscript(check_text(check_string(raw)))
        except Rejected as rejected:
            found[name] = FieldTranscript("", rejected)
    return found
