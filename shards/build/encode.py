"""Cut, check, measure and encode the utterances of a recording: the work of a build's worker process.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shards.audio.audio_errors import UndecodableError
from shards.audio.codec import encode_flac
from shards.audio.containers.byte_source import ByteSource
from shards.audio.recording import Recording, Samples
from shards.build.candidates import Candidate
from shards.drops import Rejected
from shards.flags.measures import Measures, measure
from shards.limits import Limits, check_rate, check_utterance
from shards.sources.audio_reference import AudioReference

Result = TypeVar("Result")

# Manifests round their times, so a segment may end this much after its recording.
_END_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Encoded:
    """An utterance as stored in a shard; `samples` at 16 kHz.

    `length_unknown`: the recording does not declare its length, so it may have been cut short.
    """

    flac: bytes
    samples: int
    measures: Measures
    length_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """The length of an utterance, in `samples` at 16 kHz, and its measures."""

    samples: int
    measures: Measures


def encode_recordings(candidates: Sequence[Candidate], limits: Limits) -> list[Encoded | Rejected]:
    """Return one result per candidate, in order. Consecutive segments of a recording open it once."""
    return _each(candidates, limits, _encoded)


def measure_recordings(candidates: Sequence[Candidate], limits: Limits) -> list[Measured | Rejected]:
    """As `encode_recordings`, without encoding anything."""
    return _each(candidates, limits, lambda audio, _: Measured(len(audio), measure(audio)))


def _encoded(audio: Samples, length_unknown: bool) -> Encoded:
    return Encoded(encode_flac(audio), len(audio), measure(audio), length_unknown)


def _each(
    candidates: Sequence[Candidate], limits: Limits, use: Callable[[Samples, bool], Result]
) -> list[Result | Rejected]:
    results: list[Result | Rejected] = []
    for _, group in itertools.groupby(candidates, key=lambda candidate: candidate.audio):
        results.extend(_of_recording(list(group), limits, use))
    return results


def _of_recording(
    candidates: list[Candidate], limits: Limits, use: Callable[[Samples, bool], Result]
) -> Iterator[Result | Rejected]:
    try:
        recording = Recording(_opened(candidates[0].audio))
    except UndecodableError as error:
        yield from [error] * len(candidates)
        return
    with recording:
        for candidate in candidates:
            try:
                audio = _cut(recording, candidate, limits)
                check_utterance(audio, candidate.text, limits)
            except Rejected as rejected:
                yield rejected
            except MemoryError:
                yield UndecodableError("decoding it needs more memory than there is", "cut it into shorter recordings")
            else:
                yield use(audio, recording.length_unknown)


def _opened(reference: AudioReference) -> ByteSource:
    try:
        return reference.open()
    except OSError as error:
        raise UndecodableError(f"cannot be read: {error.strerror or error}") from error


def _cut(recording: Recording, candidate: Candidate, limits: Limits) -> Samples:
    """Decode the utterance's audio `[S]`, after the checks that need only the container."""
    check_rate(recording.rate)
    start = candidate.start_seconds or 0.0
    end = recording.declared_seconds if candidate.end_seconds is None else candidate.end_seconds
    declared = recording.declared_seconds
    whole = start == 0 and candidate.end_seconds is None
    if not whole and (not 0 <= start < end <= declared + _END_TOLERANCE_SECONDS or start >= declared):
        raise Rejected("bad_segment", f"{start} … {end} s in a recording of {recording.seconds:.2f} s")
    if recording.cut_short is not None and (
        candidate.end_seconds is None or end > recording.seconds + _END_TOLERANCE_SECONDS or start >= recording.seconds
    ):
        raise Rejected("cut_short", recording.cut_short)
    if end - start > limits.max_seconds:
        raise Rejected("too_long", f"{end - start:.2f} s, limit {limits.max_seconds} s")
    return recording.cut(start, candidate.end_seconds, candidate.channel)
